//! What a login comes to, whichever protocol it is for.

use std::sync::Arc;
use std::time::Duration;

use murder_auth::{AuthError, Authenticator};
use murder_mailbox::Identity;
use murder_net::Peer;
use tokio::time::Instant;

use crate::limits::MAX_FAILED_LOGINS;
use crate::{About, Goodbye, NotEntered, Presence, Sessions};

/// A session in which nobody has logged in yet.
#[derive(Debug)]
pub struct Login {
    deadline: Instant,
    failed: u32,
}

impl Login {
    /// Whoever has not logged in after so long is sent away.
    #[must_use]
    pub fn within(limit: Duration) -> Self {
        Self {
            deadline: Instant::now() + limit,
            failed: 0,
        }
    }

    /// When whoever has not logged in is sent away.
    #[must_use]
    pub const fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Takes a login down that was refused.
    pub const fn refused(&mut self, why: NotLoggedIn) {
        if why.is_failure() {
            self.failed += 1;
        }
    }

    /// Whether the client may try again.
    ///
    /// # Errors
    /// [`Goodbye::FailedLogins`] after too many failures.
    pub const fn check(&self) -> Result<(), Goodbye> {
        match self.failed {
            MAX_FAILED_LOGINS.. => Err(Goodbye::FailedLogins),
            _ => Ok(()),
        }
    }
}

/// By what somebody wants to log in.
pub enum Credentials {
    /// A password.
    Password(Password),
    /// A frontend vouches for this user.
    Vouched(String),
}

/// A name and a password. Its `Debug` is not there for a reason.
pub struct Password {
    /// `LOGIN`, `PLAIN`, `USER`: how they came, for logs.
    pub mechanism: &'static str,
    /// Whose password it is said to be.
    pub user: String,
    /// Whom the client wants to act as, when it says so.
    pub authzid: Option<String>,
    /// `None`: not UTF-8, and so nobody's.
    pub password: Option<String>,
}

/// Somebody has logged in.
#[derive(Debug)]
pub struct LoggedIn {
    /// Who.
    pub identity: Identity,
    /// The connection's place among the sessions.
    pub presence: Presence,
    /// A frontend vouches for them.
    pub vouched: bool,
}

/// Why somebody has not logged in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotLoggedIn {
    /// Passwords are not taken without TLS.
    #[error("no password without TLS")]
    NeedsTls,
    /// There is no such mechanism.
    #[error("the mechanism is not supported")]
    UnknownMechanism,
    /// Only the frontends of the murder may act for users.
    #[error("only frontends may act for users")]
    OnlyFrontends,
    /// A frontend named nobody to act for.
    #[error("nobody was named to act for")]
    NoUser,
    /// The client's message is none of the mechanism.
    #[error("malformed SASL message")]
    Malformed,
    /// The client has thought better of it.
    #[error("cancelled")]
    Cancelled,
    /// It was not said, or not so, who they are.
    #[error(transparent)]
    Refused(#[from] AuthError),
    /// A frontend vouched for somebody whose account is disabled, or for what is no user's name.
    #[error("no such user, or the account is disabled")]
    UnknownUser,
    /// Nobody's account is known here: the master has not been heard yet, or has none.
    #[error("no accounts are known yet")]
    NoAccounts,
    /// The master has not been heard for longer than the configuration allows.
    #[error("the accounts are out of date")]
    Outdated,
    /// The user has as many connections as a user may.
    #[error("too many connections of this user")]
    TooManyConnections,
}

impl NotLoggedIn {
    /// Whether it counts as a failed login.
    #[must_use]
    pub const fn is_failure(self) -> bool {
        match self {
            Self::Refused(error) => error.is_failure(),
            Self::UnknownUser => true,
            _ => false,
        }
    }
}

impl Sessions {
    /// Checks the password and enters the login among the sessions. `ready`: whether the accounts
    /// that are known here may be gone by. What comes of it is logged, and the answer to a failed
    /// login held back.
    ///
    /// # Errors
    /// See [`NotLoggedIn`].
    pub async fn log_in(
        self: &Arc<Self>,
        authenticator: &Authenticator,
        ready: Result<(), NotLoggedIn>,
        about: About,
        password: &Password,
    ) -> Result<LoggedIn, NotLoggedIn> {
        let login = murder_auth::Login {
            protocol: about.protocol.as_str(),
            peer: about.peer,
            session: &about.id.to_string(),
            mechanism: password.mechanism,
            tls: about.tls,
            user: &password.user,
            authzid: password.authzid.as_deref(),
            password: password.password.as_deref(),
        };
        if let Err(why) = ready {
            login.failed(why);
            return Err(why);
        }
        let directory = authenticator.directory();
        let claim = self.claim(directory, login.user);
        let identity = authenticator.log_in(&login).await?;
        let presence = self
            .enter(directory, claim, &identity, about)
            .map_err(|refused| {
                login.failed(refused);
                match refused {
                    NotEntered::TooMany => NotLoggedIn::TooManyConnections,
                    NotEntered::Ended(_) => AuthError::Failed.into(),
                }
            })?;
        login.succeeded(&identity.user);
        Ok(LoggedIn {
            identity,
            presence,
            vouched: false,
        })
    }

    /// Enters a connection on which `frontend` acts for `user`, who is `identity`; `None` is not
    /// let in. That is logged; of the client's own login the frontend tells.
    ///
    /// # Errors
    /// [`NotLoggedIn::UnknownUser`].
    pub fn vouch(
        self: &Arc<Self>,
        authenticator: &Authenticator,
        about: About,
        frontend: Option<&Peer>,
        user: &str,
        identity: Option<Identity>,
    ) -> Result<LoggedIn, NotLoggedIn> {
        let frontend = frontend.map(|peer| peer.name.as_str());
        let (protocol, session) = (about.protocol.as_str(), about.id);
        let Some(identity) = identity else {
            murder_net::audit!("vouched_failed", frontend, protocol, %session, user);
            return Err(NotLoggedIn::UnknownUser);
        };
        let user = identity.user.as_str();
        murder_net::audit!("vouched", frontend, protocol, %session, user);
        let presence = self.enter_vouched(authenticator.directory(), user, about);
        Ok(LoggedIn {
            identity,
            presence,
            vouched: true,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_failed_logins_count() {
        let mut login = Login::within(Duration::from_secs(60));
        for _ in 0..100 {
            login.refused(NotLoggedIn::Cancelled);
            login.refused(NotLoggedIn::TooManyConnections);
            login.refused(AuthError::Busy.into());
        }
        for _ in 0..MAX_FAILED_LOGINS {
            assert_eq!(login.check(), Ok(()));
            login.refused(AuthError::Failed.into());
        }
        assert_eq!(login.check(), Err(Goodbye::FailedLogins));
    }
}
