//! IMAP4rev2 (RFC 9051), where it is not IMAP4rev1: appendix E.

use super::support::{Client, Server, short};

async fn rev2(server: &Server) -> Client {
    let mut bob = server.login("bob").await;
    bob.play(
        "C: a ENABLE IMAP4rev2
         S: * ENABLED IMAP4rev2
         S: a OK …",
    )
    .await;
    bob
}

/// Numbers 9 to 12: the answers to SELECT.
#[tokio::test]
async fn select_tells_the_mailbox_and_nothing_recent() {
    let server = Server::start();
    let mut bob = rev2(&server).await;
    for name in ["\"Entwürfe\" (USE (\\Drafts))", "\"Entwürfe/alt\"", "plain"] {
        let answer = bob.ask(&format!("CREATE {name}")).await;
        assert!(answer[0].starts_with("OK"), "{answer:?}");
    }
    server.put("user/bob", short("1")).await;
    bob.play(
        "C: b SELECT INBOX
         S: * LIST (\\HasNoChildren) \"/\" \"INBOX\"
         S: * FLAGS …
         S: * OK [PERMANENTFLAGS …
         S: * 1 EXISTS
         S: * OK [UIDVALIDITY …
         S: * OK [UIDNEXT 2] …
         S: * OK [HIGHESTMODSEQ 2] …
         S: * OK [MAILBOXID …
         S: b OK [READ-WRITE] SELECT completed
         C: c EXAMINE \"Entwürfe\"
         S: * OK [CLOSED] …
         S: * LIST (\\HasChildren \\Drafts) \"/\" \"Entwürfe\"
         S: * FLAGS …
         S: * OK [PERMANENTFLAGS …
         S: * 0 EXISTS
         S: * OK [UIDVALIDITY …
         S: * OK [UIDNEXT 1] …
         S: * OK [HIGHESTMODSEQ 1] …
         S: * OK [MAILBOXID …
         S: c OK [READ-ONLY] EXAMINE completed",
    )
    .await;
    // The mailbox of another, with what is visible below it.
    server.create("user/carol").await;
    server.create("user/carol/shared").await;
    server.create("user/carol/private").await;
    server.allow("user/carol", "bob", "lr").await;
    let list = async |bob: &mut Client, name: &str| {
        let lines = bob.ask(&format!("SELECT \"{name}\"")).await;
        let mut lines = lines.into_iter();
        lines.find(|line| line.starts_with("* LIST")).unwrap()
    };
    let name = "Other Users/carol";
    assert_eq!(
        list(&mut bob, name).await,
        "* LIST (\\HasNoChildren) \"/\" \"Other Users/carol\""
    );
    server.allow("user/carol/shared", "bob", "lr").await;
    assert_eq!(
        list(&mut bob, name).await,
        "* LIST (\\HasChildren) \"/\" \"Other Users/carol\""
    );
}

/// Numbers 12 and 21: no `\Recent`, and UIDs with what is told unasked.
#[tokio::test]
async fn nothing_is_recent_and_news_have_uids() {
    let server = Server::start();
    let mut bob = rev2(&server).await;
    bob.select("INBOX").await;
    let mut other = server.login("bob").await;
    other.select("INBOX").await;
    server.put("user/bob", short("1")).await;
    other
        .play(
            "C: a STORE 1 +FLAGS.SILENT \\Flagged
             S: * 1 EXISTS
             S: * 1 RECENT
             S: a OK …",
        )
        .await;
    server.put("user/bob", short("2")).await;
    bob.play(
        "C: a NOOP
         S: * 2 EXISTS
         S: a OK …
         C: b FETCH 1:2 FLAGS
         S: * 1 FETCH (FLAGS (\\Flagged))
         S: * 2 FETCH (FLAGS ())
         S: b OK …",
    )
    .await;
    let _ = other.ask("STORE 1 -FLAGS.SILENT \\Flagged").await;
    bob.play(
        "C: c NOOP
         S: * 1 FETCH (UID 1 FLAGS ())
         S: c OK …
         C: d STORE 2 +FLAGS \\Seen
         S: * 2 FETCH (UID 2 FLAGS (\\Seen))
         S: d OK …",
    )
    .await;
}

/// Number 4: ESEARCH for every SEARCH (RFC 9051 section 6.4.4.4).
#[tokio::test]
async fn searches_are_answered_with_esearch() {
    let server = Server::start();
    let mut bob = rev2(&server).await;
    for n in 1..=4 {
        server.put("user/bob", short(&n.to_string())).await;
    }
    bob.select("INBOX").await;
    bob.play(
        "C: x STORE 1 +FLAGS.SILENT \\Deleted
         S: x OK …
         C: y EXPUNGE
         S: * 1 EXPUNGE
         S: y OK …
         C: A282 SEARCH SUBJECT 3
         S: * ESEARCH (TAG \"A282\") ALL 2
         S: A282 OK SEARCH completed
         C: A283 SEARCH TEXT \"string not in mailbox\"
         S: * ESEARCH (TAG \"A283\")
         S: A283 OK …
         C: A284 UID SEARCH ALL
         S: * ESEARCH (TAG \"A284\") UID ALL 2:4
         S: A284 OK …
         C: A285 SEARCH CHARSET UTF-8 SUBJECT \"Б\"
         S: * ESEARCH (TAG \"A285\")
         S: A285 OK …
         C: A286 SEARCH RETURN (COUNT) ALL
         S: * ESEARCH (TAG \"A286\") COUNT 3
         S: A286 OK …
         C: A287 SEARCH RETURN () 1
         S: * ESEARCH (TAG \"A287\") ALL 1
         S: A287 OK …",
    )
    .await;
}

/// Number 16: names in UTF-8, both ways; `&` is a letter like any other.
#[tokio::test]
async fn names_are_utf8() {
    let server = Server::start();
    let mut old = server.login("bob").await;
    let mut bob = rev2(&server).await;
    bob.play(
        "C: a CREATE \"Entwürfe & mehr\"
         S: a OK …
         C: b CREATE \"日x\"
         S: b OK …
         C: c SUBSCRIBE \"日x\"
         S: c OK …
         C: d LIST \"\" *
         S: * LIST (\\HasNoChildren) \"/\" \"Entwürfe & mehr\"
         S: * LIST (\\HasNoChildren) \"/\" \"INBOX\"
         S: * LIST (\\HasNoChildren) \"/\" \"日x\"
         S: d OK …
         C: e LSUB \"\" *
         S: * LSUB () \"/\" \"日x\"
         S: e OK …
         C: f STATUS \"日x\" (MESSAGES)
         S: * STATUS \"日x\" (MESSAGES 0)
         S: f OK …
         C: g RENAME \"日x\" &-
         S: g OK …
         C: h GETACL &-
         S: * ACL \"&-\" …
         S: h OK …
         C: i LIST \"\" Entw%
         S: * LIST (\\HasNoChildren) \"/\" \"Entwürfe & mehr\"
         S: i OK …",
    )
    .await;
    old.play(
        "C: a LIST \"\" *
         S: * LIST (\\HasNoChildren) \"/\" \"&--\"
         S: * LIST (\\HasNoChildren) \"/\" \"Entw&APw-rfe &- mehr\"
         S: * LIST (\\HasNoChildren) \"/\" \"INBOX\"
         S: a OK …",
    )
    .await;
}

/// Numbers 2 and 17 to 19: LIST is the extended one, and what was taken out still works for who
/// asks for it.
#[tokio::test]
async fn what_is_gone_and_what_is_there() {
    let server = Server::start();
    let mut bob = rev2(&server).await;
    server.put("user/bob", short("1")).await;
    bob.play(
        "C: a CREATE a/b/c
         S: a OK …
         C: b LIST \"\" %
         S: * LIST (\\HasNoChildren) \"/\" \"INBOX\"
         S: * LIST (\\NonExistent \\HasChildren) \"/\" \"a\"
         S: b OK …
         C: c LIST \"\" \"\"
         S: * LIST (\\Noselect) \"/\" \"\"
         S: c OK …
         C: d LIST (SUBSCRIBED) \"\" * RETURN (CHILDREN STATUS (SIZE DELETED))
         S: d OK …
         C: e STATUS INBOX (MESSAGES SIZE DELETED RECENT)
         S: * STATUS \"INBOX\" (MESSAGES 1 SIZE … DELETED 0 RECENT …)
         S: e OK …
         C: f SELECT INBOX
         S: * LIST …
         S: * FLAGS …
         S: * OK …
         S: * 1 EXISTS
         S: * OK …
         S: * OK …
         S: * OK …
         S: * OK …
         S: f OK …
         C: g CHECK
         S: g OK …
         C: h FETCH 1 RFC822.HEADER
         S: * 1 FETCH (RFC822.HEADER {…}
         S: From: a@example.org
         S: Subject: 1",
    )
    .await;
}

/// RFC 9051 sections 6.3.2 and 6.3.9.7: a name that is not in the normal form.
#[tokio::test]
async fn names_are_normalised_and_that_is_told() {
    let server = Server::start();
    let mut bob = rev2(&server).await;
    bob.play(
        "C: a CREATE \"Entwu\u{308}rfe\"
         S: * LIST (\\HasNoChildren) \"/\" \"Entwürfe\" (\"OLDNAME\" (\"Entwu\u{308}rfe\"))
         S: a OK [MAILBOXID …
         C: b CREATE plain
         S: b OK …",
    )
    .await;
    let list = async |bob: &mut Client, name: &str| {
        let lines = bob.ask(&format!("SELECT \"{name}\"")).await;
        let mut lines = lines.into_iter();
        lines.find(|line| line.starts_with("* LIST")).unwrap()
    };
    assert_eq!(
        list(&mut bob, "Entwu\u{308}rfe").await,
        "* LIST (\\HasNoChildren) \"/\" \"Entwürfe\" (\"OLDNAME\" (\"Entwu\u{308}rfe\"))"
    );
    for name in ["Entwürfe", "plain"] {
        let wanted = format!("* LIST (\\HasNoChildren) \"/\" \"{name}\"");
        assert_eq!(list(&mut bob, name).await, wanted);
    }
    assert_eq!(
        list(&mut bob, "inbox").await,
        "* LIST (\\HasNoChildren) \"/\" \"INBOX\""
    );
}
