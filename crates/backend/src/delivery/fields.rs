//! What is put before a message that is delivered: `Return-Path:` and `Received:` (RFC 5321 section
//! 4.4).

use std::fmt::Write;
use std::net::IpAddr;

use time::{Month, OffsetDateTime, Weekday};

/// The longest address that is told.
const MAX_PATH: usize = 255;

/// From whom a message came, and where to.
pub(crate) struct Received<'a> {
    /// What the client calls itself.
    pub name: Option<&'a str>,
    /// The client's address.
    pub address: Option<IpAddr>,
    /// The frontend that it came through.
    pub frontend: Option<&'a str>,
    /// This node.
    pub by: &'a str,
    /// Whether the client came under TLS.
    pub tls: bool,
    /// What the message is known by in this node's log.
    pub id: String,
    /// The recipient, if it is the only one: the others are nobody's business.
    pub only_for: Option<&'a str>,
    /// Seconds since 1970.
    pub time: i64,
}

impl Received<'_> {
    /// The field.
    pub(crate) fn field(&self) -> String {
        let mut field = format!("Received: from {}", self.name.unwrap_or("unknown"));
        // Writing to a string does not fail.
        let _ = match self.address {
            Some(IpAddr::V4(address)) => write!(field, " ([{address}])"),
            Some(IpAddr::V6(address)) => write!(field, " ([IPv6:{address}])"),
            None => Ok(()),
        };
        let _ = write!(field, "\r\n\tby {}", self.by);
        if let Some(frontend) = self.frontend {
            let _ = write!(field, " (via {})", frontend);
        }
        let protocol = if self.tls { "LMTPS" } else { "LMTP" };
        let _ = write!(field, " with {protocol} id {}", self.id);
        if let Some(path) = self.only_for.filter(|path| is_plain(path)) {
            let _ = write!(field, "\r\n\tfor <{path}>");
        }
        let _ = write!(field, ";\r\n\t{}\r\n", date(self.time));
        field
    }
}

/// `Return-Path:` with the envelope's sender.
pub(crate) fn return_path(sender: &str) -> String {
    format!("Return-Path: <{sender}>\r\n")
}

/// Whether an address can stand in the field as it is.
fn is_plain(path: &str) -> bool {
    path.len() <= MAX_PATH
        && path
            .chars()
            .all(|c| c.is_ascii_graphic() && c != '<' && c != '>')
}

/// A date and time as in RFC 5322 section 3.3, in UTC.
fn date(seconds: i64) -> String {
    let at = OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let day = match at.weekday() {
        Weekday::Monday => "Mon",
        Weekday::Tuesday => "Tue",
        Weekday::Wednesday => "Wed",
        Weekday::Thursday => "Thu",
        Weekday::Friday => "Fri",
        Weekday::Saturday => "Sat",
        Weekday::Sunday => "Sun",
    };
    let month = match at.month() {
        Month::January => "Jan",
        Month::February => "Feb",
        Month::March => "Mar",
        Month::April => "Apr",
        Month::May => "May",
        Month::June => "Jun",
        Month::July => "Jul",
        Month::August => "Aug",
        Month::September => "Sep",
        Month::October => "Oct",
        Month::November => "Nov",
        Month::December => "Dec",
    };
    format!(
        "{day}, {} {month} {} {:02}:{:02}:{:02} +0000",
        at.day(),
        at.year(),
        at.hour(),
        at.minute(),
        at.second()
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const PLAIN: Received<'_> = Received {
        name: Some("mx.example.org"),
        address: None,
        frontend: None,
        by: "be1",
        tls: false,
        id: String::new(),
        only_for: None,
        time: 1_764_587_387,
    };

    #[test]
    fn fields() {
        let field = Received {
            address: Some([192, 0, 2, 1].into()),
            frontend: Some("fe1"),
            tls: true,
            id: "k3f9qz-1a.2".into(),
            only_for: Some("bob@example.org"),
            ..PLAIN
        }
        .field();
        assert_eq!(
            field,
            "Received: from mx.example.org ([192.0.2.1])\r\n\
             \tby be1 (via fe1) with LMTPS id k3f9qz-1a.2\r\n\
             \tfor <bob@example.org>;\r\n\
             \tMon, 1 Dec 2025 11:09:47 +0000\r\n"
        );
        assert_eq!(return_path(""), "Return-Path: <>\r\n");
    }

    #[test]
    fn what_clients_say_stays_in_its_place() {
        let field = Received {
            name: None,
            ..PLAIN
        }
        .field();
        assert!(field.starts_with("Received: from unknown\r\n"), "{field}");
        let address = Some("2001:db8::1".parse().unwrap());
        let field = Received { address, ..PLAIN }.field();
        assert!(field.contains("([IPv6:2001:db8::1])"), "{field}");
        let only_for = Some("\"a b\"@example.org");
        let field = Received { only_for, ..PLAIN }.field();
        assert!(!field.contains("for"), "{field}");
    }
}
