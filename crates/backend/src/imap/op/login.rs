//! LOGIN (RFC 9051 section 6.2.3), and what every login with a password ends with.

use std::sync::Arc;

use murder_auth::AuthError;
use murder_imap::{Code, Secret};
use murder_mailbox::{Identity, Namespace};
use murder_sessions::Claim;

use crate::imap::errors::{OpError, OpResult, no, ok_code};
use crate::imap::op::capability;
use crate::imap::session::{Session, User};
use crate::login::{LoggedIn, NotLoggedIn};

/// LOGIN user password
pub(crate) async fn login(session: &mut Session, user: String, password: &Secret) -> OpResult {
    if !capability::may_log_in(session) {
        return Err(privacy_required());
    }
    let claim = session.node.claim(&user);
    let result = match password.expose_str() {
        Some(password) => session.node.authenticator.verify(&user, password).await,
        None => Err(AuthError::Failed),
    };
    finish(session, &user, claim, result).await
}

/// Passwords are not taken without TLS.
pub(crate) fn privacy_required() -> OpError {
    no(Code::PrivacyRequired, "Use TLS first")
}

/// Lets the user in whose password was right, and holds the answer back for the others.
/// `claimed`: the name that was given, and `claim` what it was before the password was checked.
pub(crate) async fn finish(
    session: &mut Session,
    claimed: &str,
    claim: Claim,
    result: Result<Identity, AuthError>,
) -> OpResult {
    let node = Arc::clone(&session.node);
    let LoggedIn { identity, presence } =
        match node.log_in(session.about(), claimed, claim, result).await {
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
        NotLoggedIn::Failed => no(Code::AuthenticationFailed, "Authentication failed"),
        NotLoggedIn::NotAuthorized => no(
            Code::AuthorizationFailed,
            "Not authorized to act as that user",
        ),
        NotLoggedIn::NoAccounts => no(Code::Unavailable, "No accounts are known yet, try again"),
        NotLoggedIn::Outdated => no(Code::Unavailable, OUTDATED),
        NotLoggedIn::Busy => no(Code::Unavailable, "Too many logins, try again"),
        NotLoggedIn::TooManyConnections => no(Code::Limit, "Too many connections of this user"),
    }
}
