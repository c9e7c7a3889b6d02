//! `murder cert`: the cluster's certificate authority.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use clap::Subcommand;
use murder_net::ca::files_in;
use murder_net::tls::Revocation;
use murder_net::{Ca, Role};
use serde::Serialize;

use crate::confirm::Confirmation;
use crate::operator::Target;
use crate::output::{print_json, print_line};
use crate::units::show_time;

/// What can be done with certificates.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make the cluster's authority: DIR/ca.pem for every node, DIR/ca.key to be kept apart
    ///
    /// An authority that is there already is never overwritten: every node trusts it.
    Init {
        /// Where
        #[arg(long, value_name = "DIR", default_value = ".")]
        dir: PathBuf,
        /// Answer in JSON
        #[arg(long)]
        json: bool,
    },
    /// Make a node's certificate: OUT/NAME.pem, OUT/NAME.key and OUT/ca.pem
    ///
    /// Files that are there already are replaced, each at once: this is also how a certificate is
    /// renewed. SIGHUP makes a running node read its certificate again.
    Issue {
        /// The node's name
        name: String,
        /// What it may be: frontend, backend, mupdate or operator; may be repeated
        #[arg(long = "role", value_name = "ROLE", required = true)]
        roles: Vec<Role>,
        /// Another DNS name or IP address that clients reach it by; may be repeated
        ///
        /// localhost, 127.0.0.1 and ::1 are always in the certificate. Nodes know each other by
        /// their names, whatever their addresses are.
        #[arg(long = "host", value_name = "HOST")]
        hosts: Vec<String>,
        /// The authority's directory, with ca.pem and ca.key
        #[arg(long, value_name = "DIR", default_value = ".")]
        ca: PathBuf,
        /// Where to write
        #[arg(long, value_name = "DIR", default_value = ".")]
        out: PathBuf,
        /// Leave a certificate alone that says the same and is good for longer than --renew-before
        #[arg(long)]
        if_needed: bool,
        /// With --if-needed: days before its end in which a certificate is made anew
        #[arg(
            long,
            value_name = "DAYS",
            default_value_t = 90,
            requires = "if_needed"
        )]
        renew_before: u32,
        /// Answer in JSON
        #[arg(long)]
        json: bool,
    },
    /// Have a node's or an operator's certificates refused in the whole murder, at once
    ///
    /// Connections that were made with them are closed, too. Without --serial these are all
    /// certificates of the name that were issued until now, also those that nobody remembers. A
    /// certificate that is issued later is good: the node gets one and is told to read it.
    Revoke {
        /// The name in the certificates: the node's, or the operator's
        name: String,
        /// Only the certificate with this number, as `openssl x509 -noout -serial` shows it; may be
        /// repeated
        #[arg(long = "serial", value_name = "HEX", value_parser = read_serial)]
        serials: Vec<Serial>,
        /// Revoke nothing of that name any more
        #[arg(long, conflicts_with = "serials")]
        take_back: bool,
        #[command(flatten)]
        confirmation: Confirmation,
        #[command(flatten)]
        target: Target,
        /// Answer in JSON
        #[arg(long)]
        json: bool,
    },
    /// Show which certificates are revoked
    Revoked {
        #[command(flatten)]
        target: Target,
        /// Answer in JSON
        #[arg(long)]
        json: bool,
    },
}

/// The number of a certificate.
#[derive(Debug, Clone)]
pub struct Serial(Vec<u8>);

fn read_serial(text: &str) -> Result<Serial, String> {
    let digits: Vec<u8> = text.bytes().filter(|octet| *octet != b':').collect();
    let digits = &digits[digits.iter().take_while(|digit| **digit == b'0').count()..];
    let value = |digit: &u8| char::from(*digit).to_digit(16);
    let values: Option<Vec<u32>> = digits.iter().map(value).collect();
    match values {
        Some(values) if (1..=40).contains(&values.len()) => {
            // Pairs from the end.
            let octets = values.rchunks(2).rev();
            let octets = octets.map(|pair| {
                pair.iter()
                    .fold(0, |octet, digit| octet << 4 | *digit as u8)
            });
            Ok(Serial(octets.collect()))
        }
        _ => Err("not 1 to 40 hexadecimal digits".to_owned()),
    }
}

fn show_serial(serial: &[u8]) -> String {
    serial.iter().map(|octet| format!("{octet:02X}")).collect()
}

/// What is revoked of one name.
#[derive(Debug, Serialize)]
struct Shown {
    name: String,
    /// Every certificate that was issued at this time (in seconds since 1970) or before.
    issued_until: Option<u64>,
    serials: Vec<String>,
}

impl Shown {
    fn of(revocation: &Revocation) -> Self {
        Self {
            name: revocation.name.clone(),
            issued_until: (revocation.issued_until > 0).then_some(revocation.issued_until),
            serials: revocation
                .serials
                .iter()
                .map(|serial| show_serial(serial))
                .collect(),
        }
    }

    fn lines(&self) -> Vec<String> {
        let name = &self.name;
        let until = self.issued_until.map(|until| {
            let until = show_time(until.cast_signed());
            format!("{name}: every certificate issued until {until}")
        });
        let serials = self
            .serials
            .iter()
            .map(|serial| format!("{name}: {serial}"));
        until.into_iter().chain(serials).collect()
    }
}

/// The files that were written.
#[derive(Debug, Default, Serialize)]
struct Written {
    /// False: the files were as they should be.
    changed: bool,
    ca: PathBuf,
    #[serde(skip_serializing_if = "Option::is_none")]
    cert: Option<PathBuf>,
    key: PathBuf,
}

/// Does it.
///
/// # Errors
/// When there is an authority already (`init`) or none (`issue`), or files cannot be written.
pub fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Init { dir, json } => {
            let ca = Ca::generate(&dir)?.certificate_file();
            let key = ca.with_extension("key");
            Written {
                changed: true,
                ca,
                cert: None,
                key,
            }
            .print(json)
        }
        Command::Issue {
            name,
            roles,
            hosts,
            ca,
            out,
            if_needed,
            renew_before,
            json,
        } => {
            let authority = Ca::load(&ca).with_context(|| {
                let dir = ca.display();
                format!("no usable authority in {dir} (`murder cert init --dir {dir}` makes one)")
            })?;
            let margin = Duration::from_secs(u64::from(renew_before) * 24 * 60 * 60);
            let changed = !(if_needed && authority.is_current(&out, &name, &roles, &hosts, margin));
            let files = match changed {
                true => authority.issue_into(&out, &name, &roles, &hosts)?,
                false => files_in(&out, &name),
            };
            Written {
                changed,
                ca: files.ca,
                cert: Some(files.cert),
                key: files.key,
            }
            .print(json)
        }
        Command::Revoke {
            name,
            serials,
            take_back,
            confirmation,
            target,
            json,
        } => {
            let what = match (take_back, serials.len()) {
                (true, _) => format!("Certificates of {name} that were revoked are good again."),
                (false, 0) => format!(
                    "Every certificate of {name} that was issued until now is refused, and its \
                     connections are closed."
                ),
                (false, _) => format!("These certificates of {name} are refused for good."),
            };
            confirmation.ask(&what)?;
            revoke(&target, &name, serials, take_back, json)
        }
        Command::Revoked { target, json } => {
            let murder = target.run(async |client| Ok(client.describe_nodes().await?))?;
            let shown: Vec<Shown> = murder.revocations.iter().map(Shown::of).collect();
            if json {
                return print_json(&shown);
            }
            let mut lines = shown.iter().flat_map(Shown::lines);
            lines.try_for_each(|line| print_line(&line))
        }
    }
}

fn revoke(
    target: &Target,
    name: &str,
    serials: Vec<Serial>,
    take_back: bool,
    json: bool,
) -> anyhow::Result<()> {
    if take_back {
        target.run(async |client| Ok(client.take_back_revocation(name).await?))?;
        return match json {
            true => print_json(&None::<Shown>),
            false => print_line(&format!("nothing of {name} is revoked")),
        };
    }
    let serials: Vec<Vec<u8>> = serials.into_iter().map(|serial| serial.0).collect();
    let all = serials.is_empty();
    let revoked = target.run(async |client| {
        let revoked = client.revoke(name, serials).await?;
        let revoked = revoked.context("the master does not say what is revoked")?;
        // Its own certificate may be the one that was revoked.
        let murder = client.describe_nodes().await;
        if murder.is_ok_and(|murder| murder.nodes.iter().all(|of| of.node.name != name)) {
            eprintln!(
                "murder: there is no node {name}; it is revoked all the same, for an operator"
            );
        }
        if all {
            // A certificate issued in the same second would be one of those that are revoked.
            let over = UNIX_EPOCH + Duration::from_secs(revoked.issued_until + 1);
            let left = over.duration_since(SystemTime::now()).unwrap_or_default();
            tokio::time::sleep(left.min(Duration::from_secs(1))).await;
        }
        Ok(revoked)
    })?;
    let shown = Shown::of(&revoked);
    match json {
        true => print_json(&shown),
        false => shown.lines().iter().try_for_each(|line| print_line(line)),
    }
}

impl Written {
    fn print(&self, json: bool) -> anyhow::Result<()> {
        if json {
            return print_json(self);
        }
        if !self.changed {
            return print_line("unchanged");
        }
        for file in self.cert.iter().chain([&self.key, &self.ca]) {
            print_line(&file.display().to_string())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn serial_numbers_are_read_as_others_write_them() {
        for (text, octets) in [
            ("00A1:b2", vec![0xa1, 0xb2]),
            ("1B2", vec![1, 0xb2]),
            ("0000000F", vec![15]),
        ] {
            assert_eq!(read_serial(text).unwrap().0, octets);
        }
        assert_eq!(show_serial(&[1, 0xb2]), "01B2");
        for bad in ["", "0", "xy", &"1".repeat(41)] {
            assert!(read_serial(bad).is_err(), "{bad}");
        }
    }
}
