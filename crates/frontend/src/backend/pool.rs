//! Connections that nobody uses at the moment, kept for a little while.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::connect::Dialer;
use super::connection::{ActingFor, BackendError, Connection};

/// How long an unused connection is kept: a client's next STATUS of its round comes within.
const KEEP_FOR: Duration = Duration::from_secs(30);
/// Unused connections of one user to one backend: more only help many sessions that all do
/// short commands at once.
const KEEP_PER_USER: usize = 2;
/// Unused connections in all; each costs some 30 KiB here and as much on its backend.
const KEEP_IN_ALL: usize = 1000;

type Key = (Arc<str>, Arc<str>);

/// Keeps unused connections by user and backend.
pub(crate) struct Pool {
    dialer: Arc<Dialer>,
    unused: Mutex<Unused>,
}

#[derive(Default)]
struct Unused {
    by_key: HashMap<Key, Vec<(Connection, Instant)>>,
    count: usize,
    /// Users whose accounts ended lately. The backend ends connections of then, and of a new account
    /// of the same name they would be of no use.
    ended: HashMap<Box<str>, Instant>,
}

impl Pool {
    /// An empty pool that connects by `dialer`.
    pub(crate) fn new(dialer: Arc<Dialer>) -> Self {
        Self {
            dialer,
            unused: Mutex::new(Unused::default()),
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
        while let Some(mut connection) = self.take(node, acting) {
            // Answers to ID may be waiting; the end of the stream, BYE or an error make it
            // useless.
            if still_good(&mut connection) {
                connection.attach(acting);
                return Ok(connection);
            }
        }
        self.dialer.imap(node, acting).await
    }

    /// Gives a connection back on which nothing is selected and no command is under way.
    pub(crate) fn checkin(&self, connection: Connection) {
        if !connection.is_between_answers() || !connection.wire.is_drained() {
            return;
        }
        let key = (connection.user().clone(), connection.node().clone());
        let mut unused = self.unused.lock();
        let ended = unused.ended.get(&**connection.user());
        if unused.count >= KEEP_IN_ALL || ended.is_some_and(|at| connection.made() <= *at) {
            return;
        }
        let kept = unused.by_key.entry(key).or_default();
        if kept.len() < KEEP_PER_USER {
            kept.push((connection, Instant::now()));
            unused.count += 1;
        }
    }

    fn take(&self, node: &str, acting: &ActingFor) -> Option<Connection> {
        let key = (acting.user.clone(), Arc::from(node));
        let mut unused = self.unused.lock();
        let kept = unused.by_key.get_mut(&key)?;
        let (connection, _) = kept.pop()?;
        if kept.is_empty() {
            unused.by_key.remove(&key);
        }
        unused.count -= 1;
        Some(connection)
    }

    /// Closes the connections of a user whose account has ended, and takes none of them back.
    pub(crate) fn end(&self, user: &str) {
        let mut unused = self.unused.lock();
        unused.by_key.retain(|(of, _), _| **of != *user);
        unused.count = unused.by_key.values().map(Vec::len).sum();
        unused.ended.insert(user.into(), Instant::now());
    }

    /// Closes what nobody has used for a while; to be called now and then.
    pub(crate) fn expire(&self) {
        let mut unused = self.unused.lock();
        let now = Instant::now();
        // The sessions of then have ended, and with them what they had not given back.
        unused
            .ended
            .retain(|_, at| now.duration_since(*at) < KEEP_FOR);
        unused.by_key.retain(|_, kept| {
            kept.retain(|(_, since)| now.duration_since(*since) < KEEP_FOR);
            !kept.is_empty()
        });
        unused.count = unused.by_key.values().map(Vec::len).sum();
    }

    /// How many connections are kept.
    pub(crate) fn len(&self) -> usize {
        self.unused.lock().count
    }
}

fn still_good(connection: &mut Connection) -> bool {
    use std::future::poll_fn;
    use std::task::{Context, Poll, Waker};
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
