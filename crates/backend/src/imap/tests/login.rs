//! LOGIN, AUTHENTICATE, STARTTLS and frontends that vouch for users.

use std::io;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use murder_net::Role;
use parking_lot::Mutex;

use super::support::Server;

#[tokio::test]
async fn passwords_are_checked() {
    let server = Server::start();
    let mut client = server.connect().await;
    client
        .play(
            "C: a LOGIN bob wrong
             S: a NO [AUTHENTICATIONFAILED] Authentication failed
             C: b LOGIN nobody secret
             S: b NO [AUTHENTICATIONFAILED] Authentication failed
             C: c LOGIN dave secret
             S: c NO [AUTHENTICATIONFAILED] Authentication failed
             C: d LOGIN \"\" \"\"
             S: d NO [AUTHENTICATIONFAILED] Authentication failed
             C: e LOGIN BOB secret
             S: e OK [CAPABILITY …] Logged in",
        )
        .await;
}

#[tokio::test]
async fn failures_are_held_back_and_bounded() {
    let server = Server::with(|config| config.limits.failed_login_delay_ms = 30);
    let mut client = server.connect().await;
    let start = std::time::Instant::now();
    for _ in 0..10 {
        client
            .play(
                "C: a LOGIN bob wrong
                 S: a NO [AUTHENTICATIONFAILED] …",
            )
            .await;
    }
    assert!(start.elapsed().as_millis() >= 300);
    assert_eq!(client.ends().await, ["* BYE Too many failed logins"]);
}

#[tokio::test]
async fn plain_comes_with_the_command_or_after_it() {
    let server = Server::start();
    let plain = |text: &str| STANDARD.encode(text);
    let bob = plain("\0bob\0secret");
    let mut client = server.connect().await;
    client
        .play(&format!(
            "C: a AUTHENTICATE PLAIN
             S: +…
             C: *
             S: a BAD Authentication cancelled
             C: b AUTHENTICATE PLAIN
             S: +…
             C: not base64
             S: b BAD Malformed SASL response
             C: c AUTHENTICATE PLAIN =
             S: c BAD Malformed SASL response
             C: d AUTHENTICATE PLAIN {}
             S: d NO [AUTHENTICATIONFAILED] Authentication failed
             C: e AUTHENTICATE PLAIN {}
             S: e NO [AUTHORIZATIONFAILED] …
             C: f AUTHENTICATE CRAM-MD5
             S: f NO [CANNOT] …
             C: g AUTHENTICATE PLAIN
             S: +…
             C: {bob}
             S: g OK [CAPABILITY …] Logged in",
            plain("\0bob\0wrong"),
            plain("carol\0bob\0secret"),
        ))
        .await;
    let mut client = server.connect().await;
    client
        .play(&format!(
            "C: a AUTHENTICATE PLAIN {bob}
             S: a OK …"
        ))
        .await;
    // An administrator as somebody else, with the other's rights.
    let mut client = server.connect().await;
    client
        .play(&format!(
            "C: a AUTHENTICATE PLAIN {}
             S: a OK …
             C: b CREATE \"Shared Folders/board\"
             S: b NO [NOPERM] …",
            plain("bob\0admin\0secret")
        ))
        .await;
}

#[tokio::test]
async fn passwords_are_not_taken_in_clear() {
    let server = Server::with_tls(|config| config.imap.allow_plaintext_loopback = false);
    let mut client = server.connect().await;
    client
        .play(
            "C: a CAPABILITY
             S: * CAPABILITY IMAP4rev1 LITERAL+ SASL-IR ID ENABLE IMAP4rev2 STARTTLS LOGINDISABLED
             S: a OK …
             C: b LOGIN bob secret
             S: b NO [PRIVACYREQUIRED] Use TLS first
             C: c AUTHENTICATE PLAIN AGJvYgBzZWNyZXQ=
             S: c NO [PRIVACYREQUIRED] Use TLS first",
        )
        .await;
    let mut client = server.connect_as_node("be2", Role::Backend).await;
    client
        .play(
            "C: a CAPABILITY
             S: * CAPABILITY IMAP4rev1 LITERAL+ SASL-IR ID ENABLE IMAP4rev2 AUTH=PLAIN
             S: a OK …
             C: b STARTTLS
             S: b BAD TLS is active already
             C: c LOGIN bob secret
             S: c OK …
             C: d STARTTLS
             S: d BAD Already logged in",
        )
        .await;
}

#[tokio::test]
async fn nothing_in_clear_is_taken_behind_starttls() {
    let server = Server::with_tls(|_| {});
    let mut client = server.connect().await;
    client.send("a STARTTLS\r\nb NOOP\r\n").await;
    assert_eq!(client.ends().await, ["* BYE Data behind STARTTLS"]);
}

#[tokio::test]
async fn frontends_vouch_for_users() {
    let server = Server::with_tls(|_| {});
    server.create("user/bob").await;
    server.create("user/carol").await;
    let mut client = server.connect_as_node("fe1", Role::Frontend).await;
    client
        .play(&format!(
            "C: a CAPABILITY
             S: * CAPABILITY … AUTH=EXTERNAL
             S: a OK …
             C: b AUTHENTICATE EXTERNAL =
             S: b NO [AUTHORIZATIONFAILED] Name a user to act for
             C: c AUTHENTICATE EXTERNAL {}
             S: c NO [AUTHORIZATIONFAILED] …",
            STANDARD.encode("dave")
        ))
        .await;
    // As frontends do it: everything at once.
    client
        .send(format!(
            "d AUTHENTICATE EXTERNAL {}\r\n\
             e ID (\"x-session-id\" \"k3f9qz-1a\" \"x-originating-ip\" \"192.0.2.1\")\r\n\
             f STATUS \"user/bob\" (MESSAGES)\r\n",
            STANDARD.encode("bob")
        ))
        .await;
    client
        .play(
            "S: d OK …
             S: * ID …
             S: e OK …
             S: * STATUS \"user/bob\" (MESSAGES 0)
             S: f OK …
             C: g STATUS user/nobody (MESSAGES)
             S: g NO [X-NOT-HERE] …
             C: h STATUS user/carol (MESSAGES)
             S: h NO [NONEXISTENT] …
             C: i CREATE \"user/bob/Entw\u{fc}rfe\" (PARTITION \"default\" USE (\\Drafts))
             S: i OK CREATE completed
             C: j LIST \"\" user/bob/%
             S: * LIST (\\HasNoChildren \\Drafts) \"/\" \"user/bob/Entw\u{fc}rfe\"
             S: j OK …
             C: k NAMESPACE
             S: * NAMESPACE ((\"\" \"/\")) ((\"user/\" \"/\")) ((\"\" \"/\"))
             S: k OK …
             C: l ID (\"x-session-id\" \"k3f9qz-1b\")
             S: * ID …
             S: l OK …",
        )
        .await;
}

#[tokio::test]
async fn only_frontends_vouch_for_users() {
    let server = Server::with_tls(|_| {});
    let external = format!(
        "C: a AUTHENTICATE EXTERNAL {}
         S: a NO [AUTHORIZATIONFAILED] Only …",
        STANDARD.encode("bob")
    );
    server.connect().await.play(&external).await;
    for role in [Role::Backend, Role::Mupdate, Role::Operator] {
        let mut client = server.connect_as_node("other", role).await;
        client.play(&external).await;
    }
}

#[tokio::test]
async fn administrators_come_through_frontends_only_if_configured() {
    for (allowed, answer) in [(false, "NO [NOPERM] …"), (true, "OK …")] {
        let server = Server::with_tls(|config| config.imap.proxy_admins = allowed);
        server.create("user/bob").await;
        let mut client = server.connect_for("admin").await;
        client
            .play(&format!(
                "C: a CREATE board
                 S: a {answer}
                 C: b SELECT user/bob
                 S: b NO [NOPERM] …
                 C: c GETACL user/none
                 S: c NO [X-NOT-HERE] …
                 C: d DELETE user/bob
                 S: d {answer}"
            ))
            .await;
    }
}

#[tokio::test]
async fn a_user_has_so_many_connections() {
    let server = Server::with(|config| config.limits.max_connections_per_user = 2);
    let first = server.login("bob").await;
    let _second = server.login("bob").await;
    let mut third = server.connect().await;
    third
        .play(
            "C: a LOGIN bob secret
             S: a NO [LIMIT] Too many connections of this user
             C: b LOGIN carol secret
             S: b OK …",
        )
        .await;
    first.close().await;
    server.login("bob").await;
}

/// What this process logs. A subscriber of one thread alone would miss spans that another thread
/// has come by first.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(octets);
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// What this thread logs from now on, until the guard is dropped.
    fn begin() -> (Self, tracing::subscriber::DefaultGuard) {
        let log = Self::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        let guard = tracing::subscriber::set_default(subscriber);
        (log, guard)
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().clone()).unwrap()
    }
}

/// An INBOX that a login makes is made in that session.
#[tokio::test]
async fn who_made_an_inbox_is_told() {
    let (log, _guard) = Log::begin();
    let server = Server::start();
    server.login("carol").await;
    let text = log.text();
    let line = |event: &str| {
        let event = format!("event=\"{event}\"");
        let line = text.lines().find(|line| line.contains(&event));
        line.unwrap_or_else(|| panic!("{event} in:\n{text}"))
    };
    let (_, session) = line("login").split_once("session=").unwrap();
    let session = session.split(' ').next().unwrap().replace('"', "");
    let made = line("mailbox.create");
    for part in ["user=\"carol\"", "client=127.0.0.1", &session] {
        assert!(made.contains(part), "{part}: {made}");
    }
}

#[tokio::test]
async fn one_session_id_finds_both_sides() {
    let (log, _guard) = Log::begin();
    let server = Server::with_tls(|_| {});
    server.create("user/bob").await;
    let mut client = server.connect_for("bob").await;
    for (id, rights) in [("k3f9qz-1a", "l"), ("k3f9qz-1b", "lr")] {
        client
            .play(&format!(
                "C: a ID (\"x-session-id\" \"{id}\" \"x-originating-ip\" \"192.0.2.1\")
                 S: * ID …
                 S: a OK …
                 C: b SETACL user/bob carol {rights}
                 S: b OK …"
            ))
            .await;
    }
    let text = log.text();
    let of = |id: &str| {
        let lines = text
            .lines()
            .filter(|line| line.contains("event=\"mailbox.setacl\""));
        let line = lines.clone().find(|line| line.contains(id));
        line.unwrap_or_else(|| panic!("{id} in:\n{text}"))
    };
    for (id, other) in [("k3f9qz-1a", "k3f9qz-1b"), ("k3f9qz-1b", "k3f9qz-1a")] {
        let line = of(id);
        assert!(line.contains("user=\"bob\""), "{line}");
        assert!(line.contains("client=192.0.2.1"), "{line}");
        assert!(!line.contains(other), "{line}");
    }
}
