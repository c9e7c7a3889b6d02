//! A backend that is down takes its own mailboxes away and nothing else.

use std::time::{Duration, Instant};

use murder_testkit::{ImapClient, Murder, Processes, Status, wait_until};

use crate::{MURDER, Tested, message};

/// What a node that does not answer may keep somebody waiting: 5 seconds by default, the time
/// between two questions, and what a busy machine takes.
const FEW_SECONDS: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_mailboxes_are_unavailable_and_nothing_else() -> Tested {
    let mut murder = Murder::start().await?;
    let mut owner = murder.imap(1, "user2").await?;
    owner.ok("CREATE Shared").await?;
    owner.ok("SETACL Shared user1 lrswit").await?;
    owner.append("Shared", "", &message("kept")).await?;
    owner.ok("SUBSCRIBE INBOX").await?;
    // One session has a mailbox of it selected, one idles there.
    let mut selected = murder.imap(1, "user2").await?;
    selected.select("Shared").await?;
    let mut idler = murder.imap(2, "user2").await?;
    idler.select("INBOX").await?;
    idler.idle().await?;

    murder.kill_backend(2).await;

    for number in [1, 2] {
        let mut client = murder.imap(number, "user1").await?;
        let shared = "Other Users/user2/Shared";
        assert_eq!(client.list("*").await?, ["INBOX", shared]);
        client.append("INBOX", "", &message("works")).await?;
        client.select("INBOX").await?;
        for line in [
            format!("STATUS \"{shared}\" (MESSAGES)"),
            format!("COPY 1 \"{shared}\""),
            format!("MYRIGHTS \"{shared}\""),
            format!("SELECT \"{shared}\""),
        ] {
            client.no(&line, "UNAVAILABLE").await?;
        }
        let answer = client.try_append(shared, "", &message("x")).await?;
        assert_eq!(
            (answer.status, &*answer.code()),
            (Status::No, "UNAVAILABLE")
        );
        // A STATUS that cannot be had leaves the rest of LIST alone (RFC 5819 section 2).
        let answer = client.ok("LIST \"\" * RETURN (STATUS (MESSAGES))").await?;
        assert_eq!(answer.names("LIST")?.len(), 2);
        assert_eq!(answer.all("STATUS").count(), 1);
        client.select("INBOX").await?;

        // Its own users get in, and see what they have; subscriptions are not told as none.
        let mut client = murder.imap(number, "user2").await?;
        assert_eq!(client.list("*").await?, ["INBOX", "Shared"]);
        client.no("SELECT INBOX", "UNAVAILABLE").await?;
        client.no("LSUB \"\" *", "UNAVAILABLE").await?;
        client.no("LIST (SUBSCRIBED) \"\" *", "UNAVAILABLE").await?;
        client.no("SUBSCRIBE Shared", "UNAVAILABLE").await?;
        client.no("CREATE New", "UNAVAILABLE").await?;

        let mut lmtp = murder.lmtp(number).await?;
        let replies = lmtp
            .deliver(&["user1", "user2", "nobody"], &message("x"))
            .await?;
        let codes: Vec<u16> = replies.iter().map(|reply| reply.code).collect();
        assert_eq!(codes, [250, 451, 550], "{replies:?}");
    }
    // Who had a mailbox of it open is told; the session goes on.
    assert_lost(&mut selected, "FETCH 1 (FLAGS)").await?;
    selected.list("*").await?;

    murder.start_backend(2).await?;
    let mut client = murder.imap(1, "user2").await?;
    wait_until("the backend is used again", async || {
        client.select("Shared").await.ok()
    })
    .await?;
    assert_eq!(client.fetch_body(1).await?, message("kept"));
    wait_until("old sessions too", async || {
        selected.select("Shared").await.ok()
    })
    .await?;
    assert_eq!(selected.fetch_body(1).await?, message("kept"));
    murder
        .lmtp(2)
        .await?
        .deliver_one("user2", &message("again"))
        .await?;
    assert_eq!(client.status("INBOX", "MESSAGES").await?, 1);
    drop(idler);
    Ok(())
}

/// NO \[UNAVAILABLE\], or BYE: in either case the client is not led to believe anything wrong.
async fn assert_lost(client: &mut ImapClient, line: &str) -> Tested {
    let answer = client.command(line).await?;
    assert_eq!(answer.status, Status::No, "{answer:?}");
    assert_eq!(answer.code(), "UNAVAILABLE", "{answer:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clean_stop_loses_nothing() -> Tested {
    let mut murder = Murder::start().await?;
    let mut client = murder.imap(1, "user1").await?;
    client
        .append("INBOX", "\\Flagged $x", &message("one"))
        .await?;
    client.ok("CREATE Work").await?;
    client.ok("SUBSCRIBE Work").await?;
    client.logout().await?;
    let before = murder.imap(1, "user1").await?.select("INBOX").await?;
    for _ in 0..2 {
        murder.stop_backend(1).await;
        murder.start_backend(1).await?;
        let mut client = murder.imap(2, "user1").await?;
        let after = wait_until("it is back", async || client.select("INBOX").await.ok()).await?;
        assert_eq!(
            (after.exists, after.uidvalidity, after.uidnext),
            (before.exists, before.uidvalidity, before.uidnext)
        );
        assert_eq!(
            client.uid_fetch("1", "(FLAGS)").await?[0].flags(),
            ["$x", "\\Flagged"]
        );
        assert_eq!(client.ok("LSUB \"\" *").await?.names("LSUB")?, ["Work"]);
        assert_eq!(client.fetch_body(1).await?, message("one"));
    }
    Ok(())
}

/// Two users whose INBOXes are on different backends, and the backend of the second.
async fn apart(murder: &Processes, users: usize) -> anyhow::Result<(String, String, String)> {
    let topology = murder.topology()?;
    let mut homes: Vec<(String, String)> = Vec::new();
    for number in 1..=users {
        let user = format!("user{number}");
        murder.imap(1, &user).await?;
        for backend in &topology.backends {
            let mut direct = ImapClient::connect(backend.imap).await?;
            direct.login(&user, &topology.users.password).await?;
            if direct.select("INBOX").await.is_err() {
                continue;
            }
            if let Some((other, _)) = homes.iter().find(|(_, node)| *node != backend.name) {
                return Ok((other.clone(), user, backend.name.clone()));
            }
            homes.push((user.clone(), backend.name.clone()));
        }
    }
    anyhow::bail!("all users are on one backend: {homes:?}")
}

/// One that is stopped answers nothing, and its connections stay open. Everybody who waits for it is
/// told within the same few seconds, not only who connects.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_is_stopped_keeps_nobody_waiting() -> Tested {
    let murder = Processes::builder(MURDER).users(20).start().await?;
    let (other, user, node) = apart(&murder, 20).await?;
    let mut clients = Vec::new();
    for _ in 0..5 {
        let mut client = murder.imap(1, &user).await?;
        client.select("INBOX").await?;
        clients.push(client);
    }
    let [reader, idler, changer, pooled, appender] = &mut clients[..] else {
        anyhow::bail!("five clients");
    };
    appender.append("INBOX", "", &message("kept")).await?;
    pooled.ok("UNSELECT").await?;
    pooled.status("INBOX", "MESSAGES").await?;
    idler.idle().await?;

    murder.pause(&node).await?;
    let began = Instant::now();
    let (read, idled, changed, asked, appended) = tokio::join!(
        reader.command("FETCH 1:* (FLAGS)"),
        idler.read_to_end(),
        changer.command("STORE 1 +FLAGS (\\Flagged)"),
        pooled.command("STATUS INBOX (MESSAGES)"),
        async {
            let mut client = murder.imap(2, &user).await?;
            client.try_append("INBOX", "", &message("new")).await
        },
    );
    assert!(began.elapsed() < FEW_SECONDS, "{:?}", began.elapsed());
    // What reads hears NO, what changes BYE: it may have been done. IDLE has no other end.
    for answer in [read?, asked?] {
        assert_eq!(
            (answer.status, &*answer.code()),
            (Status::No, "UNAVAILABLE")
        );
    }
    assert!(idled?.iter().any(|reply| reply.is("BYE")));
    assert!(changed.is_err(), "{changed:?}");
    let answer = appended?;
    assert_eq!(
        (answer.status, &*answer.code()),
        (Status::No, "UNAVAILABLE")
    );
    let began = Instant::now();
    let replies = murder
        .lmtp(1)
        .await?
        .deliver(&[&user, &other], &message("x"))
        .await?;
    assert_eq!(
        (replies[0].code, replies[1].code),
        (451, 250),
        "{replies:?}"
    );
    assert!(began.elapsed() < FEW_SECONDS, "{:?}", began.elapsed());

    murder.resume(&node)?;
    let mut client = murder.imap(1, &user).await?;
    wait_until("the backend is used again", async || {
        client.select("INBOX").await.ok()
    })
    .await?;
    assert_eq!(client.uid_search("SUBJECT new").await?, [0; 0]);
    assert_eq!(client.uid_search("SUBJECT kept").await?.len(), 1);
    Ok(())
}

/// A message on its way to a backend that stops is not there twice, whatever the client hears.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_append_is_not_done_after_it_was_answered() -> Tested {
    let murder = Processes::builder(MURDER).users(2).start().await?;
    let mut client = murder.imap(1, "user2").await?;
    client.append("INBOX", "", &message("first")).await?;
    let mut witness = murder.imap(1, "user2").await?;
    witness.select("INBOX").await?;
    murder.pause("be2").await?;
    murder.pause("be1").await?;
    let late = message("late");
    let sent = client.try_append("INBOX", "", &late);
    let resumed = async {
        // It is at the backend's door when the frontend gives all connections up.
        let answer = witness.command("FETCH 1 (FLAGS)").await?;
        assert_eq!(answer.status, Status::No, "{answer:?}");
        murder.resume("be1")?;
        murder.resume("be2")
    };
    let (answer, resumed) = tokio::join!(sent, resumed);
    resumed?;
    let mut looking = murder.imap(2, "user2").await?;
    wait_until("it is back", async || looking.select("INBOX").await.ok()).await?;
    let found = looking.uid_search("SUBJECT late").await?.len();
    match answer {
        Ok(answer) if answer.status == Status::Ok => assert_eq!(found, 1),
        Ok(answer) => {
            assert_eq!((&*answer.code(), found), ("UNAVAILABLE", 0));
            looking.append("INBOX", "", &message("late")).await?;
            assert_eq!(looking.uid_search("SUBJECT late").await?.len(), 1);
        }
        // The session has ended: the client looks.
        Err(_) => assert!(found <= 1),
    }
    Ok(())
}

/// The master too: what needs it ends within a few seconds, everything else goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_that_is_stopped_keeps_nobody_waiting() -> Tested {
    let murder = Processes::builder(MURDER).users(2).start().await?;
    let mut client = murder.imap(1, "user1").await?;
    let mut changer = murder.imap(2, "user1").await?;
    changer.ok("CREATE Old").await?;
    murder.pause("mu1").await?;
    let began = Instant::now();
    let (changed, going_on) = tokio::join!(changer.command("CREATE New"), async {
        client.append("INBOX", "", &message("goes on")).await?;
        client.select("INBOX").await?;
        client.fetch_body(1).await?;
        client.select("Old").await?;
        murder
            .lmtp(1)
            .await?
            .deliver_one("user2", &message("x"))
            .await
    });
    going_on?;
    assert!(began.elapsed() < FEW_SECONDS, "{:?}", began.elapsed());
    // Nothing was made: the master comes first.
    let answer = changed?;
    assert_eq!(
        (answer.status, &*answer.code()),
        (Status::No, "UNAVAILABLE")
    );
    murder.resume("mu1")?;
    wait_until("the master is used again", async || {
        let answer = changer.command("CREATE New").await.ok()?;
        (answer.status == Status::Ok).then_some(())
    })
    .await?;
    Ok(())
}
