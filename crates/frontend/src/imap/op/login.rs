//! LOGIN and AUTHENTICATE (RFC 9051 sections 6.2.2 and 6.2.3, RFC 4959, RFC 4616).

use bytes::Bytes;
use murder_auth::sasl::{self, Plain};
use murder_auth::{AuthError, Login};
use murder_mailbox::Namespace;
use murder_session::{About, NotEntered, Protocol};

use crate::autocreate;
use crate::backend::connection::ActingFor;
use crate::backend::{Completion, Status};
use crate::imap::arguments::Arguments;
use crate::imap::errors::{OpError, OpResult, Refusal};
use crate::imap::op::capability;
use crate::imap::session::{Session, State, User};
use std::sync::Arc;

/// LOGIN user password
pub(crate) async fn login(session: &mut Session, mut arguments: Arguments<'_>) -> OpResult {
    let user = arguments.text()?;
    arguments.space()?;
    let password = arguments.text()?;
    arguments.end()?;
    if !session.may_log_in() {
        return Err(Refusal::PrivacyRequired.into());
    }
    check_populated(session).await?;
    let plain = Plain {
        authzid: None,
        authcid: user,
        password,
    };
    log_in(session, "LOGIN", &plain).await
}

/// AUTHENTICATE PLAIN [initial response]
pub(crate) async fn authenticate(session: &mut Session, mut arguments: Arguments<'_>) -> OpResult {
    let mechanism = arguments.word()?.to_ascii_uppercase();
    let initial = match arguments.take(b' ') {
        true => Some(Bytes::copy_from_slice(arguments.rest())),
        false => {
            arguments.end()?;
            None
        }
    };
    if !session.may_log_in() {
        return Err(Refusal::PrivacyRequired.into());
    }
    if mechanism != "PLAIN" {
        return Err(Refusal::Cannot("Mechanism is not supported".into()).into());
    }
    let response = match initial {
        Some(initial) => initial,
        None => {
            session.client.wire.put(b"+ \r\n");
            read_line(session).await?
        }
    };
    if &*response == b"*" {
        return Err(Refusal::syntax("Authentication cancelled").into());
    }
    let malformed = |_| Refusal::syntax("Malformed SASL response");
    check_populated(session).await?;
    let message = sasl::decode(&response).map_err(malformed)?;
    let plain = Plain::parse(&message).map_err(malformed)?;
    log_in(session, "PLAIN", &plain).await
}

/// Without the accounts nobody is unknown; and with outdated ones, somebody may be known who should
/// not be.
async fn check_populated(session: &Session) -> Result<(), Refusal> {
    let why = match session.shared.is_populated().await {
        true if session.shared.is_outdated() => "The accounts are out of date, try again later",
        true => return Ok(()),
        false => "Not ready yet, try again",
    };
    Err(Refusal::Unavailable(why.into()))
}

async fn read_line(session: &mut Session) -> Result<Bytes, OpError> {
    let limit = session.shared.settings.login_timeout;
    let reading = async {
        loop {
            if let Some(line) = session.client.next_line() {
                return Ok(line);
            }
            match session.client.wire.fill().await {
                Ok(0) => return Err(std::io::ErrorKind::UnexpectedEof.into()),
                Ok(_) => {}
                Err(error) => return Err(error),
            }
        }
    };
    match tokio::time::timeout(limit, reading).await {
        Ok(line) => line.map_err(OpError::gone),
        Err(_) => Err(OpError::gone(std::io::ErrorKind::TimedOut.into())),
    }
}

async fn log_in(session: &mut Session, mechanism: &'static str, plain: &Plain) -> OpResult {
    let shared = session.shared.clone();
    let about = About {
        id: session.id,
        protocol: Protocol::Imap,
        peer: session.peer.to_canonical(),
        tls: session.secure,
    };
    let login = Login {
        protocol: about.protocol.as_str(),
        peer: session.peer,
        session: &about.id.to_string(),
        mechanism,
        tls: session.secure,
        user: &plain.authcid,
        authzid: plain.authzid.as_deref(),
        password: Some(&plain.password),
    };
    let claim = shared.claim(&plain.authcid);
    let identity = match shared.authenticator.log_in(&login).await {
        Ok(identity) => identity,
        Err(error) => {
            if error.is_failure() {
                shared.metrics.logins_failed.inc();
                session.failed_logins += 1;
            }
            return Err(refusal(error).into());
        }
    };
    let directory = shared.authenticator.directory();
    let presence = match shared.sessions.enter(directory, claim, &identity, about) {
        Ok(presence) => presence,
        Err(NotEntered::TooMany) => {
            login.failed("too many connections of this user");
            return Err(Refusal::Limit("Too many connections of this user").into());
        }
        Err(NotEntered::Ended(why)) => {
            login.failed(why);
            return Err(Refusal::AuthenticationFailed.into());
        }
    };
    shared.metrics.logins.inc();
    tracing::Span::current().record("user", identity.user.as_str());
    login.succeeded(&identity.user);
    let namespace = Namespace::client(
        session.shared.settings.namespace.clone(),
        &identity.user,
        identity.admin,
    );
    let (identity, accounts) = session.shared.identity_now(&identity);
    let acting = ActingFor {
        user: presence.user().clone(),
        session: session.id.to_string().into(),
        client: session.peer,
        accounts,
    };
    if let Err(error) = autocreate::inbox(&session.shared, &identity, &acting).await {
        // Login works all the same: other mailboxes may be there.
        tracing::warn!(user = identity.user, %error, "could not create the INBOX");
    }
    session.user = Some(Arc::new(User {
        identity,
        namespace,
        acting,
    }));
    session.presence = Some(presence);
    session.state = State::Authenticated;
    session.client.set_limits(session.shared.settings.limits());
    session.failed_logins = 0;
    Ok(Completion {
        status: Status::Ok,
        code: Some(format!("CAPABILITY {}", capability::list(session))),
        text: "Logged in".into(),
    })
}

fn refusal(error: AuthError) -> Refusal {
    match error {
        AuthError::Failed => Refusal::AuthenticationFailed,
        AuthError::NotAuthorized => Refusal::AuthorizationFailed,
        AuthError::Busy => Refusal::Unavailable("Too many logins, try again".into()),
        AuthError::Guessing => {
            Refusal::Unavailable("Too many failed logins, try again later".into())
        }
    }
}
