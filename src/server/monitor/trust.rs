//! What an operator trusts in, as numbers: certificates, the audit log, who is kept out, the last check,
//! the configuration.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::metrics::Reading;
use crate::s3::throttle::ThrottleCounters;
use crate::server::admin::{Fsck, fsck_readings};
use crate::server::audit;
use crate::server::reload::Reloads;
use crate::server::tls::Tls;

/// What is asked.
#[derive(Debug)]
pub(in crate::server) struct Trust {
    /// The certificates of each door, by its name.
    pub(in crate::server) doors: Vec<(&'static str, Arc<Tls>)>,
    /// None where no audit log is kept.
    pub(in crate::server) audit: Option<Arc<audit::Vitals>>,
    pub(in crate::server) guard: Arc<ThrottleCounters>,
    pub(in crate::server) fsck: Arc<Fsck>,
    pub(in crate::server) reloads: Arc<Reloads>,
}

impl Trust {
    /// All of it.
    pub(super) fn readings(&self) -> Vec<Reading> {
        let mut readings = certificates(&self.doors);
        readings.extend(self.audit.iter().flat_map(|audit| audit.readings()));
        readings.extend(guard(&self.guard));
        readings.extend(fsck_readings(&self.fsck));
        readings.extend(self.reloads.readings());
        readings
    }
}

fn certificates(doors: &[(&'static str, Arc<Tls>)]) -> Vec<Reading> {
    let mut readings = Vec::new();
    for (door, tls) in doors {
        let mut told = BTreeSet::new();
        for shown in tls.shown() {
            // One file named twice is one series.
            if !told.insert(shown.file.clone()) {
                continue;
            }
            let help = "When the certificate of a file expires, in seconds of the Unix epoch";
            let expires = shown.expires.unix_s();
            let reading = Reading::gauge("consign_certificate_expiry_time_seconds", help, expires)
                .labelled("door", *door)
                .labelled("file", shown.file)
                .labelled("names", shown.names);
            readings.push(reading);
        }
    }
    readings.extend(doors.iter().map(|(door, tls)| {
        let help = "0 where the files of certificates are faulty: those read before are shown";
        Reading::gauge("consign_certificates_current", help, !tls.is_stale())
            .labelled("door", *door)
    }));
    readings
}

fn guard(counters: &ThrottleCounters) -> Vec<Reading> {
    let refused = |of: &str, reason: &str, counter: &AtomicU64| {
        let help = "Requests told to slow down: for signatures that failed, or for their rate";
        Reading::counter(
            "consign_guard_refused",
            help,
            counter.load(Ordering::Relaxed),
        )
        .labelled("of", of)
        .labelled("reason", reason)
    };
    vec![
        Reading::counter(
            "consign_guard_failures",
            "Signatures that failed and count towards a lock",
            counters.failures.load(Ordering::Relaxed),
        ),
        refused("key", "failures", &counters.locked_keys),
        refused("address", "failures", &counters.locked_addresses),
        refused("key", "rate", &counters.limited_keys),
        refused("address", "rate", &counters.limited_addresses),
    ]
}
