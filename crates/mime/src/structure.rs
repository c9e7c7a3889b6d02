//! `BODY` and `BODYSTRUCTURE` (RFC 9051 sections 7.5.2 and 9).

use crate::content_type::{ContentType, Param};
use crate::envelope::write_envelope;
use crate::part::{Part, PartKind};
use crate::wire::{nstring, number, string};

/// The two forms of a body structure, written at the same time: most of them is the same, and
/// counting the lines of a long text takes a while.
#[derive(Debug)]
pub(crate) struct Structures {
    /// `BODY`, without extension data.
    pub body: Vec<u8>,
    /// `BODYSTRUCTURE`
    pub bodystructure: Vec<u8>,
}

impl Structures {
    /// Those of a part.
    pub fn of(part: &Part<'_>) -> Structures {
        let mut structures = Structures {
            // Most are shorter.
            body: Vec::with_capacity(256),
            bodystructure: Vec::with_capacity(512),
        };
        structures.write(part);
        structures
    }

    fn write(&mut self, part: &Part<'_>) {
        self.both(|out| out.push(b'('));
        if let PartKind::Multipart(parts) = part.kind() {
            for child in parts {
                self.write(child);
            }
            self.both(|out| {
                out.push(b' ');
                string(out, part.content_type().subtype.as_bytes());
            });
            self.bodystructure.push(b' ');
            write_params(&mut self.bodystructure, &part.content_type().params);
        } else {
            self.write_single(part);
        }
        write_extension(&mut self.bodystructure, part);
        self.both(|out| out.push(b')'));
    }

    fn write_single(&mut self, part: &Part<'_>) {
        let content_type = part.content_type();
        self.both(|out| {
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
        });
        if let PartKind::Message(inner) = part.kind() {
            self.both(|out| {
                out.push(b' ');
                write_envelope(out, inner.header());
                out.push(b' ');
            });
            self.write(inner);
        }
        if content_type.is_text() || matches!(part.kind(), PartKind::Message(_)) {
            self.both(|out| {
                out.push(b' ');
                number(out, part.lines());
            });
        }
        self.bodystructure.push(b' ');
        nstring(&mut self.bodystructure, part.md5().as_deref());
    }

    fn both(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.bodystructure.len();
        write(&mut self.bodystructure);
        self.body.extend_from_slice(&self.bodystructure[start..]);
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
