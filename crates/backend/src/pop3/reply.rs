//! Single-line replies with their response codes (RFC 2449 section 8, RFC 3206), and how errors
//! become them: the only place for that.

use std::borrow::Cow;

use murder_auth::AuthError;
use murder_pop3::CommandError;
use murder_session::{End, Goodbye, NotLoggedIn};
use murder_store::StoreError;

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reply {
    /// `+OK`, and not `-ERR`.
    pub ok: bool,
    /// What stands in brackets.
    pub code: Option<&'static str>,
    /// For humans; or, after `+OK`, what the command asks for.
    pub text: Cow<'static, str>,
}

/// The user's credentials are wrong (RFC 3206 section 5).
const AUTH: Option<&str> = Some("AUTH");
/// Something of the server's that passes (RFC 3206 section 4).
const TEMPORARY: Option<&str> = Some("SYS/TEMP");
/// Something of the server's that an administrator has to see to (RFC 3206 section 4).
const PERMANENT: Option<&str> = Some("SYS/PERM");
/// To a frontend, of a mailbox that it should look for elsewhere. To anybody else it would be
/// [`TEMPORARY`], as levels that are not known are to be ignored.
const NOT_HERE: Option<&str> = Some("SYS/TEMP/NOT-HERE");
/// The maildrop is in use (RFC 2449 section 8.1.2): here, by too many.
const IN_USE: Option<&str> = Some("IN-USE");

const fn err(code: Option<&'static str>, text: &'static str) -> Reply {
    Reply {
        ok: false,
        code,
        text: Cow::Borrowed(text),
    }
}

/// `+OK text`
pub(super) fn ok(text: impl Into<Cow<'static, str>>) -> Reply {
    Reply {
        ok: true,
        code: None,
        text: text.into(),
    }
}

/// `-ERR text`
pub(super) fn refused(text: impl Into<Cow<'static, str>>) -> Reply {
    Reply {
        ok: false,
        code: None,
        text: text.into(),
    }
}

/// `2 messages`
pub(super) fn messages(count: u64) -> String {
    match count {
        1 => "1 message".to_owned(),
        count => format!("{count} messages"),
    }
}

pub(super) const LINE_TOO_LONG: Reply = err(None, "Line too long");
pub(super) const LOG_IN_FIRST: Reply = err(None, "Log in first");
pub(super) const LOGGED_IN_ALREADY: Reply = err(None, "Logged in already");
pub(super) const NO_TLS: Reply = err(None, "TLS is not available");
pub(super) const TLS_ALREADY: Reply = err(None, "Command not permitted when TLS active");
pub(super) const DATA_BEHIND_STLS: Reply = err(None, "Data behind STLS");
pub(super) const SAY_USER: Reply = err(None, "Say USER first");
pub(super) const INBOX_NOT_HERE: Reply = err(NOT_HERE, "INBOX is not on this backend");
pub(super) const NOT_OPEN: Reply = err(
    TEMPORARY,
    "A partition of this backend is not available, try again later",
);
pub(super) const NO_INBOX: Reply = err(PERMANENT, "There is no INBOX of yours on this server");
pub(super) const MAY_NOT_READ: Reply = err(PERMANENT, "You may not read your INBOX");
pub(super) const MAY_NOT_DELETE: Reply = err(None, "You may not delete messages");
pub(super) const NOT_REMOVED: Reply = err(None, "Deleted messages were not removed");

impl Reply {
    /// Its line.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(match self.ok {
            true => b"+OK",
            false => b"-ERR",
        });
        if let Some(code) = self.code {
            out.extend_from_slice(b" [");
            out.extend_from_slice(code.as_bytes());
            out.push(b']');
        }
        if !self.text.is_empty() {
            out.push(b' ');
            out.extend_from_slice(self.text.as_bytes());
        }
        out.extend_from_slice(b"\r\n");
    }
}

impl From<CommandError> for Reply {
    fn from(error: CommandError) -> Self {
        refused(error.to_string())
    }
}

impl From<Goodbye> for Reply {
    fn from(goodbye: Goodbye) -> Self {
        match goodbye {
            Goodbye::Draining => err(TEMPORARY, "Shutting down"),
            Goodbye::Silent | Goodbye::BadCommands | Goodbye::FailedLogins => {
                err(None, goodbye.last_word())
            }
            Goodbye::Ended(End::Kicked) => err(TEMPORARY, goodbye.last_word()),
            Goodbye::Ended(End::Disabled | End::Deleted | End::Password | End::Rights) => {
                err(AUTH, goodbye.last_word())
            }
        }
    }
}

impl From<NotLoggedIn> for Reply {
    fn from(why: NotLoggedIn) -> Self {
        match why {
            NotLoggedIn::NeedsTls => err(None, "Use TLS first"),
            NotLoggedIn::UnknownMechanism => err(None, "Mechanism is not supported"),
            NotLoggedIn::OnlyFrontends => {
                err(AUTH, "Only the frontends of the murder may act for users")
            }
            NotLoggedIn::NoUser => err(AUTH, "Name a user to act for"),
            NotLoggedIn::Malformed => err(None, "Malformed SASL response"),
            NotLoggedIn::Cancelled => err(None, "Authentication cancelled"),
            NotLoggedIn::Refused(AuthError::Failed) => err(AUTH, "Authentication failed"),
            NotLoggedIn::Refused(AuthError::NotAuthorized) => {
                err(AUTH, "Not authorized to act as that user")
            }
            NotLoggedIn::Refused(AuthError::Busy) => err(TEMPORARY, "Too many logins, try again"),
            NotLoggedIn::Refused(AuthError::Guessing) => {
                err(TEMPORARY, "Too many failed logins, try again later")
            }
            NotLoggedIn::UnknownUser => err(AUTH, "No such user, or the account is disabled"),
            NotLoggedIn::NoAccounts => err(TEMPORARY, "No accounts are known yet, try again"),
            NotLoggedIn::Outdated => err(
                TEMPORARY,
                "The accounts are out of date here, try again later",
            ),
            NotLoggedIn::TooManyConnections => err(IN_USE, "Too many connections of yours"),
        }
    }
}

impl From<StoreError> for Reply {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::BodyGone => refused("Message was expunged"),
            StoreError::NoSuchMailbox | StoreError::NoSuchHome => {
                err(TEMPORARY, "INBOX is not here any more")
            }
            StoreError::Corrupt { .. } | StoreError::HomeDamaged { .. } => {
                tracing::error!(%error, "damaged");
                err(PERMANENT, "Message or mailbox is damaged")
            }
            error => {
                tracing::warn!(%error, "the store refuses");
                err(TEMPORARY, "Temporarily not possible")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        for (reply, line) in [
            (ok(""), "+OK\r\n"),
            (ok("2 320"), "+OK 2 320\r\n"),
            (refused("No such message"), "-ERR No such message\r\n"),
            (
                NotLoggedIn::Refused(AuthError::Failed).into(),
                "-ERR [AUTH] Authentication failed\r\n",
            ),
            (
                NotLoggedIn::TooManyConnections.into(),
                "-ERR [IN-USE] Too many connections of yours\r\n",
            ),
            (
                StoreError::DiskFull.into(),
                "-ERR [SYS/TEMP] Temporarily not possible\r\n",
            ),
            (CommandError::Unknown.into(), "-ERR Unknown command\r\n"),
        ] {
            let mut out = Vec::new();
            reply.write(&mut out);
            assert_eq!(String::from_utf8_lossy(&out), line);
        }
    }
}
