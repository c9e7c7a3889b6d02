//! The heads of APPEND and REPLACE, up to the announcement of a message.

use super::token::{
    Announcement, Expected, Parsed, command_tag, date_time, flag_list, literal_announcement,
    mailbox, maybe, mismatch, open, sequence_set, sp, word,
};
use crate::command::{AppendMessage, AppendStart, LiteralHead, Replaced};
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

/// What an APPEND command that ends with the announcement of a literal is.
#[derive(Debug)]
pub(crate) enum AppendHead {
    /// The literal is the mailbox name.
    Name,
    /// The literal is the first message.
    Message(AppendStart),
    /// Neither.
    Bad(String),
}

/// Reads an APPEND command without the line break that follows its last literal's announcement.
pub(crate) fn append_head(head: &[u8]) -> AppendHead {
    let bad = |what: &str| AppendHead::Bad(format!("APPEND: expected {what}"));
    let Some(announced) = literal_announcement(head) else {
        return bad("a literal");
    };
    let Ok((rest, (tag, replaces))) = command_and_space(head) else {
        return bad("a mailbox name");
    };
    if head.len() - rest.len() == announced.at {
        return AppendHead::Name;
    }
    if memchr::memchr(0, head).is_some() {
        return bad("no NUL");
    }
    let parsed =
        mailbox(rest).and_then(|(rest, mailbox)| Ok((append_message(rest, announced)?.1, mailbox)));
    match parsed {
        Ok((message, mailbox)) => AppendHead::Message(AppendStart {
            tag,
            replaces,
            mailbox,
            flags: message.flags,
            internal_date: message.internal_date,
            literal: message.literal,
        }),
        Err(nom::Err::Error(Expected(what)) | nom::Err::Failure(Expected(what))) => bad(what),
        Err(nom::Err::Incomplete(_)) => bad("more"),
    }
}

/// Reads what follows a message, without its line break: `Ok(None)` if nothing does, which ends
/// the command.
pub(crate) fn append_next(line: &[u8]) -> Result<Option<AppendMessage>, String> {
    if line.is_empty() {
        return Ok(None);
    }
    let parsed = match literal_announcement(line) {
        Some(announced) => append_message(line, announced),
        None => mismatch("the end of the line or a further message"),
    };
    match parsed {
        Ok((_, message)) => Ok(Some(message)),
        Err(nom::Err::Error(Expected(what)) | nom::Err::Failure(Expected(what))) => {
            Err(format!("APPEND: expected {what}"))
        }
        Err(nom::Err::Incomplete(_)) => Err("APPEND: incomplete".to_owned()),
    }
}

/// ```abnf
/// append-message  = append-opts SP append-data            ; RFC 4466
/// append-opts     = [SP flag-list] [SP date-time]
/// append-data     = literal / literal8 /
///                   "UTF8" SP "(" literal8 ")"            ; RFC 6855
/// ```
fn append_message(input: &[u8], announced: Announcement) -> Parsed<'_, AppendMessage> {
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
    let mut utf8 = false;
    if announced.binary && rest.first() != Some(&b'~') {
        (rest, ()) = word("UTF8")(rest)?;
        (rest, ()) = sp(rest)?;
        (rest, ()) = open(rest)?;
        utf8 = true;
    }
    // What remains must be the announcement and nothing else.
    match (literal_announcement(rest), announced.len) {
        (Some(Announcement { at: 0, .. }), Some(len)) => Ok((
            &[],
            AppendMessage {
                flags,
                internal_date,
                literal: LiteralHead {
                    len,
                    sync: announced.sync,
                    binary: announced.binary,
                    utf8,
                },
            },
        )),
        (Some(Announcement { at: 0, .. }), None) => mismatch("a literal below 2^63 octets"),
        _ => mismatch("a literal"),
    }
}
