//! Messages that go from here.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use murder_store::{
    AppendMessage, Claim, Destination, INLINE_LIMIT, MailboxHandle, MailboxView, MessageRow,
    Partition, StoreError, TransferId, TransferredMessage, UidSet,
};

use super::wire::Head;
use super::{BATCH_BYTES, BATCH_MESSAGES, BLOCK_BYTES, Leaving};
use crate::imap::RawPieces;
use crate::imap::selected::Selected;
use crate::node::Node;

/// Messages of the selected mailbox, on their way to another partition.
pub(crate) struct Outgoing {
    node: Arc<Node>,
    partition: Arc<Partition>,
    handle: Arc<MailboxHandle>,
    view: Arc<MailboxView>,
    seen_user: Option<String>,
    /// MOVE: nobody else may move them.
    claim: Option<Claim>,
    leaving: Option<Leaving>,
    uids: Vec<u32>,
    /// How many of them were looked at.
    next: usize,
    /// The large message that is being sent.
    large: Option<RawPieces>,
    /// Those that were there.
    sent: UidSet,
}

impl Outgoing {
    /// Of messages of `source`; `claim` for MOVE.
    pub(crate) fn new(
        node: &Arc<Node>,
        source: &Selected,
        uids: &UidSet,
        claim: Option<Claim>,
    ) -> Self {
        Self {
            node: Arc::clone(node),
            partition: Arc::clone(&source.partition),
            handle: Arc::clone(&source.handle),
            view: source.handle.view(),
            seen_user: source.seen_user.clone(),
            claim,
            leaving: None,
            uids: uids.iter().collect(),
            next: 0,
            large: None,
            sent: UidSet::new(),
        }
    }

    /// How many messages, and their octets.
    pub(crate) fn amount(&self) -> (u32, u64) {
        let rows = self
            .uids
            .iter()
            .filter_map(|uid| self.view.row_by_uid(*uid));
        rows.fold((0, 0), |(messages, octets), row| {
            (messages + 1, octets + u64::from(row.location.len))
        })
    }

    /// Messages that were sent.
    pub(crate) fn sent(&self) -> u32 {
        // UIDs have 32 bits, so that there are no more.
        u32::try_from(self.sent.len()).unwrap_or(u32::MAX)
    }

    /// The next block for another node; `None` when all were sent. Messages expunged meanwhile
    /// are left out.
    ///
    /// # Errors
    /// As [`Partition::read_body`].
    pub(crate) async fn block(&mut self) -> Result<Option<Bytes>, StoreError> {
        let mut block = BytesMut::new();
        while block.len() < BLOCK_BYTES {
            if let Some(pieces) = &mut self.large {
                match pieces.next(&self.partition).await? {
                    Some(piece) => block.extend_from_slice(&piece),
                    None => self.large = None,
                }
                continue;
            }
            let Some(row) = self.next_row() else {
                break;
            };
            if row.location.len as usize > INLINE_LIMIT {
                let mut pieces = RawPieces::new(row.location, 0..row.location.len);
                match pieces.next(&self.partition).await {
                    Ok(first) => {
                        self.head(&row).encode(&mut block);
                        block.extend_from_slice(&first.unwrap_or_default());
                        self.large = Some(pieces);
                    }
                    Err(StoreError::BodyGone) => continue,
                    Err(error) => return Err(error),
                }
            } else {
                match self.partition.read_body(row.location).await {
                    Ok(body) => {
                        self.head(&row).encode(&mut block);
                        block.extend_from_slice(&body);
                    }
                    Err(StoreError::BodyGone) => continue,
                    Err(error) => return Err(error),
                }
            }
            self.sent.insert(row.uid);
        }
        Ok((!block.is_empty()).then(|| block.freeze()))
    }

    /// The next messages for another partition of this node; none when there are no more.
    ///
    /// # Errors
    /// As [`Partition::read_body`], and those of `to` for a large message.
    pub(crate) async fn batch(
        &mut self,
        to: &Partition,
    ) -> Result<Vec<TransferredMessage>, StoreError> {
        let mut batch = Vec::new();
        let mut bytes = 0;
        while batch.len() < BATCH_MESSAGES && bytes < BATCH_BYTES {
            let Some(row) = self.next_row() else {
                break;
            };
            let at = row.location;
            let body = if at.len as usize > INLINE_LIMIT {
                let mut writer = to.stage(u64::from(at.len)).await?;
                let mut pieces = RawPieces::new(at, 0..at.len);
                while let Some(piece) = pieces.next(&self.partition).await? {
                    writer.write(piece).await?;
                }
                writer.finish().await?.into()
            } else {
                match self.partition.read_body(at).await {
                    Ok(body) => {
                        bytes += u64::from(at.len);
                        body.into()
                    }
                    Err(StoreError::BodyGone) => continue,
                    Err(error) => return Err(error),
                }
            };
            self.sent.insert(row.uid);
            let head = self.head(&row);
            batch.push(TransferredMessage {
                message: AppendMessage {
                    body,
                    flags: head.flags,
                    keywords: head.keywords,
                    internal_date: head.internal_date,
                    save_date: 0,
                    seen_by: None,
                },
                source_uid: row.uid,
                email_id: row.email_id,
            });
        }
        Ok(batch)
    }

    /// Messages that were looked at.
    pub(crate) fn done(&self) -> u32 {
        u32::try_from(self.next).unwrap_or(u32::MAX)
    }

    fn next_row(&mut self) -> Option<MessageRow> {
        loop {
            let uid = *self.uids.get(self.next)?;
            self.next += 1;
            if let Some(row) = self.view.row_by_uid(uid) {
                return Some(row);
            }
        }
    }

    fn head(&self, row: &MessageRow) -> Head {
        let keywords = self.view.keywords().names(row.keywords);
        Head {
            uid: row.uid,
            octets: row.location.len,
            flags: self.view.flags_for(row, self.seen_user.as_deref()),
            keywords: keywords.map(str::to_owned).collect(),
            internal_date: row.internal_date,
            email_id: row.email_id,
        }
    }

    /// Writes down that what was sent leaves: from now on it may be adopted there.
    ///
    /// # Errors
    /// [`StoreError::NoSuchTransfer`] for a COPY, or after it was said; else as
    /// [`Partition::depart`].
    pub(crate) async fn leave(
        &mut self,
        id: TransferId,
        to: Destination,
    ) -> Result<(), StoreError> {
        let mut claim = self.claim.take().ok_or(StoreError::NoSuchTransfer)?;
        claim.retain(&self.sent);
        let departure = self.partition.depart(&self.handle, claim, id, to).await?;
        self.leaving = Some(Leaving::new(&self.node, departure));
        Ok(())
    }

    /// Removes what was adopted. If it cannot be removed now, it will be.
    ///
    /// # Errors
    /// [`StoreError::NoSuchTransfer`] unless it was said that it leaves; else as
    /// [`murder_store::Departure::remove`].
    pub(crate) async fn depart(mut self) -> Result<UidSet, StoreError> {
        let leaving = self.leaving.take().ok_or(StoreError::NoSuchTransfer)?;
        let expunged = match leaving.departure() {
            Some(departure) => departure.remove().await?.uids,
            None => UidSet::new(),
        };
        leaving.settled();
        Ok(expunged)
    }

    /// The messages stay: they were not adopted, and will not be.
    pub(crate) fn release(mut self) {
        if let Some(leaving) = self.leaving.take() {
            leaving.settled();
        }
    }
}
