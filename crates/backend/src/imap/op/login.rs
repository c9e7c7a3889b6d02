//! LOGIN (RFC 9051 section 6.2.3), and what every login ends with.

use std::sync::Arc;

use murder_imap::Secret;
use murder_session::{Credentials, Password};

use crate::imap::errors::{OpResult, ok_code};
use crate::imap::op::capability;
use crate::imap::session::Session;
use crate::imap::state::State;

/// LOGIN user password
pub(crate) async fn login(session: &mut Session, user: String, password: &Secret) -> OpResult {
    session.client.offer().check_passwords()?;
    let password = Password {
        mechanism: "LOGIN",
        user,
        authzid: None,
        password: password.expose_str().map(str::to_owned),
    };
    finish(session, Credentials::Password(password)).await
}

/// Lets the client in if its credentials are right.
pub(crate) async fn finish(session: &mut Session, credentials: Credentials) -> OpResult {
    let node = Arc::clone(&session.client.node);
    let (about, peer) = (session.client.about(), session.client.stream.peer());
    match node.log_in(&credentials, about, peer.as_ref()).await {
        Ok(logged_in) => {
            session.enter(logged_in);
            Ok(ok_code(capability::code(session), "Logged in"))
        }
        Err(why) => {
            if let State::NotAuthenticated(login) = &mut session.state {
                login.refused(why);
            }
            if why.is_failure() {
                session.client.imap.metrics.failed_logins.inc();
            }
            Err(why.into())
        }
    }
}
