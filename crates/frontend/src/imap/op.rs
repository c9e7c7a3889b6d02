//! What the frontend does for each command; one file a command or family.

pub(crate) mod acl;
pub(crate) mod append;
pub(crate) mod capability;
pub(crate) mod close;
pub(crate) mod copy;
pub(crate) mod create;
pub(crate) mod delete;
pub(crate) mod enable;
pub(crate) mod id;
pub(crate) mod idle;
pub(crate) mod list;
pub(crate) mod login;
pub(crate) mod logout;
pub(crate) mod namespace;
pub(crate) mod rename;
mod revision;
pub(crate) mod select;
pub(crate) mod starttls;
pub(crate) mod status;
pub(crate) mod subscribe;

use bytes::Bytes;
use murder_imap::Command;

pub(crate) use revision::{is_gone, is_there, turns_out, wait_for_revision};

use crate::imap::arguments::Arguments;
use crate::imap::errors::{OpResult, Refusal, ok};

/// NOOP with nothing selected.
pub(crate) async fn noop(arguments: Arguments<'_>) -> OpResult {
    arguments.end()?;
    Ok(ok("NOOP completed"))
}

/// A whole command as a typed value.
fn parse(command: &Bytes) -> Result<Command, Refusal> {
    match murder_imap::parse_command(command) {
        Ok((_, command)) => Ok(command),
        Err(fault) => Err(Refusal::syntax(fault.to_string())),
    }
}
