//! How large messages are as they are sent: with CRLF at the end of each line (RFC 1939
//! section 11). The store knows how large they are as they came, which is the same for nearly all.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use lru::LruCache;
use murder_mailbox::MailboxId;
use murder_pop3::Octets;
use murder_store::{MessageRow, Partition, StoreError, UidSet};
use parking_lot::Mutex;

use super::body::BodyReader;

/// Mailboxes whose messages are remembered; some hundred bytes each.
const MAILBOXES: NonZeroUsize = NonZeroUsize::new(20_000).expect("not zero");
/// Messages of a mailbox that are remembered to be larger when they are sent. Others like that
/// are measured each time.
const LARGER: usize = 4096;

/// The sizes of messages that were measured since the node has started: a message is read once
/// for it, and never changes.
#[derive(Debug)]
pub(super) struct Sizes(Mutex<LruCache<MailboxId, Measured>>);

#[derive(Debug, Default)]
struct Measured {
    uids: UidSet,
    /// By how much a message is larger when it is sent, where it is.
    larger: BTreeMap<u32, u64>,
}

impl Default for Sizes {
    fn default() -> Self {
        // Not `new`, which takes memory for all of them at once.
        let mut sizes = LruCache::unbounded();
        sizes.resize(MAILBOXES);
        Self(Mutex::new(sizes))
    }
}

impl Sizes {
    /// The size of a message, if it is known.
    pub(super) fn known(&self, mailbox: MailboxId, row: &MessageRow) -> Option<u64> {
        let mut all = self.0.lock();
        let measured = all.get(&mailbox)?;
        measured.uids.contains(row.uid).then(|| {
            let more = measured.larger.get(&row.uid).copied().unwrap_or(0);
            u64::from(row.location.len) + more
        })
    }

    /// Takes down what was measured of a message.
    pub(super) fn note(&self, mailbox: MailboxId, row: &MessageRow, octets: u64) {
        let mut all = self.0.lock();
        let measured = all.get_or_insert_mut(mailbox, Measured::default);
        let more = octets.saturating_sub(u64::from(row.location.len));
        if more > 0 {
            if measured.larger.len() >= LARGER {
                return;
            }
            measured.larger.insert(row.uid, more);
        }
        measured.uids.insert(row.uid);
    }

    /// The size of a message, which is read if it must be.
    pub(super) async fn of(
        &self,
        partition: &Partition,
        mailbox: MailboxId,
        row: &MessageRow,
    ) -> u64 {
        if let Some(known) = self.known(mailbox, row) {
            return known;
        }
        match measure(partition, row).await {
            Ok(octets) => {
                self.note(mailbox, row, octets);
                octets
            }
            Err(error) => {
                // It is listed all the same; RETR says what is wrong with it.
                tracing::warn!(uid = row.uid, %error, "a message cannot be measured");
                u64::from(row.location.len)
            }
        }
    }
}

async fn measure(partition: &Partition, row: &MessageRow) -> Result<u64, StoreError> {
    let mut reader = BodyReader::new(partition, row.location);
    let mut octets = Octets::default();
    while let Some(piece) = reader.next().await? {
        octets.push(&piece);
    }
    Ok(octets.finish())
}
