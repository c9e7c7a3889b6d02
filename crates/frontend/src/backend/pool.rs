//! Connections that nobody uses at the moment, kept for a little while.

use std::collections::HashMap;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use murder_session::{Kept, PoolLimits};
use parking_lot::Mutex;

use super::connect::Dialer;
use super::connection::{ActingFor, BackendError, Connection};

/// What is kept: at most so much, each costs some 30 KiB here and as much on its backend.
const LIMITS: PoolLimits = PoolLimits {
    // A client's next STATUS of its round comes within.
    keep_for: Duration::from_secs(30),
    // Of one user, to one backend: more only help many sessions that all do short commands at once.
    of_key: 2,
    in_all: 1000,
};

/// User and backend.
type Key = (Arc<str>, Arc<str>);

/// Keeps unused connections by user and backend.
pub(crate) struct Pool {
    dialer: Arc<Dialer>,
    unused: murder_session::Pool<Key, Connection>,
    /// Users whose accounts ended lately. The backend ends connections of then, and of a new account
    /// of the same name they would be of no use. Held while a connection is taken back.
    ended: Mutex<HashMap<Box<str>, Instant>>,
}

impl Pool {
    /// An empty pool that connects by `dialer`.
    pub(crate) fn new(dialer: Arc<Dialer>) -> Self {
        Self {
            dialer,
            unused: murder_session::Pool::new(LIMITS),
            ended: Mutex::default(),
        }
    }

    /// How connections are made.
    pub(crate) fn dialer(&self) -> &Dialer {
        &self.dialer
    }

    /// A connection to `node` that acts for the user, with nothing selected.
    ///
    /// # Errors
    /// See [`BackendError`].
    pub(crate) async fn checkout(
        &self,
        node: &str,
        acting: &ActingFor,
    ) -> Result<Connection, BackendError> {
        let key = (acting.user.clone(), Arc::from(node));
        if let Some(mut connection) = self.unused.take(&key) {
            connection.attach(acting);
            return Ok(connection);
        }
        self.dialer.imap(node, acting).await
    }

    /// Gives a connection back on which nothing is selected and no command is under way.
    pub(crate) fn checkin(&self, connection: Connection) {
        if !connection.is_between_answers() || !connection.wire.is_drained() {
            return;
        }
        let ended = self.ended.lock();
        let of_user = ended.get(&**connection.user());
        if of_user.is_none_or(|at| connection.made() > *at) {
            let key = (connection.user().clone(), connection.node().clone());
            self.unused.keep(key, connection);
        }
    }

    /// Closes the connections of a user whose account has ended, and takes none of them back.
    pub(crate) fn end(&self, user: &str) {
        let mut ended = self.ended.lock();
        ended.insert(user.into(), Instant::now());
        self.unused.close(|(of, _)| **of == *user);
    }

    /// Closes what nobody has used for a while; to be called now and then.
    pub(crate) fn expire(&self) {
        let now = Instant::now();
        // The sessions of then have ended, and with them what they had not given back.
        let mut ended = self.ended.lock();
        ended.retain(|_, at| now.duration_since(*at) < LIMITS.keep_for);
        drop(ended);
        self.unused.expire();
    }

    /// How many connections are kept.
    pub(crate) fn len(&self) -> usize {
        self.unused.len()
    }
}

impl Kept for Connection {
    /// Answers to ID may be waiting; the end of the stream, BYE or an error make it useless.
    fn is_still_good(&mut self) -> bool {
        let connection = self;
        let mut cx = Context::from_waker(Waker::noop());
        loop {
            loop {
                match connection.event() {
                    Ok(None) => break,
                    Ok(Some(super::Event::Untagged { len, .. })) => {
                        bytes::Buf::advance(&mut connection.wire.input, len);
                    }
                    Ok(Some(_)) => {}
                    Err(_) => return false,
                }
            }
            let polled = std::pin::pin!(poll_fn(|cx| connection.wire.poll_fill(cx))).poll(&mut cx);
            match polled {
                Poll::Pending => return connection.is_between_answers(),
                Poll::Ready(Ok(read)) if read > 0 => {}
                Poll::Ready(_) => return false,
            }
        }
    }
}
