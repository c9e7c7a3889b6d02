//! Commands of the AUTHORIZATION state, and CAPA, which lists them.

use std::io;
use std::sync::Arc;

use murder_pop3::Secret;
use murder_session::{Credentials, LoggedIn, Password};
use tokio::time::{Instant, timeout_at};

use super::maildrop::Maildrop;
use super::reply::{self, Reply, ok};
use super::session::{Done, End, Session, State, Stop};

/// CAPA (RFC 2449 section 5), in both states alike.
pub(super) fn capa(session: &mut Session) -> Option<Reply> {
    let mut list = String::from(
        "+OK Capability list follows\r\nTOP\r\nUIDL\r\nRESP-CODES\r\nAUTH-RESP-CODE\r\n\
         PIPELINING\r\nEXPIRE NEVER\r\n",
    );
    let offer = session.offer();
    if offer.takes_passwords() {
        list += "USER\r\n";
    }
    let mechanisms: Vec<&str> = offer.mechanisms().collect();
    if !mechanisms.is_empty() {
        list += "SASL ";
        list += &mechanisms.join(" ");
        list += "\r\n";
    }
    if session.node.tls.is_some() && !session.wire.stream.is_tls() {
        list += "STLS\r\n";
    }
    list += "IMPLEMENTATION murder\r\n.\r\n";
    session.wire.output.extend_from_slice(list.as_bytes());
    None
}

/// STLS (RFC 2595 section 4). A client that has sent something behind the command is cut off, as
/// that may come from somebody in between.
pub(super) async fn stls(session: &mut Session, deadline: Instant) -> Done {
    if session.wire.stream.is_tls() {
        return Err(reply::TLS_ALREADY.into());
    }
    let config = session.node.tls.clone();
    let config = config.ok_or(Stop::Bad(reply::NO_TLS))?;
    if session.has_buffered() {
        return Err(Stop::End(End::CutOff(reply::DATA_BEHIND_STLS)));
    }
    ok("Begin TLS negotiation").write(&mut session.wire.output);
    session.wire.flush().await?;
    forget_user(session);
    let handshake = session.wire.stream.start_tls(&config);
    match timeout_at(deadline, handshake).await {
        Ok(done) => done?,
        Err(_) => return Err(io::Error::from(io::ErrorKind::TimedOut).into()),
    }
    Ok(None)
}

/// USER. Whether there is such a user is not said.
pub(super) fn user(session: &mut Session, name: String) -> Done {
    session.offer().check_passwords()?;
    if let State::Authorization(_, user) = &mut session.state {
        *user = Some(name);
    }
    Ok(Some(ok("Send the password")))
}

/// PASS
pub(super) async fn pass(session: &mut Session, password: &Secret) -> Done {
    let user = forget_user(session);
    session.offer().check_passwords()?;
    let password = Password {
        mechanism: "USER",
        user: user.ok_or(Stop::Bad(reply::SAY_USER))?,
        authzid: None,
        password: String::from_utf8(password.expose().to_vec()).ok(),
    };
    log_in(session, Credentials::Password(password)).await
}

/// AUTH (RFC 1734, RFC 2449 section 6.3).
pub(super) async fn auth(
    session: &mut Session,
    mechanism: &str,
    initial_response: Option<Secret>,
) -> Done {
    forget_user(session);
    let initial = initial_response.map(|initial| murder_session::response(initial.expose()));
    let initial = initial.transpose()?;
    let offer = session.offer();
    let ask = async || {
        session.wire.output.extend_from_slice(b"+ \r\n");
        session.read_line().await
    };
    let credentials = offer.exchange(mechanism, initial, ask).await?;
    log_in(session, credentials).await
}

/// Lets the client in if its credentials are right: from AUTHORIZATION to TRANSACTION. A session
/// that cannot open its maildrop may log in again.
async fn log_in(session: &mut Session, credentials: Credentials) -> Done {
    let node = Arc::clone(&session.node);
    let (about, peer) = (session.about(), session.wire.stream.peer());
    let logged_in = match node.log_in(&credentials, about, peer.as_ref()).await {
        Ok(logged_in) => logged_in,
        Err(why) => {
            if let State::Authorization(login, _) = &mut session.state {
                login.refused(why);
            }
            if why.is_failure() {
                session.pop3.metrics.failed_logins.inc();
            }
            return Err(why.into());
        }
    };
    let LoggedIn {
        identity,
        presence,
        vouched,
    } = logged_in;
    session.span.record("user", identity.user.as_str());
    let maildrop = Maildrop::open(&node, identity, vouched).await?;
    session.pop3.metrics.logins.inc();
    let text = reply::messages(maildrop.count());
    let served = node.partitions.served(&maildrop.partition);
    session.watch.follow(served);
    session.state = State::Transaction(presence, Box::new(maildrop));
    Ok(Some(ok(text)))
}

/// What was said by USER counts no longer.
fn forget_user(session: &mut Session) -> Option<String> {
    match &mut session.state {
        State::Authorization(_, user) => user.take(),
        State::Transaction(..) => None,
    }
}
