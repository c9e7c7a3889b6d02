//! APPEND: what is decided here, and what streams by.

use super::Murder;

#[tokio::test]
async fn a_small_message_goes_where_the_mailbox_is() {
    let mut murder = Murder::start(&[("bob", "be1")]).await;
    murder.make("user/bob/x", "be1", "bob").await;
    let mut client = murder.login("bob").await;
    client
        .send("a APPEND \"x\" (\\Seen $Junk) \"01-Feb-2026 10:00:00 +0100\" {5}\r\n")
        .await;
    client.expect("+ ").await;
    client.send("hello\r\n").await;
    let mut old = murder.imap_at("be1").await;
    let tag = old
        .expect("APPEND \"user/bob/x\" (\\Seen $Junk) \" 1-Feb-2026 10:00:00 +0100\" {5+}\r\nhello")
        .await;
    // It has moved meanwhile; the message is not lost for that.
    murder.unmake("user/bob/x", "be1").await;
    murder.make("user/bob/x", "be2", "bob").await;
    old.send(&format!("{tag} NO [X-NOT-HERE] no\r\n")).await;
    let mut new = murder.imap_at("be2").await;
    new.answer(
        "APPEND \"user/bob/x\" (\\Seen $Junk) \" 1-Feb-2026 10:00:00 +0100\" {5+}\r\nhello",
        "{tag} OK [APPENDUID 7 1] stored\r\n",
    )
    .await;
    client.expect("a OK [APPENDUID 7 1] stored").await;
    assert!(client.tagged("b", "NOOP").await.starts_with("OK "));
    murder.stop().await;
}

#[tokio::test]
async fn a_large_message_streams() {
    let mut murder = Murder::start(&[("bob", "be1")]).await;
    let (mut client, mut backend) = murder.select("bob", "INBOX", "be1", "user/bob").await;
    let body = "0123456789abcde\n".repeat(60_000);
    for synchronising in [true, false] {
        let plus = if synchronising { "" } else { "+" };
        client
            .send(&format!(
                "a APPEND {{5+}}\r\nINBOX {{{}{plus}}}\r\n",
                body.len()
            ))
            .await;
        if synchronising {
            client.expect("+ ").await;
        }
        let sending = async {
            client.send(&body).await;
            // The next command comes with it.
            client.send("\r\nb NOOP\r\n").await;
        };
        let head = format!("APPEND \"user/bob\" {{{}+}}", body.len());
        let receiving = backend.expect_append(&head);
        let ((), (tag, got)) = tokio::join!(sending, receiving);
        assert!(got == body.as_bytes(), "the message differs");
        // It is the selected mailbox, so its news come along.
        backend
            .send(&format!(
                "* 4 EXISTS\r\n{tag} OK [APPENDUID 1 4] stored\r\n"
            ))
            .await;
        client.expect("* 4 EXISTS").await;
        client.expect("a OK [APPENDUID 1 4] stored").await;
        backend.answer("NOOP", "{tag} OK done\r\n").await;
        client.expect("b OK ").await;
    }
    murder.stop().await;
}

impl super::FakeImap {
    /// An APPEND with a large message: its tag and the message.
    async fn expect_append(&mut self, head: &str) -> (String, Vec<u8>) {
        let mut line = self.peer.line().await;
        while line.contains(" X-NEXTID ") {
            line = self.peer.line().await;
        }
        let (tag, got) = line.split_once(' ').unwrap();
        assert_eq!(got, head);
        let (_, octets) = got.strip_suffix("+}").unwrap().rsplit_once('{').unwrap();
        let message = self.peer.octets(octets.parse().unwrap()).await;
        assert_eq!(self.peer.line().await, "");
        (tag.to_owned(), message)
    }
}

#[tokio::test]
async fn a_refusal_in_the_middle_is_passed_on_at_the_end() {
    let mut murder = Murder::start(&[("bob", "be1")]).await;
    let mut client = murder.login("bob").await;
    let body = "x".repeat(200_000);
    client.send("a APPEND INBOX {200000+}\r\n").await;
    client.send(&body[..100_000]).await;
    let mut backend = murder.imap_at("be1").await;
    let line = loop {
        let line = backend.peer.line().await;
        if line.contains(" APPEND ") {
            break line;
        }
        let (tag, _) = line.split_once(' ').unwrap();
        backend.send(&format!("{tag} OK\r\n")).await;
    };
    let (tag, _) = line.split_once(' ').unwrap();
    backend
        .send(&format!("{tag} NO [OVERQUOTA] full\r\n"))
        .await;
    client.send(&body[100_000..]).await;
    client.send("\r\nb NOOP\r\n").await;
    backend.peer.octets(200_000).await;
    assert_eq!(backend.peer.line().await, "");
    assert_eq!(client.line().await, "a NO [OVERQUOTA] full");
    client.expect("b OK ").await;
    // The connection is still of use.
    client.send("c STATUS INBOX (MESSAGES)\r\n").await;
    backend
        .answer("STATUS \"user/bob\" (MESSAGES)", "{tag} OK done\r\n")
        .await;
    client.expect("c OK ").await;
    murder.stop().await;
}

#[tokio::test]
async fn a_client_that_goes_within_a_message_leaves_nothing() {
    let mut murder = Murder::start(&[("bob", "be1")]).await;
    // Small: the backend never hears of it.
    let mut client = murder.login("bob").await;
    client.send("a APPEND INBOX {100+}\r\nnot all of it").await;
    drop(client);
    assert!(murder.is_left_alone("be1"));
    // Large: what it has heard has no end.
    let mut client = murder.login("bob").await;
    client.send("a APPEND INBOX {100000+}\r\n").await;
    client.send(&"x".repeat(99_999)).await;
    let mut backend = murder.imap_at("be1").await;
    drop(client);
    let heard = backend.peer.rest().await;
    let head = b"APPEND \"user/bob\" {100000+}\r\n";
    let at = heard.windows(head.len()).position(|w| w == head).unwrap();
    assert!(heard.len() - at - head.len() < 100_000);
    // Without the last line end neither.
    let mut client = murder.login("bob").await;
    client.send("a APPEND INBOX {100000+}\r\n").await;
    client.send(&"x".repeat(100_000)).await;
    let mut backend = murder.imap_at("be1").await;
    drop(client);
    let heard = backend.peer.rest().await;
    assert!(heard.ends_with(b"xxx"));
    murder.stop().await;
}

#[tokio::test]
async fn refused_before_anything_is_sent() {
    let mut murder = Murder::start(&[("bob", "be1")]).await;
    let mut client = murder.connect().await;
    let answer = client.tagged("a", "APPEND INBOX {3+}\r\nabc").await;
    assert!(answer.starts_with("BAD "), "{answer}");
    let mut client = murder.login("bob").await;
    for (command, start) in [
        // A client that waits for the go-ahead sends nothing of it.
        ("APPEND new {3}", "NO [TRYCREATE] "),
        ("APPEND new {3+}\r\nabc", "NO [TRYCREATE] "),
        ("APPEND INBOX {1048577}", "NO [TOOBIG] "),
        ("APPEND INBOX {0}", "NO There is no message"),
        ("APPEND INBOX {0+}\r\n", "NO There is no message"),
        ("APPEND INBOX UTF8 (~{3+}\r\nabc)", "BAD "),
        ("APPEND {3+}\r\nabc", "BAD "),
        ("APPEND", "BAD "),
    ] {
        let answer = client.tagged("b", command).await;
        assert!(answer.starts_with(start), "{command}: {answer}");
    }
    // As much as a message may have is passed over, whatever it is refused for; not more.
    let whole = format!("APPEND new {{1048576+}}\r\n{}", "x".repeat(1_048_576));
    assert!(
        client
            .tagged("c", &whole)
            .await
            .starts_with("NO [TRYCREATE] ")
    );
    assert!(client.tagged("d", "NOOP").await.starts_with("OK "));
    assert!(murder.is_left_alone("be1"));
    for (name, code) in [
        ("INBOX", "TOOBIG"),
        ("new", "TOOBIG"),
        ("a//b", "TOOBIG"),
        ("%", ""),
    ] {
        let mut client = murder.login("bob").await;
        client
            .send(&format!("e APPEND {name} {{99999999999+}}\r\n"))
            .await;
        match code {
            "" => client.expect("e BAD ").await,
            code => client.expect(&format!("e NO [{code}] ")).await,
        };
        client.expect("* BYE [TOOBIG] ").await;
        client.closed().await;
    }
    murder.stop().await;
}

#[tokio::test]
async fn a_second_message_makes_the_command_bad() {
    let mut murder = Murder::start(&[("bob", "be1")]).await;
    let mut client = murder.login("bob").await;
    client
        .send("a APPEND INBOX {3+}\r\nabc {3+}\r\ndef\r\nb NOOP\r\n")
        .await;
    let mut backend = murder.imap_at("be1").await;
    // What ends it cannot be taken for its end.
    backend
        .answer("APPEND \"user/bob\" {3+}\r\nabc (", "{tag} BAD what?\r\n")
        .await;
    client.expect("a BAD ").await;
    client.expect("b OK ").await;
    murder.stop().await;
}

/// A message whose answer is lost is asked about, and the answer passed on.
#[tokio::test]
async fn a_lost_answer_is_found_out() {
    for (answer, client_hears) in [
        (
            "OK [APPENDUID 1 7] It was done",
            "a OK [APPENDUID 1 7] APPEND completed",
        ),
        ("NO [X-NOT-DONE] It was not", "a NO [UNAVAILABLE] "),
    ] {
        for octets in [5, 100_000] {
            let mut murder = Murder::start(&[("bob", "be1")]).await;
            let mut client = murder.login("bob").await;
            let message = "x".repeat(octets);
            client
                .send(&format!("a APPEND INBOX {{{octets}+}}\r\n{message}\r\n"))
                .await;
            let mut backend = murder.imap_at("be1").await;
            let (_, command) = backend.next().await.unwrap();
            assert!(command.starts_with("APPEND \"user/bob\" {"), "{command}");
            let id = std::mem::take(&mut backend.next_id);
            assert_eq!(id.len(), 32);
            drop(backend);
            // One that is still starting says other things first.
            let mut backend = murder.imap_at("be1").await;
            let question = format!("X-DONE \"user/bob\" {id}");
            backend
                .answer(&question, "{tag} NO [UNAVAILABLE] not yet\r\n")
                .await;
            backend
                .answer(&question, &format!("{{tag}} {answer}\r\n"))
                .await;
            client.expect(client_hears).await;
            client.send("b NOOP\r\n").await;
            client.expect("b OK ").await;
            murder.stop().await;
        }
    }
}

/// NO would make the client store it once more.
#[tokio::test]
async fn what_cannot_be_found_out_ends_the_session() {
    let mut murder = Murder::start(&[("bob", "be1")]).await;
    let mut client = murder.login("bob").await;
    client.send("a APPEND INBOX {5+}\r\nhello\r\n").await;
    let mut backend = murder.imap_at("be1").await;
    backend.next().await.unwrap();
    drop(backend);
    let mut backend = murder.imap_at("be1").await;
    let refusing = async {
        while let Some((tag, command)) = backend.next().await {
            assert!(command.starts_with("X-DONE "), "{command}");
            backend
                .send(&format!("{tag} NO [UNAVAILABLE] no\r\n"))
                .await;
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = refusing => {}
        _ = client.expect("* BYE [UNAVAILABLE] ") => {}
    }
    client.closed().await;
    murder.stop().await;
}

/// A message of which the backend has not got the end is not stored: NO is true.
#[tokio::test]
async fn half_a_message_is_not_asked_about() {
    let mut murder = Murder::start(&[("bob", "be1")]).await;
    let mut client = murder.login("bob").await;
    client.send("a APPEND INBOX {100000+}\r\n").await;
    client.send(&"x".repeat(50_000)).await;
    let backend = murder.imap_at("be1").await;
    drop(backend);
    client.send(&"x".repeat(50_000)).await;
    client.send("\r\nb NOOP\r\n").await;
    client.expect("a NO [UNAVAILABLE] ").await;
    client.expect("b OK ").await;
    assert!(murder.is_left_alone("be1"));
    murder.stop().await;
}

/// What a backend tells of the selected mailbox while the message is on its way is the client's,
/// the status responses among it too: a keyword of another session would be told by half.
#[tokio::test]
async fn news_in_the_middle_are_whole() {
    let mut murder = Murder::start(&[("bob", "be1")]).await;
    let (mut client, mut backend) = murder.select("bob", "INBOX", "be1", "user/bob").await;
    client.send("a APPEND INBOX {200000+}\r\n").await;
    client.send(&"x".repeat(100_000)).await;
    let mut line = backend.peer.line().await;
    while !line.contains(" APPEND ") {
        line = backend.peer.line().await;
    }
    let (tag, _) = line.split_once(' ').unwrap();
    let news = [
        "* FLAGS (\\Seen new)",
        "* OK [PERMANENTFLAGS (\\Seen new \\*)] Flags permitted",
        "* 1 FETCH (FLAGS (new))",
    ];
    for line in news {
        backend.send(&format!("{line}\r\n")).await;
    }
    for line in news {
        assert_eq!(client.line().await, line);
    }
    client.send(&"x".repeat(100_000)).await;
    client.send("\r\n").await;
    backend.peer.octets(200_000).await;
    assert_eq!(backend.peer.line().await, "");
    backend.send(&format!("{tag} OK stored\r\n")).await;
    client.expect("a OK stored").await;
    murder.stop().await;
}

/// An ESEARCH names the command by the client's tag, however long it is.
#[tokio::test]
async fn esearch_has_the_tag_of_the_client() {
    let mut murder = Murder::start(&[("bob", "be1")]).await;
    let (mut client, mut backend) = murder.select("bob", "INBOX", "be1", "user/bob").await;
    client
        .send("x.1 UID SEARCH RETURN (ALL) ALL\r\nx.2 NOOP\r\n")
        .await;
    let tag = backend.expect("UID SEARCH RETURN (ALL) ALL").await;
    let noop = backend.expect("NOOP").await;
    let uids: Vec<String> = (1..10_000).map(|n| (2 * n).to_string()).collect();
    let uids = uids.join(",");
    backend
        .send(&format!(
            "* 1 EXISTS\r\n* ESEARCH (TAG \"{tag}\") UID ALL {uids}\r\n* ESEARCH UID COUNT 1\r\n\
             {tag} OK done\r\n* ESEARCH (TAG \"{noop}\") COUNT 0\r\n{noop} OK done\r\n"
        ))
        .await;
    for line in [
        "* 1 EXISTS",
        &*format!("* ESEARCH (TAG \"x.1\") UID ALL {uids}"),
        "* ESEARCH UID COUNT 1",
        "x.1 OK done",
        "* ESEARCH (TAG \"x.2\") COUNT 0",
        "x.2 OK done",
    ] {
        assert_eq!(client.line().await, line);
    }
    murder.stop().await;
}
