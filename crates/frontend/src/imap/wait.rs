//! Waiting: for the client, and for the backend of the selected mailbox.

use murder_session::{Goodbye, news_of};
use tokio::time::{Instant, timeout};

use crate::imap::errors::OpError;
use crate::imap::session::{Ended, Session, State};
use crate::wire::{Want, either};

impl Session {
    /// Waits for the client, or for the backend of the selected mailbox.
    pub(super) async fn wait(&mut self) -> Result<(), Ended> {
        let settings = &self.shared.settings;
        let read_client = self.waiting.is_none()
            && !self.end_of_input
            && !self.leaving
            && self.client.wire.has_room();
        let queued = self.client.wire.output.len();
        let stalled = !self.client.wire.is_drained();
        let now = Instant::now();
        let mut until = match self.state {
            State::NotAuthenticated(ref login) => login.deadline(),
            _ => match &self.idle {
                Some(idle) => idle.until.min(idle.notify_at),
                None => now + settings.idle_timeout,
            },
        };
        if stalled {
            until = until.min(now + settings.write_timeout);
        }
        if let Some((_, cut_off)) = self.ending {
            until = until.min(cut_off);
        }
        let silence = self.shared.pool.dialer().silence();
        let leaving = self.leaving;
        let (backend, owes) = match &mut self.state {
            State::Selected(selected) => {
                let owes = selected.owes_answer();
                (selected.connection(), owes)
            }
            _ => (None, false),
        };
        let finishing = self.end_of_input && !owes;
        if finishing && !stalled {
            return Err(Ended::Logout);
        }
        if owes {
            until = until.min(now + silence);
        }
        let read_backend = self.client.wire.has_room();
        let client = &mut self.client;
        let waiting = async {
            match backend {
                _ if finishing => (client.wire.drain().await.err().map(Err), None),
                Some(backend) => {
                    let moved = either(
                        (&mut client.wire, Want { read: read_client }),
                        (&mut backend.wire, Want { read: read_backend }),
                    )
                    .await;
                    (moved.first, moved.second)
                }
                None if read_client => (Some(client.wire.fill().await), None),
                None => (client.wire.drain().await.err().map(Err), None),
            }
        };
        let (from_client, from_backend) = tokio::select! {
            biased;
            // First, so that a session that is never at rest hears it too.
            news = news_of(self.presence.as_ref()), if self.ending.is_none() => {
                self.hear(news);
                return Ok(());
            }
            moved = waiting => moved,
            () = &mut self.goodbye, if !leaving => {
                self.leaving = true;
                return Ok(());
            }
            () = self.alarm.until(until) => return self.waited_too_long(owes, stalled, queued),
        };
        match from_client {
            Some(Ok(0)) => self.end_of_input = true,
            Some(Err(error)) => return Err(Ended::Client(error)),
            Some(Ok(_)) | None => {}
        }
        if let Some(read @ (Ok(0) | Err(_))) = from_backend
            && let State::Selected(selected) = &mut self.state
            && let Some(connection) = selected.connection()
        {
            let error = connection.lost_io(read);
            selected
                .lose(error, &mut self.client)
                .map_err(|torn| Ended::Torn(torn.0))?;
        }
        Ok(())
    }

    fn waited_too_long(&mut self, owes: bool, stalled: bool, queued: usize) -> Result<(), Ended> {
        if let Some((end, cut_off)) = self.ending
            && Instant::now() >= cut_off
        {
            return Err(Goodbye::Ended(end).into());
        }
        if stalled {
            return match self.client.wire.output.len() == queued {
                true => Err(Ended::Stalled),
                false => Ok(()),
            };
        }
        if owes && let State::Selected(selected) = &mut self.state {
            let error = selected
                .connection()
                .map(|connection| connection.lost("no answer in time"));
            return match error {
                Some(error) => selected
                    .lose(error, &mut self.client)
                    .map_err(|torn| Ended::Torn(torn.0)),
                None => Ok(()),
            };
        }
        if let Some(idle) = &mut self.idle
            && Instant::now() < idle.until
        {
            idle.notify_at = Instant::now() + self.shared.settings.idle_notify;
            self.client.wire.put(b"* OK Still here\r\n");
            return Ok(());
        }
        Err(Goodbye::Silent.into())
    }

    /// Waits for more of the client's input; for use within a command, so its end is an error.
    pub(crate) async fn fill_client(&mut self) -> Result<(), OpError> {
        let limit = self.shared.settings.write_timeout;
        self.client.wire.acknowledge();
        match timeout(limit, self.client.wire.fill()).await {
            Ok(Ok(0)) => Err(OpError::gone(std::io::ErrorKind::UnexpectedEof.into())),
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(OpError::gone(error)),
            Err(_) => Err(OpError::gone(std::io::ErrorKind::TimedOut.into())),
        }
    }

    /// Sends what is queued until there is room for more.
    pub(crate) async fn make_room(&mut self) -> Result<(), OpError> {
        if self.client.wire.has_room() {
            return Ok(());
        }
        let limit = self.shared.settings.write_timeout;
        match timeout(limit, self.client.wire.make_room()).await {
            Ok(result) => result.map_err(OpError::gone),
            Err(_) => Err(OpError::gone(std::io::ErrorKind::TimedOut.into())),
        }
    }

    /// Sends everything that is queued.
    pub(crate) async fn flush(&mut self) -> Result<(), OpError> {
        let limit = self.shared.settings.write_timeout;
        match timeout(limit, self.client.wire.drain()).await {
            Ok(result) => result.map_err(OpError::gone),
            Err(_) => Err(OpError::gone(std::io::ErrorKind::TimedOut.into())),
        }
    }
}
