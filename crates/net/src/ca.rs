//! The cluster's certificate authority: makes the certificates that nodes know each other by.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose,
};

use crate::config::ClusterConfig;
use crate::tls::{NodeTls, Role, peer};

/// How long a CA is good for: longer than a cluster lives.
const CA_DAYS: u64 = 20 * 365;
/// How long a node's certificate is good for.
const NODE_DAYS: u64 = 5 * 365;
/// Nodes whose clocks are behind by less accept a fresh CA. A node's certificate begins when it is
/// issued: by that it is known to be another one than those that were revoked before.
const CLOCK_SKEW: Duration = Duration::from_secs(24 * 60 * 60);

/// The CA's certificate in its folder.
const CERT_FILE: &str = "ca.pem";
/// The CA's key in its folder. Only `murder cert issue` needs it.
const KEY_FILE: &str = "ca.key";

/// Why a certificate cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    /// A file cannot be read or written.
    #[error("{}: {source}", file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is a CA in the folder already; a new one would lock out every node of the old one.
    #[error("{}: there is a CA already", .0.display())]
    Exists(PathBuf),
    /// The node's name does not fit in a certificate.
    #[error("`{0}` is no node name: letters, digits and hyphens, at most 63, dots between")]
    Name(String),
    /// No roles were asked for.
    #[error("a certificate needs at least one role")]
    NoRole,
    /// The key or the certificate is unusable.
    #[error("certificate: {0}")]
    Certificate(#[from] rcgen::Error),
}

/// A CA with its key.
pub struct Ca {
    certificate_pem: String,
    issuer: Issuer<'static, KeyPair>,
    folder: PathBuf,
}

impl std::fmt::Debug for Ca {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ca")
            .field("folder", &self.folder)
            .finish_non_exhaustive()
    }
}

impl Ca {
    /// Whether the certificate in `folder` is what [`issue_into`](Self::issue_into) would make
    /// there: by this CA, for the same names and roles, with its key, and good for `margin` yet.
    #[must_use]
    pub fn is_current(
        &self,
        folder: &Path,
        name: &str,
        roles: &[Role],
        extra_names: &[String],
        margin: Duration,
    ) -> bool {
        let files = files_in(folder, name);
        let same_ca = std::fs::read_to_string(&files.ca).is_ok_and(|ca| ca == self.certificate_pem);
        // Certificate, key and CA belong together if they can be used together.
        let Ok(tls) = NodeTls::load(&files) else {
            return false;
        };
        let certificate = tls.own_certificate();
        same_ca
            && tls.is_of_own_ca()
            && certificate.is_some_and(|certificate| {
                certificate.names == names_of(name, roles, extra_names)
                    && certificate.is_valid_at(SystemTime::now() + margin)
            })
    }

    /// Makes a CA and writes `ca.pem` and `ca.key` into `folder`, which is made if needed.
    ///
    /// # Errors
    /// [`CaError::Exists`] when there is one, [`CaError::Io`].
    pub fn generate(folder: &Path) -> Result<Self, CaError> {
        std::fs::create_dir_all(folder).map_err(|source| io_error(folder, source))?;
        let key_file = folder.join(KEY_FILE);
        if key_file.exists() {
            return Err(CaError::Exists(key_file));
        }
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        // Two murders' CAs must not have one name: a verifier finds its CA by it.
        let fingerprint = params.key_identifier(&key);
        let tag: String = fingerprint
            .iter()
            .take(4)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        params
            .distinguished_name
            .push(DnType::CommonName, format!("murder cluster CA {tag}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.not_before = (SystemTime::now() - CLOCK_SKEW).into();
        params.not_after = end_of(CA_DAYS).into();
        let pem = key.serialize_pem();
        let issuer = CertifiedIssuer::self_signed(params.clone(), &key)?;
        let certificate_pem = issuer.pem();
        write_private(&key_file, &pem)?;
        write_public(&folder.join(CERT_FILE), &certificate_pem)?;
        Ok(Self {
            certificate_pem,
            issuer: Issuer::new(params, key),
            folder: folder.to_owned(),
        })
    }

    /// The CA that [`generate`](Self::generate) wrote into `folder`.
    ///
    /// # Errors
    /// [`CaError::Io`] when it is not there, [`CaError::Certificate`] when it is damaged.
    pub fn load(folder: &Path) -> Result<Self, CaError> {
        let cert_file = folder.join(CERT_FILE);
        let key_file = folder.join(KEY_FILE);
        let certificate_pem =
            std::fs::read_to_string(&cert_file).map_err(|source| io_error(&cert_file, source))?;
        let key =
            std::fs::read_to_string(&key_file).map_err(|source| io_error(&key_file, source))?;
        let key = KeyPair::from_pem(&key)?;
        let issuer = Issuer::from_ca_cert_pem(&certificate_pem, key)?;
        Ok(Self {
            certificate_pem,
            issuer,
            folder: folder.to_owned(),
        })
    }

    /// [`load`](Self::load), or [`generate`](Self::generate) when there is none.
    ///
    /// # Errors
    /// Of the two.
    pub fn load_or_generate(folder: &Path) -> Result<Self, CaError> {
        if folder.join(KEY_FILE).exists() {
            Self::load(folder)
        } else {
            Self::generate(folder)
        }
    }

    /// The CA's certificate.
    #[must_use]
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// The file of the CA's certificate.
    #[must_use]
    pub fn certificate_file(&self) -> PathBuf {
        self.folder.join(CERT_FILE)
    }

    /// Makes a node's certificate and key (PEM). It is also good for `localhost`, 127.0.0.1 and
    /// ::1, and for `extra_names` (DNS names or IP addresses).
    ///
    /// # Errors
    /// [`CaError::Name`], [`CaError::NoRole`], [`CaError::Certificate`].
    pub fn issue(
        &self,
        name: &str,
        roles: &[Role],
        extra_names: &[String],
    ) -> Result<(String, String), CaError> {
        self.issue_until(name, roles, extra_names, end_of(NODE_DAYS))
    }

    /// [`issue`](Self::issue) with another end.
    ///
    /// # Errors
    /// As [`issue`](Self::issue).
    pub fn issue_until(
        &self,
        name: &str,
        roles: &[Role],
        extra_names: &[String],
        end: SystemTime,
    ) -> Result<(String, String), CaError> {
        if !is_node_name(name) {
            return Err(CaError::Name(name.to_owned()));
        }
        if roles.is_empty() {
            return Err(CaError::NoRole);
        }
        let names = names_of(name, roles, extra_names);
        let mut params = CertificateParams::new(names.into_iter().collect::<Vec<_>>())?;
        params.distinguished_name.push(DnType::CommonName, name);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        params.use_authority_key_identifier_extension = true;
        params.not_before = SystemTime::now().into();
        params.not_after = end.into();
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok((certificate.pem(), key.serialize_pem()))
    }

    /// [`issue`](Self::issue) into `folder` as `NAME.pem` and `NAME.key`, with the CA's
    /// certificate as `ca.pem` beside them: all that a node needs.
    ///
    /// # Errors
    /// As [`issue`](Self::issue), and [`CaError::Io`].
    pub fn issue_into(
        &self,
        folder: &Path,
        name: &str,
        roles: &[Role],
        extra_names: &[String],
    ) -> Result<ClusterConfig, CaError> {
        let (certificate, key) = self.issue(name, roles, extra_names)?;
        std::fs::create_dir_all(folder).map_err(|source| io_error(folder, source))?;
        let files = files_in(folder, name);
        write_private(&files.key, &key)?;
        write_public(&files.cert, &certificate)?;
        write_public(&files.ca, &self.certificate_pem)?;
        Ok(files)
    }
}

/// Where [`Ca::issue_into`] writes.
#[must_use]
pub fn files_in(folder: &Path, name: &str) -> ClusterConfig {
    ClusterConfig {
        ca: folder.join(CERT_FILE),
        cert: folder.join(format!("{name}.pem")),
        key: folder.join(format!("{name}.key")),
    }
}

/// The names in a node's certificate.
fn names_of(name: &str, roles: &[Role], extra_names: &[String]) -> BTreeSet<String> {
    let mut names: BTreeSet<String> = peer::certificate_names(name, roles).into_iter().collect();
    names.extend(["localhost", "127.0.0.1", "::1"].map(str::to_owned));
    names.extend(extra_names.iter().cloned());
    names
}

/// Whether `name` can name a node: it becomes part of a DNS name in the certificate.
#[must_use]
pub fn is_node_name(name: &str) -> bool {
    name.len() <= 200 // leaves room for the role and the domain in the 253 of a DNS name
        && name.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        })
}

fn end_of(days: u64) -> SystemTime {
    SystemTime::now() + Duration::from_secs(days * 24 * 60 * 60)
}

fn write_private(file: &Path, text: &str) -> Result<(), CaError> {
    write(file, text, 0o600)
}

fn write_public(file: &Path, text: &str) -> Result<(), CaError> {
    write(file, text, 0o644)
}

/// By way of a new file, so that the mode is right from the start and readers see a whole one.
fn write(file: &Path, text: &str, mode: u32) -> Result<(), CaError> {
    let mut fresh = file.as_os_str().to_owned();
    fresh.push(".new");
    let fresh = PathBuf::from(fresh);
    let written = || {
        match std::fs::remove_file(&fresh) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut options = OpenOptions::new();
        let mut output = options
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&fresh)?;
        output.write_all(text.as_bytes())?;
        output.sync_all()?;
        std::fs::rename(&fresh, file)
    };
    written().map_err(|source| io_error(file, source))
}

fn io_error(file: &Path, source: io::Error) -> CaError {
    CaError::Io {
        file: file.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::PermissionsExt;

    use rustls_pki_types::CertificateDer;
    use rustls_pki_types::pem::PemObject;

    use super::*;
    use crate::tls::{Peer, peer_of};

    #[test]
    fn certificates_name_node_and_roles() {
        let folder = tempfile::tempdir().unwrap();
        let ca = Ca::generate(folder.path()).unwrap();
        let (cert, _) = ca
            .issue("be1", &[Role::Frontend, Role::Backend], &[])
            .unwrap();
        let cert = CertificateDer::from_pem_slice(cert.as_bytes()).unwrap();
        let expected = Peer {
            name: "be1".to_owned(),
            roles: vec![Role::Frontend, Role::Backend],
        };
        assert_eq!(peer_of(&[cert]), Some(expected));
        let ca = CertificateDer::from_pem_slice(ca.certificate_pem().as_bytes()).unwrap();
        assert_eq!(peer_of(&[ca]), None);
        assert_eq!(peer_of(&[]), None);
    }

    #[test]
    fn keys_are_private_and_an_existing_ca_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let ca = Ca::generate(folder.path()).unwrap();
        let files = ca
            .issue_into(&folder.path().join("be1"), "be1", &[Role::Backend], &[])
            .unwrap();
        for key in [folder.path().join("ca.key"), files.key] {
            let mode = std::fs::metadata(key).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        assert!(matches!(
            Ca::generate(folder.path()),
            Err(CaError::Exists(_))
        ));
        let again = Ca::load_or_generate(folder.path()).unwrap();
        assert_eq!(again.certificate_pem(), ca.certificate_pem());
    }

    #[test]
    fn a_certificate_is_made_anew_when_it_says_something_else() {
        let folder = tempfile::tempdir().unwrap();
        let ca = Ca::generate(&folder.path().join("ca")).unwrap();
        let out = folder.path().join("be1");
        let hosts = ["be1.example.org".to_owned(), "192.0.2.7".to_owned()];
        let roles = [Role::Backend];
        let margin = Duration::from_secs(24 * 60 * 60);
        let is_current = |name: &str, roles: &[Role], hosts: &[String], margin| {
            ca.is_current(&out, name, roles, hosts, margin)
        };
        assert!(!is_current("be1", &roles, &hosts, margin), "there is none");
        ca.issue_into(&out, "be1", &roles, &hosts).unwrap();
        assert!(is_current("be1", &roles, &hosts, margin));
        assert!(!is_current("be2", &roles, &hosts, margin));
        assert!(!is_current("be1", &[Role::Frontend], &hosts, margin));
        assert!(!is_current("be1", &roles, &hosts[..1], margin));
        assert!(!is_current(
            "be1",
            &roles,
            &hosts,
            Duration::from_secs((NODE_DAYS + 1) * 24 * 60 * 60)
        ));
        let other = Ca::generate(&folder.path().join("other")).unwrap();
        assert!(!other.is_current(&out, "be1", &roles, &hosts, margin));
        std::fs::remove_file(out.join("be1.key")).unwrap();
        assert!(!is_current("be1", &roles, &hosts, margin));
    }

    #[test]
    fn node_names() {
        for good in ["be1", "be-1", "be1.example.org"] {
            assert!(is_node_name(good), "{good}");
        }
        let long = "a".repeat(64);
        for bad in ["", "Be1", "be!1", "-a", "a-", "a..b", "be1.", long.as_str()] {
            assert!(!is_node_name(bad), "{bad}");
        }
        let folder = tempfile::tempdir().unwrap();
        let ca = Ca::generate(folder.path()).unwrap();
        assert!(matches!(
            ca.issue("*", &[Role::Backend], &[]),
            Err(CaError::Name(_))
        ));
        assert!(matches!(ca.issue("be1", &[], &[]), Err(CaError::NoRole)));
    }
}
