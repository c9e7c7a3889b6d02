//! Appends and deliveries that are done once only, however often they are tried.
//!
//! Who tries gives the append an id; the home remembers it with the result, in the same record.
//! A second try with the id gets the first one's result. After a lost answer, [`Partition::withdraw`]
//! tells what became of it: either its result, or that it was not done, which is then remembered
//! too, so that a try that is still on its way cannot be done afterwards.

use std::time::Duration;

use murder_mailbox::MailboxName;

use super::Partition;
use super::messages::appended;
use crate::command::{self, Op, Target};
use crate::error::StoreError;
use crate::message::{AppendMessage, Appended};
use crate::shared::Payload;

/// The most ids that a home remembers: some 400 KiB. The oldest go first.
pub(super) const MOST_IDS: u32 = 10_000;
/// How long the id of an append is remembered: who lost the answer asks within seconds.
const APPEND_IDS_KEPT: Duration = Duration::from_secs(24 * 3600);
/// Ids are forgotten in portions of a day, so that a home is purged of them once a day.
const PORTION: i64 = 24 * 3600;

/// What an append or a delivery is known by: random, or a hash of what makes it that one, best
/// behind 48 bits of Unix milliseconds as in a UUID of version 7 (RFC 9562 section 5.7). A home keeps
/// its ids in their order, so that those which come after each other share a page.
pub type OnceId = [u8; 16];

impl Partition {
    /// As [`Partition::append`], once only: the result of an append with this id that has been done
    /// is told again, with 0 for the MODSEQ.
    ///
    /// # Errors
    /// [`StoreError::Withdrawn`] after [`Partition::withdraw`]; and as [`Partition::append`].
    pub async fn append_once(
        &self,
        name: &MailboxName,
        messages: Vec<AppendMessage>,
        id: OnceId,
    ) -> Result<Appended, StoreError> {
        let mut target = self.target(name)?;
        self.set_id(&mut target, id, APPEND_IDS_KEPT);
        self.append_as(target, messages, &[]).await
    }

    /// What became of the append with this id to a mailbox of `name`'s home.
    ///
    /// # Errors
    /// [`StoreError::Withdrawn`] when it was not done: it never will be.
    /// [`StoreError::NoSuchHome`] and those of every change say nothing of it.
    pub async fn withdraw(&self, name: &MailboxName, id: OnceId) -> Result<Appended, StoreError> {
        let home = self.shared.catalogue.home(name.home_key());
        let home = home.ok_or(StoreError::NoSuchHome)?;
        let op = Op::Withdraw(command::Withdraw {
            home,
            id: id.to_vec(),
            keep_until: self.id_kept_until(home, APPEND_IDS_KEPT),
            most_ids: MOST_IDS,
        });
        appended(self.shared.submit_one(op, Payload::default()).await?)
    }

    pub(super) fn set_id(&self, target: &mut Target, id: OnceId, kept: Duration) {
        target.id = id.to_vec();
        target.keep_until = self.id_kept_until(target.home, kept);
    }

    /// At a time of the day that differs from home to home, and not before `kept` has passed.
    fn id_kept_until(&self, home: u64, kept: Duration) -> i64 {
        let kept = i64::try_from(kept.as_secs()).unwrap_or(i64::MAX);
        let at_least = self.shared.config.clock.now().saturating_add(kept);
        let of_day = (home.wrapping_mul(7919) % PORTION.unsigned_abs()).cast_signed();
        let portions = at_least.saturating_sub(of_day).div_euclid(PORTION) + 1;
        portions.saturating_mul(PORTION).saturating_add(of_day)
    }
}
