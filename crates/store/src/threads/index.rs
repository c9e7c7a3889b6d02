//! The thread that fills indexes.

use std::sync::Arc;
use std::time::Instant;

use murder_mime::{all_address_search_text, fold, for_each_text, header_search_text, loosen_onto};
use rusqlite::params;

use crate::body::BodyLocation;
use crate::error::StoreError;
use crate::fulltext::database::{self, Index};
use crate::fulltext::sum_of;
use crate::home::schema;
use crate::metrics::Metrics;
use crate::shared::Shared;

/// Messages in one transaction.
const BATCH: usize = 64;
/// Bytes of text in one transaction, beyond which it ends: what the thread has in memory.
const BATCH_BYTES: usize = 4 << 20;
/// A message with more text is not indexed, but looked at by each search.
const TEXT_LIMIT: usize = 2 << 20;
/// Nor is a larger message, so as not to have it in memory.
const BODY_LIMIT: u32 = 32 << 20;
/// Entries without a message, beside a quarter of those with one, that are left alone.
const DEAD_LEFT: u64 = 256;
/// How much others come first, as `nice` counts it.
const NICE: i32 = 10;

/// Works until the partition closes.
pub(crate) fn run(shared: &Arc<Shared>) {
    // On Linux this is the thread's own. Without it, the pauses have to do.
    let _ = rustix::process::setpriority_process(None, NICE);
    while let Some(home) = shared.fulltext.next() {
        match work(shared, home) {
            Ok(()) => {}
            Err(error) => {
                shared.fulltext.let_go(home);
                let removed = database::remove(&shared.homes_dir, home);
                tracing::warn!(home, %error, ?removed, "a full-text index is dropped");
            }
        }
        if !schema::path(&shared.homes_dir, home).exists() {
            // It went while it was being indexed.
            shared.fulltext.let_go(home);
            let _ = database::remove(&shared.homes_dir, home);
        }
    }
}

/// A mailbox of a home.
struct Mailbox {
    rowno: i64,
    id: Vec<u8>,
    messages: u32,
}

/// A message that may have to be indexed.
struct Row {
    uid: u32,
    content: i64,
    body: BodyLocation,
}

fn work(shared: &Shared, home: u64) -> rusqlite::Result<()> {
    let Some(mailboxes) = read(shared, home, |conn| {
        let mut rows = conn.prepare_cached(
            "SELECT rowno, id, messages FROM mailbox WHERE keep_until = 0 ORDER BY rowno",
        )?;
        let rows = rows.query_map([], |r| {
            Ok(Mailbox {
                rowno: r.get(0)?,
                id: r.get(1)?,
                messages: r.get(2)?,
            })
        })?;
        rows.collect::<rusqlite::Result<Vec<_>>>()
    }) else {
        return Ok(());
    };
    let counts = mailboxes.iter().map(|mailbox| u64::from(mailbox.messages));
    let messages: u64 = counts.sum();
    let few = messages < u64::from(shared.config.index_least);
    if few && !database::path(&shared.homes_dir, home).exists() {
        return Ok(());
    }
    let mut index = Index::open(&shared.homes_dir, home)?;
    for mailbox in &mailboxes {
        while let Some(pause) = step(shared, home, &mut index, mailbox)? {
            if shared.fulltext.pause(pause) {
                return Ok(());
            }
        }
    }
    if index.len()? > messages + messages / 4 + DEAD_LEFT {
        clean(shared, home, &mut index, &mailboxes)?;
    }
    Ok(())
}

/// Indexes some messages of a mailbox. Returns how long to pause; `None` if nothing is left.
fn step(
    shared: &Shared,
    home: u64,
    index: &mut Index,
    mailbox: &Mailbox,
) -> rusqlite::Result<Option<std::time::Duration>> {
    let started = Instant::now();
    let mark = index.mark(&mailbox.id)?;
    let Some(rows) = read(shared, home, |conn| {
        let mut rows = conn.prepare_cached(
            "SELECT uid, content, segment, offset, len, crc FROM message \
             WHERE mailbox = ?1 AND uid > ?2 ORDER BY uid LIMIT ?3",
        )?;
        let rows = rows.query_map(params![mailbox.rowno, mark, BATCH as i64], row)?;
        rows.collect::<rusqlite::Result<Vec<_>>>()
    }) else {
        return Ok(None);
    };
    let mut texts: Vec<(i64, i64, Option<String>)> = Vec::new();
    let mut bytes = 0;
    let mut reached = mark;
    for row in &rows {
        let sum = sum_of(row.body);
        let known = texts.iter().any(|(content, ..)| *content == row.content);
        if !known && !index.has(row.content, sum)? {
            match text_of(shared, home, mailbox, row) {
                Ok(text) => {
                    bytes += text.as_ref().map_or(0, String::len);
                    texts.push((row.content, sum, text));
                }
                Err(StoreError::Closed) => return Ok(None),
                // Gone, or damaged: a search says so.
                Err(_) => {}
            }
        }
        reached = row.uid;
        if bytes > BATCH_BYTES {
            break;
        }
    }
    if reached == mark {
        return Ok(None);
    }
    index.add(&texts, &mailbox.id, reached)?;
    Metrics::add(&shared.metrics.indexed, texts.len() as u64);
    Ok(Some(started.elapsed()))
}

fn row(r: &rusqlite::Row<'_>) -> rusqlite::Result<Row> {
    Ok(Row {
        uid: r.get(0)?,
        content: r.get(1)?,
        body: BodyLocation {
            segment: r.get::<_, i64>(2)?.cast_unsigned(),
            offset: r.get::<_, i64>(3)?.cast_unsigned(),
            len: r.get(4)?,
            crc: r.get(5)?,
        },
    })
}

/// The text of a message as the index has it; `None` if there is too much of it.
fn text_of(
    shared: &Shared,
    home: u64,
    mailbox: &Mailbox,
    message: &Row,
) -> Result<Option<String>, StoreError> {
    if message.body.len > BODY_LIMIT {
        return Ok(None);
    }
    let read_at = |body: BodyLocation| shared.segments.read(body, 0, body.len);
    let raw = match read_at(message.body) {
        // Compaction may have moved it since.
        Err(StoreError::BodyGone) => {
            let moved = read(shared, home, |conn| {
                let mut rows = conn.prepare_cached(
                    "SELECT uid, content, segment, offset, len, crc FROM message \
                     WHERE mailbox = ?1 AND uid = ?2",
                )?;
                rows.query_row(params![mailbox.rowno, message.uid], row)
            });
            read_at(moved.ok_or(StoreError::BodyGone)?.body)?
        }
        other => other?,
    };
    Ok(index_text(&raw))
}

/// Everything that a search of the message looks at, folded and loosened, a line between each two
/// texts; `None` if it is more than [`TEXT_LIMIT`].
fn index_text(raw: &[u8]) -> Option<String> {
    let mut out = String::new();
    let mut add = |text: &str| {
        if text.len() <= TEXT_LIMIT {
            loosen_onto(&mut out, &fold(text));
        }
        out.push('\n');
        text.len() <= TEXT_LIMIT && out.len() <= TEXT_LIMIT
    };
    let header = header_search_text(raw) + &all_address_search_text(raw);
    let whole = add(&header) && for_each_text(raw, &mut add);
    // SQLite's tokenizer ends at a NUL, and no string that is looked up has one.
    whole.then(|| match out.contains('\0') {
        true => out.replace('\0', "\n"),
        false => out,
    })
}

/// Removes entries without a message.
fn clean(
    shared: &Shared,
    home: u64,
    index: &mut Index,
    mailboxes: &[Mailbox],
) -> rusqlite::Result<()> {
    let Some(mut living) = read(shared, home, |conn| {
        let mut rows = conn.prepare_cached("SELECT content FROM message")?;
        let rows = rows.query_map([], |r| r.get(0))?;
        rows.collect::<rusqlite::Result<Vec<i64>>>()
    }) else {
        return Ok(());
    };
    living.sort_unstable();
    living.dedup();
    for contents in index.dead(&living)?.chunks(BATCH) {
        let started = Instant::now();
        index.forget(contents)?;
        if shared.fulltext.pause(started.elapsed()) {
            return Ok(());
        }
    }
    let ids: Vec<Vec<u8>> = mailboxes.iter().map(|mailbox| mailbox.id.clone()).collect();
    index.forget_marks(&ids)
}

/// Reads a home; `None` if it cannot be read now, or has gone: that is not the index's fault.
fn read<T>(
    shared: &Shared,
    home: u64,
    how: impl FnOnce(&rusqlite::Connection) -> rusqlite::Result<T>,
) -> Option<T> {
    let result = shared.readers.with(home, |reader| how(reader.connection()));
    result
        .inspect_err(|error| tracing::debug!(home, %error, "a home is not indexed now"))
        .ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn texts() {
        assert_eq!(
            index_text(b"Subject: =?utf-8?q?Caf=C3=A9?=\r\n\r\nTwo\r\nLINES\0!").unwrap(),
            "subject: cafe\n\ntwo\r\nlines\n!\n"
        );
        let long = format!("Subject: a\r\n\r\n{}", "b".repeat(TEXT_LIMIT));
        assert_eq!(index_text(long.as_bytes()), None);
        assert_ne!(database::NOT_INDEXED, sum_of(BodyLocation::default()));
    }
}
