//! Authorities and certificates of a test's own, in files.

use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;

use crate::support::plain_http_builder;

/// A certificate and its key, as a client or a server shows them.
#[derive(Debug, Clone)]
pub(crate) struct Pair {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

/// An authority that signs whatever a test asks for.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        // Of its own: OpenSSL takes a certificate for self-signed whose subject is its issuer.
        let name = "an authority of a test";
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::self_signed(params, key).unwrap())
    }

    /// The authority's own certificate.
    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    pub(crate) fn sign(&self, names: &[&str]) -> Pair {
        self.sign_until(names, 2090)
    }

    /// A certificate that is good until that year begins.
    pub(crate) fn sign_until(&self, names: &[&str], year: i32) -> Pair {
        let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.not_before = rcgen::date_time_ymd(2000, 1, 1);
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        let key = KeyPair::generate().unwrap();
        let signed = params.signed_by(&key, &self.0).unwrap();
        Pair {
            certificate: signed.pem(),
            key: key.serialize_pem(),
        }
    }

    /// A client that trusts this authority alone, and shows `identity` where there is one.
    pub(crate) fn client(&self, identity: Option<&Pair>) -> reqwest::ClientBuilder {
        let root = reqwest::Certificate::from_pem(self.pem().as_bytes()).unwrap();
        let builder = plain_http_builder().tls_certs_only([root]);
        match identity {
            None => builder,
            Some(Pair { certificate, key }) => {
                let pem = format!("{certificate}{key}");
                builder.identity(reqwest::Identity::from_pem(pem.as_bytes()).unwrap())
            }
        }
    }
}

/// A folder of certificates.
#[derive(Debug)]
pub(crate) struct Files(TempDir);

impl Files {
    pub(crate) fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Puts `NAME.pem` and `NAME.key` in place of what lies there, each at once.
    pub(crate) fn put(&self, name: &str, pair: &Pair) {
        self.put_one(&format!("{name}.key"), &pair.key);
        self.put_one(&format!("{name}.pem"), &pair.certificate);
    }

    pub(crate) fn put_one(&self, name: &str, text: &str) {
        let aside = self.path(&format!("{name}.new"));
        std::fs::write(&aside, text).unwrap();
        std::fs::rename(aside, self.path(name)).unwrap();
    }

    /// The settings of a table for these pairs.
    pub(crate) fn settings(&self, names: &[&str]) -> String {
        let list = |ending: &str| {
            let path = |name: &&str| quoted(&self.path(&format!("{name}.{ending}")));
            names.iter().map(path).collect::<Vec<_>>().join(", ")
        };
        format!("certificate = [{}]\nkey = [{}]\n", list("pem"), list("key"))
    }
}

pub(crate) fn quoted(path: &Path) -> String {
    format!("\"{}\"", path.display())
}
