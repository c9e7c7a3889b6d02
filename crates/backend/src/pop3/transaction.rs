//! Commands of the TRANSACTION state (RFC 1939 sections 5 and 7).

use std::fmt::Display;
use std::io::{self, Write};
use std::sync::Arc;

use murder_pop3::{Octets, Stuffer, first_lines};
use murder_store::{MessageRow, StoreError};

use super::Pop3;
use super::body::BodyReader;
use super::maildrop::Maildrop;
use super::reply::{self, Reply, ok};
use super::session::{Done, End, MAX_OUTPUT, Stop, Wire};
use crate::nul::without_nuls;

/// STAT
pub(super) async fn stat(pop3: &Pop3, maildrop: &Maildrop) -> Done {
    let (count, octets) = sum(pop3, maildrop).await;
    Ok(Some(ok(format!("{count} {octets}"))))
}

/// LIST
pub(super) async fn list(
    pop3: &Pop3,
    wire: &mut Wire,
    maildrop: &Maildrop,
    message: Option<u32>,
) -> Done {
    if let Some(number) = message {
        let row = maildrop.message(number)?;
        let octets = size(pop3, maildrop, &row).await;
        return Ok(Some(ok(format!("{number} {octets}"))));
    }
    let (count, octets) = sum(pop3, maildrop).await;
    let messages = reply::messages(count);
    ok(format!("{messages} ({octets} octets)")).write(&mut wire.output);
    let (view, deleted) = maildrop.listing();
    for row in view.rows(1, view.len()) {
        if deleted.contains(row.uid) {
            continue;
        }
        let octets = size(pop3, maildrop, &row).await;
        line(wire, row.seq, octets).await?;
    }
    wire.output.extend_from_slice(b".\r\n");
    Ok(None)
}

/// UIDL
pub(super) async fn uidl(wire: &mut Wire, maildrop: &mut Maildrop, message: Option<u32>) -> Done {
    if let Some(number) = message {
        let row = maildrop.message(number)?;
        let id = maildrop.unique_id(&row);
        return Ok(Some(ok(format!("{number} {id}"))));
    }
    ok("unique-id listing follows").write(&mut wire.output);
    let (view, deleted) = maildrop.listing();
    for row in view.rows(1, view.len()) {
        if deleted.contains(row.uid) {
            continue;
        }
        let id = maildrop.unique_id(&row);
        line(wire, row.seq, id).await?;
    }
    wire.output.extend_from_slice(b".\r\n");
    Ok(None)
}

/// RETR
pub(super) async fn retr(
    pop3: &Pop3,
    wire: &mut Wire,
    maildrop: &mut Maildrop,
    number: u32,
    mark_seen: bool,
) -> Done {
    let row = maildrop.message(number)?;
    let mailbox = maildrop.id();
    let partition = Arc::clone(&maildrop.partition);
    let mut reader = BodyReader::new(&partition, row.location);
    // Before the `+OK`: of one that cannot be read, nothing is sent.
    let mut piece = reader.next().await?;
    let whole = piece
        .as_ref()
        .is_none_or(|piece| piece.len() == row.location.len as usize);
    let octets = match whole {
        true => {
            let mut octets = Octets::default();
            octets.push(piece.as_deref().unwrap_or_default());
            let octets = octets.finish();
            pop3.sizes.note(mailbox, &row, octets);
            Some(octets)
        }
        false => pop3.sizes.known(mailbox, &row),
    };
    let text = octets.map_or_else(|| "message follows".to_owned(), |n| format!("{n} octets"));
    ok(text).write(&mut wire.output);
    let mut stuffer = Stuffer::default();
    while let Some(bytes) = piece {
        for slice in bytes.chunks(MAX_OUTPUT) {
            stuffer.push(slice, &mut wire.output);
            wire.make_room().await?;
        }
        drop(bytes);
        piece = reader.next().await.map_err(cut_off)?;
    }
    stuffer.finish(&mut wire.output);
    if mark_seen {
        // Seen is what the connection has taken.
        wire.flush().await?;
        maildrop.retrieved(&row);
    }
    pop3.retrieved.inc();
    Ok(None)
}

/// TOP: the header, the empty line behind it, and the first lines of the body.
pub(super) async fn top(wire: &mut Wire, maildrop: &Maildrop, number: u32, lines: u32) -> Done {
    /// Read at a time: the header of most messages, and the lines that are asked for.
    const PART: u32 = 64 << 10;
    let row = maildrop.message(number)?;
    let partition = Arc::clone(&maildrop.partition);
    let header = row.header_len.min(row.location.len);
    let mut stuffer = Stuffer::default();
    let mut left = lines;
    let mut from = 0;
    while from < header || (left > 0 && from < row.location.len) {
        let wanted = match left {
            0 => header - from,
            _ => row.location.len - from,
        };
        let part = partition
            .read_body_range(row.location, from, wanted.min(PART))
            .await;
        let part = match part {
            Ok(part) if !part.is_empty() => without_nuls(part),
            Ok(_) => return Err(unreadable(from, row.location.corrupt())),
            Err(error) => return Err(unreadable(from, error)),
        };
        if from == 0 {
            ok("").write(&mut wire.output);
        }
        let in_header = (header.saturating_sub(from) as usize).min(part.len());
        let (head, body) = part.split_at(in_header);
        stuffer.push(head, &mut wire.output);
        stuffer.push(first_lines(body, &mut left), &mut wire.output);
        from += part.len() as u32;
        wire.make_room().await?;
    }
    if from == 0 {
        ok("").write(&mut wire.output);
    }
    stuffer.finish(&mut wire.output);
    Ok(None)
}

/// DELE
pub(super) fn dele(maildrop: &mut Maildrop, number: u32) -> Done {
    maildrop.delete(number)?;
    Ok(Some(ok(format!("Message {number} deleted"))))
}

/// RSET
pub(super) fn rset(maildrop: &mut Maildrop) -> Option<Reply> {
    maildrop.reset();
    let messages = reply::messages(maildrop.count());
    Some(ok(format!("Maildrop has {messages}")))
}

/// A message that became unreadable while it was being sent: only the end of the connection
/// tells that it is not whole, and the session removes nothing.
fn cut_off(error: StoreError) -> Stop {
    tracing::error!(%error, "a message cannot be read to its end");
    Stop::End(End::Gone(io::Error::other(error)))
}

fn unreadable(from: u32, error: StoreError) -> Stop {
    match from {
        0 => Reply::from(error).into(),
        _ => cut_off(error),
    }
}

/// How many messages there are, and their octets.
async fn sum(pop3: &Pop3, maildrop: &Maildrop) -> (u64, u64) {
    let (view, deleted) = maildrop.listing();
    let mut octets = 0;
    for row in view.rows(1, view.len()) {
        if !deleted.contains(row.uid) {
            octets += size(pop3, maildrop, &row).await;
            tokio::task::consume_budget().await;
        }
    }
    (maildrop.count(), octets)
}

async fn size(pop3: &Pop3, maildrop: &Maildrop, row: &MessageRow) -> u64 {
    let size = pop3.sizes.of(&maildrop.partition, maildrop.id(), row);
    size.await
}

/// One line of a listing.
async fn line(wire: &mut Wire, number: u32, what: impl Display) -> Result<(), Stop> {
    write!(wire.output, "{number} {what}\r\n")?;
    tokio::task::consume_budget().await;
    Ok(wire.make_room().await?)
}
