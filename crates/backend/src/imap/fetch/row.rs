//! Writing the FETCH response of one message.

use std::io;
use std::ops::Range;

use bytes::Bytes;
use murder_imap::{DateTime, FetchWriter, ResponseWriter};
use murder_mailbox::MailboxId;
use murder_mime::Message;
use murder_store::{FetchedItems, Flags, MailboxView, MessageRow, Partition, StoreError};

use super::binary::{self, Encoded};
use super::plan::{Name, Octets, Plan, Want};
use super::raw::RawPieces;
use super::source::{Found, PartCache, Source, of_listed};
use super::{PIECE, WHOLE_LIMIT};
use crate::imap::enabled::Extension;
use crate::imap::selected::flag_words;
use crate::imap::updates::start_fetch;
use crate::nul::without_nuls;
use murder_session::ClientStream;

/// Why a message was not written.
#[derive(Debug)]
pub(crate) enum FetchError {
    /// It cannot be read; nothing of it was written.
    Store(StoreError),
    /// A part has a transfer encoding that cannot be undone; nothing of it was written.
    UnknownCte,
    /// The connection is gone, or had to be cut in the middle of a literal.
    Gone(io::Error),
}

impl From<StoreError> for FetchError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<io::Error> for FetchError {
    fn from(error: io::Error) -> Self {
        Self::Gone(error)
    }
}

/// Writes FETCH responses to one client.
pub(crate) struct RowWriter<'a> {
    /// What is asked for.
    pub plan: &'a Plan,
    /// Where the messages are.
    pub partition: &'a Partition,
    /// Where the responses go.
    pub writer: &'a mut ResponseWriter,
    /// Where they go when there are many.
    pub stream: &'a mut ClientStream,
    /// Parts that were found before.
    pub parts: &'a mut PartCache,
}

/// What is said of one message besides its row.
pub(crate) struct RowState<'a> {
    /// The view that it is in.
    pub view: &'a MailboxView,
    /// Its flags as the user sees them.
    pub flags: Flags,
    /// Whether it is `\Recent`.
    pub recent: bool,
    /// Its FLAGS are told even if they are not asked for: this command has changed them.
    pub tell_flags: bool,
    /// The client counts mod-sequences: flags that are told unasked come with one and with the
    /// UID (RFC 7162 section 3.2.4).
    pub condstore: bool,
}

impl RowState<'_> {
    fn flag_words(&self, row: &MessageRow) -> impl Iterator<Item = &str> {
        flag_words(self.view, self.flags, self.recent, row.keywords)
    }
}

impl RowWriter<'_> {
    /// Writes the response for one message; `items` holds what the plan needs of them.
    pub async fn write(
        &mut self,
        row: &MessageRow,
        state: RowState<'_>,
        items: Option<&FetchedItems>,
    ) -> Result<(), FetchError> {
        if self.plan.reads_bodies {
            return self.write_with_octets(row, &state, items).await;
        }
        let mut fetch = start_fetch(self.plan.enabled, self.writer, row);
        for want in &self.plan.wants {
            put_ready(&mut fetch, want, row, &state, items);
        }
        put_changed(&mut fetch, self.plan, row, &state);
        fetch.finish();
        self.writer.flush_if_full(self.stream).await?;
        Ok(())
    }

    /// The same where there are octets of the message among what is wanted.
    async fn write_with_octets(
        &mut self,
        row: &MessageRow,
        state: &RowState<'_>,
        items: Option<&FetchedItems>,
    ) -> Result<(), FetchError> {
        let plan = self.plan;
        let listed = items.and_then(FetchedItems::listed);
        // What is not stored beside the message.
        let of_body = || plan.octets().filter(|o| !o.listed || listed.is_none());
        let source = match of_body().next() {
            Some(_) => Some(Source::open(self.partition, *row, of_body()).await?),
            None => None,
        };
        let raw = source.as_ref().and_then(Source::whole).cloned();
        let parsed = raw
            .as_ref()
            .filter(|_| plan.octets().any(|o| o.needs_structure()))
            .map(|raw| Message::parse(raw));
        if let Some(source) = &source {
            for octets in plan.octets().filter(|octets| octets.is_decoded()) {
                if !source
                    .is_decodable(octets, parsed.as_ref(), self.parts)
                    .await?
                {
                    return Err(FetchError::UnknownCte);
                }
            }
        }
        // What is found first, before a byte is written: most that can fail fails here.
        let mut first = None;
        if let (Some(source), Some(octets)) = (&source, of_body().next()) {
            let found = source.find(octets, parsed.as_ref(), self.parts).await?;
            if let Found::Stream(place) | Found::Encoded(Encoded { place, .. }) = &found {
                self.read_piece(source, place.start, place.end).await?;
            }
            first = Some((octets, found));
        }
        let mut fetch = start_fetch(plan.enabled, self.writer, row);
        for want in &plan.wants {
            match want {
                Want::Octets(octets) => {
                    if let Some(listed) = listed.filter(|_| octets.listed) {
                        put_bytes(&mut fetch, octets, of_listed(listed, octets));
                        fetch.output().flush_if_full(self.stream).await?;
                        continue;
                    }
                    let Some(source) = &source else { continue };
                    let found = match first.take_if(|(of, _)| *of == octets) {
                        Some((_, found)) => found,
                        None => source
                            .find(octets, parsed.as_ref(), self.parts)
                            .await
                            .map_err(cut_off)?,
                    };
                    put(
                        &mut fetch,
                        octets,
                        found,
                        source,
                        self.partition,
                        self.stream,
                    )
                    .await?;
                    fetch.output().flush_if_full(self.stream).await?;
                }
                ready => put_ready(&mut fetch, ready, row, state, items),
            }
        }
        put_changed(&mut fetch, plan, row, state);
        fetch.finish();
        self.writer.flush_if_full(self.stream).await?;
        Ok(())
    }

    /// Whether the message can be read where a stream of it would begin.
    async fn read_piece(&self, source: &Source<'_>, from: u32, to: u32) -> Result<(), StoreError> {
        let len = PIECE.min(to - from);
        let piece = self.partition.read_body_range(source.location(), from, len);
        piece.await.map(drop)
    }
}

/// Writes an item that is at hand: of the row, or precomputed.
fn put_ready(
    fetch: &mut FetchWriter<'_>,
    want: &Want,
    row: &MessageRow,
    state: &RowState<'_>,
    items: Option<&FetchedItems>,
) {
    match want {
        Want::Uid => fetch.uid(row.uid),
        Want::Flags => fetch.flags(state.flag_words(row)),
        Want::InternalDate => fetch.internal_date(DateTime {
            unix: row.internal_date.seconds,
            offset_minutes: row.internal_date.zone,
        }),
        Want::Size => fetch.rfc822_size(u64::from(row.location.len)),
        Want::ModSeq => fetch.modseq(row.modseq),
        Want::EmailId => fetch.email_id(&MailboxId::from_bytes(row.email_id).to_string()),
        Want::ThreadId => fetch.thread_id(None),
        Want::SaveDate => fetch.save_date(Some(DateTime::utc(row.save_date))),
        Want::Envelope => fetch.envelope(items.map_or(&[][..], |i| i.envelope())),
        Want::Body => fetch.body(items.map_or(&[][..], |i| i.body())),
        Want::BodyStructure => fetch.body_structure(items.map_or(&[][..], |i| i.bodystructure())),
        Want::Preview => fetch.preview(Some(items.map_or(&[][..], |i| i.preview()))),
        // Not at hand.
        Want::Octets(_) => {}
    }
}

/// Writes what the command has changed, as far as it was not asked for.
fn put_changed(fetch: &mut FetchWriter<'_>, plan: &Plan, row: &MessageRow, state: &RowState<'_>) {
    if !state.tell_flags {
        return;
    }
    if state.condstore && !plan.has(&Want::Uid) && !plan.enabled.has(Extension::UidOnly) {
        fetch.uid(row.uid);
    }
    if !plan.has(&Want::Flags) {
        fetch.flags(state.flag_words(row));
    }
    if state.condstore && !plan.has(&Want::ModSeq) {
        fetch.modseq(row.modseq);
    }
}

/// Writes the octets of a section.
async fn put(
    fetch: &mut FetchWriter<'_>,
    octets: &Octets,
    found: Found,
    source: &Source<'_>,
    partition: &Partition,
    stream: &mut ClientStream,
) -> Result<(), FetchError> {
    let origin = octets.origin();
    let place = match found {
        Found::Nil => {
            put_bytes(fetch, octets, None);
            return Ok(());
        }
        Found::Ready(bytes) => {
            put_bytes(fetch, octets, Some(bytes));
            return Ok(());
        }
        Found::Encoded(encoded) => {
            match &octets.name {
                Name::BinarySize(path) => fetch.binary_size(path, encoded.len),
                Name::Binary(path) => {
                    fetch.binary_head(path, origin, encoded.len, encoded.nul);
                    binary::pour(fetch, &encoded, octets.partial, source, stream).await?;
                }
                // Nothing else is decoded.
                Name::Body(_) | Name::Rfc822(_) => {}
            }
            return Ok(());
        }
        Found::Stream(place) => place,
    };
    let len = u64::from(place.end - place.start);
    match &octets.name {
        Name::Body(section) => fetch.section_head(section, origin, len),
        Name::Rfc822(name) => fetch.rfc822_head(name, len),
        Name::BinarySize(path) => {
            fetch.binary_size(path, len);
            return Ok(());
        }
        // Decoded, so that it is known whether it has NULs.
        Name::Binary(_) => return Ok(()),
    }
    pour(fetch, place, source, partition, stream).await
}

/// Writes octets that are at hand, or NIL.
fn put_bytes(fetch: &mut FetchWriter<'_>, octets: &Octets, bytes: Option<Bytes>) {
    match &octets.name {
        Name::Body(section) => fetch.section(section, octets.origin(), bytes.map(without_nuls)),
        Name::Rfc822(name) => fetch.rfc822(name, bytes.map(without_nuls)),
        Name::Binary(path) => fetch.binary(path, octets.origin(), bytes),
        Name::BinarySize(path) => {
            fetch.binary_size(path, bytes.map_or(0, |bytes| bytes.len() as u64));
        }
    }
}

/// Sends a range of a message piece by piece.
async fn pour(
    fetch: &mut FetchWriter<'_>,
    place: Range<u32>,
    source: &Source<'_>,
    partition: &Partition,
    stream: &mut ClientStream,
) -> Result<(), FetchError> {
    let mut pieces = RawPieces::new(source.location(), place);
    while let Some(piece) = pieces.next(partition).await.map_err(cut_off)? {
        fetch.output().push(without_nuls(piece));
        fetch.output().flush_if_full(stream).await?;
    }
    Ok(())
}

/// A message that became unreadable while it was being sent: the client was promised octets
/// that there are not, so only the end of the connection tells it.
pub(super) fn cut_off(error: StoreError) -> FetchError {
    tracing::error!(%error, "a message cannot be read to its end");
    FetchError::Gone(io::Error::other(error))
}

impl Octets {
    /// Where a part of the octets begins.
    fn origin(&self) -> Option<u64> {
        self.partial.map(|partial| partial.origin)
    }

    /// Whether the message's parts must be known.
    pub fn needs_structure(&self) -> bool {
        matches!(self.section, murder_mime::Section::Part { .. })
    }
}

const _: () = assert!(PIECE <= WHOLE_LIMIT);
