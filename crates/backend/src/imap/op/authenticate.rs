//! AUTHENTICATE with PLAIN and EXTERNAL (RFC 9051 section 6.2.2, RFC 4959, RFC 4616, RFC 4422
//! appendix A).

use bytes::Bytes;
use murder_auth::sasl::{self, Plain, SaslError};
use murder_imap::server::Line;
use murder_imap::{Code, Secret};
use murder_mailbox::Namespace;
use tracing::warn;

use crate::imap::errors::{OpError, OpResult, bad, no, ok_code};
use crate::imap::op::{capability, login};
use crate::imap::session::{Session, User};
use crate::login::log_vouched;

/// AUTHENTICATE, with an initial response or without
pub(crate) async fn authenticate(
    session: &mut Session,
    mechanism: &str,
    initial_response: Option<Secret>,
) -> OpResult {
    match mechanism {
        "PLAIN" if capability::may_log_in(session) => {
            let message = response(session, initial_response).await?;
            let plain = Plain::parse(message.expose()).map_err(malformed)?;
            let Plain {
                authzid,
                authcid,
                password,
            } = &plain;
            login::finish(
                session,
                "PLAIN",
                authcid,
                authzid.as_deref(),
                Some(password),
            )
            .await
        }
        "PLAIN" => Err(login::privacy_required()),
        "EXTERNAL" if capability::is_frontend(session) => {
            let message = response(session, initial_response).await?;
            let user = sasl::external(message.expose()).map_err(malformed)?;
            vouched(session, user.as_deref()).await
        }
        "EXTERNAL" => {
            if let Some(peer) = session.stream.peer() {
                warn!(node = peer.name, roles = %peer.role_names(), "only frontends may act for users");
            }
            Err(no(
                Code::AuthorizationFailed,
                "Only the frontends of the murder may act for users",
            ))
        }
        _ => Err(no(Code::Cannot, "Mechanism is not supported")),
    }
}

fn malformed(_: SaslError) -> OpError {
    bad("Malformed SASL response")
}

/// The client's message: with the command, or after an empty challenge.
async fn response(session: &mut Session, initial: Option<Secret>) -> Result<Secret, OpError> {
    if let Some(initial) = initial {
        return Ok(initial);
    }
    session.writer.continuation("");
    session.flush().await?;
    let line = session
        .within_command(async |reader, stream| reader.read_line(stream).await)
        .await?;
    match line {
        Line::Line(line) if *line == *b"*" => Err(bad("Authentication cancelled")),
        Line::Line(line) => decoded(&line),
        Line::TooLong => Err(malformed(SaslError::Encoding)),
        Line::Eof => Err(OpError::Gone(std::io::ErrorKind::UnexpectedEof.into())),
    }
}

fn decoded(line: &Bytes) -> Result<Secret, OpError> {
    sasl::decode(line).map(Secret::new).map_err(malformed)
}

/// Lets in the user that a frontend vouches for. The frontend has counted the session and held
/// back wrong passwords.
async fn vouched(session: &mut Session, user: Option<&str>) -> OpResult {
    let refused = || {
        no(
            Code::AuthorizationFailed,
            "No such user, or the account is disabled",
        )
    };
    let user = user.ok_or_else(|| no(Code::AuthorizationFailed, "Name a user to act for"))?;
    if session.node.is_outdated() {
        return Err(no(Code::Unavailable, login::OUTDATED));
    }
    let Some(identity) = session.node.identity_vouched(user).await else {
        session.node.imap.failed_logins.inc();
        log_vouched("imap", session.id, session.stream.peer(), user, false);
        return Err(refused());
    };
    log_vouched(
        "imap",
        session.id,
        session.stream.peer(),
        &identity.user,
        true,
    );
    let presence = session.node.enter_vouched(&identity, session.about());
    session.logged_in(
        User {
            identity,
            namespace: Namespace::canonical(),
        },
        presence,
    );
    Ok(ok_code(capability::code(session), "Logged in"))
}
