//! INPROGRESS (RFC 9585): which commands tell how far they are. When they do is in `progress.rs`.

use super::support::{Server, short};

/// In these tests whenever it could be told.
#[tokio::test]
async fn commands_that_may_take_long() {
    let server = Server::telling_progress();
    let mut bob = server.login("bob").await;
    let mut admin = server.login("admin").await;
    let answer = admin.ask("CREATE user/carol other").await;
    assert!(answer[0].starts_with("OK "), "{answer:?}");
    server.allow("user/carol", "bob", "lrswipte").await;
    server.create("user/bob/x").await;
    for n in 1..=9 {
        server.put("user/bob", short(&n.to_string())).await;
    }
    bob.select("INBOX").await;
    for (command, told) in [
        ("UID COPY 1:9 x", "NIL NIL"),
        ("UID COPY 1:3 \"Other Users/carol\"", "0 3"),
        ("UID MOVE 1:2 \"Other Users/carol\"", "0 2"),
        ("UID MOVE 3 x", "NIL NIL"),
        ("STORE 1:* +FLAGS.SILENT (\\Flagged)", "NIL NIL"),
        ("UID STORE 4:6 +FLAGS (\\Deleted)", "NIL NIL"),
        ("UID EXPUNGE 4", "NIL NIL"),
        ("EXPUNGE", "NIL NIL"),
        ("SORT (SUBJECT) UTF-8 ALL", "0 3"),
        ("SORT RETURN (COUNT) (DATE) UTF-8 ALL", "0 3"),
        ("THREAD REFERENCES UTF-8 ALL", "0 3"),
        ("ESEARCH IN (mailboxes (INBOX x)) ALL", "1 2"),
        ("ESEARCH IN (mailboxes INBOX) ALL", "0 3"),
    ] {
        let lines = bob.ask(command).await;
        assert!(
            lines.last().unwrap().starts_with("OK "),
            "{command}: {lines:?}"
        );
        let wanted = format!("* OK [INPROGRESS (\"ask\" {told})] Still working");
        assert!(lines.contains(&wanted), "{command}: {lines:?}");
    }
    // What ends at once says nothing, and what is refused.
    for command in [
        "NOOP",
        "UID COPY 99 x",
        "UID COPY 7 nowhere",
        "UID STORE 99 FLAGS ()",
    ] {
        let lines = bob.ask(command).await;
        assert_eq!(lines.len(), 1, "{command}: {lines:?}");
    }
}

/// Its tags mean nothing to its client.
#[tokio::test]
async fn a_frontend_is_told_nothing() {
    let server = Server::telling_progress();
    server.create("user/bob").await;
    server.put("user/bob", short("one")).await;
    let mut frontend = server.connect_for("bob").await;
    frontend.select("user/bob").await;
    for command in [
        "UID COPY 1 user/bob",
        "STORE 1 +FLAGS.SILENT (\\Deleted)",
        "EXPUNGE",
    ] {
        let lines = frontend.ask(command).await;
        assert!(
            lines.last().unwrap().starts_with("OK "),
            "{command}: {lines:?}"
        );
        let told = lines.iter().any(|line| line.contains("INPROGRESS"));
        assert!(!told, "{command}: {lines:?}");
    }
}
