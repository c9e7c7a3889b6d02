//! A copy of the partition that was put back: what clients saw after it was made must not come
//! back for something else.

use murder_mailbox::MailboxId;

use super::Partition;
use crate::command::{self, Op};
use crate::entry::Outcome;
use crate::error::StoreError;
use crate::mailbox::MailboxMeta;
use crate::reporting::Report;
use crate::shared::Payload;

/// Homes in one record.
const RECORD_HOMES: usize = 4096;
/// LSNs, and MODSEQs of each mailbox, that are jumped over. After a report at most a few million
/// records follow before the next one; this is three orders of magnitude more.
const JUMP: u64 = 1 << 32;
/// Numbers of homes and of files that are jumped over: what is left of the lost copy's in the
/// directory is never taken for a new one.
const NUMBERS: u64 = 1 << 20;

/// How a copy of a partition is put back.
#[derive(Debug, Clone, Copy, Default)]
pub struct PutBack {
    /// How far the partition had come as far as is known; each mailbox's UIDNEXT and HIGHESTMODSEQ
    /// jump beyond everything that clients can have seen. `None`: nobody knows, and every mailbox
    /// gets a new UIDVALIDITY.
    pub known: Option<Report>,
    /// What new UIDVALIDITYs are at least. Without `known`, and for a mailbox that has not enough
    /// UIDs left to jump over.
    pub uidvalidity: u32,
}

/// What became of the mailboxes of a copy that was put back.
#[derive(Debug, Clone, Default)]
pub struct Restored {
    /// Mailboxes whose UIDs and MODSEQs jumped.
    pub jumped: u64,
    /// Mailboxes that have new UIDVALIDITYs.
    pub renewed: Vec<MailboxMeta>,
    /// Homes that are damaged: it happens to them when they are repaired.
    pub damaged_homes: Vec<u64>,
}

impl Partition {
    /// How far the partition has come, for the master.
    #[must_use]
    pub fn report(&self) -> Report {
        self.shared.reporting.report()
    }

    /// Says that the master knows a report for good.
    pub fn set_reported(&self, report: Report) {
        self.shared.reporting.set_reported(report);
    }

    /// Waits until the master has to be told how far the partition has come: before more UIDs than
    /// [`uid_gap`](crate::PartitionConfig::uid_gap) are given out beyond the last
    /// [`Partition::set_reported`]. For ever, when the partition
    /// [has no master](crate::PartitionConfig::has_master).
    pub async fn report_due(&self) {
        self.shared.reporting.due().await;
    }

    /// Says that the partition is an older copy of what it once was. Every mailbox's UIDNEXT jumps
    /// beyond what it can have been, and its HIGHESTMODSEQ by at least 2^32, so that clients keep
    /// what they have of its messages; each message has a new MODSEQ, so that they ask for its flags
    /// again, and the UIDs between are gone (RFC 7162 section 3.2.10). LSNs and the numbers of homes
    /// and files jump too. Nobody may use the partition meanwhile, and a report is due after it.
    ///
    /// When it fails, it is to be done again: that jumps further and does no harm. The LSN jumps
    /// last, so that a partition that is not done is still behind what the master knows.
    ///
    /// # Errors
    /// Those of every change.
    pub async fn restored(&self, put_back: PutBack) -> Result<Restored, StoreError> {
        let shared = &self.shared;
        let _keys = shared.home_keys.write().await;
        let own = shared.reporting.report();
        let known = put_back.known.unwrap_or(own);
        let gap = u64::from(shared.config.uid_gap.max(1));
        let uid_jump = known.uids.saturating_sub(own.uids).saturating_add(gap);
        // A record gives a mailbox two MODSEQs at most (REPLACE within it).
        let records = known.lsn.saturating_sub(own.lsn);
        let modseq_jump = records.saturating_mul(2).saturating_add(JUMP);
        shared.segments.skip_numbers(NUMBERS);
        let mut homes = shared.catalogue.homes();
        homes.sort_unstable();
        let mut chunks: Vec<&[u64]> = homes.chunks(RECORD_HOMES).collect();
        if chunks.is_empty() {
            chunks.push(&[]);
        }
        let last = chunks.len() - 1;
        let mut restored = Restored::default();
        for (at, homes) in chunks.into_iter().enumerate() {
            let end = (at == last).then(|| command::Jump {
                lsn: known.lsn.max(own.lsn).saturating_add(JUMP),
                uids: known.uids.max(own.uids).saturating_add(gap),
                home: shared.catalogue.last_home().saturating_add(NUMBERS),
            });
            let op = Op::Restored(command::Restored {
                homes: homes.to_vec(),
                uid_jump: put_back.known.map(|_| uid_jump),
                modseq_jump,
                uidvalidity: put_back.uidvalidity,
                jump: end,
            });
            let outcomes = shared.submit(op, Payload::default()).await?;
            for (&home, outcome) in homes.iter().zip(outcomes) {
                match outcome {
                    Ok(Outcome::Restored { jumped, renewed }) => {
                        restored.jumped += jumped;
                        restored.renewed.extend(self.metas(home, &renewed));
                    }
                    Ok(_) => {}
                    Err(StoreError::HomeDamaged { .. }) => restored.damaged_homes.push(home),
                    Err(e) => return Err(e),
                }
            }
        }
        shared.checkpoint().await?;
        Ok(restored)
    }

    fn metas(&self, home: u64, ids: &[MailboxId]) -> impl Iterator<Item = MailboxMeta> {
        ids.iter()
            .filter_map(move |&id| self.shared.catalogue.find_id(home, id))
    }
}
