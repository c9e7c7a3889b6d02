//! Who is let in, whichever protocol it is for.

use std::sync::Arc;

use murder_net::{Actor, Connection, Peer};
use murder_session::{About, Credentials, LoggedIn, NotLoggedIn};
use tracing::warn;

use crate::node::Node;

impl Node {
    fn lacks_accounts(&self) -> bool {
        let replica = self.cluster.as_ref().map(|cluster| &cluster.replica);
        replica.is_some_and(|replica| !replica.has_accounts())
    }

    /// Whether what is known of accounts is older than may be.
    fn is_outdated(&self) -> bool {
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

    /// Checks the credentials and enters the login among the sessions; of a backend that works
    /// alone, makes the INBOX of one who has none. `frontend` is who vouches for a user.
    ///
    /// # Errors
    /// See [`NotLoggedIn`].
    pub(crate) async fn log_in(
        self: &Arc<Self>,
        credentials: &Credentials,
        about: About,
        frontend: Option<&Peer>,
    ) -> Result<LoggedIn, NotLoggedIn> {
        let (sessions, authenticator) = (&self.sessions, &self.authenticator);
        match credentials {
            Credentials::Password(password) => {
                let ready = match self.is_outdated() {
                    true => Err(NotLoggedIn::Outdated),
                    // Without any account nobody is unknown.
                    false if self.lacks_accounts() => Err(NotLoggedIn::NoAccounts),
                    false => Ok(()),
                };
                let (session, client) = (about.id, about.peer);
                let logged_in = sessions.log_in(authenticator, ready, about, password);
                let logged_in = logged_in.await?;
                if self.cluster.is_none() {
                    let identity = &logged_in.identity;
                    let actor = Actor {
                        user: Some(identity.user.clone()),
                        operator: None,
                        session: Some(session.to_string()),
                        client: Some(client),
                    };
                    if let Err(error) = actor.scope(self.autocreate_inbox(identity)).await {
                        // Login works all the same: other mailboxes may be there.
                        warn!(user = identity.user, %error, "could not create the INBOX");
                    }
                }
                Ok(logged_in)
            }
            // The frontend has counted the session and held back wrong passwords.
            Credentials::Vouched(_) if self.is_outdated() => Err(NotLoggedIn::Outdated),
            Credentials::Vouched(user) => {
                let identity = self.identity_vouched(user).await;
                sessions.vouch(authenticator, about, frontend, user, identity)
            }
        }
    }
}
