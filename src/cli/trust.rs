//! Whom a command trusts over TLS, and what it shows of itself.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, SignatureScheme};

use super::admin_client::ClientError;
use crate::auth::sigv4::sha256_hex;

/// Files of certificates
#[derive(Debug, Clone, Args)]
pub(super) struct Trust {
    /// Authorities (PEM) that the server's certificate must come from, instead of the system's
    #[arg(long, value_name = "FILE", env = "CONSIGN_CA_FILE", global = true)]
    ca_file: Option<PathBuf>,
    /// A certificate (PEM) to show to a server that asks for one
    #[arg(
        long,
        value_name = "FILE",
        env = "CONSIGN_CLIENT_CERTIFICATE",
        requires = "client_key",
        global = true
    )]
    client_certificate: Option<PathBuf>,
    /// The key of that certificate
    #[arg(
        long,
        value_name = "FILE",
        env = "CONSIGN_CLIENT_KEY",
        requires = "client_certificate",
        global = true
    )]
    client_key: Option<PathBuf>,
}

type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

impl Trust {
    /// A client that trusts by the rules of its arguments. `known` are certificates (SHA-256) which the
    /// data folder names: who may read it has its root key, and needs no authority to know its server.
    ///
    /// # Errors
    /// [`ClientError::Trust`].
    pub(super) fn client(&self, known: Vec<String>) -> Result<reqwest::ClientBuilder, ClientError> {
        // It fails only where a provider is installed already, which serves as well.
        drop(ring::default_provider().install_default());
        let builder = reqwest::Client::builder();
        if known.is_empty() && self.ca_file.is_none() && self.client_certificate.is_none() {
            return Ok(builder);
        }
        let mut config = self.config(known)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(builder.tls_backend_preconfigured(config))
    }

    /// By the same rules, for connections of the caller's own.
    ///
    /// # Errors
    /// [`ClientError::Trust`].
    pub(super) fn config(&self, known: Vec<String>) -> Result<rustls::ClientConfig, ClientError> {
        let provider = Arc::new(ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(Arc::clone(&provider));
        let config = config.with_safe_default_protocol_versions();
        let config = config.map_err(|error| fault(Path::new("TLS"), error))?;
        let config = match &self.ca_file {
            Some(path) => config.with_root_certificates(roots(path)?),
            None if known.is_empty() => config.with_root_certificates(system_roots()?),
            None => config
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(Known {
                    fingerprints: known,
                    provider,
                })),
        };
        match self.identity()? {
            None => Ok(config.with_no_client_auth()),
            Some((chain, key)) => config
                .with_client_auth_cert(chain, key)
                .map_err(|error| fault(self.client_key.as_deref().unwrap_or(Path::new("")), error)),
        }
    }

    fn identity(&self) -> Result<Option<Identity>, ClientError> {
        let (Some(certificate), Some(key)) = (&self.client_certificate, &self.client_key) else {
            return Ok(None);
        };
        let chain = certificates(certificate)?;
        let key = PrivateKeyDer::from_pem_file(key).map_err(|error| fault(key, error))?;
        Ok(Some((chain, key)))
    }
}

fn fault(path: &Path, error: impl std::fmt::Display) -> ClientError {
    ClientError::Trust {
        path: path.to_owned(),
        message: error.to_string(),
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, ClientError> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    read.map_err(|error| fault(path, error))
}

fn roots(path: &Path) -> Result<rustls::RootCertStore, ClientError> {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in certificates(path)? {
        let added = roots.add(certificate);
        added.map_err(|error| fault(path, error))?;
    }
    Ok(roots)
}

/// What the system trusts, or what `SSL_CERT_FILE` names in its stead.
fn system_roots() -> Result<rustls::RootCertStore, ClientError> {
    let mut roots = rustls::RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let what = found.errors.iter().map(ToString::to_string);
        let what = what.collect::<Vec<_>>().join(", ");
        return Err(fault(Path::new("the system's authorities"), what));
    }
    Ok(roots)
}

/// Trusts these very certificates, for whatever name and time: they were seen, not vouched for.
#[derive(Debug)]
struct Known {
    fingerprints: Vec<String>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Known {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let shown = sha256_hex(end_entity);
        if self.fingerprints.contains(&shown) {
            return Ok(ServerCertVerified::assertion());
        }
        let unknown = CertificateError::ApplicationVerificationFailure;
        Err(rustls::Error::InvalidCertificate(unknown))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, cert, dss, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
