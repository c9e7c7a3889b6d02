//! NOTIFY (RFC 5465).

use super::support::{Client, Server, short};

/// Bob and carol have logged in, so that their INBOXes are there; bob has a second session.
async fn start() -> (Server, Client, Client) {
    let server = Server::start();
    let bob = server.login("bob").await;
    server.login("carol").await.close().await;
    let other = server.login("bob").await;
    (server, bob, other)
}

async fn ok(client: &mut Client, command: &str) {
    let lines = client.ask(command).await;
    let completion = lines.last().unwrap();
    assert!(completion.starts_with("OK "), "{command}: {lines:?}");
}

/// The example of section 3.1, with the events in the parentheses and pairs of the grammar.
#[tokio::test]
async fn the_session_of_the_rfc() {
    let (server, mut bob, mut other) = start().await;
    for name in ["Lists/Lemonade", "Lists/Im2000", "misc"] {
        server.create(&format!("user/bob/{name}")).await;
    }
    for _ in 0..3 {
        server.put("user/bob/Lists/Lemonade", short("old")).await;
    }
    ok(&mut other, "STATUS Lists/Lemonade (UIDVALIDITY)").await;
    bob.play(
        "C: b notify set status (selected (MessageNew (uid body.peek[header.fields (from subject)]) MessageExpunge)) (subtree Lists (MessageNew MessageExpunge))
         S: * STATUS \"Lists/Im2000\" (MESSAGES 0 UIDNEXT 1 UIDVALIDITY …)
         S: * STATUS \"Lists/Lemonade\" (MESSAGES 3 UIDNEXT 4 UIDVALIDITY …)
         S: b OK NOTIFY completed",
    )
    .await;
    bob.select("INBOX").await;
    server.put("user/bob/Lists/Lemonade", short("new")).await;
    bob.play("S: * STATUS \"Lists/Lemonade\" (MESSAGES 4 UIDNEXT 5 UIDVALIDITY …)")
        .await;
    server.put("user/bob", short("Re: good morning")).await;
    bob.play(
        "S: * 1 EXISTS
         S: * 1 RECENT
         S: * 1 FETCH (UID 1 BODY[HEADER.FIELDS (from subject)] {50}
         S: From: a@example.org
         S: Subject: Re: good morning
         S: …
         S: )
         C: d STATUS misc (UIDVALIDITY UIDNEXT MESSAGES)
         S: * STATUS \"misc\" (UIDVALIDITY … UIDNEXT 1 MESSAGES 0)
         S: d OK …
         C: e notify set (selected (MessageNew (uid) MessageExpunge)) (subtree Lists (MessageNew MessageExpunge)) (mailboxes misc (MessageNew MessageExpunge))
         S: e OK NOTIFY completed",
    )
    .await;
    server.put("user/bob/misc", short("1")).await;
    bob.play("S: * STATUS \"misc\" (MESSAGES 1 UIDNEXT 2 UIDVALIDITY …)")
        .await;
    // What is not asked for is not told.
    other.select("misc").await;
    ok(&mut other, "STORE 1 +FLAGS.SILENT (\\Deleted)").await;
    ok(&mut other, "EXPUNGE").await;
    bob.play("S: * STATUS \"misc\" (MESSAGES 0 UIDNEXT 2 UIDVALIDITY …)")
        .await;
}

#[tokio::test]
async fn the_selected_mailbox() {
    let (server, mut bob, mut other) = start().await;
    for subject in ["1", "2", "3"] {
        server.put("user/bob", short(subject)).await;
    }
    bob.select("INBOX").await;
    other.select("INBOX").await;
    bob.play(
        "C: a NOTIFY SET (SELECTED (MessageNew MessageExpunge FlagChange))
         S: a OK NOTIFY completed",
    )
    .await;
    ok(&mut other, "STORE 2 FLAGS (\\Deleted)").await;
    bob.play("S: * 2 FETCH (UID 2 FLAGS (\\Deleted \\Recent))")
        .await;
    ok(&mut other, "EXPUNGE").await;
    bob.play("S: * 2 EXPUNGE").await;
    server.put("user/bob", short("4")).await;
    bob.play(
        "S: * 3 EXISTS
         S: * 3 RECENT",
    )
    .await;
    // While IDLE the same is told.
    bob.play(
        "C: b IDLE
         S: + idling",
    )
    .await;
    ok(&mut other, "UID STORE 1 +FLAGS (\\Deleted)").await;
    ok(&mut other, "UID EXPUNGE 1").await;
    bob.play(
        "S: * 1 FETCH (UID 1 FLAGS (\\Deleted \\Recent))
         S: * 1 EXPUNGE
         C: DONE
         S: b OK …
         C: c ENABLE QRESYNC
         S: * ENABLED QRESYNC
         S: c OK …",
    )
    .await;
    ok(&mut other, "UID STORE 3 +FLAGS.SILENT (\\Deleted)").await;
    bob.play("S: * 1 FETCH (UID 3 FLAGS (\\Deleted \\Recent) MODSEQ (…))")
        .await;
    ok(&mut other, "EXPUNGE").await;
    bob.play("S: * VANISHED 3").await;
    // Delayed, expunges wait for a command that may tell them.
    bob.play(
        "C: d NOTIFY SET (SELECTED-DELAYED (MessageNew (UID PREVIEW) MessageExpunge))
         S: d OK …",
    )
    .await;
    ok(&mut other, "UID STORE 4 +FLAGS.SILENT (\\Deleted)").await;
    ok(&mut other, "EXPUNGE").await;
    server.put("user/bob", short("5")).await;
    bob.play(
        "S: * 2 EXISTS
         S: * … RECENT
         S: * 2 FETCH (UID 5 PREVIEW \"Text of 5.\")
         C: e FETCH 2 (UID)
         S: * 2 FETCH (UID 5)
         S: e OK …
         C: f NOOP
         S: * VANISHED 4
         S: f OK …",
    )
    .await;
}

#[tokio::test]
async fn own_messages_are_not_fetched() {
    let (server, mut bob, mut other) = start().await;
    server.put("user/bob", short("1")).await;
    bob.select("INBOX").await;
    other.select("INBOX").await;
    bob.play(
        "C: a NOTIFY SET (SELECTED (MessageNew (UID FLAGS) MessageExpunge))
         S: a OK …
         C: b COPY 1 INBOX
         S: * 2 EXISTS
         S: * 2 RECENT
         S: b OK [COPYUID …] …",
    )
    .await;
    let text = short("mine");
    bob.send(format!("c APPEND INBOX {{{}+}}\r\n{text}\r\n", text.len()))
        .await;
    bob.play(
        "S: * 3 EXISTS
         S: * 3 RECENT
         S: c OK [APPENDUID …] …",
    )
    .await;
    ok(&mut other, "COPY 1 INBOX").await;
    bob.play(
        "S: * 4 EXISTS
         S: * … RECENT
         S: * 4 FETCH (UID 4 FLAGS (…))",
    )
    .await;
}

/// NOTIFY SET … NONE is a snapshot, and so is NOTIFY NONE.
#[tokio::test]
async fn nothing_is_told_to_who_wants_nothing() {
    for none in [
        "NONE",
        "SET (SELECTED NONE)",
        "SET (personal (MailboxName))",
    ] {
        let (server, mut bob, mut other) = start().await;
        for subject in ["1", "2"] {
            server.put("user/bob", short(subject)).await;
        }
        bob.select("INBOX").await;
        other.select("INBOX").await;
        ok(&mut bob, &format!("NOTIFY {none}")).await;
        ok(&mut other, "STORE 1 FLAGS (\\Deleted)").await;
        ok(&mut other, "EXPUNGE").await;
        server.put("user/bob", short("3")).await;
        ok(&mut other, "STORE 1 +FLAGS (\\Flagged)").await;
        bob.play(
            "C: a NOOP
             S: a OK NOOP completed
             C: b FETCH 2 (UID BODY.PEEK[HEADER.FIELDS (SUBJECT)])
             S: * 2 FETCH (UID 2 BODY[HEADER.FIELDS (SUBJECT)] {14}
             S: Subject: 2
             S: …
             S: )
             S: b OK …
             C: c NOTIFY SET (SELECTED (MessageNew MessageExpunge FlagChange))
             S: * 1 EXPUNGE
             S: * 2 EXISTS
             S: * … RECENT
             S: * 1 FETCH (UID 2 FLAGS (\\Flagged…))
             S: c OK NOTIFY completed",
        )
        .await;
    }
}

/// Flags that were not wanted are told once they are.
#[tokio::test]
async fn changes_that_accumulated_are_told() {
    let (server, mut bob, mut other) = start().await;
    server.put("user/bob", short("1")).await;
    bob.select("INBOX").await;
    other.select("INBOX").await;
    ok(
        &mut bob,
        "NOTIFY SET (SELECTED (MessageNew MessageExpunge))",
    )
    .await;
    ok(&mut other, "STORE 1 FLAGS (\\Answered)").await;
    server.put("user/bob", short("2")).await;
    bob.play(
        "S: * 2 EXISTS
         S: * … RECENT
         C: a STORE 2 FLAGS (\\Seen)
         S: * 2 FETCH (UID 2 FLAGS (\\Seen…))
         S: a OK …
         C: b NOTIFY SET (SELECTED (MessageNew MessageExpunge FlagChange))
         S: * 1 FETCH (UID 1 FLAGS (\\Answered…))
         S: b OK …",
    )
    .await;
}

#[tokio::test]
async fn other_mailboxes() {
    let (server, mut bob, mut other) = start().await;
    server.create("user/bob/x").await;
    server.put("user/bob/x", short("1")).await;
    other.select("x").await;
    bob.play(
        "C: a NOTIFY SET STATUS (personal (MessageNew MessageExpunge FlagChange))
         S: * STATUS \"INBOX\" (MESSAGES 0 UIDNEXT 1 UIDVALIDITY … HIGHESTMODSEQ … UNSEEN 0)
         S: * STATUS \"x\" (MESSAGES 1 UIDNEXT 2 UIDVALIDITY … HIGHESTMODSEQ … UNSEEN 1)
         S: a OK …",
    )
    .await;
    // Without CONDSTORE, a change of flags is told where UNSEEN changes.
    ok(&mut other, "STORE 1 +FLAGS (\\Flagged)").await;
    ok(&mut other, "STORE 1 +FLAGS (\\Seen)").await;
    bob.play(
        "S: * STATUS \"x\" (UNSEEN 0 UIDVALIDITY …)
         C: b ENABLE CONDSTORE
         S: * ENABLED CONDSTORE
         S: b OK …",
    )
    .await;
    ok(&mut other, "STORE 1 -FLAGS (\\Flagged)").await;
    bob.play("S: * STATUS \"x\" (UIDVALIDITY … HIGHESTMODSEQ …)")
        .await;
    server.put("user/bob/x", short("2")).await;
    bob.play("S: * STATUS \"x\" (MESSAGES 2 UIDNEXT 3 UNSEEN 1 UIDVALIDITY … HIGHESTMODSEQ …)")
        .await;
    // While it is selected, it is not one of the others.
    bob.select("x").await;
    server.put("user/bob/x", short("3")).await;
    server.put("user/bob", short("1")).await;
    bob.play(
        "S: * STATUS \"INBOX\" (MESSAGES 1 UIDNEXT 2 UNSEEN 1 UIDVALIDITY … HIGHESTMODSEQ …)
         C: c UNSELECT
         S: c OK …",
    )
    .await;
    server.put("user/bob/x", short("4")).await;
    bob.play("S: * STATUS \"x\" (MESSAGES 4 UIDNEXT 5 UNSEEN 3 UIDVALIDITY … HIGHESTMODSEQ …)")
        .await;
}

#[tokio::test]
async fn inboxes_are_where_mail_is_delivered() {
    let (server, mut bob, _) = start().await;
    for name in ["user/bob/lists", "user/bob/private"] {
        server.create(name).await;
    }
    server.allow("user/bob/lists", "anyone", "p").await;
    bob.play(
        "C: a NOTIFY SET STATUS (inboxes (MessageNew MessageExpunge))
         S: * STATUS \"INBOX\" (MESSAGES 0 UIDNEXT 1 UIDVALIDITY …)
         S: * STATUS \"lists\" (MESSAGES 0 UIDNEXT 1 UIDVALIDITY …)
         S: a OK …",
    )
    .await;
    server.put("user/bob/private", short("1")).await;
    server.put("user/bob/lists", short("1")).await;
    bob.play("S: * STATUS \"lists\" (MESSAGES 1 UIDNEXT 2 UIDVALIDITY …)")
        .await;
}

/// Section 5.4.
#[tokio::test]
async fn names() {
    let (_server, mut bob, mut other) = start().await;
    ok(&mut bob, "NOTIFY SET (personal (MailboxName))").await;
    ok(&mut other, "CREATE NewMailbox").await;
    bob.play("S: * LIST (\\HasNoChildren) \"/\" \"NewMailbox\"")
        .await;
    ok(&mut other, "CREATE NewMailbox/below").await;
    bob.play(
        "S: * LIST (\\HasChildren) \"/\" \"NewMailbox\"
         S: * LIST (\\HasNoChildren) \"/\" \"NewMailbox/below\"",
    )
    .await;
    // Children go with their parent.
    ok(&mut other, "RENAME NewMailbox Old").await;
    bob.play("S: * LIST (\\HasChildren) \"/\" \"Old\" (\"OLDNAME\" (\"NewMailbox\"))")
        .await;
    ok(&mut other, "DELETE Old").await;
    bob.play("S: * LIST (\\NonExistent \\HasChildren) \"/\" \"Old\"")
        .await;
    ok(&mut other, "DELETE Old/below").await;
    bob.play(
        "S: * LIST (\\NonExistent \\HasNoChildren) \"/\" \"Old\"
         S: * LIST (\\NonExistent \\HasNoChildren) \"/\" \"Old/below\"",
    )
    .await;
    // What the client does itself it knows.
    for command in [
        "CREATE mine",
        "CREATE mine/2",
        "RENAME mine yours",
        "DELETE yours/2",
        "DELETE yours",
    ] {
        assert_eq!(bob.ask(command).await.len(), 1, "{command}");
    }
    ok(&mut other, "CREATE again").await;
    bob.play("S: * LIST (\\HasNoChildren) \"/\" \"again\"")
        .await;
    // A rename out of what is watched is the end of it, one into it the beginning.
    ok(&mut other, "CREATE a/1").await;
    bob.play(
        "S: * LIST (\\NonExistent \\HasChildren) \"/\" \"a\"
         S: * LIST (\\HasNoChildren) \"/\" \"a/1\"",
    )
    .await;
    ok(&mut bob, "NOTIFY SET (subtree a (MailboxName))").await;
    ok(&mut other, "RENAME a/1 b").await;
    bob.play(
        "S: * LIST (\\NonExistent \\HasNoChildren) \"/\" \"a\"
         S: * LIST (\\NonExistent \\HasNoChildren) \"/\" \"a/1\"",
    )
    .await;
    ok(&mut other, "RENAME b a").await;
    bob.play("S: * LIST (\\HasNoChildren) \"/\" \"a\"").await;
}

/// Section 5.5.
#[tokio::test]
async fn subscriptions() {
    let (server, mut bob, mut other) = start().await;
    server.create("user/bob/SubscribedMailbox").await;
    server.create("user/bob/x").await;
    ok(
        &mut bob,
        "NOTIFY SET (personal (SubscriptionChange)) (subscribed (MessageNew MessageExpunge))",
    )
    .await;
    ok(&mut other, "SUBSCRIBE SubscribedMailbox").await;
    bob.play("S: * LIST (\\HasNoChildren \\Subscribed) \"/\" \"SubscribedMailbox\"")
        .await;
    // What is subscribed now is watched now.
    server.put("user/bob/x", short("1")).await;
    server.put("user/bob/SubscribedMailbox", short("1")).await;
    bob.play("S: * STATUS \"SubscribedMailbox\" (MESSAGES 1 UIDNEXT 2 UIDVALIDITY …)")
        .await;
    ok(&mut other, "UNSUBSCRIBE SubscribedMailbox").await;
    bob.play("S: * LIST (\\HasNoChildren) \"/\" \"SubscribedMailbox\"")
        .await;
    server.put("user/bob/SubscribedMailbox", short("2")).await;
    assert_eq!(bob.ask("SUBSCRIBE x").await, ["OK SUBSCRIBE completed"]);
    server.put("user/bob/x", short("2")).await;
    bob.play("S: * STATUS \"x\" (MESSAGES 2 UIDNEXT 3 UIDVALIDITY …)")
        .await;
}

/// Sections 3.1 and 5.9, and 5.4 for the right `l`.
#[tokio::test]
async fn rights_come_and_go() {
    let (server, mut bob, _) = start().await;
    for name in ["user/carol/a", "user/carol/b", "user/carol/c"] {
        server.create(name).await;
    }
    server.allow("user/carol/a", "bob", "lr").await;
    server.allow("user/carol/b", "bob", "l").await;
    let other = |name: &str| format!("\"Other Users/carol/{name}\"");
    let (a, b, c) = (other("a"), other("b"), other("c"));
    bob.play(&format!(
        "C: a NOTIFY SET STATUS (mailboxes ({a} {b} {c} nosuch \"no//such\") (MessageNew MessageExpunge MailboxName))
         S: * LIST (\\HasNoChildren \\NoAccess) \"/\" {b}
         S: * STATUS {a} (MESSAGES 0 UIDNEXT 1 UIDVALIDITY …)
         S: a OK …"
    ))
    .await;
    for name in ["c", "b", "a"] {
        server.put(&format!("user/carol/{name}"), short("1")).await;
    }
    bob.play(&format!(
        "S: * STATUS {a} (MESSAGES 1 UIDNEXT 2 UIDVALIDITY …)"
    ))
    .await;
    server.allow("user/carol/b", "bob", "lr").await;
    bob.play(&format!("S: * LIST (\\HasNoChildren) \"/\" {b}"))
        .await;
    server.put("user/carol/b", short("2")).await;
    bob.play(&format!(
        "S: * STATUS {b} (MESSAGES 2 UIDNEXT 3 UIDVALIDITY …)"
    ))
    .await;
    server.allow("user/carol/c", "bob", "lr").await;
    // One that appears with messages is told with its state.
    bob.play(&format!(
        "S: * LIST (\\HasNoChildren) \"/\" {c}
         S: * STATUS {c} (MESSAGES 1 UIDNEXT 2 UIDVALIDITY …)"
    ))
    .await;
    server.put("user/carol/c", short("2")).await;
    bob.play(&format!(
        "S: * STATUS {c} (MESSAGES 2 UIDNEXT 3 UIDVALIDITY …)"
    ))
    .await;
    server.allow("user/carol/a", "bob", "l").await;
    bob.play(&format!("S: * LIST (\\HasNoChildren \\NoAccess) \"/\" {a}"))
        .await;
    server.put("user/carol/a", short("2")).await;
    server.allow("user/carol/a", "bob", "r").await;
    bob.play(&format!(
        "S: * LIST (\\NonExistent \\HasNoChildren \\NoAccess) \"/\" {a}"
    ))
    .await;
    server.put("user/carol/a", short("3")).await;
    server.put("user/carol/b", short("3")).await;
    bob.play(&format!(
        "S: * STATUS {b} (MESSAGES 3 UIDNEXT 4 UIDVALIDITY …)"
    ))
    .await;
}

/// The same of the selected mailbox: nobody is sent messages that they may not fetch.
#[tokio::test]
async fn the_right_to_read_what_is_selected() {
    let (server, mut bob, _) = start().await;
    server.create("user/carol/x").await;
    server.allow("user/carol/x", "bob", "lr").await;
    bob.select("Other Users/carol/x").await;
    ok(
        &mut bob,
        "NOTIFY SET (selected (MessageNew (UID PREVIEW) MessageExpunge)) (personal (MessageNew MessageExpunge))",
    )
    .await;
    server.allow("user/carol/x", "bob", "l").await;
    server.put("user/carol/x", short("1")).await;
    server.put("user/bob", short("1")).await;
    bob.play(
        "S: * STATUS \"INBOX\" (MESSAGES 1 UIDNEXT 2 UIDVALIDITY …)
         C: a NOOP
         S: a OK …",
    )
    .await;
}

#[tokio::test]
async fn without_message_numbers() {
    let (server, mut bob, mut other) = start().await;
    bob.play(
        "C: a ENABLE UIDONLY
         S: * ENABLED UIDONLY
         S: a OK …",
    )
    .await;
    bob.select("INBOX").await;
    ok(
        &mut bob,
        "NOTIFY SET (selected (MessageNew (PREVIEW) MessageExpunge FlagChange))",
    )
    .await;
    server.put("user/bob", short("1")).await;
    bob.play(
        "S: * 1 EXISTS
         S: * … RECENT
         S: * 1 UIDFETCH (PREVIEW \"Text of 1.\")",
    )
    .await;
    other.select("INBOX").await;
    ok(&mut other, "STORE 1 FLAGS (\\Deleted)").await;
    bob.play("S: * 1 UIDFETCH (FLAGS (\\Deleted…))").await;
    ok(&mut other, "EXPUNGE").await;
    bob.play("S: * VANISHED 1").await;
}

/// Mailboxes of homes that are not there yet, in several partitions.
#[tokio::test]
async fn others_homes() {
    let server = Server::with_partitions(&["default", "second"]);
    let mut bob = server.login("bob").await;
    let mut admin = server.login("admin").await;
    ok(
        &mut bob,
        "NOTIFY SET (subtree \"Shared Folders\" (MessageNew MessageExpunge MailboxName))",
    )
    .await;
    for (tree, partition) in [("one", "default"), ("two", "second")] {
        ok(
            &mut admin,
            &format!("CREATE \"Shared Folders/{tree}\" (PARTITION {partition})"),
        )
        .await;
        let name = format!("\"Shared Folders/{tree}\"");
        ok(&mut admin, &format!("SETACL {name} anyone lrp")).await;
        bob.play(&format!("S: * LIST (\\HasNoChildren) \"/\" {name}"))
            .await;
        server.put(tree, short("1")).await;
        bob.play(&format!(
            "S: * STATUS {name} (MESSAGES 1 UIDNEXT 2 UIDVALIDITY …)"
        ))
        .await;
    }
    ok(&mut admin, "DELETE \"Shared Folders/one\"").await;
    bob.play("S: * LIST (\\NonExistent \\HasNoChildren) \"/\" \"Shared Folders/one\"")
        .await;
}

#[tokio::test]
async fn what_cannot_be_asked_for() {
    let (_server, mut bob, _) = start().await;
    for (command, answer) in [
        ("SET (personal (MessageNew))", "BAD "),
        ("SET (personal (MessageExpunge))", "BAD "),
        ("SET (personal (FlagChange))", "BAD "),
        ("SET (personal (AnnotationChange))", "BAD "),
        ("SET (selected (MailboxName))", "BAD "),
        (
            "SET (selected (MessageNew MessageExpunge)) (selected-delayed NONE)",
            "BAD ",
        ),
        ("SET (personal (MessageNew (UID) MessageExpunge))", "BAD "),
        ("SET (subtree-one x (MailboxName))", "BAD "),
        ("SET", "BAD "),
        ("SET (personal ())", "BAD "),
        (
            "SET (personal (MailboxName SomethingElse))",
            "NO [BADEVENT (MessageNew MessageExpunge FlagChange MailboxName SubscriptionChange MailboxMetadataChange ServerMetadataChange)] ",
        ),
        (
            "SET (selected (MessageNew MessageExpunge AnnotationChange))",
            "NO [BADEVENT (MessageNew MessageExpunge FlagChange MailboxName SubscriptionChange MailboxMetadataChange ServerMetadataChange)] ",
        ),
        ("SET (selected NONE) (personal NONE)", "OK "),
        ("NONE", "OK "),
    ] {
        let lines = bob.ask(&format!("NOTIFY {command}")).await;
        assert!(
            lines.last().unwrap().starts_with(answer),
            "{command}: {lines:?}"
        );
    }
}

#[tokio::test]
async fn frontends_are_not_notified() {
    let server = Server::with_tls(|_| {});
    let mut bob = server.connect_for("bob").await;
    let answer = bob.ask("NOTIFY SET (personal (MailboxName))").await;
    assert_eq!(answer, ["BAD NOTIFY is not offered"]);
}

#[tokio::test]
async fn the_next_user_is_not_notified() {
    let (server, mut bob, _) = start().await;
    ok(
        &mut bob,
        "NOTIFY SET (personal (MessageNew MessageExpunge))",
    )
    .await;
    bob.play(
        "C: a UNAUTHENTICATE
         S: a OK …
         C: b LOGIN carol secret
         S: b OK …",
    )
    .await;
    server.put("user/bob", short("1")).await;
    server.put("user/carol", short("1")).await;
    bob.play(
        "C: c NOOP
         S: c OK NOOP completed",
    )
    .await;
}

#[tokio::test]
async fn a_deleted_mailbox_ends_it() {
    let (server, mut bob, mut other) = start().await;
    server.create("user/bob/x").await;
    bob.select("x").await;
    ok(&mut bob, "NOTIFY NONE").await;
    ok(&mut other, "DELETE x").await;
    bob.play("S: * BYE The selected mailbox was deleted").await;
    assert!(bob.ends().await.is_empty());
}

/// Section 5.8, and NO when it would be too much from the start.
#[tokio::test]
async fn too_much_is_not_notified() {
    let (server, mut bob, _) = start().await;
    // With bob's own home, as many as a session watches.
    for number in 1..super::super::notify::MAX_HOMES {
        server.create(&format!("tree{number}")).await;
        server.allow(&format!("tree{number}"), "anyone", "lr").await;
    }
    let all = "NOTIFY SET (subtree \"Shared Folders\" (MailboxName))";
    ok(&mut bob, all).await;
    server.create("more").await;
    server.allow("more", "anyone", "lr").await;
    bob.play("S: * OK [NOTIFICATIONOVERFLOW] Nothing more is notified")
        .await;
    server.create("evenmore").await;
    let answer = bob.ask(all).await;
    assert_eq!(answer, ["NO [NOTIFICATIONOVERFLOW] Too many mailboxes"]);
}

/// Whatever comes at the same time: each message is told once, and in the end everything.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn deliveries_at_the_same_time() {
    const EACH: u32 = 25;
    let (server, mut bob, _) = start().await;
    server.create("user/bob/x").await;
    bob.select("INBOX").await;
    ok(
        &mut bob,
        "NOTIFY SET (selected (MessageNew (UID) MessageExpunge)) (personal (MessageNew MessageExpunge MailboxName))",
    )
    .await;
    let server = std::sync::Arc::new(server);
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let server = std::sync::Arc::clone(&server);
            tokio::spawn(async move {
                for number in 0..EACH {
                    let name = ["user/bob", "user/bob/x"][writer % 2];
                    server.put(name, short("x")).await;
                    if number % 5 == 0 {
                        let name = format!("user/bob/new{writer}-{number}");
                        server.create(&name).await;
                    }
                }
            })
        })
        .collect();
    let mut fetched = Vec::new();
    let (mut exists, mut messages, mut names) = (0, 0, 0);
    while fetched.len() < 2 * EACH as usize || messages < 2 * EACH || names < 20 {
        let line = bob.line().await;
        let words: Vec<&str> = line.split([' ', '(', ')', '"']).collect();
        match words[..] {
            ["*", number, "EXISTS"] => exists = number.parse::<u32>().unwrap(),
            ["*", _, "FETCH", "", "UID", uid, ..] => fetched.push(uid.parse::<u32>().unwrap()),
            ["*", "STATUS", "", "x", "", "", "MESSAGES", number, ..] => {
                let number = number.parse().unwrap();
                assert!(number > messages, "{line}");
                messages = number;
            }
            ["*", "LIST", ..] => names += 1,
            _ => assert!(line.ends_with(" RECENT"), "{line}"),
        }
    }
    for writer in writers {
        writer.await.unwrap();
    }
    assert_eq!(exists, 2 * EACH);
    assert_eq!(fetched, (1..=2 * EACH).collect::<Vec<_>>());
    assert_eq!((messages, names), (2 * EACH, 20));
    assert_eq!(bob.ask("NOOP").await, ["OK NOOP completed"]);
}

/// Sections 5.6 and 5.7.
#[tokio::test]
async fn annotations() {
    let (server, mut bob, mut other) = start().await;
    let mut carol = server.login("carol").await;
    let mut admin = server.login("admin").await;
    server.create("user/carol/x").await;
    server.allow("user/carol/x", "bob", "lrs").await;
    ok(
        &mut bob,
        "NOTIFY SET (personal (MailboxMetadataChange)) \
         (mailboxes \"Other Users/carol/x\" (MailboxMetadataChange ServerMetadataChange))",
    )
    .await;
    ok(
        &mut other,
        "SETMETADATA INBOX (/shared/comment \"a\" /private/comment \"b\")",
    )
    .await;
    bob.play("S: * METADATA \"INBOX\" /private/comment /shared/comment")
        .await;
    // One that stays as it is has not changed; one that is removed has.
    ok(
        &mut other,
        "SETMETADATA INBOX (/shared/comment \"a\" /private/comment NIL)",
    )
    .await;
    bob.play("S: * METADATA \"INBOX\" /private/comment").await;
    // What is others' own is theirs.
    ok(
        &mut carol,
        "SETMETADATA x (/private/comment \"c\" /shared/comment \"c\")",
    )
    .await;
    bob.play("S: * METADATA \"Other Users/carol/x\" /shared/comment")
        .await;
    ok(
        &mut other,
        "SETMETADATA \"Other Users/carol/x\" (/private/comment \"d\")",
    )
    .await;
    bob.play("S: * METADATA \"Other Users/carol/x\" /private/comment")
        .await;
    let seen = "/shared/vendor/cmu/cyrus-imapd/sharedseen";
    ok(&mut carol, &format!("SETMETADATA x ({seen} \"true\")")).await;
    bob.play(&format!("S: * METADATA \"Other Users/carol/x\" {seen}"))
        .await;
    ok(&mut carol, "SETMETADATA \"\" (/private/comment \"c\")").await;
    ok(&mut other, "SETMETADATA \"\" (/private/comment \"c\")").await;
    bob.play("S: * METADATA \"\" /private/comment").await;
    ok(&mut admin, "SETMETADATA \"\" (/shared/comment \"c\")").await;
    bob.play("S: * METADATA \"\" /shared/comment").await;
    // What the client has done itself it knows.
    for command in [
        "SETMETADATA INBOX (/shared/Comment \"mine\")",
        "SETMETADATA \"\" (/private/comment \"mine\")",
    ] {
        assert_eq!(bob.ask(command).await, ["OK SETMETADATA completed"]);
    }
    ok(&mut other, "SETMETADATA INBOX (/shared/comment \"z\")").await;
    bob.play("S: * METADATA \"INBOX\" /shared/comment").await;
}
