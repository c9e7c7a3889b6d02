//! CREATE, DELETE, RENAME and SETACL in a murder.

use murder_mailbox::{Rights, SpecialUse};
use murder_store::StoreError;

use super::*;
use crate::mailboxes::{AclChange, ChangeError, Done};

/// An error's kind, short.
fn kind<T: std::fmt::Debug>(result: Result<T, ChangeError>) -> &'static str {
    match result {
        Ok(_) => "ok",
        Err(ChangeError::NoSuchMailbox { hidden: true }) => "hidden",
        Err(ChangeError::NoSuchMailbox { hidden: false }) => "none",
        Err(ChangeError::AlreadyExists) => "exists",
        Err(ChangeError::NotPermitted(_)) => "not permitted",
        Err(ChangeError::Cannot(_)) => "cannot",
        Err(ChangeError::Name(_)) => "name",
        Err(ChangeError::Acl(_)) => "acl",
        Err(ChangeError::Master(_)) => "master",
        Err(ChangeError::NotOpen) => "not open",
        Err(ChangeError::Store(_)) => "store",
        Err(ChangeError::Unknown(_)) => "unknown",
    }
}

async fn create(node: &Arc<Node>, who: &Identity, text: &str) -> Result<Done, ChangeError> {
    node.create_mailbox(who, &name(text), None, None).await
}

async fn rename(
    node: &Arc<Node>,
    who: &Identity,
    from: &str,
    to: &str,
) -> Result<Done, ChangeError> {
    node.rename_mailbox(who, &name(from), &name(to)).await
}

async fn delete(node: &Arc<Node>, who: &Identity, text: &str) -> Result<Done, ChangeError> {
    node.delete_mailbox(who, &name(text)).await
}

fn acl_of(node: &Node, text: &str) -> String {
    node.find(&name(text)).unwrap().meta.acl.to_string()
}

#[tokio::test]
async fn what_is_created_is_in_the_map() {
    let murder = Murder::start().await;
    let backend = murder.backend("be1").await;
    let node = backend.node();
    let bob = user("bob");

    let done = create(node, &bob, "user/bob").await.unwrap();
    let record = murder.find("user/bob").await.unwrap();
    assert_eq!(&*record.location.partition, "be1!default");
    assert_eq!(record.location.acl.to_string(), acl_of(node, "user/bob"));
    let revision = murder
        .client("ops", Role::Operator)
        .barrier()
        .await
        .unwrap();
    assert_eq!(done.revision, Some(revision));

    let sent = name("user/bob/Sent");
    node.create_mailbox(&bob, &sent, Some("fast"), Some(SpecialUse::Sent))
        .await
        .unwrap();
    let record = murder.find("user/bob/Sent").await.unwrap();
    assert_eq!(&*record.location.partition, "be1!fast");
    assert!(record.location.special_use.contains(SpecialUse::Sent));
    let found = node.find(&sent).unwrap();
    assert_eq!(found.meta.special_use, Some(SpecialUse::Sent));
    assert_eq!(found.partition.config().name, "fast");
    // What is below it goes where it is.
    create(node, &bob, "user/bob/Sent/old").await.unwrap();
    let found = node.find(&name("user/bob/Sent/old")).unwrap();
    assert_eq!(found.partition.config().name, "fast");
    murder
        .assert_settled(node, &["user/bob", "user/bob/Sent", "user/bob/Sent/old"])
        .await;

    let odd = name("user/bob/odd");
    assert_eq!(
        kind(node.create_mailbox(&bob, &odd, Some("none"), None).await),
        "cannot"
    );
    node.create_mailbox(&bob, &odd, Some("be1!fast"), None)
        .await
        .unwrap();
    assert_eq!(kind(create(node, &bob, "user/bob/odd").await), "exists");
    assert_eq!(
        kind(create(node, &bob, "user/bob/Other Users/x").await),
        "cannot"
    );
    // A name that is taken elsewhere is taken here too.
    let other = murder.backend("be2").await;
    assert_eq!(kind(create(other.node(), &bob, "user/bob").await), "exists");
    murder.assert_none(node, &["user/bob/none"]).await;
}

#[tokio::test]
async fn who_may_create() {
    let murder = Murder::start().await;
    let backend = murder.backend("be1").await;
    let node = backend.node();
    let (alice, bob) = (user("alice"), user("bob"));

    assert_eq!(
        kind(create(node, &alice, "user/bob").await),
        "not permitted"
    );
    assert_eq!(
        kind(create(node, &alice, "user/bob/x").await),
        "not permitted"
    );
    assert_eq!(kind(create(node, &bob, "board").await), "not permitted");
    create(node, &bob, "user/bob/deep/er").await.unwrap();
    create(node, &admin(), "board").await.unwrap();
    assert_eq!(acl_of(node, "board"), Acl::owned_by("admin").to_string());
    assert_eq!(kind(create(node, &bob, "board/x").await), "not permitted");
    let change = AclChange::Add("lrk".parse().unwrap());
    node.change_acl(&admin(), &name("board"), "Bob", change)
        .await
        .unwrap();
    create(node, &bob, "board/x/y").await.unwrap();
    assert_eq!(acl_of(node, "board/x/y"), acl_of(node, "board"));
    // One who may know of it hears that it is there, others not.
    assert_eq!(kind(create(node, &bob, "board").await), "exists");
    assert_eq!(kind(create(node, &alice, "board").await), "not permitted");
    assert_eq!(
        kind(create(node, &alice, "board/x/y").await),
        "not permitted"
    );
    // An owner may take the right from others and from oneself.
    create(node, &bob, "user/bob").await.unwrap();
    let change = AclChange::Remove("k".parse().unwrap());
    node.change_acl(&bob, &name("user/bob"), "bob", change)
        .await
        .unwrap();
    assert_eq!(
        kind(create(node, &bob, "user/bob/y").await),
        "not permitted"
    );

    // The parent may be on another backend.
    let other = murder.backend("be2").await;
    create(other.node(), &bob, "board/z").await.unwrap();
    assert_eq!(acl_of(other.node(), "board/z"), acl_of(node, "board"));
    assert_eq!(
        kind(create(other.node(), &alice, "board/w").await),
        "not permitted"
    );
}

#[tokio::test]
async fn delete_frees_the_name() {
    let murder = Murder::start().await;
    let backend = murder.backend("be1").await;
    let node = backend.node();
    let (alice, bob) = (user("alice"), user("bob"));
    for text in ["user/bob", "user/bob/a", "user/bob/a/b"] {
        create(node, &bob, text).await.unwrap();
    }
    let first = murder.find("user/bob/a").await.unwrap().location;

    assert_eq!(kind(delete(node, &bob, "user/bob/none").await), "none");
    assert_eq!(kind(delete(node, &alice, "user/bob/a").await), "hidden");
    assert_eq!(kind(delete(node, &bob, "user/bob").await), "cannot");
    let change = AclChange::Replace(Rights::LOOKUP);
    node.change_acl(&bob, &name("user/bob/a"), "alice", change)
        .await
        .unwrap();
    assert_eq!(
        kind(delete(node, &alice, "user/bob/a").await),
        "not permitted"
    );
    let done = delete(node, &bob, "user/bob/a").await.unwrap();
    assert!(done.revision.is_some());
    murder.assert_none(node, &["user/bob/a"]).await;
    murder.assert_settled(node, &["user/bob/a/b"]).await;

    create(node, &bob, "user/bob/a").await.unwrap();
    let second = murder.find("user/bob/a").await.unwrap().location;
    assert!(second.uidvalidity > first.uidvalidity && second.id != first.id);
    delete(node, &admin(), "user/bob").await.unwrap();
    murder.assert_none(node, &["user/bob"]).await;
}

#[tokio::test]
async fn rename_takes_the_subtree_along() {
    let murder = Murder::start().await;
    let backend = murder.backend("be1").await;
    let node = backend.node();
    let (alice, bob) = (user("alice"), user("bob"));
    for text in [
        "user/bob",
        "user/bob/a",
        "user/bob/a/b",
        "user/bob/a/f",
        "user/bob/c",
    ] {
        create(node, &bob, text).await.unwrap();
    }
    append(node, "user/bob/a/b", b"Subject: kept\r\n\r\n").await;
    let id = node.find(&name("user/bob/a/b")).unwrap().meta.id;

    for (who, from, to, expected) in [
        (&bob, "user/bob/none", "user/bob/x", "none"),
        (&alice, "user/bob/a", "user/alice/a", "hidden"),
        (&bob, "user/bob/a", "user/bob/c", "exists"),
        (&bob, "user/bob/a", "user/bob/a", "exists"),
        (&bob, "user/bob/a", "user/bob/a/x", "cannot"),
        (&bob, "user/bob/a", "user/alice/a", "cannot"),
        (&bob, "user/bob/a", "board", "cannot"),
        (&bob, "user/bob", "user/alice", "not permitted"),
        (&admin(), "user/bob", "board", "cannot"),
    ] {
        assert_eq!(kind(rename(node, who, from, to).await), expected, "{to}");
    }
    let done = rename(node, &bob, "user/bob/a", "user/bob/x/y")
        .await
        .unwrap();
    assert!(done.revision.is_some());
    murder
        .assert_settled(node, &["user/bob/x/y", "user/bob/x/y/b", "user/bob/x/y/f"])
        .await;
    murder
        .assert_none(node, &["user/bob/a", "user/bob/a/b", "user/bob/a/f"])
        .await;
    assert_eq!(node.find(&name("user/bob/x/y/b")).unwrap().meta.id, id);
    assert_eq!(bodies(node, "user/bob/x/y/b").await.len(), 1);

    // And what lies below a name that is none itself.
    rename(node, &bob, "user/bob/x", "user/bob/z")
        .await
        .unwrap();
    murder
        .assert_settled(node, &["user/bob/z/y", "user/bob/z/y/b", "user/bob/z/y/f"])
        .await;
    rename(node, &bob, "user/bob/z", "user/bob/x")
        .await
        .unwrap();

    // An older mailbox under a name that a newer one had: UIDVALIDITY grows, for the master too.
    create(node, &bob, "user/bob/new").await.unwrap();
    delete(node, &bob, "user/bob/new").await.unwrap();
    rename(node, &bob, "user/bob/c", "user/bob/new")
        .await
        .unwrap();
    murder.assert_settled(node, &["user/bob/new"]).await;
}

#[tokio::test]
async fn rename_of_an_inbox_empties_it() {
    let murder = Murder::start().await;
    let backend = murder.backend("be1").await;
    let node = backend.node();
    let bob = user("bob");
    create(node, &bob, "user/bob").await.unwrap();
    create(node, &bob, "user/bob/x").await.unwrap();
    append(node, "user/bob", b"Subject: old\r\n\r\n").await;
    rename(node, &bob, "user/bob", "user/bob/old")
        .await
        .unwrap();
    assert!(bodies(node, "user/bob").await.is_empty());
    assert_eq!(bodies(node, "user/bob/old").await.len(), 1);
    murder
        .assert_settled(node, &["user/bob", "user/bob/old", "user/bob/x"])
        .await;
}

#[tokio::test]
async fn a_user_gets_a_new_name() {
    let murder = Murder::start().await;
    let backend = murder.backend("be1").await;
    let node = backend.node();
    let bob = user("bob");
    for text in ["user/bob", "user/bob/a"] {
        create(node, &bob, text).await.unwrap();
    }
    rename(node, &admin(), "user/bob", "user/robert")
        .await
        .unwrap();
    murder
        .assert_settled(node, &["user/robert", "user/robert/a"])
        .await;
    murder.assert_none(node, &["user/bob", "user/bob/a"]).await;
    // With all rights to what was bob's.
    let owned = Acl::owned_by("robert").to_string();
    assert_eq!(acl_of(node, "user/robert"), owned);
    assert_eq!(acl_of(node, "user/robert/a"), owned);
}

#[tokio::test]
async fn acls_go_to_the_master() {
    let murder = Murder::start().await;
    let backend = murder.backend("be1").await;
    let node = backend.node();
    let (alice, bob) = (user("alice"), user("bob"));
    create(node, &bob, "user/bob").await.unwrap();
    let inbox = name("user/bob");
    let set = async |who: &Identity, identifier: &str, change| {
        node.change_acl(who, &inbox, identifier, change).await
    };
    let rights = |text: &str| text.parse::<Rights>().unwrap();

    let replace = AclChange::Replace(rights("lrs"));
    assert_eq!(kind(set(&alice, "alice", replace).await), "hidden");
    assert!(
        set(&bob, "Alice", replace)
            .await
            .unwrap()
            .revision
            .is_some()
    );
    assert_eq!(kind(set(&alice, "alice", replace).await), "not permitted");
    set(&bob, "alice", AclChange::Add(rights("w")))
        .await
        .unwrap();
    set(&bob, "alice", AclChange::Remove(rights("s")))
        .await
        .unwrap();
    set(&bob, "-group:x", replace).await.unwrap();
    let expected = format!("{}alice\tlrw\t-group:x\tlrs\t", Acl::owned_by("bob"));
    assert_eq!(acl_of(node, "user/bob"), expected);
    murder.assert_settled(node, &["user/bob"]).await;
    // Nothing to be done is done at once.
    let again = set(&bob, "alice", AclChange::Add(rights("w")))
        .await
        .unwrap();
    assert_eq!(again.revision, None);
    set(&bob, "alice", AclChange::Delete).await.unwrap();
    set(&bob, "-group:x", AclChange::Delete).await.unwrap();
    assert_eq!(acl_of(node, "user/bob"), Acl::owned_by("bob").to_string());
    assert_eq!(kind(set(&bob, "", replace).await), "acl");
    murder.assert_settled(node, &["user/bob"]).await;
}

#[tokio::test]
async fn without_the_master_nothing_changes_and_all_is_served() {
    let mut murder = Murder::start().await;
    let backend = murder.backend("be1").await;
    let node = backend.node();
    let bob = user("bob");
    create(node, &bob, "user/bob").await.unwrap();
    create(node, &bob, "user/bob/a").await.unwrap();
    murder.kill_master().await;

    assert_eq!(kind(create(node, &bob, "user/bob/x").await), "master");
    assert_eq!(kind(delete(node, &bob, "user/bob/a").await), "master");
    let to = "user/bob/b";
    assert_eq!(kind(rename(node, &bob, "user/bob/a", to).await), "master");
    let change = AclChange::Add(Rights::READ);
    let inbox = name("user/bob");
    let set = node.change_acl(&bob, &inbox, "alice", change).await;
    assert_eq!(kind(set), "master");
    append(node, "user/bob/a", b"Subject: served\r\n\r\n").await;
    assert!(node.find(&name("user/bob/x")).is_none());

    murder.start_master().await;
    until("the master's return", || async {
        create(node, &bob, "user/bob/x").await.is_ok()
    })
    .await;
    murder
        .assert_settled(node, &["user/bob", "user/bob/a", "user/bob/x"])
        .await;
}

#[tokio::test]
async fn a_store_that_refuses_leaves_the_name_free() {
    let murder = Murder::start().await;
    let backend = murder.backend("be1").await;
    let node = backend.node();
    let bob = user("bob");
    create(node, &bob, "user/bob").await.unwrap();
    create(node, &bob, "user/bob/a").await.unwrap();
    default_partition(node).shutdown().await.unwrap();

    let refused = create(node, &bob, "user/bob/x").await;
    assert!(matches!(
        refused,
        Err(ChangeError::Store(StoreError::Closed))
    ));
    assert_eq!(murder.find("user/bob/x").await, None);
    assert_eq!(kind(delete(node, &bob, "user/bob/a").await), "store");
    let to = "user/bob/b";
    assert_eq!(kind(rename(node, &bob, "user/bob/a", to).await), "store");
    let change = AclChange::Add(Rights::READ);
    let a = name("user/bob/a");
    let set = node.change_acl(&bob, &a, "alice", change).await;
    assert_eq!(kind(set), "store");
    // At the master all is as it was.
    murder
        .assert_settled(node, &["user/bob", "user/bob/a"])
        .await;
    assert_eq!(murder.find("user/bob/b").await, None);
}

#[tokio::test]
async fn many_at_once_in_one_home() {
    let murder = Murder::start().await;
    let backend = murder.backend("be1").await;
    let bob = user("bob");
    create(backend.node(), &bob, "user/bob").await.unwrap();
    let tasks: Vec<_> = (0..20)
        .map(|n| {
            let (node, bob) = (Arc::clone(backend.node()), bob.clone());
            tokio::spawn(async move {
                // Four names for twenty: one each wins, and may be deleted again.
                let text = format!("user/bob/{}", n % 4);
                let created = create(&node, &bob, &text).await.is_ok();
                let deleted = n % 3 == 0 && delete(&node, &bob, &text).await.is_ok();
                (created, deleted)
            })
        })
        .collect();
    let (mut created, mut deleted) = (0, 0);
    for task in tasks {
        let (c, d) = task.await.unwrap();
        created += usize::from(c);
        deleted += usize::from(d);
    }
    let node = backend.node();
    let left = default_partition(node).home_mailboxes("user/bob").len() - 1;
    assert_eq!(left, created - deleted);
    for n in 0..4 {
        let text = format!("user/bob/{n}");
        assert!(murder.state(node, &text).await.1, "{text}");
    }
}
