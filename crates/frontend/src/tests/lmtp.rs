//! Mail for several backends at once.

use super::Murder;

const MESSAGE: &str = "Subject: hello\r\n\r\nHello,\r\n..dot\r\nbare\nline\r\n";

#[tokio::test]
async fn each_backend_gets_the_message_once() {
    let mut murder = Murder::start(&[
        ("bob", "be1"),
        ("eve", "be2"),
        ("ann", "be1"),
        ("joe@example.org", "be2"),
    ])
    .await;
    let mut client = murder.lmtp().await;
    client.send("MAIL FROM:<me@example.org> SIZE=100 BODY=8BITMIME\r\nRCPT TO:<bob@example.org>\r\nRCPT TO:<nobody@example.org>\r\nRCPT TO:<Eve+Lists/rust@EXAMPLE.org>\r\nRCPT TO:<ann>\r\nRCPT TO:<\"joe\"@example.org>\r\nDATA\r\n").await;
    let mail = "MAIL FROM:<me@example.org> SIZE=100 BODY=8BITMIME";
    let mut one = murder.lmtp_at("be1").await;
    one.transaction(mail, &["bob@example.org", "ann"]).await;
    let mut two = murder.lmtp_at("be2").await;
    two.transaction(mail, &["Eve+Lists/rust@EXAMPLE.org", "\"joe\"@example.org"])
        .await;
    for reply in [
        "250 2.1.0",
        "250 2.1.5",
        "550 5.1.1",
        "250 2.1.5",
        "250 2.1.5",
        "250 2.1.5",
        "354 ",
    ] {
        client.expect(reply).await;
    }
    client.send(&format!("{MESSAGE}.\r\n")).await;
    assert_eq!(one.message_bytes().await, MESSAGE);
    assert_eq!(two.message_bytes().await, MESSAGE);
    // In the order of the recipients, whoever is first.
    two.0
        .send("250-2.1.5 eve\r\n250 2.1.5 more\r\n552 5.2.2 joe is full\r\n")
        .await;
    one.0
        .send("250 2.1.5 bob\r\n452 4.2.2 ann is full\r\n")
        .await;
    assert_eq!(client.line().await, "250 2.1.5 bob");
    assert_eq!(client.line().await, "250 2.1.5 eve");
    assert_eq!(client.line().await, "452 4.2.2 ann is full");
    assert_eq!(client.line().await, "552 5.2.2 joe is full");

    // The next message goes over the same connections.
    client
        .send("MAIL FROM:<>\r\nRCPT TO:<ann>\r\nDATA\r\n")
        .await;
    one.transaction("MAIL FROM:<>", &["ann"]).await;
    for reply in ["250 ", "250 ", "354 "] {
        client.expect(reply).await;
    }
    client.send(".\r\n").await;
    assert_eq!(one.message_bytes().await, "");
    one.0.send("250 2.1.5 ok\r\n").await;
    client.expect("250 2.1.5 ok").await;
    client.send("QUIT\r\n").await;
    client.expect("221 ").await;
    client.closed().await;
    murder.stop().await;
}

#[tokio::test]
async fn a_backend_that_is_down_puts_off_its_recipients_only() {
    let mut murder = Murder::start(&[("bob", "be1"), ("eve", "be2")]).await;
    murder.stop_listening("be2").await;
    let mut client = murder.lmtp().await;
    client
        .send("MAIL FROM:<a@b>\r\nRCPT TO:<eve>\r\nRCPT TO:<bob>\r\nDATA\r\n")
        .await;
    let mut one = murder.lmtp_at("be1").await;
    one.transaction("MAIL FROM:<a@b>", &["bob"]).await;
    for reply in ["250 ", "250 ", "250 ", "354 "] {
        client.expect(reply).await;
    }
    client.send(&format!("{MESSAGE}.\r\n")).await;
    assert_eq!(one.message_bytes().await, MESSAGE);
    one.0.send("250 2.1.5 ok\r\n").await;
    client.expect("451 4.4.1 ").await;
    client.expect("250 2.1.5 ok").await;
    murder.stop().await;
}

#[tokio::test]
async fn a_backend_that_dies_within_the_message() {
    let mut murder = Murder::start(&[("bob", "be1"), ("eve", "be2")]).await;
    let mut client = murder.lmtp().await;
    client
        .send("MAIL FROM:<a@b>\r\nRCPT TO:<eve>\r\nRCPT TO:<bob>\r\nDATA\r\n")
        .await;
    let mut one = murder.lmtp_at("be1").await;
    one.transaction("MAIL FROM:<a@b>", &["bob"]).await;
    let mut two = murder.lmtp_at("be2").await;
    two.transaction("MAIL FROM:<a@b>", &["eve"]).await;
    for reply in ["250 ", "250 ", "250 ", "354 "] {
        client.expect(reply).await;
    }
    client.send("first half\r\n").await;
    two.0.expect("first half").await;
    drop(two);
    client.send("second half\r\n.\r\n").await;
    assert_eq!(one.message_bytes().await, "first half\r\nsecond half\r\n");
    one.0.send("250 2.1.5 ok\r\n").await;
    client.expect("451 4.4.1 ").await;
    client.expect("250 2.1.5 ok").await;

    // After the message, with one answer given: the other recipient's is not known.
    murder.make("user/ann", "be1", "ann").await;
    client
        .send("MAIL FROM:<a@b>\r\nRCPT TO:<bob>\r\nRCPT TO:<ann>\r\nDATA\r\n")
        .await;
    one.transaction("MAIL FROM:<a@b>", &["bob", "ann"]).await;
    for reply in ["250 ", "250 ", "250 ", "354 "] {
        client.expect(reply).await;
    }
    client.send(".\r\n").await;
    one.message_bytes().await;
    one.0.send("250 2.1.5 bob\r\n421 4.3.2 going\r\n").await;
    client.expect("250 2.1.5 bob").await;
    client.expect("451 4.4.1 ").await;
    murder.stop().await;
}

#[tokio::test]
async fn refusals_of_backends_are_told_at_the_end() {
    let mut murder = Murder::start(&[("bob", "be1"), ("eve", "be2"), ("ann", "be1")]).await;
    let mut client = murder.lmtp().await;
    client
        .send("MAIL FROM:<a@b>\r\nRCPT TO:<bob>\r\nRCPT TO:<ann>\r\nRCPT TO:<eve>\r\nDATA\r\n")
        .await;
    let mut one = murder.lmtp_at("be1").await;
    one.commands("MAIL FROM:<a@b>", &["bob", "ann"]).await;
    // bob is full; ann the backend does not know, though the map has her there.
    one.0
        .send("250 ok\r\n452 4.2.2 full\r\n550 5.1.1 who?\r\n503 5.5.1 nobody\r\n")
        .await;
    let mut two = murder.lmtp_at("be2").await;
    two.transaction("MAIL FROM:<a@b>", &["eve"]).await;
    for reply in ["250 ", "250 ", "250 ", "250 ", "354 "] {
        client.expect(reply).await;
    }
    client.send(".\r\n").await;
    two.message_bytes().await;
    two.0.send("250 2.1.5 ok\r\n").await;
    client.expect("452 4.2.2 full").await;
    client.expect("451 4.2.0 ").await;
    client.expect("250 2.1.5 ok").await;
    one.0.closed().await;

    // Nobody wants it: the message goes nowhere. Gone for good is gone for good.
    client
        .send("MAIL FROM:<a@b>\r\nRCPT TO:<ann>\r\nRCPT TO:<bob>\r\nDATA\r\n")
        .await;
    let mut one = murder.lmtp_at("be1").await;
    one.commands("MAIL FROM:<a@b>", &["ann", "bob"]).await;
    murder.unmake("user/ann", "be1").await;
    one.0
        .send("250 ok\r\n550 5.1.1 who?\r\n550 5.7.1 no\r\n503 5.5.1 nobody\r\n")
        .await;
    for reply in ["250 ", "250 ", "250 ", "354 "] {
        client.expect(reply).await;
    }
    client.send(&format!("{MESSAGE}.\r\n")).await;
    client.expect("550 5.1.1 who?").await;
    client.expect("550 5.7.1 no").await;
    murder.stop().await;
}

#[tokio::test]
async fn a_closed_connection_of_the_pool_costs_nothing() {
    let mut murder = Murder::start(&[("bob", "be1")]).await;
    let mut client = murder.lmtp().await;
    for _ in 0..2 {
        client
            .send("MAIL FROM:<a@b>\r\nRCPT TO:<bob>\r\nDATA\r\n")
            .await;
        let mut one = murder.lmtp_at("be1").await;
        one.transaction("MAIL FROM:<a@b>", &["bob"]).await;
        for reply in ["250 ", "250 ", "354 "] {
            client.expect(reply).await;
        }
        client.send(".\r\n").await;
        one.message_bytes().await;
        one.0.send("250 2.1.5 ok\r\n").await;
        client.expect("250 2.1.5 ok").await;
        // The backend gives the unused connection up.
        one.0.send("421 4.4.2 idle\r\n").await;
    }
    murder.stop().await;
}

#[tokio::test]
async fn recipients_who_are_not_in_the_map() {
    let mut murder = Murder::with(&[("new", "")], |c| {
        c.placement.exclude = vec!["be2".into()];
    })
    .await;
    murder.add_user("root", |a| a.admin = true).await;
    murder.add_user("off", |a| a.disabled = true).await;
    murder.catch_up().await;
    let mut client = murder.lmtp().await;
    client.send("MAIL FROM:<a@b>\r\n").await;
    client.expect("250 ").await;
    for (recipient, reply) in [
        ("nobody", "550 5.1.1 "),
        ("root", "550 5.1.1 "),
        ("off", "550 5.2.1 "),
    ] {
        client
            .send(&format!("RCPT TO:<{recipient}@example.org>\r\n"))
            .await;
        client.expect(reply).await;
    }
    // An account without an INBOX gets one.
    client.send("RCPT TO:<new@example.org>\r\n").await;
    let mut imap = murder.imap_at("be1").await;
    assert_eq!(imap.user, "new");
    let tag = imap
        .expect("CREATE \"user/new\" (PARTITION \"be1!default\")")
        .await;
    let revision = murder.make("user/new", "be1", "new").await;
    imap.send(&format!("{tag} OK [X-REVISION {revision}] done\r\n"))
        .await;
    client.expect("250 2.1.5 ").await;
    murder.stop().await;
}

#[tokio::test]
async fn mail_flows_while_the_master_is_away() {
    let mut murder = Murder::start(&[("bob", "be1")]).await;
    murder.kill_master().await;
    let mut client = murder.lmtp().await;
    client
        .send("MAIL FROM:<a@b>\r\nRCPT TO:<bob>\r\nRCPT TO:<nobody>\r\nDATA\r\n")
        .await;
    let mut one = murder.lmtp_at("be1").await;
    one.transaction("MAIL FROM:<a@b>", &["bob"]).await;
    for reply in ["250 ", "250 "] {
        client.expect(reply).await;
    }
    // Nobody is sent away for good on the word of an old map.
    client.expect("451 4.4.3 ").await;
    client.expect("354 ").await;
    client.send(".\r\n").await;
    one.message_bytes().await;
    one.0.send("250 2.1.5 ok\r\n").await;
    client.expect("250 2.1.5 ok").await;
    murder.stop().await;
}

#[tokio::test]
async fn commands_in_and_out_of_order() {
    let murder = Murder::with(&[("bob", "be1")], |c| c.lmtp.max_recipients = 100).await;
    let mut client = super::peer::Peer::connect(murder.frontend().addresses().lmtp[0]).await;
    client.expect("220 ").await;
    let long = format!("NOOP {}", "x".repeat(10_000));
    for (command, reply) in [
        ("MAIL FROM:<a@b>", "503 5.5.1 "),
        ("EHLO x", "500 "),
        ("LHLO", "501 "),
        ("BREW", "500 5.5.1 "),
        ("NOOP \0", "501 "),
        (&long, "500 5.5.2 "),
    ] {
        client.send(&format!("{command}\r\n")).await;
        client.expect(reply).await;
    }
    client.send("LHLO x\r\n").await;
    let mut lines = vec![client.line().await];
    while lines.last().unwrap().starts_with("250-") {
        lines.push(client.line().await);
    }
    for extension in [
        "PIPELINING",
        "8BITMIME",
        "ENHANCEDSTATUSCODES",
        "STARTTLS",
        "SIZE 1048576",
    ] {
        assert!(lines.iter().any(|l| &l[4..] == extension), "{lines:?}");
    }
    for (command, reply) in [
        ("RCPT TO:<bob>", "503 "),
        ("DATA", "503 "),
        ("VRFY bob", "252 "),
        ("MAIL FROM:<a@b> SIZE=1048577", "552 5.3.4 "),
        ("MAIL FROM:<a@b> FOO=1", "555 "),
        ("MAIL FROM:<a@b>", "250 "),
        ("MAIL FROM:<a@b>", "503 "),
        ("DATA", "503 "),
        ("RCPT TO:<nobody>", "550 "),
        ("DATA", "503 "),
        ("RCPT TO:<bob>", "250 "),
        ("RSET", "250 "),
        ("RCPT TO:<bob>", "503 "),
        ("MAIL FROM:<a@b>", "250 "),
    ] {
        client.send(&format!("{command}\r\n")).await;
        let got = client.line().await;
        assert!(got.starts_with(reply), "{command}: {got}");
    }
    for _ in 0..100 {
        client.send("RCPT TO:<bob>\r\n").await;
        client.expect("250 ").await;
    }
    client.send("RCPT TO:<bob>\r\n").await;
    client.expect("452 4.5.3 ").await;
    for _ in 0..20 {
        client.send("x\r\n").await;
        client.expect("500 ").await;
    }
    client.expect("421 4.7.0 ").await;
    client.closed().await;
    murder.stop().await;
}

#[tokio::test]
async fn too_big_is_stored_nowhere() {
    let mut murder = Murder::start(&[("bob", "be1")]).await;
    let mut client = murder.lmtp().await;
    client
        .send("MAIL FROM:<a@b>\r\nRCPT TO:<bob>\r\nDATA\r\n")
        .await;
    let mut one = murder.lmtp_at("be1").await;
    one.transaction("MAIL FROM:<a@b>", &["bob"]).await;
    for reply in ["250 ", "250 ", "354 "] {
        client.expect(reply).await;
    }
    let line = format!("{}\r\n", "x".repeat(98));
    let sending = async {
        client.send(&line.repeat(11_000)).await;
        client.send(".\r\n").await;
        client.expect("552 5.3.4 ").await;
    };
    let ((), got) = tokio::join!(sending, one.0.rest());
    assert!(!got.ends_with(b"\r\n.\r\n") && got.len() <= 1 << 20);
    client.send("NOOP\r\n").await;
    client.expect("250 ").await;
    murder.stop().await;
}

#[tokio::test]
async fn a_client_that_goes_within_the_message_leaves_nothing() {
    let mut murder = Murder::start(&[("bob", "be1"), ("eve", "be2")]).await;
    let mut client = murder.lmtp().await;
    client
        .send("MAIL FROM:<a@b>\r\nRCPT TO:<bob>\r\nRCPT TO:<eve>\r\nDATA\r\n")
        .await;
    let mut one = murder.lmtp_at("be1").await;
    one.transaction("MAIL FROM:<a@b>", &["bob"]).await;
    let mut two = murder.lmtp_at("be2").await;
    two.transaction("MAIL FROM:<a@b>", &["eve"]).await;
    for reply in ["250 ", "250 ", "250 ", "354 "] {
        client.expect(reply).await;
    }
    client.send("a part\r\n.").await;
    drop(client);
    for backend in [&mut one, &mut two] {
        let got = backend.0.rest().await;
        assert!(got.starts_with(b"a part") && !got.ends_with(b".\r\n"));
    }
    murder.stop().await;
}

#[tokio::test]
async fn a_backend_that_takes_nothing_is_left_behind() {
    let mut murder = Murder::with(&[("bob", "be1"), ("eve", "be2")], |c| {
        c.lmtp.message_limit = 64 << 20;
        c.imap.backend_timeout_seconds = 1;
    })
    .await;
    let mut client = murder.lmtp().await;
    client
        .send("MAIL FROM:<a@b>\r\nRCPT TO:<eve>\r\nRCPT TO:<bob>\r\nDATA\r\n")
        .await;
    let mut one = murder.lmtp_at("be1").await;
    one.transaction("MAIL FROM:<a@b>", &["bob"]).await;
    let mut stuck = murder.lmtp_at("be2").await;
    stuck.transaction("MAIL FROM:<a@b>", &["eve"]).await;
    for reply in ["250 ", "250 ", "250 ", "354 "] {
        client.expect(reply).await;
    }
    // More than the stuck one's socket can hold; it reads none of it.
    let line = format!("{}\r\n", "x".repeat(998));
    let sending = async {
        for _ in 0..32 {
            client.send(&line.repeat(1024)).await;
        }
        client.send(".\r\n").await;
    };
    let receiving = async {
        assert_eq!(one.message_bytes().await.len(), 32 * 1024 * 1000);
        one.0.send("250 2.1.5 ok\r\n").await;
    };
    tokio::join!(sending, receiving);
    client.expect("451 4.4.1 ").await;
    client.expect("250 2.1.5 ok").await;
    drop(stuck);
    murder.stop().await;
}

#[tokio::test]
async fn starttls_for_delivery() {
    let mut murder = Murder::start(&[("bob", "be1")]).await;
    let mut client = murder.lmtp().await;
    client.send("STARTTLS\r\nMAIL FROM:<evil>\r\n").await;
    client.expect("220 ").await;
    let name = murder_net::tls::server_name("fe1", murder_net::Role::Frontend);
    let stream = client
        .into_stream()
        .connect_tls(&super::client_tls(&murder), name)
        .await
        .unwrap();
    let mut client = super::peer::Peer::new(stream);
    client.send("RCPT TO:<bob>\r\nLHLO x\r\n").await;
    client.expect("503 ").await;
    let mut last = client.line().await;
    while last.starts_with("250-") {
        assert!(!last.contains("STARTTLS"));
        last = client.line().await;
    }
    client
        .send("STARTTLS\r\nMAIL FROM:<a@b>\r\nRCPT TO:<bob>\r\nDATA\r\n")
        .await;
    let mut one = murder.lmtp_at("be1").await;
    one.transaction("MAIL FROM:<a@b>", &["bob"]).await;
    for reply in ["503 ", "250 ", "250 ", "354 "] {
        client.expect(reply).await;
    }
    client.send(".\r\n").await;
    one.message_bytes().await;
    one.0.send("250 2.1.5 ok\r\n").await;
    client.expect("250 2.1.5 ok").await;
    murder.stop().await;
}
