//! Certificates that come to their end: told by `--check`, in the log and in the node's health,
//! before anybody is locked out.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::Health;
use crate::tls::{Certificate, TlsError, read_certificates};

/// How long before its end a certificate is spoken of: time for an operator who looks once a
/// month.
pub const SOON: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// How often a running node looks at its files.
const EVERY: Duration = Duration::from_secs(60 * 60);
/// The condition's name in the node's health.
const CONDITION: &str = "certificates";

/// How a certificate stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expiry {
    /// It is good for more than [`SOON`].
    Good,
    /// It is good for so many days yet.
    Soon(u64),
    /// It has expired.
    Expired,
    /// It is not good yet, by this machine's clock.
    NotYet,
}

/// A file with certificates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFile {
    /// The key of the configuration that names it.
    pub key: &'static str,
    /// The file.
    pub file: PathBuf,
    /// Its certificates are authorities, side by side; else the first is the node's.
    pub authorities: bool,
}

impl CertificateFile {
    /// One with a node's certificate, or a server's.
    #[must_use]
    pub fn chain(key: &'static str, file: &Path) -> Self {
        Self {
            key,
            file: file.to_owned(),
            authorities: false,
        }
    }

    /// One with authorities: it is as good as the one that is good for longest, since others are on
    /// their way out.
    #[must_use]
    pub fn authorities(key: &'static str, file: &Path) -> Self {
        Self {
            authorities: true,
            ..Self::chain(key, file)
        }
    }
}

/// What is to be said of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// The key of the configuration that names it.
    pub key: &'static str,
    /// Nobody can be expected to accept it now.
    pub ended: bool,
    /// A sentence that names the file.
    pub text: String,
}

/// How the certificate of `file` stands at `now`.
///
/// # Errors
/// [`TlsError`] when it cannot be read.
pub fn look(file: &CertificateFile, now: SystemTime) -> Result<Expiry, TlsError> {
    let all = read_certificates(&file.file)?;
    let mut all = all.iter().filter_map(Certificate::parse);
    let certificate = match file.authorities {
        true => all.max_by_key(|certificate| certificate.not_after),
        false => all.next(),
    };
    let Some(certificate) = certificate else {
        return Err(TlsError::Unusable {
            file: file.file.clone(),
            reason: "not an X.509 certificate".to_owned(),
        });
    };
    if now < certificate.not_before {
        return Ok(Expiry::NotYet);
    }
    Ok(match certificate.not_after.duration_since(now) {
        Err(_) => Expiry::Expired,
        Ok(left) if left < SOON => Expiry::Soon(left.as_secs() / (24 * 60 * 60)),
        Ok(_) => Expiry::Good,
    })
}

/// What is to be said of `files`. Nothing of files that cannot be read: others tell of these.
#[must_use]
pub fn remarks(files: &[CertificateFile], now: SystemTime) -> Vec<Remark> {
    let of_file = |file: &CertificateFile| {
        let shown = file.file.display();
        let (ended, text) = match look(file, now).ok()? {
            Expiry::Good => return None,
            Expiry::Soon(days) => (false, format!("{shown}: expires in {days} days")),
            Expiry::Expired => (true, format!("{shown}: has expired")),
            Expiry::NotYet => (
                true,
                format!("{shown}: is not valid yet, by this machine's clock"),
            ),
        };
        let key = file.key;
        Some(Remark { key, ended, text })
    };
    files.iter().filter_map(of_file).collect()
}

/// Looks at `files` now and then, and keeps the node's health.
pub async fn watch(files: Vec<CertificateFile>, health: Health) -> Infallible {
    let mut every = tokio::time::interval(EVERY);
    loop {
        every.tick().await;
        let files = files.clone();
        let looked = tokio::task::spawn_blocking(move || remarks(&files, SystemTime::now()));
        let remarks = looked.await.unwrap_or_default();
        for Remark { ended, text, .. } in &remarks {
            match ended {
                true => tracing::error!("{text}"),
                false => tracing::warn!("{text}"),
            }
        }
        if remarks.is_empty() {
            health.ok(CONDITION);
        } else {
            let all: Vec<String> = remarks.into_iter().map(|remark| remark.text).collect();
            health.unhealthy(CONDITION, all.join("; "));
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{Ca, Role};

    #[test]
    fn the_end_is_seen_coming() {
        let folder = tempfile::tempdir().unwrap();
        let ca = Ca::generate(folder.path()).unwrap();
        let files = ca
            .issue_into(folder.path(), "be1", &[Role::Backend], &[])
            .unwrap();
        let cert = CertificateFile::chain("cluster.cert", &files.cert);
        let end = Certificate::parse(&read_certificates(&files.cert).unwrap()[0])
            .unwrap()
            .not_after;
        let day = Duration::from_secs(24 * 60 * 60);
        for (now, expiry) in [
            (end - 31 * day, Expiry::Good),
            (end - 10 * day, Expiry::Soon(10)),
            (end + day, Expiry::Expired),
            (SystemTime::UNIX_EPOCH, Expiry::NotYet),
        ] {
            assert_eq!(look(&cert, now).unwrap(), expiry);
        }
        let said = remarks(std::slice::from_ref(&cert), end - 10 * day);
        assert!(!said[0].ended && said[0].text.ends_with("be1.pem: expires in 10 days"));
        let key = CertificateFile::chain("cluster.key", &files.key);
        assert!(look(&key, end).is_err() && remarks(&[key], end).is_empty());
        // Of authorities the newest counts: the others are on their way out.
        let both = [&files.cert, &files.ca].map(|file| std::fs::read_to_string(file).unwrap());
        std::fs::write(&files.ca, both.concat()).unwrap();
        let ca = CertificateFile::authorities("cluster.ca", &files.ca);
        assert_eq!(look(&ca, end + day).unwrap(), Expiry::Good);
        let chain = CertificateFile::chain("cluster.ca", &files.ca);
        assert_eq!(look(&chain, end + day).unwrap(), Expiry::Expired);
    }
}
