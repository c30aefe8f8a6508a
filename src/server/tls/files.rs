//! Certificates and keys as they lie in files.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use crate::clock::Timestamp;
use crate::config::TlsSettings;

/// Bytes of one file: a chain of certificates has some thousands.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Why certificates can't be taken.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file can't be read.
    #[error("can't read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file doesn't hold what it should.
    #[error("{} {message}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// A certificate and a key don't belong together.
    #[error("the key in {} does not fit the certificate in {}: {source}", key.display(),
        certificate.display())]
    Pair {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What the library said.
        source: rustls::Error,
    },
    /// The authorities of clients can't be used.
    #[error("the authorities of clients can't be used: {0}")]
    ClientCa(String),
    /// No version of the protocol fits.
    #[error("TLS can't be set up: {0}")]
    Protocol(rustls::Error),
}

/// A certificate with its chain and its key.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) key: Arc<CertifiedKey>,
    /// When it expires.
    pub(super) expires: Timestamp,
}

/// What tells a file from the one that lay there before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stamp(Vec<Option<(SystemTime, u64, u64)>>);

impl Stamp {
    /// The files of `settings` as they are now, links followed.
    pub(super) fn of(settings: &TlsSettings) -> Self {
        let paths = settings
            .pairs()
            .flat_map(|(certificate, key)| [certificate, key]);
        let paths = paths.chain(settings.client_ca.as_deref());
        Self(paths.map(stamp).collect())
    }
}

fn stamp(path: &Path) -> Option<(SystemTime, u64, u64)> {
    use std::os::unix::fs::MetadataExt as _;
    let data = std::fs::metadata(path).ok()?;
    Some((data.modified().ok()?, data.len(), data.ino()))
}

/// Reads a certificate with its chain, and the key that belongs to it.
pub(super) fn read_pair((certificate, key): (&Path, &Path)) -> Result<Pair, TlsError> {
    let chain = read_certificates(certificate)?;
    let wrong = |path: &Path, message: String| TlsError::Content {
        path: path.to_owned(),
        message,
    };
    let text = read(key)?;
    let secret = PrivateKeyDer::from_pem_slice(&text).map_err(|error| {
        let message = format!("holds no private key in PEM ({error})");
        wrong(key, message)
    })?;
    let expires = match chain.first() {
        Some(first) => expiry(first),
        None => Err("holds no certificate in PEM".to_owned()),
    };
    let expires = expires.map_err(|message| wrong(certificate, message))?;
    let provider = rustls::crypto::ring::default_provider();
    let fitting = CertifiedKey::from_der(chain, secret, &provider);
    let fitting = fitting.map_err(|source| TlsError::Pair {
        certificate: certificate.to_owned(),
        key: key.to_owned(),
        source,
    })?;
    Ok(Pair {
        key: Arc::new(fitting),
        expires,
    })
}

/// Reads the authorities whose word on clients counts.
pub(super) fn read_roots(path: &Path) -> Result<RootCertStore, TlsError> {
    let wrong = |message: String| TlsError::Content {
        path: path.to_owned(),
        message,
    };
    let mut roots = RootCertStore::empty();
    for certificate in read_certificates(path)? {
        let added = roots.add(certificate);
        added.map_err(|error| wrong(format!("holds no authority's certificate: {error}")))?;
    }
    if roots.is_empty() {
        return Err(wrong("holds no certificate in PEM".to_owned()));
    }
    Ok(roots)
}

fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = read(path)?;
    let certificates = CertificateDer::pem_slice_iter(&text).collect::<Result<Vec<_>, _>>();
    certificates.map_err(|error| TlsError::Content {
        path: path.to_owned(),
        message: format!("is no file of certificates in PEM ({error})"),
    })
}

fn read(path: &Path) -> Result<zeroize::Zeroizing<Vec<u8>>, TlsError> {
    use std::io::Read as _;
    let mut bytes = zeroize::Zeroizing::new(Vec::new());
    let read = std::fs::File::open(path)
        .and_then(|file| file.take(FILE_BYTES_MAX).read_to_end(&mut bytes));
    match read {
        Ok(_len) => Ok(bytes),
        Err(source) => Err(TlsError::Read {
            path: path.to_owned(),
            source,
        }),
    }
}

/// When a certificate expires.
fn expiry(certificate: &CertificateDer<'_>) -> Result<Timestamp, String> {
    not_after(certificate).ok_or_else(|| "holds a certificate that is none".to_owned())
}

/// The end of a certificate's validity: its first field's fifth, and of that the second.
///
/// <https://www.rfc-editor.org/rfc/rfc5280#section-4.1>
fn not_after(certificate: &[u8]) -> Option<Timestamp> {
    const SEQUENCE: u8 = 0x30;
    const VERSION: u8 = 0xa0;
    const UTC_TIME: u8 = 0x17;
    const GENERALIZED_TIME: u8 = 0x18;
    let (outer, _) = field(certificate).filter(|((tag, _), _)| *tag == SEQUENCE)?;
    let ((_, mut rest), _) = field(outer.1).filter(|((tag, _), _)| *tag == SEQUENCE)?;
    if let ((VERSION, _), behind) = field(rest)? {
        rest = behind;
    }
    // The serial number, the signature's algorithm, the issuer.
    for _ in 0..3 {
        rest = field(rest)?.1;
    }
    let ((_, validity), _) = field(rest).filter(|((tag, _), _)| *tag == SEQUENCE)?;
    let (_not_before, rest) = field(validity)?;
    let ((tag, text), _) = field(rest)?;
    let text = std::str::from_utf8(text).ok()?;
    let text = match tag {
        // Of the years 1950 to 2049.
        UTC_TIME if text < "5" => format!("20{text}"),
        UTC_TIME => format!("19{text}"),
        GENERALIZED_TIME => text.to_owned(),
        _ => return None,
    };
    let (day, time) = text.split_at_checked(8)?;
    Timestamp::parse_amz_date(&format!("{day}T{time}")).ok()
}

/// A field in DER: its tag and its content.
type Field<'a> = (u8, &'a [u8]);

/// The first field of `bytes`, and what follows it.
fn field(bytes: &[u8]) -> Option<(Field<'_>, &[u8])> {
    let (&[tag, short], rest) = bytes.split_first_chunk::<2>()?;
    let (len, rest) = match usize::from(short) {
        short @ 0..=0x7f => (short, rest),
        // So many bytes of length follow; four are more than a file may have.
        long @ 0x81..=0x84 => {
            let (len, rest) = rest.split_at_checked(long - 0x80)?;
            let len = len
                .iter()
                .fold(0, |len, byte| len << 8 | usize::from(*byte));
            (len, rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(len)?;
    Some(((tag, content), rest))
}
