//! CREATE, DELETE, RENAME, STATUS, SUBSCRIBE.

use super::support::Server;

#[tokio::test]
async fn mailboxes_come_and_go() {
    let server = Server::start();
    let mut client = server.login("bob").await;
    client
        .play(
            "C: a CREATE INBOX
             S: a NO [ALREADYEXISTS] …
             C: b CREATE Work/
             S: b OK [MAILBOXID (…)] CREATE completed
             C: c CREATE Work
             S: c NO [ALREADYEXISTS] …
             C: d CREATE Work/2026
             S: d OK …
             C: e RENAME Work Job
             S: e OK RENAME completed
             C: f STATUS Job/2026 (MESSAGES)
             S: * STATUS \"Job/2026\" (MESSAGES 0)
             S: f OK STATUS completed
             C: g DELETE Work
             S: g NO [NONEXISTENT] …
             C: h DELETE Job/2026
             S: h OK DELETE completed
             C: i DELETE inbox
             S: i NO [CANNOT] INBOX cannot be deleted
             C: j RENAME nowhere somewhere
             S: j NO [NONEXISTENT] …
             C: k RENAME Job Job2 default
             S: k NO [CANNOT] …
             C: l CREATE a//b
             S: l NO [CANNOT] …
             C: m CREATE \"a*b\"
             S: m NO [CANNOT] …
             C: n CREATE &Jjo
             S: n NO [CANNOT] …
             C: o CREATE \"Entw&APw-rfe\"
             S: o OK …
             C: p STATUS \"Entw&APw-rfe\" (UIDNEXT)
             S: * STATUS \"Entw&APw-rfe\" (UIDNEXT 1)
             S: p OK …",
        )
        .await;
}

/// RFC 9051 section 6.3.6: what is below is renamed, whether there is a mailbox above it or not.
#[tokio::test]
async fn a_name_that_is_only_above_others_is_renamed() {
    let server = Server::start();
    let mut bob = server.login("bob").await;
    bob.play(
        "C: a CREATE a/b/c
         S: a OK …
         C: b CREATE a/b/d
         S: b OK …
         C: c CREATE ab
         S: c OK …
         C: d RENAME a x/y
         S: d OK RENAME completed
         C: e LIST \"\" *
         S: * LIST (\\HasNoChildren) \"/\" \"INBOX\"
         S: * LIST (\\HasNoChildren) \"/\" \"ab\"
         S: * LIST (\\HasNoChildren) \"/\" \"x/y/b/c\"
         S: * LIST (\\HasNoChildren) \"/\" \"x/y/b/d\"
         S: e OK …
         C: f RENAME a z
         S: f NO [NONEXISTENT] …
         C: g RENAME x/y x/y/z
         S: g NO [CANNOT] …
         C: h RENAME x ab
         S: h NO [ALREADYEXISTS] …
         C: i DELETE x/y/b/d
         S: i OK …
         C: j CREATE Work/b/c
         S: j OK …
         C: k RENAME x/y Work
         S: k NO [ALREADYEXISTS] …
         C: l SETACL x/y/b/c carol lr
         S: l OK …",
    )
    .await;
    // Who sees them may not rename them; who does not is not told that they are there.
    let mut carol = server.login("carol").await;
    carol
        .play(
            "C: a RENAME \"Other Users/bob/x\" \"Other Users/bob/q\"
             S: a NO [NOPERM] You may not rename this mailbox
             C: b RENAME \"Other Users/bob/Work\" \"Other Users/bob/q\"
             S: b NO [NONEXISTENT] …",
        )
        .await;
}

#[tokio::test]
async fn create_with_special_use_and_partition() {
    let server = Server::start();
    let mut client = server.login("bob").await;
    client
        .play(
            "C: a CREATE Sent (USE (\\Sent))
             S: a OK …
             C: b CREATE Everything (USE (\\All))
             S: b NO [USEATTR] …
             C: c CREATE Odd (USE (\\Odd))
             S: c NO [USEATTR] …
             C: d LIST (SPECIAL-USE) \"\" *
             S: * LIST (\\HasNoChildren \\Sent) \"/\" \"Sent\"
             S: d OK …
             C: e CREATE x (PARTITION \"default\")
             S: e NO [NOPERM] …",
        )
        .await;
    let mut admin = server.login("admin").await;
    admin
        .play(
            "C: a CREATE user/bob/x (PARTITION \"be1!default\")
             S: a OK …
             C: b CREATE user/bob/y (PARTITION \"nowhere\")
             S: b NO …",
        )
        .await;
}

#[tokio::test]
async fn status_tells_what_is_asked() {
    let server = Server::with(|config| config.imap.append_limit = 1000);
    let mut client = server.login("bob").await;
    client
        .play(
            "C: a APPEND INBOX (\\Seen) {5+}
             C: hello
             S: a OK [APPENDUID …
             C: b APPEND INBOX (\\Deleted) {6+}
             C: hello!
             S: b OK [APPENDUID …
             C: c STATUS INBOX (UNSEEN MESSAGES RECENT UIDNEXT DELETED SIZE APPENDLIMIT)
             S: * STATUS \"INBOX\" (UNSEEN 1 MESSAGES 2 RECENT 2 UIDNEXT 3 DELETED 1 SIZE 11 APPENDLIMIT 1000)
             S: c OK STATUS completed
             C: d STATUS INBOX (UIDVALIDITY HIGHESTMODSEQ MAILBOXID)
             S: * STATUS \"INBOX\" (UIDVALIDITY … HIGHESTMODSEQ … MAILBOXID (…))
             S: d OK …
             C: e STATUS INBOX (DELETED-STORAGE)
             S: * STATUS \"INBOX\" (DELETED-STORAGE 6)
             S: e OK …
             C: f STATUS INBOX (NONSENSE)
             S: f BAD …
             C: g STATUS nowhere (MESSAGES)
             S: g NO [NONEXISTENT] …",
        )
        .await;
}

#[tokio::test]
async fn unseen_is_each_users_own() {
    let server = Server::start();
    let mut bob = server.login("bob").await;
    bob.play(
        "C: a APPEND INBOX (\\Seen) {5+}
         C: hello
         S: a OK …
         C: b SETACL INBOX carol lr
         S: b OK …
         C: c STATUS INBOX (UNSEEN)
         S: * STATUS \"INBOX\" (UNSEEN 0)
         S: c OK …",
    )
    .await;
    let mut carol = server.login("carol").await;
    carol
        .play(
            "C: a STATUS \"Other Users/bob\" (UNSEEN)
             S: * STATUS \"Other Users/bob\" (UNSEEN 1)
             S: a OK …",
        )
        .await;
}

#[tokio::test]
async fn subscriptions() {
    let server = Server::start();
    let mut client = server.login("bob").await;
    client
        .play(
            "C: a CREATE Work/2026
             S: a OK …
             C: b SUBSCRIBE Work/2026
             S: b OK SUBSCRIBE completed
             C: c SUBSCRIBE nowhere
             S: c NO [NONEXISTENT] …
             C: d LSUB \"\" *
             S: * LSUB () \"/\" \"Work/2026\"
             S: d OK LSUB completed
             C: e LSUB \"\" %
             S: * LSUB (\\Noselect) \"/\" \"Work\"
             S: e OK …
             C: f DELETE Work/2026
             S: f OK …
             C: g LSUB \"\" *
             S: * LSUB () \"/\" \"Work/2026\"
             S: g OK …
             C: h UNSUBSCRIBE Work/2026
             S: h OK UNSUBSCRIBE completed
             C: i LSUB \"\" *
             S: i OK …",
        )
        .await;
}

/// A frontend has looked in all of the murder; and a home that is not here is elsewhere.
#[tokio::test]
async fn subscriptions_of_a_frontends_user() {
    let server = Server::with_tls(|_| {});
    server.create("user/bob").await;
    let mut client = server.connect_for("bob").await;
    client
        .play(
            "C: a SUBSCRIBE user/carol/x
             S: a OK …
             C: b LSUB \"\" *
             S: * LSUB () \"/\" \"user/carol/x\"
             S: b OK …
             C: c LIST (SUBSCRIBED) \"\" *
             S: * LIST (\\NonExistent \\HasNoChildren \\Subscribed) \"/\" \"user/carol/x\"
             S: c OK …",
        )
        .await;
    let mut client = server.connect_for("carol").await;
    client
        .play(
            "C: a LSUB \"\" *
             S: a NO [X-NOT-HERE] …
             C: b SUBSCRIBE user/bob
             S: b NO [X-NOT-HERE] …",
        )
        .await;
}
