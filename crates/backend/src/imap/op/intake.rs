//! A message on its way in: in memory while it is small, else on the disk of its partition.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use murder_imap::Code;
use murder_store::{Body, BodyWriter, INLINE_LIMIT, Partition, StoreError};

use crate::imap::errors::{OpError, bad, no};
use crate::imap::utf8::HeaderScan;

/// Octets of small messages of one APPEND that are in memory together. What goes beyond is staged
/// like large ones.
const MAX_IN_MEMORY: u64 = 4 << 20;

/// A message, as far as it has come.
pub(super) struct Intake {
    partition: Arc<Partition>,
    taken: Taken,
    /// Octets that have come or are about to.
    expected: u64,
    header: HeaderScan,
    /// What comes may hold NULs: it is a literal8, or octets of a message that has been stored.
    binary: bool,
}

enum Taken {
    Memory {
        /// All of it, if it came at once.
        first: Bytes,
        /// All of it, if it did not.
        more: BytesMut,
    },
    Disk(Box<BodyWriter>),
    /// Passed over, as it has a NUL where it must not.
    Nul,
}

impl Intake {
    /// Nothing yet of a message for `partition`.
    pub fn new(partition: Arc<Partition>) -> Self {
        Self {
            partition,
            taken: Taken::Memory {
                first: Bytes::new(),
                more: BytesMut::new(),
            },
            expected: 0,
            header: HeaderScan::default(),
            binary: false,
        }
    }

    /// Octets that have come or are about to.
    pub fn len(&self) -> u64 {
        self.expected
    }

    /// Makes room for `len` octets, which come next. `in_memory` counts what messages hold there.
    ///
    /// # Errors
    /// Before the client is told to go on: a disk that is full is known then.
    pub async fn expect(
        &mut self,
        len: u64,
        binary: bool,
        in_memory: &mut u64,
    ) -> Result<(), StoreError> {
        let before = self.expected;
        self.expected = before.saturating_add(len);
        self.binary = binary;
        let Taken::Memory { first, more } = &mut self.taken else {
            return Ok(());
        };
        if self.expected <= INLINE_LIMIT as u64 && *in_memory + len <= MAX_IN_MEMORY {
            *in_memory += len;
            return Ok(());
        }
        let mut writer = Box::new(self.partition.stage(self.expected).await?);
        *in_memory -= before;
        for octets in [std::mem::take(first), std::mem::take(more).freeze()] {
            if !octets.is_empty() {
                writer.write(octets).await?;
            }
        }
        self.taken = Taken::Disk(writer);
        Ok(())
    }

    /// Takes octets that were expected.
    ///
    /// # Errors
    /// Those of the disk.
    pub async fn take(&mut self, octets: Bytes) -> Result<(), StoreError> {
        if !self.binary && memchr::memchr(0, &octets).is_some() {
            self.taken = Taken::Nul;
        }
        self.header.take(&octets);
        match &mut self.taken {
            Taken::Nul => {}
            Taken::Disk(writer) => writer.write(octets).await?,
            Taken::Memory { first, more } if first.is_empty() && more.is_empty() => {
                *first = octets;
            }
            Taken::Memory { first, more } => {
                if more.is_empty() {
                    // Not above INLINE_LIMIT.
                    more.reserve(self.expected as usize);
                    more.extend_from_slice(&std::mem::take(first));
                }
                more.extend_from_slice(&octets);
            }
        }
        Ok(())
    }

    /// What is stored, when all has come; a large message is on the disk then.
    ///
    /// # Errors
    /// Messages that cannot be stored, and those of the disk.
    pub async fn finish(self, may_have_8bit: bool) -> Result<Body, OpError> {
        if self.header.has_8bit() && !may_have_8bit && !matches!(self.taken, Taken::Nul) {
            return Err(no(
                Code::Cannot,
                "Header has 8-bit characters, which need UTF8=ACCEPT",
            ));
        }
        match self.taken {
            Taken::Memory { first, more } if more.is_empty() => Ok(first.into()),
            Taken::Memory { more, .. } => Ok(more.freeze().into()),
            Taken::Disk(writer) => Ok(writer.finish().await?.into()),
            Taken::Nul => Err(bad("A message must not hold NULs")),
        }
    }
}
