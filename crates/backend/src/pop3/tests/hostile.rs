//! Input that no mail client sends.

use super::with_messages;
use crate::imap::tests::support::{Server, noise};

#[tokio::test]
async fn lines_that_are_no_commands() {
    let server = with_messages(&[b"a\r\n"]).await;
    let mut client = server.login_pop3("bob").await;
    for (line, answer) in [
        (&b"\r\n"[..], "-ERR Unknown command"),
        (b"\0\0\0\0\r\n", "-ERR Unknown command"),
        (b"\xff\xfe\xfd\r\n", "-ERR Unknown command"),
        (b"RETR \xff\r\n", "-ERR Syntax error"),
        (b"RETR 1\r1\r\n", "-ERR Syntax error"),
        (
            b"RETR 00000000000000000000000000\r\n",
            "-ERR No such message, only 1 message in maildrop",
        ),
        (
            b"APOP bob c4c9334bac560ecc979e58001b3e22fb\r\n",
            "-ERR Unknown command",
        ),
        (b"NOOP\n", "+OK"),
    ] {
        client.send(line).await;
        assert_eq!(client.line().await, answer, "{line:?}");
    }
    for length in [300, 4000] {
        client.send(vec![b'x'; length]).await;
        client.play("C:\nS: -ERR Unknown command").await;
    }
    for length in [5000, 1 << 20] {
        client.send(vec![b'x'; length]).await;
        client.play("C: NOOP\nS: -ERR Line too long").await;
    }
    client.play("C: NOOP\nS: +OK").await;
}

#[tokio::test]
async fn too_many_bad_commands() {
    let server = Server::start();
    for line in ["GET / HTTP/1.1", "STAT", "USER", "PASS x"] {
        let mut client = server.connect_pop3().await;
        client.send(format!("{line}\r\n").repeat(200)).await;
        let lines = client.ends().await;
        assert_eq!(lines.len(), 21, "{line}");
        assert_eq!(lines.last().unwrap(), "-ERR Too many bad commands");
    }
}

#[tokio::test]
async fn guessing_passwords() {
    let server = Server::start();
    let mut client = server.connect_pop3().await;
    client.send("USER bob\r\nPASS guess\r\n".repeat(50)).await;
    let lines = client.ends().await;
    let refused = lines
        .iter()
        .filter(|line| line.starts_with("-ERR [AUTH] "))
        .count();
    assert_eq!(refused, 10);
    assert_eq!(lines.last().unwrap(), "-ERR Too many failed logins");
    assert_eq!(server.pop3_shared.metrics.failed_logins.get(), 10);
}

#[tokio::test]
async fn who_does_not_log_in_is_sent_away() {
    let server = Server::with(|config| config.limits.login_timeout_seconds = 3);
    let mut silent = server.connect_pop3().await;
    let mut busy = server.connect_pop3().await;
    busy.send("USER bob\r\nAUTH PLAIN\r\n").await;
    assert_eq!(silent.ends().await, [""; 0]);
    assert_eq!(busy.ends().await, ["+OK Send the password", "+ "]);
}

/// One who sends commands and does not read stops the session, and in the end loses it.
#[tokio::test]
async fn a_client_that_does_not_read() {
    let server = Server::with(|config| config.limits.slow_reader_seconds = 1);
    super::put_all(&server, &[&super::sized(500_000)]).await;
    let mut client = server.login_pop3("bob").await;
    let all = "RETR 1\r\n".repeat(1000);
    let mut sent = 0;
    while sent < 200 && client.try_send(&all).await.is_ok() {
        sent += 1;
    }
    let gone = async {
        while server.node.sessions.used("bob") > 0 {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    let gone = tokio::time::timeout(std::time::Duration::from_secs(20), gone);
    gone.await.expect("the session ends");
    assert!(server.pop3_shared.retrieved.get() < 1000);
}

/// Numbers, names and responses of every length.
#[tokio::test]
async fn arguments_that_are_too_much() {
    let server = with_messages(&[b"a\r\n"]).await;
    let mut client = server.login_pop3("bob").await;
    let nines = "9".repeat(1_000);
    for command in [
        format!("RETR {nines}"),
        format!("TOP 1 {nines}"),
        format!("TOP {nines} 0"),
        format!("DELE {nines}"),
        format!("LIST {nines}"),
        format!("UIDL {nines}"),
        "RETR -1".into(),
        "RETR 0".into(),
        "RETR 18446744073709551617".into(),
        "DELE 4294967297".into(),
        "TOP 1 -1".into(),
    ] {
        client.send(format!("{command}\r\n")).await;
        let line = client.line().await;
        if line.starts_with("+OK") {
            // All lines that there are, and more.
            assert!(command.starts_with("TOP 1 9"), "{command}: {line}");
            client.play("S: a\nS: .").await;
        }
        client.play("C: NOOP\nS: +OK").await;
    }
    let mut stranger = server.connect_pop3().await;
    let name = "x".repeat(4_000);
    for command in [
        format!("USER {name}"),
        format!("AUTH {name}"),
        format!("PASS {name}"),
    ] {
        stranger.send(format!("{command}\r\n")).await;
        let line = stranger.line().await;
        assert!(
            line.starts_with("-ERR") || line.starts_with("+OK"),
            "{line}"
        );
    }
    stranger.play("C: AUTH PLAIN\nS: + ").await;
    stranger.send(vec![b'A'; 1 << 20]).await;
    stranger
        .play(
            "C:
             S: -ERR…
             C: USER bob
             S: +OK…
             C: PASS secret
             S: +OK…",
        )
        .await;
}

#[tokio::test]
async fn random_octets_end_no_server() {
    let server = with_messages(&[b"a\r\n"]).await;
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    for _ in 0..20 {
        let mut client = server.login_pop3("bob").await;
        let octets = noise(&mut seed, 4096);
        let _ = client.try_send(&octets).await;
        client.close().await;
    }
    server.login_pop3("bob").await.play("C: NOOP\nS: +OK").await;
    assert_eq!(server.messages("user/bob").await, 1);
}

#[tokio::test]
async fn floods_are_answered_in_order() {
    let server = with_messages(&[b"a\r\n"]).await;
    let mut client = server.login_pop3("bob").await;
    client.send("NOOP\r\nSTAT\r\n".repeat(5_000)).await;
    for _ in 0..5_000 {
        assert_eq!(client.line().await, "+OK");
        assert_eq!(client.line().await, "+OK 1 3");
    }
}
