//! Calls and their answers, roles, restarts.

use murder_auth::{
    Account, AuthError, Authenticator, AuthenticatorConfig, Blocked, Directory, Login,
    hash_password, parse_network,
};
use murder_mailbox::{Acl, SpecialUse};

use super::*;
use murder_location::MupdateError;
use murder_location::client::{MOST_TOGETHER, Operation, Selection, UserUpdate};
use murder_location::record::MailboxState;
use murder_location::tell_blocks;

#[tokio::test]
async fn a_mailbox_comes_into_being() {
    let murder = Murder::start().await;
    let backend = murder.client("be1", "backend");
    let mut new = reserve("user/bob/Sent", "be1!default");
    new.special_use = [SpecialUse::Sent].into_iter().collect();
    new.acl = Acl::owned_by("bob");
    let reserved = backend.reserve(new.clone()).await.unwrap();
    let mailbox = reserved.mailbox.unwrap();
    assert_eq!(mailbox.location.state, MailboxState::Reserved);
    assert!(mailbox.location.uidvalidity > 1_700_000_000);
    let activated = backend
        .activate(Activate::new(new.name.clone(), new.id))
        .await
        .unwrap();
    assert!(activated.revision > reserved.revision);
    let active = activated.mailbox.unwrap();
    assert_eq!(active.location.state, MailboxState::Active);
    assert_eq!(*active.location.acl, Acl::owned_by("bob"));
    assert!(active.location.special_use.contains(SpecialUse::Sent));
    assert_eq!(&*active.location.partition, "be1!default");

    let frontend = murder.client("fe1", "frontend");
    let found = frontend.find(&new.name).await.unwrap();
    assert_eq!(found.mailbox, Some(active.clone()));
    assert!(found.revision >= activated.revision);
    assert!(frontend.barrier().await.unwrap() >= activated.revision);

    let acl = Acl::parse("bob\tlr\t").unwrap();
    backend.set_acl(&new.name, &acl, None).await.unwrap();
    let deleted = backend.delete(&new.name, Some(new.id)).await.unwrap();
    assert_eq!(deleted.mailbox, None);
    assert_eq!(frontend.find(&new.name).await.unwrap().mailbox, None);
    assert!(matches!(
        backend.delete(&new.name, None).await,
        Err(MupdateError::NotFound(_))
    ));
}

/// Changes at the same time share calls, and have their own outcomes all the same.
#[tokio::test]
async fn each_change_has_its_own_outcome() {
    let murder = Murder::start().await;
    let backend = murder.client("be1", "backend");
    let other = backend.of_partition(PartitionEpoch {
        partition: "be1!default".into(),
        epoch: FIRST_EPOCH + 1,
    });
    make(&backend, "taken", "be1!default").await;
    let mut changes = tokio::task::JoinSet::new();
    for number in 0..3 * MOST_TOGETHER {
        let (client, name) = match number % 3 {
            0 => (&backend, format!("new{number}")),
            1 => (&backend, "taken".to_owned()),
            _ => (&other, format!("new{number}")),
        };
        let (client, new) = (client.clone(), reserve(&name, "be1!default"));
        changes.spawn(async move { (number, new.clone(), client.reserve(new).await) });
    }
    while let Some(done) = changes.join_next().await {
        let (number, new, outcome) = done.unwrap();
        match (number % 3, outcome) {
            (0, Ok(changed)) => {
                let made = changed.mailbox.unwrap();
                assert_eq!((made.name, made.location.id), (new.name, new.id));
            }
            (1, Err(MupdateError::AlreadyExists { holder, .. })) => {
                assert_eq!(holder.unwrap().name.as_str(), "taken");
            }
            (2, Err(MupdateError::NotOwner(_))) => {}
            (_, other) => panic!("{number}: {other:?}"),
        }
    }
}

/// A master that is not there is said of each change, within the deadline of a call.
#[tokio::test]
async fn each_change_hears_of_a_lost_master() {
    let mut murder = Murder::start().await;
    let backend = murder.client("be1", "backend");
    backend.barrier().await.unwrap();
    murder.kill().await;
    let mut changes = tokio::task::JoinSet::new();
    for number in 0..10 {
        let (client, new) = (
            backend.clone(),
            reserve(&format!("new{number}"), "be1!default"),
        );
        changes.spawn(async move { client.reserve(new).await });
    }
    while let Some(outcome) = changes.join_next().await {
        assert!(outcome.unwrap().unwrap_err().is_unavailable());
    }
}

#[tokio::test]
async fn a_taken_name_is_refused_with_its_holder() {
    let murder = Murder::start().await;
    let (_, theirs) = make(&murder.client("be1", "backend"), "board", "be1!default").await;
    let backend = murder.client("be2", "backend");
    let refusal = backend.reserve(reserve("board", "be2!default")).await;
    let Err(MupdateError::AlreadyExists { holder, .. }) = refusal else {
        panic!("{refusal:?}");
    };
    assert_eq!(*holder.unwrap(), theirs);
}

#[tokio::test]
async fn operators_lower_a_uidvalidity_that_is_decades_ahead() {
    let murder = Murder::start().await;
    let backend = murder.client("be1", "backend");
    let (_, board) = make(&backend, "board", "be1!default").await;
    let operator = murder.client("ops", "operator");
    let right = board.location.uidvalidity;
    for dry_run in [true, false] {
        let lowered = operator.lower_uidvalidity(dry_run).await.unwrap();
        assert_eq!(lowered, (right, right));
        let refused = backend.lower_uidvalidity(dry_run).await;
        assert!(
            matches!(refused, Err(MupdateError::PermissionDenied(_))),
            "{refused:?}"
        );
    }
    let mut raise = Activate::new(board.name.clone(), board.location.id);
    raise.uidvalidity = Some(u32::MAX);
    let refused = backend.activate(raise).await;
    assert!(
        matches!(refused, Err(MupdateError::FailedPrecondition(_))),
        "{refused:?}"
    );
    let (_, next) = make(&backend, "next", "be1!default").await;
    assert!(next.location.uidvalidity - right < 1000);
}

#[tokio::test]
async fn a_batch_is_answered_operation_by_operation() {
    let murder = Murder::start().await;
    let backend = murder.client("be1", "backend");
    make(&backend, "board", "be1!default").await;
    let new = reserve("new", "be1!default");
    let operations = |extra: Operation| {
        vec![
            Operation::Reserve(new.clone()),
            Operation::Activate(Activate::new(new.name.clone(), new.id)),
            extra,
        ]
    };
    let refused = backend
        .commit(operations(Operation::Reserve(reserve(
            "board",
            "be1!default",
        ))))
        .await;
    let Err(MupdateError::Batch(errors)) = refused else {
        panic!("{refused:?}");
    };
    assert!(errors[0].is_none() && errors[1].is_none());
    assert!(matches!(
        &errors[2],
        Some(MupdateError::AlreadyExists {
            holder: Some(_),
            ..
        })
    ));
    assert_eq!(backend.find(&new.name).await.unwrap().mailbox, None);

    let committed = backend
        .commit(operations(Operation::Delete {
            name: name("board"),
            id: None,
        }))
        .await
        .unwrap();
    assert_eq!(
        committed.mailboxes[1].as_ref().unwrap().location.state,
        MailboxState::Active
    );
    assert_eq!(committed.mailboxes[2], None);
    assert_eq!(backend.find(&name("board")).await.unwrap().mailbox, None);
}

#[tokio::test]
async fn roles_bound_what_a_caller_may_do() {
    let murder = Murder::start().await;
    let be1 = murder.client("be1", "backend");
    let (_, board) = make(&be1, "board", "be1!default").await;
    let denied = |result: Result<_, MupdateError>| match result {
        Err(MupdateError::PermissionDenied(_) | MupdateError::NotOwner(_)) => {}
        other => panic!("{other:?}"),
    };
    // A backend has its own partitions only.
    let be2 = murder.client("be2", "backend");
    denied(be2.delete(&board.name, None).await);
    denied(be2.reserve(reserve("x", "be1!default")).await);
    denied(be2.rename(&board.name, &name("y"), true).await);
    let account = Account {
        name: "bob".into(),
        password_hash: hash_password("secret").unwrap(),
        ..Account::default()
    };
    let denied_user = |result: Result<u64, MupdateError>| {
        assert!(matches!(result, Err(MupdateError::PermissionDenied(_))));
    };
    denied_user(be1.add_user(&account).await);
    // A frontend reads.
    let frontend = murder.client("fe1", "frontend");
    denied(frontend.reserve(reserve("x", "fe1!default")).await);
    denied(frontend.delete(&board.name, None).await);
    denied_user(frontend.set_password("bob", &account.password_hash).await);
    assert!(matches!(
        frontend.list_users("").await,
        Err(MupdateError::PermissionDenied(_))
    ));
    assert!(matches!(
        frontend.reconcile("be1!default", true, 0, Vec::new).await,
        Err(MupdateError::PermissionDenied(_))
    ));
    assert!(frontend.find(&board.name).await.unwrap().mailbox.is_some());
    // An operator does everything.
    let operator = murder.client("ops", "operator");
    operator.add_user(&account).await.unwrap();
    operator.delete(&board.name, None).await.unwrap();
}

#[tokio::test]
async fn strangers_are_not_let_in() {
    let murder = Murder::start().await;
    let dir = tempfile::tempdir().unwrap();
    let other = new_ca(dir.path());
    // A certificate of another murder: neither side trusts the other; here the server's
    // is trusted, so that it is the server that refuses.
    let mut files = issue(&other, dir.path(), "be1", "backend");
    files.ca = murder.files("be1", "backend").ca;
    let stranger = MupdateClient::new(MupdateClientConfig::new(
        vec![murder.address.to_string()],
        client_tls(&files),
    ));
    let refused = stranger.find(&name("board")).await;
    assert!(refused.is_err_and(|error| error.is_unavailable()));
}

#[tokio::test]
async fn list_gives_prefixes_and_partitions() {
    let murder = Murder::start().await;
    let _session = super::sessions::open_with(&murder, "be1", &["default", "fast"]).await;
    let operator = murder.client("ops", "operator");
    let mut operations = Vec::new();
    for number in 0..5000 {
        let partition = ["be1!default", "be1!fast", "be2!default"][number % 3];
        operations.push(Operation::Reserve(reserve(
            &format!("board/{number:05}"),
            partition,
        )));
    }
    operations.push(Operation::Reserve(reserve("other", "be2!default")));
    operator.commit(operations).await.unwrap();
    let list = async |prefix: &str, partition: &str| {
        let (partition, owner) = match partition.strip_suffix('!') {
            Some(owner) => ("", owner),
            None => (partition, ""),
        };
        let selection = Selection {
            prefix,
            partition,
            owner,
        };
        let all = operator.list(selection).await.unwrap();
        let all = all.collect().await.unwrap();
        assert!(all.is_sorted_by(|a, b| a.name < b.name));
        all.len()
    };
    assert_eq!(list("", "").await, 5001);
    assert_eq!(list("board/", "").await, 5000);
    assert_eq!(list("board/0001", "").await, 10);
    assert_eq!(list("", "be1!default").await, 1667);
    assert_eq!(list("board/0", "be1!").await, 3334);
    assert_eq!(list("", "be2!default").await, 1667);
    assert_eq!(list("none", "").await, 0);
}

#[tokio::test]
async fn what_was_answered_survives_a_kill() {
    let mut murder = Murder::start().await;
    let backend = murder.client("be1", "backend");
    let (revision, board) = make(&backend, "board", "be1!default").await;
    let pending = reserve("pending", "be1!default");
    backend.reserve(pending.clone()).await.unwrap();
    murder.kill().await;
    let gone = backend.find(&board.name).await;
    assert!(
        // Nobody listens there: it is known that nothing was sent.
        matches!(gone, Err(MupdateError::NotSent(_))),
        "{gone:?}"
    );
    murder.restart().await;
    reaches_master(&backend).await;
    // The same client finds it again.
    let found = backend.find(&board.name).await.unwrap();
    assert_eq!(found.mailbox, Some(board));
    assert!(found.revision > revision);
    backend
        .activate(Activate::new(pending.name, pending.id))
        .await
        .unwrap();
}

#[tokio::test]
async fn users_log_in_by_the_replica() {
    let murder = Murder::start().await;
    let operator = murder.client("ops", "operator");
    let account = |name: &str| Account {
        name: name.into(),
        password_hash: hash_password("secret").unwrap(),
        groups: vec!["staff".into()],
        ..Account::default()
    };
    operator
        .add_users(&[account("alice"), account("bob")])
        .await
        .unwrap();
    assert!(matches!(
        operator.add_user(&account("bob")).await,
        Err(MupdateError::AlreadyExists { .. })
    ));
    let listed = operator.list_users("a").await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].groups, ["staff"]);
    assert!(listed[0].password_hash.is_empty());

    let replica = murder.replica_of("be1", &[Topic::Users]).await;
    connected(&replica).await;
    replica.barrier(LONG).await.unwrap();
    let auth = Authenticator::new(replica.clone(), AuthenticatorConfig::default());
    let login = |user: &'static str, password: &'static str| Login {
        protocol: "imap",
        peer: [127, 0, 0, 1].into(),
        session: "s",
        mechanism: "PLAIN",
        tls: true,
        user,
        authzid: None,
        password: Some(password),
    };
    let identity = auth.log_in(&login("Bob", "secret")).await.unwrap();
    assert_eq!(identity.groups, ["staff"]);
    // A new password counts as soon as the replica has it, whatever is cached.
    let hash = hash_password("other").unwrap();
    let revision = operator.set_password("bob", &hash).await.unwrap();
    replica.wait_for(revision, LONG).await.unwrap();
    assert_eq!(
        auth.log_in(&login("bob", "secret")).await,
        Err(AuthError::Failed)
    );
    auth.log_in(&login("bob", "other")).await.unwrap();
    let update = UserUpdate {
        disabled: Some(true),
        ..UserUpdate::default()
    };
    let revision = operator.update_user("bob", update).await.unwrap();
    replica.wait_for(revision, LONG).await.unwrap();
    assert_eq!(
        auth.log_in(&login("bob", "other")).await,
        Err(AuthError::Failed)
    );
    let revision = operator.delete_user("alice").await.unwrap();
    replica.wait_for(revision, LONG).await.unwrap();
    assert_eq!(replica.account("alice"), None);
}

#[tokio::test]
async fn a_client_tries_each_master() {
    let murder = Murder::start().await;
    // Nobody listens on a port that was given away and taken back.
    let dead = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let dead_address = dead.local_addr().unwrap();
    drop(dead);
    let client = MupdateClient::new(MupdateClientConfig::new(
        vec![dead_address.to_string(), murder.address.to_string()],
        client_tls(&murder.files("be1", "backend")),
    ));
    let found = client.find(&name("board")).await.unwrap();
    assert_eq!(found.mailbox, None);
}

#[tokio::test]
async fn an_address_that_one_node_blocks_is_blocked_on_all() {
    let mut murder = Murder::start().await;
    let (fe1, fe2) = (murder.replica("fe1").await, murder.replica("fe2").await);
    connected(&fe2).await;
    let told = Authenticator::new(fe1.clone(), AuthenticatorConfig::default());
    let telling = tell_blocks(&told, fe1.clone());
    let guess = async {
        let guess = Login {
            protocol: "imap",
            peer: [192, 0, 2, 1].into(),
            session: "s",
            mechanism: "PLAIN",
            tls: true,
            user: "nobody",
            authzid: None,
            password: Some("guess"),
        };
        while told.log_in(&guess).await != Err(AuthError::Guessing) {}
        let elsewhere = Authenticator::new(fe2.clone(), AuthenticatorConfig::default());
        let mut revisions = fe2.changed();
        while !elsewhere.shuts_out(guess.peer) {
            revisions.changed().await.unwrap();
        }
        assert_eq!(elsewhere.log_in(&guess).await, Err(AuthError::Guessing));
    };
    tokio::select! {
        () = telling => unreachable!("it tells as long as there may be something to tell"),
        () = guess => {}
    }

    let operator = murder.client("op", "operator");
    let listed = operator.list_blocks().await.unwrap();
    let (network, block) = &listed[0];
    assert_eq!(
        (network.to_string().as_str(), block.by.as_str()),
        ("192.0.2.1/32", "fe1")
    );
    assert!(!block.operator && block.until_ms > 0);
    // What nodes may not: networks, for ever, what they hear of others'.
    let node = murder.client("be1", "backend");
    let network = |text: &str| parse_network(text).unwrap();
    for (blocked, seconds) in [
        ("198.51.100.0/24", 60),
        ("198.51.100.1", 0),
        ("198.51.100.1", 90_000),
    ] {
        let refused = node
            .block(network(blocked), Duration::from_secs(seconds), "x")
            .await;
        assert!(
            matches!(refused, Err(MupdateError::PermissionDenied(_))),
            "{refused:?}"
        );
    }
    let refused = node.unblock(network("192.0.2.1")).await;
    assert!(
        matches!(refused, Err(MupdateError::PermissionDenied(_))),
        "{refused:?}"
    );
    assert!(matches!(
        node.list_blocks().await,
        Err(MupdateError::PermissionDenied(_))
    ));

    // An operator's are for networks, and outlive the master; nobody's are for ever.
    operator
        .block(network("2001:db8::/32"), Duration::ZERO, "abuse")
        .await
        .unwrap();
    let revision = operator.unblock(network("192.0.2.1")).await.unwrap();
    fe2.wait_for(revision, LONG).await.unwrap();
    murder.restart().await;
    let fe3 = murder.replica("fe3").await;
    connected(&fe3).await;
    for replica in [fe2, fe3] {
        let blocked = |address: &str| replica.blocked(address.parse().unwrap());
        assert_eq!(blocked("2001:db8::1"), Some(Blocked::ByOperator));
        assert_eq!(blocked("192.0.2.1"), None);
    }
    let gone = operator.unblock(network("192.0.2.1")).await;
    assert!(matches!(gone, Err(MupdateError::NotFound(_))), "{gone:?}");
}
