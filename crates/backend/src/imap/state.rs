//! Where a session stands (RFC 9051 section 3), with what it knows there.

use murder_session::{Login, Presence};

use crate::imap::account::Account;
use crate::imap::selected::Selected;

/// Where a session stands.
pub(crate) enum State {
    /// Nobody has logged in.
    NotAuthenticated(Login),
    /// Somebody has.
    Authenticated(Account),
    /// A mailbox is selected.
    Selected(Account, Box<Selected>),
    /// Nothing more is taken.
    Logout,
}

impl State {
    /// Who has logged in, and the mailbox that is selected.
    pub(crate) fn logged_in(&mut self) -> Option<(&mut Account, Option<&mut Selected>)> {
        match self {
            Self::Authenticated(account) => Some((account, None)),
            Self::Selected(account, selected) => Some((account, Some(selected))),
            Self::NotAuthenticated(_) | Self::Logout => None,
        }
    }

    /// Who has logged in.
    pub(crate) const fn account(&self) -> Option<&Account> {
        match self {
            Self::Authenticated(account) | Self::Selected(account, _) => Some(account),
            Self::NotAuthenticated(_) | Self::Logout => None,
        }
    }

    /// The session's place among those that are logged in.
    pub(crate) fn presence(&self) -> Option<&Presence> {
        self.account().map(|account| &account.presence)
    }

    /// Whether the client wants to be told what happens between its commands.
    pub(crate) fn notifies(&self) -> bool {
        self.account()
            .is_some_and(|account| account.notify.is_some())
    }

    /// Whether the selected mailbox was deleted, which ends the session.
    pub(crate) fn is_mailbox_gone(&self) -> bool {
        matches!(self, Self::Selected(_, selected) if selected.gone)
    }

    /// Leaves the selected mailbox, and takes another.
    pub(crate) fn select(&mut self, selected: Option<Box<Selected>>) {
        *self = match (std::mem::replace(self, Self::Logout), selected) {
            (Self::Authenticated(account) | Self::Selected(account, _), None) => {
                Self::Authenticated(account)
            }
            (Self::Authenticated(account) | Self::Selected(account, _), Some(selected)) => {
                Self::Selected(account, selected)
            }
            (before, _) => before,
        };
    }
}
