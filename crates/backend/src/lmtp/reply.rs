//! Replies with their enhanced status codes (RFC 3463), and how errors become them: the only
//! place for that.

use std::fmt;

use murder_lmtp::CommandError;
use murder_session::Goodbye;

use crate::delivery::DeliveryError;

/// One line of a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reply {
    /// The three digits.
    pub code: u16,
    /// The enhanced status code; none in what RFC 2034 section 4 leaves without.
    pub enhanced: &'static str,
    /// For humans.
    pub text: &'static str,
}

const fn reply(code: u16, enhanced: &'static str, text: &'static str) -> Reply {
    Reply {
        code,
        enhanced,
        text,
    }
}

pub(super) const OK: Reply = reply(250, "2.0.0", "Ok");
pub(super) const SENDER_OK: Reply = reply(250, "2.1.0", "Ok");
pub(super) const RECIPIENT_OK: Reply = reply(250, "2.1.5", "Ok");
pub(super) const DELIVERED: Reply = reply(250, "2.1.5", "Delivered");
pub(super) const CANNOT_VERIFY: Reply = reply(252, "2.5.2", "Send mail and see");
pub(super) const BYE: Reply = reply(221, "2.0.0", "Bye");
pub(super) const START_TLS: Reply = reply(220, "2.0.0", "Ready to start TLS");
pub(super) const GO_AHEAD: Reply = reply(354, "", "End data with <CRLF>.<CRLF>");

pub(super) const ENDLESS: Reply = reply(421, "4.3.4", "The message does not end");
pub(super) const TOO_MANY_RECIPIENTS: Reply = reply(452, "4.5.3", "Too many recipients");
pub(super) const LINE_TOO_LONG: Reply = reply(500, "5.5.6", "Line too long");
pub(super) const SAY_LHLO: Reply = reply(503, "5.5.1", "Say LHLO first");
pub(super) const NESTED_MAIL: Reply = reply(503, "5.5.1", "A transaction has begun already");
pub(super) const NO_MAIL: Reply = reply(503, "5.5.1", "Say MAIL first");
pub(super) const NO_RECIPIENTS: Reply = reply(503, "5.5.1", "No recipient was accepted");
pub(super) const NO_TLS: Reply = reply(502, "5.5.1", "TLS is not available");
pub(super) const TLS_ALREADY: Reply = reply(503, "5.5.1", "TLS is active already");
pub(super) const NEEDS_TLS: Reply = reply(
    530,
    "5.7.0",
    "Say STARTTLS first, with the certificate of a frontend",
);
pub(super) const NO_ACCESS: Reply = reply(550, "5.7.1", "Mail is not taken from you");
pub(super) const TOO_LARGE: Reply = reply(552, "5.3.4", "Message is too big");

impl Reply {
    /// Whether it is a success or an intermediate answer.
    pub(super) const fn is_positive(&self) -> bool {
        self.code < 400
    }

    /// Its line.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let space = if self.enhanced.is_empty() { "" } else { " " };
        let line = format!("{} {}{space}{}\r\n", self.code, self.enhanced, self.text);
        out.extend_from_slice(line.as_bytes());
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.code, self.enhanced, self.text)
    }
}

impl From<Goodbye> for Reply {
    fn from(goodbye: Goodbye) -> Self {
        let enhanced = match goodbye {
            Goodbye::Draining => "4.3.2",
            Goodbye::Silent => "4.4.2",
            Goodbye::BadCommands | Goodbye::FailedLogins | Goodbye::Ended(_) => "4.7.0",
        };
        reply(421, enhanced, goodbye.last_word())
    }
}

impl From<DeliveryError> for Reply {
    fn from(error: DeliveryError) -> Self {
        match error {
            DeliveryError::UnknownUser => reply(550, "5.1.1", "No such user"),
            DeliveryError::NotHere => reply(451, "4.3.0", "The mailbox is not here, try again"),
            DeliveryError::Nul => reply(554, "5.6.0", "A message must not hold NULs"),
            DeliveryError::TooLarge => TOO_LARGE,
            DeliveryError::MailboxFull => reply(452, "4.2.2", "The mailbox is full"),
            DeliveryError::DiskFull => reply(452, "4.3.1", "No room left, try again later"),
            DeliveryError::Failed => reply(451, "4.3.0", "Temporarily not possible, try again"),
        }
    }
}

impl From<CommandError> for Reply {
    fn from(error: CommandError) -> Self {
        match error {
            CommandError::Unknown => reply(500, "5.5.1", "Unknown command"),
            CommandError::NotLmtp => reply(500, "5.5.1", "This is LMTP, say LHLO"),
            CommandError::Syntax => reply(501, "5.5.2", "Syntax error"),
            CommandError::Parameter => reply(555, "5.5.4", "Unknown parameter"),
        }
    }
}
