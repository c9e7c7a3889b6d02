//! Certificates with their keys, which can be read again while in use.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::peer::DOMAIN;
use super::trust::Trust;
use super::{TlsError, provider};

/// Something read from files that [`reload_all`] reads again.
pub(super) enum Reloadable {
    Identity(Weak<Identity>),
    Trust(Weak<Trust>),
}

/// What of the process is in use; entries whose owner is gone are dropped as others are added.
static IN_USE: Mutex<Vec<Reloadable>> = Mutex::new(Vec::new());

pub(super) fn remember(added: Reloadable) {
    let mut in_use = IN_USE.lock();
    in_use.retain(|entry| match entry {
        Reloadable::Identity(identity) => identity.strong_count() > 0,
        Reloadable::Trust(trust) => trust.strong_count() > 0,
    });
    in_use.push(added);
}

/// Reads every certificate file of the process again. One that cannot be used leaves its former
/// content in use, and is in the answer.
#[must_use]
pub fn reload_all() -> Vec<TlsError> {
    let in_use = IN_USE.lock();
    let reloaded = in_use.iter().filter_map(|entry| match entry {
        Reloadable::Identity(identity) => identity.upgrade().map(|it| it.reload()),
        Reloadable::Trust(trust) => trust.upgrade().map(|it| it.reload()),
    });
    reloaded.filter_map(Result::err).collect()
}

/// A certificate chain and its key.
#[derive(Debug)]
pub(super) struct Identity {
    cert: PathBuf,
    key: PathBuf,
    current: ArcSwap<CertifiedKey>,
}

impl Identity {
    pub(super) fn load(cert: &Path, key: &Path) -> Result<Arc<Self>, TlsError> {
        let identity = Arc::new(Self {
            cert: cert.to_owned(),
            key: key.to_owned(),
            current: ArcSwap::new(Arc::new(read(cert, key)?)),
        });
        remember(Reloadable::Identity(Arc::downgrade(&identity)));
        Ok(identity)
    }

    pub(super) fn reload(&self) -> Result<(), TlsError> {
        self.current.store(Arc::new(read(&self.cert, &self.key)?));
        Ok(())
    }

    pub(super) fn chain(&self) -> Vec<CertificateDer<'static>> {
        self.current.load().cert.clone()
    }
}

fn read(cert: &Path, key: &Path) -> Result<CertifiedKey, TlsError> {
    let chain = read_certificates(cert)?;
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| pem_error(key, error))?;
    CertifiedKey::from_der(chain, private, &provider()).map_err(|error| TlsError::Unusable {
        file: key.to_owned(),
        reason: format!("not a usable key for {}: {error}", cert.display()),
    })
}

pub(crate) fn read_certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certificates = CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| pem_error(file, error))?;
    if certificates.is_empty() {
        return Err(TlsError::Unusable {
            file: file.to_owned(),
            reason: "holds no certificate".to_owned(),
        });
    }
    Ok(certificates)
}

fn pem_error(file: &Path, error: rustls_pki_types::pem::Error) -> TlsError {
    match error {
        rustls_pki_types::pem::Error::Io(source) => TlsError::Read {
            file: file.to_owned(),
            source,
        },
        rustls_pki_types::pem::Error::NoItemsFound => TlsError::Unusable {
            file: file.to_owned(),
            reason: "holds nothing of the kind that is needed (PEM)".to_owned(),
        },
        other => TlsError::Unusable {
            file: file.to_owned(),
            reason: format!("not PEM: {other}"),
        },
    }
}

impl ResolvesClientCert for Identity {
    fn resolve(&self, _hints: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load_full())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// Chooses the certificate by the name that the client asks for.
#[derive(Debug)]
pub(super) struct NameResolver {
    clients: Arc<Identity>,
    nodes: Option<Arc<Identity>>,
}

impl NameResolver {
    /// `nodes` is shown to those that ask for a name of the cluster, `clients` to all others.
    pub(super) fn new(clients: Arc<Identity>, nodes: Option<Arc<Identity>>) -> Self {
        Self { clients, nodes }
    }
}

impl ResolvesServerCert for NameResolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let of_the_cluster = hello
            .server_name()
            .is_some_and(|name| name.ends_with(DOMAIN));
        let identity = match &self.nodes {
            Some(nodes) if of_the_cluster => nodes,
            _ => &self.clients,
        };
        Some(identity.current.load_full())
    }
}
