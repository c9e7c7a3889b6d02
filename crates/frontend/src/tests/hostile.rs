//! Input that no client sends.

use super::Murder;

#[tokio::test]
async fn overlong_lines_and_literals_cost_a_bad() {
    let murder = Murder::start(&[("bob", "be1")]).await;
    let mut client = murder.login("bob").await;
    let long = "x".repeat(70_000);
    for command in [
        format!("LOGIN {long} {long}"),
        format!("LOGIN {{70000+}}\r\n{long} secret"),
        // Each within its bound, not all together.
        format!(
            "LOGIN {{40000+}}\r\n{} {{40000+}}\r\n{}",
            &long[..40_000],
            &long[..40_000]
        ),
        "LOGIN {70000}".into(),
    ] {
        let answer = client.tagged("a", &command).await;
        assert!(answer.starts_with("BAD "), "{answer}");
    }
    assert!(client.tagged("b", "NOOP").await.starts_with("OK "));
    // Of a stranger, less is held and passed over.
    for literal in ["{80000+}", "{99999999999+}", "{99999999999999999999999+}"] {
        let mut client = murder.connect().await;
        client.send(&format!("c LOGIN {literal}\r\n")).await;
        client.expect("c BAD ").await;
        client.expect("* BYE [TOOBIG] ").await;
        client.closed().await;
    }
    murder.stop().await;
}

#[tokio::test]
async fn garbage_ends_with_bye() {
    let murder = Murder::start(&[("bob", "be1")]).await;
    for garbage in [
        &b"GET / HTTP/1.1\r\n"[..],
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n",
        b"a \0\0\0\r\n",
        b"\xff\xfe\xfd\r\n",
        b"\r\n",
        b"a LIST {1+}\r\n\n (((((\r\n",
        b"* OK\r\n",
        b"+ NOOP\r\n",
    ] {
        let mut client = murder.connect().await;
        client.send_bytes(&garbage.repeat(30)).await;
        let mut answers = Vec::new();
        while let Some(line) = client.next_line().await {
            assert!(
                line.contains(" BAD ") || line.starts_with("* BYE "),
                "{line}"
            );
            answers.push(line);
        }
        assert_eq!(answers.len(), 21, "{garbage:?}: {answers:?}");
        assert!(answers[20].starts_with("* BYE "));
    }
    let mut client = murder.login("bob").await;
    assert!(client.tagged("a", "NOOP").await.starts_with("OK "));
    murder.stop().await;
}

#[tokio::test]
async fn deep_nesting_and_odd_arguments() {
    let mut murder = Murder::start(&[("bob", "be1")]).await;
    let mut client = murder.login("bob").await;
    let deep = |open: &str, close: &str| format!("{}{}", open.repeat(1500), close.repeat(1500));
    for command in [
        format!("LIST {} *", deep("(", ")")),
        format!("STATUS INBOX {}", "(".repeat(1500)),
        format!("SELECT INBOX {}", "(".repeat(1500)),
        format!("CREATE x {}", deep("(", ")")),
        "SELECT".into(),
        "SELECT INBOX x".into(),
        "SELECT \"INBOX".into(),
        "SELECT %".into(),
        "ENABLE".into(),
        "ID".into(),
        "ID (\"a\")".into(),
        "UID NOOP".into(),
        "UID".into(),
        "RENAME a".into(),
        "IDLE x".into(),
        "FETCH 1 FLAGS".into(),
        "NOOP x".into(),
    ] {
        let answer = client.tagged("a", &command).await;
        assert!(answer.starts_with("BAD "), "{command:.40}: {answer}");
        assert!(client.tagged("b", "NOOP").await.starts_with("OK "));
    }
    for command in [
        format!("SELECT {}", "a/".repeat(60)),
        format!("SELECT {}", "a".repeat(300)),
        "SELECT \"\"".into(),
        "SELECT a//b".into(),
        "SELECT &&&".into(),
        "SELECT \"x*\"".into(),
    ] {
        let answer = client.tagged("c", &command).await;
        assert!(
            answer.starts_with("NO [CANNOT] "),
            "{command:.40}: {answer}"
        );
    }
    assert!(murder.is_left_alone("be1"));
    murder.stop().await;
}

#[tokio::test]
async fn nothing_reaches_a_backend_before_login() {
    let mut murder = Murder::start(&[("bob", "be1")]).await;
    let mut client = murder.connect().await;
    for command in [
        "SELECT INBOX",
        "NOOP",
        "IDLE",
        "LIST \"\" *",
        "FETCH 1 FLAGS",
        "STATUS INBOX (MESSAGES)",
    ] {
        client.command("a", command).await;
    }
    assert!(murder.is_left_alone("be1"));
    // Nor does whoever breaks off within a command.
    client.send("b LOGIN {6+}\r\nbo").await;
    drop(client);
    let mut client = murder.login("bob").await;
    assert!(client.tagged("a", "NOOP").await.starts_with("OK "));
    murder.stop().await;
}

#[tokio::test]
async fn a_client_that_never_logs_in_is_sent_away() {
    let murder = Murder::with(&[], |c| c.limits.login_timeout_seconds = 1).await;
    let mut client = murder.connect().await;
    // Whatever it says meanwhile.
    assert!(client.tagged("a", "NOOP").await.starts_with("OK "));
    client.expect("* BYE ").await;
    client.closed().await;
    murder.stop().await;
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut_off() {
    let mut murder = Murder::with(&[("bob", "be1")], |c| c.limits.slow_reader_seconds = 1).await;
    let (mut client, mut backend) = murder.select("bob", "INBOX", "be1", "user/bob").await;
    client.send("a FETCH 1:* BODY[]\r\n").await;
    backend.expect("FETCH 1:* BODY[]").await;
    // More than sockets and queues hold; the backend is held up, then let go.
    let body = vec![b'x'; 1 << 20];
    let mut sent = 0;
    backend.send("* 1 FETCH (BODY[] {1073741824}\r\n").await;
    while backend.peer.try_send(&body).await {
        sent += body.len();
        assert!(sent < 100 << 20, "somebody holds all of it");
    }
    drop(client);
    murder.stop().await;
}
