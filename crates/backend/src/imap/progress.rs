//! Commands that take long: they let others work, say how far they are (INPROGRESS, RFC 9585), and
//! notice when nobody waits for them any more.

use std::pin::pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use murder_imap::{Code, ResponseWriter, Status, Tag};
use murder_net::Shutdown;
use murder_session::{ClientStream, Goodbye};
use tokio::time::{Instant, sleep_until};

use crate::imap::Imap;
use crate::imap::account::User;
use crate::imap::errors::OpError;

/// How often a client is told that its command is in progress: RFC 9585 section 4 recommends 10 to
/// 15 seconds. It is also how soon it is noticed that the client is gone: the second write to a
/// closed connection fails.
pub(crate) const INTERVAL: Duration = Duration::from_secs(10);

/// When the client of a command is told how far it is.
#[derive(Debug, Clone)]
pub(crate) struct Pace {
    /// The command's tag; `None` to say nothing.
    tag: Option<String>,
    interval: Duration,
    next: Instant,
    /// Of which part of the command the progress is, and how many there are.
    part: Option<(u32, u32)>,
    /// The most that was told to be done.
    told: u32,
}

impl Pace {
    /// Of the command with this tag. To a frontend nothing is said: its tags mean nothing to its
    /// client.
    pub fn new(imap: &Imap, user: &User, tag: &Tag) -> Self {
        let tag = (!user.namespace.is_canonical()).then(|| tag.to_string());
        Self::with(tag, imap.progress_interval)
    }

    /// Of what the client has not asked for: nothing is said.
    pub fn silent() -> Self {
        Self::with(None, INTERVAL)
    }

    fn with(tag: Option<String>, interval: Duration) -> Self {
        Self {
            tag,
            interval,
            next: Instant::now() + interval,
            part: None,
            told: 0,
        }
    }

    /// What comes is one of the `of` parts of the command, `part` being done: that is told instead
    /// of how far it is itself.
    pub fn in_part(&mut self, part: usize, of: usize) {
        // Not above the most mailboxes of a command.
        self.part = Some((part as u32, of as u32));
    }
}

/// The progress of one command.
pub(crate) struct Progress<'a> {
    writer: &'a mut ResponseWriter,
    stream: &'a mut ClientStream,
    shutdown: &'a Shutdown,
    pace: Pace,
}

impl<'a> Progress<'a> {
    /// Of a command of which the client is told at this pace.
    pub fn new(
        writer: &'a mut ResponseWriter,
        stream: &'a mut ClientStream,
        shutdown: &'a Shutdown,
        pace: Pace,
    ) -> Self {
        Self {
            writer,
            stream,
            shutdown,
            pace,
        }
    }

    /// The command's output.
    pub fn writer(&mut self) -> &mut ResponseWriter {
        self.writer
    }

    /// The pace, to go on at.
    pub fn into_pace(self) -> Pace {
        self.pace
    }

    /// Sends what is queued if it is much.
    ///
    /// # Errors
    /// The client is gone.
    pub async fn make_room(&mut self) -> Result<(), OpError> {
        Ok(self.writer.flush_if_full(self.stream).await?)
    }

    /// Others get their turn; every few seconds, the client is told how far it is. To be called
    /// after each part of the work, some 100 microseconds of it.
    ///
    /// # Errors
    /// The client is gone, or the server shuts down.
    pub async fn tick(&mut self, done: u32, goal: u32) -> Result<(), OpError> {
        tokio::task::yield_now().await;
        if self.shutdown.is_draining() {
            return Err(Goodbye::Draining.into());
        }
        self.tell_if_due(Some((done, goal))).await
    }

    /// Waits for work that must not be left half done, a change: every few seconds, the client is told
    /// that it goes on, and how far it is if it counts that in `done`, up to a goal.
    ///
    /// # Errors
    /// The client is gone; the work has come to its end all the same.
    pub async fn during<T>(
        &mut self,
        done: Option<(&AtomicU32, u32)>,
        work: impl Future<Output = T>,
    ) -> Result<T, OpError> {
        if self.pace.tag.is_none() {
            return Ok(work.await);
        }
        let so_far = || done.map(|(done, goal)| (done.load(Ordering::Relaxed), goal));
        let mut work = pin!(work);
        let mut told = self.tell_if_due(so_far()).await;
        loop {
            tokio::select! {
                biased;
                result = &mut work => return told.map(|()| result),
                () = sleep_until(self.pace.next), if told.is_ok() => {
                    told = self.tell_if_due(so_far()).await;
                }
            }
        }
    }

    /// Tells how far it is, as far as that is known, if it is time.
    async fn tell_if_due(&mut self, so_far: Option<(u32, u32)>) -> Result<(), OpError> {
        let now = Instant::now();
        if now < self.pace.next {
            return Ok(());
        }
        self.pace.next = now + self.pace.interval;
        let Some(tag) = &self.pace.tag else {
            return Ok(());
        };
        let so_far = self.pace.part.or(so_far);
        // SORT and THREAD look at messages a second time: nothing goes back (section 4).
        let told = so_far.map_or(0, |(done, _)| done).max(self.pace.told);
        self.pace.told = told;
        let code = Code::InProgress {
            // A code ends with the first `]`.
            tag: Some(tag.clone()).filter(|tag| !tag.contains(']')),
            done: so_far.map(|_| told),
            goal: so_far.map(|(_, goal)| goal).filter(|goal| *goal > told),
        };
        self.writer
            .untagged(Status::Ok, Some(&code), "Still working");
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

    fn pace(tag: Option<&str>) -> Pace {
        Pace::with(tag.map(str::to_owned), INTERVAL)
    }

    async fn line(client: &mut BufReader<TcpStream>) -> String {
        let mut line = String::new();
        client.read_line(&mut line).await.unwrap();
        line
    }

    #[tokio::test]
    async fn it_is_told_when_it_is_time() {
        let (mut stream, client) = connection().await;
        let mut writer = ResponseWriter::new(NameEncoding::default());
        let shutdown = Shutdown::new();
        let mut progress = Progress::new(&mut writer, &mut stream, &shutdown, pace(Some("A1")));
        progress.tick(1, 10).await.unwrap();
        assert!(progress.writer().output().is_empty());
        progress.pace.next = Instant::now();
        progress.tick(3, 10).await.unwrap();
        let mut client = BufReader::new(client);
        let told = line(&mut client).await;
        assert_eq!(told, "* OK [INPROGRESS (\"A1\" 3 10)] Still working\r\n");
        // Not again at once.
        progress.tick(4, 10).await.unwrap();
        assert!(progress.writer().output().is_empty());
        // Never less than before; a tag that cannot be in a code is left out.
        progress.pace.tag = Some("A]1".to_owned());
        progress.pace.next = Instant::now();
        progress.tick(2, 10).await.unwrap();
        let told = line(&mut client).await;
        assert_eq!(told, "* OK [INPROGRESS (NIL 3 10)] Still working\r\n");
        progress.pace.tag = Some("A1".to_owned());
        // The parts of a command have one pace.
        let mut pace_of_parts = progress.into_pace();
        pace_of_parts.next = Instant::now();
        pace_of_parts.in_part(5, 7);
        let mut progress = Progress::new(&mut writer, &mut stream, &shutdown, pace_of_parts);
        progress.tick(4, 10).await.unwrap();
        let told = line(&mut client).await;
        assert_eq!(told, "* OK [INPROGRESS (\"A1\" 5 7)] Still working\r\n");
        assert!(progress.into_pace().next > Instant::now());
        // A frontend is told nothing.
        let mut progress = Progress::new(&mut writer, &mut stream, &shutdown, pace(None));
        progress.pace.next = Instant::now();
        progress.tick(3, 10).await.unwrap();
        assert!(progress.writer().output().is_empty());
    }

    #[tokio::test]
    async fn work_comes_to_its_end() {
        let (mut stream, client) = connection().await;
        let mut client = BufReader::new(client);
        let mut writer = ResponseWriter::new(NameEncoding::default());
        let shutdown = Shutdown::new();
        let mut progress = Progress::new(&mut writer, &mut stream, &shutdown, pace(Some("A1")));
        // Work that waits until the client has been told of it, twice.
        progress.pace.interval = Duration::ZERO;
        progress.pace.next = Instant::now();
        let done = AtomicU32::new(3);
        let told = async {
            let told = (line(&mut client).await, line(&mut client).await);
            done.store(10, Ordering::Relaxed);
            let rest = async { while !line(&mut client).await.contains(" 10 NIL)") {} };
            rest.await;
            told
        };
        let (first, second) = progress.during(Some((&done, 10)), told).await.unwrap();
        assert_eq!(first, "* OK [INPROGRESS (\"A1\" 3 10)] Still working\r\n");
        assert_eq!(second, first);
        let told = async { while !line(&mut client).await.contains("(\"A1\" NIL NIL)") {} };
        progress.during(None, told).await.unwrap();
        // It is not left half done when the client goes, nor when the server does.
        let _ = shutdown.drain(Duration::ZERO).await;
        drop(client);
        let mut steps = 0;
        let ended = tokio::time::timeout(Duration::from_secs(20), async {
            loop {
                let before = steps;
                let work = async {
                    tokio::task::yield_now().await;
                    steps += 1;
                };
                let ended = progress.during(None, work).await;
                assert_eq!(steps, before + 1);
                if let Err(error) = ended {
                    return error;
                }
            }
        });
        assert!(matches!(ended.await.unwrap(), OpError::Gone(_)));
    }

    #[tokio::test]
    async fn it_ends_with_the_client_and_with_the_server() {
        let (mut stream, client) = connection().await;
        let mut writer = ResponseWriter::new(NameEncoding::default());
        let shutdown = Shutdown::new();
        let mut progress = Progress::new(&mut writer, &mut stream, &shutdown, pace(Some("A1")));
        drop(client);
        let ended = tokio::time::timeout(Duration::from_secs(20), async {
            loop {
                progress.pace.next = Instant::now();
                if let Err(error) = progress.tick(0, 1).await {
                    return error;
                }
            }
        });
        assert!(matches!(ended.await.unwrap(), OpError::Gone(_)));
        let (mut stream, _client) = connection().await;
        let _ = shutdown.drain(Duration::ZERO).await;
        let mut progress = Progress::new(&mut writer, &mut stream, &shutdown, pace(None));
        let ended = progress.tick(0, 1).await.unwrap_err();
        assert!(matches!(ended, OpError::Bye(_)));
    }
}
