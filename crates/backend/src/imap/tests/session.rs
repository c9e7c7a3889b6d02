//! The session itself: states, pipelining, timeouts, the end.

use std::time::Duration;

use super::support::Server;

#[tokio::test]
async fn commands_have_their_states() {
    let server = Server::start();
    let mut client = server.connect().await;
    client
        .play(
            "C: a NOOP
             S: a OK NOOP completed
             C: b LIST \"\" *
             S: b BAD Log in first
             C: c SELECT INBOX
             S: c BAD Log in first
             C: d LOGIN bob secret
             S: d OK …
             C: e LOGIN bob secret
             S: e BAD Already logged in
             C: f FETCH 1 FLAGS
             S: f BAD Select a mailbox first
             C: g UNSELECT
             S: g BAD Select a mailbox first
             C: h SELECT INBOX
             S: * FLAGS (…)",
        )
        .await;
    loop {
        if client.line().await.starts_with("h OK [READ-WRITE]") {
            break;
        }
    }
    client
        .play(
            "C: i UNSELECT
             S: i OK …
             C: j LOGOUT
             S: * BYE Logging out
             S: j OK LOGOUT completed",
        )
        .await;
    assert!(client.ends().await.is_empty());
}

#[tokio::test]
async fn capabilities_are_what_can_be_done() {
    let server = Server::start();
    let mut client = server.connect().await;
    let after_login = "IMAP4rev1 LITERAL+ ID ENABLE NAMESPACE IDLE UNSELECT UIDPLUS MOVE CHILDREN \
         LIST-EXTENDED LIST-STATUS SPECIAL-USE CREATE-SPECIAL-USE ACL RIGHTS=texk IMAP4rev2 \
         CONDSTORE QRESYNC UTF8=ACCEPT UIDONLY OBJECTID SAVEDATE STATUS=SIZE LIST-MYRIGHTS NOTIFY PREVIEW ESEARCH \
         SEARCHRES CONTEXT=SEARCH CONTEXT=SORT PARTIAL WITHIN SEARCH=FUZZY MULTISEARCH SORT SORT=DISPLAY ESORT \
         THREAD=ORDEREDSUBJECT THREAD=REFERENCES INPROGRESS BINARY COMPRESS=DEFLATE MULTIAPPEND CATENATE REPLACE \
         QUOTA QUOTASET QUOTA=RES-STORAGE QUOTA=RES-MESSAGE QUOTA=RES-MAILBOX \
         METADATA METADATA-SERVER LIST-METADATA UNAUTHENTICATE APPENDLIMIT=67108864";
    client
        .play(&format!(
            "C: a CAPABILITY
             S: * CAPABILITY IMAP4rev1 LITERAL+ SASL-IR ID ENABLE IMAP4rev2 AUTH=PLAIN
             S: a OK CAPABILITY completed
             C: b LOGIN bob secret
             S: b OK [CAPABILITY {after_login}] Logged in
             C: c CAPABILITY
             S: * CAPABILITY {after_login}
             S: c OK CAPABILITY completed"
        ))
        .await;
}

#[tokio::test]
async fn small_talk() {
    let server = Server::start();
    let mut client = server.login("bob").await;
    client
        .play(concat!(
            "C: a ID (\"name\" \"test\" \"x-session-id\" NIL)
             S: * ID (\"name\" \"murder\" \"version\" \"",
            env!("CARGO_PKG_VERSION"),
            "\")
             S: a OK ID completed
             C: b ENABLE X-NONSENSE ACL
             S: * ENABLED
             S: b OK ENABLE completed
             C: c NAMESPACE
             S: * NAMESPACE ((\"\" \"/\")) ((\"Other Users/\" \"/\")) ((\"Shared Folders/\" \"/\"))
             S: c OK NAMESPACE completed"
        ))
        .await;
}

#[tokio::test]
async fn pipelined_commands_are_answered_in_order() {
    let server = Server::start();
    let mut client = server.connect().await;
    client
        .send("a LOGIN {3+}\r\nbob {6+}\r\nsecret\r\nb NOOP\r\nc CREATE x\r\nd NOOP\r\ne LOGOUT\r\nf NOOP\r\n")
        .await;
    client
        .play(
            "S: a OK …
             S: b OK …
             S: c OK …
             S: d OK …
             S: * BYE …
             S: e OK …",
        )
        .await;
    assert!(client.ends().await.is_empty());
}

#[tokio::test]
async fn synchronising_literals_wait_for_the_server() {
    let server = Server::start();
    let mut client = server.connect().await;
    client
        .play(
            "C: a LOGIN {3}
             S: + …
             C: bob {6}
             S: + …
             C: secret
             S: a OK …",
        )
        .await;
}

#[tokio::test]
async fn who_does_not_log_in_is_sent_away() {
    let server = Server::with(|config| config.limits.login_timeout_seconds = 0);
    let mut client = server.connect().await;
    assert_eq!(client.ends().await, ["* BYE Autologout; idle for too long"]);
}

#[tokio::test]
async fn who_is_silent_is_sent_away() {
    let server = Server::with(|config| config.limits.idle_timeout_seconds = 0);
    let mut client = server.login("bob").await;
    assert_eq!(client.ends().await, ["* BYE Autologout; idle for too long"]);

    let server = Server::with(|config| config.limits.idle_timeout_seconds = 1);
    let mut client = server.login("bob").await;
    client
        .play(
            "C: a IDLE
             S: + …
             S: * BYE Autologout; idle for too long",
        )
        .await;
}

#[tokio::test]
async fn a_drain_says_goodbye_to_everybody() {
    let server = Server::start();
    let mut fresh = server.connect().await;
    let mut waiting = server.login("bob").await;
    let mut idling = server.login("carol").await;
    idling
        .play(
            "C: a IDLE
             S: + …",
        )
        .await;
    let aborted = server.node.shutdown.drain(Duration::from_secs(20)).await;
    assert_eq!(aborted, 0);
    for client in [&mut fresh, &mut waiting, &mut idling] {
        assert_eq!(client.ends().await, ["* BYE Server shutting down"]);
    }
}

#[tokio::test]
async fn sessions_and_commands_are_counted() {
    let server = Server::start();
    let mut client = server.login("bob").await;
    client
        .play(
            "C: a NOOP
             S: a OK …
             C: b LOGOUT
             S: * BYE …
             S: b OK …",
        )
        .await;
    client.ends().await;
    let _other = server.login("carol").await;
    let text = server.node.metrics.render();
    for line in [
        "murder_backend_imap_logins_total 2",
        "murder_backend_imap_failed_logins_total 0",
        "murder_backend_imap_commands_total{command=\"NOOP\"} 1",
        "murder_backend_imap_sessions 1",
    ] {
        assert!(text.lines().any(|l| l == line), "{line} in:\n{text}");
    }
}

/// What each idle client costs beside its socket: see the bound.
#[tokio::test]
async fn an_idle_session_is_small() {
    const MOST: usize = 4 * 1024;
    let server = Server::start();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let _client = tokio::net::TcpStream::connect(listener.local_addr().unwrap())
        .await
        .unwrap();
    let (socket, peer_addr) = listener.accept().await.unwrap();
    let connection = murder_net::Connection {
        stream: murder_net::Stream::new(socket).unwrap(),
        peer_addr,
        local_addr: peer_addr,
        session: murder_net::SessionId::new(),
    };
    let session = size_of::<crate::imap::session::Session>();
    let task = size_of_val(&crate::imap::serve(
        server.node.clone(),
        server.imap_shared.clone(),
        connection,
    ));
    println!("session {session} bytes, task {task} bytes");
    assert!(
        session + task < MOST,
        "session {session} bytes, task {task} bytes"
    );
}
