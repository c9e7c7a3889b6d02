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

/// How the first certificate in `file` stands at `now`.
///
/// # Errors
/// [`TlsError`] when it cannot be read.
pub fn look(file: &Path, now: SystemTime) -> Result<Expiry, TlsError> {
    let chain = read_certificates(file)?;
    let Some(certificate) = chain.first().and_then(Certificate::parse) else {
        return Err(TlsError::Unusable {
            file: file.to_owned(),
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

/// What is to be said of `files`: whether nobody can be expected to accept one (now), and the
/// sentence. Nothing of files that cannot be read: others tell of these.
#[must_use]
pub fn remarks(files: &[PathBuf], now: SystemTime) -> Vec<(bool, String)> {
    let of_file = |file: &PathBuf| {
        let shown = file.display();
        Some(match look(file, now).ok()? {
            Expiry::Good => return None,
            Expiry::Soon(days) => (false, format!("{shown}: expires in {days} days")),
            Expiry::Expired => (true, format!("{shown}: has expired")),
            Expiry::NotYet => (
                true,
                format!("{shown}: is not valid yet, by this machine's clock"),
            ),
        })
    };
    files.iter().filter_map(of_file).collect()
}

/// Looks at `files` now and then, and keeps the node's health.
pub(crate) async fn watch(files: Vec<PathBuf>, health: Health) -> Infallible {
    let mut every = tokio::time::interval(EVERY);
    loop {
        every.tick().await;
        let files = files.clone();
        let looked = tokio::task::spawn_blocking(move || remarks(&files, SystemTime::now()));
        let remarks = looked.await.unwrap_or_default();
        for (ended, remark) in &remarks {
            match ended {
                true => tracing::error!("{remark}"),
                false => tracing::warn!("{remark}"),
            }
        }
        if remarks.is_empty() {
            health.ok(CONDITION);
        } else {
            let all: Vec<String> = remarks.into_iter().map(|(_, remark)| remark).collect();
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
            assert_eq!(look(&files.cert, now).unwrap(), expiry);
        }
        let said = remarks(std::slice::from_ref(&files.cert), end - 10 * day);
        assert!(!said[0].0 && said[0].1.ends_with("be1.pem: expires in 10 days"));
        assert!(look(&files.key, end).is_err());
        assert!(remarks(&[files.key], end).is_empty());
    }
}
