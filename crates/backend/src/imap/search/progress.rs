//! Searches that take long: they let others work, say how far they are, and end when nobody waits
//! for them any more.

use std::time::Duration;

use murder_imap::{Code, ResponseWriter, Status};
use murder_net::Shutdown;
use tokio::time::Instant;

use crate::imap::errors::OpError;
use crate::imap::session::SHUTTING_DOWN;
use crate::stream::ClientStream;

/// How often a client is told that its command is in progress: RFC 9585 section 4 recommends 10 to
/// 15 seconds. It is also how soon it is noticed that the client is gone: the second write to a
/// closed connection fails.
const INTERVAL: Duration = Duration::from_secs(10);

/// How far a command is that searches several mailboxes, counted in mailboxes.
pub(crate) struct Mailboxes {
    /// Searched so far.
    pub done: u32,
    /// To be searched.
    pub goal: u32,
    next: Instant,
}

impl Mailboxes {
    /// None of `goal` is searched yet.
    pub fn new(goal: usize) -> Self {
        Self {
            done: 0,
            goal: u32::try_from(goal).unwrap_or(u32::MAX),
            next: Instant::now() + INTERVAL,
        }
    }
}

/// The progress of one command.
pub(crate) struct Progress<'a> {
    writer: &'a mut ResponseWriter,
    stream: &'a mut ClientStream,
    shutdown: &'a Shutdown,
    /// The command's tag; `None` to say nothing.
    tag: Option<String>,
    next: Instant,
    /// The most that was told to be done.
    told: u32,
    /// What is counted if not messages.
    mailboxes: Option<&'a mut Mailboxes>,
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
            told: 0,
            mailboxes: None,
        }
    }

    /// Of a command that searches these mailboxes, one after the other.
    pub fn among(self, mailboxes: &'a mut Mailboxes) -> Self {
        Self {
            mailboxes: Some(mailboxes),
            ..self
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
        let (next, done, goal) = match &mut self.mailboxes {
            Some(mailboxes) => (&mut mailboxes.next, mailboxes.done, mailboxes.goal),
            None => (&mut self.next, done, goal),
        };
        let now = Instant::now();
        if now < *next {
            return Ok(());
        }
        *next = now + INTERVAL;
        let Some(tag) = &self.tag else {
            return Ok(());
        };
        // SORT and THREAD look at messages a second time: nothing goes back (section 4).
        self.told = self.told.max(done);
        let code = Code::InProgress {
            // A code ends with the first `]`.
            tag: Some(tag.clone()).filter(|tag| !tag.contains(']')),
            done: Some(self.told),
            goal: Some(goal).filter(|goal| *goal > self.told),
        };
        self.writer
            .untagged(Status::Ok, Some(&code), "Still searching");
        Ok(self.writer.flush(self.stream).await?)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use murder_imap::NameEncoding;
    use murder_net::Stream;
    use tokio::io::{AsyncBufReadExt, BufReader};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    async fn connection() -> (ClientStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap());
        let (client, accepted) = tokio::join!(client, listener.accept());
        let stream = Stream::new(accepted.unwrap().0).unwrap();
        (
            ClientStream::new(stream, Duration::from_secs(20)),
            client.unwrap(),
        )
    }

    #[tokio::test]
    async fn it_is_told_when_it_is_time() {
        let (mut stream, client) = connection().await;
        let mut writer = ResponseWriter::new(NameEncoding::default());
        let shutdown = Shutdown::new();
        let mut progress =
            Progress::new(&mut writer, &mut stream, &shutdown, Some("A1".to_owned()));
        progress.tick(1, 10).await.unwrap();
        assert!(progress.writer().output().is_empty());
        progress.next = Instant::now();
        progress.tick(3, 10).await.unwrap();
        let mut line = String::new();
        let mut lines = BufReader::new(client);
        lines.read_line(&mut line).await.unwrap();
        assert_eq!(line, "* OK [INPROGRESS (\"A1\" 3 10)] Still searching\r\n");
        // Not again at once.
        progress.tick(4, 10).await.unwrap();
        assert!(progress.writer().output().is_empty());
        // Never less than before; a tag that cannot be in a code is left out.
        progress.tag = Some("A]1".to_owned());
        progress.next = Instant::now();
        progress.tick(2, 10).await.unwrap();
        line.clear();
        lines.read_line(&mut line).await.unwrap();
        assert_eq!(line, "* OK [INPROGRESS (NIL 3 10)] Still searching\r\n");
        // Of several mailboxes, it is they that are counted.
        let mut mailboxes = Mailboxes::new(7);
        mailboxes.done = 2;
        mailboxes.next = Instant::now();
        let mut progress =
            Progress::new(&mut writer, &mut stream, &shutdown, Some("A2".to_owned()))
                .among(&mut mailboxes);
        progress.tick(500, 501).await.unwrap();
        progress.tick(500, 501).await.unwrap();
        line.clear();
        lines.read_line(&mut line).await.unwrap();
        assert_eq!(line, "* OK [INPROGRESS (\"A2\" 2 7)] Still searching\r\n");
        assert!(progress.writer().output().is_empty());
        // A frontend is told nothing.
        let mut progress = Progress::new(&mut writer, &mut stream, &shutdown, None);
        progress.next = Instant::now();
        progress.tick(3, 10).await.unwrap();
        assert!(progress.writer().output().is_empty());
    }

    #[tokio::test]
    async fn it_ends_with_the_client_and_with_the_server() {
        let (mut stream, client) = connection().await;
        let mut writer = ResponseWriter::new(NameEncoding::default());
        let shutdown = Shutdown::new();
        let mut progress =
            Progress::new(&mut writer, &mut stream, &shutdown, Some("A1".to_owned()));
        drop(client);
        let ended = tokio::time::timeout(Duration::from_secs(20), async {
            loop {
                progress.next = Instant::now();
                if let Err(error) = progress.tick(0, 1).await {
                    return error;
                }
            }
        });
        assert!(matches!(ended.await.unwrap(), OpError::Gone(_)));
        let (mut stream, _client) = connection().await;
        let _ = shutdown.drain(Duration::ZERO).await;
        let mut progress = Progress::new(&mut writer, &mut stream, &shutdown, None);
        let ended = progress.tick(0, 1).await.unwrap_err();
        assert!(matches!(ended, OpError::Bye(_)));
    }
}
