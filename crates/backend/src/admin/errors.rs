//! How errors become an operator's answers: the only place for that. Operators are told the
//! whole truth.

use murder_location::MupdateError;
use murder_proto::v1::{ErrorDetail, ErrorKind};
use murder_store::StoreError;
use tonic::Status;

use crate::mailboxes::ChangeError;

fn status(kind: ErrorKind, message: impl Into<String>) -> Status {
    ErrorDetail::new(kind, message).into_status()
}

pub(super) fn invalid(message: impl Into<String>) -> Status {
    status(ErrorKind::InvalidArgument, message)
}

pub(super) fn not_found(message: impl Into<String>) -> Status {
    status(ErrorKind::NotFound, message)
}

pub(super) fn not_possible(message: impl Into<String>) -> Status {
    status(ErrorKind::FailedPrecondition, message)
}

pub(super) fn unavailable(message: impl Into<String>) -> Status {
    status(ErrorKind::Unavailable, message)
}

/// What the store refuses.
pub(super) fn refused(error: StoreError) -> Status {
    let kind = match error {
        StoreError::NoSuchMailbox | StoreError::NoSuchHome | StoreError::NoSuchMessage => {
            ErrorKind::NotFound
        }
        StoreError::MailboxExists => ErrorKind::AlreadyExists,
        StoreError::CrossHome
        | StoreError::InboxRename
        | StoreError::RenameBelowItself
        | StoreError::Name(_) => ErrorKind::InvalidArgument,
        StoreError::TooLarge { .. } => ErrorKind::TooLarge,
        StoreError::OverQuota { .. }
        | StoreError::TooManyKeywords
        | StoreError::TooManyAnnotations
        | StoreError::NoSuchTransfer
        | StoreError::UidsExhausted
        | StoreError::BodyGone
        | StoreError::Corrupt { .. }
        | StoreError::HomeDamaged { .. }
        | StoreError::Damaged { .. } => ErrorKind::FailedPrecondition,
        StoreError::ReadOnly { .. }
        | StoreError::Withdrawn
        | StoreError::InDoubt { .. }
        | StoreError::DiskFull
        | StoreError::InUse(_)
        | StoreError::Format { .. }
        | StoreError::Missing(_)
        | StoreError::Newer { .. }
        | StoreError::Io { .. }
        | StoreError::Unreported
        | StoreError::Closed => ErrorKind::Unavailable,
    };
    status(kind, error.to_string())
}

/// Why a mailbox was not changed.
pub(super) fn not_changed(error: ChangeError) -> Status {
    let text = error.to_string();
    match error {
        ChangeError::Store(error) => refused(error),
        ChangeError::Unknown(_) => unavailable(text),
        ChangeError::NoSuchMailbox { .. } => not_found(text),
        ChangeError::NotOpen => unavailable(text),
        ChangeError::AlreadyExists => status(ErrorKind::AlreadyExists, text),
        ChangeError::NotPermitted(_) => status(ErrorKind::PermissionDenied, text),
        ChangeError::Cannot(_) | ChangeError::Name(_) | ChangeError::Acl(_) => invalid(text),
        ChangeError::Master(error) => match error {
            MupdateError::Unavailable(_)
            | MupdateError::NotSent(_)
            | MupdateError::OtherMurder(_) => unavailable(text),
            MupdateError::TooLarge(_) => status(ErrorKind::TooLarge, text),
            MupdateError::AlreadyExists { .. } => status(ErrorKind::AlreadyExists, text),
            MupdateError::InvalidArgument(_) => invalid(text),
            MupdateError::PermissionDenied(_)
            | MupdateError::NotOwner(_)
            | MupdateError::NotFound(_)
            | MupdateError::FailedPrecondition(_)
            | MupdateError::Batch(_)
            | MupdateError::Protocol(_) => not_possible(format!(
                "the mupdate master does not make the change: {text}"
            )),
        },
    }
}
