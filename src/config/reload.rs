//! What of a changed configuration takes effect while the server runs.

use std::collections::BTreeMap;
use std::fmt;

use sha2::{Digest as _, Sha256};

use super::setting::SETTINGS;
use super::{
    AccessLogSettings, AuditSettings, Config, Limits, Log, TelemetrySettings, TlsSettings,
};

/// Which settings were given, by a digest of what they were given as: some are secrets.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Given(BTreeMap<&'static str, [u8; 32]>);

impl fmt::Debug for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A digest of a poor secret is as good as the secret.
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Given {
    /// Notes that the setting of that name was given as `text`.
    pub(super) fn note(&mut self, name: &'static str, text: &str) {
        self.0.insert(name, Sha256::digest(text).into());
    }

    fn differs(&self, other: &Self, name: &str) -> bool {
        self.0.get(name) != other.0.get(name)
    }
}

/// One row of the table of settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingFacts {
    /// Its name in the file.
    pub name: &'static str,
    /// Its variable in the environment.
    pub variable: String,
    /// Whether a change takes effect without a restart.
    pub live: bool,
}

/// Every plain setting.
pub fn settings() -> impl Iterator<Item = SettingFacts> {
    SETTINGS.iter().map(|setting| SettingFacts {
        name: setting.name,
        variable: setting.env_name(),
        live: setting.live,
    })
}

impl Config {
    /// The names of settings that `new` gives otherwise and that wait for a restart.
    pub fn waiting(&self, new: &Self) -> Vec<&'static str> {
        let rows = SETTINGS.iter();
        let changed = rows.filter(|row| self.given.differs(&new.given, row.name));
        let waits = |name: &str, live: bool| {
            !live
                || match name.rsplit_once('.') {
                    Some(("tls", _)) => self.tls.is_on() != new.tls.is_on(),
                    Some(("admin.tls", _)) => self.admin_tls().is_on() != new.admin_tls().is_on(),
                    _ => false,
                }
        };
        let waiting = changed.filter(|row| waits(row.name, row.live));
        waiting.map(|row| row.name).collect()
    }

    /// This configuration with what of `new` takes effect while the server runs: what the table of
    /// settings calls live, and all of callbacks. A door is never opened or closed to TLS.
    #[must_use]
    pub fn reloaded(&self, new: &Self) -> Self {
        let mut next = Self {
            domains: new.domains.clone(),
            website_domains: new.website_domains.clone(),
            public_urls: new.public_urls.clone(),
            trusted_proxies: new.trusted_proxies.clone(),
            presign_seconds_max: new.presign_seconds_max,
            signature_v2: new.signature_v2,
            dialects: new.dialects.clone(),
            oss: new.oss.clone(),
            lifecycle_day: new.lifecycle_day,
            logging_time: new.logging_time,
            limits: Limits {
                connections: self.limits.connections,
                requests: self.limits.requests,
                free_bytes_min: self.limits.free_bytes_min,
                ..new.limits
            },
            log: Log {
                format: self.log.format,
                level: new.log.level.clone(),
            },
            callback: new.callback.clone(),
            guard: new.guard.clone(),
            scrub: new.scrub,
            active_content: new.active_content,
            audit: AuditSettings {
                enabled: self.audit.enabled,
                file_bytes: new.audit.file_bytes,
            },
            access_log: AccessLogSettings {
                file: self.access_log.file.clone(),
                ..new.access_log.clone()
            },
            telemetry: TelemetrySettings {
                sampling_ratio: new.telemetry.sampling_ratio,
                honour_traceparent: new.telemetry.honour_traceparent,
                keys: new.telemetry.keys,
                ..self.telemetry.clone()
            },
            ..self.clone()
        };
        next.encryption
            .kms_keys
            .clone_from(&new.encryption.kms_keys);
        // As a whole: what the administration shows may be either's.
        let switched = |from: &TlsSettings, to: &TlsSettings| from.is_on() != to.is_on();
        let (from, to) = (self.admin_tls(), new.admin_tls());
        if !switched(&self.tls, &new.tls) && !switched(&from, &to) {
            next.tls = new.tls.clone();
            next.admin.tls = new.admin.tls.clone();
        }
        next
    }
}
