//! What a login with a password comes to, whichever protocol it is for.

use std::sync::Arc;

use murder_auth::AuthError;
use murder_mailbox::Identity;
use murder_sessions::{About, Claim, NotEntered, Presence};
use tracing::{info, warn};

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
    /// Unknown user, wrong password or disabled account. Counts as a failed login.
    Failed,
    /// The password was right, but not for acting as that user. Counts as a failed login.
    NotAuthorized,
    /// Nobody's account is known here: the master has not been heard yet, or has none.
    NoAccounts,
    /// The master has not been heard for longer than the configuration allows.
    Outdated,
    /// Too many logins are being checked.
    Busy,
    /// The user has as many connections as a user may.
    TooManyConnections,
}

impl NotLoggedIn {
    /// Whether it counts as a failed login.
    pub(crate) const fn is_failure(self) -> bool {
        matches!(self, Self::Failed | Self::NotAuthorized)
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

    /// What `name` claims to be, to be asked for before the password is checked.
    pub(crate) fn claim(&self, name: &str) -> Claim {
        self.sessions.claim(self.authenticator.directory(), name)
    }

    /// Ends a login whose password was checked with `result`: enters it among the sessions,
    /// makes the INBOX of one who has none, and holds the answer to a failed one back. `claimed`
    /// is the name that was given, and `claim` what it was before that.
    pub(crate) async fn log_in(
        self: &Arc<Self>,
        about: About,
        claimed: &str,
        claim: Claim,
        result: Result<Identity, AuthError>,
    ) -> Result<LoggedIn, NotLoggedIn> {
        let (peer, tls, protocol) = (about.peer, about.tls, about.protocol.as_str());
        if self.is_outdated() {
            return Err(NotLoggedIn::Outdated);
        }
        let identity = match result {
            Ok(identity) => identity,
            Err(AuthError::Busy) => return Err(NotLoggedIn::Busy),
            // Without any account nobody is unknown.
            Err(_) if self.lacks_accounts() => return Err(NotLoggedIn::NoAccounts),
            Err(error) => {
                /// The most of a name that is logged; no user's is longer.
                const MAX_LOGGED: usize = 255;
                let claimed = &claimed[..claimed.floor_char_boundary(MAX_LOGGED)];
                info!(user = ?claimed, %peer, protocol, %error, "login failed");
                tokio::time::sleep(self.config.limits.failed_login_delay()).await;
                return Err(match error {
                    AuthError::NotAuthorized => NotLoggedIn::NotAuthorized,
                    _ => NotLoggedIn::Failed,
                });
            }
        };
        let directory = self.authenticator.directory();
        let presence = match self.sessions.enter(directory, claim, &identity, about) {
            Ok(presence) => presence,
            Err(NotEntered::TooMany) => {
                info!(
                    user = identity.user,
                    protocol, "too many connections of this user"
                );
                return Err(NotLoggedIn::TooManyConnections);
            }
            Err(NotEntered::Ended(why)) => {
                info!(user = identity.user, %peer, protocol, %why, "login failed");
                return Err(NotLoggedIn::Failed);
            }
        };
        if self.cluster.is_none()
            && let Err(error) = self.autocreate_inbox(&identity).await
        {
            // Login works all the same: other mailboxes may be there.
            warn!(user = identity.user, %error, "could not create the INBOX");
        }
        info!(user = identity.user, %peer, tls, protocol, "logged in");
        Ok(LoggedIn { identity, presence })
    }
}
