//! Commands that frontends say to backends.

use super::token::{Parsed, atom, expect, mailbox, refuse, sp};
use crate::command::Command;
use crate::node::{NodeCommand, NodeId};

/// ```abnf
/// next-id = "X-NEXTID" SP node-id
/// ```
pub(super) fn next_id(input: &[u8]) -> Parsed<'_, Command> {
    let (rest, id) = node_id(input)?;
    Ok((rest, Command::Node(NodeCommand::NextId(id))))
}

/// ```abnf
/// done    = "X-DONE" SP mailbox SP node-id
/// ```
pub(super) fn done(input: &[u8]) -> Parsed<'_, Command> {
    let (rest, mailbox) = mailbox(input)?;
    let (rest, ()) = sp(rest)?;
    let (rest, id) = node_id(rest)?;
    Ok((rest, Command::Node(NodeCommand::Done { mailbox, id })))
}

/// ```abnf
/// node-id = 32HEXDIG
/// ```
fn node_id(input: &[u8]) -> Parsed<'_, NodeId> {
    let (rest, text) = expect("an id", atom)(input)?;
    match u128::from_str_radix(text, 16) {
        Ok(id) if text.len() == 32 && !text.starts_with('+') => Ok((rest, id.to_be_bytes())),
        _ => refuse("an id of 32 hexadecimal digits"),
    }
}
