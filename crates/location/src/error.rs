//! What the master's refusals are to a caller.

use murder_proto::v1;
use tonic::{Code, Status};

use crate::record::Mailbox;

/// Why a call to the master failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MupdateError {
    /// The name exists; for a mailbox, with who holds it.
    #[error("{message}")]
    AlreadyExists {
        /// What the master said.
        message: String,
        /// The mailbox that holds the name.
        holder: Option<Box<Mailbox>>,
    },
    /// There is no such mailbox or account.
    #[error("{0}")]
    NotFound(String),
    /// The node's certificate does not allow it.
    #[error("{0}")]
    PermissionDenied(String),
    /// The node does not own the partition at the epoch that it names: another node does, or it does
    /// itself by a later change.
    #[error("{0}")]
    NotOwner(String),
    /// The record's state or id is not what the operation needs.
    #[error("{0}")]
    FailedPrecondition(String),
    /// A name, ACL, partition or hash that makes no sense.
    #[error("{0}")]
    InvalidArgument(String),
    /// More than one call may change or send.
    #[error("{0}")]
    TooLarge(String),
    /// No master answered in time. A change may or may not have been made.
    #[error("mupdate master unavailable: {0}")]
    Unavailable(String),
    /// The master is of another murder than this node's, or has an older log than this node has
    /// seen: nothing is asked of it, and nothing of it is taken.
    #[error("{0}")]
    OtherMurder(String),
    /// No master could be reached, so that nothing was sent to one.
    #[error("mupdate master cannot be reached: {0}")]
    NotSent(String),
    /// A batch was refused whole; each operation's error, in order.
    #[error("batch refused: {}", first(.0))]
    Batch(Vec<Option<MupdateError>>),
    /// The master's answer makes no sense.
    #[error("unexpected answer of the mupdate master: {0}")]
    Protocol(String),
}

fn first(errors: &[Option<MupdateError>]) -> String {
    errors
        .iter()
        .enumerate()
        .find_map(|(at, error)| error.as_ref().map(|e| format!("operation {at}: {e}")))
        .unwrap_or_default()
}

impl MupdateError {
    /// Whether the same call may succeed later without anything being changed here.
    #[must_use]
    pub const fn is_unavailable(&self) -> bool {
        matches!(
            self,
            Self::Unavailable(_) | Self::NotSent(_) | Self::OtherMurder(_)
        )
    }

    /// Whether a change may have been made although this is the answer.
    #[must_use]
    pub const fn may_be_done(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Protocol(_))
    }

    pub(crate) fn from_detail(detail: v1::ErrorDetail) -> Self {
        let kind = detail.kind();
        let message = detail.message;
        match kind {
            v1::ErrorKind::AlreadyExists => Self::AlreadyExists {
                message,
                holder: detail
                    .holder
                    .and_then(|holder| Mailbox::from_proto(*holder).ok())
                    .map(Box::new),
            },
            v1::ErrorKind::NotFound => Self::NotFound(message),
            v1::ErrorKind::PermissionDenied => Self::PermissionDenied(message),
            v1::ErrorKind::FailedPrecondition => Self::FailedPrecondition(message),
            v1::ErrorKind::InvalidArgument => Self::InvalidArgument(message),
            v1::ErrorKind::TooLarge => Self::TooLarge(message),
            v1::ErrorKind::Unavailable => Self::Unavailable(message),
            v1::ErrorKind::NotOwner => Self::NotOwner(message),
            v1::ErrorKind::OtherMurder => Self::OtherMurder(message),
            v1::ErrorKind::Unspecified => Self::Protocol(message),
        }
    }
}

impl From<Status> for MupdateError {
    fn from(status: Status) -> Self {
        if let Some(detail) = v1::ErrorDetail::from_status(&status) {
            return Self::from_detail(detail);
        }
        let message = status.message().to_owned();
        if NotReached::is_cause_of(&status) {
            return Self::NotSent(message);
        }
        if let Some(alert) = refused_certificate(&status) {
            return Self::NotSent(format!(
                "it does not believe this node's certificate: {alert}"
            ));
        }
        match status.code() {
            Code::AlreadyExists => Self::AlreadyExists {
                message,
                holder: None,
            },
            Code::NotFound => Self::NotFound(message),
            Code::PermissionDenied | Code::Unauthenticated => Self::PermissionDenied(message),
            Code::FailedPrecondition => Self::FailedPrecondition(message),
            Code::InvalidArgument => Self::InvalidArgument(message),
            Code::ResourceExhausted | Code::OutOfRange => Self::TooLarge(message),
            Code::Unimplemented | Code::DataLoss => Self::Protocol(message),
            // Transport failures show as any of the others.
            _ => Self::Unavailable(message),
        }
    }
}

/// What a failed attempt to connect to the masters is marked with, so that it can be told from a
/// connection that was lost: tonic's status says the same of both.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct NotReached(pub std::io::Error);

impl NotReached {
    fn is_cause_of(status: &Status) -> bool {
        causes(status).any(|error| error.is::<Self>())
    }
}

/// The master's TLS alert, when it did not take the node's certificate: before it read anything.
fn refused_certificate(status: &Status) -> Option<&'static str> {
    // HTTP/2 keeps only the text of what ended the connection.
    let alert = causes(status).find_map(|error| {
        let text = error.to_string();
        text.strip_prefix("received fatal alert: ")
            .map(str::to_owned)
    })?;
    let of_certificates = [
        "BadCertificate",
        "CertificateRevoked",
        "CertificateExpired",
        "CertificateUnknown",
        "UnknownCA",
    ];
    of_certificates.into_iter().find(|known| *known == alert)
}

/// What a status comes from, the nearest first.
fn causes(status: &Status) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
    let first = std::error::Error::source(status);
    std::iter::successors(first, |error| {
        // An I/O error hides the one that it was made of.
        let inner = error.downcast_ref().and_then(std::io::Error::get_ref);
        match inner {
            Some(inner) => Some(inner as &(dyn std::error::Error + 'static)),
            None => error.source(),
        }
    })
}
