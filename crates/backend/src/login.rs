//! What a login with a password comes to, whichever protocol it is for.

use std::sync::Arc;

use murder_auth::{AuthError, Login};
use murder_mailbox::Identity;
use murder_net::{Actor, Connection, Peer, SessionId};
use murder_sessions::{About, Claim, NotEntered, Presence};
use tracing::warn;

use crate::node::Node;

/// Failed logins on one connection: more than anyone mistypes a password.
pub(crate) const MAX_FAILED_LOGINS: u32 = 10;

/// Somebody has logged in.
#[derive(Debug)]
pub(crate) struct LoggedIn {
    /// Who.
    pub identity: Identity,
    /// The connection's place among the sessions.
    pub presence: Presence,
}

/// Why somebody has not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotLoggedIn {
    /// It was not said, or not so, who they are.
    Refused(AuthError),
    /// Nobody's account is known here: the master has not been heard yet, or has none.
    NoAccounts,
    /// The master has not been heard for longer than the configuration allows.
    Outdated,
    /// The user has as many connections as a user may.
    TooManyConnections,
}

impl NotLoggedIn {
    /// Whether it counts as a failed login.
    pub(crate) const fn is_failure(self) -> bool {
        matches!(self, Self::Refused(error) if error.is_failure())
    }
}

/// Tells of a frontend that acts for a user, whether it is let in or not. Of the client's own login
/// the frontend tells.
pub(crate) fn log_vouched(
    protocol: &'static str,
    session: SessionId,
    frontend: Option<Peer>,
    user: &str,
    let_in: bool,
) {
    let frontend = frontend.map(|peer| peer.name);
    match let_in {
        true => murder_net::audit!("vouched", frontend, protocol, %session, user),
        false => murder_net::audit!("vouched_failed", frontend, protocol, %session, user),
    }
}

impl Node {
    fn lacks_accounts(&self) -> bool {
        let replica = self.cluster.as_ref().map(|cluster| &cluster.replica);
        replica.is_some_and(|replica| !replica.has_accounts())
    }

    /// Whether what is known of accounts is older than may be.
    pub(crate) fn is_outdated(&self) -> bool {
        let limit = self.config.mupdate.max_authority_age();
        let replica = self.cluster.as_ref().map(|cluster| &cluster.replica);
        limit
            .zip(replica)
            .is_some_and(|(limit, replica)| replica.is_older_than(limit))
    }

    /// Whether a connection is closed at once: its address is blocked. Nodes are known by their
    /// certificates, whatever their addresses.
    pub(crate) fn shuts_out(&self, connection: &Connection) -> bool {
        connection.stream.peer().is_none()
            && self.authenticator.shuts_out(connection.peer_addr.ip())
    }

    /// What `name` claims to be, to be asked for before the password is checked.
    fn claim(&self, name: &str) -> Claim {
        self.sessions.claim(self.authenticator.directory(), name)
    }

    /// Checks the password, enters the login among the sessions, and makes the INBOX of one who has
    /// none. Whatever comes of it is logged, and the answer to a failed login held back.
    pub(crate) async fn log_in(
        self: &Arc<Self>,
        login: &Login<'_>,
        about: About,
    ) -> Result<LoggedIn, NotLoggedIn> {
        if self.is_outdated() {
            login.failed("the accounts are out of date");
            return Err(NotLoggedIn::Outdated);
        }
        // Without any account nobody is unknown.
        if self.lacks_accounts() {
            login.failed("no accounts are known yet");
            return Err(NotLoggedIn::NoAccounts);
        }
        let claim = self.claim(login.user);
        let (session, client) = (about.id.to_string(), about.peer);
        let identity = self.authenticator.log_in(login).await;
        let identity = identity.map_err(NotLoggedIn::Refused)?;
        let directory = self.authenticator.directory();
        let presence = match self.sessions.enter(directory, claim, &identity, about) {
            Ok(presence) => presence,
            Err(NotEntered::TooMany) => {
                login.failed("too many connections of this user");
                return Err(NotLoggedIn::TooManyConnections);
            }
            Err(NotEntered::Ended(why)) => {
                login.failed(why);
                return Err(NotLoggedIn::Refused(AuthError::Failed));
            }
        };
        if self.cluster.is_none() {
            let actor = Actor {
                user: Some(identity.user.clone()),
                operator: None,
                session: Some(session),
                client: Some(client),
            };
            if let Err(error) = actor.scope(self.autocreate_inbox(&identity)).await {
                // Login works all the same: other mailboxes may be there.
                warn!(user = identity.user, %error, "could not create the INBOX");
            }
        }
        login.succeeded(&identity.user);
        Ok(LoggedIn { identity, presence })
    }
}
