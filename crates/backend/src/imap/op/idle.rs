//! IDLE (RFC 9051 section 6.3.13, RFC 2177).

use std::future::pending;
use std::io;
use std::time::Duration;

use murder_imap::server::Line;
use tokio::sync::watch;

use crate::imap::errors::{OpError, OpResult, bad, ok};
use crate::imap::sending::send;
use crate::imap::session::{Session, State};
use crate::imap::updates::{DELETED, Expunges, report};

/// What an idle session was woken by.
enum Woken {
    /// The client has sent a line.
    Line(Line),
    /// The selected mailbox has changed.
    Changed,
    /// The client was silent for too long.
    Silent,
    /// The node is going down.
    Draining,
}

/// Tells what changes in the selected mailbox, if one is, until the client is done. While it
/// waits it holds no buffer.
pub(crate) async fn idle(session: &mut Session) -> OpResult {
    let limits = &session.node.config.limits;
    let patience = Duration::from_secs(limits.slow_reader_seconds);
    let silence = Duration::from_secs(limits.idle_timeout_seconds);
    let draining = session.node.shutdown.token();
    // Before the first comparison, so that no change falls in between.
    let mut changes = match &session.state {
        State::Selected(selected) => Some(selected.handle.subscribe()),
        _ => None,
    };
    session.writer.continuation("idling");
    let end = tokio::time::Instant::now() + silence;
    loop {
        if let State::Selected(selected) = &session.state
            && selected.handle.is_deleted()
        {
            return Err(OpError::Bye(DELETED.into()));
        }
        report(session, Expunges::Allowed);
        if !session.writer.is_empty() {
            send(session.writer.output(), &mut session.stream, patience).await?;
        }
        let woken = tokio::select! {
            line = next_line(session) => Woken::Line(line?),
            () = changed(&mut changes) => Woken::Changed,
            () = tokio::time::sleep_until(end) => Woken::Silent,
            () = draining.cancelled() => Woken::Draining,
        };
        return match woken {
            Woken::Changed => continue,
            Woken::Line(Line::Line(line)) if line.trim_ascii().eq_ignore_ascii_case(b"DONE") => {
                Ok(ok("Idle completed"))
            }
            Woken::Line(Line::Line(_) | Line::TooLong) => Err(bad("Expected DONE")),
            Woken::Line(Line::Eof) => Err(OpError::Gone(io::ErrorKind::UnexpectedEof.into())),
            Woken::Silent => Err(OpError::Bye("Idle for too long".into())),
            Woken::Draining => Err(OpError::Bye("Server is going down".into())),
        };
    }
}

/// The client's next line. Can be dropped and called again.
async fn next_line(session: &mut Session) -> io::Result<Line> {
    if !session.reader.has_buffered() {
        session.stream.readable().await?;
    }
    session.reader.read_line(&mut session.stream).await
}

/// Waits for the next change.
async fn changed(changes: &mut Option<watch::Receiver<u64>>) {
    let alive = match changes {
        Some(changes) => changes.changed().await.is_ok(),
        None => false,
    };
    if !alive {
        pending().await
    }
}
