//! LOGIN (RFC 9051 section 6.2.3), and what every login with a password ends with.

use murder_auth::AuthError;
use murder_imap::{Code, Secret};
use murder_mailbox::{Identity, Namespace};
use tracing::{info, warn};

use crate::imap::errors::{OpError, OpResult, no, ok_code};
use crate::imap::op::capability;
use crate::imap::session::{Session, User};

/// LOGIN user password
pub(crate) async fn login(session: &mut Session, user: String, password: &Secret) -> OpResult {
    if !capability::may_log_in(session) {
        return Err(privacy_required());
    }
    let result = match password.expose_str() {
        Some(password) => session.node.authenticator.verify(&user, password).await,
        None => Err(AuthError::Failed),
    };
    finish(session, &user, result).await
}

/// Passwords are not taken without TLS.
pub(crate) fn privacy_required() -> OpError {
    no(Code::PrivacyRequired, "Use TLS first")
}

/// Lets the user in whose password was right, and holds the answer back for the others.
/// `claimed`: the name that was given.
pub(crate) async fn finish(
    session: &mut Session,
    claimed: &str,
    result: Result<Identity, AuthError>,
) -> OpResult {
    let identity = match result {
        Ok(identity) => identity,
        Err(AuthError::Busy) => {
            return Err(no(Code::Unavailable, "Too many logins, try again"));
        }
        Err(error) => return Err(failed(session, claimed, error).await),
    };
    let Some(slot) = session.node.per_user.take(&identity.user) else {
        info!(user = identity.user, "too many connections of this user");
        return Err(no(Code::Limit, "Too many connections of this user"));
    };
    if session.node.cluster.is_none()
        && let Err(error) = session.node.autocreate_inbox(&identity).await
    {
        // Login works all the same: other mailboxes may be there.
        warn!(user = identity.user, %error, "could not create the INBOX");
    }
    let namespace = Namespace::client(
        session.node.namespace.clone(),
        &identity.user,
        identity.admin,
    );
    info!(
        user = identity.user,
        peer = %session.peer,
        tls = session.stream.is_tls(),
        "logged in"
    );
    session.logged_in(User {
        identity,
        namespace,
        _slot: Some(slot),
    });
    Ok(ok_code(capability::code(session), "Logged in"))
}

async fn failed(session: &mut Session, claimed: &str, error: AuthError) -> OpError {
    /// The most of a name that is logged; no user's is longer.
    const MAX_LOGGED: usize = 255;
    session.node.imap.failed_logins.inc();
    session.failed_logins += 1;
    let claimed = &claimed[..claimed.floor_char_boundary(MAX_LOGGED)];
    info!(user = ?claimed, peer = %session.peer, %error, "login failed");
    tokio::time::sleep(session.node.config.limits.failed_login_delay()).await;
    match error {
        AuthError::NotAuthorized => no(
            Code::AuthorizationFailed,
            "Not authorized to act as that user",
        ),
        _ => no(Code::AuthenticationFailed, "Authentication failed"),
    }
}
