//! SORT (RFC 5256, RFC 5957): the order of what a search has found.

use std::cmp::Ordering;

use bytes::Bytes;
use murder_imap::{SortCriterion, SortKey};
use murder_mime::{Address, addresses, base_subject, casemap, decode_words, header_raw};
use murder_store::{MessageRow, StoreError};

use super::headers::headers_of;
use super::run::{Hits, Scope};
use crate::imap::errors::OpError;
use crate::imap::progress::Progress;

/// Bytes of a string that count for the order: what is alike up to here is the same to a reader.
const STRING: usize = 256;
/// Messages whose keys are gathered between other sessions' turns.
const AT_ONCE: usize = 64;

/// What messages are compared by, one value a message, in the order of the hits.
enum Column {
    Numbers(Vec<i64>),
    Strings(Vec<Box<str>>),
}

impl Column {
    fn compare(&self, one: usize, other: usize) -> Ordering {
        match self {
            Self::Numbers(values) => values[one].cmp(&values[other]),
            Self::Strings(values) => values[one].cmp(&values[other]),
        }
    }
}

/// Puts `hits` into the order of `criteria`; what is alike stays in the order of the mailbox.
///
/// Memory: the keys, up to [`STRING`] bytes (three times that where characters are decomposed) a
/// message and criterion of text.
///
/// # Errors
/// When the disk cannot be read; when the client is gone.
pub(crate) async fn sort(
    criteria: &[SortCriterion],
    hits: &mut Hits,
    scope: &Scope<'_>,
    progress: &mut Progress<'_>,
) -> Result<(), OpError> {
    // A criterion that comes again decides nothing.
    let mut criteria = criteria.to_vec();
    let mut known = Vec::new();
    criteria.retain(|criterion| {
        let new = !known.contains(&criterion.key);
        known.push(criterion.key);
        new
    });
    let mut columns: Vec<Column> = criteria
        .iter()
        .map(|criterion| match is_text(criterion.key) {
            true => Column::Strings(Vec::with_capacity(hits.seqs.len())),
            false => Column::Numbers(Vec::with_capacity(hits.seqs.len())),
        })
        .collect();
    let with_header = criteria.iter().any(|criterion| is_text(criterion.key));
    for (batch, seqs) in hits.seqs.chunks(AT_ONCE).enumerate() {
        progress.tick(seqs[0] - 1, scope.view.len()).await?;
        let rows: Vec<MessageRow> = seqs.iter().filter_map(|seq| scope.view.row(*seq)).collect();
        let headers = match with_header {
            true => headers_of(scope, &rows, &mut hits.damaged).await?,
            false => vec![Bytes::new(); rows.len()],
        };
        for (at, (row, header)) in rows.iter().zip(&headers).enumerate() {
            let at = batch * AT_ONCE + at;
            let score = hits.scores.get(at).copied().unwrap_or(100);
            for (criterion, column) in criteria.iter().zip(&mut columns) {
                match column {
                    Column::Numbers(values) => values.push(number(criterion.key, row, score)),
                    Column::Strings(values) => values.push(string(criterion.key, header)),
                }
            }
        }
    }
    let count = hits.seqs.len();
    let order = tokio::task::spawn_blocking(move || {
        let mut order: Vec<usize> = (0..count).collect();
        order.sort_by(|one, other| {
            let by = criteria.iter().zip(&columns).map(|(criterion, column)| {
                let by = column.compare(*one, *other);
                if criterion.reverse { by.reverse() } else { by }
            });
            by.into_iter()
                .find(|by| by.is_ne())
                .unwrap_or(Ordering::Equal)
        });
        order
    });
    let order = order.await.map_err(|_| StoreError::Closed)?;
    hits.seqs = order.iter().map(|at| hits.seqs[*at]).collect();
    if !hits.scores.is_empty() {
        hits.scores = order.iter().map(|at| hits.scores[*at]).collect();
    }
    Ok(())
}

/// The sent date (RFC 5256 section 2.2).
pub(super) fn sent(row: &MessageRow) -> i64 {
    row.sent.unwrap_or(row.internal_date.seconds)
}

/// The base subject of a header as it is compared, and whether it is of a reply or forward.
pub(super) fn subject(header: &[u8]) -> (Box<str>, bool) {
    let subject = base_subject(header_raw(header, "Subject").unwrap_or_default());
    (collated(&subject.text), subject.is_reply)
}

fn is_text(key: SortKey) -> bool {
    match key {
        SortKey::Arrival | SortKey::Date | SortKey::Relevancy | SortKey::Size => false,
        SortKey::Cc
        | SortKey::DisplayFrom
        | SortKey::DisplayTo
        | SortKey::From
        | SortKey::Subject
        | SortKey::To => true,
    }
}

fn number(key: SortKey, row: &MessageRow, score: u8) -> i64 {
    match key {
        SortKey::Arrival => row.internal_date.seconds,
        SortKey::Date => sent(row),
        SortKey::Size => i64::from(row.location.len),
        // The best first.
        SortKey::Relevancy => -i64::from(score),
        _ => 0,
    }
}

fn string(key: SortKey, header: &[u8]) -> Box<str> {
    let first = |field| addresses(header_raw(header, field)?).into_iter().next();
    let mailbox = |field| {
        let mailbox = first(field).and_then(|address: Address| address.mailbox);
        collated(&String::from_utf8_lossy(&mailbox.unwrap_or_default()))
    };
    let shown =
        |field| first(field).map_or_else(Box::default, |address| collated(&display(&address)));
    match key {
        SortKey::From => mailbox("From"),
        SortKey::To => mailbox("To"),
        SortKey::Cc => mailbox("Cc"),
        SortKey::DisplayFrom => shown("From"),
        SortKey::DisplayTo => shown("To"),
        SortKey::Subject => subject(header).0,
        SortKey::Arrival | SortKey::Date | SortKey::Relevancy | SortKey::Size => Box::default(),
    }
}

/// What an address is sorted by as it is shown (RFC 5957 section 3).
fn display(address: &Address) -> String {
    let name = address.name.as_deref().map(decode_words);
    if let Some(name) = name.filter(|name| !name.is_empty()) {
        return name;
    }
    let text = |octets: &Option<Vec<u8>>| {
        let octets = octets.as_deref()?;
        Some(String::from_utf8_lossy(octets).into_owned())
    };
    match (text(&address.mailbox), text(&address.host)) {
        (Some(mailbox), Some(host)) => format!("{mailbox}@{host}"),
        (mailbox, _) => mailbox.unwrap_or_default(),
    }
}

fn collated(text: &str) -> Box<str> {
    casemap(&text[..text.floor_char_boundary(STRING)]).into()
}
