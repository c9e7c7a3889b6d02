//! Waiting for a backend's answer while the client hears what it is to hear.

use tokio::time::{Instant, sleep_until};

use crate::backend::{Answer, BackendError, Completion, Connection, Event};
use crate::imap::client::Client;
use crate::imap::selected::write_status;

use super::progress::Progress;

/// Reads to the end of command `tag` on the selected mailbox's connection. What it tells of the
/// mailbox goes to the client.
pub(crate) async fn hear(
    client: &mut Client,
    connection: &mut Connection,
    tag: u32,
    progress: &mut Progress,
) -> Result<Completion, BackendError> {
    read(client, connection, tag, progress, true).await
}

/// The same on a connection that has no mailbox selected.
pub(super) async fn answer(
    client: &mut Client,
    connection: &mut Connection,
    tag: u32,
    progress: &mut Progress,
) -> Result<Completion, BackendError> {
    read(client, connection, tag, progress, false).await
}

async fn read(
    client: &mut Client,
    connection: &mut Connection,
    tag: u32,
    progress: &mut Progress,
    selected: bool,
) -> Result<Completion, BackendError> {
    let mut bytes = Vec::new();
    let mut silent_until = Instant::now() + connection.silence();
    loop {
        if !client.wire.has_room() {
            progress.drain(client).await;
        }
        match connection.event()? {
            Some(Event::Untagged { len, last, .. }) => {
                connection.take_bounded(len, &mut bytes)?;
                if last {
                    let bytes = std::mem::take(&mut bytes);
                    pass(client, &Answer { bytes }, selected);
                }
            }
            Some(Event::Status(status)) if selected => write_status(client, &status),
            Some(Event::Tagged(of, completion)) if of == tag => return Ok(completion),
            Some(Event::Status(_) | Event::Continuation | Event::Tagged(..)) => {}
            None => {
                let until = silent_until.min(progress.next());
                tokio::select! {
                    biased;
                    filled = connection.wire.fill() => match filled {
                        Ok(1..) => silent_until = Instant::now() + connection.silence(),
                        end => return Err(connection.lost_io(end)),
                    },
                    sent = client.wire.drain(), if progress.has_news(client) => {
                        if let Err(error) = sent {
                            progress.set_gone(error);
                        }
                    }
                    () = sleep_until(until) => {
                        if Instant::now() >= silent_until {
                            return Err(connection.lost("no answer in time"));
                        }
                        progress.tell_if_due(client).await;
                    }
                }
            }
        }
    }
}

/// Passes on what is told of the selected mailbox.
pub(super) fn pass(client: &mut Client, answer: &Answer, selected: bool) {
    if selected && answer.is_of_selected_mailbox() {
        client.wire.put(&answer.bytes);
    }
}
