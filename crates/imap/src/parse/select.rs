//! SELECT, EXAMINE, ENABLE, CREATE, RENAME.

use super::command::unknown;
use super::token::{
    Parsed, atom, close, expect, list0, list1, mailbox, number64, nz_number, octet, open, refuse,
    sequence_set, sp, spaced, text, upper_atom,
};
use crate::command::{Command, SelectParam};
use crate::mailbox::MailboxArg;

pub(super) fn select(input: &[u8]) -> Parsed<'_, Command> {
    let (rest, (mailbox, params)) = select_arguments(input)?;
    Ok((rest, Command::Select { mailbox, params }))
}

pub(super) fn examine(input: &[u8]) -> Parsed<'_, Command> {
    let (rest, (mailbox, params)) = select_arguments(input)?;
    Ok((rest, Command::Examine { mailbox, params }))
}

/// ```abnf
/// select          = "SELECT" SP mailbox [select-params]     ; RFC 4466
/// select-params   = SP "(" select-param *(SP select-param) ")"
/// ```
fn select_arguments(input: &[u8]) -> Parsed<'_, (MailboxArg, Vec<SelectParam>)> {
    let (rest, mailbox) = mailbox(input)?;
    match rest {
        [b' ', rest @ ..] => {
            let (rest, params) = list1(select_param, rest)?;
            Ok((rest, (mailbox, params)))
        }
        _ => Ok((rest, (mailbox, Vec::new()))),
    }
}

/// ```abnf
/// select-param        =/ condstore-param
/// condstore-param     = "CONDSTORE"
/// select-param        =/ "QRESYNC" SP "(" uidvalidity SP
///                        mod-sequence-value [SP known-uids]
///                        [SP seq-match-data] ")"
/// seq-match-data      =  "(" known-sequence-set SP known-uid-set ")"
/// ```
fn select_param(input: &[u8]) -> Parsed<'_, SelectParam> {
    let (rest, name) = expect("a parameter", upper_atom)(input)?;
    match name.as_str() {
        "CONDSTORE" => Ok((rest, SelectParam::CondStore)),
        "QRESYNC" => {
            let (rest, ()) = sp(rest)?;
            let (rest, ()) = open(rest)?;
            let (rest, uidvalidity) = nz_number(rest)?;
            let (rest, ()) = sp(rest)?;
            // RFC 7162 wants it positive; clients that know nothing say 0.
            let (mut rest, modseq) = number64(rest)?;
            let mut known_uids = None;
            let mut seq_match = None;
            if let [b' ', after @ ..] = rest
                && after.first() != Some(&b'(')
            {
                let (after, set) = known_set(after)?;
                known_uids = Some(set);
                rest = after;
            }
            if let [b' ', after @ ..] = rest {
                let (after, ()) = open(after)?;
                let (after, numbers) = known_set(after)?;
                let (after, ()) = sp(after)?;
                let (after, uids) = known_set(after)?;
                let (after, ()) = close(after)?;
                seq_match = Some((numbers, uids));
                rest = after;
            }
            let (rest, ()) = close(rest)?;
            Ok((
                rest,
                SelectParam::QResync {
                    uidvalidity,
                    modseq,
                    known_uids,
                    seq_match,
                },
            ))
        }
        _ => unknown(input, "a known parameter"),
    }
}

/// ```abnf
/// known-uids          =  sequence-set
///                         ;; "*" is not allowed.
/// ```
fn known_set(input: &[u8]) -> Parsed<'_, crate::sequence::SequenceSet> {
    let (rest, set) = sequence_set(input)?;
    if set.has_star() || set.is_saved_result() {
        return refuse("a set without \"*\"");
    }
    Ok((rest, set))
}

/// ```abnf
/// enable          = "ENABLE" 1*(SP capability)
/// ```
pub(super) fn enable(input: &[u8]) -> Parsed<'_, Command> {
    let (rest, capabilities) = spaced(expect("a capability", upper_atom), input)?;
    Ok((rest, Command::Enable { capabilities }))
}

/// ```abnf
/// create          = "CREATE" SP mailbox [create-params]     ; RFC 4466
/// create-params   = SP "(" create-param *( SP create-param) ")"
/// create-param    =/ "USE" SP "(" [use-attr *(SP use-attr)] ")"  ; RFC 6154
/// create-param    =/ "PARTITION" SP astring                 ; ours
/// create          =/ "CREATE" SP mailbox SP astring         ; Cyrus's partition
/// ```
pub(super) fn create(input: &[u8]) -> Parsed<'_, Command> {
    let (rest, mailbox) = mailbox(input)?;
    let mut partition = None;
    let mut special_use = Vec::new();
    let rest = match rest {
        [b' ', after @ ..] if after.first() == Some(&b'(') => {
            let param = |input| {
                let (rest, name) = expect("a parameter", upper_atom)(input)?;
                match name.as_str() {
                    "PARTITION" => {
                        let (rest, ()) = sp(rest)?;
                        let (rest, name) = expect("a partition", text)(rest)?;
                        partition = Some(name);
                        Ok((rest, ()))
                    }
                    "USE" => {
                        let (rest, ()) = sp(rest)?;
                        let (rest, uses) = list0(use_attr, rest)?;
                        special_use = uses;
                        Ok((rest, ()))
                    }
                    _ => unknown(input, "a known parameter"),
                }
            };
            list1(param, after)?.0
        }
        [b' ', after @ ..] => {
            let (rest, name) = expect("a partition", text)(after)?;
            partition = Some(name);
            rest
        }
        _ => rest,
    };
    Ok((
        rest,
        Command::Create {
            mailbox,
            partition,
            special_use,
        },
    ))
}

/// ```abnf
/// use-attr        =  "\All" / "\Archive" / "\Drafts" / "\Flagged" /
///                    "\Junk" / "\Sent" / "\Trash" / use-attr-ext
/// use-attr-ext    =  "\" atom
/// ```
fn use_attr(input: &[u8]) -> Parsed<'_, String> {
    let (rest, ()) = octet(b'\\', "a special use", input)?;
    let (rest, name) = atom(rest)?;
    Ok((rest, format!("\\{name}")))
}

/// ```abnf
/// rename          = "RENAME" SP mailbox SP mailbox
/// rename          =/ "RENAME" SP mailbox SP mailbox SP astring   ; Cyrus's partition
/// ```
pub(super) fn rename(input: &[u8]) -> Parsed<'_, Command> {
    let (rest, from) = mailbox(input)?;
    let (rest, ()) = sp(rest)?;
    let (rest, to) = mailbox(rest)?;
    let (rest, partition) = match rest {
        [b' ', rest @ ..] => {
            let (rest, partition) = expect("a partition", text)(rest)?;
            (rest, Some(partition))
        }
        _ => (rest, None),
    };
    Ok((
        rest,
        Command::Rename {
            from,
            to,
            partition,
        },
    ))
}
