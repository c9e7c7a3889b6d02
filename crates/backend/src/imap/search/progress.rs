//! Searches that take long: they let others work, say how far they are, and end when nobody waits
//! for them any more.

use std::time::Duration;

use murder_imap::{Code, ResponseWriter, Status};
use murder_net::Shutdown;
use tokio::time::Instant;

use crate::imap::errors::OpError;
use crate::imap::session::SHUTTING_DOWN;
use crate::imap::stream::ClientStream;

/// How often a client is told that its command is in progress. It is also how soon it is noticed
/// that the client is gone: the second write to a closed connection fails.
const INTERVAL: Duration = Duration::from_secs(5);

/// The progress of one command.
pub(crate) struct Progress<'a> {
    writer: &'a mut ResponseWriter,
    stream: &'a mut ClientStream,
    shutdown: &'a Shutdown,
    /// The command's tag; `None` to say nothing.
    tag: Option<String>,
    next: Instant,
}

impl<'a> Progress<'a> {
    /// Of the command with this tag. Without one nothing is said: a frontend's tags mean nothing
    /// to its client.
    pub fn new(
        writer: &'a mut ResponseWriter,
        stream: &'a mut ClientStream,
        shutdown: &'a Shutdown,
        tag: Option<String>,
    ) -> Self {
        Self {
            writer,
            stream,
            shutdown,
            tag,
            next: Instant::now() + INTERVAL,
        }
    }

    /// The command's output.
    pub fn writer(&mut self) -> &mut ResponseWriter {
        self.writer
    }

    /// Sends what is queued if it is much.
    ///
    /// # Errors
    /// The client is gone.
    pub async fn make_room(&mut self) -> Result<(), OpError> {
        Ok(self.writer.flush_if_full(self.stream).await?)
    }

    /// Others get their turn; every few seconds, the client is told how far it is (RFC 9585). To
    /// be called after each part of the work, some 100 microseconds of it.
    ///
    /// # Errors
    /// The client is gone, or the server shuts down.
    pub async fn tick(&mut self, done: u32, goal: u32) -> Result<(), OpError> {
        tokio::task::yield_now().await;
        if self.shutdown.is_draining() {
            return Err(OpError::Bye(SHUTTING_DOWN.into()));
        }
        let now = Instant::now();
        if now < self.next {
            return Ok(());
        }
        self.next = now + INTERVAL;
        let Some(tag) = &self.tag else {
            return Ok(());
        };
        let code = Code::InProgress {
            tag: tag.clone(),
            done: Some(done),
            goal: Some(goal).filter(|goal| *goal > done),
        };
        self.writer
            .untagged(Status::Ok, Some(&code), "Still searching");
        Ok(self.writer.flush(self.stream).await?)
    }
}
