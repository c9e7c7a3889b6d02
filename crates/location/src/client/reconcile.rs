//! Comparing what a backend holds with the master's records.

use std::sync::Arc;
use std::time::Duration;

use murder_mailbox::{Acl, MailboxId, MailboxName};
use murder_proto::v1::{self, reconcile_request, reconcile_response};
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use super::{MupdateClient, typed};
use crate::error::MupdateError;
use crate::record::{Location, Mailbox, MailboxState, MailboxType, SpecialUses, mailbox_to_proto};

/// Held mailboxes in one message of a reconciliation, some 100 bytes each.
const RECONCILE_CHUNK: usize = 1000;
/// Chunks of a reconciliation waiting to be sent.
const RECONCILE_QUEUE: usize = 4;
/// A reconciliation ends when the master is silent for so long.
const RECONCILE_SILENCE: Duration = Duration::from_secs(60);

/// A mailbox that a backend really holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Canonical name.
    pub name: MailboxName,
    /// Its identity.
    pub id: MailboxId,
    /// Who may do what.
    pub acl: Acl,
    /// Its UIDVALIDITY.
    pub uidvalidity: u32,
    /// What it is meant for.
    pub special_use: SpecialUses,
}

/// How what is held and what is recorded differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DifferenceKind {
    /// Held, and not known to the master.
    Unknown,
    /// The record says otherwise.
    Different,
    /// Recorded, and not held.
    NotHeld,
    /// The name belongs to another mailbox; never resolved by itself.
    Conflict,
    /// The record of this very partition was of a mailbox that the backend has under no name.
    Replaced,
}

/// One thing that a reconciliation found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// How they differ.
    pub kind: DifferenceKind,
    /// What the backend holds.
    pub held: Option<Mailbox>,
    /// What the master has.
    pub recorded: Option<Mailbox>,
    /// The master was changed accordingly.
    pub applied: bool,
}

/// What a reconciliation found and did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReconcileReport {
    /// The revision after what was applied.
    pub revision: u64,
    /// Mailboxes that the backend sent.
    pub held: u64,
    /// Of these, as recorded.
    pub same: u64,
    /// Records changed.
    pub applied: u64,
    /// Records that were not dropped although they are not held: too many without an operator's
    /// word.
    pub withheld: u64,
    /// Everything that differs.
    pub differences: Vec<Difference>,
}

impl ReconcileReport {
    /// Those that only an operator can resolve.
    pub fn conflicts(&self) -> impl Iterator<Item = &Difference> {
        self.differences
            .iter()
            .filter(|d| d.kind == DifferenceKind::Conflict)
    }
}

impl MupdateClient {
    /// Compares what a backend holds in `partition` (`node!partition`) with the master's
    /// records. `held` is called when the master is ready and must list everything that is
    /// there at that moment or later. Nothing is changed with `dry_run`; conflicts never are.
    /// More than a few records are dropped only if an operator has agreed to that many,
    /// `may_drop`.
    ///
    /// # Errors
    /// See [`MupdateError`].
    pub async fn reconcile<I>(
        &self,
        partition: &str,
        dry_run: bool,
        may_drop: u64,
        held: impl FnOnce() -> I,
    ) -> Result<ReconcileReport, MupdateError>
    where
        I: IntoIterator<Item = Held>,
    {
        use reconcile_request::Kind as Send;
        let (sender, receiver) = tokio::sync::mpsc::channel(RECONCILE_QUEUE);
        let send = async |kind: Send| {
            timeout(
                RECONCILE_SILENCE,
                sender.send(v1::ReconcileRequest { kind: Some(kind) }),
            )
            .await
            .map_err(|_| MupdateError::Unavailable("no answer in time".into()))?
            .map_err(|_| MupdateError::Unavailable("the master ended the stream".into()))
        };
        send(Send::Start(v1::ReconcileStart {
            partition: partition.to_owned(),
            dry_run,
            may_drop,
        }))
        .await?;
        let mut answers = self
            .within(self.rpc().reconcile(ReceiverStream::new(receiver)))
            .await?;
        match next(&mut answers).await? {
            reconcile_response::Kind::Ready(_) => {}
            _ => return Err(MupdateError::Protocol("not ready".into())),
        }
        // The master answers only after the end, so that sending it all first cannot stall.
        let mut chunk = Vec::new();
        for mailbox in held() {
            chunk.push(mailbox.into_proto(partition));
            if chunk.len() == RECONCILE_CHUNK {
                send(Send::Held(v1::HeldMailboxes {
                    mailboxes: std::mem::take(&mut chunk),
                }))
                .await?;
            }
        }
        send(Send::Held(v1::HeldMailboxes { mailboxes: chunk })).await?;
        send(Send::End(v1::ReconcileEnd {})).await?;

        let mut report = ReconcileReport::default();
        loop {
            match next(&mut answers).await? {
                reconcile_response::Kind::Ready(_) => {
                    return Err(MupdateError::Protocol("ready twice".into()));
                }
                reconcile_response::Kind::Differences(more) => {
                    for difference in more.differences {
                        report.differences.push(Difference::from_proto(difference)?);
                    }
                }
                reconcile_response::Kind::Summary(summary) => {
                    report.revision = summary.revision;
                    report.held = summary.held;
                    report.same = summary.same;
                    report.applied = summary.applied;
                    report.withheld = summary.withheld;
                    return Ok(report);
                }
            }
        }
    }
}

impl Held {
    fn into_proto(self, partition: &str) -> v1::Mailbox {
        let location = Location {
            id: self.id,
            partition: partition.into(),
            acl: Arc::new(self.acl),
            state: MailboxState::Active,
            uidvalidity: self.uidvalidity,
            special_use: self.special_use,
            mailbox_type: MailboxType::Mail,
            reserved_revision: 0,
        };
        mailbox_to_proto(&self.name, &location)
    }
}

impl Difference {
    fn from_proto(difference: v1::Difference) -> Result<Self, MupdateError> {
        let kind = match difference.kind() {
            v1::DifferenceKind::Unknown => DifferenceKind::Unknown,
            v1::DifferenceKind::Different => DifferenceKind::Different,
            v1::DifferenceKind::NotHeld => DifferenceKind::NotHeld,
            v1::DifferenceKind::Conflict => DifferenceKind::Conflict,
            v1::DifferenceKind::Replaced => DifferenceKind::Replaced,
            v1::DifferenceKind::Unspecified => {
                return Err(MupdateError::Protocol("unknown kind of difference".into()));
            }
        };
        Ok(Self {
            kind,
            held: difference.held.map(typed).transpose()?,
            recorded: difference.recorded.map(typed).transpose()?,
            applied: difference.applied,
        })
    }
}

async fn next(
    answers: &mut Streaming<v1::ReconcileResponse>,
) -> Result<reconcile_response::Kind, MupdateError> {
    timeout(RECONCILE_SILENCE, answers.message())
        .await
        .map_err(|_| MupdateError::Unavailable("no answer in time".into()))??
        .and_then(|answer| answer.kind)
        .ok_or_else(|| MupdateError::Unavailable("the master ended the stream".into()))
}
