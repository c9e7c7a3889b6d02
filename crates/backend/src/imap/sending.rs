//! Sending long answers: with bounded memory, and not for ever to a client that does not read.

use std::io;
use std::time::Duration;

use murder_imap::Output;
use murder_net::Stream;

/// Sends what waits if it is much, see [`Output::is_full`].
///
/// # Errors
/// Those of writing; `TimedOut` when the client has taken nothing for `patience`.
pub(crate) async fn send_if_full(
    out: &mut Output,
    stream: &mut Stream,
    patience: Duration,
) -> io::Result<()> {
    while out.is_full() {
        let waiting = out.len();
        match tokio::time::timeout(patience, out.flush_if_full(stream)).await {
            Ok(result) => return result,
            // Slow, but reading.
            Err(_) if out.len() < waiting => {}
            Err(_) => return Err(not_reading()),
        }
    }
    Ok(())
}

/// Sends everything.
///
/// # Errors
/// As [`send_if_full`].
pub(crate) async fn send(
    out: &mut Output,
    stream: &mut Stream,
    patience: Duration,
) -> io::Result<()> {
    loop {
        let waiting = out.len();
        match tokio::time::timeout(patience, out.flush(stream)).await {
            Ok(result) => return result,
            Err(_) if out.len() < waiting => {}
            Err(_) => return Err(not_reading()),
        }
    }
}

fn not_reading() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the client does not read")
}
