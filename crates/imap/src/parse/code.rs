//! Response codes.

use super::search::object_id;
use super::token::{
    Parsed, astring, atom, close, flag, list0, list1, maybe, mismatch, number, number64, nz_number,
    octet, open, response_set, sp, spaced, text, upper_atom, word,
};
use crate::code::Code;
use crate::flag::Flag;
use crate::node::NodeCode;

/// Reads a response code without its brackets. What does not fit its rule, or is not known, is
/// [`Code::Other`].
pub(super) fn code(text: &[u8]) -> Code {
    // No TEXT-CHARs, so that they are never written: they must not hide what the code is, either.
    let hides = |octet: &u8| matches!(octet, 0 | b'\r' | b'\n');
    if text.iter().any(hides) {
        let text: Vec<u8> = text.iter().copied().filter(|octet| !hides(octet)).collect();
        return code(&text);
    }
    // As it would be written, so that it is not another code when that is read.
    let text = String::from_utf8_lossy(text);
    known(text.as_bytes()).unwrap_or_else(|| Code::Other(text.into_owned()))
}

/// See `resp-text-code` of RFC 9051 and the RFCs named at [`Code`].
fn known(text: &[u8]) -> Option<Code> {
    if let Some(code) = NodeCode::parse(std::str::from_utf8(text).ok()?) {
        return Some(Code::Node(code));
    }
    let (rest, name) = atom(text).ok()?;
    if rest.is_empty() {
        let plain = Code::PLAIN
            .into_iter()
            .find(|(plain, _)| plain.eq_ignore_ascii_case(name));
        return match plain {
            Some((_, code)) => Some(code),
            None if name.eq_ignore_ascii_case("BADCHARSET") => Some(Code::BadCharset(Vec::new())),
            None => None,
        };
    }
    let (rest, ()) = sp(rest).ok()?;
    let parsed = match name.to_ascii_uppercase().as_str() {
        "APPENDUID" => append_uid(rest),
        "BADCHARSET" => bad_charset(rest),
        "CAPABILITY" => map(capabilities(rest), Code::Capability),
        "COPYUID" => copy_uid(rest),
        "BADEVENT" => bad_event(rest),
        "BADURL" => return Some(Code::BadUrl(std::str::from_utf8(rest).ok()?.to_owned())),
        "HIGHESTMODSEQ" => map(number64(rest), Code::HighestModSeq),
        "INPROGRESS" => in_progress(rest),
        "MAILBOXID" => mailbox_id(rest),
        "METADATA" => metadata(rest),
        "MODIFIED" => map(response_set(rest), Code::Modified),
        "NOUPDATE" => no_update(rest),
        "PERMANENTFLAGS" => permanent_flags(rest),
        "REFERRAL" => return Some(Code::Referral(std::str::from_utf8(rest).ok()?.to_owned())),
        "UIDNEXT" => map(nz_number(rest), Code::UidNext),
        "UIDVALIDITY" => map(nz_number(rest), Code::UidValidity),
        "UNSEEN" => map(nz_number(rest), Code::Unseen),
        _ => return None,
    };
    match parsed {
        Ok(([], code)) => Some(code),
        _ => None,
    }
}

fn map<T>(parsed: Parsed<'_, T>, make: fn(T) -> Code) -> Parsed<'_, Code> {
    parsed.map(|(rest, value)| (rest, make(value)))
}

/// `capability-data`, without its keyword. Capabilities are atoms.
pub(super) fn capabilities(input: &[u8]) -> Parsed<'_, Vec<String>> {
    let (rest, words) = spaced(atom, input)?;
    Ok((rest, words.into_iter().map(str::to_owned).collect()))
}

/// ```abnf
/// resp-code-apnd  = "APPENDUID" SP nz-number SP append-uid
/// ```
fn append_uid(input: &[u8]) -> Parsed<'_, Code> {
    let (rest, uidvalidity) = nz_number(input)?;
    let (rest, ()) = sp(rest)?;
    let (rest, uids) = response_set(rest)?;
    Ok((rest, Code::AppendUid { uidvalidity, uids }))
}

/// ```abnf
/// resp-code-copy  = "COPYUID" SP nz-number SP uid-set SP uid-set
/// ```
fn copy_uid(input: &[u8]) -> Parsed<'_, Code> {
    let (rest, uidvalidity) = nz_number(input)?;
    let (rest, ()) = sp(rest)?;
    let (rest, from) = response_set(rest)?;
    let (rest, ()) = sp(rest)?;
    let (rest, to) = response_set(rest)?;
    Ok((
        rest,
        Code::CopyUid {
            uidvalidity,
            from,
            to,
        },
    ))
}

/// ```abnf
/// "BADCHARSET" [SP "(" charset *(SP charset) ")" ]
/// ```
fn bad_charset(input: &[u8]) -> Parsed<'_, Code> {
    let (rest, charsets) = list1(astring, input)?;
    let charsets = charsets
        .iter()
        .map(|charset| String::from_utf8_lossy(charset).into_owned())
        .collect();
    Ok((rest, Code::BadCharset(charsets)))
}

/// ```abnf
/// unsupported-events-code = "BADEVENT"
///                 SP "(" event-name *(SP event-name) ")"
/// ```
fn bad_event(input: &[u8]) -> Parsed<'_, Code> {
    let (rest, events) = list1(atom, input)?;
    let events = events.into_iter().map(str::to_owned).collect();
    Ok((rest, Code::BadEvent(events)))
}

/// ```abnf
/// inprogress-tag = quoted / nil
/// inprogress-state-unknown = nil SP nil
/// inprogress-state-counting = number SP nil
/// inprogress-state-known-goal = number SP nz-number
/// resp-text-code =/ "INPROGRESS" [ SP "(" inprogress-tag SP
///                                  inprogress-state ")" ]     ; RFC 9585
/// ```
fn in_progress(input: &[u8]) -> Parsed<'_, Code> {
    let number_or_nil = |input| match maybe(word("NIL"), input)? {
        (rest, Some(())) => Ok((rest, None)),
        (rest, None) => {
            let (rest, n) = number(rest)?;
            Ok((rest, Some(n)))
        }
    };
    let (rest, ()) = open(input)?;
    let (rest, tag) = match maybe(word("NIL"), rest)? {
        (rest, Some(())) => (rest, None),
        (rest, None) => {
            let (rest, tag) = text(rest)?;
            (rest, Some(tag))
        }
    };
    let (rest, ()) = sp(rest)?;
    let (rest, done) = number_or_nil(rest)?;
    let (rest, ()) = sp(rest)?;
    let (rest, goal) = number_or_nil(rest)?;
    let (rest, ()) = close(rest)?;
    Ok((rest, Code::InProgress { tag, done, goal }))
}

/// ```abnf
/// resp-text-code    =/ "METADATA" SP "LONGENTRIES" SP number
/// resp-text-code    =/ "METADATA" SP ("MAXSIZE" SP number /
///                                     "TOOMANY" / "NOPRIVATE")
/// ```
fn metadata(input: &[u8]) -> Parsed<'_, Code> {
    let (rest, name) = upper_atom(input)?;
    let make = match name.as_str() {
        "TOOMANY" => return Ok((rest, Code::MetadataTooMany)),
        "NOPRIVATE" => return Ok((rest, Code::MetadataNoPrivate)),
        "LONGENTRIES" => Code::MetadataLongEntries,
        "MAXSIZE" => Code::MetadataMaxSize,
        _ => return mismatch("a known code"),
    };
    let (rest, ()) = sp(rest)?;
    map(number(rest), make)
}

/// ```abnf
/// "MAILBOXID" SP "(" objectid ")"
/// ```
fn mailbox_id(input: &[u8]) -> Parsed<'_, Code> {
    let (rest, ()) = open(input)?;
    let (rest, id) = object_id(rest)?;
    let (rest, ()) = close(rest)?;
    Ok((rest, Code::MailboxId(id)))
}

/// ```abnf
/// resp-text-code =/ "NOUPDATE" SP quoted                     ; RFC 5267
/// ```
fn no_update(input: &[u8]) -> Parsed<'_, Code> {
    map(text(input), Code::NoUpdate)
}

/// ```abnf
/// "PERMANENTFLAGS" SP "(" [flag-perm *(SP flag-perm)] ")"
/// flag-perm       = flag / "\*"
/// ```
fn permanent_flags(input: &[u8]) -> Parsed<'_, Code> {
    let any = |input| -> Parsed<'_, ()> {
        let (rest, ()) = octet(b'\\', "\"\\*\"", input)?;
        octet(b'*', "\"\\*\"", rest)
    };
    let flag_perm = |input| -> Parsed<'_, Option<Flag>> {
        match maybe(any, input)? {
            (rest, Some(())) => Ok((rest, None)),
            (rest, None) => {
                let (rest, flag) = flag(rest)?;
                Ok((rest, Some(flag)))
            }
        }
    };
    let (rest, found) = list0(flag_perm, input)?;
    let any_keyword = found.iter().any(Option::is_none);
    let flags = found.into_iter().flatten().collect();
    Ok((rest, Code::PermanentFlags { flags, any_keyword }))
}
