//! A changed configuration, while the server runs.
//!
//! Everything that can fail is made first, and then put in place: a configuration holds as a whole or
//! not at all. Requests, connections and calls that have begun keep what they began with.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use arc_swap::ArcSwap;
use serde_json::json;
use tokio::sync::{Mutex, mpsc, oneshot, watch};

use super::announce::Announcement;
use super::audit::AuditLog;
use super::run::Times;
use super::settings::{callbacks_of, settings_of, throttle_of};
use super::tls::{Current, Tls, TlsError};
use super::{StartError, access_log, oss, telemetry};
use crate::callback::Callbacks;
use crate::clock::Timestamp;
use crate::config::{Config, Limits, TlsSettings};
use crate::metrics::Reading;
use crate::s3::Service;
use crate::s3::explain::Explainer;
use crate::store::scrub::ByteRate;

/// Orders to reload that wait.
const WAITING_MAX: usize = 4;

/// What of a server follows its configuration.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) running: Mutex<Config>,
    pub(super) service: Arc<ArcSwap<Service>>,
    pub(super) limits: Arc<ArcSwap<Limits>>,
    pub(super) callbacks: Arc<Callbacks>,
    pub(super) explainer: Arc<ArcSwap<Explainer>>,
    pub(super) times: watch::Sender<Times>,
    pub(super) scrub_rate: ByteRate,
    pub(super) access_log: access_log::Rules,
    pub(super) audit: Option<Arc<AuditLog>>,
    pub(super) reloads: Arc<Reloads>,
    pub(super) main: Option<Arc<Tls>>,
    pub(super) admin: Option<Arc<Tls>>,
    pub(super) announcement: Announcement,
}

impl Live {
    /// Takes what of `config` takes effect at once; returns the settings that wait for a restart.
    ///
    /// # Errors
    /// [`StartError`]: then everything is as before.
    pub(super) async fn reload(&self, config: &Config) -> Result<Vec<&'static str>, StartError> {
        let mut running = self.running.lock().await;
        let next = running.reloaded(config);
        let waiting = running.waiting(config);
        let callbacks = self.callbacks.prepare(&callbacks_of(&next.callback))?;
        let oss = oss::wire(&next, &self.announcement.endpoint).await?;
        let doors = [
            (&self.main, next.tls.clone()),
            (&self.admin, next.admin_tls()),
        ];
        let certificates = read(doors).await?;
        let now = self.service.load_full();
        let named = next.encryption.kms_keys.clone();
        let masters = now.masters.clone();
        let masters = masters.with_named(named.map(|names| names.into_iter().collect()));
        let settings = settings_of(&next);
        let (reach, auth) = (Arc::clone(&settings.reach), settings.auth());
        // From here on nothing fails.
        let explainer = self.explainer.load().reconfigured(reach, auth);
        self.explainer.store(Arc::new(explainer));
        let service = now.reconfigured(settings, throttle_of(&next.guard), masters, oss);
        self.service.store(Arc::new(service));
        self.limits.store(Arc::new(next.limits));
        self.callbacks.configure(callbacks);
        self.pace(&next);
        for (tls, current) in certificates {
            tls.take(current);
        }
        if let Err(error) = self.announcement.publish() {
            tracing::error!(%error, "commands can't be told of the new certificates");
        }
        *running = next;
        Ok(waiting)
    }

    /// How much, how often and in which form what no request waits for is done.
    fn pace(&self, next: &Config) {
        self.times.send_replace(Times::of(next));
        self.scrub_rate.set(next.scrub.bytes_per_second);
        self.access_log.store(Arc::new(next.access_log.clone()));
        if let Some(audit) = &self.audit {
            audit.rotate_at(next.audit.file_bytes);
        }
        if let Some(tracer) = &self.service.load().tracer {
            tracer.configure(telemetry::tracer_of(&next.telemetry));
        }
    }

    /// Counts and writes down what came of an attempt to take another configuration.
    pub(super) async fn note(&self, outcome: &Result<Vec<&'static str>, String>) {
        let now = self.service.load().clock.now();
        self.reloads.note(outcome.is_ok(), now);
        if let Some(audit) = &self.audit {
            let told = match outcome {
                Ok(waiting) => json!({ "outcome": "success", "waiting_for_restart": waiting }),
                Err(error) => json!({ "outcome": "failure", "error": error }),
            };
            audit.tell("reload", &told).await;
        }
    }
}

/// What came of attempts to take another configuration.
#[derive(Debug)]
pub(super) struct Reloads {
    good: AtomicU64,
    faulty: AtomicU64,
    last_was_good: AtomicBool,
    good_s: AtomicI64,
}

impl Reloads {
    /// None yet, of a server that took its configuration at `start`.
    pub(super) const fn since(start: Timestamp) -> Self {
        Self {
            good: AtomicU64::new(0),
            faulty: AtomicU64::new(0),
            last_was_good: AtomicBool::new(true),
            good_s: AtomicI64::new(start.unix_s()),
        }
    }

    fn note(&self, is_good: bool, now: Timestamp) {
        self.last_was_good.store(is_good, Ordering::Relaxed);
        if is_good {
            self.good_s.store(now.unix_s(), Ordering::Relaxed);
        }
        let counter = if is_good { &self.good } else { &self.faulty };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// As Prometheus tells its own.
    pub(super) fn readings(&self) -> Vec<Reading> {
        let counted = |outcome: &str, counter: &AtomicU64| {
            let help = "Orders to read the configuration again, by what came of them";
            let counter = counter.load(Ordering::Relaxed);
            Reading::counter("consign_config_reloads", help, counter).labelled("outcome", outcome)
        };
        vec![
            Reading::gauge(
                "consign_config_last_reload_successful",
                "0 where the configuration was faulty when it was read last: the one before holds",
                self.last_was_good.load(Ordering::Relaxed),
            ),
            Reading::gauge(
                "consign_config_last_reload_success_timestamp_seconds",
                "When the present configuration was taken, in seconds of the Unix epoch",
                self.good_s.load(Ordering::Relaxed),
            ),
            counted("success", &self.good),
            counted("failure", &self.faulty),
        ]
    }
}

/// Reads the certificates of those doors that show any.
async fn read(
    doors: [(&Option<Arc<Tls>>, TlsSettings); 2],
) -> Result<Vec<(Arc<Tls>, Current)>, StartError> {
    let mut wanted = Vec::new();
    for (tls, settings) in doors {
        wanted.extend(tls.clone().map(|tls| (tls, settings)));
    }
    let reading = tokio::task::spawn_blocking(move || {
        let read = wanted.into_iter().map(|(tls, settings)| {
            let current = Current::read(&settings)?;
            Ok((tls, current))
        });
        read.collect::<Result<Vec<_>, TlsError>>()
    });
    let interrupted = |error: tokio::task::JoinError| StartError::Interrupted(error.to_string());
    Ok(reading.await.map_err(interrupted)??)
}

/// An operator's order to read the configuration again.
#[derive(Debug)]
pub struct Order(oneshot::Sender<Result<Vec<&'static str>, String>>);

impl Order {
    /// Tells what came of it: the settings that wait for a restart, or why nothing changed.
    pub fn answer(self, outcome: Result<Vec<&'static str>, String>) {
        // Who asked may be gone.
        drop(self.0.send(outcome));
    }
}

/// Where orders are given.
pub(super) type Orders = mpsc::Sender<Order>;

/// Where orders are given, and where they come out.
pub(super) fn orders() -> (Orders, mpsc::Receiver<Order>) {
    mpsc::channel(WAITING_MAX)
}

/// Gives an order and waits for what comes of it. Outer: nobody is there to heed it.
pub(super) async fn order(to: &Orders) -> Option<Result<Vec<&'static str>, String>> {
    let (answer, answered) = oneshot::channel();
    to.try_send(Order(answer)).ok()?;
    answered.await.ok()
}
