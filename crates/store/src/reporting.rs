//! How far the partition has come, as its murder's master knows it.
//!
//! UIDs and MODSEQs that a client has seen must never come back for something else, also when the
//! partition is lost and an old copy of it is put back. The copy cannot know what was given out
//! after it was made; the master can bound it, if it is told in time. So the partition counts the
//! UIDs that it gives out over all its mailboxes, which no single mailbox can outgrow. The count is
//! a function of the journal: a copy knows its own. In a murder no UID is given out that is more
//! than a gap beyond the count that the master knows; a copy that jumps by the difference of the
//! two counts and that gap is beyond everything.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use crate::command::Op;
use crate::config::PartitionConfig;
use crate::error::StoreError;
use crate::journal::checkpoint::Checkpoint;

/// A report is due when this part of the gap is used.
const DUE_AFTER: u64 = 4;
/// How long a change waits for the master to be told before it is refused: a report takes
/// milliseconds, and a client waits longer for much.
const WAIT: Duration = Duration::from_secs(5);

/// How far a partition has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Report {
    /// The last record that is durable.
    pub lsn: u64,
    /// The UIDs that it has given out, those included that wait for this report to be acknowledged.
    /// Counted so that no mailbox's UIDNEXT grows by more than this does.
    pub uids: u64,
}

/// The accounts of one partition.
#[derive(Debug, Default)]
pub(crate) struct Reporting {
    /// How far the count may be beyond `reported`; `None` without a master.
    gap: Option<u64>,
    /// The last durable record.
    lsn: AtomicU64,
    /// UIDs that durable records give out. Only the journal thread writes it after the start.
    journaled: AtomicU64,
    /// UIDs of commands on their way to the journal.
    pending: AtomicU64,
    /// The count that the master knows.
    reported: AtomicU64,
    /// The largest command that waits for a report.
    wanted: AtomicU64,
    due: Notify,
    acknowledged: Notify,
}

/// UIDs that a command on its way may give out.
#[derive(Debug)]
pub(crate) struct Reserved {
    of: Arc<Reporting>,
    uids: u64,
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.of.pending.fetch_sub(self.uids, Ordering::SeqCst);
    }
}

impl Reporting {
    /// The accounts as of a checkpoint, and what the master knew then.
    pub fn new(config: &PartitionConfig, at: Checkpoint, reported: u64) -> Arc<Self> {
        Arc::new(Self {
            gap: config.has_master.then_some(config.uid_gap.into()),
            lsn: AtomicU64::new(at.lsn),
            journaled: AtomicU64::new(at.uids),
            reported: AtomicU64::new(reported),
            ..Self::default()
        })
    }

    /// UIDs that durable records give out.
    pub fn journaled(&self) -> u64 {
        self.journaled.load(Ordering::SeqCst)
    }

    /// Counts a record that is durable. The caller drops its reservation afterwards, so that what
    /// is on its way is never counted too little.
    pub fn applied(&self, op: &Op, lsn: u64) {
        let uids = match op.jump() {
            Some(jump) => jump.uids,
            None => self.journaled() + op.uids(),
        };
        self.journaled.store(uids, Ordering::SeqCst);
        self.lsn.store(op.next_lsn(lsn) - 1, Ordering::SeqCst);
    }

    /// The count that the master knows.
    pub fn reported(&self) -> u64 {
        self.reported.load(Ordering::SeqCst)
    }

    /// How far the count is beyond what the master knows.
    fn ahead(&self) -> u64 {
        // In this order: what becomes durable in between is counted twice, not left out.
        let pending = self.pending.load(Ordering::SeqCst);
        (self.journaled() + pending).saturating_sub(self.reported())
    }

    /// Counts the UIDs of a command that is about to be journaled, waiting a while for the master
    /// to be told if that has to be before.
    ///
    /// # Errors
    /// [`StoreError::Unreported`].
    pub async fn reserve(self: &Arc<Self>, uids: u64) -> Result<Option<Reserved>, StoreError> {
        let Some(gap) = self.gap.filter(|_| uids > 0) else {
            return Ok(None);
        };
        if let Some(reserved) = self.try_reserve(uids, gap) {
            return Ok(Some(reserved));
        }
        let deadline = Instant::now() + WAIT;
        loop {
            let acknowledged = self.acknowledged.notified();
            tokio::pin!(acknowledged);
            acknowledged.as_mut().enable();
            self.wanted.fetch_max(uids, Ordering::SeqCst);
            self.due.notify_one();
            if let Some(reserved) = self.try_reserve(uids, gap) {
                return Ok(Some(reserved));
            }
            timeout_at(deadline, acknowledged)
                .await
                .map_err(|_| StoreError::Unreported)?;
        }
    }

    fn try_reserve(self: &Arc<Self>, uids: u64, gap: u64) -> Option<Reserved> {
        self.pending.fetch_add(uids, Ordering::SeqCst);
        let reserved = Reserved {
            of: Arc::clone(self),
            uids,
        };
        let ahead = self.ahead();
        if ahead > gap {
            return None;
        }
        if ahead > gap / DUE_AFTER {
            self.due.notify_one();
        }
        Some(reserved)
    }

    pub fn report(&self) -> Report {
        let wanted = self.wanted.load(Ordering::SeqCst);
        let pending = self.pending.load(Ordering::SeqCst);
        Report {
            lsn: self.lsn.load(Ordering::SeqCst),
            uids: self.journaled() + pending + wanted,
        }
    }

    pub fn set_reported(&self, report: Report) {
        self.reported.fetch_max(report.uids, Ordering::SeqCst);
        // Whoever still waits says so again.
        self.wanted.store(0, Ordering::SeqCst);
        self.acknowledged.notify_waiters();
    }

    /// Waits until the master has to be told.
    pub async fn due(&self) {
        let Some(gap) = self.gap else {
            return std::future::pending().await;
        };
        while self.ahead() <= gap / DUE_AFTER && self.wanted.load(Ordering::SeqCst) == 0 {
            self.due.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn reporting(gap: u32) -> Arc<Reporting> {
        let config = PartitionConfig {
            has_master: true,
            uid_gap: gap,
            ..PartitionConfig::new("test", "nowhere")
        };
        Reporting::new(&config, Checkpoint::default(), 0)
    }

    fn appending(messages: usize) -> Op {
        Op::Append(crate::command::Append {
            messages: vec![Default::default(); messages],
            ..Default::default()
        })
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_runs_further_than_the_gap_beyond_the_last_report() {
        let reporting = reporting(8);
        let first = reporting.reserve(2).await.unwrap();
        assert!(tokio::time::timeout(WAIT, reporting.due()).await.is_err());
        let second = reporting.reserve(6).await.unwrap();
        reporting.due().await;
        let refused = reporting.reserve(1).await;
        assert!(matches!(refused, Err(StoreError::Unreported)));
        // What never reached the journal makes room.
        drop(second);
        drop(reporting.reserve(1).await.unwrap());
        reporting.applied(&appending(2), 1);
        drop(first);
        assert_eq!(reporting.ahead(), 2);
        reporting.set_reported(Report { lsn: 1, uids: 2 });
        assert_eq!(reporting.ahead(), 0);
        drop(reporting.reserve(8).await.unwrap());
    }

    #[tokio::test(start_paused = true)]
    async fn a_command_larger_than_the_gap_waits_until_the_master_knows_of_it() {
        let reporting = reporting(8);
        let waiting = {
            let reporting = Arc::clone(&reporting);
            tokio::spawn(async move { reporting.reserve(100).await.map(|_| ()) })
        };
        reporting.due().await;
        assert_eq!(reporting.report().uids, 100);
        reporting.set_reported(reporting.report());
        waiting.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn without_a_master_there_is_no_limit() {
        let reporting = Reporting::new(
            &PartitionConfig::new("test", "nowhere"),
            Checkpoint::default(),
            0,
        );
        assert!(reporting.reserve(1 << 40).await.unwrap().is_none());
    }
}
