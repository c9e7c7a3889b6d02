//! Other separators, other prefixes, and odd names, in every command that has a name.

use super::support::{Server, short};

/// As Cyrus's traditional namespace and Courier have it.
fn below_inbox() -> Server {
    Server::with(|config| {
        config.namespace.separator = '.';
        config.namespace.personal = "INBOX".into();
        config.namespace.other_users = "user".into();
        config.namespace.shared = "Öffentlich".into();
    })
}

#[tokio::test]
async fn dots_below_inbox() {
    let server = below_inbox();
    server.create("board/minutes").await;
    server.allow("board/minutes", "anyone", "lrikx").await;
    let mut bob = server.login("bob").await;
    bob.play(
        "C: a NAMESPACE
         S: * NAMESPACE ((\"INBOX.\" \".\")) ((\"user.\" \".\")) ((\"&ANY-ffentlich.\" \".\"))
         S: a OK …
         C: b CREATE Sent
         S: b NO [CANNOT] Mailbox name is in no namespace; your mailboxes are below INBOX
         C: c CREATE inbox.Work.
         S: c OK …
         C: c CREATE Inbox.Work.2026
         S: c OK …
         C: d CREATE \"INBOX.v1^2\"
         S: d OK …
         C: e CREATE INBOX..a
         S: e NO [CANNOT] …
         C: f CREATE INBOX.a/b
         S: f OK …
         C: g RENAME INBOX.Work INBOX.Job
         S: g OK …
         C: h STATUS INBOX.Job.2026 (MESSAGES)
         S: * STATUS \"INBOX.Job.2026\" (MESSAGES 0)
         S: h OK …
         C: i SETACL INBOX.Job.2026 carol lr
         S: i OK …
         C: j GETACL INBOX.Job.2026
         S: * ACL \"INBOX.Job.2026\" bob lrswipkxteancd carol lr
         S: j OK …
         C: k SUBSCRIBE INBOX.Job.2026
         S: k OK …
         C: l LSUB \"\" INBOX.%
         S: * LSUB (\\Noselect) \".\" \"INBOX.Job\"
         S: l OK …
         C: m LSUB INBOX. *
         S: * LSUB () \".\" \"INBOX.Job.2026\"
         S: m OK …
         C: n LISTRIGHTS &ANY-ffentlich.board.minutes anyone
         S: n NO [NOPERM] …
         C: o MYRIGHTS &ANY-ffentlich.board.minutes
         S: * MYRIGHTS \"&ANY-ffentlich.board.minutes\" lrikxc
         S: o OK …
         C: r SETMETADATA INBOX.Job (/private/comment \"work\")
         S: r OK …
         C: s GETMETADATA INBOX.Job /private/comment
         S: * METADATA \"INBOX.Job\" (/private/comment \"work\")
         S: s OK …
         C: t GETQUOTAROOT INBOX.Job
         S: * QUOTAROOT \"INBOX.Job\"
         S: t OK …
         C: p CREATE &ANY-ffentlich
         S: p NO [CANNOT] …
         C: q CREATE &ANY-ffentlich.board.minutes.old
         S: q OK …",
    )
    .await;
    assert_eq!(
        bob.ask("LIST \"\" *").await,
        [
            "* LIST (\\HasChildren) \".\" \"&ANY-ffentlich.board.minutes\"",
            "* LIST (\\HasChildren) \".\" \"INBOX\"",
            "* LIST (\\HasChildren) \".\" \"INBOX.Job\"",
            "* LIST (\\HasNoChildren) \".\" \"&ANY-ffentlich.board.minutes.old\"",
            "* LIST (\\HasNoChildren) \".\" \"INBOX.Job.2026\"",
            "* LIST (\\HasNoChildren) \".\" \"INBOX.a/b\"",
            "* LIST (\\HasNoChildren) \".\" \"INBOX.v1^2\"",
            "OK LIST completed"
        ]
    );
    assert_eq!(
        bob.ask("LIST \"\" %").await,
        [
            "* LIST (\\HasChildren) \".\" \"INBOX\"",
            "* LIST (\\Noselect \\HasChildren) \".\" \"&ANY-ffentlich\"",
            "OK LIST completed"
        ]
    );
    assert_eq!(
        bob.ask("LIST inbox. %").await,
        [
            "* LIST (\\HasChildren) \".\" \"INBOX.Job\"",
            "* LIST (\\HasNoChildren) \".\" \"INBOX.a/b\"",
            "* LIST (\\HasNoChildren) \".\" \"INBOX.v1^2\"",
            "OK LIST completed"
        ]
    );
    // The others see it below the other prefix, and the store has one name for all.
    let mut carol = server.login("carol").await;
    assert_eq!(
        carol.ask("LIST \"\" user.*").await,
        [
            "* LIST (\\HasNoChildren) \".\" \"user.bob.Job.2026\"",
            "OK LIST completed"
        ]
    );
    server.put("user/bob/Job/2026", short("one")).await;
    carol.select("user.bob.Job.2026").await;
    for name in ["user/bob/Job/2026", "user/bob/v1.2", "user/bob/a^b"] {
        server.open(name).await;
    }
    carol
        .play(
            "C: a COPY 1 INBOX.x
             S: a NO [TRYCREATE] …
             C: b ESEARCH IN (mailboxes user.bob.Job.2026) ALL
             S: * ESEARCH (TAG \"b\" MAILBOX \"user.bob.Job.2026\" UIDVALIDITY …) UID ALL 1
             S: b OK …",
        )
        .await;
}

#[tokio::test]
async fn rev2_names_are_utf8() {
    let server = below_inbox();
    server.create("board").await;
    server.allow("board", "anyone", "lr").await;
    let mut bob = server.login("bob").await;
    bob.play(
        "C: a ENABLE IMAP4rev2
         S: …
         S: a OK …
         C: b CREATE \"INBOX.Cafe\u{301}\"
         S: * LIST (\\HasNoChildren) \".\" \"INBOX.Caf\u{e9}\" (\"OLDNAME\" (\"INBOX.Cafe\u{301}\"))
         S: b OK …
         C: c LIST \"\" \"*e\u{301}\"
         S: * LIST (\\HasNoChildren) \".\" \"INBOX.Caf\u{e9}\"
         S: c OK …
         C: d STATUS \"Öffentlich.board\" (MESSAGES)
         S: * STATUS \"Öffentlich.board\" (MESSAGES 0)
         S: d OK …",
    )
    .await;
}

#[tokio::test]
async fn odd_names_come_back_as_they_were() {
    let server = Server::start();
    let mut bob = server.login("bob").await;
    for (sent, told) in [
        ("\" spaces \"", "\" spaces \""),
        (r#""a\"b\\c""#, r#""a\"b\\c""#),
        ("\"Tom &- Jerry\"", "\"Tom &- Jerry\""),
        ("\"(x){3}\"", "\"(x){3}\""),
        ("{4+}\r\n~#.]", "\"~#.]\""),
        ("&2D3c7g-", "\"&2D3c7g-\""),
        ("\"...\"", "\"...\""),
    ] {
        let created = bob.ask(&format!("CREATE {sent}")).await;
        assert!(created[0].starts_with("OK "), "{sent}: {created:?}");
        let rows = bob.ask(&format!("LIST \"\" {sent}")).await;
        let row = format!("* LIST (\\HasNoChildren) \"/\" {told}");
        assert_eq!(rows[..rows.len() - 1], [row], "{sent}");
        let status = bob.ask(&format!("STATUS {told} (MESSAGES)")).await;
        assert_eq!(status[0], format!("* STATUS {told} (MESSAGES 0)"));
        let deleted = bob.ask(&format!("DELETE {told}")).await;
        assert_eq!(deleted, ["OK DELETE completed"]);
    }
}

#[tokio::test]
async fn names_that_cannot_be() {
    let server = Server::start();
    let mut bob = server.login("bob").await;
    let mut refused: Vec<String> = [
        // Wildcards, control characters, separators of lines.
        "\"50%\"",
        "\"a*\"",
        "\"a\u{7}\"",
        "\"a\u{7f}\"",
        "a&AIU-",
        "a&ICg-",
        // Empty components.
        "\"\"",
        "/",
        "/a",
        "a//b",
        // No modified UTF-7: no end, ASCII, half a character, two shifts for one.
        "&Jjo",
        "&AGE-",
        "&2D0-",
        "&U,BTFw-&ZeVnLIqe-",
        // The namespace's own.
        "\"Other Users\"",
        "\"Shared Folders/user/x\"",
        "\"Other Users/bob/inbox\"",
        // Not a user, and not a tree.
        "\"Other Users/a b/x\"",
        "\"Shared Folders/example.org!board\"",
    ]
    .map(str::to_owned)
    .to_vec();
    refused.push("a/".repeat(60));
    refused.push("a".repeat(256));
    refused.push("a".repeat(1001));
    refused.push(format!("{{{}+}}\r\n{}", 30_000, "x/".repeat(15_000)));
    for name in refused {
        for command in ["CREATE %", "RENAME INBOX %", "DELETE %", "SELECT %"] {
            let answer = bob.ask(&command.replace('%', &name)).await;
            let answer = answer.last().unwrap();
            assert!(
                answer.starts_with("NO [CANNOT] "),
                "{command} {name:?}: {answer}"
            );
        }
    }
    let all = bob.ask("LIST \"\" *").await;
    assert_eq!(all.len(), 2, "{all:?}");
}

#[tokio::test]
async fn a_name_like_a_prefix_is_refused_where_it_would_hide() {
    let server = Server::start();
    server
        .login("bob")
        .await
        .play(
            "C: a CREATE \"Other Users/bob/Shared Folders\"
             S: a NO [CANNOT] The name is that of a namespace",
        )
        .await;
    let server = below_inbox();
    server
        .login("bob")
        .await
        .play(
            "C: a CREATE INBOX.user.x
             S: a OK …",
        )
        .await;
}
