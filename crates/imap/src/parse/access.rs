//! SETACL, DELETEACL, LISTRIGHTS (RFC 4314).

use super::token::{Parsed, expect, mailbox, refuse, sp, text};
use crate::command::{AclMode, Command};
use crate::mailbox::MailboxArg;

/// ```abnf
/// identifier      = astring
/// ```
fn mailbox_and_identifier(input: &[u8]) -> Parsed<'_, (MailboxArg, String)> {
    let (rest, mailbox) = mailbox(input)?;
    let (rest, ()) = sp(rest)?;
    let (rest, identifier) = expect("an identifier", text)(rest)?;
    Ok((rest, (mailbox, identifier)))
}

/// ```abnf
/// setacl          = "SETACL" SP mailbox SP identifier
///                     SP mod-rights
/// mod-rights      = astring
///                     ;; +rights to add, -rights to remove
///                     ;; rights to replace
/// ```
pub(super) fn set_acl(input: &[u8]) -> Parsed<'_, Command> {
    let (rest, (mailbox, identifier)) = mailbox_and_identifier(input)?;
    let (rest, ()) = sp(rest)?;
    let (rest, mod_rights) = expect("rights", text)(rest)?;
    let (mode, rights) = match mod_rights.split_at_checked(1) {
        Some(("+", rights)) => (AclMode::Add, rights),
        Some(("-", rights)) => (AclMode::Remove, rights),
        _ => (AclMode::Replace, mod_rights.as_str()),
    };
    // RFC 4314 section 3.1: "an unrecognized right MUST cause the command to return BAD".
    let Ok(rights) = rights.parse() else {
        return refuse("rights of RFC 4314");
    };
    Ok((
        rest,
        Command::SetAcl {
            mailbox,
            identifier,
            mode,
            rights,
        },
    ))
}

/// ```abnf
/// deleteacl       = "DELETEACL" SP mailbox SP identifier
/// ```
pub(super) fn del_acl(input: &[u8]) -> Parsed<'_, Command> {
    let (rest, (mailbox, identifier)) = mailbox_and_identifier(input)?;
    Ok((
        rest,
        Command::DeleteAcl {
            mailbox,
            identifier,
        },
    ))
}

/// ```abnf
/// listrights      = "LISTRIGHTS" SP mailbox SP identifier
/// ```
pub(super) fn list_rights(input: &[u8]) -> Parsed<'_, Command> {
    let (rest, (mailbox, identifier)) = mailbox_and_identifier(input)?;
    Ok((
        rest,
        Command::ListRights {
            mailbox,
            identifier,
        },
    ))
}
