//! The one place where what went wrong becomes an answer (RFC 5530 codes).

use std::borrow::Cow;

use murder_auth::AuthError;
use murder_mailbox::{NameError, RenameError};
use murder_session::NotLoggedIn;

use crate::backend::{BackendError, Completion, Status};
use crate::imap::arguments::Syntax;
use crate::route::RouteError;

/// Why a command ends with NO or BAD.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// BAD.
    Syntax(Cow<'static, str>),
    /// The mailbox name cannot be.
    Name(NameError),
    /// The mailbox is not where the command could reach it.
    Route(RouteError),
    /// The mailbox to put messages into does not exist.
    TryCreate,
    /// The backend cannot be used.
    Backend(BackendError),
    /// The backend has answered.
    Answered(Completion),
    /// The user may not do it.
    NotPermitted(&'static str),
    /// It cannot be done, and trying again does not help.
    Cannot(Cow<'static, str>),
    /// The name is taken.
    AlreadyExists,
    /// There is something to wait for.
    Unavailable(Cow<'static, str>),
    /// A bound was hit.
    Limit(&'static str),
    /// The message is over the bound that APPENDLIMIT tells.
    TooBig,
    /// The message has no octets (RFC 9051 section 6.3.12 leaves it to the server).
    NoMessage,
    /// Login failed.
    NotLoggedIn(NotLoggedIn),
    /// The connection of the selected mailbox's backend has been lost.
    SelectedLost,
}

impl Refusal {
    /// BAD with a reason.
    pub(crate) fn syntax(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::Syntax(reason.into())
    }

    /// What the client is told.
    pub(crate) fn completion(&self) -> Completion {
        let no = |code: Option<&str>, text: &str| Completion {
            status: Status::No,
            code: code.map(str::to_owned),
            text: text.to_owned(),
        };
        match self {
            Self::Syntax(reason) => Completion {
                status: Status::Bad,
                code: None,
                text: reason.to_string(),
            },
            Self::Name(error) => no(Some("CANNOT"), &capitalised(&error.to_string())),
            Self::Route(error @ RouteError::NotFound) => {
                no(Some("NONEXISTENT"), &error.to_string())
            }
            Self::Route(error) => no(Some("UNAVAILABLE"), &error.to_string()),
            Self::TryCreate => no(Some("TRYCREATE"), "Mailbox does not exist"),
            // Which node it is is nothing that a client can act on.
            Self::Backend(BackendError::Refused { .. }) => {
                no(Some("UNAVAILABLE"), "The backend does not accept the user")
            }
            Self::Backend(_) => no(
                Some("UNAVAILABLE"),
                "The backend of the mailbox is not available, try again later",
            ),
            Self::Answered(completion) => completion.clone(),
            Self::NotPermitted(text) => no(Some("NOPERM"), text),
            Self::Cannot(text) => no(Some("CANNOT"), text),
            Self::AlreadyExists => no(Some("ALREADYEXISTS"), "Mailbox exists already"),
            Self::Unavailable(text) => no(Some("UNAVAILABLE"), text),
            Self::Limit(text) => no(Some("LIMIT"), text),
            Self::TooBig => no(Some("TOOBIG"), "Message is too big"),
            Self::NoMessage => no(None, "There is no message"),
            Self::NotLoggedIn(why) => not_logged_in(*why),
            Self::SelectedLost => no(
                Some("UNAVAILABLE"),
                "The backend of the selected mailbox has gone; select again",
            ),
        }
    }
}

fn not_logged_in(why: NotLoggedIn) -> Completion {
    let (code, text) = match why {
        NotLoggedIn::Malformed => return Refusal::syntax("Malformed SASL response").completion(),
        NotLoggedIn::Cancelled => return Refusal::syntax("Authentication cancelled").completion(),
        NotLoggedIn::NeedsTls => ("PRIVACYREQUIRED", "Use STARTTLS first"),
        // Backends alone have frontends as clients.
        NotLoggedIn::UnknownMechanism
        | NotLoggedIn::OnlyFrontends
        | NotLoggedIn::NoUser
        | NotLoggedIn::UnknownUser => ("CANNOT", "Mechanism is not supported"),
        NotLoggedIn::Refused(AuthError::Failed) => {
            ("AUTHENTICATIONFAILED", "Authentication failed")
        }
        NotLoggedIn::Refused(AuthError::NotAuthorized) => {
            ("AUTHORIZATIONFAILED", "Not authorized to act as that user")
        }
        NotLoggedIn::Refused(AuthError::Busy) => ("UNAVAILABLE", "Too many logins, try again"),
        NotLoggedIn::Refused(AuthError::Guessing) => {
            ("UNAVAILABLE", "Too many failed logins, try again later")
        }
        NotLoggedIn::NoAccounts => ("UNAVAILABLE", "Not ready yet, try again"),
        NotLoggedIn::Outdated => (
            "UNAVAILABLE",
            "The accounts are out of date, try again later",
        ),
        NotLoggedIn::TooManyConnections => ("LIMIT", "Too many connections of this user"),
    };
    Completion {
        status: Status::No,
        code: Some(code.to_owned()),
        text: text.to_owned(),
    }
}

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_uppercase().chain(chars).collect(),
        None => String::new(),
    }
}

impl From<Syntax> for Refusal {
    fn from(error: Syntax) -> Self {
        Self::Syntax(capitalised(&error.to_string()).into())
    }
}

impl From<RenameError> for Refusal {
    fn from(error: RenameError) -> Self {
        match error {
            RenameError::AdministratorsOnly => Self::NotPermitted(error.text()),
            _ => Self::Cannot(error.text().into()),
        }
    }
}

impl From<NameError> for Refusal {
    fn from(error: NameError) -> Self {
        Self::Name(error)
    }
}

impl From<RouteError> for Refusal {
    fn from(error: RouteError) -> Self {
        Self::Route(error)
    }
}

impl From<BackendError> for Refusal {
    fn from(error: BackendError) -> Self {
        Self::Backend(error)
    }
}

/// How a command handler ends when it does not end well.
#[derive(Debug)]
pub(crate) enum OpError {
    /// The client is told.
    Refused(Refusal),
    /// There is no client any more to be told anything.
    ClientGone(std::io::Error),
    /// The tagged line has gone out already.
    AlreadyAnswered,
    /// What became of the command cannot be told: the connection is closed with this BYE.
    Bye(&'static str),
}

impl<E: Into<Refusal>> From<E> for OpError {
    fn from(error: E) -> Self {
        Self::Refused(error.into())
    }
}

impl OpError {
    /// The client's side of the connection failed.
    pub(crate) fn gone(error: std::io::Error) -> Self {
        Self::ClientGone(error)
    }
}

/// What a command handler returns: how the tagged line goes on.
pub(crate) type OpResult = Result<Completion, OpError>;

/// A plain `OK text`.
pub(crate) fn ok(text: &str) -> Completion {
    Completion {
        status: Status::Ok,
        code: None,
        text: text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_have_their_codes() {
        for (refusal, answer) in [
            (
                Refusal::Route(RouteError::NotFound),
                "NO [NONEXISTENT] Mailbox does not exist",
            ),
            (Refusal::from(Syntax), "BAD Syntax error in arguments"),
            (
                Refusal::Name(NameError::TooDeep),
                "NO [CANNOT] Mailbox name has too many levels",
            ),
            (
                Refusal::Route(RouteError::Deleting),
                "NO [UNAVAILABLE] Mailbox is being deleted, try again",
            ),
        ] {
            assert_eq!(refusal.completion().to_string(), answer);
        }
        let down = Refusal::Backend(BackendError::Unreachable {
            node: "be1".into(),
            reason: "secret detail".into(),
        });
        let answer = down.completion().to_string();
        assert!(answer.starts_with("NO [UNAVAILABLE] "), "{answer}");
        assert!(!answer.contains("be1") && !answer.contains("secret"));
    }
}
