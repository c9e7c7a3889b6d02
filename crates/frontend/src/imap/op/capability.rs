//! CAPABILITY (RFC 9051 section 6.1.1): what is whole through frontend and backends.

use crate::imap::arguments::Arguments;
use crate::imap::errors::{OpResult, ok};
use crate::imap::session::{Session, State};

/// What every backend and the frontend do, once somebody has logged in.
const AFTER_LOGIN: &str = "IMAP4rev1 LITERAL+ ID ENABLE NAMESPACE IDLE UNSELECT UIDPLUS MOVE BINARY \
     CHILDREN LIST-EXTENDED LIST-STATUS SPECIAL-USE CREATE-SPECIAL-USE ACL RIGHTS=texk";

/// The capabilities of this session at this moment.
pub(crate) fn list(session: &Session) -> String {
    let limit = session.shared.settings.append_limit;
    if !matches!(session.state, State::NotAuthenticated(_)) {
        return format!("{AFTER_LOGIN} APPENDLIMIT={limit}");
    }
    let mut list = String::from("IMAP4rev1 LITERAL+ SASL-IR ID ENABLE");
    if session.can_start_tls() {
        list.push_str(" STARTTLS");
    }
    let offer = session.offer();
    if !offer.takes_passwords() {
        list.push_str(" LOGINDISABLED");
    }
    for mechanism in offer.mechanisms() {
        list.push_str(" AUTH=");
        list.push_str(mechanism);
    }
    list
}

/// CAPABILITY
pub(crate) fn capability(session: &mut Session, arguments: Arguments<'_>) -> OpResult {
    arguments.end()?;
    let answer = format!("* CAPABILITY {}\r\n", list(session));
    session.client.wire.put(answer.as_bytes());
    Ok(ok("CAPABILITY completed"))
}
