//! Getting at a message's octets with as little reading and memory as the question allows.

use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;
use murder_mime::{Decoder, Encoding, Message, PartWhat, Section};
use murder_store::{BodyLocation, MessageRow, Partition, StoreError};

use super::binary::{self, Encoded};
use super::plan::{Name, Octets};
use super::{WHOLE_LIMIT, room_for};

/// Where a section's octets come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// The message has no such part.
    Nil,
    /// At hand.
    Ready(Bytes),
    /// To be read from the message in pieces.
    Stream(Range<u32>),
    /// To be read from the message in pieces, and decoded.
    Encoded(Encoded),
}

/// Parts that are remembered of a large message: clients fetch one in many pieces, and should
/// not have the whole message parsed for each.
const PARTS_REMEMBERED: usize = 64;

/// Where parts are in the message that was last looked at.
#[derive(Debug, Default)]
pub(crate) struct PartCache {
    message: BodyLocation,
    parts: Vec<(Section, Option<Place>)>,
}

/// Where a part's octets are in the message, and how they are encoded.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    range: Range<u32>,
    encoding: Encoding,
}

/// A message that is being fetched: some of it in memory, or nothing.
#[derive(Debug)]
pub(super) struct Source<'a> {
    partition: &'a Partition,
    row: MessageRow,
    /// What was read, and where in the message it begins.
    read: Option<(u32, Bytes)>,
}

impl<'a> Source<'a> {
    /// Reads what `wanted` needs of a message, if it is not too much to hold.
    pub async fn open(
        partition: &'a Partition,
        row: MessageRow,
        wanted: impl Iterator<Item = &Octets>,
    ) -> Result<Self, StoreError> {
        let needed = wanted
            .map(|octets| octets.place(&row).unwrap_or_else(|| needed(octets, &row)))
            .filter(|range| !range.is_empty())
            .reduce(|a, b| a.start.min(b.start)..a.end.max(b.end));
        let read = match needed {
            Some(range) if range.end - range.start <= WHOLE_LIMIT => {
                let bytes = read(partition, row.location, range.clone()).await?;
                Some((range.start, bytes))
            }
            _ => None,
        };
        Ok(Self {
            partition,
            row,
            read,
        })
    }

    /// Bytes of the message.
    pub fn location(&self) -> BodyLocation {
        self.row.location
    }

    /// What was read, if it is the message from its first byte on.
    fn first_bytes(&self) -> Option<&Bytes> {
        self.read
            .as_ref()
            .filter(|(start, _)| *start == 0)
            .map(|(_, bytes)| bytes)
    }

    /// The whole message, if it was read.
    pub fn whole(&self) -> Option<&Bytes> {
        self.first_bytes()
            .filter(|bytes| bytes.len() == self.row.location.len as usize)
    }

    /// The octets of a section. `parsed` is the message's structure if [`Source::whole`] has it.
    pub async fn find(
        &self,
        octets: &Octets,
        parsed: Option<&Message<'_>>,
        cache: &mut PartCache,
    ) -> Result<Found, StoreError> {
        if let Some(place) = octets.place(&self.row) {
            return match (&octets.name, Decoder::new(Encoding::Binary)) {
                // It has to be known whether there are NULs.
                (Name::Binary(_), Some(decoder)) if place.end - place.start > WHOLE_LIMIT => {
                    let whole = 0..self.row.location.len;
                    binary::decode(self, decoder, whole, octets.partial).await
                }
                _ => self.at(place).await,
            };
        }
        let header = 0..self.row.header_len.min(self.row.location.len);
        match (&octets.section, parsed) {
            (Section::HeaderFields { .. }, _) => {
                let (header, _room) = match self.first_bytes() {
                    Some(bytes) => (bytes.slice(..bytes.len().min(header.end as usize)), None),
                    None => {
                        let room = room_for(header.end).await?;
                        let bytes = read(self.partition, self.row.location, header).await?;
                        (bytes, room)
                    }
                };
                let fields = murder_mime::section(&header, &octets.section);
                Ok(ready(&header, fields, octets))
            }
            (section, Some(message)) if octets.is_decoded() => {
                match self.whole().and_then(|raw| place_in(raw, message, section)) {
                    Some(place) => self.decoded(place, octets).await,
                    None => Ok(Found::Nil),
                }
            }
            (section, Some(message)) => {
                let Some(raw) = self.whole() else {
                    return Ok(Found::Nil);
                };
                Ok(ready(raw, message.section(section), octets))
            }
            (section, None) => self.find_part(section, octets, cache).await,
        }
    }

    /// Whether the transfer encoding of a section can be undone. So it can if there is no such.
    pub async fn is_decodable(
        &self,
        octets: &Octets,
        parsed: Option<&Message<'_>>,
        cache: &mut PartCache,
    ) -> Result<bool, StoreError> {
        let place = match (parsed, self.whole()) {
            (Some(message), Some(raw)) => place_in(raw, message, &octets.section),
            _ => match self.locate(&octets.section, cache).await? {
                Located::At(place) => place,
                Located::Copied(_) => None,
            },
        };
        Ok(place.is_none_or(|place| Decoder::new(place.encoding).is_some()))
    }

    /// What a part decodes to.
    async fn decoded(&self, place: Place, octets: &Octets) -> Result<Found, StoreError> {
        let Some(decoder) = Decoder::new(place.encoding) else {
            // Asked before: see `is_decodable`.
            return Ok(Found::Nil);
        };
        // Of what is too large to be at hand, it has to be known whether there are NULs.
        let at_hand = place.range.end - place.range.start <= WHOLE_LIMIT;
        if decoder.is_identity() && (at_hand || matches!(octets.name, Name::BinarySize(_))) {
            return self.at(octets.cut(place.range)).await;
        }
        binary::decode(self, decoder, place.range, octets.partial).await
    }

    /// Octets of the message, of which some may be in memory.
    pub async fn piece(&self, range: Range<u32>) -> Result<Bytes, StoreError> {
        let wanted = range.end - range.start;
        let bytes = match self.at_hand(&range) {
            Some(bytes) => bytes,
            None => read(self.partition, self.row.location, range).await?,
        };
        match len(&bytes) == wanted {
            true => Ok(bytes),
            // What is stored of its structure is not that of the message.
            false => Err(self.row.location.corrupt()),
        }
    }

    fn at_hand(&self, range: &Range<u32>) -> Option<Bytes> {
        let (start, bytes) = self.read.as_ref()?;
        let from = range.start.checked_sub(*start)? as usize;
        let to = (range.end - start) as usize;
        (to <= bytes.len()).then(|| bytes.slice(from..to))
    }

    /// A section of a part of a message that is too large to be held while the client takes it.
    async fn find_part(
        &self,
        section: &Section,
        octets: &Octets,
        cache: &mut PartCache,
    ) -> Result<Found, StoreError> {
        match self.locate(section, cache).await? {
            Located::Copied(bytes) => {
                let cut = octets.cut(0..len(&bytes));
                let bytes = bytes.slice(cut.start as usize..cut.end as usize);
                Ok(Found::Ready(bytes))
            }
            Located::At(None) => Ok(Found::Nil),
            Located::At(Some(place)) if octets.is_decoded() => self.decoded(place, octets).await,
            Located::At(Some(place)) => self.at(octets.cut(place.range)).await,
        }
    }

    /// Where a section is in a message that is not held.
    async fn locate(
        &self,
        section: &Section,
        cache: &mut PartCache,
    ) -> Result<Located, StoreError> {
        if cache.message != self.row.location {
            *cache = PartCache {
                message: self.row.location,
                parts: Vec::new(),
            };
        }
        let known = cache.parts.iter().find(|(known, _)| known == section);
        if let Some((_, place)) = known {
            return Ok(Located::At(place.clone()));
        }
        let _room = room_for(self.row.location.len).await?;
        let raw = self.partition.read_body(self.row.location).await?;
        let wanted = section.clone();
        let found = tokio::task::spawn_blocking(move || locate(&raw, &wanted))
            .await
            .map_err(|_| StoreError::Closed)?;
        if let Located::At(place) = &found
            && cache.parts.len() < PARTS_REMEMBERED
        {
            cache.parts.push((section.clone(), place.clone()));
        }
        Ok(found)
    }

    /// A range of the message.
    async fn at(&self, place: Range<u32>) -> Result<Found, StoreError> {
        if let Some(bytes) = self.at_hand(&place) {
            return Ok(Found::Ready(bytes));
        }
        if place.end - place.start <= WHOLE_LIMIT {
            let bytes = read(self.partition, self.row.location, place).await?;
            return Ok(Found::Ready(bytes));
        }
        Ok(Found::Stream(place))
    }
}

/// What has to be read for a section whose place is not known.
fn needed(octets: &Octets, row: &MessageRow) -> Range<u32> {
    match octets.section {
        Section::HeaderFields { .. } => 0..row.header_len.min(row.location.len),
        _ => 0..row.location.len,
    }
}

async fn read(
    partition: &Partition,
    at: BodyLocation,
    range: Range<u32>,
) -> Result<Bytes, StoreError> {
    if range.start == 0 && range.end == at.len {
        return partition.read_body(at).await;
    }
    let len = range.end - range.start;
    partition.read_body_range(at, range.start, len).await
}

/// The octets of fields that are all among `listed`, those that are stored beside the message.
pub(super) fn of_listed(listed: &Bytes, octets: &Octets) -> Option<Bytes> {
    let fields = murder_mime::section(listed, &octets.section)?;
    Some(cut(listed, fields, octets))
}

/// A section that was found in `raw`, without a copy if it is a slice of it.
fn ready(raw: &Bytes, section: Option<Cow<'_, [u8]>>, octets: &Octets) -> Found {
    section.map_or(Found::Nil, |found| Found::Ready(cut(raw, found, octets)))
}

/// What is asked for of a section that was found in `raw`.
fn cut(raw: &Bytes, section: Cow<'_, [u8]>, octets: &Octets) -> Bytes {
    let bytes = match section {
        Cow::Borrowed(slice) => raw.slice_ref(slice),
        Cow::Owned(copy) => Bytes::from(copy),
    };
    let cut = octets.cut(0..len(&bytes));
    bytes.slice(cut.start as usize..cut.end as usize)
}

enum Located {
    /// A range of the message, or nowhere.
    At(Option<Place>),
    /// Put together.
    Copied(Bytes),
}

fn locate(raw: &Bytes, section: &Section) -> Located {
    let message = Message::parse(raw);
    match message.section(section) {
        Some(Cow::Owned(copy)) => Located::Copied(Bytes::from(copy)),
        _ => Located::At(place_in(raw, &message, section)),
    }
}

/// Where a section that is a slice of the message lies in it.
fn place_in(raw: &Bytes, message: &Message<'_>, section: &Section) -> Option<Place> {
    let Some(Cow::Borrowed(slice)) = message.section(section) else {
        return None;
    };
    // A slice of `raw`, so this is where it begins in it.
    let start = (slice.as_ptr() as usize).saturating_sub(raw.as_ptr() as usize);
    let start = start.min(raw.len()) as u32;
    let encoding = match section {
        Section::Part {
            path,
            what: PartWhat::Body,
        } => message.part(path)?.encoding(),
        _ => Encoding::Binary,
    };
    Some(Place {
        range: start..start + slice.len() as u32,
        encoding,
    })
}

/// Bodies have 32-bit lengths, and so have their parts.
fn len(bytes: &Bytes) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX)
}
