//! CAPABILITY (RFC 9051 section 6.1.1): what is whole through frontend and backends.

use crate::imap::arguments::Arguments;
use crate::imap::errors::{OpResult, ok};
use crate::imap::session::{Session, State};
use crate::imap::table;

/// The capabilities of this session at this moment.
pub(crate) fn list(session: &Session) -> String {
    let logged_in = !matches!(session.state, State::NotAuthenticated(_));
    let mut list = table::capabilities(logged_in).collect::<Vec<_>>().join(" ");
    if logged_in {
        let limit = session.shared.settings.append_limit;
        list.push_str(&format!(" APPENDLIMIT={limit}"));
        return list;
    }
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
