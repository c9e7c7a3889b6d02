//! Why a recipient does not get a message, and which errors of the store that is.

use murder_store::StoreError;

use crate::mailboxes::ChangeError;

/// Why a recipient does not get a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DeliveryError {
    /// There is no such user.
    #[error("no such user")]
    UnknownUser,
    /// The mailbox is not here, or not here any more. The sender comes again.
    #[error("the mailbox is not here")]
    NotHere,
    /// The message has a NUL in it, which no client could be sent (RFC 9051 section 9).
    #[error("the message holds NULs")]
    Nul,
    /// The message is larger than messages may be.
    #[error("the message is too big")]
    TooLarge,
    /// The mailbox takes no more.
    #[error("the mailbox is full")]
    MailboxFull,
    /// The disk is full.
    #[error("no room left")]
    DiskFull,
    /// Anything else, which is logged. The sender comes again.
    #[error("temporarily not possible")]
    Failed,
}

impl From<&StoreError> for DeliveryError {
    fn from(error: &StoreError) -> Self {
        match error {
            // It was there when the recipient was resolved; the next attempt finds out what has
            // become of it.
            StoreError::NoSuchMailbox | StoreError::NoSuchHome => Self::NotHere,
            StoreError::DiskFull => {
                tracing::warn!("no room for a message");
                Self::DiskFull
            }
            StoreError::TooLarge { .. } => Self::TooLarge,
            StoreError::OverQuota { .. } | StoreError::UidsExhausted => Self::MailboxFull,
            StoreError::Corrupt { .. } | StoreError::HomeDamaged { .. } => {
                tracing::error!(%error, "damaged, not delivered");
                Self::Failed
            }
            _ => {
                tracing::warn!(%error, "the store refuses a message");
                Self::Failed
            }
        }
    }
}

impl From<&ChangeError> for DeliveryError {
    /// Of an INBOX that could not be made.
    fn from(error: &ChangeError) -> Self {
        match error {
            ChangeError::NotOpen => Self::NotHere,
            ChangeError::Store(error) => error.into(),
            _ => {
                tracing::warn!(%error, "no INBOX could be made");
                Self::Failed
            }
        }
    }
}
