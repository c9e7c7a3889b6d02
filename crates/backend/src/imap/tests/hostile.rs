//! What no mail client sends.

use std::time::Duration;

use super::support::{Server, noise};

#[tokio::test]
async fn nonsense_is_bad_and_the_session_goes_on() {
    let server = Server::start();
    let mut client = server.login("bob").await;
    client.send(b"a FROBNICATE\r\n").await;
    client.play("S: a BAD …").await;
    client.send(b"b \xff\xfe\x80\r\n").await;
    client.play("S: b BAD …").await;
    client.send(b"\r\n").await;
    client.play("S: * BAD …").await;
    client.send(b"c SELECT \"\x00\"\r\n").await;
    client.play("S: c BAD …").await;
    client.send(b"d LIST \"\" \xc3\x28\r\n").await;
    client.play("S: d …").await;
    client.send(b"e STATUS INBOX ()\r\n").await;
    client.play("S: e BAD …").await;
    client
        .play(
            "C: f NOOP
             S: f OK …",
        )
        .await;
}

#[tokio::test]
async fn too_much_nonsense_is_the_end() {
    let server = Server::start();
    let mut client = server.login("bob").await;
    // A good one in between counts anew.
    client.send("x NONSENSE\r\n".repeat(19)).await;
    client.send("a NOOP\r\n").await;
    client.send("x NONSENSE\r\n".repeat(20)).await;
    let lines = client.ends().await;
    assert_eq!(lines.len(), 19 + 1 + 20 + 1);
    assert_eq!(lines[40], "* BYE Too many bad commands");
}

#[tokio::test]
async fn long_lines_and_literals_are_bounded() {
    let server = Server::start();
    let mut client = server.login("bob").await;
    client
        .send([b"a NOOP ", &[b'x'; 200_000][..], b"\r\n"].concat())
        .await;
    client.play("S: a BAD …").await;
    client
        .play(
            "C: b LIST \"\" {70000}
             S: b BAD …
             C: c NOOP
             S: c OK …",
        )
        .await;
    client
        .send([b"d LIST \"\" {200000+}\r\n", &[b'x'; 200_000][..], b"\r\n"].concat())
        .await;
    client
        .play(
            "S: d BAD …
             C: e NOOP
             S: e OK …",
        )
        .await;
    // The end of so much is not waited for.
    client.play("C: f LIST \"\" {9999999999+}").await;
    let lines = client.ends().await;
    assert!(lines.last().unwrap().starts_with("* BYE "), "{lines:?}");
}

#[tokio::test]
async fn strangers_may_send_little() {
    let server = Server::start();
    let mut client = server.connect().await;
    client
        .send([b"a LOGIN bob {80000+}\r\n", &[b'x'; 1000][..]].concat())
        .await;
    let lines = client.ends().await;
    assert!(lines.last().unwrap().starts_with("* BYE "), "{lines:?}");
    let mut client = server.connect().await;
    client
        .play(
            "C: a APPEND INBOX {5+}
             C: hello
             S: a BAD Log in first
             C: b APPEND INBOX {100000+}
             S: b BAD Log in first",
        )
        .await;
    let lines = client.ends().await;
    assert!(lines.last().unwrap().starts_with("* BYE "), "{lines:?}");
}

#[tokio::test]
async fn nesting_is_bounded() {
    let server = Server::start();
    let mut client = server.login("bob").await;
    let open = "(".repeat(5000);
    client.send(format!("a SEARCH {open}\r\n")).await;
    client.play("S: a BAD …").await;
    client.send(format!("b LIST {open} \"\" *\r\n")).await;
    client.play("S: b BAD …").await;
}

#[tokio::test]
async fn random_octets_end_no_server() {
    let server = Server::start();
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..20 {
        let mut client = server.login("bob").await;
        let octets = noise(&mut seed, 4096);
        client.send(&octets).await;
        client.close().await;
    }
    server
        .login("bob")
        .await
        .play(
            "C: a NOOP
             S: a OK …",
        )
        .await;
}

#[tokio::test]
async fn who_does_not_read_is_cut_off() {
    let server = Server::with(|config| config.limits.slow_reader_seconds = 1);
    let mut client = server.login("bob").await;
    // Far more answers than sockets hold, none of them read; then nothing can be sent either,
    // until the connection is closed.
    let commands = "a CAPABILITY\r\n".repeat(5000);
    let sending = async { while client.try_send(&commands).await.is_ok() {} };
    tokio::time::timeout(Duration::from_secs(20), sending)
        .await
        .expect("the session ends");
    let mut other = server.login("bob").await;
    other
        .play(
            "C: a NOOP
             S: a OK …",
        )
        .await;
}
