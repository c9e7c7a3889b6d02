//! Who may do what ends when it ends: accounts, passwords, groups, the administrators' flag, and
//! an operator's word.

use murder_location::UserUpdate;
use murder_testkit::{ImapClient, Murder, Pop3Client, Status, wait_until};

use crate::operator::{done, refused, told};
use crate::{Tested, message};

const ADMIN: &str = "admin";
/// user1's mailbox for the group.
const SHARED: &str = "Other Users/user1/Work";

/// The last word of a session, which has ended.
async fn last_word(client: &mut ImapClient) -> anyhow::Result<String> {
    let replies = client.read_to_end().await?;
    let last = replies.last().map(|reply| reply.text());
    last.ok_or_else(|| anyhow::anyhow!("no last word"))
}

async fn acting(
    murder: &Murder,
    address: std::net::SocketAddr,
    user: &str,
) -> anyhow::Result<ImapClient> {
    let mut client = ImapClient::connect(address).await?;
    let answer = client.authenticate_plain(user, ADMIN, murder.password());
    assert_eq!(answer.await?.status, Status::Ok);
    Ok(client)
}

/// Sessions of a user at every door; `home` is the backend with the INBOX.
struct Doors {
    imap: Vec<(&'static str, ImapClient)>,
    pop3: Pop3Client,
    /// An administrator's who acts for the user.
    acting: Vec<(&'static str, ImapClient)>,
}

impl Doors {
    async fn open(murder: &Murder, user: &str, home: usize) -> anyhow::Result<Self> {
        let mut imap = vec![
            ("frontend", murder.imap(1, user).await?),
            ("frontend, selected", murder.imap(2, user).await?),
            ("frontend, idle", murder.imap(1, user).await?),
            ("frontend, selected and idle", murder.imap(2, user).await?),
            ("backend", murder.imap_at_backend(home, user).await?),
            ("backend, idle", murder.imap_at_backend(home, user).await?),
            (
                "backend, selected and idle",
                murder.imap_at_backend(home, user).await?,
            ),
        ];
        for (door, client) in &mut imap {
            if door.contains("selected") {
                client.select("INBOX").await?;
            }
            if door.contains("idle") {
                client.idle().await?;
            }
        }
        let (frontend, backend) = (murder.frontend(1).imap, murder.backend(home).imap);
        let mut acting = vec![
            (
                "frontend, by an administrator",
                acting(murder, frontend, user).await?,
            ),
            (
                "backend, by an administrator",
                acting(murder, backend, user).await?,
            ),
        ];
        for (_, client) in &mut acting {
            client.select("INBOX").await?;
        }
        let pop3 = murder.pop3(home, user).await?;
        Ok(Self { imap, pop3, acting })
    }

    /// Those that the user has opened end with this word.
    async fn end(&mut self, word: &str) -> Tested {
        for (door, client) in &mut self.imap {
            let last = last_word(client).await?;
            assert!(
                last.contains("BYE") && last.contains(word),
                "{door}: {last}"
            );
        }
        let last = self.pop3.line().await?;
        assert!(
            last.starts_with("-ERR [AUTH]") && last.contains(word),
            "{last}"
        );
        Ok(())
    }

    async fn acting_end(&mut self, word: &str) -> Tested {
        for (door, client) in &mut self.acting {
            let last = last_word(client).await?;
            assert!(
                last.contains("BYE") && last.contains(word),
                "{door}: {last}"
            );
        }
        Ok(())
    }
}

/// The backend with a user's INBOX.
async fn home_of(murder: &Murder, user: &str) -> anyhow::Result<usize> {
    let mut client = murder.imap_at_backend(1, user).await?;
    match client.command("STATUS INBOX (UIDNEXT)").await?.status {
        Status::Ok => Ok(1),
        _ => Ok(2),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_end_with_their_account_at_every_door() -> Tested {
    let murder = Murder::builder().users(4).start().await?;
    let mut other = murder.imap(1, "user4").await?;
    other.select("INBOX").await?;

    let home = home_of(&murder, "user1").await?;
    let mut doors = Doors::open(&murder, "user1", home).await?;
    done(&murder, &["user", "disable", "user1"]).await?;
    doors.end("disabled").await?;
    doors.acting_end("disabled").await?;

    let home = home_of(&murder, "user2").await?;
    let mut doors = Doors::open(&murder, "user2", home).await?;
    done(&murder, &["user", "passwd", "user2", "--password", "fresh"]).await?;
    doors.end("password was changed").await?;
    // That is not the password that these were opened with.
    for (_, client) in &mut doors.acting {
        client.ok("NOOP").await?;
    }
    done(&murder, &["user", "delete", "user2"]).await?;
    doors.acting_end("deleted").await?;

    let home = home_of(&murder, "user3").await?;
    let mut doors = Doors::open(&murder, "user3", home).await?;
    done(&murder, &["user", "delete", "user3"]).await?;
    doors.end("deleted").await?;
    doors.acting_end("deleted").await?;

    other.ok("NOOP").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_under_way_keeps_no_session_open() -> Tested {
    let murder = Murder::start().await?;
    let home = home_of(&murder, "user1").await?;
    let body = vec![b'x'; 16 << 20];
    let mut client = murder.imap(1, "user1").await?;
    client.append("INBOX", "", &body).await?;
    let mut open = Vec::new();
    for _ in 0..2 {
        for door in ["frontend", "backend"] {
            open.push(match door {
                "frontend" => (door, murder.imap(1, "user1").await?),
                _ => (door, murder.imap_at_backend(home, "user1").await?),
            });
        }
    }
    // Half a message, and a large one of which nothing is read.
    for (_, client) in &mut open[..2] {
        client.send_raw(b"a APPEND INBOX {1000+}\r\nhalf").await?;
    }
    for (_, client) in &mut open[2..] {
        client.select("INBOX").await?;
        client.send("FETCH 1 BODY.PEEK[]").await?;
    }
    done(&murder, &["user", "disable", "user1"]).await?;
    wait_until("all sessions have ended", async || {
        let left = told(&murder, &["who", "--user", "user1"]).await.ok()?;
        left.as_array()?.is_empty().then_some(())
    })
    .await?;
    for (door, client) in &mut open {
        // The end, or a connection that was reset with half a message in it.
        if let Ok(replies) = client.read_to_end().await {
            let whole = replies
                .iter()
                .any(|reply| reply.text().contains(" OK FETCH"));
            assert!(!whole, "{door}");
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_no_administrator_any_more_acts_for_nobody() -> Tested {
    let murder = Murder::start().await?;
    let mut user = murder.imap(1, "user1").await?;
    let mut ending = vec![
        murder.imap(1, ADMIN).await?,
        murder.imap_at_backend(1, ADMIN).await?,
        acting(&murder, murder.frontend(1).imap, "user1").await?,
        acting(&murder, murder.backend(1).imap, "user1").await?,
    ];
    let admin = |admin| UserUpdate {
        admin: Some(admin),
        ..UserUpdate::default()
    };
    murder.operator().update_user(ADMIN, admin(false)).await?;
    for client in &mut ending {
        let last = last_word(client).await?;
        assert!(last.contains("rights of the account"), "{last}");
    }
    user.ok("NOOP").await?;
    let mut client = ImapClient::connect(murder.frontend(1).imap).await?;
    let answer = client.authenticate_plain("user1", ADMIN, murder.password());
    assert_eq!(answer.await?.status, Status::No);
    Ok(())
}

/// user1's Work is the group's, with a message in it.
async fn of_a_group(murder: &Murder) -> anyhow::Result<ImapClient> {
    let mut owner = murder.imap(1, "user1").await?;
    owner.ok("CREATE Work").await?;
    owner.append("Work", "", &message("one")).await?;
    owner.ok("SETACL Work group:staff lrswi").await?;
    Ok(owner)
}

async fn put_into(murder: &Murder, user: &str, groups: &[&str]) -> Tested {
    let update = UserUpdate {
        groups: Some(groups.iter().map(|group| (*group).to_owned()).collect()),
        ..UserUpdate::default()
    };
    murder.operator().update_user(user, update).await?;
    Ok(())
}

async fn sees(client: &mut ImapClient) -> anyhow::Result<bool> {
    Ok(!client.list(SHARED).await?.is_empty())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_group_gives_begins_and_ends_with_it() -> Tested {
    let murder = Murder::start().await?;
    let _owner = of_a_group(&murder).await?;
    let mut client = murder.imap(2, "user2").await?;
    // A connection to the backend of Work is in the pool, of somebody in no group.
    client
        .no(&format!("SELECT \"{SHARED}\""), "NONEXISTENT")
        .await?;
    let mut selected = murder.imap(2, "user2").await?;
    selected.select("INBOX").await?;
    let mut direct = murder.imap_at_backend(1, "user2").await?;

    for _ in 0..5 {
        put_into(&murder, "user2", &["staff"]).await?;
        wait_until("LIST shows the group's mailbox", async || {
            sees(&mut client).await.ok()?.then_some(())
        })
        .await?;
        // What LIST shows can be used, on whichever connection.
        client.select(SHARED).await?;
        client.uid_fetch("1", "(FLAGS)").await?;
        if sees(&mut selected).await? {
            selected.select(SHARED).await?;
        }
        let mut fresh = murder.imap(2, "user2").await?;
        fresh.ok(&format!("STATUS \"{SHARED}\" (MESSAGES)")).await?;
        fresh.logout().await?;
        wait_until("the group is known at the backend", async || {
            let answer = direct.command(&format!("SELECT \"{SHARED}\"")).await.ok()?;
            (answer.status == Status::Ok).then_some(())
        })
        .await?;

        put_into(&murder, "user2", &[]).await?;
        for open in [&mut client, &mut direct] {
            wait_until("FETCH is refused in the selected mailbox", async || {
                let answer = open.command("UID FETCH 1 (BODY.PEEK[])").await.ok()?;
                (answer.status == Status::No && answer.untagged.is_empty()).then_some(())
            })
            .await?;
            open.ok("UNSELECT").await?;
            assert!(!sees(open).await?);
            open.no(&format!("SELECT \"{SHARED}\""), "NONEXISTENT")
                .await?;
        }
        // Nor does a new session get it with a connection that another has left.
        let mut fresh = murder.imap(2, "user2").await?;
        fresh
            .no(&format!("SELECT \"{SHARED}\""), "NONEXISTENT")
            .await?;
        fresh.logout().await?;
        selected.select("INBOX").await?;
    }
    Ok(())
}

/// Whoever waits in the mailbox of a group that they have left hears nothing more of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_that_was_left_is_silent() -> Tested {
    let murder = Murder::start().await?;
    let mut owner = of_a_group(&murder).await?;
    put_into(&murder, "user2", &["staff"]).await?;
    let mut waiting = [
        murder.imap(2, "user2").await?,
        murder.imap_at_backend(1, "user2").await?,
    ];
    for client in &mut waiting {
        wait_until("the group is known", async || {
            let answer = client.command(&format!("SELECT \"{SHARED}\"")).await.ok()?;
            (answer.status == Status::Ok).then_some(())
        })
        .await?;
    }
    let mut probe = murder.imap_at_backend(1, "user2").await?;
    let mut tags = Vec::new();
    for client in &mut waiting {
        tags.push(client.idle().await?);
    }
    put_into(&murder, "user2", &[]).await?;
    wait_until("the backend knows that the group was left", async || {
        let status = format!("STATUS \"{SHARED}\" (MESSAGES)");
        let answer = probe.command(&status).await.ok()?;
        (answer.status == Status::No).then_some(())
    })
    .await?;
    owner.append("Work", "", &message("two")).await?;
    for (client, tag) in waiting.iter_mut().zip(tags) {
        let idle = client.done(&tag).await?;
        let noop = client.ok("NOOP").await?;
        for answer in [idle, noop] {
            let news: Vec<_> = answer.untagged.iter().map(|reply| reply.text()).collect();
            assert!(news.is_empty(), "{news:?}");
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_administrators_flag_stays_in_no_connection() -> Tested {
    let murder = Murder::start().await?;
    let flag = |admin| UserUpdate {
        admin: Some(admin),
        ..UserUpdate::default()
    };
    let rights = "MYRIGHTS \"Other Users/user1\"";
    let mut client = murder.imap(1, "user2").await?;
    client.no(rights, "NONEXISTENT").await?;
    for _ in 0..3 {
        murder.operator().update_user("user2", flag(true)).await?;
        assert!(last_word(&mut client).await?.contains("log in again"));
        let mut administrator = murder.imap(1, "user2").await?;
        administrator.ok(rights).await?;
        murder.operator().update_user("user2", flag(false)).await?;
        assert!(
            last_word(&mut administrator)
                .await?
                .contains("log in again")
        );
        client = murder.imap(1, "user2").await?;
        client.no(rights, "NONEXISTENT").await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operators_see_and_end_sessions() -> Tested {
    let murder = Murder::start().await?;
    let mut own = murder.imap(1, "user1").await?;
    own.select("INBOX").await?;
    own.idle().await?;
    let mut direct = murder.pop3(1, "user1").await?;
    let mut acting = acting(&murder, murder.frontend(2).imap, "user1").await?;
    let mut other = murder.imap(1, "user2").await?;

    let all = told(&murder, &["who"]).await?;
    let text = |of: &serde_json::Value, key: &str| of[key].as_str().unwrap().to_owned();
    let mut seen: Vec<_> = all
        .as_array()
        .unwrap()
        .iter()
        .map(|one| ["node", "user", "authenticated", "protocol"].map(|key| text(one, key)))
        .collect();
    seen.sort();
    let shown = |words: [&str; 4]| words.map(str::to_owned);
    // The frontends' connections to backends are no sessions of their own.
    assert_eq!(
        seen,
        [
            shown(["be1", "user1", "user1", "pop3"]),
            shown(["fe1", "user1", "user1", "imap"]),
            shown(["fe1", "user2", "user2", "imap"]),
            shown(["fe2", "user1", ADMIN, "imap"]),
        ]
    );
    let mailboxes = |all: &serde_json::Value| {
        let mut shown: Vec<_> = all.as_array().unwrap().iter().collect();
        shown.retain(|one| one["mailbox"] != "");
        let shown = shown
            .iter()
            .map(|one| ["node", "mailbox"].map(|key| text(one, key)));
        shown.collect::<Vec<_>>()
    };
    assert_eq!(mailboxes(&all), [["fe1", "user/user1"].map(str::to_owned)]);
    let mut at_backend = murder.imap_at_backend(1, "user1").await?;
    at_backend.ok("CREATE Box").await?;
    for (command, mailbox) in [
        ("SELECT Box", "user/user1/Box"),
        ("EXAMINE INBOX", "user/user1"),
    ] {
        at_backend.ok(command).await?;
        let here = told(&murder, &["who", "--node", "be1"]).await?;
        assert_eq!(mailboxes(&here), [["be1", mailbox].map(str::to_owned)]);
    }
    at_backend.ok("UNSELECT").await?;
    let here = told(&murder, &["who", "--node", "be1"]).await?;
    assert!(mailboxes(&here).is_empty(), "{here}");
    at_backend.ok("LOGOUT").await?;
    let table = done(&murder, &["who", "--user", ADMIN, "--node", "fe2"]).await?;
    assert_eq!(table.lines().count(), 2, "{table}");

    let of_admin = told(&murder, &["who", "--user", ADMIN]).await?;
    let session = text(&of_admin[0], "session");
    done(&murder, &["kick", "--session", &session]).await?;
    assert!(
        last_word(&mut acting)
            .await?
            .contains("BYE The session was ended")
    );
    let why = refused(&murder, &["kick", "--session", &session]).await?;
    assert!(why.contains("no session"), "{why}");

    let ended = told(&murder, &["kick", "user1"]).await?;
    assert_eq!(ended["ended"], 2);
    assert!(
        last_word(&mut own)
            .await?
            .contains("BYE The session was ended")
    );
    let last = direct.line().await?;
    assert!(
        last.starts_with("-ERR [SYS/TEMP] The session was ended"),
        "{last}"
    );
    // They may come back.
    murder.imap(1, "user1").await?.select("INBOX").await?;
    other.ok("NOOP").await?;
    let why = refused(&murder, &["who", "--node", "mu1"]).await?;
    assert!(why.contains("no node mu1"), "{why}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_cut_off_lets_nobody_log_in_in_time() -> Tested {
    let mut murder = Murder::builder()
        .mupdate_setting("max_authority_age_seconds = 5")
        .start()
        .await?;
    let mut open = murder.imap(1, "user1").await?;
    open.select("INBOX").await?;
    murder.kill_master().await;
    let login = format!("LOGIN user1 {}", murder.password());
    for address in [murder.frontend(1).imap, murder.backend(1).imap] {
        wait_until("the accounts are out of date", async || {
            let mut client = ImapClient::connect(address).await.ok()?;
            let answer = client.command(&login).await.ok()?;
            answer
                .tagged
                .text()
                .contains("[UNAVAILABLE] The accounts are out of date")
                .then_some(())
        })
        .await?;
    }
    let mut pop3 = Pop3Client::connect(murder.backend(1).pop3).await?;
    pop3.ok("USER user1").await?;
    let why = pop3.err(&format!("PASS {}", murder.password())).await?;
    assert!(
        why.contains("[SYS/TEMP] The accounts are out of date"),
        "{why}"
    );
    // Who is there stays.
    open.ok("NOOP").await?;
    murder.start_master().await?;
    for address in [murder.frontend(1).imap, murder.backend(1).imap] {
        wait_until("the master is heard", async || {
            let mut client = ImapClient::connect(address).await.ok()?;
            client.ok(&login).await.ok()
        })
        .await?;
    }
    Ok(())
}
