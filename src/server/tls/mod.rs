//! TLS: certificates that are read anew while the server runs, and the handshake of a connection.

mod files;
mod handshake;
mod names;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{RootCertStore, ServerConfig};
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

use crate::clock::{Clock, Timestamp};
use crate::config::TlsSettings;

pub use self::files::TlsError;
pub(super) use self::handshake::{Stream, shake_hands};

use self::files::{Pair, Stamp};
use self::names::ByName;

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// From then on an expiry is told with each reading of the files.
const EXPIRY_NEAR_DAYS: u64 = 14;

/// A door's certificates.
#[derive(Debug)]
pub(super) struct Tls {
    clock: Arc<dyn Clock>,
    current: ArcSwap<Current>,
    /// Whether the files hold something that can't be taken: the last good ones are shown.
    is_stale: AtomicBool,
}

/// A certificate that is shown.
#[derive(Debug, Clone)]
pub(super) struct Shown {
    /// Its file.
    pub(super) file: String,
    /// The names that it is for, with commas between them.
    pub(super) names: String,
    /// When it expires.
    pub(super) expires: Timestamp,
}

/// What was read of the files.
#[derive(Debug)]
pub(super) struct Current {
    /// Which files they are.
    settings: TlsSettings,
    server: Arc<ServerConfig>,
    /// SHA-256 of each certificate, in hexadecimal.
    fingerprints: Vec<String>,
    shown: Vec<Shown>,
    stamp: Stamp,
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// [`TlsError`] names the file and what is wrong with it.
    pub(super) fn load(settings: &TlsSettings, clock: Arc<dyn Clock>) -> Result<Self, TlsError> {
        let current = Current::read(settings)?;
        current.warn_of_expiry(clock.now());
        Ok(Self {
            clock,
            current: ArcSwap::from_pointee(current),
            is_stale: AtomicBool::new(false),
        })
    }

    /// Reads the files again. Connections keep what they began with; so does everything where the
    /// files are faulty.
    fn reload(&self) -> Result<(), TlsError> {
        let settings = self.current.load().settings.clone();
        let read = Current::read(&settings);
        self.is_stale.store(read.is_err(), Ordering::Relaxed);
        self.take(read?);
        Ok(())
    }

    /// Shows other certificates from now on.
    pub(super) fn take(&self, current: Current) {
        current.warn_of_expiry(self.clock.now());
        self.is_stale.store(false, Ordering::Relaxed);
        self.current.store(Arc::new(current));
    }

    /// Which certificates are shown: SHA-256 of each, in hexadecimal.
    pub(super) fn fingerprints(&self) -> Vec<String> {
        self.current.load().fingerprints.clone()
    }

    /// When the first of them expires.
    pub(super) fn expires(&self) -> Timestamp {
        self.current.load().expires()
    }

    /// The certificates that are shown.
    pub(super) fn shown(&self) -> Vec<Shown> {
        self.current.load().shown.clone()
    }

    /// Whether the files hold something that can't be taken: the last good ones are shown.
    pub(super) fn is_stale(&self) -> bool {
        self.is_stale.load(Ordering::Relaxed)
    }

    fn server(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current.load().server)
    }
}

/// Looks at the files every now and then, and calls `changed` once new ones were taken.
pub(super) async fn watch(tls: Arc<Tls>, changed: impl Fn(), stop: CancellationToken) {
    let mut seen = tls.current.load().stamp.clone();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
        let looked = Arc::clone(&tls);
        let look = move || {
            let current = looked.current.load_full();
            let now = Stamp::of(&current.settings);
            // Somebody else may have read these already.
            let known = now == current.stamp;
            let outcome = (!known && now != seen).then(|| looked.reload());
            (now, outcome)
        };
        // Where the task fails there is nothing to tell of the files.
        let Ok((now, outcome)) = tokio::task::spawn_blocking(look).await else {
            return;
        };
        // A fault is told once: not again before the files change again.
        seen = now;
        match outcome {
            None => {}
            Some(Ok(())) => {
                tracing::info!("took the new certificates");
                changed();
            }
            Some(Err(error)) => {
                tracing::error!(%error, "the new certificates are faulty: the old ones stay");
            }
        }
    }
}

impl Shown {
    fn of((file, pair): (&Path, &Pair)) -> Self {
        Self {
            file: file.display().to_string(),
            names: names::names_of(&pair.key).join(","),
            expires: pair.expires,
        }
    }
}

impl Current {
    /// Reads the files of `settings`.
    ///
    /// # Errors
    /// [`TlsError`].
    pub(super) fn read(settings: &TlsSettings) -> Result<Self, TlsError> {
        // Before the files: what changes while they are read is seen as a change afterwards.
        let stamp = Stamp::of(settings);
        let pairs = settings.pairs().map(files::read_pair);
        let pairs = pairs.collect::<Result<Vec<_>, _>>()?;
        let files = settings.pairs().map(|(certificate, _key)| certificate);
        let shown = files.zip(&pairs).map(Shown::of).collect();
        let fingerprint = |pair: &Pair| pair.key.cert.first().map(|cert| hex_sha256(cert));
        let fingerprints = pairs.iter().filter_map(fingerprint).collect();
        let verifier = settings.client_ca.as_deref().map(files::read_roots);
        let server = config_of(pairs, verifier.transpose()?)?;
        Ok(Self {
            settings: settings.clone(),
            server: Arc::new(server),
            fingerprints,
            shown,
            stamp,
        })
    }

    /// When the first of them expires.
    fn expires(&self) -> Timestamp {
        let all = self.shown.iter().map(|shown| shown.expires);
        all.min().unwrap_or(Timestamp::from_unix_s(0))
    }

    fn warn_of_expiry(&self, now: Timestamp) {
        let expires = self.expires();
        let days = expires.since(now).as_secs() / (24 * 60 * 60);
        if expires <= now {
            tracing::error!("a certificate has expired: clients will refuse it");
        } else if days < EXPIRY_NEAR_DAYS {
            tracing::warn!(days, "a certificate expires soon");
        }
    }
}

fn hex_sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

fn config_of(pairs: Vec<Pair>, client_ca: Option<RootCertStore>) -> Result<ServerConfig, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Protocol)?;
    let asks_for_client = client_ca.is_some();
    let builder = match client_ca {
        None => builder.with_no_client_auth(),
        Some(roots) => builder.with_client_cert_verifier(verifier(roots, provider)?),
    };
    let mut config = builder.with_cert_resolver(Arc::new(ByName::new(pairs)));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    if asks_for_client {
        // A resumed session would not ask again: a certificate that expired, or whose CA is no longer
        // trusted, must not live on in one.
        config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
    }
    Ok(config)
}

fn verifier(
    roots: RootCertStore,
    provider: Arc<rustls::crypto::CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map_err(|error| TlsError::ClientCa(error.to_string()))
}

#[cfg(test)]
mod tests;
