//! Annotations: who has them, where they go, how many there are; shared `\Seen`.

use std::time::Duration;

use murder_store::{
    Annotated, AnnotationChange, Flags, MAX_ANNOTATION, MAX_ANNOTATIONS, MailboxView, Partition,
    PartitionConfig, StoreError, StoreMode, StoreOp, UidSet,
};
use tempfile::TempDir;

use crate::support::*;

fn change(entries: &[(&str, Option<&str>)]) -> AnnotationChange {
    AnnotationChange {
        entries: entries
            .iter()
            .map(|(entry, value)| ((*entry).to_owned(), value.map(|v| v.as_bytes().to_vec())))
            .collect(),
        shared_seen: None,
    }
}

/// What `user` is told, as `entry=value`.
async fn told(partition: &Partition, of: Annotated<'_>, user: Option<&str>) -> Vec<String> {
    let all = partition.annotations(of, user, |_| true, u32::MAX).await;
    let all = all.unwrap().into_iter();
    all.map(|a| {
        format!(
            "{}={}",
            a.entry,
            String::from_utf8(a.value.unwrap()).unwrap()
        )
    })
    .collect()
}

#[tokio::test]
async fn shared_and_private() {
    let dir = TempDir::new().unwrap();
    let partition = open(&dir);
    create(&partition, &["user/bob", "user/bob/a"]).await;
    let a = name("user/bob/a");
    let of = Annotated::Mailbox(&a);
    let set = change(&[
        ("/shared/comment", Some("ours")),
        ("/private/comment", Some("bob's")),
    ]);
    partition.annotate(of, None, set).await.unwrap();
    let set = change(&[
        ("/private/comment", Some("eve's")),
        ("/private/x", Some("")),
    ]);
    partition.annotate(of, Some("eve"), set).await.unwrap();
    let bobs = ["/private/comment=bob's", "/shared/comment=ours"];
    let eves = [
        "/private/comment=eve's",
        "/private/x=",
        "/shared/comment=ours",
    ];
    let server = change(&[("/shared/comment", Some("hello"))]);
    assert!(!partition.has_server_annotations());
    partition
        .annotate(Annotated::Server, None, server)
        .await
        .unwrap();
    let home = Annotated::Home("user/bob");
    let own = change(&[("/private/vendor/x/y", Some("1"))]);
    partition.annotate(home, None, own).await.unwrap();
    // At once, and after a crash.
    let copy = TempDir::new().unwrap();
    for at_once in [true, false] {
        let partition = match at_once {
            true => std::sync::Arc::clone(&partition),
            false => {
                copy_dir(dir.path(), copy.path());
                open(&copy)
            }
        };
        assert!(partition.has_server_annotations());
        assert_eq!(told(&partition, of, None).await, bobs);
        assert_eq!(told(&partition, of, Some("eve")).await, eves);
        assert_eq!(
            told(&partition, of, Some("zoe")).await,
            ["/shared/comment=ours"]
        );
        assert_eq!(
            told(&partition, Annotated::Server, None).await,
            ["/shared/comment=hello"]
        );
        assert_eq!(
            told(&partition, home, None).await,
            ["/private/vendor/x/y=1"]
        );
    }
    // What is not wanted, and what is too large.
    let comments = partition.annotations(of, Some("eve"), |e| e.ends_with("comment"), 4);
    let comments = comments.await.unwrap();
    assert_eq!((comments[0].size, &comments[0].value), (5, &None));
    assert_eq!(comments[1].value.as_deref(), Some(&b"ours"[..]));
    let gone = change(&[("/private/comment", None), ("/shared/never", None)]);
    partition.annotate(of, None, gone).await.unwrap();
    assert_eq!(told(&partition, of, None).await, ["/shared/comment=ours"]);
    assert_eq!(told(&partition, of, Some("eve")).await, eves);
    let nobody = name("user/zoe");
    for of in [Annotated::Mailbox(&nobody), Annotated::Home("user/zoe")] {
        assert!(partition.annotate(of, None, change(&[])).await.is_err());
        let all = partition.annotations(of, None, |_| true, 1).await;
        assert!(all.is_err());
    }
    // The server's do not make a home of what others see.
    assert_eq!(partition.mailboxes().len(), 2);
    assert_eq!(partition.counts().1, 2);
}

#[tokio::test]
async fn they_go_where_their_mailbox_goes() {
    let dir = TempDir::new().unwrap();
    let config = || PartitionConfig {
        delete_delay: Duration::from_secs(1000),
        ..config(&dir)
    };
    let partition = Partition::open(config()).unwrap();
    create(&partition, &["user/bob", "user/bob/a/b"]).await;
    let (inbox, old, new) = (name("user/bob"), name("user/bob/a/b"), name("user/bob/c/b"));
    let comment = || {
        change(&[
            ("/shared/comment", Some("x")),
            ("/private/comment", Some("y")),
        ])
    };
    let both = ["/private/comment=y", "/shared/comment=x"];
    for of in [&inbox, &old].map(Annotated::Mailbox) {
        partition.annotate(of, None, comment()).await.unwrap();
    }
    partition
        .rename_mailbox(&name("user/bob/a"), &name("user/bob/c"))
        .await
        .unwrap();
    let of_new = Annotated::Mailbox(&new);
    assert_eq!(told(&partition, of_new, None).await, both);
    // RFC 5464 section 4.1: the INBOX keeps its own.
    partition.set_shared_seen(&inbox, true).await.unwrap();
    let saved = name("user/bob/saved");
    partition
        .rename_inbox(&inbox, &saved, new_mailbox())
        .await
        .unwrap();
    for of in [&inbox, &saved] {
        assert_eq!(told(&partition, Annotated::Mailbox(of), None).await, both);
        assert!(partition.lookup(of).unwrap().shared_seen);
    }
    // Deleted, they are gone from the name; restored, they are back, and shared \Seen too.
    let deleted = partition.delete_mailbox(&saved).await.unwrap();
    create(&partition, &["user/bob/saved"]).await;
    assert!(
        told(&partition, Annotated::Mailbox(&saved), None)
            .await
            .is_empty()
    );
    let back = name("user/bob/back");
    partition
        .restore_mailbox(deleted.id, &back, new_mailbox())
        .await
        .unwrap();
    assert_eq!(
        told(&partition, Annotated::Mailbox(&back), None).await,
        both
    );
    assert!(partition.lookup(&back).unwrap().shared_seen);
    // With the whole home.
    let own = change(&[("/private/comment", Some("mine"))]);
    let home = Annotated::Home("user/bob");
    partition.annotate(home, None, own).await.unwrap();
    partition
        .rename_mailbox(&inbox, &name("user/rob"))
        .await
        .unwrap();
    let (rob, moved) = (Annotated::Home("user/rob"), name("user/rob/c/b"));
    assert_eq!(told(&partition, rob, None).await, ["/private/comment=mine"]);
    assert_eq!(
        told(&partition, Annotated::Mailbox(&moved), None).await,
        both
    );
    // A new owner of the name finds nothing.
    for meta in partition.mailboxes() {
        partition.delete_mailbox(&meta.name).await.unwrap();
    }
    assert!(matches!(
        partition
            .annotate(rob, None, change(&[("/private/x", Some("x"))]))
            .await,
        Err(StoreError::NoSuchHome)
    ));
    create(&partition, &["user/rob"]).await;
    assert!(told(&partition, rob, None).await.is_empty());
}

#[tokio::test]
async fn there_is_a_bound_and_all_or_nothing() {
    let dir = TempDir::new().unwrap();
    let partition = open(&dir);
    create(&partition, &["board"]).await;
    let board = name("board");
    let of = Annotated::Mailbox(&board);
    let named = |scope: &str, range: std::ops::Range<u32>| AnnotationChange {
        entries: range
            .map(|n| (format!("/{scope}/vendor/t/{n}"), Some(Vec::new())))
            .collect(),
        shared_seen: None,
    };
    for (user, scope) in [
        (None, "shared"),
        (None, "private"),
        (Some("eve"), "private"),
    ] {
        let all = named(scope, 0..MAX_ANNOTATIONS);
        partition.annotate(of, user, all.clone()).await.unwrap();
        let more = named(scope, MAX_ANNOTATIONS..MAX_ANNOTATIONS + 1);
        let refused = partition.annotate(of, user, more.clone()).await;
        assert!(matches!(refused, Err(StoreError::TooManyAnnotations)));
        // One for another, and what is there already, fit.
        let mut other = more;
        other.entries.push((format!("/{scope}/vendor/t/0"), None));
        partition.annotate(of, user, other).await.unwrap();
        assert_eq!(
            told(&partition, of, user)
                .await
                .iter()
                .filter(|e| e.contains(scope))
                .count(),
            100
        );
    }
    let large = |octets| AnnotationChange {
        entries: vec![
            ("/private/a".into(), Some(b"a".to_vec())),
            ("/private/b".into(), Some(vec![0; octets])),
        ],
        shared_seen: Some(true),
    };
    let refused = partition
        .annotate(of, Some("zoe"), large(MAX_ANNOTATION + 1))
        .await;
    assert!(matches!(refused, Err(StoreError::TooLarge { .. })));
    let private = async |user| {
        let all = told(&partition, of, Some(user)).await;
        all.iter().filter(|e| e.starts_with("/private")).count()
    };
    assert_eq!(private("zoe").await, 0);
    assert!(!partition.lookup(&board).unwrap().shared_seen);
    partition
        .annotate(of, Some("zoe"), large(MAX_ANNOTATION))
        .await
        .unwrap();
    assert_eq!(private("zoe").await, 2);
    assert!(partition.lookup(&board).unwrap().shared_seen);
    // No mailbox holds everything of everybody.
    let mut refused = 0;
    for number in 0..110 {
        let user = format!("user{number}");
        let all = named("private", 0..MAX_ANNOTATIONS);
        match partition.annotate(of, Some(&user), all).await {
            Ok(()) => assert_eq!(refused, 0),
            Err(StoreError::TooManyAnnotations) => refused += 1,
            Err(e) => panic!("{e}"),
        }
    }
    assert!(refused > 0);
}

/// RFC 7162 section 3.2.
#[tokio::test]
async fn a_change_raises_highestmodseq() {
    let dir = TempDir::new().unwrap();
    let partition = open(&dir);
    create(&partition, &["board"]).await;
    let board = name("board");
    let of = Annotated::Mailbox(&board);
    let handle = partition.open_mailbox(&board).await.unwrap();
    let mut changes = handle.subscribe();
    let mut last = handle.view().highest_modseq();
    for (entries, raised) in [
        (change(&[("/shared/comment", Some("x"))]), true),
        (change(&[("/shared/comment", Some("x"))]), false),
        (change(&[("/private/comment", Some("x"))]), true),
        (change(&[("/private/comment", None)]), true),
        (change(&[("/private/comment", None)]), false),
        (
            AnnotationChange {
                shared_seen: Some(true),
                ..AnnotationChange::default()
            },
            true,
        ),
        (
            AnnotationChange {
                shared_seen: Some(true),
                ..AnnotationChange::default()
            },
            false,
        ),
    ] {
        changes.mark_unchanged();
        partition.annotate(of, Some("eve"), entries).await.unwrap();
        let now = handle.view().highest_modseq();
        assert_eq!(now > last, raised);
        assert_eq!(changes.has_changed().unwrap(), raised);
        let status = partition.status(&board, None).await.unwrap();
        assert_eq!(status.highest_modseq, now);
        last = now;
    }
}

/// Whoever is shown another `\Seen` by the switch hears of it, by a new MODSEQ.
#[tokio::test]
async fn shared_seen_is_switched() {
    let dir = TempDir::new().unwrap();
    let partition = open(&dir);
    create(&partition, &["board"]).await;
    let board = name("board");
    let messages = (1..=4).map(|n| message(&n.to_string())).collect();
    partition.append(&board, messages).await.unwrap();
    let handle = partition.open_mailbox(&board).await.unwrap();
    let seen = |user: Option<&str>| {
        let mut op = StoreOp::new(StoreMode::Add, Flags::SEEN, vec![]);
        op.user = user.map(str::to_owned);
        op
    };
    // 1 is seen by the owner, 2 by eve, 3 by both, 4 by nobody.
    for (user, uids) in [(None, [1, 3]), (Some("eve"), [2, 3])] {
        let uids: UidSet = uids.into_iter().collect();
        partition
            .store_flags(&handle, &uids, seen(user))
            .await
            .unwrap();
    }
    let seen_by = |view: &MailboxView, user| -> Vec<u32> {
        let rows = view.rows(1, view.len());
        rows.filter(|row| view.is_seen(row, user))
            .map(|row| row.uid)
            .collect()
    };
    let before = handle.view();
    assert_eq!(seen_by(&before, Some("eve")), [2, 3]);
    partition.set_shared_seen(&board, true).await.unwrap();
    let shared = handle.view();
    assert_eq!(seen_by(&shared, Some("eve")), [1, 3]);
    assert_eq!(seen_by(&before, Some("eve")), [2, 3]);
    let diff = MailboxView::diff(&before, &shared);
    assert_eq!(diff.changed, [1, 2, 3]);
    // What is set meanwhile is everybody's, and stays the owner's.
    let uids = UidSet::range(4, 4);
    partition
        .store_flags(&handle, &uids, seen(Some("eve")))
        .await
        .unwrap();
    assert_eq!(seen_by(&handle.view(), None), [1, 3, 4]);
    let status = partition.status(&board, Some("zoe")).await.unwrap();
    assert_eq!(status.unseen, 1);
    partition.set_shared_seen(&board, false).await.unwrap();
    assert_eq!(seen_by(&handle.view(), Some("eve")), [2, 3]);
    assert_eq!(seen_by(&handle.view(), Some("zoe")), [0; 0]);
    let status = partition.status(&board, Some("zoe")).await.unwrap();
    assert_eq!(status.unseen, 4);
}
