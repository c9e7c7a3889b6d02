//! GETMETADATA and SETMETADATA (RFC 5464), LIST-METADATA (RFC 9590), shared `\Seen`.

use std::time::Duration;

use murder_store::{Annotated, AnnotationChange, MAX_ANNOTATION, PartitionConfig};

use super::support::{Server, short};

/// The examples of RFC 5464 sections 4.2 and 4.3, with our names.
#[tokio::test]
async fn entries_are_set_and_told() {
    let server = Server::start();
    let mut bob = server.login("bob").await;
    bob.play(
        "C: a SETMETADATA INBOX (/private/comment {33}
         S: + Go ahead
         C: My new comment across
         C: two lines.)
         S: a OK SETMETADATA completed
         C: b GETMETADATA \"INBOX\" /private/comment
         S: * METADATA \"INBOX\" (/private/comment {33}
         S: My new comment across
         S: two lines.)
         S: b OK GETMETADATA completed
         C: c SETMETADATA INBOX (/private/comment \"My own comment\" /shared/comment \"This one is for you!\")
         S: c OK …
         C: d GETMETADATA INBOX (/shared/comment /private/comment)
         S: * METADATA \"INBOX\" (/private/comment \"My own comment\" /shared/comment \"This one is for you!\")
         S: d OK …
         C: e SETMETADATA INBOX (/PRIVATE/Comment NIL)
         S: e OK …
         C: f GETMETADATA INBOX (/private/comment /Shared/Comment)
         S: * METADATA \"INBOX\" (/shared/comment \"This one is for you!\" /private/comment NIL)
         S: f OK …
         C: g SETMETADATA INBOX (/private/comment \"\")
         S: g OK …
         C: h GETMETADATA INBOX /private/comment
         S: * METADATA \"INBOX\" (/private/comment \"\")
         S: h OK …
         C: i GETMETADATA nowhere /private/comment
         S: i NO [NONEXISTENT] …
         C: j SETMETADATA nowhere (/private/comment x)
         S: j BAD …",
    )
    .await;
}

/// RFC 5464 sections 4.2.1 and 4.2.2.
#[tokio::test]
async fn depth_and_largest_size() {
    let server = Server::start();
    let mut bob = server.login("bob").await;
    bob.play(&format!(
        "C: a SETMETADATA INBOX (/private/filters/values/small \"SMALLER 5000\" /private/filters/values/boss \"FROM \\\"boss@example.com\\\"\" /private/filters/values/boss/next \"x\")
         S: a OK …
         C: b GETMETADATA INBOX (DEPTH 1) (/private/filters/values)
         S: * METADATA \"INBOX\" (/private/filters/values/boss \"FROM \\\"boss@example.com\\\"\" /private/filters/values/small \"SMALLER 5000\")
         S: b OK …
         C: c GETMETADATA (DEPTH infinity) INBOX /private
         S: * METADATA \"INBOX\" (/private/filters/values/boss \"FROM \\\"boss@example.com\\\"\" /private/filters/values/boss/next \"x\" /private/filters/values/small \"SMALLER 5000\")
         S: c OK …
         C: d GETMETADATA INBOX (DEPTH 0) /private/filters/values
         S: * METADATA \"INBOX\" (/private/filters/values NIL)
         S: d OK …
         C: e GETMETADATA INBOX (DEPTH infinity MAXSIZE 11) /private/filters
         S: * METADATA \"INBOX\" (/private/filters/values/boss/next \"x\")
         S: e OK [METADATA LONGENTRIES 23] …
         C: f GETMETADATA INBOX (MAXSIZE 12) (/private/filters/values/small)
         S: * METADATA \"INBOX\" (/private/filters/values/small \"SMALLER 5000\")
         S: f OK GETMETADATA completed
         C: g SETMETADATA INBOX (/shared/comment {{2199+}}
         C: {}/private/comment \"My own comment\")
         S: g OK …
         C: h GETMETADATA INBOX (MAXSIZE 1024) (/shared/comment /private/comment)
         S: * METADATA \"INBOX\" (/private/comment \"My own comment\")
         S: h OK [METADATA LONGENTRIES 2199] …
         C: i GETMETADATA INBOX (DEPTH infinity) /private/nothing
         S: * METADATA \"INBOX\" (/private/nothing NIL)
         S: i OK …
         C: j GETMETADATA INBOX (DEPTH 2) /private/comment
         S: j BAD …",
        "x".repeat(2199) + " "
    ))
    .await;
}

#[tokio::test]
async fn names_and_values_are_checked() {
    let server = Server::start();
    let mut bob = server.login("bob").await;
    for name in [
        "comment",
        "/comment",
        "/shared",
        "/shared/",
        "/shared//comment",
        "/shared/comment/",
        "\"/shared/a*\"",
        "\"/shared/a%\"",
        "/shared/vendor/x",
        "\"/shared/\u{e4}\"",
    ] {
        for command in [
            format!("GETMETADATA INBOX {name}"),
            format!("SETMETADATA INBOX ({name} NIL)"),
            format!("GETMETADATA \"\" {name}"),
            format!("LIST \"\" * RETURN (METADATA ({name}))"),
        ] {
            let mut other = server.login("bob").await;
            let answer = other.ask(&command).await;
            assert!(
                answer.last().unwrap().starts_with("BAD "),
                "{command}: {answer:?}"
            );
        }
    }
    let long = format!("/shared/{}", "x".repeat(300));
    bob.play(&format!(
        "C: a SETMETADATA INBOX ({long} NIL)
         S: a NO [LIMIT] …
         C: b SETMETADATA INBOX (/shared/a \"1\" /Shared/A \"2\")
         S: b BAD …
         C: c SETMETADATA INBOX (/shared/a ~{{3+}}
         C: x\0y)
         S: c OK …
         C: d GETMETADATA INBOX /shared/a
         S: * METADATA \"INBOX\" (/shared/a ~{{3}}
         S: x\0y)
         S: d OK …
         C: e SETMETADATA INBOX (/shared/a {{3+}}
         C: x\0y)
         S: e BAD …
         C: f SETMETADATA INBOX (/shared/a {{2+}}
         C: \u{e4})
         S: f OK …
         C: g GETMETADATA INBOX /shared/a
         S: * METADATA \"INBOX\" (/shared/a {{2}}
         S: \u{e4})
         S: g OK …"
    ))
    .await;
}

/// All or nothing, with the codes of section 4.3.
#[tokio::test]
async fn limits() {
    let server = Server::start();
    let mut bob = server.login("bob").await;
    // The last one is larger than a command may be.
    for octets in [MAX_ANNOTATION + 1, 30_000, 100_000] {
        bob.send(format!(
            "a SETMETADATA INBOX (/shared/small \"x\" /shared/large {{{octets}+}}\r\n{})\r\n",
            "x".repeat(octets)
        ))
        .await;
        bob.play("S: a NO [METADATA MAXSIZE 16384] …").await;
    }
    bob.play(
        "C: a SETMETADATA INBOX (/shared/large {1000000}
         S: a NO [METADATA MAXSIZE 16384] …
         C: b GETMETADATA INBOX (DEPTH 1) (/shared)
         S: * METADATA \"INBOX\" (/shared NIL)
         S: b OK …",
    )
    .await;
    bob.send(format!(
        "a SETMETADATA INBOX (/shared/large {{{MAX_ANNOTATION}+}}\r\n{})\r\n",
        "x".repeat(MAX_ANNOTATION)
    ))
    .await;
    bob.play(
        "S: a OK …
         C: b GETMETADATA INBOX (MAXSIZE 0) (/shared/small /shared/large)
         S: * METADATA \"INBOX\" (/shared/small NIL)
         S: b OK [METADATA LONGENTRIES 16384] …",
    )
    .await;
    for number in 0..100 {
        let set = format!("SETMETADATA INBOX (/private/n/{number} \"x\")");
        assert_eq!(bob.ask(&set).await, ["OK SETMETADATA completed"]);
    }
    bob.play(
        "C: c SETMETADATA INBOX (/private/n/0 \"y\" /private/more \"x\")
         S: c NO [METADATA TOOMANY] …
         C: d GETMETADATA INBOX (/private/n/0)
         S: * METADATA \"INBOX\" (/private/n/0 \"x\")
         S: d OK …
         C: e SETMETADATA INBOX (/private/n/0 NIL /private/more \"x\")
         S: e OK …",
    )
    .await;
    let many: Vec<String> = (0..257).map(|n| format!("/shared/{n}")).collect();
    for command in ["GETMETADATA INBOX (%)", "LIST \"\" * RETURN (METADATA (%))"] {
        let answer = bob.ask(&command.replace('%', &many.join(" "))).await;
        assert!(answer[0].starts_with("NO [LIMIT] "), "{answer:?}");
    }
    // Many large ones come in several responses.
    for number in 0..10 {
        bob.send(format!(
            "a SETMETADATA INBOX (/shared/l/{number} {{{MAX_ANNOTATION}+}}\r\n{})\r\n",
            "x".repeat(MAX_ANNOTATION)
        ))
        .await;
        bob.play("S: a OK …").await;
    }
    let (untagged, completion) = bob.get("GETMETADATA INBOX (DEPTH 1) /shared/l").await;
    assert_eq!(completion, "OK GETMETADATA completed");
    assert_eq!(untagged.len(), 3);
}

/// Section 3.3: `l` and one of `r`, `s`, `w`, `i`, `p`.
#[tokio::test]
async fn rights() {
    let server = Server::start();
    server.create("user/bob").await;
    let mut bob = server.login("bob").await;
    let mut carol = server.login("carol").await;
    bob.play(
        "C: a SETMETADATA INBOX (/shared/comment ours /private/comment mine)
         S: a BAD …
         C: b SETMETADATA INBOX (/shared/comment \"ours\" /private/comment \"mine\")
         S: b OK …",
    )
    .await;
    for (rights, wanted) in [
        ("r", "NO [NONEXISTENT] "),
        ("rswip", "NO [NONEXISTENT] "),
        ("l", "NO [NOPERM] "),
        ("lkxtea", "NO [NOPERM] "),
        ("lr", "OK "),
        ("ls", "OK "),
        ("lw", "OK "),
        ("li", "OK "),
        ("lp", "OK "),
    ] {
        server.allow("user/bob", "carol", rights).await;
        for command in [
            "GETMETADATA \"Other Users/bob\" /shared/comment",
            "SETMETADATA \"Other Users/bob\" (/private/comment \"hers\")",
            "SETMETADATA \"Other Users/bob\" (/shared/comment \"ours\")",
        ] {
            let answer = carol.ask(command).await;
            assert!(
                answer.last().unwrap().starts_with(wanted),
                "{rights}, {command}: {answer:?}"
            );
        }
    }
    carol
        .play(
            "C: a GETMETADATA \"Other Users/bob\" (/private/comment /shared/comment)
             S: * METADATA \"Other Users/bob\" (/private/comment \"hers\" /shared/comment \"ours\")
             S: a OK …",
        )
        .await;
    bob.play(
        "C: c GETMETADATA INBOX (/private/comment)
         S: * METADATA \"INBOX\" (/private/comment \"mine\")
         S: c OK …",
    )
    .await;
}

#[tokio::test]
async fn the_servers_entries() {
    let server =
        Server::with(|config| config.imap.contact = Some("mailto:root@example.org".into()));
    let mut bob = server.login("bob").await;
    let mut admin = server.login("admin").await;
    server.create("user/admin").await;
    bob.play(
        "C: a GETMETADATA \"\" (/shared/comment /shared/admin)
         S: * METADATA \"\" (/shared/admin \"mailto:root@example.org\" /shared/comment NIL)
         S: a OK …
         C: b SETMETADATA \"\" (/shared/comment \"mine\")
         S: b NO [NOPERM] …
         C: c SETMETADATA \"\" (/private/vendor/x/y \"bob's\")
         S: c OK …",
    )
    .await;
    admin
        .play(
            "C: a SETMETADATA \"\" (/shared/comment \"Shared comment\" /shared/vendor/x/y \"z\")
             S: a OK …
             C: b SETMETADATA \"\" (/shared/admin \"tel:1\")
             S: b NO [CANNOT] The entry is read-only
             C: c SETMETADATA \"\" (/private/vendor/x/y \"admin's\" /shared/comment \"no\")
             S: c NO [CANNOT] …
             C: d SETMETADATA \"\" (/private/vendor/x/y \"admin's\")
             S: d OK …",
        )
        .await;
    bob.play(
        "C: d GETMETADATA \"\" (DEPTH infinity) (/private /shared)
         S: * METADATA \"\" (/private/vendor/x/y \"bob's\" /shared/comment \"Shared comment\" /shared/vendor/x/y \"z\" /shared/admin \"mailto:root@example.org\")
         S: d OK …
         C: e LIST \"\" *
         S: * LIST (\\HasNoChildren) \"/\" \"INBOX\"
         S: e OK …",
    )
    .await;
}

/// What all share stays in the partition where it was first.
#[tokio::test]
async fn the_servers_entries_are_in_one_partition() {
    let server = Server::with_partitions(&["one", "two"]);
    let mut admin = server.login("admin").await;
    let set = AnnotationChange {
        entries: vec![("/shared/comment".into(), Some(b"two".to_vec()))],
        shared_seen: None,
    };
    let two = &server.node.partitions.of("two");
    let done = two.annotate(Annotated::Server, None, set);
    done.await.unwrap();
    admin
        .play(
            "C: a GETMETADATA \"\" /shared/comment
             S: * METADATA \"\" (/shared/comment \"two\")
             S: a OK …
             C: b SETMETADATA \"\" (/shared/comment NIL)
             S: b OK …
             C: c GETMETADATA \"\" /shared/comment
             S: * METADATA \"\" (/shared/comment NIL)
             S: c OK …",
        )
        .await;
    assert!(!server.node.partitions.of("one").has_server_annotations());
}

/// Without an INBOX there is no place for what is one's own.
#[tokio::test]
async fn private_entries_of_the_server_need_a_home() {
    let server = Server::with(|config| config.imap.autocreate_inbox = false);
    let mut bob = server.login("bob").await;
    bob.play(
        "C: a SETMETADATA \"\" (/private/comment \"x\")
         S: a NO [CANNOT] …
         C: b GETMETADATA \"\" /private/comment
         S: * METADATA \"\" (/private/comment NIL)
         S: b OK …",
    )
    .await;
}

/// RFC 6154 section 4: told, and not taken.
#[tokio::test]
async fn special_uses() {
    let server = Server::start();
    let mut bob = server.login("bob").await;
    let mut carol = server.login("carol").await;
    bob.play(
        "C: a CREATE MyDrafts (USE (\\Drafts))
         S: a OK …
         C: b SETACL MyDrafts carol lr
         S: b OK …
         C: c GETMETADATA MyDrafts /private/specialuse
         S: * METADATA \"MyDrafts\" (/private/specialuse \"\\\\Drafts\")
         S: c OK …
         C: d GETMETADATA INBOX /private/specialuse
         S: * METADATA \"INBOX\" (/private/specialuse NIL)
         S: d OK …
         C: e SETMETADATA INBOX (/private/comment \"x\" /private/specialuse \"\\\\Drafts\")
         S: e NO [CANNOT] …
         C: f GETMETADATA INBOX (DEPTH infinity) /private
         S: * METADATA \"INBOX\" (/private NIL)
         S: f OK …",
    )
    .await;
    carol
        .play(
            "C: a GETMETADATA \"Other Users/bob/MyDrafts\" /private/specialuse
             S: * METADATA \"Other Users/bob/MyDrafts\" (/private/specialuse NIL)
             S: a OK …",
        )
        .await;
}

/// RFC 5464 section 4.1.
#[tokio::test]
async fn they_move_with_their_mailbox() {
    let server = Server::with_store(|store| PartitionConfig {
        delete_delay: Duration::from_secs(1000),
        ..store
    });
    let mut bob = server.login("bob").await;
    bob.play(
        "C: a CREATE old
         S: a OK …
         C: b SETMETADATA old (/private/comment \"x\")
         S: b OK …
         C: c RENAME old new
         S: c OK …
         C: d CREATE old
         S: d OK …
         C: e LIST \"\" (old new) RETURN (METADATA (/private/comment /shared/comment))
         S: * LIST (\\HasNoChildren) \"/\" \"new\"
         S: * METADATA \"new\" (/private/comment \"x\" /shared/comment NIL)
         S: * LIST (\\HasNoChildren) \"/\" \"old\"
         S: * METADATA \"old\" (/private/comment NIL /shared/comment NIL)
         S: e OK …
         C: f SETMETADATA INBOX (/shared/comment \"inbox\")
         S: f OK …
         C: g RENAME INBOX saved
         S: g OK …
         C: h LIST \"\" (INBOX saved) RETURN (METADATA /shared/comment)
         S: * LIST (\\HasNoChildren) \"/\" \"INBOX\"
         S: * METADATA \"INBOX\" (/shared/comment \"inbox\")
         S: * LIST (\\HasNoChildren) \"/\" \"saved\"
         S: * METADATA \"saved\" (/shared/comment \"inbox\")
         S: h OK …
         C: i DELETE new
         S: i OK …
         C: j CREATE new
         S: j OK …
         C: k GETMETADATA new /private/comment
         S: * METADATA \"new\" (/private/comment NIL)
         S: k OK …",
    )
    .await;
}

/// Of what cannot be selected, and of what may not be read, LIST says nothing.
#[tokio::test]
async fn list_metadata() {
    let server = Server::start();
    server.create("user/bob").await;
    server.create("user/bob/above/below").await;
    server.create("board").await;
    server.allow("board", "bob", "l").await;
    let mut bob = server.login("bob").await;
    bob.play(
        "C: a SETMETADATA above/below (/shared/vendor/cmu/cyrus-imapd/color \"#b71c1c\")
         S: a OK …",
    )
    .await;
    assert_eq!(
        bob.ask("LIST \"\" (% above/% \"Shared Folders/%\") RETURN (METADATA (/shared/vendor/cmu/cyrus-imapd/color))").await,
        [
            "* LIST (\\HasNoChildren) \"/\" \"INBOX\"",
            "* LIST (\\HasNoChildren) \"/\" \"Shared Folders/board\"",
            "* LIST (\\HasNoChildren) \"/\" \"above/below\"",
            "* METADATA \"INBOX\" (/shared/vendor/cmu/cyrus-imapd/color NIL)",
            "* METADATA \"above/below\" (/shared/vendor/cmu/cyrus-imapd/color \"#b71c1c\")",
            "OK LIST completed",
        ]
    );
    assert_eq!(
        bob.ask("LIST \"\" % RETURN (METADATA /shared/comment)")
            .await,
        [
            "* LIST (\\HasNoChildren) \"/\" \"INBOX\"",
            "* LIST (\\NonExistent \\HasChildren) \"/\" \"Shared Folders\"",
            "* LIST (\\NonExistent \\HasChildren) \"/\" \"above\"",
            "* METADATA \"INBOX\" (/shared/comment NIL)",
            "OK LIST completed",
        ]
    );
}

/// RFC 7162 section 3.2: SETMETADATA raises HIGHESTMODSEQ, if it changes anything.
#[tokio::test]
async fn highestmodseq_is_raised() {
    let server = Server::start();
    let mut bob = server.login("bob").await;
    let highest = async |bob: &mut super::support::Client| {
        let status = bob.ask("STATUS INBOX (HIGHESTMODSEQ)").await;
        let number = status[0].rsplit(' ').next().unwrap();
        number.trim_end_matches(')').parse::<u64>().unwrap()
    };
    let before = highest(&mut bob).await;
    bob.play(
        "C: a SETMETADATA INBOX (/private/comment \"x\")
         S: a OK …",
    )
    .await;
    let after = highest(&mut bob).await;
    assert!(after > before);
    bob.play(
        "C: b SETMETADATA INBOX (/private/comment \"x\")
         S: b OK …",
    )
    .await;
    assert_eq!(highest(&mut bob).await, after);
}

/// A mailbox's `\Seen` becomes one for all, and each one's own again, under sessions that have
/// it open.
#[tokio::test]
async fn shared_seen() {
    const ENTRY: &str = "/shared/vendor/cmu/cyrus-imapd/sharedseen";
    let server = Server::start();
    server.create("board").await;
    server.allow("board", "anyone", "lrs").await;
    server.allow("board", "bob", "lrsa").await;
    for subject in ["1", "2", "3"] {
        server.put("board", short(subject)).await;
    }
    let mut bob = server.login("bob").await;
    let mut carol = server.login("carol").await;
    let mut plain = server.login("carol").await;
    for client in [&mut bob, &mut carol, &mut plain] {
        client.select("Shared Folders/board").await;
    }
    carol
        .play(
            "C: a ENABLE CONDSTORE
             S: * ENABLED CONDSTORE
             S: a OK …
             C: b STORE 2 +FLAGS.SILENT (\\Seen)
             S: * 2 FETCH (UID 2 MODSEQ (…))
             S: b OK …",
        )
        .await;
    plain
        .play(
            "C: a NOOP
             S: * 2 FETCH (FLAGS (\\Seen \\Recent))
             S: a OK …",
        )
        .await;
    bob.play(&format!(
        "C: a NOOP
         S: a OK …
         C: b STORE 1 +FLAGS.SILENT (\\Seen)
         S: b OK …
         C: c GETMETADATA \"Shared Folders/board\" {ENTRY}
         S: * METADATA \"Shared Folders/board\" ({ENTRY} \"false\")
         S: c OK …
         C: d SETMETADATA \"Shared Folders/board\" (/shared/comment \"no\" {ENTRY} \"maybe\")
         S: d NO [CANNOT] …
         C: e SETMETADATA \"Shared Folders/board\" ({ENTRY} \"TRUE\" /shared/comment \"yes\")
         S: * 1 FETCH (FLAGS (\\Recent))
         S: e OK …
         C: f GETMETADATA \"Shared Folders/board\" ({ENTRY} /shared/comment)
         S: * METADATA \"Shared Folders/board\" (/shared/comment \"yes\" {ENTRY} \"true\")
         S: f OK …
         C: g SEARCH SEEN
         S: * SEARCH
         S: g OK …
         C: h STORE 3 +FLAGS.SILENT (\\Seen)
         S: h OK …"
    ))
    .await;
    // Whoever knows nothing of mod-sequences is told what looks otherwise now.
    plain
        .play(
            "C: b NOOP
             S: * 2 FETCH (FLAGS (\\Recent))
             S: * 3 FETCH (FLAGS (\\Seen \\Recent))
             S: b OK …",
        )
        .await;
    carol
        .play(&format!(
            "C: c NOOP
             S: * 1 FETCH (UID 1 FLAGS (\\Recent) MODSEQ (…))
             S: * 2 FETCH (UID 2 FLAGS (\\Recent) MODSEQ (…))
             S: * 3 FETCH (UID 3 FLAGS (\\Seen \\Recent) MODSEQ (…))
             S: c OK …
             C: d SETMETADATA \"Shared Folders/board\" ({ENTRY} \"false\")
             S: d NO [NOPERM] …
             C: e STATUS \"Shared Folders/board\" (UNSEEN)
             S: * STATUS \"Shared Folders/board\" (UNSEEN 2)
             S: e OK …"
        ))
        .await;
    bob.play(&format!(
        "C: i SETMETADATA \"Shared Folders/board\" ({ENTRY} NIL)
         S: * 1 FETCH (FLAGS (\\Seen \\Recent))
         S: * 3 FETCH (FLAGS (\\Recent))
         S: i OK …"
    ))
    .await;
    plain
        .play(
            "C: c UID SEARCH SEEN
             S: * 2 FETCH (UID 2 FLAGS (\\Seen \\Recent))
             S: * 3 FETCH (UID 3 FLAGS (\\Recent))
             S: * SEARCH 2
             S: c OK …",
        )
        .await;
}
