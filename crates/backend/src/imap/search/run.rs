//! Evaluating a search for every message of a view.

use std::sync::Arc;

use bytes::Bytes;
use murder_store::{MailboxView, MessageRow, Partition, StoreError, UidSet};

use super::evaluate::{InHeader, Known};
use super::program::Program;
use crate::imap::fetch::room_for;

/// Messages whose columns are gathered at a time.
const ROWS_AT_ONCE: usize = 256;
/// Evaluated keys after which other sessions get their turn: some 100 microseconds.
const KEYS_AT_ONCE: usize = 16 * 1024;
/// Bytes of text, times strings to find in them, that are searched between other sessions'
/// turns; more, of one message, is searched on a thread that may block.
const TEXT_AT_ONCE: usize = 512 << 10;
/// Messages up to this size are read at once when both header and texts may be looked at.
const READ_WHOLE: u32 = 64 << 10;

/// What is searched.
pub(crate) struct Scope<'a> {
    /// Where the messages are.
    pub partition: &'a Partition,
    /// The client's view.
    pub view: &'a MailboxView,
    /// The mailbox without the messages that are gone: those do not match.
    pub newest: &'a MailboxView,
    /// Whose `\Seen` counts.
    pub seen_user: Option<&'a str>,
    /// What is `\Recent`.
    pub recent: &'a UidSet,
}

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// UIDs or sequence numbers, ascending.
    pub numbers: Vec<u32>,
    /// The greatest MODSEQ among them.
    pub modseq: u64,
    /// Why a message could not be looked at.
    pub damaged: Option<StoreError>,
}

/// The messages that match, as UIDs or sequence numbers.
///
/// Memory: the result, four bytes a message, and one message at a time.
///
/// # Errors
/// When the disk cannot be read.
pub(crate) async fn run(
    program: &Arc<Program>,
    scope: &Scope<'_>,
    uid: bool,
) -> Result<Found, StoreError> {
    let view = scope.view;
    let everything = std::iter::once(1..=view.len());
    let places: Vec<_> = match &program.places {
        Some(ranges) => ranges.0.clone(),
        None => everything.collect(),
    };
    let check_gone = !std::ptr::eq(view, scope.newest);
    let mut found = Found::default();
    let mut work = 0;
    let mut rows = Vec::new();
    for place in places {
        let (mut next, last) = (*place.start(), (*place.end()).min(view.len()));
        while next <= last {
            rows.clear();
            rows.extend(view.rows(next, last).take(ROWS_AT_ONCE));
            next = rows.last().map_or(last, |row: &MessageRow| row.seq) + 1;
            for row in &rows {
                work += program.size;
                if work >= KEYS_AT_ONCE {
                    work = 0;
                    tokio::task::yield_now().await;
                }
                if check_gone && scope.newest.seq_of(row.uid).is_none() {
                    continue;
                }
                let by_columns = program.matches(&known(scope, row, None, None));
                let matches = match by_columns {
                    Some(matches) => matches,
                    None => match read_and_match(program, scope, row, &mut work).await {
                        Err(StoreError::BodyGone) => false,
                        Err(error @ StoreError::Corrupt { .. }) => {
                            found.damaged = Some(error);
                            false
                        }
                        other => other?,
                    },
                };
                if matches {
                    found.numbers.push(if uid { row.uid } else { row.seq });
                    found.modseq = found.modseq.max(row.modseq);
                }
            }
        }
    }
    Ok(found)
}

fn known<'a>(
    scope: &'a Scope<'_>,
    row: &'a MessageRow,
    header: Option<&'a InHeader>,
    texts: Option<&'a [bool]>,
) -> Known<'a> {
    Known {
        view: scope.view,
        row,
        seen_user: scope.seen_user,
        recent: scope.recent,
        header,
        texts,
    }
}

/// Whether a message matches that cannot be judged by its columns.
async fn read_and_match(
    program: &Arc<Program>,
    scope: &Scope<'_>,
    row: &MessageRow,
    work: &mut usize,
) -> Result<bool, StoreError> {
    let at = row.location;
    let header_len = row.header_len.min(at.len);
    let has_texts = !program.texts.is_empty();
    let mut room = room_for(header_len).await?;
    let mut whole = None;
    let header: Bytes = if has_texts && at.len <= READ_WHOLE {
        let raw = scope.partition.read_body(at).await?;
        let header = raw.slice(..header_len as usize);
        whole = Some(raw);
        header
    } else {
        let read = scope.partition.read_body_range(at, 0, header_len);
        read.await?
    };
    let strings = program.fields.len() + program.texts.len();
    let header = look(program, header, strings, work, Program::search_header).await?;
    if let Some(matches) = program.matches(&known(scope, row, Some(&header), None)) {
        return Ok(matches);
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
    let strings = program.texts.len();
    let texts = look(program, raw, strings, work, Program::search_texts).await?;
    let matches = program.matches(&known(scope, row, Some(&header), Some(&texts)));
    debug_assert!(matches.is_some(), "everything is known");
    drop(room);
    Ok(matches.unwrap_or(false))
}

/// Looks for `strings` strings in `raw`: here, or if that may take long, where it may.
async fn look<T: Send + 'static>(
    program: &Arc<Program>,
    raw: Bytes,
    strings: usize,
    work: &mut usize,
    how: fn(&Program, &[u8]) -> T,
) -> Result<T, StoreError> {
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
