//! A backend that is down takes its own mailboxes away and nothing else.

use murder_testkit::{ImapClient, Murder, Status, wait_until};

use crate::{Tested, message};

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
