//! FETCH data: `msg-att` (RFC 9051 section 7.5.2).

use super::after_sp;
use crate::parse::fetch::{section, section_binary};
use crate::parse::search::object_id;
use crate::parse::token::{
    Parsed, any_value, close, date_time, flag_list, item_name, literal8, maybe, mod_sequence,
    nstring, number64, nz_number, octet, open, sp, word,
};
use crate::response::FetchData;

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
pub(super) fn msg_att(input: &[u8]) -> Parsed<'_, FetchData> {
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

pub(super) fn object_id_list(input: &[u8]) -> Parsed<'_, String> {
    let (rest, ()) = open(input)?;
    let (rest, id) = object_id(rest)?;
    let (rest, ()) = close(rest)?;
    Ok((rest, id))
}
