//! POP3 at the backends of a murder (RFC 1939), beside IMAP and LMTP through its frontends.

use murder_testkit::corpus::{Generator, crlf, python_email_data};
use murder_testkit::{Murder, Pop3Client};

use crate::{Tested, message};

async fn deliver(murder: &Murder, user: &str, subjects: &[&str]) -> Tested {
    let mut lmtp = murder.lmtp(1).await?;
    for subject in subjects {
        lmtp.deliver_one(user, &message(subject)).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_the_clear_with_stls_and_under_tls() -> Tested {
    let murder = Murder::start().await?;
    deliver(&murder, "user1", &["one", "two"]).await?;
    let at = *murder.backend(1);
    for number in 0..3 {
        let mut client = match number {
            2 => Pop3Client::connect_tls(at.pop3s, murder.trust()).await?,
            _ => Pop3Client::connect(at.pop3).await?,
        };
        if number == 1 {
            let capabilities = client.multiline("CAPA").await?;
            assert!(String::from_utf8(capabilities)?.contains("STLS\r\n"));
            client.stls(murder.trust()).await?;
            let capabilities = client.multiline("CAPA").await?;
            assert!(!String::from_utf8(capabilities)?.contains("STLS\r\n"));
        }
        client.err("PASS secret").await?;
        client.ok("USER user1").await?;
        let refused = client.err("PASS wrong").await?;
        assert!(refused.starts_with("[AUTH] "), "{refused}");
        client.login("user1", murder.password()).await?;
        let octets = 2 * message("one").len();
        assert_eq!(client.ok("STAT").await?, format!("2 {octets}"));
        assert_eq!(client.multiline("RETR 2").await?, message("two"));
        client.ok("QUIT").await?;
    }
    // The other backend does not have it.
    let mut client = Pop3Client::connect(murder.backend(2).pop3).await?;
    client.ok("USER user1").await?;
    let refused = client.err(&format!("PASS {}", murder.password())).await?;
    assert!(refused.starts_with("[SYS/PERM] "), "{refused}");
    Ok(())
}

/// What is sent is what is stored, but for line ends; and LIST says how long it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_message_as_it_is() -> Tested {
    let murder = Murder::start().await?;
    let mut messages: Vec<Vec<u8>> = python_email_data()?.into_iter().map(|(_, m)| m).collect();
    let mut generator = Generator::new(3);
    messages.extend((0..50).map(|_| generator.message()));
    let mut imap = murder.imap(1, "user1").await?;
    for message in &messages {
        imap.append("INBOX", "", message).await?;
    }
    let mut client = murder.pop3(1, "user1").await?;
    let sizes = client.listing("LIST").await?;
    let ids = client.listing("UIDL").await?;
    assert_eq!((sizes.len(), ids.len()), (messages.len(), messages.len()));
    let mut octets = 0;
    for ((number, raw), (listed, size)) in (1..).zip(&messages).zip(&sizes) {
        let got = client.multiline(&format!("RETR {number}")).await?;
        let case = format!(
            "{number}: {:?}",
            String::from_utf8_lossy(&raw[..raw.len().min(200)])
        );
        assert_eq!((*listed, size), (number, &got.len().to_string()), "{case}");
        octets += got.len();
        // A bare CR is no line end here, as it is to `crlf`.
        assert!(crlf(&got) == crlf(raw), "{case}");
        if !raw.contains(&b'\r') || raw == &crlf(raw) {
            assert!(got == crlf(raw), "{case}");
        }
    }
    assert_eq!(
        client.ok("STAT").await?,
        format!("{} {octets}", messages.len())
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_quit_has_removed_stays_removed() -> Tested {
    let mut murder = Murder::start().await?;
    deliver(&murder, "user1", &["one", "two", "three"]).await?;
    let mut imap = murder.imap(1, "user1").await?;
    imap.select("INBOX").await?;
    let mut client = murder.pop3(1, "user1").await?;
    let before = client.listing("UIDL").await?;
    client.ok("DELE 2").await?;
    imap.ok("NOOP").await?;
    client.ok("QUIT").await?;
    // An IMAP client at a frontend hears of it.
    let answer = imap.ok("NOOP").await?;
    assert_eq!(answer.all("EXPUNGE").count(), 1, "{answer:?}");
    murder.kill_backend(1).await;
    murder.start_backend(1).await?;
    let mut client = murder.pop3(1, "user1").await?;
    let after = client.listing("UIDL").await?;
    let ids = |listing: &[(u32, String)]| -> Vec<String> {
        listing.iter().map(|(_, id)| id.clone()).collect()
    };
    assert_eq!(ids(&after), [&before[0].1, &before[2].1].map(Clone::clone));
    assert_eq!(client.multiline("RETR 2").await?, message("three"));
    Ok(())
}

/// Nothing is removed without QUIT: not when the client goes, not when the backend does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_without_quit_removes_nothing() -> Tested {
    let mut murder = Murder::start().await?;
    deliver(&murder, "user1", &["one", "two"]).await?;
    let mut client = murder.pop3(1, "user1").await?;
    client.ok("DELE 1").await?;
    drop(client);
    let mut client = murder.pop3(1, "user1").await?;
    client.ok("DELE 1").await?;
    client.send(b"QUIT").await?;
    drop(client);
    let mut stopped = murder.pop3(1, "user1").await?;
    stopped.ok("DELE 1").await?;
    murder.stop_backend(1).await;
    let word = stopped.line().await?;
    assert!(word.starts_with("-ERR [SYS/TEMP] "), "{word}");
    murder.start_backend(1).await?;
    let mut killed = murder.pop3(1, "user1").await?;
    killed.ok("DELE 1").await?;
    murder.kill_backend(1).await;
    murder.start_backend(1).await?;
    let mut client = murder.pop3(1, "user1").await?;
    assert_eq!(client.listing("LIST").await?.len(), 2);
    Ok(())
}

/// Sessions do not wait for each other, nor mail for them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_sessions_of_one_user() -> Tested {
    let murder = Murder::start().await?;
    let subjects: Vec<String> = (0..20).map(|number| format!("m{number}")).collect();
    let subjects: Vec<&str> = subjects.iter().map(String::as_str).collect();
    deliver(&murder, "user1", &subjects).await?;
    let mut sessions = Vec::new();
    for _ in 0..10 {
        sessions.push(murder.pop3(1, "user1").await?);
    }
    deliver(&murder, "user1", &["new"]).await?;
    let mut tasks = tokio::task::JoinSet::new();
    for mut client in sessions {
        tasks.spawn(async move {
            for number in 1..=20 {
                let text = client.multiline(&format!("RETR {number}")).await?;
                let subject = format!("m{}", number - 1);
                anyhow::ensure!(text == message(&subject), "{number}");
                client.ok(&format!("DELE {number}")).await?;
            }
            client.ok("QUIT").await
        });
    }
    while let Some(done) = tasks.join_next().await {
        assert!(done??.ends_with("(maildrop empty)"));
    }
    let mut client = murder.pop3(1, "user1").await?;
    assert_eq!(client.multiline("RETR 1").await?, message("new"));
    assert_eq!(client.ok("STAT").await?.split(' ').next(), Some("1"));
    Ok(())
}
