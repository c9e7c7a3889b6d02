//! IMAP URLs of messages (RFC 5092 section 11).

use std::borrow::Cow;

use nom::bytes::complete::{tag, tag_no_case, take_while1};

use super::fetch::section_spec;
use super::token::{Expected, Parsed, expect, maybe, mismatch, number64, nz_number, octet, refuse};
use crate::fetch::{Partial, Section};
use crate::lexical::is_bchar;
use crate::url::{MessageUrl, UrlError, UrlMailbox};

/// ```abnf
/// imapurl-rel     = inetwork-path / iabsolute-path / irelative-path / ipath-empty
/// iabsolute-path  = "/" [ icommand ]
/// icommand        = imessagelist / imessagepart [iurlauth]
/// imessagepart    = imailbox-ref iuid [isection] [ipartial]
/// irelative-path  = imessagelist / imsg-or-part
/// imsg-or-part    = ( iuid-only ["/" isection-only] ["/" ipartial-only] ) / …
/// ```
///
/// Of these, `"/" imessagepart`, and what of `imsg-or-part` is written above.
pub(crate) fn message_url(url: &[u8]) -> Result<MessageUrl, UrlError> {
    if url.starts_with(b"//") || has_scheme(url) {
        return Err(UrlError::Absolute);
    }
    let path = without_dot_segments(url);
    let parsed = match &*path {
        [b'/', rest @ ..] => imailbox_ref(rest).and_then(|(rest, mailbox)| {
            let (rest, ()) = octet(b'/', "\"/;UID=\"", rest)?;
            message(Some(mailbox), rest)
        }),
        rest => message(None, rest),
    };
    match parsed {
        Ok((_, url)) => Ok(url),
        Err(nom::Err::Error(Expected(what)) | nom::Err::Failure(Expected(what))) => {
            Err(UrlError::Syntax(what))
        }
        Err(nom::Err::Incomplete(_)) => Err(UrlError::Syntax("more")),
    }
}

/// `scheme ":"` (RFC 3986 section 3.1)
fn has_scheme(url: &[u8]) -> bool {
    let scheme = |octet: &u8| octet.is_ascii_alphanumeric() || matches!(octet, b'+' | b'-' | b'.');
    let len = url.iter().take_while(|octet| scheme(octet)).count();
    url.first().is_some_and(u8::is_ascii_alphabetic) && url.get(len) == Some(&b':')
}

/// What is left of an absolute path when `.` and `..` have been followed (RFC 3986 section 5.2.4).
fn without_dot_segments(path: &[u8]) -> Cow<'_, [u8]> {
    let is_dots = |segment: &[u8]| matches!(segment, b"." | b"..");
    let segments = || path.split(|octet| *octet == b'/');
    if path.first() != Some(&b'/') || !segments().any(is_dots) {
        return Cow::Borrowed(path);
    }
    let mut left: Vec<&[u8]> = Vec::new();
    for segment in segments().skip(1) {
        if segment == b".." {
            left.pop();
        }
        if !is_dots(segment) {
            left.push(segment);
        }
    }
    if segments().next_back().is_some_and(is_dots) {
        left.push(b"");
    }
    let mut out = Vec::with_capacity(path.len());
    for segment in left {
        out.push(b'/');
        out.extend_from_slice(segment);
    }
    Cow::Owned(out)
}

/// ```abnf
/// imailbox-ref    = enc-mailbox [uidvalidity]
/// uidvalidity     = ";UIDVALIDITY=" nz-number
/// enc-mailbox     = 1*bchar
/// ```
///
/// Up to the "/" behind it.
fn imailbox_ref(input: &[u8]) -> Parsed<'_, UrlMailbox> {
    let (behind, encoded) = expect("a mailbox name", encoded)(input)?;
    let (rest, encoded, uidvalidity) = match maybe(tag_no_case(&b";UIDVALIDITY="[..]), behind)? {
        (rest, Some(_)) => {
            let (rest, uidvalidity) = nz_number(rest)?;
            (rest, encoded, Some(uidvalidity))
        }
        (_, None) => {
            let (rest, encoded) = before_slash(input, encoded, behind);
            (rest, encoded, None)
        }
    };
    let Ok(name) = String::from_utf8(decoded(encoded)?) else {
        return refuse("a mailbox name in UTF-8");
    };
    match name.is_empty() {
        true => mismatch("a mailbox name"),
        false => Ok((rest, UrlMailbox { name, uidvalidity })),
    }
}

/// ```abnf
/// iuid-only       = ";UID=" nz-number
/// isection-only   = ";SECTION=" enc-section
/// enc-section     = 1*bchar
///                 ; %-encoded version of [IMAP4] "section-spec"
/// ipartial-only   = ";PARTIAL=" partial-range
/// ```
fn message(mailbox: Option<UrlMailbox>, input: &[u8]) -> Parsed<'_, MessageUrl> {
    let (rest, _) = expect("\";UID=\"", tag_no_case(&b";UID="[..]))(input)?;
    let (mut rest, uid) = nz_number(rest)?;
    let mut section = Section::Full;
    if let (spec, Some(_)) = maybe(tag_no_case(&b"/;SECTION="[..]), rest)? {
        let (behind, encoded) = expect("a section", encoded)(spec)?;
        let (after, encoded) = match behind {
            [] => (behind, encoded),
            _ => before_slash(spec, encoded, behind),
        };
        section = match section_spec(&decoded(encoded)?) {
            Ok(([], section)) => section,
            _ => return refuse("a section"),
        };
        rest = after;
    }
    let mut partial = None;
    if let (range, Some(_)) = maybe(tag_no_case(&b"/;PARTIAL="[..]), rest)? {
        let range = partial_range(range)?;
        rest = range.0;
        partial = Some(range.1);
    }
    let url = MessageUrl {
        mailbox,
        uid,
        section,
        partial,
    };
    match rest {
        [] => Ok((rest, url)),
        _ => mismatch("the end of the URL"),
    }
}

/// ```abnf
/// partial-range   = number ["." nz-number]
/// ```
fn partial_range(input: &[u8]) -> Parsed<'_, Partial> {
    let (rest, origin) = number64(input)?;
    let (rest, length) = match maybe(tag(&b"."[..]), rest)? {
        (rest, Some(_)) => number64(rest)?,
        (rest, None) => (rest, u64::MAX),
    };
    match length {
        0 => refuse("a length above zero"),
        _ => Ok((rest, Partial { origin, length })),
    }
}

/// ```abnf
/// uchar           = unreserved / sub-delims-sh / pct-encoded
/// achar           = uchar / "&" / "="
/// bchar           = achar / ":" / "@" / "/"
/// ```
///
/// As many as there are, one at least, not decoded.
fn encoded(input: &[u8]) -> Parsed<'_, &[u8]> {
    take_while1(|octet| is_bchar(octet) || octet == b'%')(input)
}

/// What of `encoded`, the start of `input`, is before the slash that leads to `behind`: to a
/// bchar that slash is as good as any other.
fn before_slash<'a>(input: &'a [u8], encoded: &'a [u8], behind: &'a [u8]) -> (&'a [u8], &'a [u8]) {
    match encoded.strip_suffix(b"/") {
        Some(encoded) => (&input[encoded.len()..], encoded),
        None => (behind, encoded),
    }
}

/// `pct-encoded = "%" HEXDIG HEXDIG` (RFC 3986 section 2.1), undone.
fn decoded(encoded: &[u8]) -> Result<Vec<u8>, nom::Err<Expected>> {
    let hex = |octet: &u8| char::from(*octet).to_digit(16);
    let mut out = Vec::with_capacity(encoded.len());
    let mut rest = encoded;
    loop {
        rest = match rest {
            [] => return Ok(out),
            [b'%', after @ ..] => {
                let digits = after.split_at_checked(2);
                let value = digits.and_then(|(digits, after)| {
                    let value = hex(digits.first()?)? * 16 + hex(digits.get(1)?)?;
                    Some((u8::try_from(value).ok()?, after))
                });
                let Some((octet, after)) = value else {
                    return Err(nom::Err::Failure(Expected("two digits behind \"%\"")));
                };
                out.push(octet);
                after
            }
            [octet, after @ ..] => {
                out.push(*octet);
                after
            }
        };
    }
}
