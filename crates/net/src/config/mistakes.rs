//! All that is wrong with a configuration, in one answer.

use std::fmt;
use std::net::SocketAddr;
use std::ops::RangeInclusive;

/// What is wrong beyond each value by itself: found by the checks of sections and roles, told in the
/// order of the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mistakes(Vec<Mistake>);

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mistake {
    /// The dotted key that it is about, such as `imap.listen`; it is told where that is, or what is
    /// above it.
    pub key: String,
    /// A sentence that names the key.
    pub message: String,
}

impl Mistakes {
    /// What `check` finds.
    ///
    /// # Errors
    /// What is wrong, if anything is.
    pub fn of(check: impl FnOnce(&mut Self)) -> Result<(), Self> {
        let mut mistakes = Self::default();
        check(&mut mistakes);
        match mistakes.0.is_empty() {
            true => Ok(()),
            false => Err(mistakes),
        }
    }

    /// Adds one.
    pub fn add(&mut self, key: impl Into<String>, message: impl Into<String>) {
        self.0.push(Mistake {
            key: key.into(),
            message: message.into(),
        });
    }

    /// Adds one unless it is as it must be.
    pub fn ensure(&mut self, right: bool, key: &str, message: impl Into<String>) {
        if !right {
            self.add(key, message);
        }
    }

    /// Adds one unless the value is in `range`.
    pub fn ensure_between<T: PartialOrd + fmt::Display>(
        &mut self,
        key: &str,
        value: &T,
        range: &RangeInclusive<T>,
    ) {
        let (least, most) = (range.start(), range.end());
        self.ensure(
            range.contains(value),
            key,
            format!("`{key}` is not between {least} and {most}"),
        );
    }

    /// Whether something is wrong with a key, or with what is below it.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.0
            .iter()
            .any(|mistake| is_at_or_below(&mistake.key, key))
    }

    /// `host:port` that others are to connect to.
    pub fn ensure_host_port(&mut self, key: &str, address: &str) {
        let Some((host, port)) = address.rsplit_once(':') else {
            return self.add(
                key,
                format!("`{key}`: `{address}` has no port; it is `host:port`"),
            );
        };
        let in_brackets = host.starts_with('[') && host.ends_with(']');
        let is_host = !host.is_empty()
            && (in_brackets || !host.contains(':'))
            && host.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_host {
            let message = format!(
                "`{key}`: `{address}` is not of the form `host:port`; an IPv6 address is in brackets"
            );
            return self.add(key, message);
        }
        if !port.parse().is_ok_and(|port: u16| port > 0) {
            self.add(key, format!("`{key}`: `{port}` in `{address}` is no port"));
        }
    }

    /// Others are told the first address of `section.key`, or what `section.advertise` says: it must
    /// mean something to them.
    pub fn ensure_reachable(
        &mut self,
        section: &str,
        key: &str,
        listen: &[SocketAddr],
        advertise: &Option<String>,
    ) {
        match advertise {
            Some(address) => self.ensure_host_port(&format!("{section}.advertise"), address),
            None => self.ensure(
                !listen
                    .first()
                    .is_some_and(|first| first.ip().is_unspecified()),
                &format!("{section}.{key}"),
                format!(
                    "`{section}.{key}` begins with an address that stands for all of the \
                     machine's: `{section}.advertise` must say how it is reached from elsewhere"
                ),
            ),
        }
    }

    /// Addresses that the node listens on, by their keys: each once.
    pub fn ensure_distinct(&mut self, listeners: &[(&str, &[SocketAddr])]) {
        let all = || {
            listeners
                .iter()
                .flat_map(|(key, of)| of.iter().map(move |one| (*key, *one)))
        };
        for (at, (key, address)) in all().enumerate() {
            let same = all().take(at).find(|(_, other)| overlap(*other, address));
            if let Some((of, other)) = same {
                self.add(
                    key,
                    format!("`{key}`: {address} is taken by {other} of `{of}` already"),
                );
            }
        }
    }

    pub(super) fn into_inner(self) -> Vec<Mistake> {
        self.0
    }
}

/// Whether nobody can listen on both. An IPv6 listener takes no IPv4 connections.
fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let same_family = one.is_ipv4() == other.is_ipv4();
    let same_ip =
        one.ip() == other.ip() || one.ip().is_unspecified() || other.ip().is_unspecified();
    // Port 0 takes a free one.
    same_family && same_ip && one.port() == other.port() && one.port() != 0
}

/// Whether a dotted key is another, or in its table.
pub(super) fn is_at_or_below(key: &str, above: &str) -> bool {
    let rest = key.strip_prefix(above);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let messages: Vec<&str> = self.0.iter().map(|m| m.message.as_str()).collect();
        f.write_str(&messages.join("; "))
    }
}

impl std::error::Error for Mistakes {}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn addresses_of_others() {
        let wrong = |address: &str| Mistakes::of(|m| m.ensure_host_port("x", address)).is_err();
        for right in [
            "mu1:3905",
            "192.0.2.1:1",
            "[2001:db8::1]:65535",
            "mu1.example.org:3905",
        ] {
            assert!(!wrong(right), "{right}");
        }
        for bad in [
            "mu1",
            "",
            ":3905",
            "mu1:",
            "mu1:0",
            "mu1:65536",
            "2001:db8::1:39",
            "a b:1",
        ] {
            assert!(wrong(bad), "{bad}");
        }
    }

    #[test]
    fn listeners_are_distinct() {
        let at = |text: &str| text.parse::<SocketAddr>().unwrap();
        let wrong = |one: &str, other: &str| {
            let (one, other) = ([at(one)], [at(other)]);
            Mistakes::of(|m| m.ensure_distinct(&[("a", &one), ("b", &other)])).is_err()
        };
        assert!(wrong("127.0.0.1:143", "127.0.0.1:143"));
        assert!(wrong("0.0.0.0:143", "127.0.0.1:143"));
        assert!(wrong("[::1]:143", "[::]:143"));
        for (one, other) in [
            ("127.0.0.1:143", "127.0.0.1:993"),
            ("127.0.0.1:143", "127.0.0.2:143"),
            ("0.0.0.0:143", "[::]:143"),
            ("127.0.0.1:0", "127.0.0.1:0"),
        ] {
            assert!(!wrong(one, other), "{one} {other}");
        }
    }
}
