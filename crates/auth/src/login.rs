//! One login, and the one form in which all doors of all nodes tell of it.

use std::fmt::Display;
use std::net::IpAddr;

/// The most of a name that is logged; no user's is longer.
const MAX_LOGGED: usize = 255;

/// A client that wants to log in. Its `Debug` is not there for a reason: it has the password.
#[derive(Clone, Copy)]
pub struct Login<'a> {
    /// `imap`, `pop3`.
    pub protocol: &'static str,
    /// The client's address.
    pub peer: IpAddr,
    /// The session's name in logs.
    pub session: &'a str,
    /// `LOGIN`, `PLAIN`, `USER`.
    pub mechanism: &'static str,
    /// Whether the connection is under TLS.
    pub tls: bool,
    /// Whose password it is said to be.
    pub user: &'a str,
    /// Whom the client wants to act as, when it says so.
    pub authzid: Option<&'a str>,
    /// `None`: not UTF-8, and so nobody's.
    pub password: Option<&'a str>,
}

impl Login<'_> {
    /// Logs that the client is in, as `user`.
    pub fn succeeded(&self, user: &str) {
        let Self {
            protocol,
            session,
            mechanism,
            tls,
            ..
        } = self;
        // Only of one who acts for another.
        let authenticated = self.authzid.map(|_| logged(self.user));
        murder_net::audit!(
            "login",
            client = %self.peer.to_canonical(), protocol, session, mechanism, tls, user,
            authenticated
        );
    }

    /// Logs that it is not.
    pub fn failed(&self, reason: impl Display) {
        let Self {
            protocol,
            session,
            mechanism,
            tls,
            ..
        } = self;
        // Names that anybody can choose: quoted, and behind everything else.
        let user = logged(self.authzid.unwrap_or(self.user));
        let authenticated = self.authzid.map(|_| logged(self.user));
        murder_net::audit!(
            "login_failed",
            client = %self.peer.to_canonical(), protocol, session, mechanism, tls, %reason, user,
            authenticated
        );
    }
}

fn logged(name: &str) -> &str {
    &name[..name.floor_char_boundary(MAX_LOGGED)]
}
