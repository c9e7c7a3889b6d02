//! The gRPC types and services that all roles share, generated from `proto/murder/v1`.
//!
//! Holds no behaviour beyond what makes the generated types safe to use: messages that
//! carry a password hash print without it, and a refusal travels as a [`Status`] whose
//! details are a [`v1::ErrorDetail`].

use std::fmt;

use prost::Message;
use tonic::{Code, Status};

/// Package `murder.v1`.
#[allow(missing_docs, reason = "documented in the .proto files")]
#[allow(clippy::all, clippy::pedantic, reason = "generated")]
pub mod v1 {
    tonic::include_proto!("murder.v1");
}

/// The encoded `FileDescriptorSet` of the package, for gRPC server reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

impl fmt::Debug for v1::Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account")
            .field("name", &self.name)
            .field("groups", &self.groups)
            .field("admin", &self.admin)
            .field("disabled", &self.disabled)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for v1::SetPasswordRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SetPasswordRequest")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl v1::ErrorKind {
    /// The gRPC code that stands for it.
    #[must_use]
    pub const fn code(self) -> Code {
        match self {
            Self::Unspecified => Code::Unknown,
            Self::AlreadyExists => Code::AlreadyExists,
            Self::NotFound => Code::NotFound,
            Self::PermissionDenied | Self::NotOwner => Code::PermissionDenied,
            Self::FailedPrecondition => Code::FailedPrecondition,
            Self::InvalidArgument => Code::InvalidArgument,
            Self::TooLarge => Code::ResourceExhausted,
            Self::Unavailable | Self::OtherMurder => Code::Unavailable,
        }
    }
}

impl v1::ErrorDetail {
    /// A refusal without a holder.
    #[must_use]
    pub fn new(kind: v1::ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind: kind.into(),
            message: message.into(),
            holder: None,
        }
    }

    /// The status that carries it.
    #[must_use]
    pub fn into_status(self) -> Status {
        let details = self.encode_to_vec();
        let code = self.kind().code();
        Status::with_details(code, self.message, details.into())
    }

    /// The detail that `status` carries, if it is one of ours.
    #[must_use]
    pub fn from_status(status: &Status) -> Option<Self> {
        let details = status.details();
        (!details.is_empty())
            .then(|| Self::decode(details).ok())
            .flatten()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_refusal_survives_the_status() {
        let mut detail = v1::ErrorDetail::new(v1::ErrorKind::AlreadyExists, "taken");
        detail.holder = Some(Box::new(v1::Mailbox {
            name: "board".into(),
            partition: "be2!default".into(),
            ..Default::default()
        }));
        let status = detail.clone().into_status();
        assert_eq!(status.code(), Code::AlreadyExists);
        assert_eq!(v1::ErrorDetail::from_status(&status).unwrap(), detail);
        assert_eq!(
            v1::ErrorDetail::from_status(&Status::not_found("none")),
            None
        );
    }

    #[test]
    fn hashes_are_not_printed() {
        let account = v1::Account {
            name: "bob".into(),
            password_hash: "$argon2id$secret".into(),
            ..Default::default()
        };
        assert!(!format!("{account:?}").contains("secret"));
        let operation = v1::DirectoryOperation {
            kind: Some(v1::directory_operation::Kind::SetPassword(
                v1::SetPasswordRequest {
                    name: "bob".into(),
                    password_hash: "$argon2id$secret".into(),
                },
            )),
        };
        assert!(!format!("{operation:?}").contains("secret"));
    }
}
