//! What a certificate says about itself: names, number and validity.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::{Duration, SystemTime};

use rustls_pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::time::ASN1Time;

/// A certificate's names, number and validity. Says nothing about who signed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// The subject's alternative names: DNS names and IP addresses.
    pub names: BTreeSet<String>,
    /// Its number, which is its issuer's only once (RFC 5280 section 4.1.2.2); without leading zeros.
    pub serial: Vec<u8>,
    /// From when it is good.
    pub not_before: SystemTime,
    /// Until when it is good.
    pub not_after: SystemTime,
}

impl Certificate {
    /// Reads it; `None` of what is no X.509 certificate.
    #[must_use]
    pub fn parse(der: &CertificateDer<'_>) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        let names = match certificate.subject_alternative_name().ok()? {
            Some(names) => names.value.general_names.iter().filter_map(name).collect(),
            None => BTreeSet::new(),
        };
        let validity = certificate.validity();
        let serial = certificate.raw_serial().iter().copied();
        Some(Self {
            names,
            serial: serial.skip_while(|octet| *octet == 0).collect(),
            not_before: time(validity.not_before),
            not_after: time(validity.not_after),
        })
    }

    /// The serial number in hexadecimal digits, as `openssl x509 -serial` shows it.
    #[must_use]
    pub fn serial_digits(&self) -> String {
        self.serial
            .iter()
            .map(|octet| format!("{octet:02X}"))
            .collect()
    }

    /// Whether it is good at `time`.
    #[must_use]
    pub fn is_valid_at(&self, time: SystemTime) -> bool {
        (self.not_before..=self.not_after).contains(&time)
    }
}

fn name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(address) => {
            if let Ok(octets) = <[u8; 4]>::try_from(*address) {
                Some(Ipv4Addr::from(octets).to_string())
            } else {
                let octets = <[u8; 16]>::try_from(*address).ok()?;
                Some(Ipv6Addr::from(octets).to_string())
            }
        }
        _ => None,
    }
}

fn time(time: ASN1Time) -> SystemTime {
    let seconds = Duration::from_secs(time.timestamp().unsigned_abs());
    match time.timestamp() < 0 {
        true => SystemTime::UNIX_EPOCH.checked_sub(seconds),
        false => SystemTime::UNIX_EPOCH.checked_add(seconds),
    }
    .unwrap_or(SystemTime::UNIX_EPOCH)
}
