//! LOGIN and AUTHENTICATE (RFC 9051 sections 6.2.2 and 6.2.3, RFC 4959).

use std::sync::Arc;

use bytes::Bytes;
use murder_mailbox::Namespace;
use murder_session::{About, Credentials, LoggedIn, NotLoggedIn, Password, Protocol};

use crate::autocreate;
use crate::backend::connection::ActingFor;
use crate::backend::{Completion, Status};
use crate::imap::arguments::Arguments;
use crate::imap::errors::{OpError, OpResult, Refusal};
use crate::imap::op::capability;
use crate::imap::session::{Session, State, User};

/// LOGIN user password
pub(crate) async fn login(session: &mut Session, mut arguments: Arguments<'_>) -> OpResult {
    let user = arguments.text()?;
    arguments.space()?;
    let password = arguments.text()?;
    arguments.end()?;
    session.offer().check_passwords()?;
    let password = Password {
        mechanism: "LOGIN",
        user,
        authzid: None,
        password: Some(password),
    };
    log_in(session, &password).await
}

/// AUTHENTICATE PLAIN [initial response]
pub(crate) async fn authenticate(session: &mut Session, mut arguments: Arguments<'_>) -> OpResult {
    let mechanism = arguments.word()?.to_ascii_uppercase();
    let initial = match arguments.take(b' ') {
        true => Some(murder_session::response(arguments.rest())?),
        false => {
            arguments.end()?;
            None
        }
    };
    let offer = session.offer();
    let ask = async || ask(session).await;
    match offer.exchange(&mechanism, initial, ask).await? {
        Credentials::Password(password) => log_in(session, &password).await,
        Credentials::Vouched(_) => Err(NotLoggedIn::OnlyFrontends.into()),
    }
}

/// Sends an empty challenge and reads the answer.
async fn ask(session: &mut Session) -> Result<Bytes, OpError> {
    session.client.wire.put(b"+ \r\n");
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

async fn log_in(session: &mut Session, password: &Password) -> OpResult {
    let shared = session.shared.clone();
    let about = About {
        id: session.id,
        protocol: Protocol::Imap,
        peer: session.peer.to_canonical(),
        tls: session.secure,
    };
    let ready = match shared.is_populated().await {
        // Somebody may be known who should not be.
        true if shared.is_outdated() => Err(NotLoggedIn::Outdated),
        true => Ok(()),
        // Without the accounts nobody is unknown.
        false => Err(NotLoggedIn::NoAccounts),
    };
    let (sessions, authenticator) = (&shared.sessions, &shared.authenticator);
    let logged_in = sessions.log_in(authenticator, ready, about, password).await;
    let LoggedIn {
        identity, presence, ..
    } = match logged_in {
        Ok(logged_in) => logged_in,
        Err(why) => {
            if let State::NotAuthenticated(login) = &mut session.state {
                login.refused(why);
            }
            if why.is_failure() {
                shared.metrics.logins_failed.inc();
            }
            return Err(why.into());
        }
    };
    shared.metrics.logins.inc();
    tracing::Span::current().record("user", identity.user.as_str());
    let namespace = Namespace::client(
        shared.settings.namespace.clone(),
        &identity.user,
        identity.admin,
    );
    let (identity, accounts) = shared.identity_now(&identity);
    let acting = ActingFor {
        user: presence.user().clone(),
        session: session.id.to_string().into(),
        client: session.peer,
        accounts,
    };
    if let Err(error) = autocreate::inbox(&shared, &identity, &acting).await {
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
    session.client.set_limits(shared.settings.limits());
    Ok(Completion {
        status: Status::Ok,
        code: Some(format!("CAPABILITY {}", capability::list(session))),
        text: "Logged in".into(),
    })
}

impl From<NotLoggedIn> for OpError {
    fn from(why: NotLoggedIn) -> Self {
        Refusal::NotLoggedIn(why).into()
    }
}
