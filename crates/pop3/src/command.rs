//! POP3 commands as clients write them.

use crate::secret::Secret;

/// One command line.
///
/// APOP is not among them: it needs the password itself, which nobody keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// `CAPA` (RFC 2449).
    Capa,
    /// `STLS` (RFC 2595).
    Stls,
    /// `USER name`.
    User(String),
    /// `PASS string`: all that follows the first space, spaces included.
    Pass(Secret),
    /// `AUTH mechanism [initial-response]` (RFC 1734, RFC 2449 section 6.3).
    Auth {
        /// The SASL mechanism, in capitals.
        mechanism: String,
        /// The response as it stands on the line: base64, or `=` for an empty one.
        initial_response: Option<Secret>,
    },
    /// `STAT`.
    Stat,
    /// `LIST [msg]`.
    List(Option<u32>),
    /// `UIDL [msg]`.
    Uidl(Option<u32>),
    /// `RETR msg`.
    Retr(u32),
    /// `TOP msg n`.
    Top {
        /// The message.
        message: u32,
        /// Lines of its body.
        lines: u32,
    },
    /// `DELE msg`.
    Dele(u32),
    /// `RSET`.
    Rset,
    /// `NOOP`.
    Noop,
    /// `QUIT`.
    Quit,
}

/// Why a line is no command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// A keyword that is none of a command.
    #[error("Unknown command")]
    Unknown,
    /// An argument too many, too few, or of another form.
    #[error("Syntax error")]
    Syntax,
}

impl Command {
    /// Reads a line without its line break:
    ///
    /// ```abnf
    /// command = keyword *(SP param) CRLF
    /// keyword = 3*4VCHAR
    /// param   = 1*VCHAR
    /// ```
    ///
    /// Keywords and mechanisms are case-insensitive. A number that is too large for any message
    /// stands for one that there is not.
    ///
    /// # Errors
    /// See [`CommandError`].
    pub fn parse(line: &[u8]) -> Result<Self, CommandError> {
        let space = line.iter().position(|byte| *byte == b' ');
        let (keyword, rest) = match space {
            Some(at) => (&line[..at], Some(&line[at + 1..])),
            None => (line, None),
        };
        // No password is looked at beyond this, so any of UTF-8 and others can be one.
        if keyword.eq_ignore_ascii_case(b"PASS") {
            let password = rest.filter(|rest| !rest.is_empty());
            let password = password.ok_or(CommandError::Syntax)?;
            return Ok(Self::Pass(Secret::new(password)));
        }
        let rest = rest.map_or(Ok(""), |rest| text(rest).ok_or(CommandError::Syntax))?;
        let mut words = rest.split(' ').filter(|word| !word.is_empty());
        let mut next = || words.next();
        let keyword = text(keyword).ok_or(CommandError::Unknown)?;
        let command = match keyword.to_ascii_uppercase().as_str() {
            "CAPA" => Self::Capa,
            "STLS" => Self::Stls,
            "USER" => Self::User(next().ok_or(CommandError::Syntax)?.to_owned()),
            "AUTH" => Self::Auth {
                mechanism: next().ok_or(CommandError::Syntax)?.to_ascii_uppercase(),
                initial_response: next().map(Secret::new),
            },
            "STAT" => Self::Stat,
            "LIST" => Self::List(next().map(number).transpose()?),
            "UIDL" => Self::Uidl(next().map(number).transpose()?),
            "RETR" => Self::Retr(required(next())?),
            "TOP" => Self::Top {
                message: required(next())?,
                lines: required(next())?,
            },
            "DELE" => Self::Dele(required(next())?),
            "RSET" => Self::Rset,
            "NOOP" => Self::Noop,
            "QUIT" => Self::Quit,
            _ => return Err(CommandError::Unknown),
        };
        match next() {
            None => Ok(command),
            Some(_) => Err(CommandError::Syntax),
        }
    }

    /// Its keyword.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Capa => "CAPA",
            Self::Stls => "STLS",
            Self::User(_) => "USER",
            Self::Pass(_) => "PASS",
            Self::Auth { .. } => "AUTH",
            Self::Stat => "STAT",
            Self::List(_) => "LIST",
            Self::Uidl(_) => "UIDL",
            Self::Retr(_) => "RETR",
            Self::Top { .. } => "TOP",
            Self::Dele(_) => "DELE",
            Self::Rset => "RSET",
            Self::Noop => "NOOP",
            Self::Quit => "QUIT",
        }
    }
}

/// Text without control characters.
fn text(bytes: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(bytes).ok()?;
    (!text.chars().any(char::is_control)).then_some(text)
}

fn required(word: Option<&str>) -> Result<u32, CommandError> {
    number(word.ok_or(CommandError::Syntax)?)
}

fn number(word: &str) -> Result<u32, CommandError> {
    match word.bytes().all(|byte| byte.is_ascii_digit()) {
        true => Ok(word.parse().unwrap_or(u32::MAX)),
        false => Err(CommandError::Syntax),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(line: &str) -> Result<Command, CommandError> {
        Command::parse(line.as_bytes())
    }

    #[test]
    fn every_command() {
        let auth = |mechanism: &str, initial: Option<&str>| Command::Auth {
            mechanism: mechanism.into(),
            initial_response: initial.map(Secret::new),
        };
        for (line, command) in [
            ("CAPA", Command::Capa),
            ("stls", Command::Stls),
            ("User mrose", Command::User("mrose".into())),
            ("PASS secret", Command::Pass(Secret::new("secret"))),
            (
                "pass  two words ",
                Command::Pass(Secret::new(" two words ")),
            ),
            ("AUTH plain", auth("PLAIN", None)),
            ("AUTH EXTERNAL =", auth("EXTERNAL", Some("="))),
            ("STAT", Command::Stat),
            ("STAT ", Command::Stat),
            ("LIST", Command::List(None)),
            ("LIST 2", Command::List(Some(2))),
            ("UIDL", Command::Uidl(None)),
            ("uidl 10 ", Command::Uidl(Some(10))),
            ("RETR 1", Command::Retr(1)),
            ("RETR 99999999999999", Command::Retr(u32::MAX)),
            (
                "TOP 1 0",
                Command::Top {
                    message: 1,
                    lines: 0,
                },
            ),
            ("DELE 01", Command::Dele(1)),
            ("RSET", Command::Rset),
            ("NOOP", Command::Noop),
            ("quit", Command::Quit),
        ] {
            assert_eq!(parse(line).as_ref(), Ok(&command), "{line}");
            assert!(line.to_uppercase().starts_with(command.name()), "{line}");
        }
    }

    #[test]
    fn no_commands() {
        for (line, error) in [
            ("", CommandError::Unknown),
            ("LAST", CommandError::Unknown),
            (
                "APOP mrose c4c9334bac560ecc979e58001b3e22fb",
                CommandError::Unknown,
            ),
            ("UTF8", CommandError::Unknown),
            ("GET / HTTP/1.1", CommandError::Unknown),
            ("CAPA x", CommandError::Syntax),
            ("USER", CommandError::Syntax),
            ("USER a b", CommandError::Syntax),
            ("USER a\u{7}", CommandError::Syntax),
            ("PASS", CommandError::Syntax),
            ("PASS ", CommandError::Syntax),
            ("AUTH", CommandError::Syntax),
            ("AUTH PLAIN a b", CommandError::Syntax),
            ("RETR", CommandError::Syntax),
            ("RETR one", CommandError::Syntax),
            ("RETR -1", CommandError::Syntax),
            ("RETR 1 2", CommandError::Syntax),
            ("TOP 1", CommandError::Syntax),
            ("TOP 1 2 3", CommandError::Syntax),
            ("LIST +1", CommandError::Syntax),
        ] {
            assert_eq!(parse(line), Err(error), "{line}");
        }
        assert_eq!(Command::parse(b"\xff\xfe"), Err(CommandError::Unknown));
        assert_eq!(Command::parse(b"USER \xff"), Err(CommandError::Syntax));
    }

    #[test]
    fn secrets_are_not_shown() {
        for line in ["PASS hidden", "AUTH PLAIN hidden"] {
            let shown = format!("{:?}", parse(line));
            assert!(!shown.contains("hidden"), "{shown}");
        }
        let odd = Command::parse(b"PASS \xff\xfe");
        assert_eq!(odd, Ok(Command::Pass(Secret::new(*b"\xff\xfe"))));
    }

    proptest! {
        /// Whatever comes is a command or none, and the same in capitals.
        #[test]
        fn any_line(
            keyword in prop_oneof![
                Just("pass"), Just("auth plain"), Just("user"), Just("top"), Just("list"), Just("x"),
            ],
            rest in proptest::collection::vec(any::<u8>(), 0..40),
        ) {
            let line = |keyword: &str| [keyword.as_bytes(), b" ", &rest[..]].concat();
            let parsed = Command::parse(&line(keyword));
            prop_assert_eq!(parsed, Command::parse(&line(&keyword.to_uppercase())));
            let _ = Command::parse(&rest);
        }
    }
}
