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
