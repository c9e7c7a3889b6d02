//! A whole command.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::access::{del_acl, list_rights, set_acl};
use super::fetch::fetch;
use super::list::{list, lsub, status};
use super::metadata::{get_metadata, set_metadata};
use super::notify::notify;
use super::quota::{get_quota, set_quota};
use super::search::{cancel_update, multi_search, search};
use super::select::{create, enable, examine, rename, select};
use super::sort::{sort, thread};
use super::store::{copy, move_, store};
use super::token::{
    Expected, Parsed, any_value, atom, close, command_tag, end, expect, mailbox, maybe, mismatch,
    nstring, open, refuse, sequence_set, sp, string, text, upper_atom, word,
};
use crate::command::Command;
use crate::node;
use crate::secret::Secret;
use crate::tag::Tag;

/// Why a command is BAD.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Fault {
    /// The tag, if there is a valid one: the BAD is tagged with it.
    pub tag: Option<Tag>,
    /// For humans; holds nothing of the input.
    pub text: String,
}

/// Parses a whole command with its literals inline and its line break, as
/// [`CommandReader`](crate::server::CommandReader) cuts it.
///
/// ```abnf
/// command         = tag SP (command-any / command-auth /
///                   command-nonauth / command-select) CRLF
/// ```
///
/// # Errors
/// It is no command that this crate knows, or APPEND or REPLACE.
pub fn parse_command(frame: &[u8]) -> Result<(Tag, Command), Fault> {
    let fault = |tag: Option<Tag>, text: String| Fault { tag, text };
    let Some((rest, tag)) = command_tag(frame)
        .ok()
        .filter(|(rest, _)| matches!(rest.first(), Some(b' ' | b'\r' | b'\n')))
    else {
        return Err(fault(None, "expected a tag".into()));
    };
    let Ok((rest, ())) = sp(rest) else {
        return Err(fault(Some(tag), "expected a command".into()));
    };
    let Ok((rest, name)) = upper_atom(rest) else {
        return Err(fault(Some(tag), "expected a command".into()));
    };
    let (name, rest) = match name.as_str() {
        "UID" => match sp(rest).and_then(|(rest, ())| upper_atom(rest)) {
            Ok((rest, name)) => (format!("UID {name}"), rest),
            Err(_) => return Err(fault(Some(tag), "UID: expected a command".into())),
        },
        _ => (name, rest),
    };
    // RFC 9051 section 9: NUL must not be used anywhere, but in literal8, which of these
    // commands SETMETADATA alone has, and one between nodes; they look for NULs themselves.
    let binary = name == "SETMETADATA" || node::is_binary(&name);
    if !binary && memchr::memchr(0, frame).is_some() {
        return Err(fault(Some(tag), "a command must not hold NULs".into()));
    }
    let parsed = arguments(&name, rest).and_then(|(rest, command)| match command {
        Some(command) => end(rest).map(|_| Some(command)),
        None => Ok(None),
    });
    match parsed {
        Ok(Some(command)) => Ok((tag, command)),
        Ok(None) => Err(fault(Some(tag), "unknown command".into())),
        Err(nom::Err::Error(Expected(what)) | nom::Err::Failure(Expected(what))) => {
            Err(fault(Some(tag), format!("{name}: expected {what}")))
        }
        Err(nom::Err::Incomplete(_)) => Err(fault(Some(tag), format!("{name}: incomplete"))),
    }
}

/// `None` if there is no such command.
fn arguments<'a>(name: &str, input: &'a [u8]) -> Parsed<'a, Option<Command>> {
    let plain = |command| Ok((input, Some(command)));
    match name {
        "CAPABILITY" => return plain(Command::Capability),
        "NOOP" => return plain(Command::Noop),
        "LOGOUT" => return plain(Command::Logout),
        "STARTTLS" => return plain(Command::StartTls),
        "NAMESPACE" => return plain(Command::Namespace),
        "UNSELECT" => return plain(Command::Unselect),
        "CLOSE" => return plain(Command::Close),
        "CHECK" => return plain(Command::Check),
        "EXPUNGE" => return plain(Command::Expunge),
        "IDLE" => return plain(Command::Idle),
        "UNAUTHENTICATE" => return plain(Command::Unauthenticate),
        _ => {}
    }
    let parser: fn(&[u8]) -> Parsed<'_, Command> = match name {
        "ID" => id,
        "LOGIN" => login,
        "AUTHENTICATE" => authenticate,
        "ENABLE" => enable,
        "LIST" => list,
        "LSUB" => lsub,
        "SUBSCRIBE" => |i| with_mailbox(i, |mailbox| Command::Subscribe { mailbox }),
        "UNSUBSCRIBE" => |i| with_mailbox(i, |mailbox| Command::Unsubscribe { mailbox }),
        "CREATE" => create,
        "DELETE" => |i| with_mailbox(i, |mailbox| Command::Delete { mailbox }),
        "RENAME" => rename,
        "STATUS" => status,
        "SELECT" => select,
        "EXAMINE" => examine,
        "UID EXPUNGE" => uid_expunge,
        "SEARCH" => |i| search(false, i),
        "UID SEARCH" => |i| search(true, i),
        "ESEARCH" => multi_search,
        "CANCELUPDATE" => cancel_update,
        "SORT" => |i| sort(false, i),
        "UID SORT" => |i| sort(true, i),
        "THREAD" => |i| thread(false, i),
        "UID THREAD" => |i| thread(true, i),
        "FETCH" => |i| fetch(false, i),
        "UID FETCH" => |i| fetch(true, i),
        "STORE" => |i| store(false, i),
        "UID STORE" => |i| store(true, i),
        "COPY" => |i| copy(false, i),
        "UID COPY" => |i| copy(true, i),
        "MOVE" => |i| move_(false, i),
        "UID MOVE" => |i| move_(true, i),
        "NOTIFY" => notify,
        "COMPRESS" => compress,
        "GETMETADATA" => get_metadata,
        "SETMETADATA" => set_metadata,
        "GETQUOTA" => get_quota,
        "GETQUOTAROOT" => |i| with_mailbox(i, |mailbox| Command::GetQuotaRoot { mailbox }),
        "SETQUOTA" => set_quota,
        "SETACL" => set_acl,
        "DELETEACL" => del_acl,
        "GETACL" => |i| with_mailbox(i, |mailbox| Command::GetAcl { mailbox }),
        "LISTRIGHTS" => list_rights,
        "MYRIGHTS" => |i| with_mailbox(i, |mailbox| Command::MyRights { mailbox }),
        _ => {
            let (rest, command) = node::arguments(name, input)?;
            return Ok((rest, command.map(Command::Node)));
        }
    };
    let (rest, ()) = sp(input)?;
    let (rest, command) = parser(rest)?;
    Ok((rest, Some(command)))
}

fn with_mailbox(
    input: &[u8],
    make: fn(crate::mailbox::MailboxArg) -> Command,
) -> Parsed<'_, Command> {
    let (rest, name) = mailbox(input)?;
    Ok((rest, make(name)))
}

/// ```abnf
/// login           = "LOGIN" SP userid SP password
/// userid          = astring
/// password        = astring
/// ```
fn login(input: &[u8]) -> Parsed<'_, Command> {
    let (rest, user) = expect("a user name", text)(input)?;
    let (rest, ()) = sp(rest)?;
    let (rest, password) = expect("a password", super::token::astring)(rest)?;
    let password = Secret::new(password);
    Ok((rest, Command::Login { user, password }))
}

/// ```abnf
/// authenticate    = "AUTHENTICATE" SP auth-type [SP initial-resp]
///                   *(CRLF base64)
/// auth-type       = atom
/// initial-resp    =  (base64 / "=")
/// ```
fn authenticate(input: &[u8]) -> Parsed<'_, Command> {
    let (rest, mechanism) = expect("a mechanism", upper_atom)(input)?;
    let (rest, encoded) = match rest {
        [b' ', rest @ ..] => {
            let (rest, encoded) = expect("an initial response", atom)(rest)?;
            (rest, Some(encoded))
        }
        _ => (rest, None),
    };
    let initial_response = match encoded {
        None => None,
        Some("=") => Some(Secret::new([])),
        Some(encoded) => match STANDARD.decode(encoded) {
            Ok(response) => Some(Secret::new(response)),
            Err(_) => return refuse("an initial response in base64"),
        },
    };
    Ok((
        rest,
        Command::Authenticate {
            mechanism,
            initial_response,
        },
    ))
}

fn id(input: &[u8]) -> Parsed<'_, Command> {
    let (rest, fields) = id_fields(input)?;
    Ok((rest, Command::Id(fields)))
}

/// ```abnf
/// id ::= "ID" SPACE id_params_list
/// id_params_list ::= "(" #(string SPACE nstring) ")" / nil
/// ```
#[expect(
    clippy::type_complexity,
    reason = "the fields of ID, as the types have them"
)]
pub(super) fn id_fields(input: &[u8]) -> Parsed<'_, Option<Vec<(String, Option<String>)>>> {
    let owned = |octets: std::borrow::Cow<'_, [u8]>| String::from_utf8_lossy(&octets).into_owned();
    if let (rest, Some(())) = maybe(word("NIL"), input)? {
        return Ok((rest, None));
    }
    let (mut rest, ()) = expect("NIL or \"(\"", open)(input)?;
    let mut fields = Vec::new();
    while !matches!(rest.first(), Some(b')')) {
        if !fields.is_empty() {
            (rest, ()) = sp(rest)?;
        }
        let (after, name) = string(rest)?;
        let (after, ()) = sp(after)?;
        let (after, value) = nstring(after)?;
        fields.push((owned(name), value.map(owned)));
        rest = after;
    }
    let (rest, ()) = close(rest)?;
    Ok((rest, Some(fields)))
}

/// ```abnf
/// compress    = "COMPRESS" SP algorithm
/// algorithm   = "DEFLATE"
/// ```
fn compress(input: &[u8]) -> Parsed<'_, Command> {
    let (rest, mechanism) = expect("a mechanism", upper_atom)(input)?;
    Ok((rest, Command::Compress { mechanism }))
}

/// ```abnf
/// uid-expunge     = "EXPUNGE" SP sequence-set
/// ```
fn uid_expunge(input: &[u8]) -> Parsed<'_, Command> {
    let (rest, set) = sequence_set(input)?;
    Ok((rest, Command::UidExpunge { set }))
}

/// Refuses a modifier or parameter that is not known, as RFC 4466 section 2 wants: with BAD.
pub(super) fn unknown<'a, T>(input: &'a [u8], what: &'static str) -> Parsed<'a, T> {
    match any_value(input) {
        Ok(_) => refuse(what),
        Err(_) => mismatch(what),
    }
}
