//! LIST, LSUB, STATUS.

use super::metadata::list_metadata;
use super::token::{
    Parsed, expect, list_mailbox, list0, list1, mailbox, mismatch, refuse, sp, upper_atom, word,
};
use crate::command::Command;
use crate::list::{List, ListReturn, ListSelection, StatusItem};
use crate::mailbox::MailboxArg;

/// The most patterns of one LIST: each is matched against every name.
const MAX_PATTERNS: usize = 64;

/// ```abnf
/// list            = "LIST" [SP list-select-opts] SP
///                   mailbox SP mbox-or-pat
///                   [SP list-return-opts]
/// ```
pub(super) fn list(input: &[u8]) -> Parsed<'_, Command> {
    let (rest, selection) = match input.first() {
        Some(b'(') => {
            let (rest, selection) = selection(input)?;
            let (rest, ()) = sp(rest)?;
            (rest, Some(selection))
        }
        _ => (input, None),
    };
    let (rest, reference) = mailbox(rest)?;
    let (rest, ()) = sp(rest)?;
    let (rest, (patterns, several)) = patterns(rest)?;
    let (rest, returns) = match rest {
        [b' ', rest @ ..] => {
            let (rest, returns) = list_return(rest)?;
            (rest, Some(returns))
        }
        _ => (rest, None),
    };
    let extended = selection.is_some() || several || returns.is_some();
    Ok((
        rest,
        Command::List(List {
            reference,
            patterns,
            selection: selection.unwrap_or_default(),
            returns: returns.unwrap_or_default(),
            extended,
        }),
    ))
}

/// ```abnf
/// lsub            = "LSUB" SP mailbox SP list-mailbox
/// ```
pub(super) fn lsub(input: &[u8]) -> Parsed<'_, Command> {
    let (rest, reference) = mailbox(input)?;
    let (rest, ()) = sp(rest)?;
    let (rest, pattern) = list_mailbox(rest)?;
    Ok((rest, Command::Lsub { reference, pattern }))
}

/// ```abnf
/// mbox-or-pat     =  list-mailbox / patterns
/// patterns        = "(" list-mailbox *(SP list-mailbox) ")"
/// ```
fn patterns(input: &[u8]) -> Parsed<'_, (Vec<MailboxArg>, bool)> {
    if input.first() != Some(&b'(') {
        let (rest, pattern) = list_mailbox(input)?;
        return Ok((rest, (vec![pattern], false)));
    }
    let (rest, patterns) = list1(list_mailbox, input)?;
    if patterns.len() > MAX_PATTERNS {
        return refuse("at most 64 patterns");
    }
    Ok((rest, (patterns, true)))
}

/// ```abnf
/// list-select-opts =  "(" [
///                     (*(list-select-opt SP) list-select-base-opt
///                     *(SP list-select-opt))
///                    / (list-select-independent-opt
///                     *(SP list-select-independent-opt))
///                       ] ")"
/// list-select-base-opt        =  "SUBSCRIBED" / option-extension
/// list-select-base-opt        =/ "SPECIAL-USE"   ; RFC 6154
/// list-select-independent-opt =  "REMOTE" / option-extension
/// list-select-mod-opt         =  "RECURSIVEMATCH" / option-extension
/// ```
fn selection(input: &[u8]) -> Parsed<'_, ListSelection> {
    let (rest, options) = list0(expect("a selection option", upper_atom), input)?;
    let mut selection = ListSelection::default();
    for option in options {
        match option.as_str() {
            "SUBSCRIBED" => selection.subscribed = true,
            "REMOTE" => selection.remote = true,
            "RECURSIVEMATCH" => selection.recursive_match = true,
            "SPECIAL-USE" => selection.special_use = true,
            _ => return refuse("a known selection option"),
        }
    }
    if selection.recursive_match && !selection.subscribed && !selection.special_use {
        return refuse("SUBSCRIBED or SPECIAL-USE with RECURSIVEMATCH");
    }
    Ok((rest, selection))
}

/// ```abnf
/// list-return-opts =  "RETURN" SP
///                     "(" [list-return-opt *(SP list-return-opt)] ")"
/// return-option    = "SUBSCRIBED" / "CHILDREN" / status-option /
///                     option-extension
/// status-option    = "STATUS" SP "(" status-att *(SP status-att) ")"
/// ```
fn list_return(input: &[u8]) -> Parsed<'_, ListReturn> {
    let (rest, ()) = word("RETURN")(input)?;
    let (rest, ()) = sp(rest)?;
    let mut returns = ListReturn::default();
    let option = |input| {
        let (rest, option) = expect("a return option", upper_atom)(input)?;
        match option.as_str() {
            "SUBSCRIBED" => returns.subscribed = true,
            "CHILDREN" => returns.children = true,
            "SPECIAL-USE" => returns.special_use = true,
            "MYRIGHTS" => returns.myrights = true,
            "STATUS" => {
                let (rest, ()) = sp(rest)?;
                let (rest, items) = status_items(rest)?;
                returns.status = items;
                return Ok((rest, ()));
            }
            "METADATA" => {
                let (rest, entries) = list_metadata(rest)?;
                returns.metadata = entries;
                return Ok((rest, ()));
            }
            _ => return refuse("a known return option"),
        }
        Ok((rest, ()))
    };
    let (rest, _) = list0(option, rest)?;
    Ok((rest, returns))
}

/// ```abnf
/// status          = "STATUS" SP mailbox SP
///                   "(" status-att *(SP status-att) ")"
/// ```
pub(super) fn status(input: &[u8]) -> Parsed<'_, Command> {
    let (rest, mailbox) = mailbox(input)?;
    let (rest, ()) = sp(rest)?;
    let (rest, items) = status_items(rest)?;
    Ok((rest, Command::Status { mailbox, items }))
}

/// ```abnf
/// status-att      = "MESSAGES" / "UIDNEXT" / "UIDVALIDITY" /
///                   "UNSEEN" / "DELETED" / "SIZE"
/// ```
fn status_items(input: &[u8]) -> Parsed<'_, Vec<StatusItem>> {
    let item = |input| {
        let (rest, name) = expect("a status item", upper_atom)(input)?;
        match StatusItem::from_name(name.as_bytes()) {
            Some(item) => Ok((rest, item)),
            None => mismatch("a known status item"),
        }
    };
    let (rest, mut items) = list1(item, input)?;
    let mut seen: Vec<StatusItem> = Vec::with_capacity(items.len().min(StatusItem::ALL.len()));
    items.retain(|item| {
        let new = !seen.contains(item);
        if new {
            seen.push(*item);
        }
        new
    });
    Ok((rest, items))
}
