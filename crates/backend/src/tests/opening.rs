//! Directories that are not the partitions that their names stand for, and operators' words.

use std::path::{Path, PathBuf};

use murder_location::{NodeState, PartitionState};

use super::*;
use crate::mailboxes::{AclChange, ChangeError};
use crate::opening::{Carried, Word, WordError};
use crate::settlement;

const INIT: Word = Word::Init { forget: false };

/// Copies a directory with everything in it.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &to),
            false => drop(std::fs::copy(entry.path(), to).unwrap()),
        }
    }
}

impl Murder {
    fn path(&self, node: &str, partition: &str) -> PathBuf {
        self.dir.path().join(node).join(partition)
    }

    /// A backend that may not be ready.
    async fn unready(&self, name: &str) -> Backend {
        Backend::start(self.config(name)).await.unwrap()
    }

    async fn partition(&self, node: &Node, name: &str) -> murder_location::Partition {
        let replica = &node.cluster.as_ref().unwrap().replica;
        replica.barrier(LONG).await.unwrap();
        replica.partition(name).unwrap()
    }
}

async fn create_in(node: &Arc<Node>, text: &str, partition: &str) {
    node.create_mailbox(&user("bob"), &name(text), Some(partition), None)
        .await
        .unwrap();
}

async fn say(node: &Arc<Node>, word: Word) -> Result<Carried, WordError> {
    node.carry_word("default", word, false, "ops").await
}

/// Why the partition is not open.
fn why(node: &Node) -> String {
    let closed = node.partitions.closed();
    assert_eq!(closed.len(), 1, "{closed:?}");
    assert_eq!(closed[0].0, "default");
    let condition = node.health.get("partition:default");
    assert_eq!(condition, Some(Condition::Unhealthy(closed[0].1.clone())));
    closed[0].1.clone()
}

/// Bob's home in `default`, with a message, and another user's in `fast`.
async fn with_mail(murder: &Murder) -> Backend {
    let backend = murder.backend("be1").await;
    let node = backend.node();
    create_in(node, "user/bob", "default").await;
    create_in(node, "user/bob/work", "default").await;
    append(node, "user/bob", b"Subject: old\r\n\r\n").await;
    node.create_mailbox(&admin(), &name("user/eve"), Some("fast"), None)
        .await
        .unwrap();
    backend
}

#[tokio::test]
async fn a_disk_that_is_not_mounted() {
    for with_master in [true, false] {
        let mut murder = Murder::start().await;
        let backend = with_mail(&murder).await;
        backend.shutdown(LONG).await;
        let (path, away) = (murder.path("be1", "default"), murder.path("be1", "away"));
        std::fs::rename(&path, &away).unwrap();
        if !with_master {
            murder.kill_master().await;
        }

        let backend = murder.unready("be1").await;
        let node = backend.node();
        let told = why(node);
        assert!(
            told.contains("is empty") && told.contains("init be1!default"),
            "{told}"
        );
        assert!(!path.exists(), "nothing is made in the place of a disk");
        assert_eq!(bodies_of(node, "user/eve").await, 0);
        assert!(node.may_lack());
        let bob = user("bob");
        if with_master {
            // The master forgets nothing, and nothing new is put where it does not belong.
            until("the session", || async {
                let replica = &node.cluster.as_ref().unwrap().replica;
                replica
                    .node("be1")
                    .is_some_and(|node| node.state == NodeState::Up)
            })
            .await;
            assert!(murder.find("user/bob").await.is_some());
            let record = murder.partition(node, "be1!default").await;
            assert_eq!(record.state, PartitionState::Offline);
            assert!(record.identity.is_some() && record.report.lsn > 0);
            let made = node
                .create_mailbox(&bob, &name("user/bob/new"), None, None)
                .await;
            assert!(matches!(made, Err(ChangeError::NotOpen)), "{made:?}");
        }
        // It is there again.
        std::fs::rename(&away, &path).unwrap();
        assert_eq!(node.open_partitions().await.unwrap(), ["default"]);
        assert!(!node.may_lack());
        assert_eq!(bodies_of(node, "user/bob").await, 1);
        if with_master {
            ready(&backend).await;
            murder
                .assert_settled(node, &["user/bob", "user/bob/work", "user/eve"])
                .await;
        }
    }
}

async fn bodies_of(node: &Node, text: &str) -> usize {
    bodies(node, text).await.len()
}

#[tokio::test]
async fn a_backend_alone_remembers_what_its_partitions_are() {
    let murder = Murder::start().await;
    let mut config = murder.config("be1");
    config.cluster = None;
    config.mupdate.masters.clear();
    config.imap.tls_listen.clear();
    let backend = Backend::start(config.clone()).await.unwrap();
    create_in(backend.node(), "user/bob", "default").await;
    backend.shutdown(LONG).await;
    let (path, away) = (murder.path("be1", "default"), murder.path("be1", "away"));
    std::fs::rename(&path, &away).unwrap();

    let backend = Backend::start(config.clone()).await.unwrap();
    let node = backend.node();
    assert!(why(node).contains("is empty"));
    // Bob's INBOX may be on that disk: it is not made anew.
    assert!(matches!(
        node.autocreate_inbox(&user("bob")).await,
        Err(ChangeError::NotOpen)
    ));
    let unfit = say(node, Word::Adopt).await;
    assert!(matches!(unfit, Err(WordError::Unfit(_))), "{unfit:?}");
    say(node, INIT).await.unwrap();
    node.autocreate_inbox(&user("bob")).await.unwrap();
    backend.shutdown(LONG).await;
    // From now on that is the partition.
    std::fs::remove_dir_all(&path).unwrap();
    std::fs::rename(&away, &path).unwrap();
    let backend = Backend::start(config).await.unwrap();
    assert!(why(backend.node()).contains("another partition"));
    say(backend.node(), Word::Adopt).await.unwrap();
    assert!(!backend.node().may_lack());
}

#[tokio::test]
async fn another_partition_under_the_name() {
    let murder = Murder::start().await;
    let backend = with_mail(&murder).await;
    backend.shutdown(LONG).await;
    let other = murder.backend("be2").await;
    let (dan, operator) = (name("user/dan"), admin());
    let made = other
        .node()
        .create_mailbox(&operator, &dan, Some("default"), None);
    made.await.unwrap();
    other.shutdown(LONG).await;
    let path = murder.path("be1", "default");
    std::fs::rename(&path, murder.path("be1", "away")).unwrap();
    copy(&murder.path("be2", "default"), &path);

    let backend = murder.unready("be1").await;
    let node = backend.node();
    let told = why(node);
    assert!(
        told.contains("another partition") && told.contains("adopt"),
        "{told}"
    );
    // Nobody's mail is shown to anybody.
    assert!(node.find(&name("user/dan")).is_none());
    for word in [INIT, Word::Restored] {
        let unfit = say(node, word).await;
        assert!(
            matches!(unfit, Err(WordError::Unfit(_))),
            "{word:?} {unfit:?}"
        );
    }
    say(node, Word::Adopt).await.unwrap();
    assert!(node.find(&name("user/dan")).is_some());
    // It lacks what the master has of the other one: few enough to be dropped.
    until("the reconciliation", || async {
        murder.find("user/bob").await.is_none()
    })
    .await;
}

#[tokio::test]
async fn a_partition_that_is_lost_begins_anew() {
    for forget in [false, true] {
        let murder = Murder::start().await;
        let backend = with_mail(&murder).await;
        let before = murder.find("user/bob").await.unwrap().location;
        backend.shutdown(LONG).await;
        std::fs::remove_dir_all(murder.path("be1", "default")).unwrap();
        let backend = murder.unready("be1").await;
        let node = backend.node();
        let word = Word::Init { forget };
        let dry = node.carry_word("default", word, true, "ops").await.unwrap();
        assert_eq!((dry.expected.mailboxes, dry.settled.len()), (2, 0));
        let carried = say(node, word).await.unwrap();
        assert_eq!(carried.settled.len(), 2);
        ready(&backend).await;
        if forget {
            murder
                .assert_none(node, &["user/bob", "user/bob/work"])
                .await;
        } else {
            murder
                .assert_settled(node, &["user/bob", "user/bob/work"])
                .await;
            let now = murder.find("user/bob").await.unwrap().location;
            assert_eq!(now.id, before.id);
            assert!(now.uidvalidity > before.uidvalidity);
            assert_eq!(bodies_of(node, "user/bob").await, 0);
        }
        let again = say(node, word).await;
        assert!(matches!(again, Err(WordError::Unfit(_))), "{again:?}");
    }
}

#[tokio::test]
async fn an_older_copy_goes_on_as_the_master_has_it() {
    let murder = Murder::start().await;
    let backend = with_mail(&murder).await;
    let node = backend.node();
    for text in ["acl", "gone", "again", "renamed"] {
        create_in(node, &format!("user/bob/{text}"), "default").await;
    }
    let bob = user("bob");
    let grant = |rights: &str| AclChange::Replace(rights.parse().unwrap());
    let shared = name("user/bob/acl");
    node.change_acl(&bob, &shared, "eve", grant("lr"))
        .await
        .unwrap();
    backend.shutdown(LONG).await;
    let (path, old) = (murder.path("be1", "default"), murder.path("be1", "old"));
    copy(&path, &old);

    let backend = murder.backend("be1").await;
    let node = backend.node();
    append(node, "user/bob", b"Subject: new\r\n\r\n").await;
    let found = node.find(&name("user/bob")).unwrap();
    let status = found
        .partition
        .status(&name("user/bob"), None)
        .await
        .unwrap();
    node.change_acl(&bob, &shared, "eve", AclChange::Delete)
        .await
        .unwrap();
    node.delete_mailbox(&bob, &name("user/bob/gone"))
        .await
        .unwrap();
    node.delete_mailbox(&bob, &name("user/bob/again"))
        .await
        .unwrap();
    create_in(node, "user/bob/again", "default").await;
    create_in(node, "user/bob/new", "default").await;
    let (from, to) = (name("user/bob/renamed"), name("user/bob/moved"));
    node.rename_mailbox(&bob, &from, &to).await.unwrap();
    let names = [
        "user/bob",
        "user/bob/acl",
        "user/bob/again",
        "user/bob/new",
        "user/bob/moved",
    ];
    murder.assert_settled(node, &names).await;
    let before = murder.find("user/bob/again").await.unwrap().location;
    backend.shutdown(LONG).await;
    std::fs::remove_dir_all(&path).unwrap();
    copy(&old, &path);

    let backend = murder.unready("be1").await;
    let node = backend.node();
    let told = why(node);
    assert!(
        told.contains("older copy") && told.contains("restored be1!default"),
        "{told}"
    );
    for word in [INIT, Word::Adopt] {
        assert!(
            matches!(say(node, word).await, Err(WordError::Unfit(_))),
            "{word:?}"
        );
    }
    let carried = say(node, Word::Restored).await.unwrap();
    assert!(carried.missing > 0);
    let mut settled: Vec<(String, &str)> = carried
        .settled
        .iter()
        .map(|settled| (settled.name.to_string(), settled.what))
        .collect();
    settled.sort();
    assert_eq!(
        settled,
        [
            ("user/bob/acl".into(), settlement::OTHER_ACL),
            ("user/bob/again".into(), settlement::REPLACED),
            ("user/bob/again".into(), settlement::MADE_EMPTY),
            ("user/bob/gone".into(), settlement::DELETED),
            ("user/bob/moved".into(), settlement::RENAMED),
            ("user/bob/new".into(), settlement::MADE_EMPTY),
        ]
    );
    ready(&backend).await;
    murder.assert_settled(node, &names).await;
    murder
        .assert_none(node, &["user/bob/gone", "user/bob/renamed"])
        .await;
    let now = murder.find("user/bob/again").await.unwrap().location;
    assert_eq!(now.id, before.id);
    assert!(now.uidvalidity > before.uidvalidity);
    assert!(node.find(&shared).unwrap().meta.acl.get("eve").is_empty());
    // No UID and no MODSEQ comes again.
    append(node, "user/bob", b"Subject: newer\r\n\r\n").await;
    let found = node.find(&name("user/bob")).unwrap();
    let now = found
        .partition
        .status(&name("user/bob"), None)
        .await
        .unwrap();
    assert_eq!(now.uidvalidity, status.uidvalidity);
    assert!(now.uidnext > status.uidnext + (1 << 20), "{now:?}");
    assert!(
        now.highest_modseq > status.highest_modseq + (1 << 32),
        "{now:?}"
    );

    // The one that was taken out is the older one now.
    backend.shutdown(LONG).await;
    let backend = murder.backend("be1").await;
    drop(backend);
}

#[tokio::test]
async fn what_was_stuck_for_ever_settles_itself() {
    let murder = Murder::start().await;
    let backend = with_mail(&murder).await;
    let node = backend.node();
    // The state that an unmounted disk once left: the master has another mailbox of this very
    // partition under the name, and nobody has that one.
    let master = &master_of(node);
    let bob = name("user/bob");
    master.delete(&bob, None).await.unwrap();
    let id = MailboxId::new();
    let reserve = murder_location::Reserve {
        name: bob.clone(),
        id,
        partition: "be1!default".into(),
        acl: Acl::owned_by("bob"),
        special_use: murder_location::SpecialUses::default(),
    };
    let lost = master
        .reserve(reserve)
        .await
        .unwrap()
        .mailbox
        .unwrap()
        .location;
    let activate = murder_location::Activate::new(bob.clone(), id);
    master.activate(activate).await.unwrap();
    // A client that sees it is brought out of it by whatever it does.
    let change = AclChange::Replace("lr".parse().unwrap());
    let refused = node.change_acl(&user("bob"), &bob, "eve", change).await;
    assert!(refused.is_err());
    until("the settling", || async {
        murder.state(node, "user/bob").await.1
    })
    .await;
    let now = murder.find("user/bob").await.unwrap().location;
    assert!(now.id != id && now.uidvalidity > lost.uidvalidity);
    assert_eq!(node.counters.conflicts.get(), 0);
    node.change_acl(&user("bob"), &bob, "eve", change)
        .await
        .unwrap();
    assert_eq!(bodies_of(node, "user/bob").await, 1);
}

#[tokio::test]
async fn many_mailboxes_that_are_not_there_are_not_forgotten() {
    let murder = Murder::start().await;
    let backend = with_mail(&murder).await;
    let node = backend.node();
    for number in 0..12 {
        create_in(node, &format!("user/bob/{number}"), "default").await;
        let partition = &default_partition(node);
        let lost = name(&format!("user/bob/{number}"));
        partition.delete_mailbox(&lost).await.unwrap();
    }
    crate::reconcile::reconcile(node).await.unwrap();
    let condition = node.health.get("reconcile:default");
    let Some(Condition::Unhealthy(why)) = condition else {
        panic!("{condition:?}");
    };
    assert!(
        why.contains("12 mailboxes") && why.contains("--drop 12"),
        "{why}"
    );
    assert!(murder.find("user/bob/3").await.is_some());
    assert!(node.may_lack());
    let cluster = node.cluster.as_ref().unwrap();
    let partition = &default_partition(node);
    for (may_drop, withheld) in [(11, 12), (12, 0)] {
        let report = crate::reconcile::reconcile_partition(node, cluster, partition, may_drop);
        assert_eq!(report.await.unwrap().withheld, withheld);
    }
    assert!(murder.find("user/bob/3").await.is_none());
    assert!(!node.may_lack());
    ready(&backend).await;
}

#[tokio::test]
async fn one_that_cannot_be_opened_keeps_no_other_away() {
    let murder = Murder::start().await;
    let backend = with_mail(&murder).await;
    backend.shutdown(LONG).await;
    let file = murder.path("be1", "default").join("partition.db");
    let aside = murder.path("be1", "aside");
    std::fs::rename(&file, &aside).unwrap();
    std::fs::write(&file, "nonsense").unwrap();
    let backend = murder.unready("be1").await;
    let node = backend.node();
    if node.partitions.get("default").is_none() {
        why(node);
    }
    assert!(node.find(&name("user/eve")).is_some());
    assert!(murder.find("user/bob").await.is_some());
    let metrics = node.metrics.render();
    assert!(
        metrics.contains("murder_backend_partition_open{partition=\"fast\"} 1"),
        "{metrics}"
    );
}

#[tokio::test]
async fn the_master_is_told_before_too_many_uids_are_given_out() {
    let mut murder = Murder::start().await;
    let config = murder.config("be1");
    let io = || Arc::new(murder_store::io::DiskIo);
    let backend = start_over(config, io(), Some(8)).await.unwrap();
    ready(&backend).await;
    let node = backend.node();
    create_in(node, "user/bob", "default").await;
    // Many more than the gap: each report makes room for the next.
    for _ in 0..50 {
        append(node, "user/bob", b"Subject: x\r\n\r\n").await;
    }
    let record = murder.partition(node, "be1!default").await;
    assert!(record.report.uids >= 42, "{record:?}");
    // Without the master only those within the gap.
    murder.kill_master().await;
    let inbox = name("user/bob");
    let found = node.find(&inbox).unwrap();
    let message = || AppendMessage {
        body: Bytes::from_static(b"Subject: y\r\n\r\n").into(),
        flags: Flags::default(),
        keywords: Vec::new(),
        internal_date: InternalDate::default(),
        save_date: 0,
        seen_by: None,
    };
    let mut given = 0;
    let refused = loop {
        let append = found.partition.append(&inbox, vec![message()]);
        match append.await {
            Ok(_) => given += 1,
            Err(error) => break error,
        }
    };
    assert!(given <= 8, "{given}");
    assert!(
        matches!(refused, murder_store::StoreError::Unreported),
        "{refused:?}"
    );
    murder.start_master().await;
    until("the report", || async {
        let append = found.partition.append(&inbox, vec![message()]);
        append.await.is_ok()
    })
    .await;
}

/// One name on two backends: whoever has the one that the master does not know gets out of it.
#[tokio::test]
async fn a_conflict_with_another_backend_can_be_ended_here() {
    let murder = Murder::start().await;
    let bob = user("bob");
    let mut config = murder.config("be1");
    config.cluster = None;
    config.mupdate.masters.clear();
    config.imap.tls_listen.clear();
    let alone = Backend::start(config).await.unwrap();
    for text in ["user/bob", "user/bob/a", "user/bob/b"] {
        create_in(alone.node(), text, "default").await;
    }
    append(alone.node(), "user/bob/a", b"Subject: mine\r\n\r\n").await;
    alone.shutdown(LONG).await;
    let other = murder.backend("be2").await;
    for text in ["user/bob", "user/bob/a", "user/bob/b"] {
        create_in(other.node(), text, "default").await;
    }
    let theirs = murder.find("user/bob/a").await.unwrap();

    let backend = murder.backend("be1").await;
    let node = backend.node();
    assert_eq!(node.counters.conflicts.get(), 3);
    let change = AclChange::Replace("lr".parse().unwrap());
    let (a, b, mine) = (
        name("user/bob/a"),
        name("user/bob/b"),
        name("user/bob/mine"),
    );
    node.change_acl(&bob, &a, "eve", change).await.unwrap();
    assert!(!node.find(&a).unwrap().meta.acl.get("eve").is_empty());
    node.rename_mailbox(&bob, &a, &mine).await.unwrap();
    node.delete_mailbox(&bob, &b).await.unwrap();
    murder.assert_settled(node, &["user/bob/mine"]).await;
    assert_eq!(bodies_of(node, "user/bob/mine").await, 1);
    assert_eq!(murder.find("user/bob/a").await, Some(theirs));
    assert!(node.find(&b).is_none() && murder.find("user/bob/b").await.is_some());
    crate::reconcile::reconcile(node).await.unwrap();
    assert_eq!(node.counters.conflicts.get(), 1);
}

/// The whole backend was put back, with its memory, and the master was away when it started.
#[tokio::test]
async fn an_older_copy_that_was_opened_without_the_master_is_closed_again() {
    let mut murder = Murder::start().await;
    let backend = with_mail(&murder).await;
    backend.shutdown(LONG).await;
    let (whole, old) = (murder.dir.path().join("be1"), murder.dir.path().join("old"));
    copy(&whole, &old);
    let backend = murder.backend("be1").await;
    let node = backend.node();
    append(node, "user/bob", b"Subject: new\r\n\r\n").await;
    let bob = user("bob");
    node.delete_mailbox(&bob, &name("user/bob/work"))
        .await
        .unwrap();
    backend.shutdown(LONG).await;
    std::fs::remove_dir_all(&whole).unwrap();
    copy(&old, &whole);
    murder.kill_master().await;

    let backend = murder.unready("be1").await;
    let node = backend.node();
    assert_eq!(bodies_of(node, "user/bob").await, 1);
    murder.start_master().await;
    until("the comparison", || async {
        node.partitions.get("default").is_none()
    })
    .await;
    until("the session", || async {
        murder.partition(node, "be1!default").await.state == PartitionState::Offline
    })
    .await;
    // Nothing of it has reached the master.
    assert!(murder.find("user/bob/work").await.is_none());
    assert!(node.may_lack());
    assert!(node.find(&name("user/bob")).is_none());
    assert!(node.find(&name("user/eve")).is_some());
    say(node, Word::Restored).await.unwrap();
    ready(&backend).await;
}
