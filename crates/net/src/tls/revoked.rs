//! Certificates that are good no more before their time.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::{CertificateError, Error};
use rustls_pki_types::CertificateDer;

use super::certificate::Certificate;
use super::peer::peer_of;

/// Which certificates of one node, or one operator, are revoked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Revocation {
    /// The name in the certificates.
    pub name: String,
    /// Every certificate that became valid at this second since 1970, or before; 0 for none. One
    /// that is issued later is another one, and good.
    pub issued_until: u64,
    /// Certificates with these serial numbers, without leading zeros.
    pub serials: Vec<Vec<u8>>,
}

impl Revocation {
    fn covers(&self, certificate: &Certificate) -> bool {
        let until = UNIX_EPOCH + Duration::from_secs(self.issued_until);
        let by_time = self.issued_until > 0 && certificate.not_before <= until;
        by_time || self.serials.contains(&certificate.serial)
    }
}

/// All revocations, by name.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Revoked(BTreeMap<String, Revocation>);

impl Revoked {
    /// Whether the certificate may be believed, as far as this goes.
    pub(super) fn check(&self, certificate: &CertificateDer<'_>) -> Result<(), Error> {
        if self.0.is_empty() {
            return Ok(());
        }
        let Some(peer) = peer_of(std::slice::from_ref(certificate)) else {
            // It names no node, so it is nobody's.
            return Ok(());
        };
        let Some(revocation) = self.0.get(&peer.name) else {
            return Ok(());
        };
        match Certificate::parse(certificate) {
            Some(certificate) if !revocation.covers(&certificate) => Ok(()),
            Some(_) => Err(Error::InvalidCertificate(CertificateError::Revoked)),
            None => Err(Error::InvalidCertificate(CertificateError::BadEncoding)),
        }
    }
}

impl FromIterator<Revocation> for Revoked {
    fn from_iter<I: IntoIterator<Item = Revocation>>(revocations: I) -> Self {
        let named = revocations.into_iter().map(|one| (one.name.clone(), one));
        Self(named.collect())
    }
}

/// The second since 1970 that a time is in: what [`Revocation::issued_until`] compares.
#[must_use]
pub fn second_of(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}
