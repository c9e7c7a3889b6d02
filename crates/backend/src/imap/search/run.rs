//! Evaluating a search for every message of a view.

use std::ops::RangeInclusive;
use std::sync::Arc;

use bytes::Bytes;
use murder_store::{
    MailboxHandle, MailboxView, MessageRow, Partition, StoreError, TextCandidates, UidSet,
};

use super::evaluate::{Known, Looked};
use super::headers::listed_of;
use super::program::{Program, Ranges, places_of};
use crate::imap::errors::OpError;
use crate::imap::fetch::room_for;
use crate::imap::progress::Progress;

/// Messages whose columns are gathered at a time.
const ROWS_AT_ONCE: usize = 256;
/// Evaluated keys after which other sessions get their turn: some 100 microseconds.
const KEYS_AT_ONCE: usize = 16 * 1024;
/// Bytes of text, times strings to find in them, that are searched between other sessions'
/// turns; more, of one message, is searched on a thread that may block.
const TEXT_AT_ONCE: usize = 512 << 10;
/// How many of a mailbox's messages make it worth to ask the full-text index, which answers for
/// all of them.
const INDEX_FROM: u32 = 32;
/// Messages up to this size are read at once when both header and texts may be looked at.
const READ_WHOLE: u32 = 64 << 10;

/// What is searched.
pub(crate) struct Scope<'a> {
    /// Where the messages are.
    pub partition: &'a Partition,
    /// The mailbox.
    pub handle: &'a MailboxHandle,
    /// The client's view.
    pub view: &'a MailboxView,
    /// The mailbox without the messages that are gone: those do not match.
    pub newest: &'a MailboxView,
    /// Whose `\Seen` counts.
    pub seen_user: Option<&'a str>,
    /// What is `\Recent`.
    pub recent: &'a UidSet,
}

impl<'a> Scope<'a> {
    /// What is known of a message before it is read.
    pub(super) fn known(
        &self,
        row: &'a MessageRow,
        index: Option<&'a TextCandidates>,
    ) -> Known<'a> {
        Known {
            view: self.view,
            row,
            seen_user: self.seen_user,
            recent: self.recent,
            index,
            header: None,
            texts: None,
        }
    }
}

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Hits {
    /// Sequence numbers in the view: ascending, unless sorted otherwise.
    pub seqs: Vec<u32>,
    /// The relevancy of each, from 1 to 100; empty unless a key is fuzzy.
    pub scores: Vec<u8>,
    /// Why a message could not be looked at.
    pub damaged: Option<StoreError>,
}

impl Hits {
    /// The UIDs, if they are not sorted otherwise.
    pub fn uids(&self, view: &MailboxView) -> UidSet {
        let uids = self.seqs.iter().filter_map(|seq| view.uid_of(*seq));
        uids.collect()
    }

    /// Takes messages out.
    pub fn remove(&mut self, uids: &UidSet, view: &MailboxView) {
        let stays = |seq: u32| view.uid_of(seq).is_some_and(|uid| !uids.contains(uid));
        if !self.scores.is_empty() {
            let mut at = 0..;
            self.scores
                .retain(|_| at.next().is_some_and(|at| stays(self.seqs[at])));
        }
        self.seqs.retain(|seq| stays(*seq));
    }
}

/// The messages that match.
///
/// Memory: the result, four bytes a message, and one message at a time.
///
/// # Errors
/// When the disk cannot be read; when the client is gone.
pub(crate) async fn run(
    program: &Arc<Program>,
    scope: &Scope<'_>,
    progress: &mut Progress<'_>,
) -> Result<Hits, OpError> {
    let everything = std::iter::once(1..=scope.view.len());
    let places = match &program.places {
        Some(ranges) => ranges.0.clone(),
        None => everything.collect(),
    };
    let index = match program.filters.is_empty() || scope.view.is_empty() {
        true => None,
        false => scope.handle.text_candidates(&program.filters).await,
    };
    run_at(program, scope, places, index.as_ref(), progress).await
}

/// The messages that match among `uids`; see [`run`].
///
/// # Errors
/// As [`run`].
pub(crate) async fn run_among(
    program: &Arc<Program>,
    scope: &Scope<'_>,
    uids: &UidSet,
    progress: &mut Progress<'_>,
) -> Result<Hits, OpError> {
    let ranges = uids.ranges().iter().map(|(low, high)| *low..=*high);
    let places = places_of(&Ranges(ranges.collect()), scope.view).0;
    let count: u32 = places.iter().map(|p| p.end() - p.start() + 1).sum();
    let index = match program.filters.is_empty() || count < INDEX_FROM {
        true => None,
        false => scope.handle.text_candidates(&program.filters).await,
    };
    run_at(program, scope, places, index.as_ref(), progress).await
}

/// The messages that match at some places, ascending ranges of sequence numbers. Without `index`,
/// texts are looked for in all of them.
async fn run_at(
    program: &Arc<Program>,
    scope: &Scope<'_>,
    places: Vec<RangeInclusive<u32>>,
    index: Option<&TextCandidates>,
    progress: &mut Progress<'_>,
) -> Result<Hits, OpError> {
    let view = scope.view;
    let check_gone = !std::ptr::eq(view, scope.newest);
    let mut hits = Hits::default();
    let mut work = 0;
    let mut rows = Vec::new();
    for place in places {
        let (mut next, last) = (*place.start(), (*place.end()).min(view.len()));
        while next <= last {
            rows.clear();
            rows.extend(view.rows(next, last).take(ROWS_AT_ONCE));
            next = rows.last().map_or(last, |row: &MessageRow| row.seq) + 1;
            let mut judged: Vec<(MessageRow, Option<u8>)> = Vec::new();
            // Where in `judged` are those that columns do not judge.
            let mut open = Vec::new();
            for row in &rows {
                work += program.size;
                if work >= KEYS_AT_ONCE {
                    work = 0;
                    progress.tick(row.seq - 1, view.len()).await?;
                }
                if check_gone && scope.newest.seq_of(row.uid).is_none() {
                    continue;
                }
                let known = scope.known(row, index);
                match program.matches(&known) {
                    Some(true) => judged.push((*row, Some(program.relevancy(&known)))),
                    Some(false) => {}
                    None => {
                        open.push(judged.len());
                        judged.push((*row, None));
                    }
                }
            }
            let mut listed = Vec::new();
            if program.looks_at_listed_fields_only() && !open.is_empty() {
                let rows: Vec<MessageRow> = open.iter().map(|at| judged[*at].0).collect();
                listed = listed_of(scope, &rows).await?;
            }
            let mut listed = listed.into_iter();
            for at in open {
                let (row, score) = &mut judged[at];
                if work >= KEYS_AT_ONCE {
                    work = 0;
                    progress.tick(row.seq - 1, view.len()).await?;
                }
                let known = scope.known(row, index);
                let header = listed.next().flatten();
                match read_and_match(program, scope, &known, header, &mut work).await {
                    Err(StoreError::BodyGone) => {}
                    Err(error @ StoreError::Corrupt { .. }) => hits.damaged = Some(error),
                    result => *score = result?,
                }
            }
            for (row, score) in judged {
                let Some(score) = score else { continue };
                hits.seqs.push(row.seq);
                if program.is_fuzzy {
                    hits.scores.push(score);
                }
            }
        }
    }
    Ok(hits)
}

/// The relevancy of a message that cannot be judged by its columns; `None` if it does not match.
/// `listed`: the fields of its header that are stored beside it, if they are all that counts.
async fn read_and_match(
    program: &Arc<Program>,
    scope: &Scope<'_>,
    known: &Known<'_>,
    listed: Option<Bytes>,
    work: &mut usize,
) -> Result<Option<u8>, StoreError> {
    let at = known.row.location;
    let header_len = known.row.header_len.min(at.len);
    let mut room = room_for(header_len).await?;
    let mut whole = None;
    let header = if let Some(listed) = listed {
        listed
    } else if program.looks_at_texts() && at.len <= READ_WHOLE {
        let raw = scope.partition.read_body(at).await?;
        let header = raw.slice(..header_len as usize);
        whole = Some(raw);
        header
    } else {
        let read = scope.partition.read_body_range(at, 0, header_len);
        read.await?
    };
    let strings = program.strings();
    let header = look(program, header, strings, work, Program::search_header).await?;
    let known = Known {
        header: Some(&header),
        ..*known
    };
    if let Some(matches) = program.matches(&known) {
        return Ok(matches.then(|| program.relevancy(&known)));
    }
    let raw = match whole {
        Some(raw) => raw,
        None => {
            if room.is_none() {
                room = room_for(at.len).await?;
            }
            scope.partition.read_body(at).await?
        }
    };
    let texts = look(program, raw, strings, work, Program::search_texts).await?;
    let known = Known {
        texts: Some(&texts),
        ..known
    };
    let matches = program.matches(&known);
    debug_assert!(matches.is_some(), "everything is known");
    drop(room);
    Ok(matches.unwrap_or(false).then(|| program.relevancy(&known)))
}

/// Looks for `strings` strings in `raw`: here, or if that may take long, where it may.
async fn look(
    program: &Arc<Program>,
    raw: Bytes,
    strings: usize,
    work: &mut usize,
    how: fn(&Program, &[u8]) -> Looked,
) -> Result<Looked, StoreError> {
    let effort = raw.len().saturating_mul(strings.max(1));
    if effort <= TEXT_AT_ONCE {
        // A key takes some nanoseconds, as do a few bytes.
        *work += effort / 8;
        return Ok(how(program, &raw));
    }
    let program = Arc::clone(program);
    tokio::task::spawn_blocking(move || how(&program, &raw))
        .await
        .map_err(|_| StoreError::Closed)
}
