//! What a command changes by itself, which its client need not be told (RFC 5465 section 5).

use std::collections::HashSet;

use murder_imap::{Command, MailboxArg};

use crate::imap::account::Account;
use crate::imap::client::Client;

/// A change that the command under way makes, with names as the client sees them.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Own {
    /// The mailbox is there.
    Created(String),
    /// It is not there any more.
    Deleted(String),
    /// It has another name.
    Renamed { from: String, to: String },
    /// It is subscribed, or not.
    Subscribed(String, bool),
    /// The user's rights are others.
    Rights(String),
    /// These annotations have other values; the empty name is the server's.
    Annotated(String, HashSet<String>),
}

impl Own {
    /// What `command` is about to change.
    pub fn of(client: &Client, account: &Account, command: &Command) -> Option<Self> {
        let shown = |mailbox: &MailboxArg| {
            let name = client.mailbox_name(account, mailbox).ok()?;
            account.user().namespace.render(&name)
        };
        Some(match command {
            Command::Create { mailbox, .. } => Self::Created(shown(mailbox)?),
            Command::Delete { mailbox } => Self::Deleted(shown(mailbox)?),
            Command::Rename { from, to, .. } => Self::Renamed {
                from: shown(from)?,
                to: shown(to)?,
            },
            Command::Subscribe { mailbox } => Self::Subscribed(shown(mailbox)?, true),
            Command::Unsubscribe { mailbox } => Self::Subscribed(shown(mailbox)?, false),
            Command::SetAcl { mailbox, .. } | Command::DeleteAcl { mailbox, .. } => {
                Self::Rights(shown(mailbox)?)
            }
            Command::SetMetadata { mailbox, entries } => {
                let shown = match mailbox.as_bytes().is_empty() {
                    true => String::new(),
                    false => shown(mailbox)?,
                };
                let names = entries.iter().map(|(name, _)| name.to_ascii_lowercase());
                Self::Annotated(shown, names.collect())
            }
            _ => return None,
        })
    }
}
