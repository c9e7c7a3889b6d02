//! A whole response.

use super::MAX_DEPTH;
use super::code::{capabilities, code};
use super::command::id_fields;
use super::fetch::{partial_range, section, section_binary};
use super::metadata::{entry, entry_values};
use super::quota::root;
use super::search::{count, object_id};
use super::token::{
    Expected, Parsed, any_value, atom, close, command_tag, date_time, end, expect, flag_list,
    item_name, list0, list1, literal8, mailbox, maybe, mismatch, mod_sequence, nstring, number,
    number64, nz_number, octet, open, quoted, refuse, response_set, sp, spaced, string, text,
    upper_atom, word,
};
use crate::list::{ListAttribute, ListRow, StatusItem, StatusValue};
use crate::mailbox::MailboxArg;
use crate::quota::QuotaResource;
use crate::response::{FetchData, NamespacePrefix, NamespaceRow, Response, Status, Untagged};
use crate::search::{ContextUpdate, Esearch};
use crate::sequence::SequenceSet;
use crate::sort::ThreadList;

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
/// msg-att-dynamic = "FLAGS" SP "(" [flag-fetch *(SP flag-fetch)] ")"
/// msg-att-static  = "ENVELOPE" SP envelope /
///                   "INTERNALDATE" SP date-time /
///                   "RFC822.SIZE" SP number64 /
///                   "BODY" ["STRUCTURE"] SP body /
///                   "BODY" section ["<" number ">"] SP nstring /
///                   "BINARY" section-binary SP (nstring / literal8) /
///                   "BINARY.SIZE" section-binary SP number /
///                   "UID" SP uniqueid
/// ```
fn msg_att(input: &[u8]) -> Parsed<'_, FetchData> {
    let (rest, name) = item_name(input)?;
    let raw = |rest, make: fn(Vec<u8>) -> FetchData| {
        let (rest, value) = after_sp(any_value, rest)?;
        Ok((rest, make(value.to_vec())))
    };
    let octets = |rest, make: fn(Option<Vec<u8>>) -> FetchData| {
        let (rest, value) = after_sp(noctets, rest)?;
        Ok((rest, make(value)))
    };
    match name.as_str() {
        "UID" => {
            let (rest, uid) = after_sp(nz_number, rest)?;
            Ok((rest, FetchData::Uid(uid)))
        }
        "FLAGS" => {
            let (rest, flags) = after_sp(flag_list, rest)?;
            Ok((rest, FetchData::Flags(flags)))
        }
        "INTERNALDATE" => {
            let (rest, date) = after_sp(date_time, rest)?;
            Ok((rest, FetchData::InternalDate(date)))
        }
        "RFC822.SIZE" => {
            let (rest, size) = after_sp(number64, rest)?;
            Ok((rest, FetchData::Rfc822Size(size)))
        }
        "ENVELOPE" => raw(rest, FetchData::Envelope),
        "BODYSTRUCTURE" => raw(rest, FetchData::BodyStructure),
        "BODY" if rest.first() != Some(&b'[') => raw(rest, FetchData::Body),
        "BODY" => {
            let (rest, section) = section(rest)?;
            let (rest, origin) = origin(rest)?;
            let (rest, octets) = after_sp(noctets, rest)?;
            Ok((
                rest,
                FetchData::Section {
                    section,
                    origin,
                    octets,
                },
            ))
        }
        "BINARY" => {
            let (rest, path) = section_binary(rest)?;
            let (rest, origin) = origin(rest)?;
            let (rest, octets) = after_sp(noctets, rest)?;
            Ok((
                rest,
                FetchData::Binary {
                    path,
                    origin,
                    octets,
                },
            ))
        }
        "BINARY.SIZE" => {
            let (rest, path) = section_binary(rest)?;
            let (rest, size) = after_sp(number64, rest)?;
            Ok((rest, FetchData::BinarySize { path, size }))
        }
        "RFC822" => octets(rest, FetchData::Rfc822),
        "RFC822.HEADER" => octets(rest, FetchData::Rfc822Header),
        "RFC822.TEXT" => octets(rest, FetchData::Rfc822Text),
        "PREVIEW" => octets(rest, FetchData::Preview),
        "MODSEQ" => {
            let (rest, ()) = sp(rest)?;
            let (rest, ()) = open(rest)?;
            let (rest, modseq) = mod_sequence(rest)?;
            let (rest, ()) = close(rest)?;
            Ok((rest, FetchData::ModSeq(modseq)))
        }
        "EMAILID" => {
            let (rest, id) = after_sp(object_id_list, rest)?;
            Ok((rest, FetchData::EmailId(id)))
        }
        "THREADID" => {
            let (rest, ()) = sp(rest)?;
            match maybe(word("NIL"), rest)? {
                (rest, Some(())) => Ok((rest, FetchData::ThreadId(None))),
                (rest, None) => {
                    let (rest, id) = object_id_list(rest)?;
                    Ok((rest, FetchData::ThreadId(Some(id))))
                }
            }
        }
        "SAVEDATE" => {
            let (rest, ()) = sp(rest)?;
            match maybe(word("NIL"), rest)? {
                (rest, Some(())) => Ok((rest, FetchData::SaveDate(None))),
                (rest, None) => {
                    let (rest, date) = date_time(rest)?;
                    Ok((rest, FetchData::SaveDate(Some(date))))
                }
            }
        }
        _ => {
            let (rest, value) = after_sp(any_value, rest)?;
            Ok((rest, FetchData::Other(name, value.to_vec())))
        }
    }
}

fn noctets(input: &[u8]) -> Parsed<'_, Option<Vec<u8>>> {
    match input.first() {
        Some(b'~') => {
            let (rest, octets) = literal8(input)?;
            Ok((rest, Some(octets.to_vec())))
        }
        _ => {
            let (rest, octets) = nstring(input)?;
            Ok((rest, octets.map(std::borrow::Cow::into_owned)))
        }
    }
}

fn origin(input: &[u8]) -> Parsed<'_, Option<u64>> {
    let [b'<', rest @ ..] = input else {
        return Ok((input, None));
    };
    let (rest, origin) = number64(rest)?;
    let (rest, ()) = octet(b'>', "\">\"", rest)?;
    Ok((rest, Some(origin)))
}

fn object_id_list(input: &[u8]) -> Parsed<'_, String> {
    let (rest, ()) = open(input)?;
    let (rest, id) = object_id(rest)?;
    let (rest, ()) = close(rest)?;
    Ok((rest, id))
}

/// `mbx-list-oflag` and others, which all are a `flag-extension`: `"\\" atom`
fn attribute(input: &[u8]) -> Parsed<'_, ListAttribute> {
    let (rest, _) = expect("an attribute", nom::bytes::complete::tag(&b"\\"[..]))(input)?;
    let (rest, name) = expect("an attribute", atom)(rest)?;
    Ok((rest, ListAttribute::from_wire(&format!("\\{name}"))))
}

/// ```abnf
/// mailbox-list    = "(" [mbx-list-flags] ")" SP
///                   (DQUOTE QUOTED-CHAR DQUOTE / nil) SP mailbox
///                   [SP mbox-list-extended]
/// ```
fn mailbox_list(input: &[u8]) -> Parsed<'_, ListRow> {
    let (rest, attributes) = list0(attribute, input)?;
    let (rest, ()) = sp(rest)?;
    let (rest, separator) = separator(rest)?;
    let (rest, ()) = sp(rest)?;
    let (rest, name) = mailbox(rest)?;
    let mut row = ListRow {
        attributes,
        separator,
        name,
        child_info: Vec::new(),
        old_name: None,
    };
    let rest = match rest {
        [b' ', rest @ ..] if rest.first() == Some(&b'(') => {
            list0(|i| extended_item(&mut row, i), rest)?.0
        }
        _ => rest,
    };
    Ok((rest, row))
}

/// ```abnf
/// mbox-list-extended-item = mbox-list-extended-item-tag SP
///                            tagged-ext-val
/// childinfo-extended-item =  "CHILDINFO" SP "("
///             list-select-base-opt-quoted
///             *(SP list-select-base-opt-quoted) ")"
/// oldname-extended-item =  "OLDNAME" SP "(" mailbox ")"
/// ```
fn extended_item<'a>(row: &mut ListRow, input: &'a [u8]) -> Parsed<'a, ()> {
    let (rest, name) = text(input)?;
    let (rest, ()) = sp(rest)?;
    match name.to_ascii_uppercase().as_str() {
        "CHILDINFO" => {
            let (rest, options) = list1(text, rest)?;
            row.child_info = options;
            Ok((rest, ()))
        }
        "OLDNAME" => {
            let (rest, ()) = open(rest)?;
            let (rest, name) = mailbox(rest)?;
            let (rest, ()) = close(rest)?;
            row.old_name = Some(name);
            Ok((rest, ()))
        }
        _ => {
            let (rest, _) = any_value(rest)?;
            Ok((rest, ()))
        }
    }
}

/// `DQUOTE QUOTED-CHAR DQUOTE / nil`
fn separator(input: &[u8]) -> Parsed<'_, Option<char>> {
    if let (rest, Some(())) = maybe(word("NIL"), input)? {
        return Ok((rest, None));
    }
    let (rest, separator) = expect("a separator", quoted)(input)?;
    let mut chars = std::str::from_utf8(&separator).unwrap_or_default().chars();
    match (chars.next(), chars.next()) {
        (Some(c), None) => Ok((rest, Some(c))),
        _ => mismatch("a separator"),
    }
}

/// ```abnf
/// "STATUS" SP mailbox SP "(" [status-att-list] ")"
/// ```
fn mailbox_status(input: &[u8]) -> Parsed<'_, Untagged> {
    let (rest, mailbox) = mailbox(input)?;
    // Seen in the wild: two spaces after the name.
    let (rest, ()) = sp(rest)?;
    let (rest, _) = maybe(sp, rest)?;
    let (rest, items) = list0(status_att_val, rest)?;
    Ok((rest, Untagged::MailboxStatus { mailbox, items }))
}

/// ```abnf
/// status-att-val  = ("MESSAGES" SP number) /
///                   ("UIDNEXT" SP nz-number) /
///                   ("UIDVALIDITY" SP nz-number) /
///                   ("UNSEEN" SP number) /
///                   ("DELETED" SP number) /
///                   ("SIZE" SP number64)
/// ```
fn status_att_val(input: &[u8]) -> Parsed<'_, StatusValue> {
    let (rest, name) = upper_atom(input)?;
    let (rest, ()) = sp(rest)?;
    let small = |make: fn(u32) -> StatusValue| number(rest).map(|(rest, n)| (rest, make(n)));
    let large = |make: fn(u64) -> StatusValue| number64(rest).map(|(rest, n)| (rest, make(n)));
    match StatusItem::from_name(name.as_bytes()) {
        Some(StatusItem::Messages) => small(StatusValue::Messages),
        Some(StatusItem::Recent) => small(StatusValue::Recent),
        Some(StatusItem::UidNext) => small(StatusValue::UidNext),
        Some(StatusItem::UidValidity) => small(StatusValue::UidValidity),
        Some(StatusItem::Unseen) => small(StatusValue::Unseen),
        Some(StatusItem::Deleted) => small(StatusValue::Deleted),
        Some(StatusItem::Size) => large(StatusValue::Size),
        Some(StatusItem::HighestModSeq) => large(StatusValue::HighestModSeq),
        Some(StatusItem::DeletedStorage) => large(StatusValue::DeletedStorage),
        Some(StatusItem::AppendLimit) => match maybe(word("NIL"), rest)? {
            (rest, Some(())) => Ok((rest, StatusValue::AppendLimit(None))),
            _ => large(|n| StatusValue::AppendLimit(Some(n))),
        },
        Some(StatusItem::MailboxId) => {
            let (rest, id) = object_id_list(rest)?;
            Ok((rest, StatusValue::MailboxId(id)))
        }
        None => {
            let (rest, value) = any_value(rest)?;
            Ok((rest, StatusValue::Other(name, value.to_vec())))
        }
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

/// ```abnf
/// obsolete-search-response = "SEARCH" *(SP nz-number)
/// mailbox-data        =/ "SEARCH" [1*(SP nz-number) SP
///                        search-sort-mod-seq]
/// search-sort-mod-seq = "(" "MODSEQ" SP mod-sequence-value ")"
/// ```
fn search(input: &[u8]) -> Parsed<'_, Untagged> {
    let (rest, (numbers, modseq)) = numbers(input)?;
    Ok((rest, Untagged::Search { numbers, modseq }))
}

/// ```abnf
/// sort-data       = "SORT" *(SP nz-number)
/// mailbox-data        =/ "SORT" [1*(SP nz-number) SP
///                        search-sort-mod-seq]                ; RFC 7162
/// search-sort-mod-seq = "(" "MODSEQ" SP mod-sequence-value ")"
/// ```
fn numbers(input: &[u8]) -> Parsed<'_, (Vec<u32>, Option<u64>)> {
    let mut numbers = Vec::new();
    let mut modseq = None;
    let mut rest = input;
    while let [b' ', after @ ..] = rest {
        match after.first() {
            Some(b'(') => {
                let (after, ()) = open(after)?;
                let (after, ()) = word("MODSEQ")(after)?;
                let (after, ()) = sp(after)?;
                let (after, value) = mod_sequence(after)?;
                (rest, ()) = close(after)?;
                modseq = Some(value);
                break;
            }
            Some(b'0'..=b'9') => {
                let number;
                (rest, number) = nz_number(after)?;
                numbers.push(number);
            }
            _ => break,
        }
    }
    Ok((rest, (numbers, modseq)))
}

/// ```abnf
/// thread-data     = "THREAD" [SP 1*thread-list]
/// ```
fn thread(input: &[u8]) -> Parsed<'_, Untagged> {
    let mut threads = Vec::new();
    let mut rest = match input {
        [b' ', rest @ ..] if rest.first() == Some(&b'(') => rest,
        _ => input,
    };
    while rest.first() == Some(&b'(') {
        let thread;
        (rest, thread) = thread_list(0, rest)?;
        threads.push(thread);
    }
    Ok((rest, Untagged::Thread(threads)))
}

/// ```abnf
/// thread-list     = "(" (thread-members / thread-nested) ")"
/// thread-members  = nz-number *(SP nz-number) [SP thread-nested]
/// thread-nested   = 2*thread-list
/// ```
fn thread_list(depth: usize, input: &[u8]) -> Parsed<'_, ThreadList> {
    if depth > MAX_DEPTH {
        return refuse("less nesting");
    }
    let (mut rest, ()) = open(input)?;
    let mut list = ThreadList::default();
    while rest.first().is_some_and(u8::is_ascii_digit) {
        let number;
        (rest, number) = nz_number(rest)?;
        list.messages.push(number);
        rest = match rest {
            [b' ', after @ ..] => after,
            _ => rest,
        };
    }
    while rest.first() == Some(&b'(') {
        let reply;
        (rest, reply) = thread_list(depth + 1, rest)?;
        list.replies.push(reply);
    }
    let (rest, ()) = close(rest)?;
    Ok((rest, list))
}

/// ```abnf
/// metadata-resp     = "METADATA" SP mailbox SP
///                     (entry-values / entry-list)
/// entry-list        = entry *(SP entry)
/// ```
fn metadata(input: &[u8]) -> Parsed<'_, Untagged> {
    let (rest, mailbox) = mailbox(input)?;
    let (rest, ()) = sp(rest)?;
    if rest.first() == Some(&b'(') {
        let (rest, entries) = entry_values(rest)?;
        return Ok((rest, Untagged::Metadata { mailbox, entries }));
    }
    let (rest, entries) = spaced(entry, rest)?;
    Ok((rest, Untagged::MetadataChanged { mailbox, entries }))
}

/// ```abnf
/// quota-response =   "QUOTA" SP quota-root-name SP quota-list
/// quota-list =       "(" quota-resource *(SP quota-resource) ")"
/// quota-resource =   resource-name SP resource-usage SP resource-limit
/// ```
fn quota(input: &[u8]) -> Parsed<'_, Untagged> {
    let resource = |input| {
        let (rest, name) = upper_atom(input)?;
        let (rest, usage) = after_sp(number64, rest)?;
        let (rest, limit) = after_sp(number64, rest)?;
        Ok((rest, QuotaResource { name, usage, limit }))
    };
    let (rest, root) = root(input)?;
    let (rest, ()) = sp(rest)?;
    // RFC 2087 let a root have no resource at all.
    let (rest, resources) = list0(resource, rest)?;
    Ok((rest, Untagged::Quota { root, resources }))
}

/// ```abnf
/// quotaroot-response =  "QUOTAROOT" SP mailbox *(SP quota-root-name)
/// ```
fn quota_root(input: &[u8]) -> Parsed<'_, Untagged> {
    let (mut rest, mailbox) = mailbox(input)?;
    let mut roots = Vec::new();
    while let [b' ', after @ ..] = rest {
        let name;
        (rest, name) = root(after)?;
        roots.push(name);
    }
    Ok((rest, Untagged::QuotaRoot { mailbox, roots }))
}

/// ```abnf
/// esearch-response  = "ESEARCH" [search-correlator] [SP "UID"]
///                     *(SP search-return-data)
/// search-return-data = "MIN" SP nz-number /
///                     "MAX" SP nz-number /
///                     "ALL" SP sequence-set /
///                     "COUNT" SP number /
///                     search-ret-data-ext
/// ```
fn esearch(input: &[u8]) -> Parsed<'_, Esearch> {
    let mut found = Esearch::default();
    let mut rest = input;
    if let [b' ', after @ ..] = rest
        && after.first() == Some(&b'(')
    {
        (rest, _) = list1(|i| correlator(&mut found, i), after)?;
    }
    if let (after, Some(())) = maybe(|i| after_sp(word("UID"), i), rest)? {
        found.uid = true;
        rest = after;
    }
    while let [b' ', after @ ..] = rest {
        if matches!(after.first(), Some(b'\r' | b'\n')) {
            break;
        }
        let (after, name) = item_name(after)?;
        let (after, ()) = sp(after)?;
        rest = match name.as_str() {
            "MIN" => {
                let (rest, n) = nz_number(after)?;
                found.min = Some(n);
                rest
            }
            "MAX" => {
                let (rest, n) = nz_number(after)?;
                found.max = Some(n);
                rest
            }
            "ALL" => {
                let (rest, set) = response_set(after)?;
                found.all = Some(set);
                rest
            }
            "COUNT" => {
                let (rest, n) = count(after)?;
                found.count = Some(n);
                rest
            }
            "MODSEQ" => {
                let (rest, n) = number64(after)?;
                found.modseq = Some(n);
                rest
            }
            "RELEVANCY" => {
                let (rest, scores) = list1(nz_number, after)?;
                found.relevancy = scores;
                rest
            }
            "PARTIAL" => {
                let (rest, ()) = open(after)?;
                let (rest, range) = partial_range(rest)?;
                let (rest, ()) = sp(rest)?;
                let (rest, set) = match maybe(word("NIL"), rest)? {
                    (rest, Some(())) => (rest, None),
                    (rest, None) => {
                        let (rest, set) = response_set(rest)?;
                        (rest, Some(set))
                    }
                };
                found.partial = Some((range, set));
                close(rest)?.0
            }
            "ADDTO" => {
                let (rest, pairs) = context_pairs(after)?;
                found.updates.push(ContextUpdate::AddTo(pairs));
                rest
            }
            "REMOVEFROM" => {
                let (rest, pairs) = context_pairs(after)?;
                found.updates.push(ContextUpdate::RemoveFrom(pairs));
                rest
            }
            _ => any_value(after)?.0,
        };
    }
    Ok((rest, found))
}

/// ```abnf
/// ret-data-addto      = "ADDTO"
///                        SP "(" context-position SP sequence-set
///                        *(SP context-position SP sequence-set)
///                        ")"                                 ; RFC 5267
/// ```
///
/// And `ret-data-removefrom`; without the names and the spaces behind them.
fn context_pairs(input: &[u8]) -> Parsed<'_, Vec<(u32, SequenceSet)>> {
    let pair = |input| {
        let (rest, position) = number(input)?;
        let (rest, ()) = sp(rest)?;
        let (rest, set) = response_set(rest)?;
        Ok((rest, (position, set)))
    };
    list1(pair, input)
}

/// ```abnf
/// search-correlator =  SP "(" one-correlator *(SP one-correlator) ")"
/// one-correlator =  ("TAG" SP tag-string) / ("MAILBOX" SP astring) /
///         ("UIDVALIDITY" SP nz-number)                       ; RFC 7377
/// ```
fn correlator<'a>(found: &mut Esearch, input: &'a [u8]) -> Parsed<'a, ()> {
    let (rest, name) = upper_atom(input)?;
    let (rest, ()) = sp(rest)?;
    match name.as_str() {
        "TAG" => {
            let (rest, tag) = text(rest)?;
            found.tag = Some(tag);
            Ok((rest, ()))
        }
        "MAILBOX" => {
            let (rest, name) = mailbox(rest)?;
            found.mailbox = Some(name);
            Ok((rest, ()))
        }
        "UIDVALIDITY" => {
            let (rest, n) = nz_number(rest)?;
            found.uidvalidity = Some(n);
            Ok((rest, ()))
        }
        _ => mismatch("a known correlator"),
    }
}

/// ```abnf
/// namespace-response = "NAMESPACE" SP namespace
///                      SP namespace SP namespace
/// ```
fn namespaces(input: &[u8]) -> Parsed<'_, NamespaceRow> {
    let (rest, personal) = namespace(input)?;
    let (rest, ()) = sp(rest)?;
    let (rest, other_users) = namespace(rest)?;
    let (rest, ()) = sp(rest)?;
    let (rest, shared) = namespace(rest)?;
    Ok((
        rest,
        NamespaceRow {
            personal,
            other_users,
            shared,
        },
    ))
}

/// ```abnf
/// namespace         = nil / "(" 1*namespace-descr ")"
/// namespace-descr   = "(" string SP
///                        (DQUOTE QUOTED-CHAR DQUOTE / nil)
///                         [namespace-response-extensions] ")"
/// namespace-response-extension = SP string SP
///                   "(" string *(SP string) ")"
/// ```
fn namespace(input: &[u8]) -> Parsed<'_, Vec<NamespacePrefix>> {
    if let (rest, Some(())) = maybe(word("NIL"), input)? {
        return Ok((rest, Vec::new()));
    }
    let (mut rest, ()) = open(input)?;
    let mut prefixes = Vec::new();
    while rest.first() == Some(&b'(') {
        let (after, ()) = open(rest)?;
        let (after, prefix) = string(after)?;
        let (after, ()) = sp(after)?;
        let (mut after, separator) = separator(after)?;
        while let [b' ', extension @ ..] = after {
            let (extension, _) = string(extension)?;
            let (extension, ()) = sp(extension)?;
            after = any_value(extension)?.0;
        }
        let (after, ()) = close(after)?;
        prefixes.push(NamespacePrefix {
            prefix: MailboxArg(prefix.into_owned()),
            separator,
        });
        rest = after;
    }
    let (rest, ()) = close(rest)?;
    if prefixes.is_empty() {
        return mismatch("a namespace");
    }
    Ok((rest, prefixes))
}

/// ```abnf
/// acl-data        = "ACL" SP mailbox *(SP identifier SP
///                     rights)
/// ```
fn acl(input: &[u8]) -> Parsed<'_, Untagged> {
    let (mut rest, mailbox) = after_sp(mailbox, input)?;
    let mut entries = Vec::new();
    while let [b' ', after @ ..] = rest {
        let (after, identifier) = text(after)?;
        let (after, ()) = sp(after)?;
        let (after, rights) = text(after)?;
        entries.push((identifier, rights));
        rest = after;
    }
    Ok((rest, Untagged::Acl { mailbox, entries }))
}

/// ```abnf
/// listrights-data = "LISTRIGHTS" SP mailbox SP identifier
///                         SP rights *(SP rights)
/// ```
fn list_rights(input: &[u8]) -> Parsed<'_, Untagged> {
    let (rest, mailbox) = mailbox(input)?;
    let (rest, identifier) = after_sp(text, rest)?;
    let (mut rest, required) = after_sp(text, rest)?;
    let mut optional = Vec::new();
    while let [b' ', after @ ..] = rest {
        let rights;
        (rest, rights) = text(after)?;
        optional.push(rights);
    }
    Ok((
        rest,
        Untagged::ListRights {
            mailbox,
            identifier,
            required,
            optional,
        },
    ))
}

/// ```abnf
/// myrights-data   = "MYRIGHTS" SP mailbox SP rights
/// ```
fn my_rights(input: &[u8]) -> Parsed<'_, Untagged> {
    let (rest, mailbox) = mailbox(input)?;
    let (rest, rights) = after_sp(text, rest)?;
    Ok((rest, Untagged::MyRights { mailbox, rights }))
}
