//! APPEND and REPLACE, but for the octets of their messages: from one literal to the next.

use super::token::{
    Announcement, Expected, Parsed, astring, command_tag, date_time, flag_list,
    literal_announcement, mailbox, maybe, mismatch, octet, open, refuse, sequence_set, sp, word,
};
use crate::command::{AppendData, AppendMessage, AppendStart, CatPart, LiteralHead, Replaced};
use crate::tag::Tag;

/// Whether this is the start of an APPEND or REPLACE command.
pub(crate) fn is_append(frame: &[u8]) -> bool {
    command_and_space(frame).is_ok()
}

/// ```abnf
/// append          = "APPEND" SP mailbox 1*append-message       ; RFC 3502
/// replace        = "REPLACE" SP seq-number SP mailbox append-message   ; RFC 8508
/// uid            =/ "UID" SP replace
/// ```
///
/// Up to the mailbox.
fn command_and_space(input: &[u8]) -> Parsed<'_, (Tag, Option<Replaced>)> {
    let (rest, tag) = command_tag(input)?;
    let (rest, ()) = sp(rest)?;
    if let (rest, Some(())) = maybe(word("APPEND"), rest)? {
        let (rest, ()) = sp(rest)?;
        return Ok((rest, (tag, None)));
    }
    let (rest, uid) = match maybe(word("UID"), rest)? {
        (rest, Some(())) => (sp(rest)?.0, true),
        (rest, None) => (rest, false),
    };
    let (rest, ()) = word("REPLACE")(rest)?;
    let (rest, ()) = sp(rest)?;
    let (rest, message) = sequence_set(rest)?;
    if !message.is_single() {
        return mismatch("a single message");
    }
    let (rest, ()) = sp(rest)?;
    Ok((rest, (tag, Some(Replaced { uid, message }))))
}

/// What a line of an APPEND command without its line break, at whose end a literal may be
/// announced, begins with.
#[derive(Debug)]
pub(crate) enum AppendHead {
    /// The literal is the mailbox name.
    Name,
    /// What is before the octets of the first message.
    Message {
        /// What it says.
        start: AppendStart,
        /// Octets of the line that it takes: all of them, but for the parts of CATENATE.
        len: usize,
    },
    /// Neither.
    Bad(String),
}

/// Reads the start of an APPEND command.
pub(crate) fn append_head(head: &[u8]) -> AppendHead {
    let Ok((rest, (tag, replaces))) = command_and_space(head) else {
        return AppendHead::Bad(expected("a mailbox name"));
    };
    let announced = literal_announcement(head);
    if announced.is_some_and(|announced| announced.at == head.len() - rest.len()) {
        return AppendHead::Name;
    }
    if memchr::memchr(0, head).is_some() {
        return AppendHead::Bad(expected("no NUL"));
    }
    let parsed = mailbox(rest).and_then(|(rest, mailbox)| {
        let (rest, message) = append_message(rest)?;
        Ok((rest, (mailbox, message)))
    });
    match checked(parsed) {
        Ok((rest, (mailbox, message))) => AppendHead::Message {
            start: AppendStart {
                tag,
                replaces,
                mailbox,
                flags: message.flags,
                internal_date: message.internal_date,
                data: message.data,
            },
            len: head.len() - rest.len(),
        },
        Err(text) => AppendHead::Bad(text),
    }
}

/// Where in an APPEND command a line goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// Behind a literal in `UTF8 (`.
    pub(crate) utf8: bool,
    /// Among the parts of CATENATE.
    pub(crate) parts: Option<Parts>,
}

/// Where among the parts of CATENATE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Parts {
    /// Before the first.
    Start,
    /// Behind one.
    Further,
}

/// What comes next in an APPEND command.
#[derive(Debug)]
pub(crate) enum Next {
    /// Nothing: the command is complete.
    End,
    /// A further message.
    Message(AppendMessage),
    /// A part of CATENATE.
    Part(CatPart),
    /// A part of CATENATE whose URL is a literal.
    Url {
        /// Its octets.
        len: usize,
        /// Whether the client waits for a continuation request.
        sync: bool,
    },
}

/// Reads on in a line, without its line break. Returns how many of its octets that took.
pub(crate) fn append_next(place: Place, line: &[u8]) -> Result<(usize, Next), String> {
    let parsed = match place.utf8 {
        true => octet(b')', "\")\" behind UTF8 data", line),
        false => Ok((line, ())),
    };
    let parsed = parsed.and_then(|(rest, ())| match (place.parts, rest) {
        (None, rest) | (Some(Parts::Further), [b')', rest @ ..]) => after_message(rest),
        (Some(Parts::Start), rest) => cat_part(rest),
        (Some(Parts::Further), rest) => cat_part(sp(rest)?.0),
    });
    let (rest, next) = checked(parsed)?;
    Ok((line.len() - rest.len(), next))
}

/// A further message, or the end of the command.
fn after_message(input: &[u8]) -> Parsed<'_, Next> {
    if input.is_empty() {
        return Ok((input, Next::End));
    }
    if sp(input).is_err() {
        return mismatch("the end of the line or a further message");
    }
    let (rest, message) = append_message(input)?;
    Ok((rest, Next::Message(message)))
}

/// ```abnf
/// append-message  = append-opts SP append-data            ; RFC 4466
/// append-opts     = [SP flag-list] [SP date-time]
/// append-data     = literal / literal8
/// append-data     =/ utf8-literal                         ; RFC 6855
/// append-data     =/ "CATENATE" SP "(" cat-part *(SP cat-part) ")"    ; RFC 4469
/// ```
///
/// Up to the octets of a literal, or the first part.
fn append_message(input: &[u8]) -> Parsed<'_, AppendMessage> {
    let (mut rest, ()) = sp(input)?;
    let mut flags = Vec::new();
    let mut internal_date = None;
    if rest.first() == Some(&b'(') {
        (rest, flags) = flag_list(rest)?;
        (rest, ()) = sp(rest)?;
    }
    if rest.first() == Some(&b'"') {
        let date;
        (rest, date) = date_time(rest)?;
        (rest, ()) = sp(rest)?;
        internal_date = Some(date);
    }
    let data = match maybe(word("CATENATE"), rest)? {
        (after, Some(())) => {
            (rest, ()) = sp(after)?;
            (rest, ()) = open(rest)?;
            AppendData::Catenate
        }
        _ => {
            let literal;
            (rest, literal) = match utf8_literal(rest)? {
                (rest, Some(literal)) => (rest, literal),
                (rest, None) => literal_head(rest)?,
            };
            AppendData::Literal(literal)
        }
    };
    Ok((
        rest,
        AppendMessage {
            flags,
            internal_date,
            data,
        },
    ))
}

/// The most octets of a URL: a mailbox's name of a thousand octets, each of them encoded, and a
/// section of thousands.
const MAX_URL: usize = 8 * 1024;

/// ```abnf
/// cat-part        = text-literal / url                    ; RFC 4469
/// cat-part        =/ utf8-literal                         ; RFC 6855
/// text-literal    = "TEXT" SP literal
/// url             = "URL" SP astring
/// ```
fn cat_part(input: &[u8]) -> Parsed<'_, Next> {
    let text = |literal| Next::Part(CatPart::Text(literal));
    if let (rest, Some(literal)) = utf8_literal(input)? {
        return Ok((rest, text(literal)));
    }
    if let (rest, Some(())) = maybe(word("TEXT"), input)? {
        let (rest, ()) = sp(rest)?;
        let (rest, literal) = literal_head(rest)?;
        return match literal.binary {
            true => mismatch("a literal that is no literal8"),
            false => Ok((rest, text(literal))),
        };
    }
    let (rest, Some(())) = maybe(word("URL"), input)? else {
        return mismatch("TEXT or URL");
    };
    let (rest, ()) = sp(rest)?;
    let wrong = "a URL of 1 to 8192 octets";
    if rest.first() == Some(&b'{') {
        let (rest, literal) = literal_head(rest)?;
        return match usize::try_from(literal.len) {
            Ok(len @ 1..=MAX_URL) => {
                let sync = literal.sync;
                Ok((rest, Next::Url { len, sync }))
            }
            _ => refuse(wrong),
        };
    }
    let (rest, url) = astring(rest)?;
    match url.len() {
        1..=MAX_URL => Ok((rest, Next::Part(CatPart::Url(url.into_owned())))),
        _ => refuse(wrong),
    }
}

/// ```abnf
/// utf8-literal    = "UTF8" SP "(" literal8 ")"            ; RFC 6855
/// ```
///
/// Up to its octets; none if there is something else.
fn utf8_literal(input: &[u8]) -> Parsed<'_, Option<LiteralHead>> {
    let (rest, Some(())) = maybe(word("UTF8"), input)? else {
        return Ok((input, None));
    };
    let (rest, ()) = sp(rest)?;
    let (rest, ()) = open(rest)?;
    let (rest, literal) = literal_head(rest)?;
    match literal.binary {
        true => Ok((
            rest,
            Some(LiteralHead {
                utf8: true,
                ..literal
            }),
        )),
        false => mismatch("a literal8"),
    }
}

/// The announcement of a literal, with which the line ends.
fn literal_head(input: &[u8]) -> Parsed<'_, LiteralHead> {
    let Some(announced @ Announcement { at: 0, .. }) = literal_announcement(input) else {
        return mismatch("a literal");
    };
    match announced.len {
        Some(len) => Ok((
            &[],
            LiteralHead {
                len,
                sync: announced.sync,
                binary: announced.binary,
                utf8: false,
            },
        )),
        None => mismatch("a literal below 2^63 octets"),
    }
}

fn checked<T>(parsed: Parsed<'_, T>) -> Result<(&[u8], T), String> {
    parsed.map_err(|error| match error {
        nom::Err::Error(Expected(what)) | nom::Err::Failure(Expected(what)) => expected(what),
        nom::Err::Incomplete(_) => expected("more"),
    })
}

fn expected(what: &str) -> String {
    format!("APPEND: expected {what}")
}
