//! The AUTHORIZATION state: USER, PASS, AUTH, STLS, CAPA.

use murder_net::Role;

use super::{inbox, multiline, put_all, with_messages};
use crate::imap::tests::support::Server;

/// RFC 1939 sections 4 and 7.
#[tokio::test]
async fn user_and_pass() {
    let server = with_messages(&[b"a\r\n", b"b\r\n"]).await;
    let mut client = server.connect_pop3().await;
    client
        .play(
            "C: PASS secret
             S: -ERR Say USER first
             C: USER bob
             S: +OK …
             C: PASS wrong
             S: -ERR [AUTH] Authentication failed
             C: PASS secret
             S: -ERR Say USER first
             C: USER nobody
             S: +OK …
             C: PASS secret
             S: -ERR [AUTH] Authentication failed
             C: USER dave
             S: +OK …
             C: PASS secret
             S: -ERR [AUTH] Authentication failed
             C: STAT
             S: -ERR Log in first
             C: NOOP
             S: -ERR Log in first
             C: user Bob
             S: +OK …
             C: pass secret
             S: +OK 2 messages
             C: USER bob
             S: -ERR Logged in already
             C: NOOP
             S: +OK
             C: QUIT
             S: +OK be1 signing off (2 messages left)",
        )
        .await;
    assert!(client.ends().await.is_empty());
    let metrics = &server.pop3_shared.metrics;
    assert_eq!((metrics.logins.get(), metrics.failed_logins.get()), (1, 3));
}

#[tokio::test]
async fn quit_before_login() {
    let server = Server::start();
    let mut client = server.connect_pop3().await;
    client
        .play(
            "C: QUIT
             S: +OK be1 signing off",
        )
        .await;
    assert!(client.ends().await.is_empty());
}

/// RFC 2449 section 5 and 6.3, RFC 4616.
#[tokio::test]
async fn auth_plain() {
    let server = with_messages(&[b"a\r\n"]).await;
    let mut client = server.connect_pop3().await;
    // NUL bob NUL secret; NUL bob NUL wrong; admin as bob.
    client
        .play(
            "C: AUTH
             S: -ERR Syntax error
             C: AUTH CRAM-MD5
             S: -ERR Mechanism is not supported
             C: AUTH PLAIN AGJvYgB3cm9uZw==
             S: -ERR [AUTH] Authentication failed
             C: AUTH PLAIN
             S: + 
             C: *
             S: -ERR Authentication cancelled
             C: AUTH PLAIN
             S: + 
             C: not base64
             S: -ERR Malformed SASL response
             C: AUTH PLAIN =
             S: -ERR Malformed SASL response
             C: AUTH EXTERNAL Ym9i
             S: -ERR [AUTH] Only the frontends of the murder may act for users
             C: AUTH plain
             S: + 
             C: AGJvYgBzZWNyZXQ=
             S: +OK 1 message
             C: AUTH PLAIN AGJvYgBzZWNyZXQ=
             S: -ERR Logged in already
             C: QUIT
             S: +OK …",
        )
        .await;
    let mut client = server.connect_pop3().await;
    client
        .play(
            "C: AUTH PLAIN Ym9iAGFkbWluAHNlY3JldA==
             S: +OK 1 message
             C: QUIT
             S: +OK …",
        )
        .await;
    let mut client = server.connect_pop3().await;
    client
        .play(
            "C: AUTH PLAIN YWRtaW4AYm9iAHNlY3JldA==
             S: -ERR [AUTH] Not authorized to act as that user",
        )
        .await;
}

#[tokio::test]
async fn capabilities() {
    let always = [
        "TOP",
        "UIDL",
        "RESP-CODES",
        "AUTH-RESP-CODE",
        "PIPELINING",
        "EXPIRE NEVER",
    ];
    let server = Server::with_tls(|_| {});
    server.create("user/bob").await;
    let mut client = server.connect_pop3().await;
    let (_, list) = multiline(&mut client, "CAPA").await;
    let rest = ["USER", "SASL PLAIN", "STLS", "IMPLEMENTATION murder"];
    assert_eq!(list, [&always[..], &rest[..]].concat());
    // The same in the TRANSACTION state.
    let mut client = server.login_pop3("bob").await;
    assert_eq!(multiline(&mut client, "CAPA").await.1, list);

    let mut client = server.connect_pop3_as_node("fe1", Role::Frontend).await;
    let (_, list) = multiline(&mut client, "CAPA").await;
    let rest = ["USER", "SASL PLAIN EXTERNAL", "IMPLEMENTATION murder"];
    assert_eq!(list, [&always[..], &rest[..]].concat());

    let server = Server::with_tls(|config| config.pop3.allow_plaintext_loopback = false);
    let mut client = server.connect_pop3().await;
    let (_, list) = multiline(&mut client, "CAPA").await;
    let rest = ["STLS", "IMPLEMENTATION murder"];
    assert_eq!(list, [&always[..], &rest[..]].concat());
}

/// RFC 2595 section 4.
#[tokio::test]
async fn no_passwords_without_tls() {
    let server = Server::with_tls(|config| config.pop3.allow_plaintext_loopback = false);
    server.create("user/bob").await;
    let mut client = server.connect_pop3().await;
    client
        .play(
            "C: USER bob
             S: -ERR Use TLS first
             C: PASS secret
             S: -ERR Use TLS first
             C: AUTH PLAIN AGJvYgBzZWNyZXQ=
             S: -ERR Use TLS first
             C: AUTH PLAIN
             S: -ERR Use TLS first",
        )
        .await;
    let mut client = server.connect_pop3_as_node("be2", Role::Backend).await;
    client
        .play(
            "C: STLS
             S: -ERR Command not permitted when TLS active
             C: AUTH EXTERNAL Ym9i
             S: -ERR [AUTH] Only the frontends of the murder may act for users
             C: USER bob
             S: +OK …
             C: PASS secret
             S: +OK 0 messages
             C: STLS
             S: -ERR Logged in already
             C: QUIT
             S: +OK …",
        )
        .await;
    let server = Server::start();
    let mut client = server.connect_pop3().await;
    client
        .play(
            "C: STLS
             S: -ERR TLS is not available",
        )
        .await;
}

/// What came in plain text is not taken for something that came under TLS.
#[tokio::test]
async fn nothing_is_injected_before_tls() {
    let server = Server::with_tls(|_| {});
    for behind in ["USER bob\r\nPASS secret\r\n", "U", "\r\n"] {
        let mut client = server.connect_pop3().await;
        client.send(format!("STLS\r\n{behind}")).await;
        assert_eq!(client.ends().await, ["-ERR Data behind STLS"], "{behind}");
    }
    // Nor is a USER from before.
    let mut client = server.connect_pop3().await;
    client
        .play(
            "C: USER bob
             S: +OK …",
        )
        .await;
    let mut client = server.stls(client, "fe1", Role::Frontend).await;
    client
        .play(
            "C: PASS secret
             S: -ERR Say USER first",
        )
        .await;
}

#[tokio::test]
async fn a_frontend_acts_for_users() {
    let server = Server::with_tls(|config| config.limits.max_connections_per_user = 1);
    put_all(&server, &[b"a\r\n"]).await;
    // They are counted at the frontend.
    let mut open = Vec::new();
    for _ in 0..3 {
        let mut client = server.connect_pop3_as_node("fe1", Role::Frontend).await;
        client
            .play(
                "C: AUTH EXTERNAL =
                 S: -ERR [AUTH] Name a user to act for
                 C: AUTH EXTERNAL ZGF2ZQ==
                 S: -ERR [AUTH] No such user, or the account is disabled
                 C: AUTH EXTERNAL Y2Fyb2w=
                 S: -ERR [SYS/TEMP/NOT-HERE] INBOX is not on this backend
                 C: AUTH EXTERNAL
                 S: + 
                 C: Ym9i
                 S: +OK 1 message
                 C: STAT
                 S: +OK 1 3",
            )
            .await;
        open.push(client);
    }
}

#[tokio::test]
async fn too_many_connections_of_a_user() {
    let server = Server::with(|config| config.limits.max_connections_per_user = 2);
    let mut first = server.login_pop3("bob").await;
    // IMAP counts too.
    let _second = server.login("bob").await;
    let mut client = server.connect_pop3().await;
    client
        .play(
            "C: USER bob
             S: +OK …
             C: PASS secret
             S: -ERR [IN-USE] Too many connections of yours",
        )
        .await;
    first
        .play(
            "C: QUIT
             S: +OK …",
        )
        .await;
    assert!(first.ends().await.is_empty());
    client
        .play(
            "C: USER bob
             S: +OK …
             C: PASS secret
             S: +OK 0 messages",
        )
        .await;
}

/// An administrator has no INBOX, and one's own may be closed to oneself.
#[tokio::test]
async fn without_an_inbox_to_read() {
    let server = Server::start();
    server.create("user/bob").await;
    server.allow("user/bob", "bob", "lswipkxtea").await;
    let mut client = server.connect_pop3().await;
    client
        .play(
            "C: USER admin
             S: +OK …
             C: PASS secret
             S: -ERR [SYS/PERM] There is no INBOX of yours on this server
             C: USER bob
             S: +OK …
             C: PASS secret
             S: -ERR [SYS/PERM] You may not read your INBOX",
        )
        .await;
    // The refused logins hold no connection of the user's.
    assert_eq!(server.node.sessions.used("admin"), 0);
    assert_eq!(server.node.sessions.used("bob"), 0);
    assert!(server.node.find(&inbox()).is_some());
    // One who has none gets it.
    server.login_pop3("carol").await;
    assert_eq!(server.messages("user/carol").await, 0);
}
