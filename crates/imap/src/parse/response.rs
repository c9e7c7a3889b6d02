//! A whole response.

mod access;
mod fetch;
mod list;
mod search;

use access::{acl, list_rights, metadata, my_rights, quota, quota_root};
use fetch::msg_att;
use list::{mailbox_list, mailbox_status, namespaces};
use search::{esearch, numbers, search, thread};

use super::code::{capabilities, code};
use super::command::id_fields;
use super::token::{
    Expected, Parsed, atom, command_tag, end, flag_list, list0, maybe, mismatch, number, octet,
    response_set, sp, upper_atom,
};
use crate::response::{Response, Status, Untagged};

/// The octets are no response.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a valid response: expected {expected}")]
pub struct ResponseFault {
    expected: &'static str,
}

/// Parses a whole response, its literals inline, with its line break.
///
/// ```abnf
/// response        = *(continue-req / response-data) response-done
/// ```
///
/// # Errors
/// It is no response, or a known one whose content does not fit its rule.
pub fn parse_response(frame: &[u8]) -> Result<Response, ResponseFault> {
    let parsed = match frame.first() {
        Some(b'+') => continue_req(frame),
        Some(b'*') => response_data(frame),
        _ => response_tagged(frame),
    };
    match parsed {
        Ok((_, response)) => Ok(response),
        Err(nom::Err::Error(Expected(expected)) | nom::Err::Failure(Expected(expected))) => {
            Err(ResponseFault { expected })
        }
        Err(nom::Err::Incomplete(_)) => Err(ResponseFault { expected: "more" }),
    }
}

/// What comes before the line break; the input ends there.
fn line_text(input: &[u8]) -> Parsed<'_, &[u8]> {
    let text = input
        .strip_suffix(b"\n")
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    match text {
        Some(text) => Ok((&[], text)),
        None => mismatch("a line break"),
    }
}

/// ```abnf
/// continue-req    = "+" SP (resp-text / base64) CRLF
/// ```
fn continue_req(input: &[u8]) -> Parsed<'_, Response> {
    let (rest, ()) = octet(b'+', "\"+\"", input)?;
    // Some servers leave the space out if no text follows.
    let (rest, _) = maybe(sp, rest)?;
    let (rest, text) = line_text(rest)?;
    let text = String::from_utf8_lossy(text).into_owned();
    Ok((rest, Response::Continuation { text }))
}

/// ```abnf
/// response-tagged = tag SP resp-cond-state CRLF
/// resp-cond-state = ("OK" / "NO" / "BAD") SP resp-text
/// ```
fn response_tagged(input: &[u8]) -> Parsed<'_, Response> {
    let (rest, tag) = command_tag(input)?;
    let (rest, ()) = sp(rest)?;
    let (rest, name) = atom(rest)?;
    let status = match Status::from_word(name.as_bytes()) {
        Some(status @ (Status::Ok | Status::No | Status::Bad)) => status,
        _ => return mismatch("OK, NO or BAD"),
    };
    let (rest, (code, text)) = resp_text(rest)?;
    Ok((
        rest,
        Response::Tagged {
            tag,
            status,
            code,
            text,
        },
    ))
}

/// ```abnf
/// resp-text       = ["[" resp-text-code "]" SP] [text]
/// ```
fn resp_text(input: &[u8]) -> Parsed<'_, (Option<crate::code::Code>, String)> {
    let (_, line) = line_text(input)?;
    let line = line.strip_prefix(b" ").unwrap_or(line);
    let (found, text) = match line.strip_prefix(b"[") {
        Some(inner) => match memchr::memchr(b']', inner) {
            Some(at) => (Some(code(&inner[..at])), &inner[at + 1..]),
            None => return mismatch("the end of a response code"),
        },
        None => (None, line),
    };
    let text = match found {
        Some(_) => text.strip_prefix(b" ").unwrap_or(text),
        None => text,
    };
    Ok((&[], (found, String::from_utf8_lossy(text).into_owned())))
}

/// ```abnf
/// response-data   = "*" SP (resp-cond-state / resp-cond-bye /
///                   mailbox-data / message-data / capability-data /
///                   enable-data) CRLF
/// ```
fn response_data(input: &[u8]) -> Parsed<'_, Response> {
    let (rest, ()) = octet(b'*', "\"*\"", input)?;
    let (rest, ()) = sp(rest)?;
    if rest.first().is_some_and(u8::is_ascii_digit) {
        let (rest, data) = numbered(rest)?;
        let (rest, ()) = end(rest)?;
        return Ok((rest, Response::Untagged(data)));
    }
    let (rest, keyword) = upper_atom(rest)?;
    if let Some(status) = Status::from_word(keyword.as_bytes()) {
        let (rest, (code, text)) = resp_text(rest)?;
        return Ok((
            rest,
            Response::Untagged(Untagged::Status { status, code, text }),
        ));
    }
    let parser: fn(&[u8]) -> Parsed<'_, Untagged> = match keyword.as_str() {
        "ACL" => acl,
        "CAPABILITY" => |i| map(spaced_capabilities(i), Untagged::Capability),
        "ENABLED" => |i| map(spaced_capabilities(i), Untagged::Enabled),
        "ESEARCH" => |i| map(esearch(i), Untagged::Esearch),
        "METADATA" => |i| after_sp(metadata, i),
        "QUOTA" => |i| after_sp(quota, i),
        "QUOTAROOT" => |i| after_sp(quota_root, i),
        "SORT" => |i| {
            let (rest, (numbers, modseq)) = numbers(i)?;
            Ok((rest, Untagged::Sort { numbers, modseq }))
        },
        "THREAD" => thread,
        "FLAGS" => |i| map(after_sp(flag_list, i), Untagged::Flags),
        "ID" => |i| map(after_sp(id_fields, i), Untagged::Id),
        "LIST" => |i| map(after_sp(mailbox_list, i), Untagged::List),
        "LISTRIGHTS" => |i| after_sp(list_rights, i),
        "LSUB" => |i| map(after_sp(mailbox_list, i), Untagged::Lsub),
        "MYRIGHTS" => |i| after_sp(my_rights, i),
        "NAMESPACE" => |i| map(after_sp(namespaces, i), Untagged::Namespace),
        "SEARCH" => search,
        "STATUS" => |i| after_sp(mailbox_status, i),
        "VANISHED" => |i| after_sp(vanished, i),
        _ => {
            let (rest, text) = line_text(rest)?;
            let rest_of_line = text.strip_prefix(b" ").unwrap_or(text).to_vec();
            return Ok((
                rest,
                Response::Untagged(Untagged::Other {
                    keyword,
                    rest: rest_of_line,
                }),
            ));
        }
    };
    let (rest, data) = parser(rest)?;
    // Some servers have a space at the end of a line.
    let (rest, _) = maybe(sp, rest)?;
    let (rest, ()) = end(rest)?;
    Ok((rest, Response::Untagged(data)))
}

fn map<T>(parsed: Parsed<'_, T>, make: fn(T) -> Untagged) -> Parsed<'_, Untagged> {
    parsed.map(|(rest, value)| (rest, make(value)))
}

fn after_sp<'a, T>(
    parser: impl FnOnce(&'a [u8]) -> Parsed<'a, T>,
    input: &'a [u8],
) -> Parsed<'a, T> {
    let (rest, ()) = sp(input)?;
    parser(rest)
}

fn spaced_capabilities(input: &[u8]) -> Parsed<'_, Vec<String>> {
    match input {
        [b' ', rest @ ..] if !matches!(rest.first(), Some(b'\r' | b'\n')) => capabilities(rest),
        _ => Ok((input, Vec::new())),
    }
}

/// ```abnf
/// message-data    = nz-number SP ("EXPUNGE" / ("FETCH" SP msg-att))
/// mailbox-data    =/ number SP "EXISTS" / number SP "RECENT"
/// ```
fn numbered(input: &[u8]) -> Parsed<'_, Untagged> {
    let (rest, n) = number(input)?;
    let (rest, ()) = sp(rest)?;
    let (rest, keyword) = upper_atom(rest)?;
    match keyword.as_str() {
        "EXISTS" => Ok((rest, Untagged::Exists(n))),
        "RECENT" => Ok((rest, Untagged::Recent(n))),
        "EXPUNGE" => Ok((rest, Untagged::Expunge(n))),
        "FETCH" => {
            let (rest, items) = after_sp(|i| list0(msg_att, i), rest)?;
            Ok((rest, Untagged::Fetch { seq: n, items }))
        }
        "UIDFETCH" => {
            let (rest, items) = after_sp(|i| list0(msg_att, i), rest)?;
            Ok((rest, Untagged::UidFetch { uid: n, items }))
        }
        _ => mismatch("a known message response"),
    }
}

/// ```abnf
/// expunged-resp       =  "VANISHED" [SP "(EARLIER)"] SP known-uids
/// ```
fn vanished(input: &[u8]) -> Parsed<'_, Untagged> {
    let (rest, earlier) = maybe(nom::bytes::complete::tag_no_case(&b"(EARLIER) "[..]), input)?;
    let (rest, uids) = response_set(rest)?;
    Ok((
        rest,
        Untagged::Vanished {
            earlier: earlier.is_some(),
            uids,
        },
    ))
}
