//! Messages that come from another node.

use std::sync::Arc;

use bytes::BytesMut;
use murder_store::{
    AppendMessage, Body, BodyWriter, Copied, Flags, INLINE_LIMIT, Incoming, Partition, StoreError,
    TransferredMessage,
};

use super::wire::{Decoder, Head, NotMessages, Piece};
use super::{BATCH_BYTES, BATCH_MESSAGES};

/// Why messages are not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ArrivalError {
    /// The store does not take them.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// They are not what another node sends.
    #[error(transparent)]
    NotMessages(#[from] NotMessages),
    /// Not all have come.
    #[error("not all messages have come")]
    Incomplete,
}

/// Messages that come for a mailbox. Dropped before they are adopted, they are forgotten.
pub(crate) struct Arrival {
    partition: Arc<Partition>,
    incoming: Incoming,
    /// The flags that the user may set there.
    allowed: Flags,
    /// Whether keywords are among them.
    keywords: bool,
    /// Whose `\Seen`; `None` for the owner's.
    seen_by: Option<String>,
    decoder: Decoder,
    current: Option<Current>,
    batch: Vec<TransferredMessage>,
    batch_bytes: u64,
}

/// The message that is coming.
struct Current {
    head: Head,
    left: u32,
    taken: Taken,
}

enum Taken {
    Memory(BytesMut),
    Disk(Box<BodyWriter>),
}

impl Arrival {
    /// Of what comes to `partition`, with the flags in `allowed`, and keywords if these are.
    pub(crate) fn new(
        partition: &Arc<Partition>,
        incoming: Incoming,
        (allowed, keywords): (Flags, bool),
        seen_by: Option<String>,
    ) -> Self {
        Self {
            partition: Arc::clone(partition),
            incoming,
            allowed,
            keywords,
            seen_by,
            decoder: Decoder::default(),
            current: None,
            batch: Vec::new(),
            batch_bytes: 0,
        }
    }

    /// Takes a block.
    ///
    /// # Errors
    /// [`ArrivalError`]; nothing of it can be adopted then.
    pub(crate) async fn stage(&mut self, block: Vec<u8>) -> Result<(), ArrivalError> {
        self.decoder.push(block);
        while let Some(piece) = self.decoder.next()? {
            match piece {
                Piece::Head(head) => {
                    let large = head.octets as usize > INLINE_LIMIT;
                    let taken = match large {
                        true => {
                            let writer = self.partition.stage(u64::from(head.octets)).await?;
                            Taken::Disk(Box::new(writer))
                        }
                        false => Taken::Memory(BytesMut::with_capacity(head.octets as usize)),
                    };
                    let left = head.octets;
                    self.current = Some(Current { head, left, taken });
                }
                Piece::Octets(octets) => {
                    let current = self.current.as_mut().ok_or(NotMessages)?;
                    current.left = current.left.saturating_sub(octets.len() as u32);
                    match &mut current.taken {
                        Taken::Memory(body) => body.extend_from_slice(&octets),
                        Taken::Disk(writer) => writer.write(octets).await?,
                    }
                }
            }
            if self.current.as_ref().is_some_and(|c| c.left == 0)
                && let Some(current) = self.current.take()
            {
                self.finish(current).await?;
            }
        }
        Ok(())
    }

    async fn finish(&mut self, current: Current) -> Result<(), ArrivalError> {
        let body: Body = match current.taken {
            Taken::Memory(body) => {
                self.batch_bytes += body.len() as u64;
                body.freeze().into()
            }
            Taken::Disk(writer) => writer.finish().await?.into(),
        };
        let head = current.head;
        self.batch.push(TransferredMessage {
            message: AppendMessage {
                body,
                flags: head.flags & self.allowed,
                keywords: match self.keywords {
                    true => head.keywords,
                    false => Vec::new(),
                },
                internal_date: head.internal_date,
                // That of the adoption.
                save_date: 0,
                seen_by: self.seen_by.clone(),
            },
            source_uid: head.uid,
            email_id: head.email_id,
        });
        if self.batch.len() >= BATCH_MESSAGES || self.batch_bytes >= BATCH_BYTES {
            self.write().await?;
        }
        Ok(())
    }

    async fn write(&mut self) -> Result<(), StoreError> {
        self.batch_bytes = 0;
        match std::mem::take(&mut self.batch) {
            batch if batch.is_empty() => Ok(()),
            batch => self.incoming.take(batch).await,
        }
    }

    /// Makes all of the messages appear; so many must have come.
    ///
    /// # Errors
    /// [`ArrivalError`]; none of them appears then.
    pub(crate) async fn adopt(&mut self, messages: u32) -> Result<Copied, ArrivalError> {
        self.write().await?;
        let complete = self.decoder.is_between_messages() && self.current.is_none();
        if !complete || self.incoming.messages() != u64::from(messages) {
            return Err(ArrivalError::Incomplete);
        }
        Ok(self.incoming.adopt().await?)
    }

    /// Forgets the messages.
    pub(crate) async fn discard(mut self) -> Result<(), StoreError> {
        self.incoming.discard().await
    }
}
