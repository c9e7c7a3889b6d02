//! BINARY (RFC 3516): parts without their transfer encoding. A large one is decoded as it is read,
//! once to learn how long it gets and once to send it, so that none is held.

use std::ops::Range;

use bytes::Bytes;
use murder_imap::{FetchWriter, Partial};
use murder_mime::Decoder;
use murder_store::StoreError;

use super::row::{FetchError, cut_off};
use super::source::{Found, Source};
use super::{PIECE, WHOLE_LIMIT};
use murder_session::ClientStream;

/// A part that is decoded as it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Encoded {
    /// Where it is in the message.
    pub place: Range<u32>,
    /// At its start.
    decoder: Decoder,
    /// How many octets of what it decodes to are asked for.
    pub len: u64,
    /// Whether there is a NUL among them.
    pub nul: bool,
}

/// What a part decodes to, as far as it is asked for: at hand if it is little.
pub(super) async fn decode(
    source: &Source<'_>,
    decoder: Decoder,
    place: Range<u32>,
    partial: Option<Partial>,
) -> Result<Found, StoreError> {
    let mut window = Window::new(partial);
    // Decoding makes nothing longer.
    let most = u64::from(place.end - place.start).min(window.wanted);
    let mut kept = Vec::new();
    let mut encoded = Encoded {
        place: place.clone(),
        decoder: decoder.clone(),
        len: 0,
        nul: false,
    };
    let mut pieces = Pieces::new(source, decoder, place);
    while let Some(piece) = pieces.next(&window).await? {
        let piece = window.cut(piece);
        encoded.len += piece.len() as u64;
        encoded.nul |= memchr::memchr(0, piece).is_some();
        if most <= u64::from(WHOLE_LIMIT) {
            kept.extend_from_slice(piece);
        }
    }
    match most <= u64::from(WHOLE_LIMIT) {
        true => Ok(Found::Ready(Bytes::from(kept))),
        false => Ok(Found::Encoded(encoded)),
    }
}

/// Sends what is asked for of a part piece by piece, behind its announcement.
pub(super) async fn pour(
    fetch: &mut FetchWriter<'_>,
    encoded: &Encoded,
    partial: Option<Partial>,
    source: &Source<'_>,
    stream: &mut ClientStream,
) -> Result<(), FetchError> {
    let mut window = Window::new(partial);
    let mut left = encoded.len;
    let mut pieces = Pieces::new(source, encoded.decoder.clone(), encoded.place.clone());
    while let Some(piece) = pieces.next(&window).await.map_err(cut_off)? {
        let piece = Bytes::copy_from_slice(window.cut(piece));
        left = left.saturating_sub(piece.len() as u64);
        fetch.output().push(piece);
        fetch.output().flush_if_full(stream).await?;
    }
    match left {
        0 => Ok(()),
        // Bodies do not change; whatever it is, the client waits for octets that there are not.
        _ => Err(cut_off(source.location().corrupt())),
    }
}

/// A part, decoded piece by piece.
struct Pieces<'a> {
    source: &'a Source<'a>,
    /// `None` behind the end.
    decoder: Option<Decoder>,
    rest: Range<u32>,
    decoded: Vec<u8>,
}

impl<'a> Pieces<'a> {
    fn new(source: &'a Source<'a>, decoder: Decoder, place: Range<u32>) -> Self {
        Self {
            source,
            decoder: Some(decoder),
            rest: place,
            decoded: Vec::new(),
        }
    }

    /// The next piece; `None` behind the end, and when `window` has all that it wants.
    async fn next(&mut self, window: &Window) -> Result<Option<&[u8]>, StoreError> {
        self.decoded.clear();
        let Some(decoder) = self.decoder.as_mut().filter(|_| window.wanted > 0) else {
            return Ok(None);
        };
        let end = self.rest.end.min(self.rest.start.saturating_add(PIECE));
        if self.rest.start == end {
            decoder.finish(&mut self.decoded);
            self.decoder = None;
        } else {
            let octets = self.source.piece(self.rest.start..end).await?;
            self.rest.start = end;
            decoder.decode(&octets, &mut self.decoded);
        }
        Ok(Some(&self.decoded))
    }
}

/// Which octets of a stream are asked for.
struct Window {
    /// Octets that come before.
    skip: u64,
    /// Octets that are wanted after those.
    wanted: u64,
}

impl Window {
    fn new(partial: Option<Partial>) -> Self {
        partial.map_or(
            Self {
                skip: 0,
                wanted: u64::MAX,
            },
            |partial| Self {
                skip: partial.origin,
                wanted: partial.length,
            },
        )
    }

    /// What of the next piece is asked for.
    fn cut<'a>(&mut self, piece: &'a [u8]) -> &'a [u8] {
        let len = piece.len() as u64;
        let from = self.skip.min(len);
        let to = from + self.wanted.min(len - from);
        self.skip -= from;
        self.wanted -= to - from;
        // Both are within the piece.
        &piece[from as usize..to as usize]
    }
}
