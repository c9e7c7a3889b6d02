//! IDLE (RFC 9051 section 6.3.13, RFC 2177).

use std::io;

use murder_imap::server::Line;
use murder_imap::{CommandReader, Status};
use murder_net::Alarm;
use murder_session::ClientStream;
use tokio::time::Instant;

use crate::imap::account::Account;
use crate::imap::client::Client;
use crate::imap::dispatch::boxed;
use crate::imap::errors::{OpError, OpResult, bad, ok};
use crate::imap::notify::{self, Wake};
use crate::imap::selected::Selected;
use crate::imap::updates::{Expunges, deleted, news};

/// What a client is told that has not been told anything for a while.
const STILL_HERE: &str = "Still here";

/// Tells what changes in the selected mailbox, if one is, and what NOTIFY asks for, until the
/// client is done. While it waits it holds no buffer.
pub(crate) async fn idle(
    client: &mut Client,
    account: &mut Account,
    mut selected: Option<&mut Selected>,
) -> OpResult {
    client.writer.continuation("idling");
    let every = client.node.config.limits.idle_notify();
    let mut due = Instant::now() + every;
    let mut alarm = Alarm::new(due);
    let deadline = Instant::now() + client.node.config.limits.idle_timeout();
    loop {
        // Before the comparison, so that no change falls in between.
        let mut wake = Wake::of(account, selected.as_deref());
        if let Some(selected) = selected.as_deref_mut() {
            selected.note_rights(&account.user.identity);
            if selected.hears && selected.handle.is_deleted() {
                return Err(OpError::Bye(deleted(account.is_frontends())));
            }
            news(client, account, selected, Expunges::Allowed).await?;
            if selected.gone {
                // Deleted just now; the client has its BYE.
                return Ok(ok("IDLE completed"));
            }
        }
        if account.notify.is_some() {
            boxed(notify::rest(client, account, selected.as_deref_mut())).await?;
        }
        wake.set_due(selected.as_deref());
        if !client.writer.is_empty() {
            client.flush().await?;
            due = Instant::now() + every;
        }
        let line = tokio::select! {
            biased;
            interruption = client.watch.interrupted(Some(&account.presence), deadline) => {
                let news = interruption.news()?;
                boxed(account.hear(&client.node, selected.as_deref_mut(), news)).await?;
                continue;
            }
            line = next_line(&mut client.reader, &mut client.stream) => line?,
            () = wake.wait() => continue,
            () = alarm.until(due) => {
                client.writer.untagged(Status::Ok, None, STILL_HERE);
                continue;
            }
        };
        return match line {
            Line::Line(line) if line.trim_ascii().eq_ignore_ascii_case(b"DONE") => {
                Ok(ok("IDLE completed"))
            }
            Line::Line(_) | Line::TooLong => Err(bad("Expected DONE")),
            Line::Eof => Err(OpError::Gone(io::ErrorKind::UnexpectedEof.into())),
        };
    }
}

/// The client's next line. Can be dropped and called again.
async fn next_line(reader: &mut CommandReader, stream: &mut ClientStream) -> io::Result<Line> {
    if !reader.has_buffered() {
        stream.readable().await?;
    }
    reader.read_line(stream).await
}
