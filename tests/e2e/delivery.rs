//! LMTP (RFC 2033): delivery through frontends to whoever it is for.

use std::collections::BTreeMap;

use murder_testkit::corpus::{Generator, crlf, python_email_data};
use murder_testkit::{LmtpClient, LmtpReply, Murder};

use crate::{Tested, message};

fn codes(replies: &[LmtpReply]) -> Vec<u16> {
    replies.iter().map(|reply| reply.code).collect()
}

/// How often each message is there.
fn counted(messages: impl IntoIterator<Item = Vec<u8>>) -> BTreeMap<Vec<u8>, usize> {
    let mut counts = BTreeMap::new();
    for message in messages {
        *counts.entry(message).or_default() += 1;
    }
    counts
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_backends_and_an_unknown_in_one_transaction() -> Tested {
    let murder = Murder::start().await?;
    let text = message("both");
    let mut lmtp = murder.lmtp(1).await?;
    let recipients = ["user1", "nobody-here", "user2@example.org", "user3"];
    let replies = lmtp.deliver(&recipients, &text).await?;
    assert_eq!(codes(&replies), [250, 550, 250, 250], "{replies:?}");
    for user in ["user1", "user2", "user3"] {
        let mut client = murder.imap(2, user).await?;
        assert_eq!(client.select("INBOX").await?.exists, 1);
        assert_eq!(client.fetch_body(1).await?, text, "{user}");
        let fetch = &client.uid_fetch("1", "(FLAGS)").await?[0];
        assert!(fetch.flags().is_empty());
    }
    // The same connection, again and again.
    for number in 0..5 {
        let text = message(&format!("again{number}"));
        let replies = lmtp.deliver(&["user2", "user1"], &text).await?;
        assert_eq!(codes(&replies), [250, 250]);
    }
    assert_eq!(codes(&lmtp.deliver(&["nobody"], &text).await?), [550]);
    let mut client = murder.imap(1, "user1").await?;
    assert_eq!(client.status("INBOX", "MESSAGES").await?, 6);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn python_email_test_data_byte_for_byte() -> Tested {
    let murder = Murder::start().await?;
    let messages: Vec<Vec<u8>> = python_email_data()?
        .iter()
        .map(|(_, raw)| crlf(raw))
        .collect();
    let mut lmtp = murder.lmtp(1).await?;
    for message in &messages {
        let replies = lmtp.deliver(&["user1", "user2"], message).await?;
        assert_eq!(codes(&replies), [250, 250]);
    }
    for user in ["user1", "user2"] {
        let mut client = murder.imap(2, user).await?;
        client.select("INBOX").await?;
        let bodies = client.fetch_all().await?;
        let found = counted(bodies.into_iter().map(|(_, body)| body));
        assert!(found == counted(messages.clone()), "{user}");
        // And their structure, whatever it is, can be told.
        let fetches = client.uid_fetch("1:*", "(ENVELOPE BODYSTRUCTURE)").await?;
        assert_eq!(fetches.len(), messages.len());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn made_up_mail_byte_for_byte() -> Tested {
    let murder = Murder::start().await?;
    let mut messages = Generator::new(11).messages(80);
    messages.push(Generator::new(12).sized(2 << 20));
    let mut lmtp = murder.lmtp(2).await?;
    for message in &messages {
        lmtp.deliver_one("user2", message).await?;
    }
    let mut client = murder.imap(1, "user2").await?;
    client.select("INBOX").await?;
    for (uid, body) in client.fetch_all().await? {
        assert!(body == messages[uid as usize - 1], "message {uid}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn into_a_folder() -> Tested {
    let murder = Murder::start().await?;
    let mut client = murder.imap(1, "user2").await?;
    client.ok("CREATE Lists/rust").await?;
    client.ok("CREATE Closed").await?;
    client.ok("SETACL Closed -anyone p").await?;
    let mut lmtp = murder.lmtp(1).await?;
    for (recipient, folder) in [
        ("user2+Lists/rust", "Lists/rust"),
        ("user2+Lists/rust@example.org", "Lists/rust"),
        // What is closed to mail, or not there, goes to the INBOX.
        ("user2+Closed", "INBOX"),
        ("user2+nothing", "INBOX"),
        ("USER2", "INBOX"),
    ] {
        let before = client.status(folder, "MESSAGES").await?;
        lmtp.deliver_one(recipient, &message("x")).await?;
        let after = client.status(folder, "MESSAGES").await?;
        assert_eq!(after, before + 1, "{recipient}");
    }
    assert_eq!(
        codes(&lmtp.deliver(&["nobody+x"], &message("x")).await?),
        [550]
    );
    Ok(())
}

/// Mail can come for someone who has never logged in.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_message_makes_the_inbox() -> Tested {
    let murder = Murder::start().await?;
    let account = murder_auth::Account {
        name: "newcomer".to_owned(),
        password_hash: murder_testkit::cheap_hash(murder.password())?,
        ..murder_auth::Account::default()
    };
    murder.operator().add_user(&account).await?;
    murder
        .lmtp(1)
        .await?
        .deliver_one("newcomer", &message("welcome"))
        .await?;
    let mut client = murder.imap(2, "newcomer").await?;
    assert_eq!(client.select("INBOX").await?.exists, 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_protocol() -> Tested {
    let murder = Murder::builder()
        .lmtp_setting("message_limit = 10000")
        .start()
        .await?;
    for address in [murder.frontend(1).lmtp, murder.backend(1).lmtp] {
        let mut lmtp = LmtpClient::connect(address).await?;
        let extensions = lmtp.lhlo().await?;
        for wanted in [
            "PIPELINING",
            "8BITMIME",
            "ENHANCEDSTATUSCODES",
            "SIZE 10000",
        ] {
            assert!(
                extensions.iter().any(|known| known == wanted),
                "{extensions:?}"
            );
        }
        for (line, code) in [
            ("DATA", 503),
            ("RCPT TO:<user1>", 503),
            ("MAIL FROM:<s@example.org> SIZE=20000", 552),
            ("MAIL FROM:<s@example.org> NONSENSE=1", 555),
            ("MAIL FROM:<>", 250),
            ("MAIL FROM:<>", 503),
            ("DATA", 503),
            ("RCPT TO:user1", 501),
            ("RCPT TO:<user1>", 250),
            ("RSET", 250),
            ("RCPT TO:<user1>", 503),
            ("NOOP", 250),
            ("VRFY user1", 252),
            ("NONSENSE", 500),
            ("HELO x", 500),
            ("MAIL FROM:<s@example.org> BODY=8BITMIME SIZE=500", 250),
        ] {
            let reply = lmtp.command(line).await?;
            assert_eq!(reply.code, code, "{address} {line}: {reply:?}");
        }
        lmtp.command("RSET").await?;
        let big = Generator::new(1).sized(20_000);
        let replies = lmtp.deliver(&["user1", "user3"], &big).await?;
        assert_eq!(codes(&replies), [552, 552]);
        // Without waiting for answers.
        lmtp.send(b"MAIL FROM:<s@example.org>\r\nRCPT TO:<user1>\r\nRCPT TO:<nobody>\r\nDATA\r\n")
            .await?;
        let mut said = Vec::new();
        for _ in 0..4 {
            said.push(lmtp.reply().await?.code);
        }
        assert_eq!(said, [250, 250, 550, 354]);
        lmtp.send(b"Subject: pipelined\r\n\r\nx\r\n.\r\nQUIT\r\n")
            .await?;
        assert_eq!(lmtp.reply().await?.code, 250);
        assert_eq!(lmtp.reply().await?.code, 221);
    }
    let mut client = murder.imap(1, "user1").await?;
    assert_eq!(client.status("INBOX", "MESSAGES").await?, 2);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_tls() -> Tested {
    let murder = Murder::builder().frontends(1).start().await?;
    let mut lmtp = murder.lmtp(1).await?;
    let extensions = lmtp.starttls(murder.trust()).await?;
    assert!(!extensions.iter().any(|known| known == "STARTTLS"));
    lmtp.deliver_one("user2", &message("secret")).await?;
    Ok(())
}

/// Only CRLF dot CRLF ends a message; whatever else looks like it is part of it, or refused, and
/// never begins another one (CVE-2023-51764 and its like).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_message_is_smuggled_in() -> Tested {
    let murder = Murder::start().await?;
    let ends: [&[u8]; 4] = [b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r"];
    for address in [murder.frontend(1).lmtp, murder.backend(1).lmtp] {
        for end in ends {
            let mut lmtp = LmtpClient::connect(address).await?;
            lmtp.mail("s@example.org").await?;
            lmtp.rcpt("user1").await?;
            lmtp.command("DATA").await?;
            let mut text = b"Subject: outer\r\n\r\nx".to_vec();
            text.extend_from_slice(end);
            text.extend_from_slice(
                b"MAIL FROM:<evil@example.org>\r\nRCPT TO:<user1>\r\nDATA\r\nSubject: smuggled\r\n\r\n\
                  y\r\n.\r\n",
            );
            lmtp.send(&text).await?;
            lmtp.reply().await?;
            assert_eq!(lmtp.command("NOOP").await?.code, 250, "{end:?}");
        }
    }
    let mut client = murder.imap(1, "user1").await?;
    client.select("INBOX").await?;
    assert!(client.uid_search("SUBJECT smuggled").await?.is_empty());
    Ok(())
}
