//! CAPABILITY (RFC 9051 section 6.1.1): what is whole, and no more.

use murder_imap::Code;

use crate::imap::client::Client;
use crate::imap::errors::{OpResult, ok};
use crate::imap::op::unauthenticate;
use crate::imap::session::Session;

/// What there is once somebody has logged in, also for frontends, which offer the same.
const AFTER_LOGIN: &[&str] = &[
    "IMAP4rev1",
    "LITERAL+",
    "ID",
    "ENABLE",
    "NAMESPACE",
    "IDLE",
    "UNSELECT",
    "UIDPLUS",
    "MOVE",
    "CHILDREN",
    "LIST-EXTENDED",
    "LIST-STATUS",
    "SPECIAL-USE",
    "CREATE-SPECIAL-USE",
    "ACL",
    "RIGHTS=texk",
];
/// What only a client that has come directly has besides, as frontends do not pass on what it
/// takes.
const DIRECT: &[&str] = &[
    REV2,
    "CONDSTORE",
    "QRESYNC",
    "UTF8=ACCEPT",
    "UIDONLY",
    "OBJECTID",
    "SAVEDATE",
    "STATUS=SIZE",
    "LIST-MYRIGHTS",
    "NOTIFY",
    "PREVIEW",
    "ESEARCH",
    "SEARCHRES",
    "CONTEXT=SEARCH",
    "CONTEXT=SORT",
    "PARTIAL",
    "WITHIN",
    "SEARCH=FUZZY",
    "MULTISEARCH",
    "SORT",
    "SORT=DISPLAY",
    "ESORT",
    "THREAD=ORDEREDSUBJECT",
    "THREAD=REFERENCES",
    "INPROGRESS",
    "BINARY",
    "COMPRESS=DEFLATE",
    "MULTIAPPEND",
    "CATENATE",
    "REPLACE",
    "QUOTA",
    "QUOTASET",
    "QUOTA=RES-STORAGE",
    "QUOTA=RES-MESSAGE",
    "QUOTA=RES-MAILBOX",
    "METADATA",
    "METADATA-SERVER",
    "LIST-METADATA",
];
/// LITERAL+, which there is, is more than the LITERAL- that it asks for (RFC 7888 section 5).
const REV2: &str = "IMAP4rev2";
const BEFORE_LOGIN: &[&str] = &["IMAP4rev1", "LITERAL+", "SASL-IR", "ID", "ENABLE"];

/// The capabilities of this session at this moment.
pub(crate) fn list(session: &Session) -> Vec<String> {
    let owned = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect();
    if let Some(account) = session.state.account() {
        let mut list: Vec<String> = owned(AFTER_LOGIN);
        if !account.is_frontends() {
            list.extend(owned(DIRECT));
        }
        if unauthenticate::is_offered(&session.client, account) {
            list.push("UNAUTHENTICATE".to_owned());
        }
        list.push(format!(
            "APPENDLIMIT={}",
            session.client.node.config.imap.append_limit
        ));
        return list;
    }
    let mut list: Vec<String> = owned(BEFORE_LOGIN);
    let offer = session.client.offer();
    if !offer.is_frontend() {
        list.push(REV2.to_owned());
    }
    if can_start_tls(&session.client) {
        list.push("STARTTLS".to_owned());
    }
    if !offer.takes_passwords() {
        list.push("LOGINDISABLED".to_owned());
    }
    list.extend(offer.mechanisms().map(|name| format!("AUTH={name}")));
    list
}

/// `CAPABILITY …` as a response code: for the greeting and after login.
pub(crate) fn code(session: &Session) -> Code {
    Code::Capability(list(session))
}

/// CAPABILITY
pub(crate) fn capability(session: &mut Session) -> OpResult {
    let list = list(session);
    session.client.writer.capability(list);
    Ok(ok("CAPABILITY completed"))
}

/// Whether STARTTLS is there to be used.
fn can_start_tls(client: &Client) -> bool {
    client.node.tls.is_some() && !client.stream.is_tls()
}
