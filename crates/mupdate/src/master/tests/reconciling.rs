//! Reconciliation.

use murder_proto::v1;
use tokio_stream::wrappers::ReceiverStream;

use super::*;
use murder_location::client::{DifferenceKind, Held, Selection};
use murder_location::record::MailboxState;

fn held(mailbox: &Mailbox) -> Held {
    Held {
        name: mailbox.name.clone(),
        id: mailbox.location.id,
        acl: (*mailbox.location.acl).clone(),
        uidvalidity: mailbox.location.uidvalidity,
        special_use: mailbox.location.special_use,
    }
}

#[tokio::test]
async fn differences_are_told_and_applied_but_conflicts_never() {
    let murder = Murder::start().await;
    let be1 = murder.client("be1", "backend");
    let be2 = murder.client("be2", "backend");
    let (_, same) = make(&be1, "same", "be1!default").await;
    let (_, changed) = make(&be1, "changed", "be1!default").await;
    make(&be1, "lost", "be1!default").await;
    let (_, renamed) = make(&be1, "old", "be1!default").await;
    make(&be1, "elsewhere", "be1!fast").await;
    let (_, theirs) = make(&be2, "theirs", "be2!default").await;
    let pending = reserve("pending", "be1!default");
    let reserved = be1.reserve(pending).await.unwrap().mailbox.unwrap();

    let (unknown_id, mine_id) = (MailboxId::new(), MailboxId::new());
    let list = || {
        let mut unknown = held(&same);
        unknown.name = name("unknown");
        unknown.id = unknown_id;
        let mut changed = held(&changed);
        changed.acl = Acl::parse("bob\tlrs\t").unwrap();
        let mut mine = held(&theirs);
        mine.id = mine_id;
        let mut renamed = held(&renamed);
        renamed.name = name("new");
        vec![
            held(&same),
            changed,
            unknown,
            mine,
            renamed,
            held(&reserved),
        ]
    };
    let kinds = |report: &murder_location::client::ReconcileReport| {
        let mut kinds: Vec<(String, DifferenceKind, bool)> = report
            .differences
            .iter()
            .map(|d| {
                let mailbox = d.held.as_ref().or(d.recorded.as_ref()).unwrap();
                (mailbox.name.to_string(), d.kind, d.applied)
            })
            .collect();
        kinds.sort_by(|a, b| a.0.cmp(&b.0));
        kinds
    };
    let expected = |applied: bool| {
        vec![
            ("changed".to_owned(), DifferenceKind::Different, applied),
            ("lost".to_owned(), DifferenceKind::NotHeld, applied),
            ("new".to_owned(), DifferenceKind::Unknown, applied),
            ("old".to_owned(), DifferenceKind::NotHeld, applied),
            ("pending".to_owned(), DifferenceKind::Different, applied),
            ("theirs".to_owned(), DifferenceKind::Conflict, false),
            ("unknown".to_owned(), DifferenceKind::Unknown, applied),
        ]
    };

    let before = be1.barrier().await.unwrap();
    let report = be1.reconcile("be1!default", true, 0, list).await.unwrap();
    assert_eq!(kinds(&report), expected(false));
    assert_eq!((report.held, report.same, report.applied), (6, 1, 0));
    assert_eq!(be1.barrier().await.unwrap(), before);

    let report = be1.reconcile("be1!default", false, 0, list).await.unwrap();
    assert_eq!(kinds(&report), expected(true));
    assert_eq!(report.applied, 6);
    assert_eq!(report.conflicts().count(), 1);
    let conflict = report.conflicts().next().unwrap();
    assert_eq!(conflict.recorded, Some(theirs.clone()));

    let find = async |text: &str| be1.find(&name(text)).await.unwrap().mailbox;
    assert_eq!(find("lost").await, None);
    assert_eq!(find("old").await, None);
    assert_eq!(find("new").await.unwrap().location.id, renamed.location.id);
    assert_eq!(find("theirs").await, Some(theirs.clone()));
    assert!(find("elsewhere").await.is_some());
    assert_eq!(
        find("pending").await.unwrap().location.state,
        MailboxState::Active
    );
    assert_eq!(
        find("changed").await.unwrap().location.acl.to_string(),
        "bob\tlrs\t"
    );

    // Once applied, only the conflict is left.
    let report = be1.reconcile("be1!default", false, 0, list).await.unwrap();
    assert_eq!(
        kinds(&report),
        [("theirs".to_owned(), DifferenceKind::Conflict, false)]
    );
}

#[tokio::test]
async fn what_is_made_meanwhile_is_left_alone() {
    let murder = Murder::start().await;
    let backend = murder.client("be1", "backend");
    let (_, old) = make(&backend, "old", "be1!default").await;
    let (listing, begun) = tokio::sync::oneshot::channel();
    let (go_on, gone_on) = std::sync::mpsc::channel::<()>();
    let reconciling = {
        let backend = backend.clone();
        let old = old.clone();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(backend.reconcile("be1!default", false, 0, move || {
                listing.send(()).unwrap();
                gone_on.recv().unwrap();
                vec![held(&old)]
            }))
        })
    };
    begun.await.unwrap();
    make(&backend, "meanwhile", "be1!default").await;
    go_on.send(()).unwrap();
    let report = tokio::task::spawn_blocking(move || reconciling.join())
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    assert!(report.differences.is_empty(), "{report:?}");
    assert!(
        backend
            .find(&name("meanwhile"))
            .await
            .unwrap()
            .mailbox
            .is_some()
    );
}

#[tokio::test]
async fn many_mailboxes_take_many_messages() {
    let murder = Murder::start().await;
    let backend = murder.client("be1", "backend");
    let list = || {
        (0..12_345_u32).map(|number| {
            let mut id = [7; 16];
            id[..4].copy_from_slice(&number.to_be_bytes());
            Held {
                name: name(&format!("user/user{}/folder{number}", number % 100)),
                id: MailboxId::from_bytes(id),
                acl: Acl::owned_by(&format!("user{}", number % 100)),
                uidvalidity: number + 1,
                special_use: SpecialUses::default(),
            }
        })
    };
    let report = backend
        .reconcile("be1!default", false, 0, list)
        .await
        .unwrap();
    assert_eq!((report.held, report.applied), (12_345, 12_345));
    let report = backend
        .reconcile("be1!default", false, 0, list)
        .await
        .unwrap();
    assert_eq!((report.same, report.differences.len()), (12_345, 0));
}

#[tokio::test]
async fn many_records_are_dropped_only_by_an_operators_word() {
    let murder = Murder::start().await;
    let backend = murder.client("be1", "backend");
    let mut all = Vec::new();
    for number in 0..30 {
        all.push(
            make(&backend, &format!("board/{number:02}"), "be1!default")
                .await
                .1,
        );
    }
    // One was renamed at the backend only, one is new.
    let mut renamed = held(&all[29]);
    renamed.name = name("board/renamed");
    let mut new = held(&all[29]);
    (new.name, new.id) = (name("board/new"), MailboxId::new());
    let list = |from: usize| {
        let mut list: Vec<Held> = all[from..29].iter().map(held).collect();
        list.extend([renamed.clone(), new.clone()]);
        list
    };
    let reconcile = async |may_drop: u64, from: usize| {
        let partition = "be1!default";
        let report = backend
            .reconcile(partition, false, may_drop, || list(from))
            .await;
        let (withheld, applied) = report.map(|r| (r.withheld, r.applied)).unwrap();
        let records = backend
            .list(Selection::in_partition(partition))
            .await
            .unwrap();
        (withheld, applied, records.collect().await.unwrap().len())
    };
    // The rename's two halves and the new one are no question.
    assert_eq!(reconcile(0, 11).await, (11, 3, 31));
    assert_eq!(reconcile(10, 11).await, (11, 0, 31));
    assert_eq!(reconcile(11, 11).await, (0, 11, 20));
    // A few are dropped as ever.
    assert_eq!(reconcile(0, 21).await, (0, 10, 10));
}

#[tokio::test]
async fn a_mailbox_that_nobody_has_leaves_its_name() {
    let murder = Murder::start().await;
    let backend = murder.client("be1", "backend");
    let (_, lost) = make(&backend, "user/bob", "be1!default").await;
    let (_, elsewhere) = make(&backend, "user/eve", "be1!fast").await;
    let (_, other) = make(&backend, "user/dan", "be1!default").await;
    let list = || {
        let with_new_id = |of: &Mailbox| Held {
            id: MailboxId::new(),
            ..held(of)
        };
        // Dan's name is another mailbox's here, and Dan's own has another name.
        let renamed = Held {
            name: name("user/dan/old"),
            ..held(&other)
        };
        vec![
            with_new_id(&lost),
            with_new_id(&elsewhere),
            with_new_id(&other),
            renamed,
        ]
    };
    let report = backend
        .reconcile("be1!default", false, 0, list)
        .await
        .unwrap();
    let mut kinds: Vec<_> = report
        .differences
        .iter()
        .map(|d| (d.held.as_ref().unwrap().name.to_string(), d.kind, d.applied))
        .collect();
    kinds.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(
        kinds,
        [
            ("user/bob".to_owned(), DifferenceKind::Replaced, true),
            ("user/dan".to_owned(), DifferenceKind::Conflict, false),
            ("user/dan/old".to_owned(), DifferenceKind::Unknown, true),
            ("user/eve".to_owned(), DifferenceKind::Conflict, false),
        ]
    );
    let replaced = report
        .differences
        .iter()
        .find(|d| d.kind == DifferenceKind::Replaced);
    let now = replaced.unwrap().recorded.clone();
    assert_eq!(backend.find(&name("user/bob")).await.unwrap().mailbox, now);
    let now = now.unwrap().location;
    assert!(now.uidvalidity > lost.location.uidvalidity && now.id != lost.location.id);
}

/// Each holds what the node says and what is recorded.
#[tokio::test]
async fn a_node_has_a_few_at_once() {
    let murder = Murder::start().await;
    let (be1, be2) = (
        murder.client("be1", "backend"),
        murder.client("be2", "backend"),
    );
    let start = || async {
        let (sender, receiver) = tokio::sync::mpsc::channel(1);
        let start = v1::ReconcileStart {
            partition: "be1!default".to_owned(),
            dry_run: true,
            may_drop: 0,
        };
        let kind = Some(v1::reconcile_request::Kind::Start(start));
        sender.send(v1::ReconcileRequest { kind }).await.unwrap();
        let answers = be1.rpc().reconcile(ReceiverStream::new(receiver)).await;
        answers.map(|answers| (sender, answers.into_inner()))
    };
    let mut open = Vec::new();
    for _ in 0..super::super::reconcile::AT_ONCE {
        open.push(start().await.unwrap());
    }
    let refused = start().await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::Unavailable, "{refused}");
    let report = be2.reconcile("be2!default", true, 0, Vec::new).await;
    report.unwrap();
    drop(open);
    while be1
        .reconcile("be1!default", true, 0, Vec::new)
        .await
        .is_err()
    {
        tokio::task::yield_now().await;
    }
}
