//! How far a command that takes long is, told to the client (INPROGRESS, RFC 9585), so that none
//! takes the silence for a connection that is lost.

use std::io;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use crate::imap::client::Client;

/// How often: RFC 9585 section 4 recommends 10 to 15 seconds.
const INTERVAL: Duration = Duration::from_secs(10);
/// How long a client may take to read it. One that does not is told nothing more.
const PATIENCE: Duration = Duration::from_secs(60);

/// The progress of one command.
#[derive(Debug)]
pub(crate) struct Progress {
    tag: Option<String>,
    next: Instant,
    goal: Option<(u32, u64)>,
    octets: u64,
    /// Why the client is to be told nothing any more.
    gone: Option<io::Error>,
}

impl Progress {
    /// Of the command with this tag.
    pub(crate) fn new(tag: &str) -> Self {
        Self {
            // In a code there is no `]`; that a tag has no `"` its grammar says.
            tag: (!tag.contains([']', '"', '\\'])).then(|| tag.to_owned()),
            next: Instant::now() + INTERVAL,
            goal: None,
            octets: 0,
            gone: None,
        }
    }

    /// So many messages, and so many octets in them, are to be carried.
    pub(crate) fn set_goal(&mut self, messages: u32, octets: u64) {
        self.goal = Some((messages, octets));
    }

    /// So many octets were carried.
    pub(crate) fn add(&mut self, octets: u64) {
        self.octets += octets;
    }

    /// When the client is to be told next.
    pub(crate) fn next(&self) -> Instant {
        self.next
    }

    /// Whether the client has gone, as far as is known.
    pub(crate) fn is_gone(&self) -> bool {
        self.gone.is_some()
    }

    /// Whether something is to be sent to a client that is there.
    pub(crate) fn has_news(&self, client: &Client) -> bool {
        !self.is_gone() && !client.wire.is_drained()
    }

    /// The client has gone.
    pub(crate) fn set_gone(&mut self, error: io::Error) {
        self.gone.get_or_insert(error);
    }

    /// Why the client is not there any more.
    pub(crate) fn into_gone(self) -> Option<io::Error> {
        self.gone
    }

    /// Tells the client, if it is time.
    pub(crate) async fn tell_if_due(&mut self, client: &mut Client) {
        let now = Instant::now();
        if self.is_gone() || now < self.next {
            return;
        }
        self.next = now + INTERVAL;
        let code = self.code();
        client
            .wire
            .put_line(format_args!("* OK [{code}] Still working"));
        self.drain(client).await;
    }

    /// `INPROGRESS (tag done goal)`
    fn code(&self) -> String {
        let tag = match &self.tag {
            Some(tag) => format!("\"{tag}\""),
            None => "NIL".to_owned(),
        };
        let so_far = match self.goal {
            Some((messages, octets)) => {
                let done = u64::from(messages) * self.octets.min(octets) / octets.max(1);
                // A goal is above what is done (section 4).
                match done < u64::from(messages) {
                    true => format!("{done} {messages}"),
                    false => format!("{messages} NIL"),
                }
            }
            None => "NIL NIL".to_owned(),
        };
        format!("INPROGRESS ({tag} {so_far})")
    }

    /// Sends what is queued for the client.
    pub(crate) async fn drain(&mut self, client: &mut Client) {
        if self.is_gone() {
            client.wire.output.clear();
            return;
        }
        match timeout(PATIENCE, client.wire.drain()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => self.set_gone(error),
            Err(_) => self.set_gone(io::ErrorKind::TimedOut.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn how_far_it_is() {
        let mut progress = Progress::new("A1");
        assert_eq!(progress.code(), "INPROGRESS (\"A1\" NIL NIL)");
        progress.set_goal(8, 1000);
        assert_eq!(progress.code(), "INPROGRESS (\"A1\" 0 8)");
        progress.add(500);
        assert_eq!(progress.code(), "INPROGRESS (\"A1\" 4 8)");
        // Heads of messages count too, so that there may be more octets than were announced.
        progress.add(600);
        assert_eq!(progress.code(), "INPROGRESS (\"A1\" 8 NIL)");
        // A code ends with the first `]`.
        let mut progress = Progress::new("A]1");
        progress.set_goal(3, 0);
        assert_eq!(progress.code(), "INPROGRESS (NIL 0 3)");
    }
}
