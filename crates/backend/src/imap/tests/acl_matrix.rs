//! Each command with all rights but one, and with exactly those that it needs: the table of
//! RFC 4314 section 4.

use murder_mailbox::Rights;
use murder_store::{AppendMessage, Flags};

use super::support::{Client, Server, message, short};

/// Every right by itself.
const LETTERS: &str = "lrswipkxtean";

/// What carol has selected.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Selected {
    Nothing,
    /// Her own INBOX, with a message.
    Own,
    /// The mailbox of bob's that the rights are for, with a message.
    It,
}

/// What it says when a right is missing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Missing {
    /// NOPERM to who may know that the mailbox is there, else as if it were not.
    Hidden,
    /// The same for what could be made: TRYCREATE.
    TryCreate,
    /// NOPERM, whether the mailbox is there or not.
    NoPerm,
    /// NONEXISTENT.
    NonExistent,
}

/// A command, what is selected before it, the rights that it needs in bob's mailbox, and how it is
/// refused without. `%M` is that mailbox, `%N` another number each time.
type Row = (&'static str, Selected, &'static str, Missing);

const TABLE: &[Row] = {
    use Missing::{Hidden, NoPerm, NonExistent, TryCreate};
    use Selected::{It, Nothing, Own};
    &[
        ("SELECT %M", Nothing, "r", Hidden),
        ("EXAMINE %M", Nothing, "r", Hidden),
        ("SELECT %M", Own, "r", Hidden),
        ("STATUS %M (MESSAGES UNSEEN)", Nothing, "r", Hidden),
        // It looks whether the mailbox is there; UNSUBSCRIBE does not.
        ("SUBSCRIBE %M", Nothing, "l", NonExistent),
        ("UNSUBSCRIBE %M", Nothing, "", Hidden),
        (
            "LIST \"\" %M RETURN (STATUS (MESSAGES))",
            Nothing,
            "",
            Hidden,
        ),
        ("LSUB \"\" %M", Nothing, "", Hidden),
        ("GETQUOTAROOT %M", Nothing, "r", Hidden),
        ("CREATE %M/child", Nothing, "k", NoPerm),
        ("CREATE %M/a/b/child", Nothing, "k", NoPerm),
        ("DELETE %M", Nothing, "x", Hidden),
        ("RENAME %M \"Other Users/bob/top/%N\"", Nothing, "x", Hidden),
        (
            "RENAME \"Other Users/bob/src%N\" %M/new",
            Nothing,
            "k",
            NoPerm,
        ),
        ("SETACL %M dave lr", Nothing, "a", Hidden),
        ("SETACL %M anyone -r", Nothing, "a", Hidden),
        ("DELETEACL %M bob", Nothing, "a", Hidden),
        ("GETACL %M", Nothing, "a", Hidden),
        ("LISTRIGHTS %M bob", Nothing, "a", Hidden),
        ("APPEND %M {5+}\r\nhello", Nothing, "i", TryCreate),
        (
            "APPEND %M {5+}\r\nhello {5+}\r\nworld",
            Nothing,
            "i",
            TryCreate,
        ),
        ("COPY 1 %M", Own, "i", TryCreate),
        ("UID COPY 1:* %M", Own, "i", TryCreate),
        ("MOVE 1 %M", Own, "i", TryCreate),
        ("REPLACE 1 %M {5+}\r\nhello", Own, "i", TryCreate),
        ("FETCH 1 FLAGS", It, "r", NoPerm),
        ("FETCH 1 BODY[]", It, "r", NoPerm),
        ("UID FETCH 1:* (ENVELOPE)", It, "r", NoPerm),
        ("SEARCH ALL", It, "r", NoPerm),
        ("UID SEARCH RETURN (SAVE) TEXT x", It, "r", NoPerm),
        ("SORT (DATE) UTF-8 ALL", It, "r", NoPerm),
        ("UID THREAD REFERENCES UTF-8 ALL", It, "r", NoPerm),
        ("ESEARCH ALL", It, "r", NoPerm),
        ("COPY 1 INBOX", It, "r", NoPerm),
        ("MOVE 1 INBOX", It, "rte", NoPerm),
        ("UID MOVE 1:* INBOX", It, "rte", NoPerm),
        ("REPLACE 1 INBOX {5+}\r\nhello", It, "te", NoPerm),
        ("STORE 1 +FLAGS (\\Seen)", It, "s", NoPerm),
        ("STORE 1 -FLAGS.SILENT (\\Seen)", It, "s", NoPerm),
        ("STORE 1 +FLAGS (\\Deleted)", It, "t", NoPerm),
        ("UID STORE 1:* -FLAGS (\\Deleted)", It, "t", NoPerm),
        ("STORE 1 +FLAGS (\\Flagged)", It, "w", NoPerm),
        ("STORE 1 -FLAGS (\\Answered \\Draft)", It, "w", NoPerm),
        ("STORE 1 +FLAGS ($Forwarded)", It, "w", NoPerm),
        ("EXPUNGE", It, "e", NoPerm),
        ("UID EXPUNGE 1:*", It, "e", NoPerm),
        ("CLOSE", It, "", NoPerm),
        ("UNSELECT", It, "", NoPerm),
        ("CHECK", It, "", NoPerm),
        ("NOOP", It, "", NoPerm),
    ]
};

struct Matrix {
    server: Server,
    carol: Client,
    number: u32,
}

impl Matrix {
    async fn start() -> Self {
        let server = Server::start();
        server.create("user/bob").await;
        server.create("user/bob/top").await;
        server.allow("user/bob/top", "carol", "k").await;
        let carol = server.login("carol").await;
        Self {
            server,
            carol,
            number: 0,
        }
    }

    /// Plays a row with those rights, in a mailbox of its own. Returns the completion.
    async fn play(&mut self, row: Row, rights: &str) -> String {
        let (command, selected, _, _) = row;
        self.number += 1;
        let name = format!("user/bob/box{}", self.number);
        let shown = format!("\"Other Users/bob/box{}\"", self.number);
        self.server.create(&name).await;
        self.server.put(&name, short("x")).await;
        if command.contains("src%N") {
            let source = format!("user/bob/src{}", self.number);
            self.server.create(&source).await;
            self.server.allow(&source, "carol", "x").await;
        }
        match selected {
            Selected::Nothing => {}
            Selected::Own => {
                self.server.put("user/carol", short("x")).await;
                self.carol.select("INBOX").await;
            }
            Selected::It => {
                // What is selected stays so when rights are taken.
                let before = if rights.contains('r') { rights } else { "r" };
                self.server.allow(&name, "carol", before).await;
                self.carol.select(&shown[1..shown.len() - 1]).await;
            }
        }
        self.server.allow(&name, "carol", rights).await;
        let mut command = command.replace("%N", &self.number.to_string());
        // What follows the mailbox's name belongs into its quotes.
        if let Some((before, after)) = command.split_once("%M/") {
            command = format!("{before}{}/{after}\"", &shown[..shown.len() - 1]);
        }
        let mut lines = self.carol.ask(&command.replace("%M", &shown)).await;
        let completion = lines.pop().unwrap();
        let closed = self.carol.ask("UNSELECT").await.pop().unwrap();
        let selects = command.starts_with("SELECT") || command.starts_with("EXAMINE");
        let closes = command == "CLOSE" || command == "UNSELECT";
        if selected != Selected::Nothing && !closes && !selects {
            assert!(closed.starts_with("OK "), "{command}: {closed}");
        }
        completion
    }
}

fn without(rights: &str, letter: char) -> String {
    rights.chars().filter(|l| *l != letter).collect()
}

#[tokio::test]
async fn all_rights_but_one() {
    let mut matrix = Matrix::start().await;
    for row in TABLE {
        let (command, _, needs, missing) = *row;
        let all = matrix.play(*row, LETTERS).await;
        assert!(all.starts_with("OK "), "{command}: {all}");
        for letter in LETTERS.chars() {
            let answer = matrix.play(*row, &without(LETTERS, letter)).await;
            let wanted = match (needs.contains(letter), missing) {
                (false, _) => "OK ",
                (true, Missing::NonExistent) => "NO [NONEXISTENT] ",
                (true, _) => "NO [NOPERM] ",
            };
            assert!(
                answer.starts_with(wanted),
                "all but {letter}, {command}: wanted {wanted}, got {answer}"
            );
        }
    }
}

#[tokio::test]
async fn exactly_what_is_needed() {
    let mut matrix = Matrix::start().await;
    for row in TABLE {
        let (command, selected, needs, missing) = *row;
        let answer = matrix.play(*row, needs).await;
        assert!(answer.starts_with("OK "), "{needs}, {command}: {answer}");
        for letter in needs.chars() {
            let few = without(needs, letter);
            let answer = matrix.play(*row, &few).await;
            let wanted = match missing {
                Missing::NoPerm => "NO [NOPERM] ",
                Missing::Hidden | Missing::NonExistent => "NO [NONEXISTENT] ",
                Missing::TryCreate => "NO [TRYCREATE] ",
            };
            assert!(
                answer.starts_with(wanted),
                "{few:?}, {command}: wanted {wanted}, got {answer}"
            );
            if selected == Selected::It || !few.is_empty() || command.contains("src%N") {
                continue;
            }
            // It says the same where nothing is, not even the user.
            if selected == Selected::Own {
                matrix.carol.select("INBOX").await;
            }
            let command = command.replace("%N", &matrix.number.to_string());
            let nowhere = match command.contains("%M/") {
                true => command.replace("%M/", "\"Other Users/nobody/x/") + "\"",
                false => command.replace("%M", "\"Other Users/nobody/x\""),
            };
            let nothing = matrix.carol.ask(&nowhere).await.pop().unwrap();
            matrix.carol.ask("UNSELECT").await;
            assert_eq!(answer, nothing, "{command}");
        }
    }
}

#[tokio::test]
async fn any_of_some_is_enough_for_myrights() {
    let mut matrix = Matrix::start().await;
    let row: Row = ("MYRIGHTS %M", Selected::Nothing, "", Missing::Hidden);
    for letter in LETTERS.chars() {
        let answer = matrix.play(row, &letter.to_string()).await;
        let wanted = match "lrikxa".contains(letter) {
            true => "OK ",
            false => "NO [NONEXISTENT] ",
        };
        assert!(answer.starts_with(wanted), "{letter}: {answer}");
    }
}

/// RFC 5464 section 3.3: `l`, and one of `r`, `s`, `w`, `i`, `p`.
#[tokio::test]
async fn annotations_need_two_rights() {
    let mut matrix = Matrix::start().await;
    for command in [
        "GETMETADATA %M /shared/comment",
        "SETMETADATA %M (/private/comment \"mine\")",
        "SETMETADATA %M (/shared/comment \"ours\")",
    ] {
        let row: Row = (command, Selected::Nothing, "", Missing::Hidden);
        for letter in LETTERS.chars() {
            let wanted = match "rswip".contains(letter) {
                true => "OK ",
                false => "NO [NOPERM] ",
            };
            let answer = matrix.play(row, &format!("l{letter}")).await;
            assert!(answer.starts_with(wanted), "l{letter}, {command}: {answer}");
            let alone = matrix.play(row, &letter.to_string()).await;
            let wanted = match letter {
                'l' => "NO [NOPERM] ",
                _ => "NO [NONEXISTENT] ",
            };
            assert!(alone.starts_with(wanted), "{letter}, {command}: {alone}");
            let all = matrix.play(row, &without(LETTERS, letter)).await;
            let wanted = match letter {
                'l' => "NO [NONEXISTENT] ",
                _ => "OK ",
            };
            assert!(
                all.starts_with(wanted),
                "all but {letter}, {command}: {all}"
            );
        }
    }
}

#[tokio::test]
async fn lists_show_what_may_be_looked_up() {
    let server = Server::start();
    server.create("user/bob").await;
    server.create("user/bob/a").await;
    server.create("user/bob/a/b").await;
    server.allow("user/bob/a/b", "carol", "l").await;
    let mut carol = server.login("carol").await;
    let box_of_bob = "\"Other Users/bob/a\"";
    server.allow("user/bob/a", "carol", "l").await;
    carol.ask(&format!("SUBSCRIBE {box_of_bob}")).await;
    for letter in LETTERS.chars() {
        for (rights, visible) in [
            (letter.to_string(), letter == 'l'),
            (without(LETTERS, letter), letter != 'l'),
        ] {
            server.allow("user/bob/a", "carol", &rights).await;
            let list = carol
                .ask("LIST \"\" \"Other Users/*\" RETURN (STATUS (MESSAGES) MYRIGHTS)")
                .await;
            let shown = list.iter().any(|line| line.ends_with(box_of_bob));
            assert_eq!(shown, visible, "{rights}: {list:?}");
            let status = list
                .iter()
                .any(|line| line.starts_with(&format!("* STATUS {box_of_bob} ")));
            assert_eq!(
                status,
                visible && rights.contains('r'),
                "{rights}: {list:?}"
            );
            let rights_told = list
                .iter()
                .any(|line| line.starts_with(&format!("* MYRIGHTS {box_of_bob} ")));
            assert_eq!(rights_told, visible, "{rights}: {list:?}");
            // As if it did not exist, but what is below it does.
            let percent = carol.ask("LIST \"\" \"Other Users/bob/%\"").await;
            let attributes = match visible {
                true => "* LIST (\\HasChildren)",
                false => "* LIST (\\Noselect \\HasChildren)",
            };
            assert_eq!(percent[0], format!("{attributes} \"/\" {box_of_bob}"));
            // What is subscribed is told, whatever has become of it.
            let lsub = carol.ask("LSUB \"\" *").await;
            assert_eq!(lsub[0], format!("* LSUB () \"/\" {box_of_bob}"));
        }
    }
}

/// What stays of all flags with each right: `s` keeps `\Seen`, `t` `\Deleted`, `w` the others.
const KEPT: [(&str, &str); 5] = [
    ("", ""),
    ("s", "\\Seen"),
    ("t", "\\Deleted"),
    ("w", "\\Answered \\Flagged \\Draft kw"),
    ("swt", "\\Answered \\Flagged \\Deleted \\Seen \\Draft kw"),
];

/// The flags of the last message, without `\Recent`.
async fn last_flags(client: &mut Client, mailbox: &str) -> String {
    client.select(mailbox).await;
    let lines = client.ask("FETCH * (FLAGS)").await;
    let flags = lines[0].split_once("(FLAGS (").unwrap().1;
    let flags = flags.trim_end_matches(')').replace("\\Recent", "");
    client.ask("UNSELECT").await;
    flags.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn full() -> AppendMessage {
    let mut full = message(short("x"));
    full.flags = Flags::ALL;
    full.keywords = vec!["kw".into()];
    full
}

/// RFC 4314 section 4, "Copying or appending messages" and its example.
#[tokio::test]
async fn flags_that_may_not_be_set_are_left_out() {
    let server = Server::start();
    server.create("user/bob").await;
    let mut carol = server.login("carol").await;
    let flags = "(\\Seen \\Deleted \\Answered \\Flagged \\Draft kw)";
    let bobs = "Other Users/bob";
    for (rights, kept) in KEPT {
        let commands = [
            format!("APPEND \"{bobs}\" {flags} {{5+}}\r\nhello"),
            format!("COPY * \"{bobs}\""),
            format!("MOVE * \"{bobs}\""),
            format!("REPLACE * \"{bobs}\" {flags} {{5+}}\r\nhello"),
        ];
        for command in commands {
            server.put_message("user/carol", full()).await;
            server
                .allow("user/bob", "carol", &format!("i{rights}"))
                .await;
            carol.select("INBOX").await;
            let answer = carol.ask(&command).await.pop().unwrap();
            assert!(answer.starts_with("OK "), "{rights}, {command}: {answer}");
            server.allow("user/bob", "carol", "r").await;
            let got = last_flags(&mut carol, bobs).await;
            assert_eq!(got, kept, "{rights}, {command}");
        }
    }
}

/// "STORE operation SHOULD NOT fail if the user has rights to modify at least one flag".
#[tokio::test]
async fn store_changes_what_it_may() {
    let server = Server::start();
    server.create("user/bob").await;
    let mut carol = server.login("carol").await;
    let flags = "(\\Seen \\Deleted \\Answered \\Flagged \\Draft kw)";
    let bobs = "Other Users/bob";
    for (rights, kept) in KEPT {
        for mode in ["+FLAGS", "FLAGS"] {
            server.put("user/bob", short("x")).await;
            let rights = format!("r{rights}");
            server.allow("user/bob", "carol", &rights).await;
            carol.select(bobs).await;
            let answer = carol.ask(&format!("STORE * {mode} {flags}")).await;
            let wanted = if kept.is_empty() {
                "NO [NOPERM] "
            } else {
                "OK "
            };
            let answer = answer.last().unwrap();
            assert!(answer.starts_with(wanted), "{rights}: {answer}");
            assert_eq!(last_flags(&mut carol, bobs).await, kept, "{rights} {mode}");
        }
        // And takes away.
        server.put_message("user/bob", full()).await;
        server.allow("user/bob", "carol", "rs").await;
        carol.select(bobs).await;
        carol.ask("STORE * +FLAGS (\\Seen)").await;
        server
            .allow("user/bob", "carol", &format!("r{rights}"))
            .await;
        carol.ask(&format!("STORE * -FLAGS {flags}")).await;
        let left = last_flags(&mut carol, bobs).await;
        for flag in flags.trim_matches(['(', ')']).split(' ') {
            let taken = kept.split(' ').any(|word| word == flag);
            let there = left.split(' ').any(|word| word == flag);
            assert_eq!(there, !taken, "{rights}: {left}");
        }
    }
}

#[tokio::test]
async fn fetch_marks_as_seen_with_s() {
    let mut matrix = Matrix::start().await;
    for (rights, flags) in [("r", ""), ("rwit", ""), ("rs", "\\Seen")] {
        for item in ["BODY[]", "RFC822", "BODY[TEXT]", "BINARY[]"] {
            let name = format!("user/bob/{item}{rights}").replace(['[', ']'], "");
            matrix.server.create(&name).await;
            matrix.server.put(&name, short("x")).await;
            matrix.server.allow(&name, "carol", rights).await;
            let shown = name.replace("user/", "Other Users/");
            matrix.carol.select(&shown).await;
            let (_, answer) = matrix.carol.get(&format!("FETCH 1 {item}")).await;
            assert!(answer.starts_with("OK "), "{item}: {answer}");
            assert_eq!(last_flags(&mut matrix.carol, &shown).await, flags, "{item}");
        }
    }
}

#[tokio::test]
async fn close_expunges_with_e_and_is_ok_without() {
    let server = Server::start();
    server.create("user/bob").await;
    let mut carol = server.login("carol").await;
    for (rights, left) in [("r", 1), ("rt", 1), ("re", 0)] {
        for command in ["CLOSE", "EXPUNGE"] {
            if server.messages("user/bob").await == 0 {
                server.put_message("user/bob", full()).await;
            }
            server.allow("user/bob", "carol", rights).await;
            carol.select("Other Users/bob").await;
            let answer = carol.ask(command).await.pop().unwrap();
            let wanted = match command == "CLOSE" || left == 0 {
                true => "OK ",
                false => "NO [NOPERM] ",
            };
            assert!(answer.starts_with(wanted), "{rights} {command}: {answer}");
            assert_eq!(
                server.messages("user/bob").await,
                left,
                "{rights} {command}"
            );
        }
    }
}

/// RFC 4314 sections 5.1.1 and 5.2. `\Seen` is each user's own, so that it is the owner's alone
/// that makes a mailbox writable.
#[tokio::test]
async fn select_tells_what_may_be_changed() {
    let server = Server::start();
    server.create("user/bob").await;
    let mut carol = server.login("carol").await;
    let mut bob = server.login("bob").await;
    for letter in LETTERS.chars() {
        let rights = format!("r{letter}");
        let flags = match letter {
            's' => "\\Seen",
            't' => "\\Deleted",
            'w' => "\\Answered \\Flagged \\Draft \\*",
            _ => "",
        };
        for (who, writable) in [("carol", "iwte"), ("bob", "iwtes")] {
            server.allow("user/bob", who, &rights).await;
            let (client, name) = match who {
                "bob" => (&mut bob, "INBOX"),
                _ => (&mut carol, "\"Other Users/bob\""),
            };
            for command in ["SELECT", "EXAMINE"] {
                let lines = client.ask(&format!("{command} {name}")).await;
                let permanent = match command {
                    "SELECT" => format!("* OK [PERMANENTFLAGS ({flags})] "),
                    _ => "* OK [PERMANENTFLAGS ()] ".to_owned(),
                };
                assert!(
                    lines.iter().any(|line| line.starts_with(&permanent)),
                    "{who} {rights} {command}: {lines:?}"
                );
                let mode = match command == "SELECT" && writable.contains(letter) {
                    true => "OK [READ-WRITE] ",
                    false => "OK [READ-ONLY] ",
                };
                let completion = lines.last().unwrap();
                assert!(completion.starts_with(mode), "{who} {rights}: {completion}");
            }
        }
    }
}

/// What was examined is not changed, whatever the rights.
#[tokio::test]
async fn an_examined_mailbox_stays_as_it_is() {
    let server = Server::start();
    server.create("user/bob").await;
    server.put_message("user/bob", full()).await;
    let mut bob = server.login("bob").await;
    bob.ask("EXAMINE INBOX").await;
    for command in [
        "STORE 1 FLAGS ()",
        "EXPUNGE",
        "UID EXPUNGE 1:*",
        "MOVE 1 INBOX",
        "REPLACE 1 INBOX {5+}\r\nhello",
    ] {
        let answer = bob.ask(command).await.pop().unwrap();
        assert!(answer.starts_with("NO [READ-ONLY] "), "{command}: {answer}");
    }
    let answer = bob.ask("FETCH 1 BODY[]").await.pop().unwrap();
    assert!(answer.starts_with("OK "), "{answer}");
    let answer = bob.ask("CLOSE").await;
    assert_eq!(answer, ["OK CLOSE completed"]);
    assert_eq!(server.messages("user/bob").await, 1);
}

#[tokio::test]
async fn identifiers_add_up_and_negative_ones_win() {
    let server = Server::start();
    server.create("user/bob").await;
    let mut carol = server.login("carol").await;
    for (acl, rights) in [
        (&[("anyone", "lr")][..], "lr"),
        (&[("group:staff", "lrs")], "lrs"),
        (&[("group:others", "lrs"), ("carol", "l")], "l"),
        (
            &[("anyone", "l"), ("group:staff", "r"), ("carol", "i")],
            "lri",
        ),
        (&[("anyone", "lrswi"), ("-carol", "wi")], "lrs"),
        (&[("carol", "lrswi"), ("-group:staff", "s")], "lrwi"),
        (&[("carol", "lrswi"), ("-anyone", "rswi")], "l"),
        (&[("carol", "lr"), ("-group:others", "lr")], "lr"),
        (&[("carol", "lr"), ("-dave", "lr")], "lr"),
        (&[("carol", "lkx"), ("-carol", "x")], "lkc"),
    ] {
        for (identifier, given) in acl {
            server.allow("user/bob", identifier, given).await;
        }
        let lines = carol.ask("MYRIGHTS \"Other Users/bob\"").await;
        let wanted = format!("* MYRIGHTS \"Other Users/bob\" {rights}");
        assert_eq!(lines[0], wanted, "{acl:?}");
        for (identifier, _) in acl {
            server.allow("user/bob", identifier, "").await;
        }
    }
    // Nothing left is nothing there.
    server.allow("user/bob", "anyone", "lr").await;
    server.allow("user/bob", "-carol", "lr").await;
    let lines = carol.ask("SELECT \"Other Users/bob\"").await;
    assert_eq!(lines, ["NO [NONEXISTENT] Mailbox does not exist"]);
}

#[tokio::test]
async fn owners_and_administrators_cannot_lock_themselves_out() {
    let server = Server::start();
    let mut bob = server.login("bob").await;
    bob.play(
        "C: a SETACL INBOX -bob lrswipkxtean
         S: a OK …
         C: b DELETEACL INBOX bob
         S: b OK …
         C: c MYRIGHTS INBOX
         S: * MYRIGHTS \"INBOX\" la
         S: c OK …
         C: d SELECT INBOX
         S: d NO [NOPERM] …
         C: e CREATE INBOX/x
         S: e NO [NOPERM] …
         C: f GETACL INBOX
         S: * ACL \"INBOX\" bob la -bob lrswipkxteancd
         S: f OK …
         C: g DELETEACL INBOX -bob
         S: g OK …
         C: h SETACL INBOX bob lrswipkxtean
         S: h OK …
         C: i STATUS INBOX (MESSAGES)
         S: * STATUS \"INBOX\" (MESSAGES 0)
         S: i OK …",
    )
    .await;
    let mut admin = server.login("admin").await;
    admin
        .play(
            "C: a MYRIGHTS \"Other Users/bob\"
             S: * MYRIGHTS \"Other Users/bob\" lkxac
             S: a OK …
             C: b SELECT \"Other Users/bob\"
             S: b NO [NOPERM] …
             C: c APPEND \"Other Users/bob\" {1+}
             C: x
             S: c NO [NOPERM] …
             C: d CREATE \"Other Users/bob/made\"
             S: d OK …
             C: e SETACL \"Other Users/bob/made\" admin lr
             S: e OK …
             C: f SELECT user/bob/made
             S: * FLAGS …
             S: * OK [PERMANENTFLAGS ()] …
             S: * 0 EXISTS
             S: * 0 RECENT
             S: * OK [UIDVALIDITY …] …
             S: * OK [UIDNEXT 1] …
             S: * OK [HIGHESTMODSEQ …] …
             S: * OK [MAILBOXID …] …
             S: f OK [READ-ONLY] …
             C: g DELETE \"Other Users/bob/made\"
             S: g OK …",
        )
        .await;
}

/// RFC 4314 section 2.1.1: `c` is `k` and `x`, `d` is `t` and `e`, here also alone.
#[tokio::test]
async fn the_old_rights_stand_for_new_ones() {
    let server = Server::start();
    let mut bob = server.login("bob").await;
    let mut carol = server.login("carol").await;
    bob.play(
        "C: a CREATE box
         S: a OK …
         C: b SETACL box carol lrcd
         S: b OK …
         C: c GETACL box
         S: * ACL \"box\" bob lrswipkxteancd carol lrkxtecd
         S: c OK …
         C: d SETACL box carol -d
         S: d OK …
         C: e SETACL box carol -k
         S: e OK …
         C: f GETACL box
         S: * ACL \"box\" bob lrswipkxteancd carol lrxc
         S: f OK …
         C: g SETACL box carol -c
         S: g OK …
         C: h SETACL box carol +d
         S: h OK …
         C: i GETACL box
         S: * ACL \"box\" bob lrswipkxteancd carol lrted
         S: i OK …",
    )
    .await;
    server.put_message("user/bob/box", full()).await;
    carol.select("Other Users/bob/box").await;
    carol
        .play(
            "C: a EXPUNGE
             S: * 1 EXPUNGE
             S: a OK …
             C: b DELETE \"Other Users/bob/box\"
             S: b NO [NOPERM] …",
        )
        .await;
    bob.ask("SETACL box carol c").await;
    carol
        .play(
            "C: a CREATE \"Other Users/bob/box/child\"
             S: a OK …
             C: b DELETE \"Other Users/bob/box/child\"
             S: b OK …",
        )
        .await;
}

/// Every letter is a right, and all of them are told apart.
#[test]
fn the_table_knows_every_right() {
    assert_eq!(LETTERS.parse::<Rights>().unwrap(), Rights::ALL);
    let used: String = TABLE.iter().map(|row| row.2).collect();
    let never: String = LETTERS.chars().filter(|l| !used.contains(*l)).collect();
    // `p` is for deliveries, and there are no shared annotations.
    assert_eq!(never, "pn");
}
