//! FETCH, and the sections that its answers have in common with it.

use nom::bytes::complete::tag;

use super::command::unknown;
use super::token::{
    Parsed, expect, item_name, list1, maybe, mismatch, number64, nz_number, octet, refuse,
    sequence_set, sp, text, upper_atom,
};
use crate::command::Command;
use crate::fetch::{FetchItem, FetchModifier, PartWhat, Partial, PartialRange, Section};

/// The most numbers of a part's path. Messages do not nest deeper.
const MAX_PATH: usize = 100;

/// The most items of one FETCH: of a large message each part is looked for by itself. Clients ask
/// for some dozens at once.
pub(super) const MAX_ITEMS: usize = 1_000;

/// ```abnf
/// fetch           = "FETCH" SP sequence-set SP (
///                   "ALL" / "FULL" / "FAST" /
///                   fetch-att / "(" fetch-att *(SP fetch-att) ")")
///                   [fetch-modifiers]
/// fetch-modifiers = SP "(" fetch-modifier *(SP fetch-modifier) ")"   ; RFC 4466
/// ```
pub(super) fn fetch(uid: bool, input: &[u8]) -> Parsed<'_, Command> {
    let (rest, set) = sequence_set(input)?;
    let (rest, ()) = sp(rest)?;
    let (rest, items) = match rest.first() {
        Some(b'(') => list1(fetch_att, rest)?,
        _ => match macro_items(rest) {
            Some(found) => found,
            None => {
                let (rest, item) = fetch_att(rest)?;
                (rest, vec![item])
            }
        },
    };
    if items.len() > MAX_ITEMS {
        return refuse("at most 1000 items");
    }
    let (rest, modifiers) = match rest {
        [b' ', rest @ ..] => list1(fetch_modifier, rest)?,
        _ => (rest, Vec::new()),
    };
    Ok((
        rest,
        Command::Fetch {
            uid,
            set,
            items,
            modifiers,
        },
    ))
}

/// RFC 9051 section 6.4.5: the macros.
fn macro_items(input: &[u8]) -> Option<(&[u8], Vec<FetchItem>)> {
    let (rest, name) = item_name(input).ok()?;
    let mut items = vec![
        FetchItem::Flags,
        FetchItem::InternalDate,
        FetchItem::Rfc822Size,
    ];
    match name.as_str() {
        "FAST" => {}
        "ALL" => items.push(FetchItem::Envelope),
        "FULL" => items.extend([FetchItem::Envelope, FetchItem::Body]),
        _ => return None,
    }
    Some((rest, items))
}

/// ```abnf
/// fetch-att       = "ENVELOPE" / "FLAGS" / "INTERNALDATE" /
///                   "RFC822.SIZE" /
///                   "BODY" ["STRUCTURE"] / "UID" /
///                   "BODY" section [partial] /
///                   "BODY.PEEK" section [partial] /
///                   "BINARY" [".PEEK"] section-binary [partial] /
///                   "BINARY.SIZE" section-binary
/// fetch-att       =/ "RFC822" [".HEADER" / ".TEXT"]          ; RFC 3501
/// fetch-att       =/ "MODSEQ"                                ; RFC 7162
/// fetch-att       =/ "EMAILID" / "THREADID"                  ; RFC 8474
/// fetch-att       =/ "SAVEDATE"                              ; RFC 8514
/// fetch-att       =/ "PREVIEW" [SP "(" preview-mod ")"]      ; RFC 8970
/// ```
pub(super) fn fetch_att(input: &[u8]) -> Parsed<'_, FetchItem> {
    let (rest, name) = expect("an item", item_name)(input)?;
    let item = match name.as_str() {
        "BODY" if rest.first() != Some(&b'[') => FetchItem::Body,
        "BODY" | "BODY.PEEK" => {
            let (rest, section) = section(rest)?;
            let (rest, partial) = partial(rest)?;
            return Ok((
                rest,
                FetchItem::BodySection {
                    section,
                    partial,
                    peek: name == "BODY.PEEK",
                },
            ));
        }
        "BINARY" | "BINARY.PEEK" => {
            let (rest, path) = section_binary(rest)?;
            let (rest, partial) = partial(rest)?;
            return Ok((
                rest,
                FetchItem::Binary {
                    path,
                    partial,
                    peek: name == "BINARY.PEEK",
                },
            ));
        }
        "BINARY.SIZE" => {
            let (rest, path) = section_binary(rest)?;
            return Ok((rest, FetchItem::BinarySize { path }));
        }
        "PREVIEW" => {
            let (rest, lazy) = maybe(nom::bytes::complete::tag_no_case(&b" (LAZY)"[..]), rest)?;
            return Ok((
                rest,
                FetchItem::Preview {
                    lazy: lazy.is_some(),
                },
            ));
        }
        "BODYSTRUCTURE" => FetchItem::BodyStructure,
        "EMAILID" => FetchItem::EmailId,
        "ENVELOPE" => FetchItem::Envelope,
        "FLAGS" => FetchItem::Flags,
        "INTERNALDATE" => FetchItem::InternalDate,
        "MODSEQ" => FetchItem::ModSeq,
        "RFC822" => FetchItem::Rfc822,
        "RFC822.HEADER" => FetchItem::Rfc822Header,
        "RFC822.SIZE" => FetchItem::Rfc822Size,
        "RFC822.TEXT" => FetchItem::Rfc822Text,
        "SAVEDATE" => FetchItem::SaveDate,
        "THREADID" => FetchItem::ThreadId,
        "UID" => FetchItem::Uid,
        _ => return mismatch("a known item"),
    };
    Ok((rest, item))
}

/// ```abnf
/// section         = "[" [section-spec] "]"
/// ```
pub(super) fn section(input: &[u8]) -> Parsed<'_, Section> {
    let (rest, ()) = octet(b'[', "a section", input)?;
    let (rest, section) = match rest.first() {
        Some(b']') => (rest, Section::Full),
        _ => section_spec(rest)?,
    };
    let (rest, ()) = octet(b']', "the end of a section", rest)?;
    Ok((rest, section))
}

/// ```abnf
/// section-spec    = section-msgtext / (section-part ["." section-text])
/// section-text    = section-msgtext / "MIME"
/// ```
pub(super) fn section_spec(input: &[u8]) -> Parsed<'_, Section> {
    if input.first().is_some_and(u8::is_ascii_digit) {
        let (rest, path) = section_part(input)?;
        let (rest, what) = match rest {
            [b'.', rest @ ..] => part_what(rest)?,
            _ => (rest, PartWhat::Body),
        };
        return Ok((rest, Section::Part { path, what }));
    }
    let (rest, what) = part_what(input)?;
    let section = match what {
        PartWhat::Header => Section::Header,
        PartWhat::HeaderFields { names, not } => Section::HeaderFields { names, not },
        PartWhat::Text => Section::Text,
        PartWhat::Body | PartWhat::Mime => return refuse("a part number before MIME"),
    };
    Ok((rest, section))
}

/// ```abnf
/// section-msgtext = "HEADER" /
///                   "HEADER.FIELDS" [".NOT"] SP header-list /
///                   "TEXT"
/// ```
fn part_what(input: &[u8]) -> Parsed<'_, PartWhat> {
    let (rest, name) = expect("a section", item_name)(input)?;
    match name.as_str() {
        "HEADER" => Ok((rest, PartWhat::Header)),
        "TEXT" => Ok((rest, PartWhat::Text)),
        "MIME" => Ok((rest, PartWhat::Mime)),
        "HEADER.FIELDS" | "HEADER.FIELDS.NOT" => {
            let (rest, ()) = sp(rest)?;
            let (rest, names) = header_list(rest)?;
            let not = name == "HEADER.FIELDS.NOT";
            Ok((rest, PartWhat::HeaderFields { names, not }))
        }
        _ => mismatch("a section"),
    }
}

/// ```abnf
/// header-list     = "(" header-fld-name *(SP header-fld-name) ")"
/// header-fld-name = astring
/// ```
fn header_list(input: &[u8]) -> Parsed<'_, Vec<String>> {
    list1(expect("a header field name", text), input)
}

/// ```abnf
/// section-part    = nz-number *("." nz-number)
/// ```
fn section_part(input: &[u8]) -> Parsed<'_, Vec<u32>> {
    let (mut rest, first) = nz_number(input)?;
    let mut path = vec![first];
    while let [b'.', after @ ..] = rest
        && after.first().is_some_and(u8::is_ascii_digit)
    {
        if path.len() == MAX_PATH {
            return refuse("fewer part numbers");
        }
        let (after, number) = nz_number(after)?;
        path.push(number);
        rest = after;
    }
    Ok((rest, path))
}

/// ```abnf
/// section-binary  = "[" [section-part] "]"
/// ```
pub(super) fn section_binary(input: &[u8]) -> Parsed<'_, Vec<u32>> {
    let (rest, ()) = octet(b'[', "a section", input)?;
    let (rest, path) = match rest.first() {
        Some(b']') => (rest, Vec::new()),
        _ => section_part(rest)?,
    };
    let (rest, ()) = octet(b']', "the end of a section", rest)?;
    Ok((rest, path))
}

/// ```abnf
/// partial         = "<" number64 "." nz-number64 ">"
/// ```
fn partial(input: &[u8]) -> Parsed<'_, Option<Partial>> {
    let [b'<', rest @ ..] = input else {
        return Ok((input, None));
    };
    let (rest, origin) = super::token::number64(rest)?;
    let (rest, ()) = octet(b'.', "\".\"", rest)?;
    let (rest, length) = super::token::number64(rest)?;
    let (rest, ()) = octet(b'>', "\">\"", rest)?;
    if length == 0 {
        return refuse("a length above zero");
    }
    Ok((rest, Some(Partial { origin, length })))
}

/// ```abnf
/// fetch-modifier      =/ "CHANGEDSINCE" SP mod-sequence-value
/// rexpunges-fetch-mod =  "VANISHED"
/// fetch-modifier      =/ modifier-partial          ; RFC 9394
/// ```
fn fetch_modifier(input: &[u8]) -> Parsed<'_, FetchModifier> {
    let (rest, name) = expect("a modifier", upper_atom)(input)?;
    match name.as_str() {
        "CHANGEDSINCE" => {
            let (rest, ()) = sp(rest)?;
            // RFC 7162 wants it positive; clients that know nothing say 0.
            let (rest, modseq) = number64(rest)?;
            Ok((rest, FetchModifier::ChangedSince(modseq)))
        }
        "VANISHED" => Ok((rest, FetchModifier::Vanished)),
        "PARTIAL" => {
            let (rest, ()) = sp(rest)?;
            let (rest, range) = partial_range(rest)?;
            Ok((rest, FetchModifier::Partial(range)))
        }
        _ => unknown(input, "a known modifier"),
    }
}

/// ```abnf
/// partial-range-first = nz-number ":" nz-number
/// partial-range-last  = MINUS nz-number ":" MINUS nz-number
/// partial-range       = partial-range-first / partial-range-last
/// ```
pub(super) fn partial_range(input: &[u8]) -> Parsed<'_, PartialRange> {
    let (rest, minus) = maybe(tag(&b"-"[..]), input)?;
    let (rest, from) = nz_number(rest)?;
    let (rest, ()) = octet(b':', "\":\"", rest)?;
    let rest = match minus {
        Some(_) => octet(b'-', "\"-\"", rest)?.0,
        None => rest,
    };
    let (rest, to) = nz_number(rest)?;
    Ok((
        rest,
        PartialRange {
            from,
            to,
            from_end: minus.is_some(),
        },
    ))
}
