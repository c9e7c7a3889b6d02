//! LIST in its basic and extended forms.

use super::support::{Client, Server};

async fn with_mailboxes() -> (Server, Client) {
    let server = Server::start();
    let mut bob = server.login("bob").await;
    for name in ["Sent (USE (\\Sent))", "Work/2025", "Work/2026", "a-b"] {
        let answer = bob.ask(&format!("CREATE {name}")).await;
        assert!(answer[0].starts_with("OK "), "{answer:?}");
    }
    for name in ["Work/2026", "INBOX"] {
        assert_eq!(
            bob.ask(&format!("SUBSCRIBE {name}")).await,
            ["OK SUBSCRIBE completed"]
        );
    }
    (server, bob)
}

#[tokio::test]
async fn basic() {
    let (_server, mut bob) = with_mailboxes().await;
    assert_eq!(
        bob.ask("LIST \"\" *").await,
        [
            "* LIST (\\HasNoChildren \\Sent) \"/\" \"Sent\"",
            "* LIST (\\HasNoChildren) \"/\" \"INBOX\"",
            "* LIST (\\HasNoChildren) \"/\" \"Work/2025\"",
            "* LIST (\\HasNoChildren) \"/\" \"Work/2026\"",
            "* LIST (\\HasNoChildren) \"/\" \"a-b\"",
            "OK LIST completed"
        ]
    );
    assert_eq!(
        bob.ask("LIST \"\" %").await,
        [
            "* LIST (\\HasNoChildren \\Sent) \"/\" \"Sent\"",
            "* LIST (\\HasNoChildren) \"/\" \"INBOX\"",
            "* LIST (\\HasNoChildren) \"/\" \"a-b\"",
            "* LIST (\\Noselect \\HasChildren) \"/\" \"Work\"",
            "OK LIST completed"
        ]
    );
    assert_eq!(
        bob.ask("LIST \"Work/\" %5").await,
        [
            "* LIST (\\HasNoChildren) \"/\" \"Work/2025\"",
            "OK LIST completed"
        ]
    );
    assert_eq!(
        bob.ask("LIST \"\" \"\"").await,
        ["* LIST (\\Noselect) \"/\" \"\"", "OK LIST completed"]
    );
    assert_eq!(
        bob.ask("LIST \"\" inbox").await,
        [
            "* LIST (\\HasNoChildren) \"/\" \"INBOX\"",
            "OK LIST completed"
        ]
    );
}

#[tokio::test]
async fn extended() {
    let (_server, mut bob) = with_mailboxes().await;
    assert_eq!(
        bob.ask("LIST (SUBSCRIBED) \"\" *").await,
        [
            "* LIST (\\HasNoChildren \\Subscribed) \"/\" \"INBOX\"",
            "* LIST (\\HasNoChildren \\Subscribed) \"/\" \"Work/2026\"",
            "OK LIST completed"
        ]
    );
    assert_eq!(
        bob.ask("LIST (SUBSCRIBED RECURSIVEMATCH) \"\" Work").await,
        [
            "* LIST (\\NonExistent \\HasChildren) \"/\" \"Work\" (\"CHILDINFO\" (\"SUBSCRIBED\"))",
            "OK LIST completed"
        ]
    );
    assert_eq!(
        bob.ask("LIST \"\" (INBOX Work/%) RETURN (SUBSCRIBED CHILDREN)")
            .await,
        [
            "* LIST (\\HasNoChildren \\Subscribed) \"/\" \"INBOX\"",
            "* LIST (\\HasNoChildren \\Subscribed) \"/\" \"Work/2026\"",
            "* LIST (\\HasNoChildren) \"/\" \"Work/2025\"",
            "OK LIST completed"
        ]
    );
    assert_eq!(
        bob.ask("LIST () \"\" S% RETURN (SPECIAL-USE STATUS (MESSAGES UNSEEN) MYRIGHTS)")
            .await,
        [
            "* LIST (\\HasNoChildren \\Sent) \"/\" \"Sent\"",
            "* MYRIGHTS \"Sent\" lrswipkxteancd",
            "* STATUS \"Sent\" (MESSAGES 0 UNSEEN 0)",
            "OK LIST completed"
        ]
    );
    assert_eq!(
        bob.ask("LIST (REMOTE) \"\" a%").await,
        [
            "* LIST (\\HasNoChildren) \"/\" \"a-b\"",
            "OK LIST completed"
        ]
    );
    let long = "%x*".repeat(4000);
    assert!(bob.ask(&format!("LIST \"\" {long}")).await[0].starts_with("NO [LIMIT] "));
    for bad in ["LIST (NONSENSE) \"\" *", "LIST (RECURSIVEMATCH) \"\" *"] {
        assert!(bob.ask(bad).await[0].starts_with("BAD "), "{bad}");
    }
}

#[tokio::test]
async fn only_what_one_may_look_up() {
    let (server, mut bob) = with_mailboxes().await;
    for command in [
        "SETACL Work/2025 carol lr",
        "SETACL Work/2026 group:staff l",
        "SETACL a-b anyone p",
    ] {
        assert_eq!(bob.ask(command).await, ["OK SETACL completed"]);
    }
    let mut carol = server.login("carol").await;
    assert_eq!(
        carol.ask("LIST \"\" * RETURN (STATUS (MESSAGES))").await,
        [
            "* LIST (\\HasNoChildren) \"/\" \"INBOX\"",
            "* LIST (\\HasNoChildren) \"/\" \"Other Users/bob/Work/2025\"",
            "* LIST (\\HasNoChildren) \"/\" \"Other Users/bob/Work/2026\"",
            "* STATUS \"INBOX\" (MESSAGES 0)",
            // Not of the one that she may not read.
            "* STATUS \"Other Users/bob/Work/2025\" (MESSAGES 0)",
            "OK LIST completed"
        ]
    );
    let mut admin = server.login("admin").await;
    let all = admin.ask("LIST \"\" \"Other Users/*\"").await;
    assert_eq!(all.len(), 5 + 1 + 1, "{all:?}");
}

/// The examples of RFC 8440 section 4, and that of RFC 5819 section 3 for STATUS.
#[tokio::test]
async fn rights_come_with_the_mailboxes() {
    let server = Server::start();
    let mut bob = server.login("bob").await;
    for name in ["user/bob/foo", "user/bob/foo/2", "user/bob/bar/baz"] {
        server.create(name).await;
    }
    server.allow("user/bob/foo", "bob", "lrs").await;
    bob.play(
        "C: A01 LIST \"\" % RETURN (MYRIGHTS)
         S: * LIST (\\HasNoChildren) \"/\" \"INBOX\"
         S: * MYRIGHTS \"INBOX\" lrswipkxteancd
         S: * LIST (\\NonExistent \\HasChildren) \"/\" \"bar\"
         S: * LIST (\\HasChildren) \"/\" \"foo\"
         S: * MYRIGHTS \"foo\" lrsa
         S: A01 OK LIST completed
         C: a SUBSCRIBE INBOX
         S: a OK …
         C: b SUBSCRIBE foo/2
         S: b OK …
         C: c CREATE gone
         S: c OK …
         C: d SUBSCRIBE gone
         S: d OK …
         C: e DELETE gone
         S: e OK …
         C: A02 LIST (SUBSCRIBED RECURSIVEMATCH) \"\" % RETURN (MYRIGHTS STATUS (MESSAGES))
         S: * LIST (\\HasNoChildren \\Subscribed) \"/\" \"INBOX\"
         S: * MYRIGHTS \"INBOX\" lrswipkxteancd
         S: * STATUS \"INBOX\" (MESSAGES 0)
         S: * LIST (\\HasChildren) \"/\" \"foo\" (\"CHILDINFO\" (\"SUBSCRIBED\"))
         S: * LIST (\\NonExistent \\HasNoChildren \\Subscribed) \"/\" \"gone\"
         S: A02 OK LIST completed",
    )
    .await;
    // Of others' mailboxes those that one may look up, with what one may do there.
    server.allow("user/bob/foo", "carol", "lr").await;
    server.allow("user/bob/foo/2", "carol", "rs").await;
    server.allow("user/bob/bar/baz", "group:staff", "l").await;
    let mut carol = server.login("carol").await;
    assert_eq!(
        carol
            .ask("LIST \"\" \"Other Users/*\" RETURN (MYRIGHTS)")
            .await,
        [
            "* LIST (\\HasNoChildren) \"/\" \"Other Users/bob/bar/baz\"",
            "* LIST (\\HasNoChildren) \"/\" \"Other Users/bob/foo\"",
            "* MYRIGHTS \"Other Users/bob/bar/baz\" l",
            "* MYRIGHTS \"Other Users/bob/foo\" lr",
            "OK LIST completed"
        ]
    );
}
