//! IDLE (RFC 2177): news without asking, and many who wait for it.

use murder_testkit::{ImapClient, Murder};

use crate::{Tested, message};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn news_come_from_everywhere() -> Tested {
    let murder = Murder::start().await?;
    for user in ["user1", "user2"] {
        let mut idler = murder.imap(1, user).await?;
        idler.select("INBOX").await?;
        let tag = idler.idle().await?;
        let mut client = murder.imap(2, user).await?;
        client.append("INBOX", "", &message("one")).await?;
        assert_eq!(idler.wait_for("EXISTS").await?.number(), Some(1));
        murder
            .lmtp(1)
            .await?
            .deliver_one(user, &message("two"))
            .await?;
        assert_eq!(idler.wait_for("EXISTS").await?.number(), Some(2));
        client.select("INBOX").await?;
        client.ok("STORE 2 +FLAGS (\\Flagged)").await?;
        let reply = idler.wait_for("FETCH").await?;
        assert!(reply.text().contains("\\Flagged"), "{reply:?}");
        client.ok("STORE 1 +FLAGS.SILENT (\\Deleted)").await?;
        client.ok("EXPUNGE").await?;
        assert_eq!(idler.wait_for("EXPUNGE").await?.number(), Some(1));
        idler.done(&tag).await?;
        assert_eq!(idler.uid_search("ALL").await?, [2]);
        // Again, and ended by something else than DONE.
        idler.idle().await?;
        idler.send_raw(b"NONSENSE\r\n").await?;
        let reply = idler.reply().await?;
        assert_eq!(reply.word(1), "BAD", "{reply:?}");
        idler.ok("NOOP").await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_mailbox_it_just_waits() -> Tested {
    let murder = Murder::builder().frontends(1).start().await?;
    let mut idler = murder.imap(1, "user1").await?;
    let tag = idler.idle().await?;
    let answer = idler.done(&tag).await?;
    assert!(answer.untagged.is_empty());
    idler.select("INBOX").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_leave_at_once() -> Tested {
    const CLIENTS: usize = 200;
    let murder = Murder::start().await?;
    let mut idlers: Vec<(ImapClient, String)> = Vec::new();
    for number in 0..CLIENTS {
        let user = ["user1", "user2"][number % 2];
        let mut client = murder.imap(number / 2 % 2 + 1, user).await?;
        client.select("INBOX").await?;
        let tag = client.idle().await?;
        idlers.push((client, tag));
    }
    let mut lmtp = murder.lmtp(1).await?;
    let replies = lmtp
        .deliver(&["user1", "user2"], &message("for all"))
        .await?;
    assert!(replies.iter().all(|reply| reply.code == 250), "{replies:?}");
    for (client, _) in &mut idlers {
        assert_eq!(client.wait_for("EXISTS").await?.number(), Some(1));
    }
    for (client, _) in &mut idlers {
        client.send_raw(b"DONE\r\n").await?;
    }
    for (client, tag) in &mut idlers {
        client.finish(tag).await?;
    }
    for (client, _) in &mut idlers {
        assert_eq!(client.uid_search("SUBJECT all").await?, [1]);
    }
    Ok(())
}

/// So that nothing between client and server forgets the connection.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_idles_hears_that_the_server_is_still_there() -> Tested {
    let murder = Murder::builder()
        .limit("idle_notify_seconds = 1")
        .start()
        .await?;
    for door in [murder.frontend(1).imap, murder.backend(1).imap] {
        for selects in [false, true] {
            let mut idler = ImapClient::connect(door).await?;
            idler.login("user1", murder.password()).await?;
            if selects {
                idler.select("INBOX").await?;
            }
            let tag = idler.idle().await?;
            for _ in 0..2 {
                assert_eq!(idler.wait_for("OK").await?.text(), "* OK Still here");
            }
            idler.done(&tag).await?;
        }
    }
    Ok(())
}
