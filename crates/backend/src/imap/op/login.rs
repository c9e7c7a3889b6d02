//! LOGIN (RFC 9051 section 6.2.3), and what every login with a password ends with.

use std::sync::Arc;

use murder_auth::{AuthError, Login};
use murder_imap::{Code, Secret};
use murder_mailbox::Namespace;

use crate::imap::errors::{OpError, OpResult, no, ok_code};
use crate::imap::op::capability;
use crate::imap::session::{Session, User};
use crate::login::{LoggedIn, NotLoggedIn};

/// LOGIN user password
pub(crate) async fn login(session: &mut Session, user: String, password: &Secret) -> OpResult {
    if !capability::may_log_in(session) {
        return Err(privacy_required());
    }
    finish(session, "LOGIN", &user, None, password.expose_str()).await
}

/// Passwords are not taken without TLS.
pub(crate) fn privacy_required() -> OpError {
    no(Code::PrivacyRequired, "Use TLS first")
}

/// Lets the user in if the password is right; `None` is one that is nobody's.
pub(crate) async fn finish(
    session: &mut Session,
    mechanism: &'static str,
    user: &str,
    authzid: Option<&str>,
    password: Option<&str>,
) -> OpResult {
    let about = session.about();
    let login = Login {
        protocol: about.protocol.as_str(),
        peer: session.peer,
        session: &about.id.to_string(),
        mechanism,
        tls: about.tls,
        user,
        authzid,
        password,
    };
    let node = Arc::clone(&session.node);
    let LoggedIn { identity, presence } = match node.log_in(&login, about).await {
        Ok(logged_in) => logged_in,
        Err(refused) => {
            if refused.is_failure() {
                node.imap.failed_logins.inc();
                session.failed_logins += 1;
            }
            return Err(answer(refused));
        }
    };
    let namespace = Namespace::client(
        session.node.config.namespace.clone(),
        &identity.user,
        identity.admin,
    );
    session.logged_in(
        User {
            identity,
            namespace,
        },
        presence,
    );
    Ok(ok_code(capability::code(session), "Logged in"))
}

/// The accounts that are known here may be others by now.
pub(super) const OUTDATED: &str = "The accounts are out of date here, try again later";

fn answer(refused: NotLoggedIn) -> OpError {
    match refused {
        NotLoggedIn::Refused(AuthError::Failed) => {
            no(Code::AuthenticationFailed, "Authentication failed")
        }
        NotLoggedIn::Refused(AuthError::NotAuthorized) => no(
            Code::AuthorizationFailed,
            "Not authorized to act as that user",
        ),
        NotLoggedIn::Refused(AuthError::Busy) => {
            no(Code::Unavailable, "Too many logins, try again")
        }
        NotLoggedIn::Refused(AuthError::Guessing) => {
            no(Code::Unavailable, "Too many failed logins, try again later")
        }
        NotLoggedIn::NoAccounts => no(Code::Unavailable, "No accounts are known yet, try again"),
        NotLoggedIn::Outdated => no(Code::Unavailable, OUTDATED),
        NotLoggedIn::TooManyConnections => no(Code::Limit, "Too many connections of this user"),
    }
}
