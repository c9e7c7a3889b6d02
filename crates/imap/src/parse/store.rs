//! STORE, COPY, MOVE.

use super::command::unknown;
use super::token::{
    Parsed, expect, flag, flag_list, item_name, list1, mailbox, mismatch, number64, sequence_set,
    sp, spaced, upper_atom,
};
use crate::command::{Command, StoreMode, StoreModifier};
use crate::mailbox::MailboxArg;
use crate::sequence::SequenceSet;

/// ```abnf
/// store           = "STORE" SP sequence-set [store-modifiers] SP store-att-flags
/// store-modifiers = SP "(" store-modifier *(SP store-modifier) ")"   ; RFC 4466
/// store-att-flags = (["+" / "-"] "FLAGS" [".SILENT"]) SP
///                   (flag-list / (flag *(SP flag)))
/// ```
pub(super) fn store(uid: bool, input: &[u8]) -> Parsed<'_, Command> {
    let (rest, set) = sequence_set(input)?;
    let (rest, ()) = sp(rest)?;
    let (rest, modifiers) = match rest.first() {
        Some(b'(') => {
            let (rest, modifiers) = list1(store_modifier, rest)?;
            let (rest, ()) = sp(rest)?;
            (rest, modifiers)
        }
        _ => (rest, Vec::new()),
    };
    let (rest, mode) = match rest {
        [b'+', rest @ ..] => (rest, StoreMode::Add),
        [b'-', rest @ ..] => (rest, StoreMode::Remove),
        _ => (rest, StoreMode::Replace),
    };
    let (rest, name) = expect("FLAGS", item_name)(rest)?;
    let silent = match name.as_str() {
        "FLAGS" => false,
        "FLAGS.SILENT" => true,
        _ => return mismatch("FLAGS"),
    };
    let (rest, ()) = sp(rest)?;
    let (rest, flags) = match rest.first() {
        Some(b'(') => flag_list(rest)?,
        _ => spaced(flag, rest)?,
    };
    Ok((
        rest,
        Command::Store {
            uid,
            set,
            modifiers,
            mode,
            silent,
            flags,
        },
    ))
}

/// ```abnf
/// store-modifier      =/ "UNCHANGEDSINCE" SP mod-sequence-valzer
/// ```
fn store_modifier(input: &[u8]) -> Parsed<'_, StoreModifier> {
    let (rest, name) = expect("a modifier", upper_atom)(input)?;
    match name.as_str() {
        "UNCHANGEDSINCE" => {
            let (rest, ()) = sp(rest)?;
            let (rest, modseq) = number64(rest)?;
            Ok((rest, StoreModifier::UnchangedSince(modseq)))
        }
        _ => unknown(input, "a known modifier"),
    }
}

/// ```abnf
/// copy            = "COPY" SP sequence-set SP mailbox
/// ```
pub(super) fn copy(uid: bool, input: &[u8]) -> Parsed<'_, Command> {
    let (rest, (set, mailbox)) = set_and_mailbox(input)?;
    Ok((rest, Command::Copy { uid, set, mailbox }))
}

/// ```abnf
/// move            = "MOVE" SP sequence-set SP mailbox
/// ```
pub(super) fn move_(uid: bool, input: &[u8]) -> Parsed<'_, Command> {
    let (rest, (set, mailbox)) = set_and_mailbox(input)?;
    Ok((rest, Command::Move { uid, set, mailbox }))
}

fn set_and_mailbox(input: &[u8]) -> Parsed<'_, (SequenceSet, MailboxArg)> {
    let (rest, set) = sequence_set(input)?;
    let (rest, ()) = sp(rest)?;
    let (rest, mailbox) = mailbox(rest)?;
    Ok((rest, (set, mailbox)))
}
