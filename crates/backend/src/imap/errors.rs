//! How commands end, and how errors become answers: the only place for that.

use std::borrow::Cow;
use std::{fmt, io};

use murder_auth::AuthError;
use murder_imap::mailbox::MailboxArgError;
use murder_imap::{Code, NodeCode, Status};
use murder_location::MupdateError;
use murder_mailbox::NameError;
use murder_session::{Goodbye, NotLoggedIn};
use murder_store::StoreError;

use crate::mailboxes::ChangeError;

/// The tagged answer to a command.
#[derive(Debug)]
pub(crate) struct Completion {
    /// OK, NO or BAD.
    pub status: Status,
    /// The response code.
    pub code: Option<Code>,
    /// For humans.
    pub text: Cow<'static, str>,
}

/// Why a command did not come to a [`Completion`] of OK.
#[derive(Debug)]
pub(crate) enum OpError {
    /// It is answered with this.
    Refused(Completion),
    /// The connection is gone; nothing can be answered.
    Gone(io::Error),
    /// The connection has to be closed with this BYE.
    Bye(Bye),
    /// The tagged line has gone out already.
    Answered,
}

/// The last word to a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bye {
    /// The response code.
    pub code: Option<Code>,
    /// For humans.
    pub text: Cow<'static, str>,
}

impl From<&'static str> for Bye {
    fn from(text: &'static str) -> Self {
        Self {
            code: None,
            text: text.into(),
        }
    }
}

impl From<String> for Bye {
    fn from(text: String) -> Self {
        Self {
            code: None,
            text: text.into(),
        }
    }
}

impl From<Goodbye> for OpError {
    fn from(goodbye: Goodbye) -> Self {
        Self::Bye(goodbye.last_word().into())
    }
}

impl From<NotLoggedIn> for OpError {
    fn from(why: NotLoggedIn) -> Self {
        match why {
            NotLoggedIn::NeedsTls => no(Code::PrivacyRequired, "Use TLS first"),
            NotLoggedIn::UnknownMechanism => no(Code::Cannot, "Mechanism is not supported"),
            NotLoggedIn::OnlyFrontends => no(
                Code::AuthorizationFailed,
                "Only the frontends of the murder may act for users",
            ),
            NotLoggedIn::NoUser => no(Code::AuthorizationFailed, "Name a user to act for"),
            NotLoggedIn::Malformed => bad("Malformed SASL response"),
            NotLoggedIn::Cancelled => bad("Authentication cancelled"),
            NotLoggedIn::Refused(AuthError::Failed) => {
                no(Code::AuthenticationFailed, "Authentication failed")
            }
            NotLoggedIn::Refused(AuthError::NotAuthorized) => no(
                Code::AuthorizationFailed,
                "Not authorized to act as that user",
            ),
            NotLoggedIn::Refused(AuthError::Busy) => {
                no(Code::Unavailable, "Too many logins, try again")
            }
            NotLoggedIn::Refused(AuthError::Guessing) => {
                no(Code::Unavailable, "Too many failed logins, try again later")
            }
            NotLoggedIn::UnknownUser => no(
                Code::AuthorizationFailed,
                "No such user, or the account is disabled",
            ),
            NotLoggedIn::NoAccounts => {
                no(Code::Unavailable, "No accounts are known yet, try again")
            }
            NotLoggedIn::Outdated => no(
                Code::Unavailable,
                "The accounts are out of date here, try again later",
            ),
            NotLoggedIn::TooManyConnections => no(Code::Limit, "Too many connections of this user"),
        }
    }
}

impl fmt::Display for Bye {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// To who would take NO for "not done".
fn in_doubt() -> OpError {
    OpError::Bye(Bye {
        code: Some(Code::Unavailable),
        text: "The change may have been made; look again".into(),
    })
}

/// How a command ends.
pub(crate) type OpResult = Result<Completion, OpError>;

/// `OK text`
pub(crate) fn ok(text: &'static str) -> Completion {
    Completion {
        status: Status::Ok,
        code: None,
        text: text.into(),
    }
}

/// `OK [code] text`
pub(crate) fn ok_code(code: Code, text: &'static str) -> Completion {
    Completion {
        code: Some(code),
        ..ok(text)
    }
}

/// `NO [code] text`
pub(crate) fn no(code: Code, text: impl Into<Cow<'static, str>>) -> OpError {
    OpError::Refused(Completion {
        status: Status::No,
        code: Some(code),
        text: text.into(),
    })
}

/// `BAD text`
pub(crate) fn bad(text: impl Into<Cow<'static, str>>) -> OpError {
    OpError::Refused(Completion {
        status: Status::Bad,
        code: None,
        text: text.into(),
    })
}

/// `BAD [code] text`
pub(crate) fn bad_code(code: Code, text: &'static str) -> OpError {
    OpError::Refused(Completion {
        status: Status::Bad,
        code: Some(code),
        text: text.into(),
    })
}

impl From<io::Error> for OpError {
    fn from(error: io::Error) -> Self {
        Self::Gone(error)
    }
}

impl From<MailboxArgError> for OpError {
    fn from(error: MailboxArgError) -> Self {
        let text = capitalised(&error.to_string());
        match error.is_syntax() {
            true => bad(text),
            false => no(Code::Cannot, text),
        }
    }
}

impl From<NameError> for OpError {
    fn from(error: NameError) -> Self {
        no(Code::Cannot, capitalised(&error.to_string()))
    }
}

impl From<StoreError> for OpError {
    fn from(error: StoreError) -> Self {
        let (code, text) = match &error {
            StoreError::NoSuchMailbox | StoreError::NoSuchHome => {
                (Code::NonExistent, "Mailbox does not exist".into())
            }
            StoreError::MailboxExists => (Code::AlreadyExists, "Mailbox exists already".into()),
            StoreError::CrossHome
            | StoreError::InboxRename
            | StoreError::RenameBelowItself
            | StoreError::Name(_) => (Code::Cannot, capitalised(&error.to_string())),
            StoreError::TooManyKeywords | StoreError::UidsExhausted => {
                (Code::Limit, capitalised(&error.to_string()))
            }
            // Nobody hears this: who has asked does not wait for the append any more.
            StoreError::Withdrawn => (Code::Unavailable, "Given up by the frontend".into()),
            StoreError::TooManyAnnotations => {
                (Code::MetadataTooMany, capitalised(&error.to_string()))
            }
            // How much others hold is not for everybody who may add to it.
            StoreError::OverQuota { resource, .. } => {
                (Code::OverQuota, format!("Over quota ({resource})"))
            }
            StoreError::TooLarge { .. } => (Code::TooBig, "Message is too big".into()),
            StoreError::NoSuchMessage | StoreError::BodyGone => {
                (Code::ExpungeIssued, "Message was expunged".into())
            }
            StoreError::Corrupt { .. } | StoreError::HomeDamaged { .. } => {
                tracing::error!(%error, "damaged");
                (Code::Corruption, "Mailbox is damaged".into())
            }
            StoreError::InDoubt { .. } => {
                tracing::warn!(%error, "not known whether a change was made");
                return in_doubt();
            }
            StoreError::ReadOnly { .. }
            | StoreError::DiskFull
            | StoreError::InUse(_)
            | StoreError::Missing(_)
            | StoreError::Damaged { .. }
            | StoreError::Newer { .. }
            | StoreError::Format { .. }
            | StoreError::Io { .. }
            | StoreError::Unreported
            // Its other end was restarted and has asked about it meanwhile.
            | StoreError::NoSuchTransfer
            | StoreError::Closed => {
                tracing::warn!(%error, "the store refuses");
                (Code::Unavailable, "Temporarily not possible".into())
            }
        };
        no(code, text)
    }
}

impl ChangeError {
    /// The answer; `canonical`: to a frontend, which is told when the mailbox is elsewhere.
    pub(crate) fn into_op(self, canonical: bool) -> OpError {
        match self {
            Self::NoSuchMailbox { hidden } => no_such_mailbox(canonical && !hidden),
            Self::AlreadyExists => no(Code::AlreadyExists, self.to_string()),
            Self::NotPermitted(text) => no(Code::NoPerm, text),
            Self::Cannot(text) => no(Code::Cannot, text),
            Self::Name(_) | Self::Acl(_) => no(Code::Cannot, capitalised(&self.to_string())),
            Self::NotOpen => not_open(),
            Self::Master(error) => refused_by_master(&error),
            Self::Unknown(error) => {
                tracing::warn!(%error, "not known whether a change was made");
                in_doubt()
            }
            Self::Store(error) => error.into(),
        }
    }
}

fn refused_by_master(error: &MupdateError) -> OpError {
    let (code, text) = match error {
        MupdateError::Unavailable(_) | MupdateError::NotSent(_) | MupdateError::OtherMurder(_) => (
            Code::Unavailable,
            "The mupdate master is not available, try again",
        ),
        MupdateError::TooLarge(_) => (Code::Limit, "Too many mailboxes for one change"),
        MupdateError::InvalidArgument(_) => (Code::Cannot, "The mupdate master refuses the name"),
        MupdateError::AlreadyExists { .. } => (Code::AlreadyExists, "Mailbox exists already"),
        MupdateError::PermissionDenied(_) | MupdateError::NotOwner(_) => (
            Code::ContactAdmin,
            "The mupdate master does not let this backend change the mailbox",
        ),
        // Its records differ from what is here, until they are reconciled.
        MupdateError::NotFound(_)
        | MupdateError::FailedPrecondition(_)
        | MupdateError::Batch(_)
        | MupdateError::Protocol(_) => (Code::Unavailable, "Temporarily not possible"),
    };
    tracing::warn!(%error, "the master did not make a change");
    no(code, text)
}

/// The answer while a partition is not open: what was asked for may be in it.
pub(crate) fn not_open() -> OpError {
    no(Code::Unavailable, NOT_OPEN)
}

const NOT_OPEN: &str = "A partition of this backend is not available, try again later";

impl Completion {
    /// What is said of a mailbox that is not found while a partition is not open: it may be there.
    /// Neither may a client forget it, nor a frontend look elsewhere, nor anybody make it anew.
    pub(crate) fn into_unavailable(self) -> Self {
        let unknown = matches!(
            &self.code,
            Some(Code::NonExistent | Code::TryCreate | Code::Node(NodeCode::NotHere))
        );
        if self.status != Status::No || !unknown {
            return self;
        }
        Self {
            status: Status::No,
            code: Some(Code::Unavailable),
            text: NOT_OPEN.into(),
        }
    }
}

/// The answer for a mailbox that is not there; `not_here`: a frontend is told to look elsewhere.
pub(crate) fn no_such_mailbox(not_here: bool) -> OpError {
    match not_here {
        true => no(NodeCode::NotHere.into(), "Mailbox is not on this backend"),
        false => no(Code::NonExistent, "Mailbox does not exist"),
    }
}

pub(super) fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_uppercase().chain(chars).collect(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(error: OpError) -> String {
        match error {
            OpError::Refused(Completion { status, code, text }) => match code {
                Some(code) => format!("{} [{code}] {text}", status.as_str()),
                None => format!("{} {text}", status.as_str()),
            },
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn answers_have_their_codes() {
        let full = StoreError::DiskFull;
        assert_eq!(
            shown(full.into()),
            "NO [UNAVAILABLE] Temporarily not possible"
        );
        let damaged = StoreError::HomeDamaged {
            home: 7,
            why: "secret detail".into(),
        };
        assert_eq!(shown(damaged.into()), "NO [CORRUPTION] Mailbox is damaged");
        assert_eq!(
            shown(NameError::TooDeep.into()),
            "NO [CANNOT] Mailbox name has too many levels"
        );
        assert_eq!(shown(bad("no")), "BAD no");
    }

    #[test]
    fn only_frontends_are_told_to_look_elsewhere() {
        for (hidden, canonical, code) in [
            (false, true, "X-NOT-HERE"),
            (true, true, "NONEXISTENT"),
            (false, false, "NONEXISTENT"),
            (true, false, "NONEXISTENT"),
        ] {
            let answer = shown(ChangeError::NoSuchMailbox { hidden }.into_op(canonical));
            assert!(answer.starts_with(&format!("NO [{code}] ")), "{answer}");
        }
    }
}
