//! `ENVELOPE` (RFC 9051 section 7.5.2).

use crate::address::{Address, addresses};
use crate::header::{fields, unfold};
use crate::wire::{nstring, string};

/// Writes the envelope of the message whose header this is.
pub(crate) fn write_envelope(out: &mut Vec<u8>, header: &[u8]) {
    let mut date = None;
    let mut subject = None;
    let mut in_reply_to = None;
    let mut message_id = None;
    let mut from = Vec::new();
    let mut sender = Vec::new();
    let mut reply_to = Vec::new();
    let mut to = Vec::new();
    let mut cc = Vec::new();
    let mut bcc = Vec::new();
    let mut name = Vec::with_capacity(32);
    for field in fields(header) {
        name.clear();
        name.extend(field.name.iter().map(u8::to_ascii_lowercase));
        match name.as_slice() {
            b"date" => drop(date.get_or_insert(field.value)),
            b"subject" => drop(subject.get_or_insert(field.value)),
            b"in-reply-to" => drop(in_reply_to.get_or_insert(field.value)),
            b"message-id" => drop(message_id.get_or_insert(field.value)),
            // RFC 5322 allows one field of each; where there are more, all recipients count.
            b"to" => to.extend(addresses(field.value)),
            b"cc" => cc.extend(addresses(field.value)),
            b"bcc" => bcc.extend(addresses(field.value)),
            b"from" if from.is_empty() => from = addresses(field.value),
            b"sender" if sender.is_empty() => sender = addresses(field.value),
            b"reply-to" if reply_to.is_empty() => reply_to = addresses(field.value),
            _ => {}
        }
    }
    let or_from = |list: &[Address], out: &mut Vec<u8>| {
        write_addresses(out, if list.is_empty() { &from } else { list });
    };
    out.push(b'(');
    text(out, date);
    out.push(b' ');
    text(out, subject);
    out.push(b' ');
    write_addresses(out, &from);
    out.push(b' ');
    or_from(&sender, out);
    out.push(b' ');
    or_from(&reply_to, out);
    for list in [&to, &cc, &bcc] {
        out.push(b' ');
        write_addresses(out, list);
    }
    out.push(b' ');
    text(out, in_reply_to);
    out.push(b' ');
    text(out, message_id);
    out.push(b')');
}

fn text(out: &mut Vec<u8>, value: Option<&[u8]>) {
    match value {
        Some(value) => string(out, &unfold(value)),
        None => nstring(out, None),
    }
}

fn write_addresses(out: &mut Vec<u8>, list: &[Address]) {
    if list.is_empty() {
        return nstring(out, None);
    }
    out.push(b'(');
    for address in list {
        out.push(b'(');
        nstring(out, address.name.as_deref());
        out.push(b' ');
        nstring(out, address.route.as_deref());
        out.push(b' ');
        nstring(out, address.mailbox.as_deref());
        out.push(b' ');
        nstring(out, address.host.as_deref());
        out.push(b')');
    }
    out.push(b')');
}
