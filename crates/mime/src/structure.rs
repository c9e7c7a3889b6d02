//! `BODY` and `BODYSTRUCTURE` (RFC 9051 sections 7.5.2 and 9).

use crate::content_type::{ContentType, Param};
use crate::envelope::write_envelope;
use crate::part::{Part, PartKind};
use crate::wire::{nstring, number, string};

/// Writes the body structure of a part, with the extension data of `BODYSTRUCTURE` or without.
pub(crate) fn write_structure(out: &mut Vec<u8>, part: &Part<'_>, extended: bool) {
    out.push(b'(');
    if let PartKind::Multipart(parts) = part.kind() {
        for child in parts {
            write_structure(out, child, extended);
        }
        out.push(b' ');
        string(out, part.content_type().subtype.as_bytes());
        if extended {
            out.push(b' ');
            write_params(out, &part.content_type().params);
            write_extension(out, part);
        }
    } else {
        write_single(out, part, extended);
    }
    out.push(b')');
}

fn write_single(out: &mut Vec<u8>, part: &Part<'_>, extended: bool) {
    let content_type = part.content_type();
    string(out, content_type.media.as_bytes());
    out.push(b' ');
    string(out, content_type.subtype.as_bytes());
    out.push(b' ');
    write_params(out, &with_charset(content_type));
    out.push(b' ');
    nstring(out, part.id().as_deref());
    out.push(b' ');
    nstring(out, part.description().as_deref());
    out.push(b' ');
    string(out, &part.encoding_name());
    out.push(b' ');
    number(out, part.body().len());
    if let PartKind::Message(inner) = part.kind() {
        out.push(b' ');
        write_envelope(out, inner.header());
        out.push(b' ');
        write_structure(out, inner, extended);
    }
    if content_type.is_text() || matches!(part.kind(), PartKind::Message(_)) {
        out.push(b' ');
        number(out, part.lines());
    }
    if extended {
        out.push(b' ');
        nstring(out, part.md5().as_deref());
        write_extension(out, part);
    }
}

/// Disposition, language and location: the end of both kinds of extension data.
fn write_extension(out: &mut Vec<u8>, part: &Part<'_>) {
    out.push(b' ');
    match part.disposition() {
        Some(disposition) => {
            out.push(b'(');
            string(out, disposition.kind.as_bytes());
            out.push(b' ');
            write_params(out, &disposition.params);
            out.push(b')');
        }
        None => nstring(out, None),
    }
    out.push(b' ');
    let tags = part.language();
    if tags.is_empty() {
        nstring(out, None);
    } else {
        for (i, tag) in tags.iter().enumerate() {
            out.push(if i == 0 { b'(' } else { b' ' });
            string(out, tag);
        }
        out.push(b')');
    }
    out.push(b' ');
    nstring(out, part.location().as_deref());
}

/// The parameters of a leaf: text without charset is US-ASCII (RFC 2046 section 4.1.2), and
/// clients expect to be told.
fn with_charset(content_type: &ContentType) -> Vec<Param> {
    let mut params = content_type.params.clone();
    if content_type.is_text() && content_type.param("CHARSET").is_none() {
        params.extend(ContentType::text_plain().params);
    }
    params
}

fn write_params(out: &mut Vec<u8>, params: &[Param]) {
    if params.is_empty() {
        return nstring(out, None);
    }
    for (i, param) in params.iter().enumerate() {
        out.push(if i == 0 { b'(' } else { b' ' });
        match &param.language {
            None => {
                string(out, param.name.as_bytes());
                out.push(b' ');
                string(out, &param.value);
            }
            Some(language) => {
                string(out, format!("{}*", param.name).as_bytes());
                out.push(b' ');
                string(out, &extended_value(language, &param.value));
            }
        }
    }
    out.push(b')');
}

/// `utf-8'language'percent-encoded`. RFC 9051 has continuations joined and the charset made
/// UTF-8 under the name `foo*`; the form is that which the asterisk promises (RFC 2231 section 4),
/// since that is what clients decode, and it keeps 8-bit text from clients without UTF8=ACCEPT.
fn extended_value(language: &[u8], value: &[u8]) -> Vec<u8> {
    let mut out = b"utf-8'".to_vec();
    out.extend(
        language
            .iter()
            .filter(|b| b.is_ascii_alphanumeric() || **b == b'-'),
    );
    out.push(b'\'');
    for b in value {
        if b.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(b) {
            out.push(*b);
        } else {
            out.extend_from_slice(format!("%{b:02X}").as_bytes());
        }
    }
    out
}
