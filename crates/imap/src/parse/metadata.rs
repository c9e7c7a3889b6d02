//! GETMETADATA, SETMETADATA (RFC 5464).

use super::command::unknown;
use super::token::{
    Parsed, expect, list1, literal8, mailbox, mismatch, nstring, number, refuse, sp, text,
    upper_atom,
};
use crate::command::Command;
use crate::metadata::{GetMetadata, MetadataDepth, MetadataEntry};

/// ```abnf
/// getmetadata       = "GETMETADATA" [SP getmetadata-options]
///                                   SP mailbox SP entries
/// getmetadata-options = "(" getmetadata-option
///                           *(SP getmetadata-option) ")"
/// ```
pub(super) fn get_metadata(input: &[u8]) -> Parsed<'_, Command> {
    let mut max_size = None;
    let mut depth = MetadataDepth::Zero;
    let mut option = |input| get_metadata_option(&mut max_size, &mut depth, input);
    let rest = match input.first() {
        Some(b'(') => sp(list1(&mut option, input)?.0)?.0,
        _ => input,
    };
    let (rest, mailbox) = mailbox(rest)?;
    // RFC 5464 has its examples put them here, and clients do.
    let rest = match rest {
        [b' ', b'(', ..] => match list1(&mut option, &rest[1..]) {
            Ok((after, _)) => after,
            Err(_) => rest,
        },
        _ => rest,
    };
    let (rest, ()) = sp(rest)?;
    let (rest, entries) = entries(rest)?;
    Ok((
        rest,
        Command::GetMetadata(GetMetadata {
            mailbox,
            max_size,
            depth,
            entries,
        }),
    ))
}

/// ```abnf
/// maxsize-opt       = "MAXSIZE" SP number
/// scope-opt         =  "DEPTH" SP ("0" / "1" / "infinity")
/// ```
fn get_metadata_option<'a>(
    max_size: &mut Option<u32>,
    depth: &mut MetadataDepth,
    input: &'a [u8],
) -> Parsed<'a, ()> {
    let (rest, name) = expect("an option", upper_atom)(input)?;
    match name.as_str() {
        "MAXSIZE" => {
            let (rest, ()) = sp(rest)?;
            let (rest, octets) = number(rest)?;
            *max_size = Some(octets);
            Ok((rest, ()))
        }
        "DEPTH" => {
            let (rest, ()) = sp(rest)?;
            let (rest, name) = expect("a depth", upper_atom)(rest)?;
            let known = MetadataDepth::ALL
                .into_iter()
                .find(|depth| depth.as_str().eq_ignore_ascii_case(&name));
            match known {
                Some(known) => *depth = known,
                None => return refuse("0, 1 or infinity"),
            }
            Ok((rest, ()))
        }
        _ => unknown(input, "a known option"),
    }
}

/// ```abnf
/// entries           = entry /
///                     "(" entry *(SP entry) ")"
/// ```
pub(super) fn entries(input: &[u8]) -> Parsed<'_, Vec<String>> {
    match input.first() {
        Some(b'(') => list1(entry, input),
        _ => {
            let (rest, name) = entry(input)?;
            Ok((rest, vec![name]))
        }
    }
}

/// ```abnf
/// entry             = astring
///                     ; slash-separated path to entry
///                     ; MUST NOT contain "*" or "%"
/// ```
pub(super) fn entry(input: &[u8]) -> Parsed<'_, String> {
    let (rest, name) = expect("the name of an entry", text)(input)?;
    // Section 3.2 and the erratum on its case: names are compared without regard to case. What
    // else is wrong with one is for the server to say.
    match name.contains(['*', '%']) {
        true => refuse("a name without wildcards"),
        false => Ok((rest, name)),
    }
}

/// ```abnf
/// setmetadata       = "SETMETADATA" SP mailbox
///                                   SP entry-values
/// ```
pub(super) fn set_metadata(input: &[u8]) -> Parsed<'_, Command> {
    let (rest, mailbox) = mailbox(input)?;
    let (rest, ()) = sp(rest)?;
    let (rest, entries) = entry_values(rest)?;
    Ok((rest, Command::SetMetadata { mailbox, entries }))
}

/// ```abnf
/// entry-values      = "(" entry-value *(SP entry-value) ")"
/// entry-value       = entry SP value
/// value             = nstring / literal8
/// ```
pub(super) fn entry_values(input: &[u8]) -> Parsed<'_, Vec<MetadataEntry>> {
    list1(entry_value, input)
}

fn entry_value(input: &[u8]) -> Parsed<'_, MetadataEntry> {
    let (rest, name) = entry(input)?;
    let (rest, ()) = sp(rest)?;
    let (rest, value) = match rest.first() {
        Some(b'~') => {
            let (rest, octets) = literal8(rest)?;
            (rest, Some(octets.to_vec()))
        }
        _ => {
            let (rest, value) = nstring(rest)?;
            let value = value.map(std::borrow::Cow::into_owned);
            if value.as_ref().is_some_and(|value| value.contains(&0)) {
                return mismatch("NULs in literal8 only");
            }
            (rest, value)
        }
    };
    Ok((rest, (name, value)))
}

/// `list-return-opt =/ "METADATA" SP entries` (RFC 9590), behind the keyword.
pub(super) fn list_metadata(input: &[u8]) -> Parsed<'_, Vec<String>> {
    let (rest, ()) = sp(input)?;
    entries(rest)
}
