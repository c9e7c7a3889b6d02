//! What a login with a password comes to, whichever protocol it is for.

use std::net::IpAddr;
use std::sync::Arc;

use murder_auth::AuthError;
use murder_mailbox::Identity;
use murder_net::Slot;
use tracing::{info, warn};

use crate::node::Node;

/// Failed logins on one connection: more than anyone mistypes a password.
pub(crate) const MAX_FAILED_LOGINS: u32 = 10;

/// Whose connection it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Origin {
    /// `imap`, in logs.
    pub protocol: &'static str,
    /// The client's address.
    pub peer: IpAddr,
    /// Whether it is under TLS.
    pub tls: bool,
}

/// Somebody has logged in.
#[derive(Debug)]
pub(crate) struct LoggedIn {
    /// Who.
    pub identity: Identity,
    /// Counts the connection among the user's.
    pub slot: Slot<String>,
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

    /// Ends a login whose password was checked with `result`: takes a connection of the user's,
    /// makes the INBOX of one who has none, and holds the answer to a failed one back. `claimed`
    /// is the name that was given.
    pub(crate) async fn log_in(
        self: &Arc<Self>,
        origin: Origin,
        claimed: &str,
        result: Result<Identity, AuthError>,
    ) -> Result<LoggedIn, NotLoggedIn> {
        let Origin {
            protocol,
            peer,
            tls,
        } = origin;
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
        let Some(slot) = self.per_user.take(&identity.user) else {
            info!(
                user = identity.user,
                protocol, "too many connections of this user"
            );
            return Err(NotLoggedIn::TooManyConnections);
        };
        if self.cluster.is_none()
            && let Err(error) = self.autocreate_inbox(&identity).await
        {
            // Login works all the same: other mailboxes may be there.
            warn!(user = identity.user, %error, "could not create the INBOX");
        }
        info!(user = identity.user, %peer, tls, protocol, "logged in");
        Ok(LoggedIn { identity, slot })
    }
}
