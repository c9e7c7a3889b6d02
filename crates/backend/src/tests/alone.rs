//! A backend without a master, and what of a node does not depend on one.

use murder_auth::Login;
use murder_net::config::Mistakes;
use murder_node::RunningRole;
use murder_store::StoreError;

use super::*;
use crate::mailboxes::ChangeError;

pub(super) fn alone(dir: &TempDir) -> BackendConfig {
    let hash = murder_auth::hash_password("secret").unwrap();
    let users = dir.path().join("users");
    let text = format!("bob:{hash}\nadmin:{hash}::admin\ngone:{hash}::disabled\n");
    std::fs::write(&users, text).unwrap();
    let mut config = BackendConfig {
        node: NodeConfig {
            name: "alone".into(),
            data_dir: dir.path().into(),
            ..NodeConfig::default()
        },
        ..BackendConfig::default()
    };
    config.users.file = Some(users);
    config.imap.listen = vec![free_port()];
    config.lmtp.listen = vec![free_port()];
    let path = dir.path().join("mail");
    let section = PartitionSection::new(path);
    config.partitions.insert("default".into(), section);
    config
}

#[tokio::test]
async fn works_alone() {
    let dir = tempfile::tempdir().unwrap();
    let config = alone(&dir);
    Mistakes::of(|m| murder_node::check(&config, m)).unwrap();
    let backend = Backend::start(config.clone()).await.unwrap();
    assert!(backend.health().ready(), "{:?}", backend.health());
    let listeners = backend.listeners().into_iter();
    let protocols: Vec<&str> = listeners.map(|(_, protocol, _)| protocol).collect();
    assert_eq!(protocols, ["imap", "lmtp"]);
    let node = backend.node();
    let login = |password: &'static str| Login {
        protocol: "imap",
        peer: [127, 0, 0, 1].into(),
        session: "s",
        mechanism: "PLAIN",
        tls: true,
        user: "bob",
        authzid: None,
        password: Some(password),
    };
    let bob = node.authenticator.log_in(&login("secret")).await.unwrap();
    assert!(node.authenticator.log_in(&login("wrong")).await.is_err());

    node.autocreate_inbox(&bob).await.unwrap();
    node.autocreate_inbox(&bob).await.unwrap();
    node.autocreate_inbox(&admin()).await.unwrap();
    let inbox = node.find(&name("user/bob")).unwrap();
    assert_eq!(*inbox.meta.acl, Acl::owned_by("bob"));
    assert!(node.find(&name("user/admin")).is_none());

    let text = name("user/bob/a");
    let done = node.create_mailbox(&bob, &text, None, None).await.unwrap();
    assert_eq!(done.revision, None);
    let first = node.find(&text).unwrap().meta;
    node.delete_mailbox(&bob, &text).await.unwrap();
    node.create_mailbox(&bob, &text, None, None).await.unwrap();
    let second = node.find(&text).unwrap().meta;
    assert!(second.uidvalidity > first.uidvalidity);
    // The first one is kept, and comes back beside it.
    let partition = &default_partition(node);
    let kept = partition.restorable("user/bob").await.unwrap().mailboxes;
    let [kept] = <[_; 1]>::try_from(kept).unwrap();
    assert_eq!(kept.id, first.id);
    let taken = node.restore_mailbox(partition, kept.clone(), &text).await;
    assert!(matches!(taken, Err(ChangeError::AlreadyExists)));
    let back = name("user/bob/back");
    let restored = node.restore_mailbox(partition, kept.clone(), &back).await;
    let (done, meta) = restored.unwrap();
    assert_eq!((done.revision, &meta.acl), (None, &first.acl));
    assert_ne!(meta.id, first.id);
    assert_eq!(node.find(&back).unwrap().meta, meta);
    // Once.
    let again = node
        .restore_mailbox(partition, kept, &name("user/bob/x"))
        .await;
    assert!(matches!(again, Err(ChangeError::NoSuchMailbox { .. })));
    assert!(node.find(&name("user/bob/x")).is_none());
    node.rename_mailbox(&bob, &text, &name("user/bob/b"))
        .await
        .unwrap();
    node.rename_mailbox(&admin(), &name("user/bob"), &name("user/robert"))
        .await
        .unwrap();
    let found = node.find(&name("user/robert/b")).unwrap();
    assert_eq!(*found.meta.acl, Acl::owned_by("robert"));
    backend.shutdown(LONG).await;

    // Its addresses and files are free at once.
    let mut again = config;
    again.imap.autocreate_inbox = false;
    let backend = Backend::start(again.clone()).await.unwrap();
    assert!(backend.node().find(&name("user/robert/b")).is_some());
    backend.node().autocreate_inbox(&bob).await.unwrap();
    assert!(backend.node().find(&name("user/bob")).is_none());
    again.imap.listen = backend.addresses().imap.clone();
    backend.kill().await;
    Backend::start(again).await.unwrap().kill().await;
}

#[tokio::test]
async fn subscriptions_are_the_homes() {
    let dir = tempfile::tempdir().unwrap();
    let backend = Backend::start(alone(&dir)).await.unwrap();
    let node = backend.node();
    let bob = user("bob");
    let board = name("board");
    assert!(matches!(
        node.subscribe(&bob, &board).await,
        Err(StoreError::NoSuchHome)
    ));
    node.autocreate_inbox(&bob).await.unwrap();
    node.subscribe(&bob, &board).await.unwrap();
    node.subscribe(&bob, &name("user/bob/x")).await.unwrap();
    let all = node.subscriptions(&bob).await.unwrap();
    assert_eq!(all, [board.clone(), name("user/bob/x")]);
    node.unsubscribe(&bob, &board).await.unwrap();
    assert_eq!(
        node.subscriptions(&bob).await.unwrap(),
        [name("user/bob/x")]
    );
}

#[tokio::test]
async fn frontends_vouch_for_users() {
    let murder = Murder::start().await;
    let mut config = murder.config("be1");
    let backend = Backend::start(config.clone()).await.unwrap();
    ready(&backend).await;
    let node = backend.node();
    let mut carol = account("carol");
    carol.groups = vec!["staff".into()];
    murder.add_user(node, carol).await;
    let mut root = account("root");
    root.admin = true;
    murder.add_user(node, root).await;
    let mut gone = account("gone");
    gone.disabled = true;
    murder.add_user(node, gone).await;

    let carol = node.identity_vouched("Carol").await.unwrap();
    assert_eq!((carol.user.as_str(), carol.groups.len()), ("carol", 1));
    assert!(!node.identity_vouched("root").await.unwrap().admin);
    assert_eq!(node.identity_vouched("gone").await, None);
    assert_eq!(node.identity_vouched("a/b").await, None);
    assert_eq!(node.identity_vouched("ldap").await, Some(user("ldap")));
    // One who has just been added is waited for.
    let operator = murder.client("ops", Role::Operator);
    let mut dave = account("dave");
    dave.groups = vec!["new".into()];
    operator.add_user(&dave).await.unwrap();
    let dave = node.identity_vouched("dave").await.unwrap();
    assert_eq!(dave.groups, ["new"]);
    backend.kill().await;

    config.imap.proxy_admins = true;
    let backend = Backend::start(config).await.unwrap();
    ready(&backend).await;
    assert!(backend.node().identity_vouched("root").await.unwrap().admin);
}

#[tokio::test]
async fn what_cannot_start() {
    let murder = Murder::start().await;
    let mut config = murder.config("be1");
    config.node.name = "be2".into();
    let error = Backend::start(config.clone()).await.unwrap_err();
    assert!(error.to_string().contains("the node is `be2`"), "{error}");
    assert!(Mistakes::of(|m| murder_node::check(&config, m)).is_err());
    config = murder.config("be1");
    config.users.file = None;
    config.tls = Some(murder_net::config::TlsConfig {
        cert: "/nowhere.pem".into(),
        key: "/nowhere.key".into(),
    });
    assert!(Mistakes::of(|m| murder_node::check(&config, m)).is_err());

    let backend = murder.backend("be1").await;
    let mut second = murder.config("be1");
    second.node.data_dir = murder.dir.path().join("elsewhere");
    let error = Backend::start(second).await.unwrap_err();
    assert!(format!("{error:#}").contains("in use"), "{error:#}");
    drop(backend);
}
