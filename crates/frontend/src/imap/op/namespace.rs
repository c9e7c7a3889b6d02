//! NAMESPACE (RFC 2342).

use crate::imap::arguments::{Arguments, Coding, quote_always};
use crate::imap::errors::{OpResult, ok};
use crate::imap::session::Session;

/// NAMESPACE
pub(crate) fn namespace(session: &mut Session, arguments: Arguments<'_>) -> OpResult {
    arguments.end()?;
    let user = session.user()?;
    let prefixes = user.namespace.prefixes();
    let separator = quote_always(&user.namespace.separator().to_string());
    let one = |prefix: &str| {
        let prefix = session.encoding.encode_always(prefix);
        format!("(({prefix} {separator}))")
    };
    let answer = format!(
        "* NAMESPACE {} {} {}\r\n",
        one(&prefixes.personal),
        one(&prefixes.other_users),
        one(&prefixes.shared)
    );
    session.client.wire.put(answer.as_bytes());
    Ok(ok("NAMESPACE completed"))
}
