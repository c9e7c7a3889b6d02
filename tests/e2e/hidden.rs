//! What a user's rights do not show (RFC 4314 section 6) is as if it were not there, at both doors and
//! for each command; and whoever loses the right to read a mailbox hears nothing more of it.

use anyhow::{Context, ensure};
use murder_testkit::{Answer, ImapClient, Murder};

use crate::{Tested, message};

/// Every right by itself.
const LETTERS: &str = "lrswipkxtean";

/// What a command says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Says {
    Done,
    NoPerm,
    /// There is none, as far as the user may know.
    NonExistent,
    /// The same, for what could be made.
    TryCreate,
    AlreadyExists,
    Cannot,
    /// BAD
    Bad,
}

/// A command, and what it says to who has these rights. `%M` is the mailbox, `%D` and `%R` are others
/// with the same rights that it may delete and rename, `%S` one that the user may rename, `%N` another
/// number each time.
type Row = (&'static str, fn(&str) -> Says);

/// The rule of most commands.
fn needs(rights: &str, needed: char, hidden: Says) -> Says {
    match (rights.contains(needed), rights.contains('l')) {
        (true, _) => Says::Done,
        (false, true) => Says::NoPerm,
        (false, false) => hidden,
    }
}

fn read(rights: &str) -> Says {
    needs(rights, 'r', Says::NonExistent)
}

fn administer(rights: &str) -> Says {
    needs(rights, 'a', Says::NonExistent)
}

fn remove(rights: &str) -> Says {
    needs(rights, 'x', Says::NonExistent)
}

fn insert(rights: &str) -> Says {
    needs(rights, 'i', Says::TryCreate)
}

fn exists(rights: &str, hidden: Says) -> Says {
    match rights.contains('l') {
        true => Says::AlreadyExists,
        false => hidden,
    }
}

fn done(_: &str) -> Says {
    Says::Done
}

/// In this order: the mailbox stays what it is until the end.
const TABLE: &[Row] = &[
    ("STATUS %M (MESSAGES UNSEEN)", read),
    ("LIST \"\" %M", done),
    ("LIST \"\" %M RETURN (STATUS (MESSAGES))", done),
    ("UNSUBSCRIBE %M", done),
    ("LSUB \"\" %M", done),
    ("SUBSCRIBE %M", |rights| match rights.contains('l') {
        true => Says::Done,
        false => Says::NonExistent,
    }),
    ("UNSUBSCRIBE %M", done),
    ("MYRIGHTS %M", |rights| {
        match rights.contains(['l', 'r', 'i', 'k', 'x', 'a']) {
            true => Says::Done,
            false => Says::NonExistent,
        }
    }),
    ("GETACL %M", administer),
    ("LISTRIGHTS %M user1", administer),
    ("SETACL %M user4 lr", administer),
    ("SETACL %M user4 -r", administer),
    ("DELETEACL %M user4", administer),
    ("CREATE %M", |rights| exists(rights, Says::NoPerm)),
    ("CREATE %M (USE (\\Junk))", |rights| {
        exists(rights, Says::NoPerm)
    }),
    ("CREATE %M (PARTITION default)", |_| Says::NoPerm),
    ("CREATE %M/child", |rights| match rights.contains('k') {
        true => Says::Done,
        false => Says::NoPerm,
    }),
    ("CREATE %M/a/b", |rights| match rights.contains('k') {
        true => Says::Done,
        false => Says::NoPerm,
    }),
    ("APPEND %M {5+}\r\nhello", insert),
    ("APPEND %M (\\Seen) {5+}\r\nhello", insert),
    // What is in the way of the message is not said before it has come.
    ("SELECT INBOX", done),
    ("COPY 1 %M", insert),
    ("UID COPY 1:* %M", insert),
    ("COPY 99 %M", |_| Says::Bad),
    ("MOVE 99 %M", |_| Says::Bad),
    ("COPY 1 INBOX", done),
    ("MOVE * %M", insert),
    ("SELECT %M (QRESYNC (1 1))", |_| Says::Bad),
    ("SELECT %M (NONSENSE)", |_| Says::Bad),
    ("NOOP", done),
    ("EXAMINE %M", read),
    ("SELECT INBOX", done),
    ("SELECT %M", read),
    ("UNSELECT", |rights| match rights.contains('r') {
        true => Says::Done,
        false => Says::Bad,
    }),
    ("RENAME INBOX %M", |rights| exists(rights, Says::Cannot)),
    ("RENAME %S %M", |rights| exists(rights, Says::NoPerm)),
    ("RENAME %S %M/new", |rights| match rights.contains('k') {
        true => Says::Done,
        false => Says::NoPerm,
    }),
    ("RENAME %R %T/%N", remove),
    ("RENAME %M INBOX", |rights| match rights.contains('x') {
        true => Says::AlreadyExists,
        false => remove(rights),
    }),
    ("DELETE %D", remove),
];

/// Each right by itself, all but each, all, and none.
fn sets() -> Vec<String> {
    let without = |letter: char| LETTERS.replace(letter, "");
    let alone = LETTERS.chars().map(String::from);
    let others = LETTERS.chars().map(without);
    let both = ["", LETTERS].map(str::to_owned);
    both.into_iter().chain(alone).chain(others).collect()
}

/// The mailboxes that a row's letters stand for.
struct Names {
    own: String,
    renamed: String,
    source: String,
    deleted: String,
}

impl Names {
    fn below(set: usize, door: usize) -> Self {
        let name = |of: &str| format!("Other Users/user1/s{set}/{of}{door}");
        Self {
            own: name("m"),
            renamed: name("r"),
            source: format!("Other Users/user1/src/s{set}-{door}"),
            deleted: name("d"),
        }
    }

    /// The same, of what is not there.
    fn nowhere(root: &str, source: &Self) -> Self {
        Self {
            own: format!("{root}m"),
            renamed: format!("{root}r"),
            source: source.source.clone(),
            deleted: format!("{root}d"),
        }
    }

    fn command(&self, row: &str, number: usize) -> String {
        let quoted = |name: &str| format!("\"{name}\"");
        let mut command = row.to_owned();
        // What follows a name belongs into its quotes.
        for below in ["child", "a/b", "new"] {
            let whole = quoted(&format!("{}/{below}", self.own));
            command = command.replace(&format!("%M/{below}"), &whole);
        }
        command
            .replace("%M", &quoted(&self.own))
            .replace("%R", &quoted(&self.renamed))
            .replace("%S", &quoted(&self.source))
            .replace("%D", &quoted(&self.deleted))
            .replace("%T/%N", &quoted(&format!("Other Users/user1/top/{number}")))
    }

    /// All that was said, with the mailboxes by the same names everywhere.
    fn said(&self, answer: &Answer) -> String {
        let lines = answer.untagged.iter().map(|reply| reply.text());
        let (_, tagged) = answer.tagged.text().split_once(' ').map_or_else(
            || (String::new(), String::new()),
            |(tag, rest)| (tag.to_owned(), rest.to_owned()),
        );
        let all = lines.chain([tagged]).collect::<Vec<_>>().join("\r\n");
        all.replace(&self.own, "MAILBOX")
    }
}

/// Who comes by which door.
struct Door {
    name: &'static str,
    client: ImapClient,
}

impl Door {
    /// Sends all rows at once, and reads what is said.
    async fn play(&mut self, names: &Names, number: usize) -> anyhow::Result<Vec<Answer>> {
        let mut tags = Vec::new();
        for (row, _) in TABLE {
            tags.push(self.client.send(&names.command(row, number)).await?);
        }
        let mut answers = Vec::new();
        for tag in tags {
            answers.push(self.client.finish(&tag).await.context(self.name)?);
        }
        Ok(answers)
    }
}

fn says(answer: &Answer) -> Option<Says> {
    let text = answer.tagged.text();
    let rest = text.split_once(' ')?.1;
    [
        ("OK", Says::Done),
        ("BAD", Says::Bad),
        ("NO [NOPERM]", Says::NoPerm),
        ("NO [NONEXISTENT]", Says::NonExistent),
        ("NO [TRYCREATE]", Says::TryCreate),
        ("NO [ALREADYEXISTS]", Says::AlreadyExists),
        ("NO [CANNOT]", Says::Cannot),
    ]
    .into_iter()
    .find_map(|(begins, says)| rest.starts_with(begins).then_some(says))
}

/// Some 4,000 commands: those that name a mailbox, with each set of rights, through a frontend by
/// somebody whose home is on another backend or the same, and at the backend. Where the rights show
/// nothing, all that is said is what is said of a name that nobody has; also while the backend is
/// down.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_command_with_every_right() -> Tested {
    let mut murder = Murder::start().await?;
    let mut owner = murder.imap_at_backend(1, "user1").await?;
    for shared in ["top", "src"] {
        owner.ok(&format!("CREATE {shared}")).await?;
    }
    let sets = sets();
    let mut doors = [
        Door {
            name: "frontend, other backend",
            client: murder.imap(1, "user2").await?,
        },
        Door {
            name: "frontend, same backend",
            client: murder.imap(2, "user3").await?,
        },
        Door {
            name: "backend",
            client: murder.imap_at_backend(1, "user3").await?,
        },
    ];
    // What is made inherits the ACL of what is above it.
    for user in ["user2", "user3"] {
        owner.ok(&format!("SETACL top {user} k")).await?;
        owner.ok(&format!("SETACL src {user} x")).await?;
    }
    for (set, rights) in sets.iter().enumerate() {
        owner.ok(&format!("CREATE s{set}")).await?;
        for user in ["user2", "user3"] {
            owner
                .ok(&format!("SETACL s{set} {user} \"{rights}\""))
                .await?;
        }
        for door in 0..doors.len() {
            owner.ok(&format!("CREATE src/s{set}-{door}")).await?;
            for of in ["m", "r", "d"] {
                owner.ok(&format!("CREATE s{set}/{of}{door}")).await?;
            }
        }
        for user in ["user2", "user3"] {
            owner.ok(&format!("DELETEACL s{set} {user}")).await?;
        }
    }
    for user in ["user2", "user3"] {
        let mut client = murder.imap(1, user).await?;
        for _ in 0..2 {
            client.append("INBOX", "", &message("one")).await?;
        }
    }

    let mut hidden = 0;
    for (at, door) in doors.iter_mut().enumerate() {
        // No letter that a name holds is in a name that is made: it stays as it is.
        let none = Names::below(0, at);
        let mut nothing = Vec::new();
        for root in [
            "Other Users/user1/none/",
            "Other Users/user1/",
            "Other Users/nobody/",
        ] {
            let names = Names::nowhere(root, &none);
            let answers = door.play(&names, 0).await?;
            nothing.push(
                answers
                    .iter()
                    .map(|answer| names.said(answer))
                    .collect::<Vec<_>>(),
            );
        }
        for (set, rights) in sets.iter().enumerate() {
            let names = Names::below(set, at);
            let answers = door.play(&names, set * 10 + at + 1).await?;
            for (nth, (answer, (row, wanted))) in answers.iter().zip(TABLE).enumerate() {
                let wanted = wanted(rights);
                let about = format!("{}, {rights:?}, {row}: {answer:?}", door.name);
                ensure!(says(answer) == Some(wanted), "wanted {wanted:?}: {about}");
                let shows = row.contains("LIST") && rights.contains('l');
                if wanted != (TABLE[nth].1)("") || shows || !row.contains('%') {
                    continue;
                }
                hidden += 1;
                // Into another home nothing can be renamed, whatever is there.
                let comparable = if row.contains("%S") { 2 } else { 3 };
                for nothing in &nothing[..comparable] {
                    ensure!(
                        names.said(answer) == nothing[nth],
                        "{about}, not {}",
                        nothing[nth]
                    );
                }
            }
        }
    }
    assert!(hidden > 1_000, "{hidden}");

    // While nobody can say what the mailbox is, nobody says that there is one.
    owner.ok("CREATE s0/m3").await?;
    owner.ok("CREATE s0/r3").await?;
    owner.ok("CREATE s0/d3").await?;
    let [door, ..] = &mut doors;
    // It shows at the frontend.
    door.client.ok("LIST \"\" *").await?;
    murder.kill_backend(1).await;
    let none = Names::below(0, 0);
    let nowhere = Names::nowhere("Other Users/user1/none/", &none);
    let names = Names::below(0, 3);
    let nothing = door.play(&nowhere, 0).await?;
    let answers = door.play(&names, 0).await?;
    for (nth, (answer, nothing)) in answers.iter().zip(&nothing).enumerate() {
        let row = TABLE[nth].0;
        ensure!(
            row.contains("%S") || !row.contains("%") || names.said(answer) == nowhere.said(nothing),
            "{row}: {answer:?}, not {nothing:?}"
        );
    }
    Ok(())
}

/// A frontend's client and a backend's.
async fn both(murder: &Murder, user: &str) -> anyhow::Result<[ImapClient; 2]> {
    Ok([
        murder.imap(1, user).await?,
        murder.imap_at_backend(1, user).await?,
    ])
}

const WORK: &str = "Other Users/user1/Work";

/// Whoever may not read the selected mailbox any more hears nothing of it, whatever they wait with,
/// not even that it is deleted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn revoked_is_silent() -> Tested {
    let murder = Murder::start().await?;
    let mut owner = murder.imap_at_backend(1, "user1").await?;
    owner.ok("CREATE Work").await?;
    owner.ok("SETACL Work user3 lrwt").await?;
    owner.append("Work", "", &message("one")).await?;
    let mut selected = both(&murder, "user3").await?;
    let mut idling = both(&murder, "user3").await?;
    for client in selected.iter_mut().chain(&mut idling) {
        client.select(WORK).await?;
    }
    let mut tags = Vec::new();
    for client in &mut idling {
        tags.push(client.idle().await?);
    }
    let mut notified = murder.imap_at_backend(1, "user3").await?;
    notified
        .ok("NOTIFY SET (selected (MessageNew MessageExpunge)) (personal (MessageNew MessageExpunge))")
        .await?;
    notified.select(WORK).await?;
    let mut aside = murder.imap_at_backend(1, "user3").await?;
    let of_all =
        format!("NOTIFY SET (mailboxes \"{WORK}\" (MessageNew MessageExpunge FlagChange))");
    aside.ok(&of_all).await?;
    let mut context = murder.imap_at_backend(1, "user3").await?;
    context.select(WORK).await?;
    context.ok("SEARCH RETURN (UPDATE) ALL").await?;

    // All hear of this, so that none is only slow.
    owner.append("Work", "", &message("two")).await?;
    for client in &mut idling {
        client.wait_for("RECENT").await?;
    }
    notified.wait_for("RECENT").await?;
    aside.wait_for("STATUS").await?;
    for client in selected.iter_mut().chain([&mut context]) {
        client
            .ok("NOOP")
            .await?
            .all("EXISTS")
            .next()
            .context("EXISTS")?;
    }

    owner.ok("SETACL Work user3 wt").await?;
    // Of NOTIFY's, that the mailbox is not theirs any more.
    for client in [&mut aside, &mut notified] {
        client.ok("NOOP").await?;
    }
    owner.append("Work", "", &message("three")).await?;
    owner.select("Work").await?;
    owner.ok("STORE 1 +FLAGS (\\Deleted $new)").await?;
    owner.ok("EXPUNGE").await?;
    for client in selected
        .iter_mut()
        .chain([&mut notified, &mut aside, &mut context])
    {
        let answer = client.ok("NOOP").await?;
        assert!(answer.untagged.is_empty(), "{answer:?}");
    }
    for client in &mut selected {
        // The right to change flags says nothing of what they are.
        let answer = client.ok("STORE 1:2 +FLAGS ($mine)").await?;
        assert!(answer.untagged.is_empty(), "{answer:?}");
        client.no("FETCH 1 FLAGS", "NOPERM").await?;
    }
    owner.ok("UNSELECT").await?;
    owner.ok("DELETE Work").await?;
    for (client, tag) in idling.iter_mut().zip(&tags) {
        let answer = client.done(tag).await?;
        assert!(answer.untagged.is_empty(), "{answer:?}");
    }
    for client in
        idling
            .iter_mut()
            .chain(&mut selected)
            .chain([&mut notified, &mut aside, &mut context])
    {
        let answer = client.ok("NOOP").await?;
        assert!(answer.untagged.is_empty(), "{answer:?}");
    }
    Ok(())
}

/// The selected mailbox was deleted: both doors say so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_mailbox_ends_its_sessions() -> Tested {
    let murder = Murder::start().await?;
    let mut owner = murder.imap_at_backend(1, "user1").await?;
    for how in [
        "IDLE",
        "NOOP",
        "FETCH 1 FLAGS",
        "COPY 1 INBOX",
        "STATUS INBOX (MESSAGES)",
    ] {
        owner.ok("CREATE Work").await?;
        owner.append("Work", "", &message("one")).await?;
        let mut clients = both(&murder, "user1").await?;
        for client in &mut clients {
            client.select("Work").await?;
            if how == "IDLE" {
                client.idle().await?;
            }
        }
        owner.ok("DELETE Work").await?;
        for (door, client) in clients.iter_mut().enumerate() {
            if how != "IDLE" {
                client.send(how).await?;
            }
            let said = client.read_to_end().await?;
            let bye = said.iter().find(|reply| reply.is("BYE"));
            let bye = bye.with_context(|| format!("{door}, {how}: {said:?}"))?;
            assert_eq!(
                bye.text(),
                "* BYE The selected mailbox was deleted",
                "{door}, {how}"
            );
        }
    }
    Ok(())
}
