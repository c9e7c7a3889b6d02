#![allow(clippy::unwrap_used)]

use murder_mailbox::MailboxName;
use murder_proto::v1::operation::Kind;
use murder_proto::v1::{self, ErrorKind, directory_operation, log_entry::Command};

use super::{Applied, Outcome, State};
use murder_location::record::{Change, Mailbox, MailboxState, NodeState, PartitionState};

const HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA";
const START_MS: u64 = 1_800_000_000_000;

/// A state with its log, which must give the same state again.
#[derive(Default)]
struct Log {
    state: State,
    entries: Vec<v1::LogEntry>,
    /// What the clock is ahead, or behind, in milliseconds.
    wrong_by: i64,
}

impl Log {
    fn apply(&mut self, restricted_to: &str, command: Command) -> Applied {
        self.apply_at(restricted_to, 1, command)
    }

    /// As the owner of `node!default` at an epoch.
    fn apply_at(&mut self, restricted_to: &str, epoch: u64, command: Command) -> Applied {
        let entry = v1::LogEntry {
            partition: (!restricted_to.is_empty()).then(|| v1::PartitionEpoch {
                partition: format!("{restricted_to}!default"),
                epoch,
            }),
            time_ms: (START_MS + self.entries.len() as u64).saturating_add_signed(self.wrong_by),
            restricted_to: restricted_to.into(),
            command: Some(command),
        };
        // Each test is one of rehearsals, too.
        let before = records(&self.state);
        let rehearsed = self.state.rehearse(std::slice::from_ref(&entry));
        assert_eq!(records(&self.state), before);
        let applied = self.state.apply(self.entries.len() as u64 + 1, &entry);
        let refused = applied
            .outcome
            .is_refusal()
            .then(|| applied.outcome.clone());
        assert_eq!(rehearsed, [refused]);
        self.entries.push(entry);
        applied
    }

    fn batch(
        &mut self,
        restricted_to: &str,
        kinds: Vec<Kind>,
    ) -> Vec<Result<Option<Mailbox>, v1::ErrorDetail>> {
        let operations = kinds
            .into_iter()
            .map(|kind| v1::Operation { kind: Some(kind) })
            .collect();
        let batch = Command::Batch(v1::Batch { operations });
        match self.apply(restricted_to, batch).outcome {
            Outcome::Batch(results) => results,
            other => panic!("{other:?}"),
        }
    }

    fn one(&mut self, restricted_to: &str, kind: Kind) -> Result<Option<Mailbox>, v1::ErrorDetail> {
        self.batch(restricted_to, vec![kind]).pop().unwrap()
    }

    /// Reserves and activates.
    fn make(&mut self, name: &str, partition: &str) -> Mailbox {
        self.one("", reserve(name, partition)).unwrap();
        self.one("", activate(name)).unwrap().unwrap()
    }

    fn find(&self, text: &str) -> Option<Mailbox> {
        let name = MailboxName::parse_canonical(text).unwrap();
        let location = self.state.tables.map.find(&name)?;
        Some(Mailbox { name, location })
    }

    fn names(&self) -> Vec<String> {
        self.state
            .tables
            .map
            .with_prefix("")
            .map(|e| e.name().to_owned())
            .collect()
    }

    fn reload(&self) -> Self {
        let mut log = Self::default();
        for (at, entry) in self.entries.iter().enumerate() {
            log.state.apply(at as u64 + 1, entry);
            log.entries.push(entry.clone());
        }
        log
    }
}

/// Everything that a state says.
fn records(state: &State) -> Vec<Change> {
    let State { tables, .. } = state;
    let mailboxes = tables.map.range(std::ops::Bound::Unbounded);
    let mailboxes = mailboxes.map(|e| Change::Mailbox(e.mailbox_name(), Some(e.location())));
    let nodes = tables.nodes.iter();
    let nodes = nodes.map(|(name, node)| Change::Node(name.clone(), Some(node.clone())));
    let partitions = tables.partitions.iter();
    let partitions = partitions.map(|(name, p)| Change::Partition(name.clone(), Some(p.clone())));
    let accounts = tables.accounts.iter();
    let accounts = accounts.map(|(name, a)| Change::Account(name.clone(), Some(a.clone())));
    let revocations = tables.revocations.iter();
    let revocations =
        revocations.map(|(name, r)| Change::Revocation(name.clone(), Some(r.clone())));
    for entry in tables.map.range(std::ops::Bound::Unbounded) {
        assert_eq!(state.ids.holder(&entry.id()), Some(entry.partition()));
    }
    let nothing = state.revision + u64::from(state.last_uidvalidity);
    let counters = Change::Node(format!("{nothing} {:?}", state.murder_id), None);
    mailboxes
        .chain(nodes)
        .chain(partitions)
        .chain(accounts)
        .chain(revocations)
        .chain([counters])
        .collect()
}

/// Each test name has an id of its own.
fn id(name: &str) -> Vec<u8> {
    let mut id = [0; 16];
    for (at, byte) in name.bytes().enumerate() {
        id[at % 16] ^= byte.rotate_left(u32::try_from(at / 16).unwrap());
    }
    id.to_vec()
}

fn reserve(name: &str, partition: &str) -> Kind {
    Kind::Reserve(v1::ReserveRequest {
        name: name.into(),
        id: id(name),
        partition: partition.into(),
        acl: "anyone\tlr\t".into(),
        ..Default::default()
    })
}

fn activate(name: &str) -> Kind {
    Kind::Activate(v1::ActivateRequest {
        name: name.into(),
        id: id(name),
        ..Default::default()
    })
}

fn begin_delete(name: &str) -> Kind {
    Kind::BeginDelete(v1::BeginDeleteRequest {
        name: name.into(),
        id: id(name),
    })
}

fn delete(name: &str) -> Kind {
    Kind::Delete(v1::DeleteRequest {
        name: name.into(),
        id: Vec::new(),
    })
}

fn rename(from: &str, to: &str) -> Kind {
    Kind::Rename(v1::RenameRequest {
        from: from.into(),
        to: to.into(),
        subtree: true,
    })
}

fn kind_of<T: std::fmt::Debug>(result: Result<T, v1::ErrorDetail>) -> ErrorKind {
    result.unwrap_err().kind()
}

#[test]
fn a_name_exists_once() {
    let mut log = Log::default();
    log.make("board", "be1!default");
    let mut second = reserve("board", "be2!default");
    if let Kind::Reserve(request) = &mut second {
        request.id = id("another");
    }
    let refusal = log.one("be2", second).unwrap_err();
    assert_eq!(refusal.kind(), ErrorKind::AlreadyExists);
    assert_eq!(refusal.holder.unwrap().partition, "be1!default");
}

#[test]
fn reserving_and_activating_again_does_no_harm() {
    let mut log = Log::default();
    let first = log
        .one("be1", reserve("board", "be1!default"))
        .unwrap()
        .unwrap();
    assert_eq!(first.location.state, MailboxState::Reserved);
    assert_eq!(first.location.reserved_revision, 1);
    let again = log
        .one("be1", reserve("board", "be1!default"))
        .unwrap()
        .unwrap();
    assert_eq!(again, first);
    let active = log.one("be1", activate("board")).unwrap().unwrap();
    assert_eq!(active.location.state, MailboxState::Active);
    assert_eq!(log.one("be1", activate("board")).unwrap().unwrap(), active);
    // Once it is there, the name is taken.
    assert_eq!(
        kind_of(log.one("be1", reserve("board", "be1!default"))),
        ErrorKind::AlreadyExists
    );
}

#[test]
fn uidvalidity_grows_for_ever() {
    let mut log = Log::default();
    let first = log.make("board", "be1!default").location.uidvalidity;
    assert_eq!(u64::from(first), START_MS / 1000);
    let second = log.make("other", "be1!default").location.uidvalidity;
    assert!(second > first);
    log.one("", delete("board")).unwrap();
    let third = log.make("board", "be2!default").location.uidvalidity;
    assert!(third > second);
    // One that was refused gives nothing away.
    let before = log.state.last_uidvalidity;
    log.batch("", vec![reserve("x", "be1!default"), delete("none")]);
    assert_eq!(log.state.last_uidvalidity, before);
    assert!(log.find("x").is_none());
}

const DECADES_MS: i64 = 40 * 366 * 86_400_000;

#[test]
fn a_clock_that_jumps_by_decades_is_not_believed() {
    let mut log = Log::default();
    let first = log.make("board", "be1!default").location.uidvalidity;
    for (n, wrong_by) in [DECADES_MS, 3 * DECADES_MS, i64::MAX, -DECADES_MS, i64::MIN]
        .into_iter()
        .enumerate()
    {
        log.wrong_by = wrong_by;
        let mailbox = log.make(&format!("a{n}"), "be1!default");
        assert_eq!(mailbox.location.uidvalidity, first + n as u32 + 1);
    }
    log.wrong_by = 3_600_000;
    let later = log.make("later", "be1!default").location.uidvalidity;
    assert_eq!(later, first + 3600);
    // Nor when it is the first one.
    for wrong_by in [i64::MAX, -DECADES_MS] {
        let mut log = Log {
            wrong_by,
            ..Log::default()
        };
        let first = log.make("board", "be1!default").location.uidvalidity;
        assert_eq!(first, murder_mailbox::uidvalidity::EARLIEST);
    }
}

#[test]
fn one_uidvalidity_that_is_decades_ahead_does_not_end_the_others() {
    let mut log = Log::default();
    let first = log.make("board", "be1!default").location.uidvalidity;
    for far in [u32::MAX, first + (DECADES_MS / 1000) as u32] {
        let raise = Kind::Activate(v1::ActivateRequest {
            name: "board".into(),
            id: id("board"),
            uidvalidity: Some(far),
            ..Default::default()
        });
        let refused = kind_of(log.one("be1", raise));
        assert_eq!(refused, ErrorKind::FailedPrecondition);
    }
    // What a backend holds is there, and is what it is.
    let held = v1::Mailbox {
        name: "found".into(),
        id: id("found"),
        partition: "be1!default".into(),
        acl: "bob\tlr\t".into(),
        uidvalidity: u32::MAX,
        state: v1::MailboxState::Active.into(),
        ..Default::default()
    };
    let reconcile = Command::Reconcile(v1::ReconcileBatch {
        partition: "be1!default".into(),
        held: vec![held],
        ..Default::default()
    });
    log.apply("be1", reconcile);
    assert_eq!(log.find("found").unwrap().location.uidvalidity, u32::MAX);
    let next = log.make("next", "be1!default").location.uidvalidity;
    assert_eq!(next, first + 1);
    // Renaming and more rights go on with it.
    log.one("", rename("found", "kept")).unwrap();
    let again = Kind::Activate(v1::ActivateRequest {
        name: "kept".into(),
        id: id("found"),
        uidvalidity: Some(u32::MAX),
        ..Default::default()
    });
    log.one("be1", again).unwrap();
    // One within ten years counts.
    let raise = Kind::Activate(v1::ActivateRequest {
        name: "board".into(),
        id: id("board"),
        uidvalidity: Some(first + 86_400 * 365),
        ..Default::default()
    });
    log.one("be1", raise).unwrap();
    let next = log.make("after", "be1!default").location.uidvalidity;
    assert_eq!(next, first + 86_400 * 365 + 1);
}

#[test]
fn an_operator_lowers_what_is_decades_ahead() {
    let mut log = Log::default();
    let board = log.make("board", "be1!default").location.uidvalidity;
    log.make("gone", "be1!default");
    // As a master of before had it.
    log.state.last_uidvalidity = u32::MAX;
    let refused = log.one("", reserve("more", "be1!default"));
    assert_eq!(kind_of(refused), ErrorKind::TooLarge);
    assert_eq!(log.state.lower_uidvalidity(START_MS), board + 1);
    let lower = || Command::UidvalidityLowered(v1::UidvalidityLowered {});
    log.apply("", lower());
    assert_eq!(log.state.last_uidvalidity, board + 1);
    let next = log.make("more", "be1!default").location.uidvalidity;
    assert_eq!(next, board + 2);
    // What is right stays as it is.
    log.apply("", lower());
    assert_eq!(log.state.last_uidvalidity, next);
}

#[test]
fn a_batch_is_done_whole_or_not_at_all() {
    let mut log = Log::default();
    log.make("board", "be1!default");
    let before = log.names();
    let results = log.batch(
        "",
        vec![
            reserve("new", "be1!default"),
            rename("board", "council"),
            delete("none"),
            reserve("council", "be2!default"),
        ],
    );
    assert!(results[0].is_ok() && results[1].is_ok());
    assert_eq!(results[2].as_ref().unwrap_err().kind(), ErrorKind::NotFound);
    // Each is judged as if those before it were done.
    assert_eq!(
        results[3].as_ref().unwrap_err().kind(),
        ErrorKind::AlreadyExists
    );
    assert_eq!(log.names(), before);

    let results = log.batch("", vec![reserve("new", "be1!default"), activate("new")]);
    assert!(results.iter().all(Result::is_ok));
    assert_eq!(
        log.find("new").unwrap().location.state,
        MailboxState::Active
    );
}

#[test]
fn backends_change_only_their_own() {
    let mut log = Log::default();
    log.make("board", "be1!default");
    log.make("board/x", "be2!default");
    for kind in [
        reserve("new", "be1!default"),
        activate("board"),
        delete("board"),
        rename("board/x", "y"),
        Kind::SetAcl(v1::SetAclRequest {
            name: "board".into(),
            acl: String::new(),
            id: Vec::new(),
        }),
        begin_delete("board"),
    ] {
        let result = log.one("be3", kind.clone());
        assert_eq!(kind_of(result), ErrorKind::NotOwner, "{kind:?}");
    }
    // A subtree that is not wholly one's own, neither.
    assert_eq!(
        kind_of(log.one("be1", rename("board", "council"))),
        ErrorKind::NotOwner
    );
    // `be` is not a prefix of anybody.
    assert_eq!(kind_of(log.one("be", delete("board"))), ErrorKind::NotOwner);
    assert!(log.one("be1", delete("board")).is_ok());
}

#[test]
fn a_subtree_is_renamed_whole() {
    let mut log = Log::default();
    for name in ["board", "board/a", "board/a/b", "boards"] {
        log.make(name, "be1!default");
    }
    let old = log.find("board/a/b").unwrap().location;
    let root = log.one("be1", rename("board", "council")).unwrap().unwrap();
    assert_eq!(root.name.as_str(), "council");
    assert_eq!(
        log.names(),
        ["boards", "council", "council/a", "council/a/b"]
    );
    assert_eq!(log.find("council/a/b").unwrap().location, old);

    // One taken name keeps all where they are.
    log.make("taken/a", "be2!default");
    let refusal = log.one("", rename("council", "taken")).unwrap_err();
    assert_eq!(refusal.kind(), ErrorKind::AlreadyExists);
    assert_eq!(refusal.holder.unwrap().name, "taken/a");
    assert!(log.find("council/a/b").is_some());

    // Upwards, into names of its own.
    log.one("", delete("council")).unwrap();
    log.one("", rename("council/a", "council")).unwrap();
    assert_eq!(log.names(), ["boards", "council", "council/b", "taken/a"]);

    assert_eq!(
        kind_of(log.one("", rename("council", "council/b/c"))),
        ErrorKind::InvalidArgument
    );
    assert_eq!(
        kind_of(log.one("", rename("none", "x"))),
        ErrorKind::NotFound
    );
    log.one("", reserve("council/new", "be1!default")).unwrap();
    assert_eq!(
        kind_of(log.one("", rename("council", "x"))),
        ErrorKind::FailedPrecondition
    );
}

#[test]
fn a_deletion_is_finished_or_taken_back() {
    let mut log = Log::default();
    log.one("be1", reserve("board", "be1!default")).unwrap();
    assert_eq!(
        kind_of(log.one("be1", begin_delete("board"))),
        ErrorKind::FailedPrecondition
    );
    let active = log.one("be1", activate("board")).unwrap().unwrap();
    let deleting = log.one("be1", begin_delete("board")).unwrap().unwrap();
    assert_eq!(deleting.location.state, MailboxState::Deleting);
    assert_eq!(
        log.one("be1", begin_delete("board")).unwrap(),
        Some(deleting)
    );
    // It is nobody's to rename, and not the one of a lease that ends.
    assert_eq!(
        kind_of(log.one("be1", rename("board", "council"))),
        ErrorKind::FailedPrecondition
    );
    register(&mut log, 1, &["be1!default"]);
    assert_eq!(log.names(), ["board"]);
    assert_eq!(log.one("be1", activate("board")).unwrap(), Some(active));
    log.one("be1", begin_delete("board")).unwrap();
    log.one("be1", delete("board")).unwrap();
    assert!(log.names().is_empty());
}

#[test]
fn a_node_writes_at_its_epoch() {
    let mut log = Log::default();
    register(&mut log, 1, &["be1!default"]);
    let make = |name: &str| {
        Command::Batch(v1::Batch {
            operations: vec![v1::Operation {
                kind: Some(reserve(name, "be1!default")),
            }],
        })
    };
    let refused = |applied: Applied| match applied.outcome {
        Outcome::Batch(mut results) => kind_of(results.pop().unwrap()),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        refused(log.apply_at("be1", 2, make("a"))),
        ErrorKind::NotOwner
    );
    assert!(!log.apply_at("be1", 1, make("a")).outcome.is_refusal());
    // Another node has it now: neither the old owner writes, nor does the name make an owner.
    let mut partition = log.partition("be1!default");
    (partition.owner, partition.epoch) = ("be2".into(), 2);
    let name = partition.name.clone();
    log.state.put(&Change::Partition(name, Some(partition)));
    for (node, epoch) in [("be1", 1), ("be1", 2), ("be2", 2)] {
        assert_eq!(
            refused(log.apply_at(node, epoch, make("b"))),
            ErrorKind::NotOwner,
            "{node} {epoch}"
        );
    }
    let by = |epoch| v1::PartitionEpoch {
        partition: "be1!default".into(),
        epoch,
    };
    let check = |epoch| {
        log.state
            .check_owner("be2", Some(&by(epoch)), "be1!default")
    };
    assert_eq!(kind_of(check(1)), ErrorKind::NotOwner);
    assert_eq!(check(2), Ok(()));
    // What the old owner says of it when it is back is not heard.
    register(&mut log, 2, &["be1!default"]);
    assert_eq!(log.partition("be1!default").owner, "be2");
}

#[test]
fn the_id_guards_against_another_mailbox_of_that_name() {
    let mut log = Log::default();
    log.make("board", "be1!default");
    for kind in [
        Kind::Delete(v1::DeleteRequest {
            name: "board".into(),
            id: id("other"),
        }),
        Kind::Activate(v1::ActivateRequest {
            name: "board".into(),
            id: id("other"),
            ..Default::default()
        }),
        Kind::SetAcl(v1::SetAclRequest {
            name: "board".into(),
            acl: String::new(),
            id: id("other"),
        }),
    ] {
        let refusal = log.one("be1", kind).unwrap_err();
        assert_eq!(refusal.kind(), ErrorKind::FailedPrecondition);
        assert_eq!(refusal.holder.unwrap().id, id("board"));
    }
}

#[test]
fn nonsense_is_refused() {
    let mut log = Log::default();
    let request = |f: fn(&mut v1::ReserveRequest)| {
        let Kind::Reserve(mut request) = reserve("board", "be1!default") else {
            unreachable!()
        };
        f(&mut request);
        Kind::Reserve(request)
    };
    for kind in [
        request(|r| r.name = "a//b".into()),
        request(|r| r.id = vec![1]),
        request(|r| r.partition = "be1".into()),
        request(|r| r.partition = "be1!a b".into()),
        request(|r| r.acl = "bob".into()),
    ] {
        assert_eq!(kind_of(log.one("", kind)), ErrorKind::InvalidArgument);
    }
    assert!(log.state.tables.map.is_empty());
}

fn register(log: &mut Log, incarnation: u8, partitions: &[&str]) -> Applied {
    let node = v1::Node {
        name: "be1".into(),
        roles: vec!["backend".into()],
        state: v1::NodeState::Up.into(),
        incarnation: vec![incarnation; 16],
        ..Default::default()
    };
    let partitions = partitions
        .iter()
        .map(|name| v1::PartitionStatus {
            name: (*name).into(),
            state: v1::PartitionState::Online.into(),
            ..Default::default()
        })
        .collect();
    log.apply(
        "",
        Command::NodeRegistered(v1::NodeRegistered {
            node: Some(node),
            partitions,
        }),
    )
}

#[test]
fn reservations_die_with_the_process_that_made_them() {
    let mut log = Log::default();
    register(&mut log, 1, &["be1!default"]);
    log.one("be1", reserve("new", "be1!default")).unwrap();
    log.one("be2", reserve("others", "be2!default")).unwrap();
    log.make("there", "be1!default");
    // The same process comes back.
    register(&mut log, 1, &["be1!default"]);
    assert!(log.find("new").is_some());
    // Another process of the same node.
    register(&mut log, 2, &["be1!default"]);
    assert_eq!(log.names(), ["others", "there"]);
}

#[test]
fn a_lease_ends_only_what_it_covered() {
    let mut log = Log::default();
    log.one("be1", reserve("early", "be1!default")).unwrap();
    let revision = log.state.revision();
    log.one("be1", reserve("late", "be1!default")).unwrap();
    log.apply(
        "",
        Command::ReservationsExpired(v1::ReservationsExpired {
            partitions: vec!["be1!default".into()],
            up_to_revision: revision,
        }),
    );
    assert_eq!(log.names(), ["late"]);
    assert_eq!(
        kind_of(log.one("be1", activate("early"))),
        ErrorKind::NotFound
    );
}

#[test]
fn nodes_come_and_go() {
    let mut log = Log::default();
    register(&mut log, 1, &["be1!default", "be1!fast"]);
    assert_eq!(log.state.tables.partitions["be1!fast"].epoch, 1);
    register(&mut log, 2, &["be1!default"]);
    assert!(!log.state.tables.partitions.contains_key("be1!fast"));
    let down = |incarnation: Vec<u8>| {
        Command::NodeChanged(v1::NodeChanged {
            name: "be1".into(),
            state: v1::NodeState::Down.into(),
            partitions: Vec::new(),
            incarnation,
        })
    };
    // The end of the first process's session is not about the second.
    log.apply("", down(vec![1; 16]));
    assert_eq!(log.state.tables.nodes["be1"].state, NodeState::Up);
    log.apply("", down(vec![2; 16]));
    assert_eq!(log.state.tables.nodes["be1"].state, NodeState::Down);
    assert!(log.state.tables.partitions.contains_key("be1!default"));
}

#[test]
fn accounts() {
    let mut log = Log::default();
    let account = |name: &str| v1::Account {
        name: name.into(),
        password_hash: HASH.into(),
        groups: vec!["staff".into()],
        ..Default::default()
    };
    let mut change = |kinds: Vec<directory_operation::Kind>| {
        let operations = kinds
            .into_iter()
            .map(|kind| v1::DirectoryOperation { kind: Some(kind) })
            .collect();
        let batch = Command::Directory(v1::DirectoryBatch { operations });
        match log.apply("", batch).outcome {
            Outcome::Done => Ok(()),
            Outcome::Refused(detail) => Err(detail.kind()),
            other => panic!("{other:?}"),
        }
    };
    use directory_operation::Kind::{Add, Delete, SetPassword, Update};
    assert_eq!(
        change(vec![Add(account("bob")), Add(account("alice"))]),
        Ok(())
    );
    // All or none.
    assert_eq!(
        change(vec![Add(account("carol")), Add(account("bob"))]),
        Err(ErrorKind::AlreadyExists)
    );
    for bad in [
        account("Bob"),
        account("a/b"),
        v1::Account {
            password_hash: "plain".into(),
            ..account("dave")
        },
        v1::Account {
            groups: vec!["a b".into()],
            ..account("dave")
        },
    ] {
        assert_eq!(change(vec![Add(bad)]), Err(ErrorKind::InvalidArgument));
    }
    let update = v1::UpdateUserRequest {
        name: "bob".into(),
        groups: Some(v1::Groups::default()),
        admin: Some(true),
        disabled: None,
    };
    assert_eq!(change(vec![Update(update)]), Ok(()));
    let password = |hash: &str| {
        SetPassword(v1::SetPasswordRequest {
            name: "bob".into(),
            password_hash: hash.into(),
        })
    };
    assert_eq!(
        change(vec![password("plain")]),
        Err(ErrorKind::InvalidArgument)
    );
    assert_eq!(
        change(vec![password(&HASH.replace("m=19456", "m=20000"))]),
        Ok(())
    );
    let gone = |name: &str| Delete(v1::DeleteUserRequest { name: name.into() });
    assert_eq!(change(vec![gone("alice")]), Ok(()));
    assert_eq!(change(vec![gone("alice")]), Err(ErrorKind::NotFound));
    let accounts = &log.state.tables.accounts;
    assert_eq!(accounts.keys().collect::<Vec<_>>(), ["bob"]);
    assert!(accounts["bob"].admin && accounts["bob"].groups.is_empty());
    assert!(accounts["bob"].password_hash.contains("m=20000"));
}

#[test]
fn a_name_with_mail_or_rights_is_not_free() {
    use directory_operation::Kind::{Add, AddIfFree, Delete};
    let account = || v1::Account {
        name: "bob".into(),
        password_hash: HASH.into(),
        ..Default::default()
    };
    let add = || {
        AddIfFree(v1::AddUserRequest {
            account: Some(account()),
            with_mail: false,
        })
    };
    fn change(log: &mut Log, kind: directory_operation::Kind) -> Result<(), v1::ErrorDetail> {
        let operations = vec![v1::DirectoryOperation { kind: Some(kind) }];
        let batch = Command::Directory(v1::DirectoryBatch { operations });
        match log.apply("", batch).outcome {
            Outcome::Done => Ok(()),
            Outcome::Refused(detail) => Err(detail),
            other => panic!("{other:?}"),
        }
    }
    let gone = || Delete(v1::DeleteUserRequest { name: "bob".into() });
    let mut log = Log::default();
    let set_acl = |name: &str, acl: &str| {
        Kind::SetAcl(v1::SetAclRequest {
            name: name.into(),
            acl: acl.into(),
            ..Default::default()
        })
    };
    // Others' of a similar name are nobody's concern.
    for name in ["user/bobby", "user/bob.x/a", "board"] {
        log.make(name, "be1!default");
    }
    change(&mut log, add()).unwrap();
    change(&mut log, gone()).unwrap();
    // Each thing that is held keeps the name, and it is free when that is gone.
    for name in ["user/bob", "user/bob/Sent"] {
        log.make(name, "be1!default");
        let refused = change(&mut log, add()).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::FailedPrecondition);
        assert!(refused.message.contains(name), "{}", refused.message);
        log.one("", delete(name)).unwrap();
    }
    log.one("", reserve("user/bob/Coming", "be1!default"))
        .unwrap();
    change(&mut log, add()).unwrap_err();
    log.one("", delete("user/bob/Coming")).unwrap();
    for acl in ["bob\tl\t", "-bob\tr\t"] {
        log.one("", set_acl("board", acl)).unwrap();
        let refused = change(&mut log, add()).unwrap_err();
        assert!(refused.message.contains("board"), "{}", refused.message);
        log.one("", set_acl("board", "bobby\tl\tgroup:bob\tl\t"))
            .unwrap();
    }
    change(&mut log, add()).unwrap();
    change(&mut log, gone()).unwrap();
    // An operator may mean it.
    log.make("user/bob", "be1!default");
    log.one("", set_acl("board", "bob\tl\t")).unwrap();
    let held = log.state.tables.map.held_by("bob", 10);
    assert_eq!(held.mailboxes, ["user/bob"]);
    assert_eq!(
        (held.granting, held.granting_count),
        (vec!["board".into()], 1)
    );
    change(&mut log, add()).unwrap_err();
    change(&mut log, Add(account())).unwrap();
}

#[test]
fn reconciling_never_takes_a_name_from_another_mailbox() {
    let mut log = Log::default();
    log.make("theirs", "be2!default");
    let ours = log.make("ours", "be1!default");
    log.make("stale", "be1!default");
    let held = |name: &str, id_of: &str| v1::Mailbox {
        name: name.into(),
        id: id(id_of),
        partition: "be1!default".into(),
        acl: "bob\tlr\t".into(),
        uidvalidity: 77,
        state: v1::MailboxState::Active.into(),
        ..Default::default()
    };
    let command = Command::Reconcile(v1::ReconcileBatch {
        partition: "be1!default".into(),
        held: vec![
            held("theirs", "mine"),
            held("ours", "ours"),
            held("ours", "not ours"),
            held("found", "stale"),
        ],
        not_held: vec![
            v1::DeleteRequest {
                name: "stale".into(),
                id: id("stale"),
            },
            v1::DeleteRequest {
                name: "theirs".into(),
                id: id("theirs"),
            },
        ],
        ..Default::default()
    });
    let denied = log.apply("be2", command.clone());
    assert!(denied.changes.is_empty());
    let outcome = log.apply("be1", command).outcome;
    let expected = Outcome::Reconciled {
        held: vec![false, true, false, true],
        not_held: vec![true, false],
        replaced: Vec::new(),
    };
    assert_eq!(outcome, expected);
    assert_eq!(log.names(), ["found", "ours", "theirs"]);
    let now = log.find("ours").unwrap().location;
    // UIDVALIDITY never shrinks.
    assert_eq!(now.uidvalidity, ours.location.uidvalidity);
    assert_ne!(now.acl, ours.location.acl);
}

#[test]
fn the_log_alone_makes_the_state() {
    let mut log = Log::default();
    register(&mut log, 1, &["be1!default"]);
    for name in ["user/bob", "user/bob/Sent", "board"] {
        log.make(name, "be1!default");
    }
    log.one("", rename("user/bob", "user/robert")).unwrap();
    log.batch("", vec![delete("board"), delete("none")]);
    log.one("be1", reserve("pending", "be1!default")).unwrap();
    let again = log.reload();
    assert_eq!(again.names(), log.names());
    for name in log.names() {
        assert_eq!(again.find(&name), log.find(&name));
    }
    assert_eq!(again.state.last_uidvalidity, log.state.last_uidvalidity);
    assert_eq!(again.state.tables.nodes, log.state.tables.nodes);
}

fn identity(partition: u8, copy: u8) -> (Vec<u8>, Vec<u8>) {
    (vec![partition; 16], vec![copy; 16])
}

fn open_partition(name: &str, of: (Vec<u8>, Vec<u8>), lsn: u64) -> v1::PartitionStatus {
    v1::PartitionStatus {
        name: name.into(),
        state: v1::PartitionState::Online.into(),
        id: of.0,
        copy: of.1,
        lsn,
        uids: lsn * 2,
        ..Default::default()
    }
}

fn register_with(log: &mut Log, incarnation: u8, partitions: Vec<v1::PartitionStatus>) -> Applied {
    let node = v1::Node {
        name: "be1".into(),
        roles: vec!["backend".into()],
        state: v1::NodeState::Up.into(),
        incarnation: vec![incarnation; 16],
        ..Default::default()
    };
    let node = Some(node);
    log.apply(
        "",
        Command::NodeRegistered(v1::NodeRegistered { node, partitions }),
    )
}

fn adopted(of: (Vec<u8>, Vec<u8>), lsn: u64, instead_of: Vec<u8>) -> Command {
    Command::PartitionAdopted(v1::PartitionAdopted {
        partition: "be1!default".into(),
        id: of.0,
        copy: of.1,
        lsn,
        uids: lsn,
        instead_of,
    })
}

impl Log {
    fn partition(&self, name: &str) -> murder_location::record::Partition {
        self.state.tables.partitions[name].clone()
    }

    fn node_is(&mut self, state: v1::NodeState, partitions: Vec<v1::PartitionStatus>) {
        let name = "be1".into();
        let changed = v1::NodeChanged {
            name,
            state: state.into(),
            partitions,
            incarnation: Vec::new(),
        };
        self.apply("", Command::NodeChanged(changed));
    }
}

#[test]
fn what_a_partition_must_be_changes_by_an_operators_word_only() {
    let mut log = Log::default();
    let first = identity(1, 1);
    register_with(
        &mut log,
        1,
        vec![open_partition("be1!default", first.clone(), 50)],
    );
    log.make("there", "be1!default");
    let known = log.partition("be1!default");
    assert_eq!(known.state, PartitionState::Online);
    assert_eq!((known.report.lsn, known.report.uids), (50, 100));

    // An older report, one that could not be opened, another copy, another partition.
    let offline = v1::PartitionStatus {
        name: "be1!default".into(),
        state: v1::PartitionState::Offline.into(),
        ..Default::default()
    };
    for (status, state) in [
        (
            open_partition("be1!default", first.clone(), 40),
            PartitionState::Online,
        ),
        (offline, PartitionState::Offline),
        (
            open_partition("be1!default", identity(1, 2), 90),
            PartitionState::Offline,
        ),
        (
            open_partition("be1!default", identity(2, 3), 90),
            PartitionState::Offline,
        ),
    ] {
        register_with(&mut log, 2, vec![status.clone()]);
        let now = log.partition("be1!default");
        assert_eq!(
            (now.identity, now.report),
            (known.identity, known.report),
            "{status:?}"
        );
        assert_eq!(now.state, state, "{status:?}");
    }
    // Not named at all.
    register_with(&mut log, 3, Vec::new());
    let now = log.partition("be1!default");
    assert_eq!(
        (now.identity, now.state),
        (known.identity, PartitionState::Offline)
    );
    assert!(log.find("there").is_some());

    // The word, and only once for what it was about.
    let other = identity(2, 3);
    let refused = log
        .apply("be1", adopted(other.clone(), 7, vec![9; 16]))
        .outcome;
    assert!(matches!(refused, Outcome::Refused(_)));
    let denied = log
        .apply("be2", adopted(other.clone(), 7, first.1.clone()))
        .outcome;
    assert!(matches!(denied, Outcome::Refused(_)));
    let word = adopted(other.clone(), 7, first.1);
    for _ in 0..2 {
        assert_eq!(log.apply("be1", word.clone()).outcome, Outcome::Done);
    }
    let now = log.partition("be1!default");
    assert_eq!((now.report.lsn, now.report.uids), (7, 7));
    register_with(&mut log, 4, vec![open_partition("be1!default", other, 8)]);
    assert_eq!(log.partition("be1!default").state, PartitionState::Online);
    assert_eq!(log.partition("be1!default").report.lsn, 8);
    assert_eq!(
        log.reload().state.tables.partitions,
        log.state.tables.partitions
    );
}

#[test]
fn a_node_that_goes_says_how_far_it_was() {
    let mut log = Log::default();
    let own = identity(1, 1);
    register_with(
        &mut log,
        1,
        vec![open_partition("be1!default", own.clone(), 50)],
    );
    log.node_is(
        v1::NodeState::Down,
        vec![open_partition("be1!default", own, 60)],
    );
    let known = log.partition("be1!default");
    assert_eq!(
        (known.report.lsn, known.state),
        (60, PartitionState::Offline)
    );
    // Another copy says nothing about this one, and a silent end nothing at all.
    let other = open_partition("be1!default", identity(1, 2), 90);
    log.node_is(v1::NodeState::Down, vec![other]);
    log.node_is(v1::NodeState::Down, Vec::new());
    assert_eq!(log.partition("be1!default").report.lsn, 60);
}

#[test]
fn reservations_in_what_is_not_open_stay() {
    let mut log = Log::default();
    register_with(
        &mut log,
        1,
        vec![
            open_partition("be1!default", identity(1, 1), 1),
            open_partition("be1!fast", identity(2, 2), 1),
        ],
    );
    log.one("be1", reserve("new", "be1!default")).unwrap();
    log.one("", reserve("fast", "be1!fast")).unwrap();
    let offline = v1::PartitionStatus {
        name: "be1!default".into(),
        state: v1::PartitionState::Offline.into(),
        ..Default::default()
    };
    register_with(&mut log, 2, vec![offline]);
    assert_eq!(log.names(), ["new"]);
}

#[test]
fn a_node_is_forgotten_only_when_nothing_is_left_of_it() {
    let mut log = Log::default();
    register_with(
        &mut log,
        1,
        vec![
            open_partition("be1!default", identity(1, 1), 1),
            open_partition("be1!fast", identity(2, 2), 1),
        ],
    );
    log.make("there", "be1!fast");
    let forget = |partition: &str| {
        let node = if partition.is_empty() { "be1" } else { "" };
        Command::Forgotten(v1::Forgotten {
            node: node.into(),
            partition: partition.into(),
        })
    };
    let refused = |log: &mut Log, partition: &str, kind: ErrorKind| match log
        .apply("", forget(partition))
        .outcome
    {
        Outcome::Refused(detail) => assert_eq!(detail.kind(), kind),
        other => panic!("{other:?}"),
    };
    let precondition = ErrorKind::FailedPrecondition;
    refused(&mut log, "", precondition);
    refused(&mut log, "be1!default", precondition);
    // It runs, but does not serve that one any more.
    register_with(
        &mut log,
        2,
        vec![open_partition("be1!fast", identity(2, 2), 1)],
    );
    assert_eq!(log.apply("", forget("be1!default")).outcome, Outcome::Done);
    refused(&mut log, "be1!default", ErrorKind::NotFound);
    log.node_is(v1::NodeState::Down, Vec::new());
    refused(&mut log, "", precondition);
    log.one("", delete("there")).unwrap();
    assert_eq!(log.apply("", forget("")).outcome, Outcome::Done);
    assert!(log.state.tables.nodes.is_empty() && log.state.tables.partitions.is_empty());
    refused(&mut log, "", ErrorKind::NotFound);
}

#[test]
fn a_record_that_nobody_has_gives_its_name_to_the_mailbox_that_is_there() {
    let mut log = Log::default();
    let lost = log.make("user/bob", "be1!default").location;
    let there = v1::Mailbox {
        name: "user/bob".into(),
        id: id("there"),
        partition: "be1!default".into(),
        acl: "bob\tlr\t".into(),
        uidvalidity: 77,
        state: v1::MailboxState::Active.into(),
        ..Default::default()
    };
    let replace = |instead_of: Vec<u8>| {
        Command::Reconcile(v1::ReconcileBatch {
            partition: "be1!default".into(),
            replaced: vec![v1::Replaced {
                held: Some(there.clone()),
                instead_of,
            }],
            ..Default::default()
        })
    };
    for (by, instead_of) in [("be2", id("user/bob")), ("be1", id("another"))] {
        assert!(log.apply(by, replace(instead_of)).changes.is_empty());
    }
    let outcome = log.apply("be1", replace(id("user/bob"))).outcome;
    let now = log.find("user/bob").unwrap();
    let replaced = vec![Some(now.clone())];
    let Outcome::Reconciled { replaced: got, .. } = outcome else {
        panic!("{outcome:?}");
    };
    assert_eq!(got, replaced);
    assert_eq!(now.location.id.to_bytes().to_vec(), id("there"));
    assert!(now.location.uidvalidity > lost.uidvalidity.max(77));
}

#[test]
fn a_murder_succeeds_others() {
    let mut log = Log::default();
    let founded = v1::Founded {
        murder_id: vec![1; 16],
    };
    log.apply("", Command::Founded(founded));
    let succeed = |id: u8, predecessors: Vec<Vec<u8>>| {
        Command::Succeeded(v1::Succeeded {
            murder_id: vec![id; 16],
            predecessors,
        })
    };
    let nonsense = log.apply("", succeed(2, vec![vec![1]])).outcome;
    assert!(matches!(nonsense, Outcome::Refused(_)));
    assert_eq!(log.state.murder_id(), [1; 16]);
    log.apply("", succeed(2, vec![vec![7; 16]]));
    log.apply("", succeed(3, Vec::new()));
    assert_eq!(log.state.murder_id(), [3; 16]);
    assert_eq!(
        log.state.predecessors(),
        [vec![7; 16], vec![1; 16], vec![2; 16]]
    );
}

#[test]
fn homes_are_of_those_who_could_log_in() {
    let mut log = Log::default();
    log.make("user/bob", "be1!default");
    for name in [
        "user/anyone",
        "user/-x",
        "user/group:x/y",
        "user/Bob",
        "user/zoe\u{308}",
    ] {
        for kind in [reserve(name, "be1!default"), rename("user/bob", name)] {
            assert_eq!(
                kind_of(log.one("be1", kind)),
                ErrorKind::InvalidArgument,
                "{name}"
            );
        }
    }
}

/// Whoever has a backend's key cannot have another's mailbox taken for its own.
#[test]
fn an_id_is_one_mailboxs() {
    let mut log = Log::default();
    let theirs = log.make("theirs", "be2!default");
    let stolen = |name: &str| {
        let Kind::Reserve(request) = reserve(name, "be1!default") else {
            unreachable!()
        };
        Kind::Reserve(v1::ReserveRequest {
            id: theirs.location.id.to_bytes().to_vec(),
            ..request
        })
    };
    let refused = log.one("be1", stolen("mine")).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::FailedPrecondition);
    // Nor by what it says that it holds.
    let mine = log.make("mine", "be1!default");
    let held = |name: &str| v1::Mailbox {
        name: name.into(),
        id: theirs.location.id.to_bytes().to_vec(),
        state: v1::MailboxState::Active.into(),
        ..mine.to_proto()
    };
    let batch = v1::ReconcileBatch {
        partition: "be1!default".into(),
        held: vec![held("another")],
        not_held: Vec::new(),
        replaced: vec![v1::Replaced {
            held: Some(held("mine")),
            instead_of: mine.location.id.to_bytes().to_vec(),
        }],
    };
    let applied = log.apply("be1", Command::Reconcile(batch));
    assert_eq!(
        applied.outcome,
        Outcome::Reconciled {
            held: vec![false],
            not_held: Vec::new(),
            replaced: vec![None],
        }
    );
    // It is free when its mailbox is gone, and goes with it to a new name.
    let request = v1::RenameRequest {
        from: "theirs".into(),
        to: "renamed".into(),
        subtree: true,
    };
    log.one("be2", Kind::Rename(request)).unwrap();
    log.one("be1", stolen("again")).unwrap_err();
    let name = "renamed".into();
    let gone = v1::DeleteRequest {
        name,
        id: Vec::new(),
    };
    log.one("be2", Kind::Delete(gone)).unwrap();
    log.one("be1", stolen("again")).unwrap();
}

#[test]
fn only_backends_have_partitions() {
    let mut log = Log::default();
    let node = |name: &str, role: &str| {
        Some(v1::Node {
            name: name.into(),
            roles: vec![role.into()],
            state: v1::NodeState::Up.into(),
            incarnation: vec![1; 16],
            ..Default::default()
        })
    };
    let partitions = vec![v1::PartitionStatus {
        name: "be1!default".into(),
        state: v1::PartitionState::Online.into(),
        ..Default::default()
    }];
    let mut register = |name: &str, role: &str, partitions: &[v1::PartitionStatus]| {
        let registered = v1::NodeRegistered {
            node: node(name, role),
            partitions: partitions.to_vec(),
        };
        let applied = log.apply("", Command::NodeRegistered(registered));
        match applied.outcome {
            Outcome::Done => Ok(()),
            Outcome::Refused(detail) => Err(detail.kind()),
            other => panic!("{other:?}"),
        }
    };
    let refused = Err(ErrorKind::PermissionDenied);
    assert_eq!(register("fe1", "frontend", &partitions), refused);
    assert_eq!(register("fe1", "frontend", &[]), Ok(()));
    assert_eq!(register("be1", "backend", &partitions), Ok(()));
    // A backend's place is not taken by something else of its name.
    let refused = Err(ErrorKind::FailedPrecondition);
    assert_eq!(register("be1", "frontend", &[]), refused);
    let changed = v1::NodeChanged {
        name: "fe1".into(),
        state: v1::NodeState::Up.into(),
        partitions,
        incarnation: Vec::new(),
    };
    let applied = log.apply("", Command::NodeChanged(changed));
    assert!(applied.outcome.is_refusal());
    assert_eq!(log.state.tables.partitions.len(), 1);
}

#[test]
fn partitions_of_a_node_that_is_down_are_offline() {
    let mut log = Log::default();
    register(&mut log, 1, &["be1!default"]);
    log.node_is(v1::NodeState::Down, Vec::new());
    assert_eq!(log.partition("be1!default").state, PartitionState::Offline);
    register(&mut log, 1, &["be1!default"]);
    assert_eq!(log.partition("be1!default").state, PartitionState::Online);
}

#[test]
fn certificates_are_revoked_by_time_and_by_number() {
    let mut log = Log::default();
    let mut revoke = |name: &str, serials: &[&[u8]], taken_back: bool| {
        let revoked = v1::Revoked {
            name: name.into(),
            serials: serials.iter().map(|serial| serial.to_vec()).collect(),
            taken_back,
        };
        let applied = log.apply("", Command::Revoked(revoked));
        let now = log.state.tables.revocations.get(name).cloned();
        match applied.outcome {
            Outcome::Done => Ok(now.map(|now| (now.issued_until, now.serials))),
            Outcome::Refused(detail) => Err(detail.kind()),
            other => panic!("{other:?}"),
        }
    };
    let now = START_MS / 1000;
    let one = vec![vec![1, 2]];
    assert_eq!(revoke("be1", &[&[1, 2]], false), Ok(Some((0, one.clone()))));
    assert_eq!(revoke("be1", &[&[1, 2]], false), Ok(Some((0, one.clone()))));
    assert_eq!(revoke("be1", &[], false), Ok(Some((now, one))));
    assert_eq!(revoke("be1", &[], true), Ok(None));
    assert_eq!(revoke("be1", &[], true), Err(ErrorKind::NotFound));
    let invalid = Err(ErrorKind::InvalidArgument);
    for (name, serials) in [
        ("be1", &[&[][..]][..]),
        ("be1", &[&[0, 1]]),
        ("be1", &[&[1; 21]]),
        ("Be 1", &[]),
        ("", &[]),
    ] {
        assert_eq!(
            revoke(name, serials, false),
            invalid,
            "{name:?} {serials:?}"
        );
    }
    let many: Vec<Vec<u8>> = (1..=101).map(|number| vec![number]).collect();
    let many: Vec<&[u8]> = many.iter().map(Vec::as_slice).collect();
    assert_eq!(revoke("be1", &many, false), Err(ErrorKind::TooLarge));
}

/// What comes after a refused one in a group is judged as if that had never been there.
#[test]
fn a_group_is_rehearsed_in_order() {
    let mut state = State::default();
    let entry = |kinds: Vec<Kind>| {
        let operations = kinds
            .into_iter()
            .map(|kind| v1::Operation { kind: Some(kind) });
        v1::LogEntry {
            partition: Some(v1::PartitionEpoch {
                partition: "be1!default".into(),
                epoch: 1,
            }),
            time_ms: START_MS,
            restricted_to: "be1".into(),
            command: Some(Command::Batch(v1::Batch {
                operations: operations.collect(),
            })),
        }
    };
    let entries = [
        entry(vec![reserve("one", "be1!default")]),
        // The second part is refused, and so is the first.
        entry(vec![
            reserve("two", "be1!default"),
            reserve("x", "be2!default"),
        ]),
        entry(vec![activate("one")]),
        entry(vec![activate("two")]),
    ];
    let refused = state.rehearse(&entries);
    let refused: Vec<bool> = refused.iter().map(Option::is_some).collect();
    assert_eq!(refused, [false, true, false, true]);
    assert_eq!((records(&state).len(), state.revision()), (1, 0));
    for (at, entry) in [&entries[0], &entries[2]].into_iter().enumerate() {
        assert!(!state.apply(at as u64 + 1, entry).outcome.is_refusal());
    }
}
