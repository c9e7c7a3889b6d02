//! LMTP commands as clients write them (RFC 2033, RFC 5321 section 4.1).

use std::net::IpAddr;

/// One command line, taken apart as far as delivery needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// `LHLO name`, with the name if it can be a host's.
    Lhlo(Option<String>),
    /// `STARTTLS` (RFC 3207).
    StartTls,
    /// `MAIL FROM:<…>`.
    Mail(Sender),
    /// `RCPT TO:<…>`.
    Rcpt(Recipient),
    /// `DATA`.
    Data,
    /// `RSET`.
    Rset,
    /// `NOOP`.
    Noop,
    /// `VRFY`.
    Vrfy,
    /// `QUIT`.
    Quit,
    /// `XFORWARD` (Postfix's XFORWARD_README): what is said of the next message.
    Xforward(Forwarded),
}

/// What XFORWARD says of a message. Other attributes are passed over.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Forwarded {
    /// `IDENT=`: what the client knows the message by, its queue id.
    pub ident: Option<String>,
    /// `HELO=`: what the client's client calls itself.
    pub helo: Option<String>,
    /// `ADDR=`: where that is.
    pub address: Option<IpAddr>,
    /// `PROTO=LMTPS` (RFC 3848): it came under TLS.
    pub tls: bool,
    /// `SESSION=`, which is ours: the session in which a frontend got it.
    pub session: Option<String>,
}

/// The sender and what was said about the message.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sender {
    /// What stands between `<` and `>`, as it came; empty for the null sender.
    pub path: String,
    /// `SIZE=` (RFC 1870), octets.
    pub size: Option<u64>,
    /// `BODY=8BITMIME` (RFC 6152).
    pub eight_bit: bool,
    /// What XFORWARD has said of the message before.
    pub forwarded: Forwarded,
}

/// A recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient {
    /// What stands between `<` and `>`, as it came; passed on unchanged.
    pub path: String,
    /// The local part before `+`, unquoted.
    pub user: String,
    /// What follows the first `+` (RFC 5233 `:detail`): a folder, levels apart by `/`.
    pub detail: Option<String>,
    /// The domain, if one was given.
    pub domain: Option<String>,
}

/// Why a line is no command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// 500.
    #[error("unknown command")]
    Unknown,
    /// 501.
    #[error("syntax error")]
    Syntax,
    /// 503, `HELO` and `EHLO` (RFC 2033 section 4.1).
    #[error("this is LMTP, say LHLO")]
    NotLmtp,
    /// 555, an unknown parameter.
    #[error("unknown parameter")]
    Parameter,
}

impl Command {
    /// Reads a line without its CRLF.
    ///
    /// # Errors
    /// See [`CommandError`].
    pub fn parse(line: &[u8]) -> Result<Self, CommandError> {
        let text = std::str::from_utf8(line).map_err(|_| CommandError::Syntax)?;
        if text.chars().any(char::is_control) {
            return Err(CommandError::Syntax);
        }
        let (verb, rest) = text.split_once(' ').unwrap_or((text, ""));
        let rest = rest.trim();
        let bare = |command| {
            if rest.is_empty() {
                Ok(command)
            } else {
                Err(CommandError::Syntax)
            }
        };
        match verb.to_ascii_uppercase().as_str() {
            "LHLO" if rest.is_empty() => Err(CommandError::Syntax),
            "LHLO" => Ok(Self::Lhlo(host(rest))),
            "HELO" | "EHLO" => Err(CommandError::NotLmtp),
            "STARTTLS" => bare(Self::StartTls),
            "MAIL" => {
                let (path, parameters) = path(keyword(rest, "FROM:")?)?;
                let mut sender = Sender {
                    path: path.to_owned(),
                    ..Sender::default()
                };
                for parameter in parameters.split_ascii_whitespace() {
                    let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
                    match (
                        name.to_ascii_uppercase().as_str(),
                        value.to_ascii_uppercase().as_str(),
                    ) {
                        ("SIZE", size) => {
                            sender.size = Some(size.parse().map_err(|_| CommandError::Syntax)?);
                        }
                        ("BODY", "7BIT") => sender.eight_bit = false,
                        ("BODY", "8BITMIME") => sender.eight_bit = true,
                        ("BODY", _) => return Err(CommandError::Syntax),
                        _ => return Err(CommandError::Parameter),
                    }
                }
                Ok(Self::Mail(sender))
            }
            "RCPT" => {
                let (path, parameters) = path(keyword(rest, "TO:")?)?;
                if !parameters.trim().is_empty() {
                    return Err(CommandError::Parameter);
                }
                Recipient::parse(path).map(Self::Rcpt)
            }
            "DATA" => bare(Self::Data),
            "RSET" => bare(Self::Rset),
            "NOOP" => Ok(Self::Noop),
            "VRFY" => Ok(Self::Vrfy),
            "QUIT" => bare(Self::Quit),
            "XFORWARD" => Forwarded::parse(rest).map(Self::Xforward),
            _ => Err(CommandError::Unknown),
        }
    }
}

impl Recipient {
    /// Takes `user+detail@domain` apart; the local part may be a quoted string, and a source
    /// route before it is ignored (RFC 5321 section 4.1.1.3).
    fn parse(path: &str) -> Result<Self, CommandError> {
        let mailbox = match path.strip_prefix('@') {
            Some(route) => route.split_once(':').ok_or(CommandError::Syntax)?.1,
            None => path,
        };
        let (local, domain) = if let Some(quoted) = mailbox.strip_prefix('"') {
            let mut local = String::new();
            let mut chars = quoted.char_indices();
            let end = loop {
                match chars.next() {
                    Some((at, '"')) => break at,
                    Some((_, '\\')) => {
                        local.push(chars.next().ok_or(CommandError::Syntax)?.1);
                    }
                    Some((_, c)) => local.push(c),
                    None => return Err(CommandError::Syntax),
                }
            };
            let rest = &quoted[end + 1..];
            let domain = match rest.strip_prefix('@') {
                Some(domain) => Some(domain),
                None if rest.is_empty() => None,
                None => return Err(CommandError::Syntax),
            };
            (local, domain)
        } else {
            match mailbox.rsplit_once('@') {
                Some((local, domain)) => (local.to_owned(), Some(domain)),
                None => (mailbox.to_owned(), None),
            }
        };
        if domain.is_some_and(str::is_empty) {
            return Err(CommandError::Syntax);
        }
        let (user, detail) = match local.split_once('+') {
            Some((user, detail)) => (user.to_owned(), Some(detail.to_owned())),
            None => (local, None),
        };
        if user.is_empty() {
            return Err(CommandError::Syntax);
        }
        Ok(Self {
            path: path.to_owned(),
            user,
            detail: detail.filter(|detail| !detail.is_empty()),
            domain: domain.map(str::to_owned),
        })
    }
}

impl Forwarded {
    /// `1*(attribute "=" xtext)`
    fn parse(rest: &str) -> Result<Self, CommandError> {
        if rest.is_empty() {
            return Err(CommandError::Syntax);
        }
        let mut forwarded = Self::default();
        for attribute in rest.split_ascii_whitespace() {
            let (name, value) = attribute.split_once('=').ok_or(CommandError::Syntax)?;
            if value.is_empty() || value.starts_with("[UN") || value.len() > MAX_VALUE {
                continue;
            }
            match name.to_ascii_uppercase().as_str() {
                "IDENT" if !value.starts_with('[') => forwarded.ident = Some(value.to_owned()),
                "HELO" => forwarded.helo = host(value),
                "ADDR" => {
                    let address = value.strip_prefix("IPV6:").unwrap_or(value);
                    forwarded.address = address.parse().ok();
                }
                "SESSION" if !value.starts_with('[') => forwarded.session = Some(value.to_owned()),
                "PROTO" => forwarded.tls = value.eq_ignore_ascii_case("LMTPS"),
                _ => {}
            }
        }
        Ok(forwarded)
    }

    /// The command that says it to a server that `takes` some of the attributes; `None` when there
    /// is nothing to say.
    #[must_use]
    pub fn command(&self, takes: impl Fn(&str) -> bool) -> Option<String> {
        let address = self.address.map(|address| match address.to_canonical() {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => format!("IPV6:{address}"),
        });
        let mut line = String::from("XFORWARD");
        for (name, value) in [
            ("IDENT", self.ident.as_deref()),
            ("HELO", self.helo.as_deref()),
            ("ADDR", address.as_deref()),
            ("PROTO", self.tls.then_some("LMTPS")),
            ("SESSION", self.session.as_deref()),
        ] {
            if let Some(value) = value.filter(|_| takes(name)) {
                line += &format!(" {name}={value}");
            }
        }
        (line.len() > "XFORWARD".len()).then_some(line)
    }
}

/// The most of an attribute of XFORWARD, and of a host's name (RFC 1035 section 2.3.4).
const MAX_VALUE: usize = 255;

/// A host's name or an address in brackets, if `text` can be one: it can then stand anywhere.
fn host(text: &str) -> Option<String> {
    let good = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
    let is_one = !text.is_empty() && text.len() <= MAX_VALUE && text.chars().all(good);
    is_one.then(|| text.to_owned())
}

fn keyword<'a>(rest: &'a str, keyword: &str) -> Result<&'a str, CommandError> {
    match rest.get(..keyword.len()) {
        Some(head) if head.eq_ignore_ascii_case(keyword) => Ok(&rest[keyword.len()..]),
        _ => Err(CommandError::Syntax),
    }
}

/// Splits `<path> parameters`. A `>` inside a quoted local part does not end the path.
fn path(rest: &str) -> Result<(&str, &str), CommandError> {
    let inner = rest
        .trim_start()
        .strip_prefix('<')
        .ok_or(CommandError::Syntax)?;
    let mut quoted = false;
    let mut escaped = false;
    for (at, c) in inner.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '>' if !quoted => {
                let after = &inner[at + 1..];
                if !after.is_empty() && !after.starts_with(' ') {
                    return Err(CommandError::Syntax);
                }
                return Ok((&inner[..at], after));
            }
            _ => {}
        }
    }
    Err(CommandError::Syntax)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn rcpt(line: &str) -> Recipient {
        match Command::parse(line.as_bytes()).unwrap() {
            Command::Rcpt(recipient) => recipient,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn recipients() {
        let bob = rcpt("RCPT TO:<bob+Lists/rust@example.org>");
        assert_eq!(bob.path, "bob+Lists/rust@example.org");
        assert_eq!(
            (bob.user.as_str(), bob.domain.as_deref()),
            ("bob", Some("example.org"))
        );
        assert_eq!(bob.detail.as_deref(), Some("Lists/rust"));
        assert_eq!(rcpt("RCPT TO:<bob+@b>").detail, None);
        assert_eq!(rcpt("rcpt to: <bob>").domain, None);
        let quoted = rcpt(r#"RCPT TO:<"b\"o>b+x y"@example.org>"#);
        assert_eq!(quoted.user, "b\"o>b");
        assert_eq!(rcpt("RCPT TO:<@relay.example:bob@example.org>").user, "bob");
        for bad in [
            "RCPT TO:<>",
            "RCPT TO:bob",
            "RCPT TO:<+x@y>",
            "RCPT TO:<\"bob@y>",
            "RCPT TO:<bob@>",
            "RCPT FROM:<bob>",
            "RCPT",
        ] {
            assert_eq!(
                Command::parse(bad.as_bytes()),
                Err(CommandError::Syntax),
                "{bad}"
            );
        }
        assert_eq!(
            Command::parse(b"RCPT TO:<bob> NOTIFY=NEVER"),
            Err(CommandError::Parameter)
        );
    }

    #[test]
    fn senders() {
        assert_eq!(
            Command::parse(b"MAIL FROM:<a@b> SIZE=12 BODY=8bitmime"),
            Ok(Command::Mail(Sender {
                path: "a@b".into(),
                size: Some(12),
                eight_bit: true,
                forwarded: Forwarded::default(),
            }))
        );
        assert_eq!(
            Command::parse(b"MAIL FROM:<>"),
            Ok(Command::Mail(Sender::default()))
        );
        assert_eq!(
            Command::parse(b"MAIL FROM:<a@b> SIZE=x"),
            Err(CommandError::Syntax)
        );
        assert_eq!(
            Command::parse(b"MAIL FROM:<a@b> FOO=x"),
            Err(CommandError::Parameter)
        );
    }

    #[test]
    fn idents() {
        let ident = |line: &str| match Command::parse(line.as_bytes()) {
            Ok(Command::Xforward(forwarded)) => Ok(forwarded.ident),
            Ok(other) => panic!("{other:?}"),
            Err(error) => Err(error),
        };
        let known = ident("xforward NAME=spike.example.org ident=4XyZ HELO=x");
        assert_eq!(known, Ok(Some("4XyZ".to_owned())));
        let both = Forwarded {
            ident: Some("4XyZ".into()),
            session: Some("k3f9qz-1a".into()),
            ..Forwarded::default()
        };
        assert_eq!(
            Command::parse(b"XFORWARD SESSION=k3f9qz-1a IDENT=4XyZ"),
            Ok(Command::Xforward(both))
        );
        for unknown in [
            "IDENT=[UNAVAILABLE]",
            "IDENT=",
            "ADDR=1.2.3.4",
            &format!("IDENT={}", "x".repeat(256)),
        ] {
            assert_eq!(ident(&format!("XFORWARD {unknown}")), Ok(None), "{unknown}");
        }
        for bad in ["XFORWARD", "XFORWARD IDENT"] {
            assert_eq!(ident(bad), Err(CommandError::Syntax));
        }
    }

    #[test]
    fn forwarded() {
        assert_eq!(Forwarded::default().command(|_| true), None);
        let of = |address: &str| Forwarded {
            ident: Some("4XyZ".into()),
            helo: Some("mx.example.org".into()),
            address: Some(address.parse().unwrap()),
            tls: true,
            session: Some("k3f9qz-1a".into()),
        };
        let less = of("192.0.2.1").command(|attribute| attribute == "IDENT");
        assert_eq!(less.as_deref(), Some("XFORWARD IDENT=4XyZ"));
        for (forwarded, line) in [
            (
                of("::ffff:192.0.2.1"),
                "XFORWARD IDENT=4XyZ HELO=mx.example.org ADDR=192.0.2.1 PROTO=LMTPS \
                 SESSION=k3f9qz-1a",
            ),
            (
                of("2001:db8::1"),
                "XFORWARD IDENT=4XyZ HELO=mx.example.org ADDR=IPV6:2001:db8::1 PROTO=LMTPS \
                 SESSION=k3f9qz-1a",
            ),
        ] {
            assert_eq!(forwarded.command(|_| true).as_deref(), Some(line));
            let address = forwarded.address.map(|address| address.to_canonical());
            let read = Command::parse(line.as_bytes());
            assert_eq!(
                read,
                Ok(Command::Xforward(Forwarded {
                    address,
                    ..forwarded
                }))
            );
        }
        let odd = Command::parse(b"XFORWARD ADDR=nowhere HELO=(x PROTO=SMTP NAME=[UNAVAILABLE]");
        assert_eq!(odd, Ok(Command::Xforward(Forwarded::default())));
    }

    #[test]
    fn the_rest() {
        let lhlo = |name: &str| Ok(Command::Lhlo(Some(name.to_owned())));
        assert_eq!(Command::parse(b"lhlo x"), lhlo("x"));
        assert_eq!(Command::parse(b"LHLO [IPv6:::1]"), lhlo("[IPv6:::1]"));
        assert_eq!(Command::parse(b"LHLO (x"), Ok(Command::Lhlo(None)));
        assert_eq!(Command::parse(b"EHLO x"), Err(CommandError::NotLmtp));
        assert_eq!(Command::parse(b"DATA now"), Err(CommandError::Syntax));
        assert_eq!(Command::parse(b"BREW tea"), Err(CommandError::Unknown));
        assert_eq!(Command::parse(b"NOOP \x00"), Err(CommandError::Syntax));
        assert_eq!(Command::parse(b"\xff"), Err(CommandError::Syntax));
    }
}
