//! Commands of the AUTHORIZATION state, and CAPA, which lists them.

use std::io;
use std::sync::Arc;

use murder_auth::Login;
use murder_auth::sasl::{self, Plain, SaslError};
use murder_mailbox::Identity;
use murder_pop3::Secret;
use murder_sessions::Presence;
use tokio::time::timeout_at;
use tracing::warn;

use super::maildrop::Maildrop;
use super::reply::{self, Reply, ok};
use super::session::{Done, End, Session, State, Stop};
use crate::login::{LoggedIn, log_vouched};

impl From<SaslError> for Stop {
    fn from(_: SaslError) -> Self {
        Self::Bad(reply::MALFORMED_SASL)
    }
}

/// CAPA (RFC 2449 section 5), in both states alike.
pub(super) fn capa(session: &mut Session) -> Option<Reply> {
    let mut list = String::from(
        "+OK Capability list follows\r\nTOP\r\nUIDL\r\nRESP-CODES\r\nAUTH-RESP-CODE\r\n\
         PIPELINING\r\nEXPIRE NEVER\r\n",
    );
    let mut mechanisms = String::new();
    if session.may_log_in() {
        list += "USER\r\n";
        mechanisms += " PLAIN";
    }
    if session.is_frontend() {
        mechanisms += " EXTERNAL";
    }
    if !mechanisms.is_empty() {
        list += "SASL";
        list += &mechanisms;
        list += "\r\n";
    }
    if session.node.tls.is_some() && !session.stream.is_tls() {
        list += "STLS\r\n";
    }
    list += "IMPLEMENTATION murder\r\n.\r\n";
    session.output.extend_from_slice(list.as_bytes());
    None
}

/// STLS (RFC 2595 section 4). A client that has sent something behind the command is cut off, as
/// that may come from somebody in between.
pub(super) async fn stls(session: &mut Session) -> Done {
    if session.stream.is_tls() {
        return Err(reply::TLS_ALREADY.into());
    }
    let config = session.node.tls.clone();
    let config = config.ok_or(Stop::Bad(reply::NO_TLS))?;
    if session.has_buffered() {
        return Err(Stop::End(End::CutOff(reply::DATA_BEHIND_STLS)));
    }
    ok("Begin TLS negotiation").write(&mut session.output);
    session.flush().await?;
    session.state = State::Authorization(None);
    let handshake = session.stream.start_tls(&config);
    match timeout_at(session.login_deadline, handshake).await {
        Ok(done) => done?,
        Err(_) => return Err(io::Error::from(io::ErrorKind::TimedOut).into()),
    }
    Ok(None)
}

/// USER. Whether there is such a user is not said.
pub(super) fn user(session: &mut Session, name: String) -> Done {
    if !session.may_log_in() {
        return Err(reply::NEEDS_TLS.into());
    }
    session.state = State::Authorization(Some(name));
    Ok(Some(ok("Send the password")))
}

/// PASS
pub(super) async fn pass(session: &mut Session, password: &Secret) -> Done {
    let State::Authorization(name) = &mut session.state else {
        return Err(Stop::Bad(reply::LOGGED_IN_ALREADY));
    };
    let name = name.take();
    if !session.may_log_in() {
        return Err(reply::NEEDS_TLS.into());
    }
    let name = name.ok_or(Stop::Bad(reply::SAY_USER))?;
    let password = std::str::from_utf8(password.expose()).ok();
    log_in(session, "USER", &name, None, password).await
}

/// AUTH with PLAIN and EXTERNAL (RFC 1734, RFC 2449 section 6.3, RFC 4616, RFC 4422 appendix A).
pub(super) async fn auth(
    session: &mut Session,
    mechanism: &str,
    initial_response: Option<Secret>,
) -> Done {
    session.state = State::Authorization(None);
    match mechanism {
        "PLAIN" if session.may_log_in() => {
            let message = response(session, initial_response).await?;
            let plain = Plain::parse(&message)?;
            let Plain {
                authzid,
                authcid,
                password,
            } = &plain;
            log_in(
                session,
                "PLAIN",
                authcid,
                authzid.as_deref(),
                Some(password),
            )
            .await
        }
        "PLAIN" => Err(reply::NEEDS_TLS.into()),
        "EXTERNAL" if session.is_frontend() => {
            let message = response(session, initial_response).await?;
            let user = sasl::external(&message)?.ok_or(reply::NAME_A_USER)?;
            vouched(session, &user).await
        }
        "EXTERNAL" => {
            if let Some(peer) = session.stream.peer() {
                warn!(node = peer.name, roles = %peer.role_names(), "only frontends may act for users");
            }
            Err(reply::ONLY_FRONTENDS.into())
        }
        _ => Err(reply::UNKNOWN_MECHANISM.into()),
    }
}

/// The client's message: with the command, or after an empty challenge.
async fn response(session: &mut Session, initial: Option<Secret>) -> Result<Vec<u8>, Stop> {
    let encoded = match initial {
        Some(initial) => initial,
        None => {
            session.output.extend_from_slice(b"+ \r\n");
            session.read_line().await?
        }
    };
    match encoded.expose() {
        b"*" => Err(reply::CANCELLED.into()),
        encoded => Ok(sasl::decode(encoded)?),
    }
}

/// Lets the user in if the password is right; `None` is one that is nobody's.
async fn log_in(
    session: &mut Session,
    mechanism: &'static str,
    user: &str,
    authzid: Option<&str>,
    password: Option<&str>,
) -> Done {
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
        Err(error) => {
            if error.is_failure() {
                node.pop3.metrics.failed_logins.inc();
                session.failed_logins += 1;
            }
            return Err(Stop::Refused(error.into()));
        }
    };
    enter(session, identity, presence, false).await
}

/// Lets in the user that a frontend vouches for. The frontend has counted the session and held
/// back wrong passwords.
async fn vouched(session: &mut Session, user: &str) -> Done {
    let node = Arc::clone(&session.node);
    if node.is_outdated() {
        return Err(reply::OUTDATED.into());
    }
    let Some(identity) = node.identity_vouched(user).await else {
        node.pop3.metrics.failed_logins.inc();
        log_vouched("pop3", session.id, session.stream.peer(), user, false);
        return Err(reply::NO_SUCH_USER.into());
    };
    log_vouched(
        "pop3",
        session.id,
        session.stream.peer(),
        &identity.user,
        true,
    );
    let presence = node.enter_vouched(&identity, session.about());
    enter(session, identity, presence, true).await
}

/// From AUTHORIZATION to TRANSACTION. A session that cannot open its maildrop may log in again.
async fn enter(
    session: &mut Session,
    identity: Identity,
    presence: Presence,
    vouched: bool,
) -> Done {
    session.span.record("user", identity.user.as_str());
    let maildrop = Maildrop::open(&session.node, identity, vouched).await?;
    session.presence = Some(presence);
    session.node.pop3.metrics.logins.inc();
    session.failed_logins = 0;
    let text = reply::messages(maildrop.count());
    session.state = State::Transaction(Box::new(maildrop));
    Ok(Some(ok(text)))
}
