use std::path::{Path, PathBuf};

use rsa::pkcs1::EncodeRsaPrivateKey as _;
use rsa::pkcs8::DecodePrivateKey as _;

use super::*;
use crate::clock::ManualClock;

fn put(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

fn settings(certificate: PathBuf, key: PathBuf) -> TlsSettings {
    TlsSettings {
        certificates: vec![certificate],
        keys: vec![key],
        client_ca: None,
    }
}

fn load(settings: &TlsSettings) -> Result<Tls, TlsError> {
    let now = Timestamp::from_unix_s(1_700_000_000);
    Tls::load(settings, Arc::new(ManualClock::at(now)))
}

fn certificate(key: &rcgen::KeyPair) -> String {
    let mut params = rcgen::CertificateParams::new(vec!["a.test".to_owned()]).unwrap();
    params.not_after = rcgen::date_time_ymd(2031, 2, 3);
    params.self_signed(key).unwrap().pem()
}

#[test]
fn a_pair_is_taken_whatever_form_its_key_has() {
    let folder = tempfile::tempdir().unwrap();
    let pkcs8 = crate::callback::oss::new_key().unwrap();
    let secret = rsa::PrivateKey::from_pkcs8_pem(&pkcs8).unwrap();
    let ending = rsa::pkcs8::LineEnding::LF;
    let pkcs1 = secret.to_pkcs1_pem(ending).unwrap();
    let of_rsa = rcgen::KeyPair::from_pem(&pkcs8).unwrap();
    let of_curve = rcgen::KeyPair::generate().unwrap();
    for (pair, key) in [
        (&of_rsa, pkcs8.to_string()),
        (&of_rsa, pkcs1.to_string()),
        (&of_curve, of_curve.serialize_pem()),
    ] {
        let shown = put(folder.path(), "pem", &certificate(pair));
        let tls = load(&settings(shown, put(folder.path(), "key", &key))).unwrap();
        assert_eq!(tls.expires().iso8601_s(), "2031-02-03T00:00:00Z");
        assert_eq!(tls.fingerprints().len(), 1);
    }
}

/// Each form of a time, and of a length.
#[test]
fn an_expiry_is_read_from_whatever_form_it_has() {
    let folder = tempfile::tempdir().unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    for (year, says) in [
        (1999, "1999-02-03T00:00:00Z"),
        (2049, "2049-02-03T00:00:00Z"),
        (2050, "2050-02-03T00:00:00Z"),
        (2999, "2999-02-03T00:00:00Z"),
    ] {
        let names: Vec<_> = (0..year / 10).map(|name| format!("{name}.test")).collect();
        let mut params = rcgen::CertificateParams::new(names).unwrap();
        params.not_after = rcgen::date_time_ymd(year, 2, 3);
        let certificate = params.self_signed(&key).unwrap().pem();
        let shown = put(folder.path(), "pem", &certificate);
        let secret = put(folder.path(), "key", &key.serialize_pem());
        let tls = load(&settings(shown, secret)).unwrap();
        assert_eq!(tls.expires().iso8601_s(), says);
    }
}

#[test]
fn what_is_no_pair_is_refused_with_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let (key, other) = (
        rcgen::KeyPair::generate().unwrap(),
        rcgen::KeyPair::generate().unwrap(),
    );
    let good = put(folder.path(), "good.pem", &certificate(&key));
    let its_key = put(folder.path(), "good.key", &key.serialize_pem());
    let others = put(folder.path(), "other.key", &other.serialize_pem());
    let text = put(folder.path(), "text", "no PEM at all");
    let gone = folder.path().join("gone");
    for (certificate, key, says) in [
        (&good, &others, "does not fit the certificate"),
        (&good, &text, "holds no private key"),
        (&good, &good, "holds no private key"),
        (&text, &its_key, "holds no certificate"),
        (&gone, &its_key, "can't read"),
        (&good, &gone, "can't read"),
    ] {
        let refused = load(&settings(certificate.clone(), key.clone()));
        let said = refused.unwrap_err().to_string();
        assert!(said.contains(says), "{said}");
    }
    for client_ca in [&text, &gone] {
        let asked = TlsSettings {
            client_ca: Some(client_ca.clone()),
            ..settings(good.clone(), its_key.clone())
        };
        load(&asked).unwrap_err();
    }
}
