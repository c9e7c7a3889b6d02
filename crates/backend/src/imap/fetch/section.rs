//! The octets of one section of a message, for who does not write them into an answer.

use bytes::Bytes;
use murder_imap::{Partial, Section};
use murder_mime::Message;
use murder_store::{MessageRow, Partition, StoreError};

use super::plan::Octets;
use super::raw::RawPieces;
use super::source::{Found, PartCache, Source};

/// What `BODY.PEEK[section]<partial>` would send.
#[derive(Debug)]
pub(crate) struct SectionOctets {
    len: u64,
    rest: Rest,
}

#[derive(Debug)]
enum Rest {
    Ready(Bytes),
    Stream(RawPieces),
}

impl SectionOctets {
    /// Looks for a section of a message; `None` if it has no such part. Of a large message a
    /// piece at a time is in memory, see [`super::room_for`].
    ///
    /// # Errors
    /// As [`Partition::read_body`].
    pub async fn find(
        partition: &Partition,
        row: MessageRow,
        section: &Section,
        partial: Option<Partial>,
        parts: &mut PartCache,
    ) -> Result<Option<Self>, StoreError> {
        let octets = Octets::of(section, partial);
        let source = Source::open(partition, row, std::iter::once(&octets)).await?;
        let raw = source.whole().cloned();
        let parsed = raw
            .as_ref()
            .filter(|_| octets.needs_structure())
            .map(|raw| Message::parse(raw));
        Ok(match source.find(&octets, parsed.as_ref(), parts).await? {
            // Nothing is decoded here.
            Found::Nil | Found::Encoded(_) => None,
            // A copy, so that a few octets do not keep the whole message in memory.
            Found::Ready(bytes) => Some(Self {
                len: bytes.len() as u64,
                rest: Rest::Ready(Bytes::copy_from_slice(&bytes)),
            }),
            Found::Stream(place) => Some(Self {
                len: u64::from(place.end - place.start),
                rest: Rest::Stream(RawPieces::new(row.location, place)),
            }),
        })
    }

    /// How many octets there are in all.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// The next piece of them; `None` behind the end.
    ///
    /// # Errors
    /// As [`Partition::read_body`].
    pub async fn next(&mut self, partition: &Partition) -> Result<Option<Bytes>, StoreError> {
        match &mut self.rest {
            Rest::Ready(bytes) => Ok(Some(std::mem::take(bytes)).filter(|bytes| !bytes.is_empty())),
            Rest::Stream(pieces) => pieces.next(partition).await,
        }
    }
}
