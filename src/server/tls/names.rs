//! Which certificate is shown: the one for the name that the client asked for, or the first.

use std::sync::Arc;

use rustls::pki_types::{DnsName, ServerName};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use webpki::EndEntityCert;

use super::files::Pair;

/// Certificates in the order of the configuration.
#[derive(Debug)]
pub(super) struct ByName(Vec<Arc<CertifiedKey>>);

impl ByName {
    pub(super) fn new(pairs: Vec<Pair>) -> Self {
        Self(pairs.into_iter().map(|pair| pair.key).collect())
    }

    /// The certificate for `name`. Who asks for a name of nobody's, or for none, is shown the first.
    pub(super) fn find(&self, name: Option<&str>) -> Option<Arc<CertifiedKey>> {
        let name = name.and_then(|name| DnsName::try_from(name.to_owned()).ok());
        let for_name = name.and_then(|name| {
            let name = ServerName::DnsName(name);
            self.0.iter().find(|key| is_for(key, &name))
        });
        for_name.or(self.0.first()).cloned()
    }
}

/// The names that a certificate is for: those of the system of names, as it holds them.
pub(super) fn names_of(key: &CertifiedKey) -> Vec<String> {
    let certificate = key.cert.first();
    let certificate = certificate.and_then(|first| EndEntityCert::try_from(first).ok());
    let names = certificate
        .iter()
        .flat_map(|certificate| certificate.valid_dns_names());
    names.map(str::to_owned).collect()
}

fn is_for(key: &CertifiedKey, name: &ServerName<'_>) -> bool {
    let certificate = key.cert.first();
    let certificate = certificate.and_then(|first| EndEntityCert::try_from(first).ok());
    certificate
        .is_some_and(|certificate| certificate.verify_is_valid_for_subject_name(name).is_ok())
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.find(hello.server_name())
    }
}
