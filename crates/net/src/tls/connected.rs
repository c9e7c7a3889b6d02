//! The certificates that open connections were made with, and the end of those connections when
//! their certificate is not believed any more.
//!
//! A handshake checks a certificate once; a connection may stay for weeks, and a resumed handshake
//! checks nothing. So the chain of each peer that showed one is checked here when the connection is
//! made, whichever way, and again whenever something has changed: the trusted authority, what is
//! revoked, the time.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::SystemTime;

use parking_lot::Mutex;
use rustls::Error;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio_util::sync::CancellationToken;

use super::certificate::Certificate;
use super::peer::peer_of;
use crate::seldom::Cancelled;

/// What a peer has shown.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Shown {
    /// End entity first.
    pub(super) chain: Vec<CertificateDer<'static>>,
    /// The name that it was asked for as a server; `None` for a client.
    pub(super) server: Option<ServerName<'static>>,
}

impl Shown {
    /// The moment at which the first of the chain expires.
    fn valid_until(&self) -> Option<SystemTime> {
        let ends = self.chain.iter().map(Certificate::parse);
        let ends: Option<Vec<_>> = ends.map(|one| one.map(|one| one.not_after)).collect();
        ends?.into_iter().min()
    }
}

/// One chain that connections are open with.
#[derive(Debug)]
struct Believed {
    valid_until: SystemTime,
    ended: CancellationToken,
}

/// The chains of all open connections. As many as there are nodes.
#[derive(Default)]
pub(super) struct Connected(Mutex<HashMap<Shown, Weak<Believed>>>);

impl fmt::Debug for Connected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Connected")
            .field(&self.0.lock().len())
            .finish()
    }
}

impl Connected {
    /// Takes a connection in whose peer has shown this, if `verify` believes it. A chain that other
    /// connections are open with is believed: it is checked whenever something changes.
    pub(super) fn admit(
        &self,
        shown: Shown,
        verify: impl FnOnce(&Shown) -> Result<(), Error>,
    ) -> io::Result<Admission> {
        let mut chains = self.0.lock();
        if let Some(known) = chains.get(&shown).and_then(Weak::upgrade)
            && SystemTime::now() <= known.valid_until
        {
            return Ok(Admission::of(known));
        }
        verify(&shown).map_err(io::Error::other)?;
        let valid_until = shown
            .valid_until()
            .ok_or_else(|| io::Error::other("not an X.509 certificate"))?;
        let believed = Arc::new(Believed {
            valid_until,
            ended: CancellationToken::new(),
        });
        chains.insert(shown, Arc::downgrade(&believed));
        Ok(Admission::of(believed))
    }

    /// Ends the connections of which `verify` does not believe the chain any more.
    pub(super) fn check(&self, verify: impl Fn(&Shown) -> Result<(), Error>) {
        self.end_those(|shown, _| verify(shown).err().map(|error| error.to_string()));
    }

    /// Ends the connections with a certificate that has expired.
    pub(super) fn expire(&self, now: SystemTime) {
        let expired = |_: &Shown, believed: &Believed| {
            (believed.valid_until < now).then(|| "it has expired".to_owned())
        };
        self.end_those(expired);
    }

    fn end_those(&self, why: impl Fn(&Shown, &Believed) -> Option<String>) {
        self.0.lock().retain(|shown, believed| {
            let Some(believed) = believed.upgrade() else {
                return false;
            };
            let Some(reason) = why(shown, &believed) else {
                return true;
            };
            let peer = peer_of(&shown.chain).map_or_else(String::new, |peer| peer.name);
            tracing::warn!(
                peer,
                reason,
                "the certificate is not believed any more: connections with it are closed"
            );
            believed.ended.cancel();
            false
        });
    }
}

/// An open connection's hold on the chain that its peer has shown.
#[derive(Debug)]
pub(crate) struct Admission {
    _believed: Arc<Believed>,
    ended: Cancelled,
}

impl Admission {
    fn of(believed: Arc<Believed>) -> Self {
        Self {
            ended: Cancelled::of(believed.ended.clone()),
            _believed: believed,
        }
    }

    /// An error once the chain is not believed any more; the last caller's task is woken then.
    pub(crate) fn check(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        match Pin::new(&mut self.ended).poll(cx) {
            Poll::Pending => Ok(()),
            Poll::Ready(()) => Err(io::Error::new(
                io::ErrorKind::ConnectionAborted,
                "the peer's certificate is not believed any more",
            )),
        }
    }
}
