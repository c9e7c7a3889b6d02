//! LIST, LSUB, STATUS and NAMESPACE responses (RFC 9051 section 7.3).

use super::fetch::object_id_list;
use crate::list::{ListAttribute, ListRow, StatusItem, StatusValue};
use crate::mailbox::MailboxArg;
use crate::parse::token::{
    Parsed, any_value, atom, close, expect, list0, list1, mailbox, maybe, mismatch, number,
    number64, open, quoted, sp, string, text, upper_atom, word,
};
use crate::response::{NamespacePrefix, NamespaceRow, Untagged};

/// `mbx-list-oflag` and others, which all are a `flag-extension`: `"\\" atom`
fn attribute(input: &[u8]) -> Parsed<'_, ListAttribute> {
    let (rest, _) = expect("an attribute", nom::bytes::complete::tag(&b"\\"[..]))(input)?;
    let (rest, name) = expect("an attribute", atom)(rest)?;
    Ok((rest, ListAttribute::from_wire(&format!("\\{name}"))))
}

/// ```abnf
/// mailbox-list    = "(" [mbx-list-flags] ")" SP
///                   (DQUOTE QUOTED-CHAR DQUOTE / nil) SP mailbox
///                   [SP mbox-list-extended]
/// ```
pub(super) fn mailbox_list(input: &[u8]) -> Parsed<'_, ListRow> {
    let (rest, attributes) = list0(attribute, input)?;
    let (rest, ()) = sp(rest)?;
    let (rest, separator) = separator(rest)?;
    let (rest, ()) = sp(rest)?;
    let (rest, name) = mailbox(rest)?;
    let mut row = ListRow {
        attributes,
        separator,
        name,
        child_info: Vec::new(),
        old_name: None,
    };
    let rest = match rest {
        [b' ', rest @ ..] if rest.first() == Some(&b'(') => {
            list0(|i| extended_item(&mut row, i), rest)?.0
        }
        _ => rest,
    };
    Ok((rest, row))
}

/// ```abnf
/// mbox-list-extended-item = mbox-list-extended-item-tag SP
///                            tagged-ext-val
/// childinfo-extended-item =  "CHILDINFO" SP "("
///             list-select-base-opt-quoted
///             *(SP list-select-base-opt-quoted) ")"
/// oldname-extended-item =  "OLDNAME" SP "(" mailbox ")"
/// ```
fn extended_item<'a>(row: &mut ListRow, input: &'a [u8]) -> Parsed<'a, ()> {
    let (rest, name) = text(input)?;
    let (rest, ()) = sp(rest)?;
    match name.to_ascii_uppercase().as_str() {
        "CHILDINFO" => {
            let (rest, options) = list1(text, rest)?;
            row.child_info = options;
            Ok((rest, ()))
        }
        "OLDNAME" => {
            let (rest, ()) = open(rest)?;
            let (rest, name) = mailbox(rest)?;
            let (rest, ()) = close(rest)?;
            row.old_name = Some(name);
            Ok((rest, ()))
        }
        _ => {
            let (rest, _) = any_value(rest)?;
            Ok((rest, ()))
        }
    }
}

/// `DQUOTE QUOTED-CHAR DQUOTE / nil`
fn separator(input: &[u8]) -> Parsed<'_, Option<char>> {
    if let (rest, Some(())) = maybe(word("NIL"), input)? {
        return Ok((rest, None));
    }
    let (rest, separator) = expect("a separator", quoted)(input)?;
    let mut chars = std::str::from_utf8(&separator).unwrap_or_default().chars();
    match (chars.next(), chars.next()) {
        (Some(c), None) => Ok((rest, Some(c))),
        _ => mismatch("a separator"),
    }
}

/// ```abnf
/// "STATUS" SP mailbox SP "(" [status-att-list] ")"
/// ```
pub(super) fn mailbox_status(input: &[u8]) -> Parsed<'_, Untagged> {
    let (rest, mailbox) = mailbox(input)?;
    // Seen in the wild: two spaces after the name.
    let (rest, ()) = sp(rest)?;
    let (rest, _) = maybe(sp, rest)?;
    let (rest, items) = list0(status_att_val, rest)?;
    Ok((rest, Untagged::MailboxStatus { mailbox, items }))
}

/// ```abnf
/// status-att-val  = ("MESSAGES" SP number) /
///                   ("UIDNEXT" SP nz-number) /
///                   ("UIDVALIDITY" SP nz-number) /
///                   ("UNSEEN" SP number) /
///                   ("DELETED" SP number) /
///                   ("SIZE" SP number64)
/// ```
fn status_att_val(input: &[u8]) -> Parsed<'_, StatusValue> {
    let (rest, name) = upper_atom(input)?;
    let (rest, ()) = sp(rest)?;
    let small = |make: fn(u32) -> StatusValue| number(rest).map(|(rest, n)| (rest, make(n)));
    let large = |make: fn(u64) -> StatusValue| number64(rest).map(|(rest, n)| (rest, make(n)));
    match StatusItem::from_name(name.as_bytes()) {
        Some(StatusItem::Messages) => small(StatusValue::Messages),
        Some(StatusItem::Recent) => small(StatusValue::Recent),
        Some(StatusItem::UidNext) => small(StatusValue::UidNext),
        Some(StatusItem::UidValidity) => small(StatusValue::UidValidity),
        Some(StatusItem::Unseen) => small(StatusValue::Unseen),
        Some(StatusItem::Deleted) => small(StatusValue::Deleted),
        Some(StatusItem::Size) => large(StatusValue::Size),
        Some(StatusItem::HighestModSeq) => large(StatusValue::HighestModSeq),
        Some(StatusItem::DeletedStorage) => large(StatusValue::DeletedStorage),
        Some(StatusItem::AppendLimit) => match maybe(word("NIL"), rest)? {
            (rest, Some(())) => Ok((rest, StatusValue::AppendLimit(None))),
            _ => large(|n| StatusValue::AppendLimit(Some(n))),
        },
        Some(StatusItem::MailboxId) => {
            let (rest, id) = object_id_list(rest)?;
            Ok((rest, StatusValue::MailboxId(id)))
        }
        None => {
            let (rest, value) = any_value(rest)?;
            Ok((rest, StatusValue::Other(name, value.to_vec())))
        }
    }
}

/// ```abnf
/// namespace-response = "NAMESPACE" SP namespace
///                      SP namespace SP namespace
/// ```
pub(super) fn namespaces(input: &[u8]) -> Parsed<'_, NamespaceRow> {
    let (rest, personal) = namespace(input)?;
    let (rest, ()) = sp(rest)?;
    let (rest, other_users) = namespace(rest)?;
    let (rest, ()) = sp(rest)?;
    let (rest, shared) = namespace(rest)?;
    Ok((
        rest,
        NamespaceRow {
            personal,
            other_users,
            shared,
        },
    ))
}

/// ```abnf
/// namespace         = nil / "(" 1*namespace-descr ")"
/// namespace-descr   = "(" string SP
///                        (DQUOTE QUOTED-CHAR DQUOTE / nil)
///                         [namespace-response-extensions] ")"
/// namespace-response-extension = SP string SP
///                   "(" string *(SP string) ")"
/// ```
fn namespace(input: &[u8]) -> Parsed<'_, Vec<NamespacePrefix>> {
    if let (rest, Some(())) = maybe(word("NIL"), input)? {
        return Ok((rest, Vec::new()));
    }
    let (mut rest, ()) = open(input)?;
    let mut prefixes = Vec::new();
    while rest.first() == Some(&b'(') {
        let (after, ()) = open(rest)?;
        let (after, prefix) = string(after)?;
        let (after, ()) = sp(after)?;
        let (mut after, separator) = separator(after)?;
        while let [b' ', extension @ ..] = after {
            let (extension, _) = string(extension)?;
            let (extension, ()) = sp(extension)?;
            after = any_value(extension)?.0;
        }
        let (after, ()) = close(after)?;
        prefixes.push(NamespacePrefix {
            prefix: MailboxArg(prefix.into_owned()),
            separator,
        });
        rest = after;
    }
    let (rest, ()) = close(rest)?;
    if prefixes.is_empty() {
        return mismatch("a namespace");
    }
    Ok((rest, prefixes))
}
