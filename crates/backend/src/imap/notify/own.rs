//! What a command changes by itself, which its client need not be told (RFC 5465 section 5).

use murder_imap::{Command, MailboxArg};

use crate::imap::session::Session;

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
}

impl Own {
    /// What `command` is about to change.
    pub fn of(session: &Session, command: &Command) -> Option<Self> {
        let shown = |mailbox: &MailboxArg| {
            let name = session.mailbox_name(mailbox).ok()?;
            session.user().ok()?.namespace.render(&name)
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
            _ => return None,
        })
    }
}
