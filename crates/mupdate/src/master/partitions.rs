//! Which directory is which partition, which murder this is, and what is gone for good.

use std::collections::BTreeMap;
use std::ops::Bound;

use murder_proto::v1::{self, forget_request::What, log_entry::Command};
use tonic::Status;

use super::caller::{Authority, Caller, audited, denied, invalid, unavailable};
use super::mupdate::{SCAN, Service};
use crate::state::Outcome;
use murder_location::record::{FIRST_EPOCH, Partition, PartitionState, is_named_after};

impl Service {
    /// What a node's partitions must be, and how many mailboxes are recorded in each.
    pub(super) async fn described(
        &self,
        node: &str,
    ) -> Result<v1::DescribePartitionsResponse, Status> {
        let revision = self.consensus.read_barrier().await.map_err(unavailable)?;
        let mut mailboxes = self.count_mailboxes();
        let state = self.consensus.state();
        let own = state.tables().partitions_of(node);
        let partitions = own.map(|partition| {
            let report = self.sessions.report_of(partition);
            let known = Partition {
                report,
                ..partition.clone()
            };
            v1::DescribedPartition {
                partition: Some(known.to_proto()),
                mailboxes: mailboxes.remove(&partition.name).unwrap_or(0),
            }
        });
        let mut partitions: Vec<_> = partitions.collect();
        // Their records are all that is left of partitions that the node has made.
        let left = mailboxes.into_iter().filter(|(partition, _)| {
            is_named_after(partition, node) && state.tables().owner_of(partition).is_none()
        });
        partitions.extend(left.map(|(name, mailboxes)| v1::DescribedPartition {
            partition: Some(v1::Partition {
                name,
                owner: node.to_owned(),
                epoch: FIRST_EPOCH,
                state: PartitionState::Offline.to_proto().into(),
                ..v1::Partition::default()
            }),
            mailboxes,
        }));
        Ok(v1::DescribePartitionsResponse {
            revision,
            partitions,
        })
    }

    fn count_mailboxes(&self) -> BTreeMap<String, u64> {
        let mut counts = BTreeMap::new();
        let mut last = String::new();
        loop {
            let state = self.consensus.state();
            let mut scanned = 0;
            let mut at = None;
            for entry in state.tables().map.range(Bound::Excluded(&last)).take(SCAN) {
                scanned += 1;
                at = Some(entry.name());
                match counts.get_mut(entry.partition()) {
                    Some(count) => *count += 1,
                    None => {
                        counts.insert(entry.partition().to_owned(), 1);
                    }
                }
            }
            match at {
                Some(at) if scanned == SCAN => last = at.to_owned(),
                _ => return counts,
            }
        }
    }

    /// Makes a copy the one of a partition's name, by an operator's word.
    pub(super) async fn adopt(
        &self,
        caller: &Caller,
        request: v1::AdoptPartitionRequest,
    ) -> Result<u64, Status> {
        let authority = caller.may_write()?;
        let (partition, lsn) = (request.partition.clone(), request.lsn);
        let operator = request.operator.clone();
        let revision = self
            .done(
                authority,
                Command::PartitionAdopted(v1::PartitionAdopted {
                    partition: request.partition,
                    id: request.id,
                    copy: request.copy,
                    lsn: request.lsn,
                    uids: request.uids,
                    instead_of: request.instead_of,
                }),
            )
            .await?;
        audited!(
            caller,
            "partition.adopt",
            revision,
            partition,
            lsn,
            operator
        );
        Ok(revision)
    }

    /// Forgets a node, or one of its partitions.
    pub(super) async fn forget(
        &self,
        caller: &Caller,
        request: v1::ForgetRequest,
    ) -> Result<u64, Status> {
        caller.may_administer()?;
        let forgotten = match request.what {
            Some(What::Node(node)) => v1::Forgotten {
                node,
                partition: String::new(),
            },
            Some(What::Partition(partition)) => v1::Forgotten {
                node: String::new(),
                partition,
            },
            None => return Err(invalid("neither a node nor a partition")),
        };
        let v1::Forgotten { node, partition } = forgotten.clone();
        if self.sessions.is_open(&node) {
            return Err(v1::ErrorDetail::new(
                v1::ErrorKind::FailedPrecondition,
                format!("node {node} is up"),
            )
            .into_status());
        }
        let command = Command::Forgotten(forgotten);
        let revision = self.done(Authority::default(), command).await?;
        if partition.is_empty() {
            self.sessions.forget(&node);
            audited!(caller, "node.forget", revision, node);
        } else {
            audited!(caller, "partition.forget", revision, partition);
        }
        Ok(revision)
    }

    /// Gives this murder a new identity that succeeds another's, or its own.
    pub(super) async fn succeed(
        &self,
        caller: &Caller,
        request: v1::SucceedRequest,
    ) -> Result<v1::SucceedResponse, Status> {
        caller.may_administer()?;
        let murder_id = uuid::Uuid::new_v4().as_bytes().to_vec();
        let predecessors = match request.murder_id.is_empty() {
            true => Vec::new(),
            false => vec![request.murder_id],
        };
        let succeeds = predecessors.first().map(|id| hex(id));
        let succeeded = v1::Succeeded {
            murder_id: murder_id.clone(),
            predecessors,
        };
        let revision = self
            .done(Authority::default(), Command::Succeeded(succeeded))
            .await?;
        audited!(
            caller,
            "murder.succeed",
            revision,
            id = hex(&murder_id),
            succeeds
        );
        Ok(v1::SucceedResponse {
            revision,
            murder_id,
        })
    }

    async fn done(&self, authority: Authority, command: Command) -> Result<u64, Status> {
        match self.propose(authority, command).await? {
            (_, Outcome::Refused(detail)) => Err(detail.into_status()),
            (revision, _) => Ok(revision),
        }
    }

    /// Refuses a node that knows another murder, or a newer log of this one: it must neither take
    /// anything from here nor give anything up for it.
    #[allow(clippy::result_large_err, reason = "tonic's form of an interceptor")]
    pub(super) fn is_callers<T>(&self, request: &tonic::Request<T>) -> Result<(), Status> {
        let Some(known) = murder_location::membership::Known::of(request.metadata()) else {
            return Ok(());
        };
        let known = known.map_err(|()| denied("not a murder's identity"))?;
        let state = self.consensus.state();
        let message = match () {
            () if state.murder_id() == known.murder_id => {
                if known.revision <= state.revision() {
                    return Ok(());
                }
                format!(
                    "the mupdate master has an older log than this node has seen: it ends at \
                     revision {}, and this node knows {}. If an old copy of the master was put \
                     back on purpose, say `murder master succeed`",
                    state.revision(),
                    known.revision,
                )
            }
            () if state.predecessors().contains(&known.murder_id) => return Ok(()),
            () => format!(
                "the mupdate master is of another murder ({}) than this node's ({}): its directory \
                 is new, or another's. If it shall take that one's place, say `murder master \
                 succeed {}`",
                hex(state.murder_id()),
                hex(&known.murder_id),
                hex(&known.murder_id),
            ),
        };
        Err(v1::ErrorDetail::new(v1::ErrorKind::OtherMurder, message).into_status())
    }
}

fn hex(id: &[u8]) -> String {
    use std::fmt::Write;
    id.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
