//! SORT (RFC 5256, RFC 5957): the order of what a search has found.

use std::cmp::Ordering;
use std::collections::HashSet;

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
    /// Compares a value with one of a column of the same criterion.
    fn compare(&self, one: usize, column: &Self, other: usize) -> Ordering {
        match (self, column) {
            (Self::Numbers(values), Self::Numbers(others)) => values[one].cmp(&others[other]),
            (Self::Strings(values), Self::Strings(others)) => values[one].cmp(&others[other]),
            _ => Ordering::Equal,
        }
    }
}

/// An order of messages.
#[derive(Debug, Clone)]
pub(crate) struct Order(Vec<SortCriterion>);

impl Order {
    /// The order of `criteria`; one that comes again decides nothing.
    pub fn new(criteria: &[SortCriterion]) -> Self {
        let mut known = Vec::new();
        let mut criteria = criteria.to_vec();
        criteria.retain(|criterion| {
            let new = !known.contains(&criterion.key);
            known.push(criterion.key);
            new
        });
        Self(criteria)
    }

    fn columns(&self, capacity: usize) -> Vec<Column> {
        let columns = self.0.iter().map(|criterion| match is_text(criterion.key) {
            true => Column::Strings(Vec::with_capacity(capacity)),
            false => Column::Numbers(Vec::with_capacity(capacity)),
        });
        columns.collect()
    }

    /// Adds what these messages, with their relevancies, are compared by.
    async fn gather(
        &self,
        columns: &mut [Column],
        rows: &[MessageRow],
        scores: &[u8],
        scope: &Scope<'_>,
        damaged: &mut Option<StoreError>,
    ) -> Result<(), StoreError> {
        let headers = match self.0.iter().any(|criterion| is_text(criterion.key)) {
            true => headers_of(scope, rows, damaged).await?,
            false => vec![Bytes::new(); rows.len()],
        };
        for (at, (row, header)) in rows.iter().zip(&headers).enumerate() {
            let score = scores.get(at).copied().unwrap_or(100);
            for (criterion, column) in self.0.iter().zip(&mut *columns) {
                match column {
                    Column::Numbers(values) => values.push(number(criterion.key, row, score)),
                    Column::Strings(values) => values.push(string(criterion.key, header)),
                }
            }
        }
        Ok(())
    }

    /// The same of one message; one that is damaged has what can be read of it.
    async fn gather_one(
        &self,
        row: MessageRow,
        score: &[u8],
        scope: &Scope<'_>,
    ) -> Result<Vec<Column>, StoreError> {
        let mut columns = self.columns(1);
        self.gather(&mut columns, &[row], score, scope, &mut None)
            .await?;
        Ok(columns)
    }

    /// Compares a message with another by what was gathered.
    fn compare(
        &self,
        (columns, one): (&[Column], usize),
        (others, other): (&[Column], usize),
    ) -> Ordering {
        let by = self.0.iter().zip(columns.iter().zip(others));
        by.map(|(criterion, (column, others))| {
            let by = column.compare(one, others, other);
            if criterion.reverse { by.reverse() } else { by }
        })
        .find(|by| by.is_ne())
        .unwrap_or(Ordering::Equal)
    }
}

/// Puts `hits` into `order`; what is alike stays in the order of the mailbox.
///
/// Memory: the keys, up to [`STRING`] bytes (three times that where characters are decomposed) a
/// message and criterion of text.
///
/// # Errors
/// When the disk cannot be read; when the client is gone.
pub(crate) async fn sort(
    order: &Order,
    hits: &mut Hits,
    scope: &Scope<'_>,
    progress: &mut Progress<'_>,
) -> Result<(), OpError> {
    let count = hits.seqs.len();
    let mut columns = order.columns(count);
    for (batch, seqs) in hits.seqs.chunks(AT_ONCE).enumerate() {
        progress.tick(seqs[0] - 1, scope.view.len()).await?;
        let rows: Vec<MessageRow> = seqs.iter().filter_map(|seq| scope.view.row(*seq)).collect();
        let scores = hits.scores.get(batch * AT_ONCE..).unwrap_or_default();
        let damaged = &mut hits.damaged;
        let gathered = order.gather(&mut columns, &rows, scores, scope, damaged);
        gathered.await?;
    }
    let order = order.clone();
    let sorted = tokio::task::spawn_blocking(move || {
        let mut sorted: Vec<usize> = (0..count).collect();
        sorted.sort_by(|one, other| order.compare((&columns, *one), (&columns, *other)));
        sorted
    });
    let sorted = sorted.await.map_err(|_| StoreError::Closed)?;
    hits.seqs = sorted.iter().map(|at| hits.seqs[*at]).collect();
    if !hits.scores.is_empty() {
        hits.scores = sorted.iter().map(|at| hits.scores[*at]).collect();
    }
    Ok(())
}

/// Where messages belong in a result that is in `order`: for each of `new`, which are in `order`
/// too, how many of `known` come before it. `known` are UIDs, and their relevancies if there are.
///
/// Some messages are found their place by looking at a few of the others; for many of them
/// everything is sorted.
///
/// # Errors
/// As [`sort`].
pub(crate) async fn places(
    order: &Order,
    (known, scores): (&[u32], &[u8]),
    new: &Hits,
    scope: &Scope<'_>,
    progress: &mut Progress<'_>,
) -> Result<Vec<usize>, OpError> {
    let probes = (known.len() + 1).ilog2() as usize + 1;
    if new.seqs.len() * probes > known.len() + new.seqs.len() {
        return places_by_sorting(order, (known, scores), new, scope, progress).await;
    }
    let mut places = Vec::with_capacity(new.seqs.len());
    let mut low = 0;
    for (at, seq) in new.seqs.iter().enumerate() {
        progress.tick(seq - 1, scope.view.len()).await?;
        let Some(row) = scope.view.row(*seq) else {
            continue;
        };
        let score = new.scores.get(at..).unwrap_or_default();
        let own = order.gather_one(row, score, scope).await?;
        let mut high = known.len();
        while low < high {
            let middle = low.midpoint(high);
            let score = scores.get(middle..).unwrap_or_default();
            let by = match scope.view.row_by_uid(known[middle]) {
                Some(probed) => {
                    let probe = order.gather_one(probed, score, scope).await?;
                    let by = order.compare((&probe, 0), (&own, 0));
                    by.then(probed.uid.cmp(&row.uid))
                }
                None => Ordering::Less,
            };
            match by {
                Ordering::Less => low = middle + 1,
                _ => high = middle,
            }
        }
        places.push(low);
    }
    Ok(places)
}

async fn places_by_sorting(
    order: &Order,
    (known, scores): (&[u32], &[u8]),
    new: &Hits,
    scope: &Scope<'_>,
    progress: &mut Progress<'_>,
) -> Result<Vec<usize>, OpError> {
    let known = known.iter().enumerate().filter_map(|(at, uid)| {
        let score = scores.get(at).copied().unwrap_or(100);
        Some((scope.view.seq_of(*uid)?, score))
    });
    let added = new.seqs.iter().enumerate().map(|(at, seq)| {
        let score = new.scores.get(at).copied().unwrap_or(100);
        (*seq, score)
    });
    let mut all: Vec<(u32, u8)> = known.chain(added).collect();
    all.sort_unstable();
    let is_new: HashSet<u32> = new.seqs.iter().copied().collect();
    let mut hits = Hits {
        seqs: all.iter().map(|(seq, _)| *seq).collect(),
        scores: all.iter().map(|(_, score)| *score).collect(),
        damaged: None,
    };
    sort(order, &mut hits, scope, progress).await?;
    let mut before = 0;
    let mut places = Vec::with_capacity(new.seqs.len());
    for seq in &hits.seqs {
        match is_new.contains(seq) {
            true => places.push(before),
            false => before += 1,
        }
    }
    Ok(places)
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
        collated(&decode_words(&mailbox.unwrap_or_default()))
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
        Some(decode_words(octets))
    };
    match (text(&address.mailbox), text(&address.host)) {
        (Some(mailbox), Some(host)) => format!("{mailbox}@{host}"),
        (mailbox, _) => mailbox.unwrap_or_default(),
    }
}

fn collated(text: &str) -> Box<str> {
    casemap(&text[..text.floor_char_boundary(STRING)]).into()
}
