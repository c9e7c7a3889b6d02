//! GETQUOTA, GETQUOTAROOT, SETQUOTA (RFC 9208), and what is over quota.

use murder_mailbox::MailboxName;
use murder_store::QuotaLimits;

use super::support::{Server, short};

/// The RFC's exchanges in sections 4.1.1 to 4.1.3, with names of ours.
#[tokio::test]
async fn roots_are_set_and_shown() {
    let server = Server::start();
    let mut bob = server.login("bob").await;
    let mut admin = server.login("admin").await;
    server.put("user/bob", "x".repeat(54 * 1024 - 5)).await;
    server.create("user/bob/Work").await;
    server.put("user/bob/Work", "y").await;
    bob.play(
        "C: a GETQUOTAROOT INBOX
         S: * QUOTAROOT \"INBOX\"
         S: a OK GETQUOTAROOT completed
         C: b GETQUOTA INBOX
         S: b NO [NONEXISTENT] No such quota root",
    )
    .await;
    admin
        .play(
            "C: a SETQUOTA user/bob (STORAGE 111 MESSAGE 1000 MAILBOX 7)
             S: * QUOTA \"Other Users/bob\" (STORAGE 54 111 MESSAGE 2 1000 MAILBOX 2 7)
             S: a OK SETQUOTA completed
             C: b SETQUOTA \"Other Users/bob\" (storage 510)
             S: * QUOTA \"Other Users/bob\" (STORAGE 54 510)
             S: b OK …",
        )
        .await;
    bob.play(
        "C: c GETQUOTA INBOX
         S: * QUOTA INBOX (STORAGE 54 510)
         S: c OK GETQUOTA completed
         C: d GETQUOTAROOT inbox
         S: * QUOTAROOT \"INBOX\" INBOX
         S: * QUOTA INBOX (STORAGE 54 510)
         S: d OK …
         C: e GETQUOTAROOT Work
         S: * QUOTAROOT \"Work\" INBOX
         S: * QUOTA INBOX (STORAGE 54 510)
         S: e OK …
         C: f GETQUOTAROOT Not/there/yet
         S: * QUOTAROOT \"Not/there/yet\" INBOX
         S: * QUOTA INBOX (STORAGE 54 510)
         S: f OK …
         C: g GETQUOTA Work
         S: g NO [NONEXISTENT] …
         C: h SETQUOTA INBOX (STORAGE 1000000)
         S: h NO [NOPERM] …
         C: i GETQUOTA \"\"
         S: i NO [NONEXISTENT] No such quota root
         C: j GETQUOTA a//b
         S: j NO [NONEXISTENT] …
         C: k GETQUOTA
         S: k BAD …",
    )
    .await;
    // Zero is a limit, none is not.
    admin
        .play(
            "C: c SETQUOTA user/bob (MESSAGE 0)
             S: * QUOTA \"Other Users/bob\" (MESSAGE 2 0)
             S: c OK …
             C: d SETQUOTA user/bob (STORAGE 9223372036854775807)
             S: * QUOTA \"Other Users/bob\" (STORAGE 54 9223372036854775807)
             S: d OK …
             C: e SETQUOTA user/bob ()
             S: * QUOTA \"Other Users/bob\" ()
             S: e OK …
             C: f GETQUOTA user/bob
             S: f NO [NONEXISTENT] …
             C: g SETQUOTA user/bob (STORAGE 1 ANNOTATION-STORAGE 1)
             S: g NO [CANNOT] …
             C: h SETQUOTA user/bob (STORAGE 1 STORAGE 2)
             S: h BAD …
             C: i SETQUOTA user/bob (STORAGE 9223372036854775808)
             S: i BAD …
             C: j SETQUOTA user/bob (STORAGE -1)
             S: j BAD …
             C: k SETQUOTA user/nobody (STORAGE 1)
             S: k NO [NONEXISTENT] …
             C: l GETQUOTAROOT user/bob/Work
             S: * QUOTAROOT \"Other Users/bob/Work\"
             S: l OK …",
        )
        .await;
}

/// A root below another takes its mailboxes out of that one, which is told (section 4.1.3).
#[tokio::test]
async fn roots_below_roots() {
    let server = Server::start();
    server.create("user/bob").await;
    server.create("user/bob/Lists/imap").await;
    server.put("user/bob/Lists/imap", short("one")).await;
    let mut admin = server.login("admin").await;
    admin
        .play(
            "C: a SETQUOTA user/bob (MESSAGE 9 MAILBOX 9)
             S: * QUOTA \"Other Users/bob\" (MESSAGE 1 9 MAILBOX 2 9)
             S: a OK …
             C: b SETQUOTA user/bob/Lists (MESSAGE 5)
             S: * QUOTA \"Other Users/bob/Lists\" (MESSAGE 1 5)
             S: * QUOTA \"Other Users/bob\" (MESSAGE 0 9 MAILBOX 1 9)
             S: b OK …
             C: c SETQUOTA user/bob/Lists (MESSAGE 6)
             S: * QUOTA \"Other Users/bob/Lists\" (MESSAGE 1 6)
             S: c OK …",
        )
        .await;
    let mut bob = server.login("bob").await;
    bob.play(
        "C: a GETQUOTAROOT Lists/imap
         S: * QUOTAROOT \"Lists/imap\" Lists
         S: * QUOTA Lists (MESSAGE 1 6)
         S: a OK …
         C: b GETQUOTA Lists
         S: * QUOTA Lists (MESSAGE 1 6)
         S: b OK …",
    )
    .await;
    admin
        .play(
            "C: d SETQUOTA user/bob/Lists ()
             S: * QUOTA \"Other Users/bob/Lists\" ()
             S: * QUOTA \"Other Users/bob\" (MESSAGE 1 9 MAILBOX 2 9)
             S: d OK …",
        )
        .await;
}

/// Each partition that a home is in has quotas of its own.
#[tokio::test]
async fn a_home_in_two_partitions() {
    let server = Server::with_partitions(&["one", "two"]);
    let mut admin = server.login("admin").await;
    admin
        .play(
            "C: a CREATE user/bob (PARTITION \"one\")
             S: a OK …
             C: b CREATE user/bob/x (PARTITION \"two\")
             S: b OK …
             C: c SETQUOTA user/bob (MAILBOX 5)
             S: * QUOTA \"Other Users/bob\" (MAILBOX 1 5)
             S: c OK …
             C: d SETQUOTA user/bob/x (MAILBOX 6)
             S: * QUOTA \"Other Users/bob/x\" (MAILBOX 1 6)
             S: d OK …
             C: e SETQUOTA user/bob/nowhere (MAILBOX 7)
             S: e NO [CANNOT] …
             C: f DELETE user/bob/x
             S: f OK …
             C: g SETQUOTA user/bob/nowhere (MAILBOX 7)
             S: * QUOTA \"Other Users/bob/nowhere\" (MAILBOX 0 7)
             S: * QUOTA \"Other Users/bob\" (MAILBOX 1 5)
             S: g OK …
             C: h CREATE user/bob/x (PARTITION \"two\")
             S: h OK …",
        )
        .await;
    let mut bob = server.login("bob").await;
    bob.play(
        "C: a GETQUOTAROOT x/new
         S: * QUOTAROOT \"x/new\"
         S: a OK …
         C: b GETQUOTAROOT INBOX
         S: * QUOTAROOT \"INBOX\" INBOX
         S: * QUOTA INBOX (MAILBOX 1 5)
         S: b OK …
         C: c GETQUOTA nowhere
         S: * QUOTA nowhere (MAILBOX 0 7)
         S: c OK …",
    )
    .await;
}

#[tokio::test]
async fn names_that_are_not_ascii() {
    let server = Server::start();
    server.create("user/bob").await;
    server.create("user/bob/Entwürfe").await;
    let root = MailboxName::parse_canonical("user/bob/Entwürfe").unwrap();
    let partition = server.node.find(&root).unwrap().partition;
    let limits = QuotaLimits {
        message: Some(3),
        ..QuotaLimits::default()
    };
    partition.set_quota(&root, limits).await.unwrap();
    let mut bob = server.login("bob").await;
    // The name of a root is no name of a mailbox: UTF-8 in a literal.
    bob.play(
        "C: a GETQUOTAROOT Entw&APw-rfe
         S: * QUOTAROOT \"Entw&APw-rfe\" {9}
         S: Entwürfe
         S: * QUOTA {9}
         S: Entwürfe (MESSAGE 0 3)
         S: a OK …
         C: b GETQUOTA {9+}
         C: Entwürfe
         S: * QUOTA {9}
         S: Entwürfe (MESSAGE 0 3)
         S: b OK …
         C: c ENABLE UTF8=ACCEPT
         S: * ENABLED UTF8=ACCEPT
         S: c OK …
         C: d GETQUOTAROOT \"Entwürfe\"
         S: * QUOTAROOT \"Entwürfe\" \"Entwürfe\"
         S: * QUOTA \"Entwürfe\" (MESSAGE 0 3)
         S: d OK …",
    )
    .await;
}

/// Section 6, and section 8: what others hold is not for everybody.
#[tokio::test]
async fn others_see_what_they_may_read() {
    let server = Server::start();
    for name in [
        "user/bob",
        "user/bob/shown",
        "user/bob/shown/below",
        "board",
    ] {
        server.create(name).await;
    }
    let mut admin = server.login("admin").await;
    admin
        .play(
            "C: a SETQUOTA user/bob (STORAGE 100)
             S: * QUOTA \"Other Users/bob\" (STORAGE 0 100)
             S: a OK …
             C: b SETQUOTA user/bob/shown (MESSAGE 5)
             S: * QUOTA \"Other Users/bob/shown\" (MESSAGE 0 5)
             S: * QUOTA \"Other Users/bob\" (STORAGE 0 100)
             S: b OK …
             C: c SETQUOTA \"Shared Folders/board\" (MESSAGE 9)
             S: * QUOTA \"Shared Folders/board\" (MESSAGE 0 9)
             S: c OK …",
        )
        .await;
    let mut carol = server.login("carol").await;
    let refused = async |carol: &mut super::support::Client, name: &str, code: &str| {
        for command in ["GETQUOTAROOT", "GETQUOTA"] {
            let answer = carol.ask(&format!("{command} \"{name}\"")).await;
            let code = match command {
                "GETQUOTA" => "NONEXISTENT",
                _ => code,
            };
            assert_eq!(answer.len(), 1, "{command} {name}: {answer:?}");
            let wanted = format!("NO [{code}] ");
            assert!(
                answer[0].starts_with(&wanted),
                "{command} {name}: {answer:?}"
            );
        }
    };
    for name in [
        "Other Users/bob",
        "Other Users/bob/shown",
        "Other Users/bob/shown/new",
        "Other Users/nobody",
        "Shared Folders/board",
        "Shared Folders/nothing",
    ] {
        refused(&mut carol, name, "NONEXISTENT").await;
    }
    server.allow("user/bob/shown", "carol", "l").await;
    refused(&mut carol, "Other Users/bob/shown", "NOPERM").await;
    refused(&mut carol, "Other Users/bob/shown/below", "NONEXISTENT").await;
    server.allow("user/bob/shown", "carol", "lr").await;
    server.allow("board", "anyone", "lr").await;
    carol
        .play(
            "C: a GETQUOTAROOT \"Other Users/bob/shown\"
             S: * QUOTAROOT \"Other Users/bob/shown\" \"Other Users/bob/shown\"
             S: * QUOTA \"Other Users/bob/shown\" (MESSAGE 0 5)
             S: a OK …
             C: b GETQUOTA \"Other Users/bob/shown\"
             S: * QUOTA \"Other Users/bob/shown\" (MESSAGE 0 5)
             S: b OK …
             C: c GETQUOTAROOT \"Other Users/bob/shown/new\"
             S: * QUOTAROOT \"Other Users/bob/shown/new\" \"Other Users/bob/shown\"
             S: * QUOTA \"Other Users/bob/shown\" (MESSAGE 0 5)
             S: c OK …
             C: d GETQUOTA \"Shared Folders/board\"
             S: * QUOTA \"Shared Folders/board\" (MESSAGE 0 9)
             S: d OK …
             C: e GETQUOTAROOT \"Other Users/bob/shown/below\"
             S: * QUOTAROOT \"Other Users/bob/shown/below\" \"Other Users/bob/shown\"
             S: * QUOTA \"Other Users/bob/shown\" (MESSAGE 0 5)
             S: e OK …",
        )
        .await;
    // She reads a mailbox of bob's, but none that this root governs.
    refused(&mut carol, "Other Users/bob", "NONEXISTENT").await;
    carol
        .play(
            "C: z SETQUOTA \"Other Users/bob/shown\" (MESSAGE 50)
             S: z NO [NOPERM] …",
        )
        .await;
}

/// Whatever adds to a mailbox, or a mailbox; the answer does not say how much others hold.
#[tokio::test]
async fn what_adds_is_refused() {
    let server = Server::start();
    let mut bob = server.login("bob").await;
    server.create("user/bob/full").await;
    server.create("user/bob/free").await;
    server.put("user/bob", short("one")).await;
    let mut admin = server.login("admin").await;
    for set in [
        "SETQUOTA user/bob/full (MESSAGE 0 MAILBOX 1)",
        "SETQUOTA user/bob/free (MESSAGE 1)",
    ] {
        let answer = admin.ask(set).await;
        assert_eq!(answer.last().unwrap(), "OK SETQUOTA completed");
    }
    bob.select("INBOX").await;
    let resource = "Over quota (MESSAGE)";
    bob.play(&format!(
        "C: a APPEND full {{5}}
         S: a NO [OVERQUOTA] {resource}
         C: b APPEND full {{5+}}
         C: hello
         S: b NO [OVERQUOTA] {resource}
         C: c COPY 1 full
         S: c NO [OVERQUOTA] {resource}
         C: d UID MOVE 1 full
         S: d NO [OVERQUOTA] {resource}
         C: e CREATE full/er
         S: e NO [OVERQUOTA] Over quota (MAILBOX)
         C: f COPY 1 free
         S: f OK [COPYUID …
         C: g MOVE 1 free
         S: g NO [OVERQUOTA] {resource}
         C: h RENAME free full/free
         S: h NO [OVERQUOTA] …
         C: i STATUS free (MESSAGES)
         S: * STATUS \"free\" (MESSAGES 1)
         S: i OK …
         C: j FETCH 1 UID
         S: * 1 FETCH (UID 1)
         S: j OK …"
    ))
    .await;
}

/// What EXPUNGE would free (section 4.1.4).
#[tokio::test]
async fn what_could_be_freed() {
    let server = Server::start();
    let mut bob = server.login("bob").await;
    for octets in [100, 20, 3] {
        server.put("user/bob", "x".repeat(octets)).await;
    }
    bob.select("INBOX").await;
    bob.play(
        "C: a STORE 2:3 +FLAGS.SILENT \\Deleted
         S: a OK …
         C: b STATUS INBOX (MESSAGES DELETED DELETED-STORAGE)
         S: * STATUS \"INBOX\" (MESSAGES 3 DELETED 2 DELETED-STORAGE 23)
         S: b OK …",
    )
    .await;
}
