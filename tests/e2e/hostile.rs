//! Hostile and broken clients: BAD or BYE, bounded memory, and everybody else is served.

use murder_testkit::corpus::Generator;
use murder_testkit::{ImapClient, LmtpClient, Murder, Status, metric, wait_until};

use crate::{Tested, message};

/// Where clients can connect, a frontend and a backend, and whether logged in.
async fn doors(murder: &Murder) -> anyhow::Result<Vec<(String, ImapClient)>> {
    let mut doors = Vec::new();
    for (name, address) in [
        ("frontend", murder.frontend(1).imap),
        ("backend", murder.backend(1).imap),
    ] {
        doors.push((
            format!("{name}, nobody"),
            ImapClient::connect(address).await?,
        ));
        let mut client = ImapClient::connect(address).await?;
        client.login("user1", murder.password()).await?;
        doors.push((format!("{name}, user1"), client));
        let mut client = ImapClient::connect(address).await?;
        client.login("user1", murder.password()).await?;
        client.select("INBOX").await?;
        doors.push((format!("{name}, INBOX"), client));
    }
    Ok(doors)
}

/// Everybody else is served.
async fn all_is_well(murder: &Murder) -> Tested {
    for address in [murder.frontend(1).imap, murder.backend(1).imap] {
        let mut client = ImapClient::connect(address).await?;
        client.login("user1", murder.password()).await?;
        client.select("INBOX").await?;
        client.logout().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_commands_are_bad_and_the_session_goes_on() -> Tested {
    let murder = Murder::start().await?;
    for (door, mut client) in doors(&murder).await? {
        for line in [
            "NONSENSE",
            "UID",
            "UID NONSENSE",
            "",
            "LOGIN",
            "LOGIN a",
            "LOGIN a b c",
            "SELECT",
            "SELECT \"unterminated",
            "SELECT (list)",
            "FETCH",
            "FETCH 0 FLAGS",
            "FETCH 1 (FLAGS",
            "FETCH 1 NONSENSE",
            "FETCH 1 BODY[",
            "FETCH 1 BODY[]<1.2.3>",
            "FETCH 4294967296 FLAGS",
            "FETCH 1:2:3 FLAGS",
            "STORE 1 FLAGS",
            "SEARCH",
            "SEARCH OR ALL",
            "APPEND INBOX",
            "APPEND INBOX {}",
            "APPEND INBOX (\\Seen {1+}\r\nx",
            "STATUS INBOX",
            "LIST",
            "LIST \"\"",
            "NOOP extra",
            "CAPABILITY \u{0}",
            "AUTHENTICATE",
            "IDLE now",
            "SETACL INBOX",
            "\u{7f}\u{1}\u{2}",
        ] {
            let answer = client.command(line).await?;
            assert_eq!(answer.status, Status::Bad, "{door}: {line:?}: {answer:?}");
            // Who sends nothing else is told to go, after some.
            client.ok("NOOP").await?;
        }
        client.ok("NOOP").await?;
    }
    // What has no tag that an answer could have.
    for (door, mut client) in doors(&murder).await? {
        for line in [
            &b"\r\n"[..],
            b" \r\n",
            b"* NOOP\r\n",
            b"+ NOOP\r\n",
            b"(x) NOOP\r\n",
            b"a\r\n",
        ] {
            client.send_raw(line).await?;
            let reply = client.reply().await?;
            assert_eq!(reply.word(1), "BAD", "{door}: {line:?}: {reply:?}");
        }
        client.ok("NOOP").await?;
    }
    all_is_well(&murder).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_sends_nothing_but_nonsense_is_told_to_go() -> Tested {
    let murder = Murder::start().await?;
    for (door, mut client) in doors(&murder).await? {
        for _ in 0..200 {
            if client.send_raw(b"x NONSENSE\r\n").await.is_err() {
                break;
            }
        }
        let said = client.read_to_end().await?;
        assert!(said.iter().any(|reply| reply.is("BYE")), "{door}: {said:?}");
    }
    all_is_well(&murder).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lines_have_a_bound() -> Tested {
    let murder = Murder::start().await?;
    for (door, mut client) in doors(&murder).await? {
        client.send_raw(b"a1 NOOP ").await?;
        client.send_raw(&vec![b'x'; 100 << 10]).await?;
        client.send_raw(b"\r\n").await?;
        let reply = client.reply().await?;
        let word = reply.word(1);
        assert!(word == "BAD" || word == "BYE", "{door}: {reply:?}");
        // Of strangers less is passed over.
        if word == "BAD" && !door.ends_with("nobody") {
            client.ok("NOOP").await?;
        }
    }
    // One that never ends is cut off, whoever sends it.
    for (door, mut client) in doors(&murder).await? {
        let block = vec![b'x'; 1 << 20];
        let mut sent = 0;
        while sent < 200 && client.send_raw(&block).await.is_ok() {
            sent += 1;
        }
        if sent == 200 {
            // It was read, and thrown away.
            client.send_raw(b"\r\n").await?;
            let reply = client.reply().await?;
            let word = reply.word(1);
            assert!(word == "BAD" || word == "BYE", "{door}: {reply:?}");
        }
    }
    all_is_well(&murder).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn literals_have_a_bound() -> Tested {
    let murder = Murder::start().await?;
    for (door, mut client) in doors(&murder).await? {
        for line in [
            "SELECT {70000}",
            "SELECT {4294967295}",
            "SELECT {99999999999999999999}",
            "LOGIN {1000000}",
        ] {
            let tag = client.send(line).await?;
            let reply = client.reply().await?;
            let refused = reply.word(0) == tag.to_uppercase() && reply.word(1) != "OK";
            assert!(refused || reply.is("BYE"), "{door}: {line}: {reply:?}");
        }
        client.ok("NOOP").await?;
    }
    // Of messages, the one that APPENDLIMIT tells.
    for address in [murder.frontend(1).imap, murder.backend(1).imap] {
        let mut client = ImapClient::connect(address).await?;
        client.login("user1", murder.password()).await?;
        for line in ["APPEND INBOX {67108865}", "APPEND INBOX {99999999999}"] {
            client.no(line, "TOOBIG").await?;
        }
        client.ok("NOOP").await?;
        // Who does not wait to be asked gets the answer, or is cut off.
        client
            .send_raw(b"a1 APPEND INBOX {99999999999+}\r\n")
            .await?;
        let block = vec![b'x'; 1 << 20];
        for _ in 0..8 {
            if client.send_raw(&block).await.is_err() {
                break;
            }
        }
        if let Some(reply) = client.reply_or_end().await? {
            assert!(
                reply.is("BYE") || reply.code().as_deref() == Some("TOOBIG"),
                "{reply:?}"
            );
        }
    }
    all_is_well(&murder).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nesting_has_a_bound() -> Tested {
    let murder = Murder::start().await?;
    // Messages that nest, of both kinds.
    let mut multipart = String::new();
    let mut rfc822 = String::new();
    for level in 0..2_000 {
        multipart +=
            &format!("Content-Type: multipart/mixed; boundary=b{level}\r\n\r\n--b{level}\r\n");
        rfc822 += "Content-Type: message/rfc822\r\n\r\n";
    }
    let mut uids = Vec::new();
    let mut client = murder.imap(1, "user1").await?;
    for text in [&multipart, &rfc822] {
        let text = format!("{text}Subject: inside\r\n\r\nx\r\n");
        uids.push((client.append("INBOX", "", text.as_bytes()).await?, text));
    }
    for (door, mut client) in doors(&murder).await? {
        for line in [
            format!("SEARCH {}ALL{}", "(".repeat(2_000), ")".repeat(2_000)),
            format!("SEARCH {}ALL", "NOT ".repeat(2_000)),
            format!("SEARCH {}ALL ALL", "OR ALL ".repeat(2_000)),
            format!("LIST {} \"\"", "(".repeat(2_000)),
            format!("FETCH 1 {}", "(".repeat(2_000)),
            format!("ID {}", "(".repeat(2_000)),
            format!("NONSENSE {}", "(".repeat(2_000)),
        ] {
            let answer = client.command(&line).await?;
            // OR and NOT of so many may be done, if they are.
            let may_be_done = line.starts_with("SEARCH") && door.ends_with("INBOX");
            assert!(
                answer.status == Status::Bad || (may_be_done && answer.status != Status::Bad),
                "{door}: {}: {answer:?}",
                &line[..20]
            );
        }
        client.ok("NOOP").await?;
        if !door.ends_with("INBOX") {
            continue;
        }
        for (uid, text) in &uids {
            assert_eq!(client.fetch_body(*uid).await?, text.as_bytes());
            let path = vec!["1"; 2_000].join(".");
            for items in [
                "(ENVELOPE BODYSTRUCTURE)".to_owned(),
                "(BODY.PEEK[1.1.1.1.1.1.1.1])".to_owned(),
                format!("(BODY.PEEK[{path}])"),
            ] {
                client.command(&format!("UID FETCH {uid} {items}")).await?;
            }
            assert!(client.uid_search("TEXT nothing-like-it").await?.is_empty());
        }
    }
    all_is_well(&murder).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_is_survived() -> Tested {
    let murder = Murder::start().await?;
    let mut random = Generator::new(42);
    for round in 0..4 {
        for (door, mut client) in doors(&murder).await? {
            let bytes: Vec<u8> = (0..20_000)
                .map(|_| match random.below(12) {
                    // Something with form now and then, to get further in.
                    0 => b' ',
                    1 => b'\n',
                    2 => b'\r',
                    3 => b'(',
                    4 => b'"',
                    5 => 0,
                    _ => random.below(256).to_le_bytes()[0],
                })
                .collect();
            // It may be told to go away at any point.
            let _ = client.send_raw(&bytes).await;
            let _ = client.send_raw(b"\r\nz LOGOUT\r\n").await;
            drop((door, round, client));
        }
    }
    for address in [murder.frontend(1).lmtp, murder.backend(1).lmtp] {
        let mut lmtp = LmtpClient::connect(address).await?;
        let bytes: Vec<u8> = (0..50_000)
            .map(|_| random.below(256).to_le_bytes()[0])
            .collect();
        let _ = lmtp.send(&bytes).await;
        let mut lmtp = LmtpClient::connect(address).await?;
        lmtp.send(&vec![b'x'; 1 << 20]).await.ok();
        let mut lmtp = LmtpClient::connect(address).await?;
        lmtp.deliver_one("user1", &message("after all")).await?;
    }
    all_is_well(&murder).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_append_that_breaks_off_stores_nothing() -> Tested {
    let murder = Murder::start().await?;
    let big = Generator::new(7).sized(600 << 10);
    for address in [murder.frontend(1).imap, murder.backend(1).imap] {
        for literal in ["{614400}", "{614400+}", "{100}", "{100+}"] {
            let mut client = ImapClient::connect(address).await?;
            client.login("user1", murder.password()).await?;
            client
                .send_raw(format!("a1 APPEND INBOX {literal}\r\n").as_bytes())
                .await?;
            if !literal.contains('+') {
                client.continuation().await?;
            }
            let length = if literal.contains("100") {
                50
            } else {
                500 << 10
            };
            client.send_raw(&big[..length]).await?;
        }
    }
    // Nor a delivery.
    for address in [murder.frontend(1).lmtp, murder.backend(1).lmtp] {
        for length in [100, 500 << 10] {
            let mut lmtp = LmtpClient::connect(address).await?;
            lmtp.mail("s@example.org").await?;
            lmtp.rcpt("user1").await?;
            lmtp.command("DATA").await?;
            lmtp.send(&big[..length]).await?;
        }
    }
    // Had one of them been stored, this would not be the first.
    let mut client = murder.imap(1, "user1").await?;
    assert_eq!(client.append("INBOX", "", &message("whole")).await?, 1);
    let (frontend, backend) = (murder.frontend(1).http, murder.backend(1).http);
    wait_until("the broken sessions are gone", async || {
        let own = metric(frontend, "murder_frontend_imap_sessions")
            .await
            .ok()?;
        let lmtp = metric(frontend, "murder_frontend_lmtp_sessions")
            .await
            .ok()?;
        // What is left at the backend are connections of frontends that wait to be used again.
        let mut unused = 0.0;
        for number in [1, 2] {
            let name = "murder_frontend_backend_connections_unused";
            unused += metric(murder.frontend(number).http, name).await.ok()?;
        }
        let there = metric(backend, "murder_backend_imap_sessions").await.ok()?;
        (own <= 1.0 && lmtp == 0.0 && there <= unused).then_some(())
    })
    .await?;
    assert_eq!(client.append("INBOX", "", &message("whole")).await?, 2);
    assert_eq!(client.status("INBOX", "MESSAGES").await?, 2);
    Ok(())
}

/// A client that asks and does not read holds up nobody.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_read_waits_alone() -> Tested {
    let murder = Murder::start().await?;
    let mut client = murder.imap(1, "user1").await?;
    client
        .append("INBOX", "", &Generator::new(1).sized(4 << 20))
        .await?;
    let mut deaf = Vec::new();
    for _ in 0..4 {
        let mut client = murder.imap(1, "user1").await?;
        client.select("INBOX").await?;
        for _ in 0..20 {
            client.send("FETCH 1 (BODY.PEEK[])").await?;
        }
        deaf.push(client);
    }
    for number in [1, 2] {
        let mut client = murder.imap(number, "user1").await?;
        client.append("INBOX", "", &message("meanwhile")).await?;
        client.select("INBOX").await?;
        assert_eq!(client.fetch_body(2).await?, message("meanwhile"));
    }
    Ok(())
}
