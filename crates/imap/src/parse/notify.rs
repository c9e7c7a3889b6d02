//! NOTIFY (RFC 5465), and the choice of mailboxes for ESEARCH.

use super::fetch::fetch_att;
use super::token::{
    Parsed, atom, close, expect, list1, mailbox, maybe, mismatch, open, refuse, sp, spaced,
    upper_atom, word,
};
use crate::command::Command;
use crate::mailbox::MailboxArg;
use crate::notify::{EventGroup, MailboxFilter, Notify, NotifyEvent};

/// ```abnf
/// notify          = "NOTIFY" SP
///                 (notify-set / notify-none)
/// notify-set      = "SET" [status-indicator] SP event-groups
/// notify-none     = "NONE"
/// status-indicator = SP "STATUS"
/// event-groups    = event-group *(SP event-group)
/// ```
pub(super) fn notify(input: &[u8]) -> Parsed<'_, Command> {
    let (rest, what) = expect("SET or NONE", upper_atom)(input)?;
    match what.as_str() {
        "NONE" => return Ok((rest, Command::Notify(Notify::None))),
        "SET" => {}
        _ => return mismatch("SET or NONE"),
    }
    let (rest, ()) = sp(rest)?;
    let (rest, status) = match maybe(word("STATUS"), rest)? {
        (rest, Some(())) => (sp(rest)?.0, true),
        (rest, None) => (rest, false),
    };
    let (rest, groups) = spaced(event_group, rest)?;
    let selected = groups.iter().filter(|group| {
        matches!(
            group.filter,
            MailboxFilter::Selected | MailboxFilter::SelectedDelayed
        )
    });
    if selected.count() > 1 {
        return refuse("one group for the selected mailbox");
    }
    Ok((rest, Command::Notify(Notify::Set { status, groups })))
}

/// ```abnf
/// event-group     = "(" filter-mailboxes SP events ")"
/// events          = ( "(" event *(SP event) ")" ) / "NONE"
/// ```
fn event_group(input: &[u8]) -> Parsed<'_, EventGroup> {
    let (rest, ()) = open(input)?;
    let (rest, filter) = filter_mailboxes(rest)?;
    if let MailboxFilter::SubtreeOne(_) = filter {
        return refuse("a choice of mailboxes of NOTIFY");
    }
    let (rest, ()) = sp(rest)?;
    let (rest, events) = match maybe(word("NONE"), rest)? {
        (rest, Some(())) => (rest, Vec::new()),
        (rest, None) => list1(event, rest)?,
    };
    let (rest, ()) = close(rest)?;
    Ok((rest, EventGroup { filter, events }))
}

/// ```abnf
/// filter-mailboxes = filter-mailboxes-selected /
///                 filter-mailboxes-other
/// filter-mailboxes-other = "inboxes" / "personal" / "subscribed" /
///                 ( "subtree" SP one-or-more-mailbox ) /
///                 ( "mailboxes" SP one-or-more-mailbox )
/// filter-mailboxes-other =/  ("subtree-one" SP one-or-more-mailbox)   ; RFC 7377
/// filter-mailboxes-selected = "selected" / "selected-delayed"
/// ```
pub(super) fn filter_mailboxes(input: &[u8]) -> Parsed<'_, MailboxFilter> {
    let (rest, name) = expect("a choice of mailboxes", upper_atom)(input)?;
    let make: fn(Vec<MailboxArg>) -> MailboxFilter = match name.as_str() {
        "SELECTED" => return Ok((rest, MailboxFilter::Selected)),
        "SELECTED-DELAYED" => return Ok((rest, MailboxFilter::SelectedDelayed)),
        "INBOXES" => return Ok((rest, MailboxFilter::Inboxes)),
        "PERSONAL" => return Ok((rest, MailboxFilter::Personal)),
        "SUBSCRIBED" => return Ok((rest, MailboxFilter::Subscribed)),
        "SUBTREE" => MailboxFilter::Subtree,
        "SUBTREE-ONE" => MailboxFilter::SubtreeOne,
        "MAILBOXES" => MailboxFilter::Mailboxes,
        _ => return mismatch("a choice of mailboxes"),
    };
    let (rest, ()) = sp(rest)?;
    let (rest, names) = one_or_more_mailbox(rest)?;
    Ok((rest, make(names)))
}

/// ```abnf
/// one-or-more-mailbox = mailbox / many-mailboxes
/// many-mailboxes  = "(" mailbox *(SP mailbox) ")"
/// ```
fn one_or_more_mailbox(input: &[u8]) -> Parsed<'_, Vec<MailboxArg>> {
    match input.first() {
        Some(b'(') => list1(mailbox, input),
        _ => {
            let (rest, name) = mailbox(input)?;
            Ok((rest, vec![name]))
        }
    }
}

/// ```abnf
/// event           = message-event /
///                 mailbox-event / user-event / event-ext
/// message-event   = ( "MessageNew" [SP
///                     "(" fetch-att *(SP fetch-att) ")" ] )
///                 / "MessageExpunge"
///                 / "FlagChange"
///                 / "AnnotationChange"
/// mailbox-event   = "MailboxName" /
///                 "SubscriptionChange" / "MailboxMetadataChange"
/// user-event      = "ServerMetadataChange"
/// event-ext       = atom
/// ```
fn event(input: &[u8]) -> Parsed<'_, NotifyEvent> {
    let (rest, name) = expect("an event", atom)(input)?;
    if name.eq_ignore_ascii_case("MessageNew") {
        return match rest {
            [b' ', after @ ..] if after.first() == Some(&b'(') => {
                let (rest, items) = list1(fetch_att, after)?;
                Ok((rest, NotifyEvent::MessageNew(items)))
            }
            _ => Ok((rest, NotifyEvent::MessageNew(Vec::new()))),
        };
    }
    let plain = NotifyEvent::PLAIN
        .into_iter()
        .find(|(plain, _)| plain.eq_ignore_ascii_case(name));
    let event = match plain {
        Some((_, event)) => event,
        None => NotifyEvent::Other(name.to_owned()),
    };
    Ok((rest, event))
}
