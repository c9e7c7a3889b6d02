//! How a session ends, and what ends its waiting.

use std::io;

use murder_net::{Alarm, Cancelled};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::limits::{LAST_WORD, LINGER_BYTES};
use crate::{End, News, Presence, news_of};

/// Why the server ends a session, as the client is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Goodbye {
    /// The node drains; the client may come back.
    #[error("Server shutting down")]
    Draining,
    /// The client has said nothing for too long.
    #[error("Autologout; idle for too long")]
    Silent,
    /// Too many commands in a row were none.
    #[error("Too many bad commands")]
    BadCommands,
    /// Too many logins have failed.
    #[error("Too many failed logins")]
    FailedLogins,
    /// The account is not what it was, or an operator wants it.
    #[error("{}", .0.last_word())]
    Ended(End),
}

impl Goodbye {
    /// The last word to the client, without a protocol's codes.
    #[must_use]
    pub const fn last_word(self) -> &'static str {
        match self {
            Self::Draining => "Server shutting down",
            Self::Silent => "Autologout; idle for too long",
            Self::BadCommands => "Too many bad commands",
            Self::FailedLogins => "Too many failed logins",
            Self::Ended(end) => end.last_word(),
        }
    }
}

/// What has happened while a session waited for its client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interruption {
    /// The node drains.
    Draining,
    /// Something of the account.
    News(News),
    /// The deadline has passed.
    Silent,
}

impl Interruption {
    /// What has become of the account, if it is that.
    ///
    /// # Errors
    /// What ends the session otherwise.
    pub const fn news(self) -> Result<News, Goodbye> {
        match self {
            Self::Draining => Err(Goodbye::Draining),
            Self::News(news) => Ok(news),
            Self::Silent => Err(Goodbye::Silent),
        }
    }
}

/// What ends a session's waiting besides its client. Made once per session, as both parts cost
/// nothing while nothing happens.
#[derive(Debug)]
pub struct Watch {
    drained: Cancelled,
    alarm: Alarm,
}

impl Watch {
    /// For a session that ends when `draining` is cancelled, and does not wait beyond `deadline` at
    /// first. Must be made within a tokio runtime.
    #[must_use]
    pub fn new(draining: CancellationToken, deadline: Instant) -> Self {
        Self {
            drained: Cancelled::of(draining),
            alarm: Alarm::new(deadline),
        }
    }

    /// From now on the session ends when `draining` is cancelled, and not the one before: what it works
    /// with goes before the node does.
    pub fn follow(&mut self, draining: CancellationToken) {
        self.drained = Cancelled::of(draining);
    }

    /// Waits for whatever comes first, `deadline` at the latest. To be used by the session's own
    /// task; can be dropped and called again.
    pub async fn interrupted(
        &mut self,
        presence: Option<&Presence>,
        deadline: Instant,
    ) -> Interruption {
        tokio::select! {
            biased;
            () = &mut self.drained => Interruption::Draining,
            news = news_of(presence) => Interruption::News(news),
            () = self.alarm.until(deadline) => Interruption::Silent,
        }
    }
}

/// Sends what `send` has left and closes the connection, unless the client does not take it in time:
/// then it has gone, and there is nobody to tell. `cut_off`: the client may be sending still, which
/// must not cost it the last word.
pub async fn close<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    send: impl AsyncFnOnce(&mut S) -> io::Result<()>,
    cut_off: bool,
) {
    let close = async {
        send(stream).await?;
        stream.shutdown().await?;
        if cut_off {
            let mut sent = stream.take(LINGER_BYTES);
            tokio::io::copy(&mut sent, &mut tokio::io::sink()).await?;
        }
        io::Result::Ok(())
    };
    let _ = timeout(LAST_WORD, close).await;
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_wait_ends_with_the_drain_or_the_deadline() {
        let draining = CancellationToken::new();
        let soon = Instant::now() + Duration::from_secs(1);
        let mut watch = Watch::new(draining.clone(), soon);
        assert_eq!(watch.interrupted(None, soon).await, Interruption::Silent);
        draining.cancel();
        let later = soon + Duration::from_secs(3600);
        assert_eq!(watch.interrupted(None, later).await, Interruption::Draining);
    }

    #[tokio::test]
    async fn who_still_sends_hears_the_last_word() {
        let (mut client, mut server) = tokio::io::duplex(64);
        let sends = async {
            client.write_all(&[b'x'; 10_000]).await.unwrap();
            client.shutdown().await.unwrap();
            let mut heard = Vec::new();
            client.read_to_end(&mut heard).await.unwrap();
            heard
        };
        let closes = close(
            &mut server,
            async |stream| stream.write_all(b"bye").await,
            true,
        );
        let (heard, ()) = tokio::join!(sends, closes);
        assert_eq!(heard, b"bye");
    }
}
