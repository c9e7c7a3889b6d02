//! Verification by the cluster's CA, which can be read again while in use, and by what is revoked.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use super::connected::{Admission, Connected, Shown};
use super::identity::{Reloadable, read_certificates, remember};
use super::revoked::{Revocation, Revoked};
use super::{TlsError, provider};

/// Whom a node believes: the cluster's CA, but for what is revoked. As a server's verifier it lets
/// clients go without a certificate.
#[derive(Debug)]
pub(super) struct Trust {
    file: PathBuf,
    /// The subjects of the CAs as first read, which tell clients which certificate is wanted. A
    /// hint only: verification is by `current`.
    hints: Vec<DistinguishedName>,
    current: ArcSwap<Verifiers>,
    revoked: ArcSwap<Revoked>,
    connected: Connected,
}

#[derive(Debug)]
struct Verifiers {
    of_servers: Arc<WebPkiServerVerifier>,
    of_clients: Arc<dyn ClientCertVerifier>,
}

impl Trust {
    pub(super) fn load(file: &Path) -> Result<Arc<Self>, TlsError> {
        let verifiers = read(file)?;
        let trust = Arc::new(Self {
            file: file.to_owned(),
            hints: verifiers.of_clients.root_hint_subjects().to_vec(),
            current: ArcSwap::new(Arc::new(verifiers)),
            revoked: ArcSwap::default(),
            connected: Connected::default(),
        });
        remember(Reloadable::Trust(Arc::downgrade(&trust)));
        Ok(trust)
    }

    /// Connections whose peers are not believed by what is read are closed.
    pub(super) fn reload(&self) -> Result<(), TlsError> {
        self.current.store(Arc::new(read(&self.file)?));
        self.connected.check(|shown| self.verify(shown));
        Ok(())
    }

    /// From now on these are revoked, and nothing else. Connections made with them are closed.
    pub(super) fn set_revoked(&self, revocations: impl IntoIterator<Item = Revocation>) {
        let revoked: Revoked = revocations.into_iter().collect();
        if **self.revoked.load() == revoked {
            return;
        }
        self.revoked.store(Arc::new(revoked));
        self.connected.check(|shown| self.verify(shown));
    }

    /// Closes connections whose peers' certificates have expired.
    pub(super) fn expire(&self) {
        self.connected.expire(SystemTime::now());
    }

    /// Takes in a connection whose peer has shown `chain`, as the server of that name or as a
    /// client. Checks the chain whatever the handshake did: a resumed one checks nothing.
    pub(super) fn admit(
        &self,
        chain: &[CertificateDer<'static>],
        server: Option<ServerName<'static>>,
    ) -> io::Result<Admission> {
        let chain = chain.to_vec();
        let shown = Shown { chain, server };
        self.connected.admit(shown, |shown| self.verify(shown))
    }

    fn verify(&self, shown: &Shown) -> Result<(), Error> {
        let Some((end_entity, others)) = shown.chain.split_first() else {
            return Err(Error::NoCertificatesPresented);
        };
        let now = UnixTime::now();
        match &shown.server {
            Some(name) => self
                .verify_server_cert(end_entity, others, name, &[], now)
                .map(drop),
            None => self.verify_client_cert(end_entity, others, now).map(drop),
        }
    }
}

fn read(file: &Path) -> Result<Verifiers, TlsError> {
    let unusable = |reason: String| TlsError::Unusable {
        file: file.to_owned(),
        reason,
    };
    let mut roots = RootCertStore::empty();
    for certificate in read_certificates(file)? {
        roots
            .add(certificate)
            .map_err(|error| unusable(error.to_string()))?;
    }
    let roots = Arc::new(roots);
    let of_servers = WebPkiServerVerifier::builder_with_provider(Arc::clone(&roots), provider())
        .build()
        .map_err(|error| unusable(error.to_string()))?;
    let of_clients = WebPkiClientVerifier::builder_with_provider(roots, provider())
        .allow_unauthenticated()
        .build()
        .map_err(|error| unusable(error.to_string()))?;
    Ok(Verifiers {
        of_servers,
        of_clients,
    })
}

impl ServerCertVerifier for Trust {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.revoked.load().check(end_entity)?;
        let current = self.current.load();
        let verifier = &current.of_servers;
        verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.current
            .load()
            .of_servers
            .verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.current
            .load()
            .of_servers
            .verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.current.load().of_servers.supported_verify_schemes()
    }
}

impl ClientCertVerifier for Trust {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.revoked.load().check(end_entity)?;
        self.current
            .load()
            .of_clients
            .verify_client_cert(end_entity, intermediates, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.current
            .load()
            .of_clients
            .verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.current
            .load()
            .of_clients
            .verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.current.load().of_clients.supported_verify_schemes()
    }
}
