//! How the server is, at a glance: nothing here is scanned for longer than a moment.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::{Admin, fsck, scrub};
use crate::callback::Backlog;
use crate::config::{Config, Durability};
use crate::server::doors::Doors;
use crate::server::listen::Places;
use crate::store::{BucketQuery, StoreError};

/// Buckets of which is told what they hold.
const BUCKETS_MAX: usize = 100;

/// Below that part of the disk, in hundredths, what is free is worth a warning.
const FREE_HUNDREDTHS_MIN: u64 = 5;

/// What the server knows of itself.
#[derive(Debug)]
pub(in crate::server) struct Itself {
    pub(in crate::server) data_dir: PathBuf,
    pub(in crate::server) endpoint: String,
    pub(in crate::server) admin_endpoint: Option<String>,
    pub(in crate::server) connections: Places,
    /// What of the configuration is not as safe as it could be.
    pub(in crate::server) warnings: Vec<String>,
}

impl Itself {
    pub(in crate::server) fn of(config: &Config, doors: &Doors) -> Self {
        Self {
            data_dir: config.data_dir.clone(),
            endpoint: doors.endpoint().to_owned(),
            admin_endpoint: doors.admin_endpoint().map(str::to_owned),
            connections: doors.connections(),
            warnings: warnings(config),
        }
    }
}

fn warnings(config: &Config) -> Vec<String> {
    let mut found = Vec::new();
    let mut warn = |holds: bool, text: &str| {
        if holds {
            found.push(text.to_owned());
        }
    };
    let admin = config
        .admin
        .listen
        .filter(|address| !address.ip().is_loopback());
    warn(
        config.durability == Durability::None,
        "durability is \"none\": a crash loses what was answered",
    );
    warn(
        !config.listen.ip().is_loopback() && !config.tls.is_on(),
        "listen is reachable from other machines without TLS",
    );
    warn(
        admin.is_some() && config.admin.tls.client_ca.is_none(),
        "admin.listen is reachable from other machines without admin.tls.client_ca",
    );
    found
}

impl Admin {
    pub(super) async fn status(&self) -> Value {
        let ready = self.store.check().await.is_ok();
        let (disk, mut warnings) = (self.disk(), self.itself.warnings.clone());
        let expire = self.certificates.iter().map(|tls| tls.expires());
        let expire: Vec<_> = expire.collect();
        if expire.iter().any(|at| *at <= self.clock.now()) {
            warnings.push("a certificate has expired".to_owned());
        }
        if let Some((free, total)) = disk
            && free < total / 100 * FREE_HUNDREDTHS_MIN
        {
            warnings.push("the disk is nearly full".to_owned());
        }
        let fsck = fsck::state(&self.fsck);
        if matches!(fsck, "damaged" | "failed") {
            warnings.push(format!("the last check of the store: {fsck}"));
        }
        let backlog = self.callbacks.backlog().await.ok();
        if backlog.as_ref().is_some_and(|backlog| backlog.dead() > 0) {
            warnings
                .push("callbacks were given up: consign callbacks list --state dead".to_owned());
        }
        json!({
            "ready": ready,
            "version": env!("CARGO_PKG_VERSION"),
            "pid": std::process::id(),
            "started": self.started.iso8601_ms(),
            "uptime_seconds": self.clock.now().since(self.started).as_secs(),
            "endpoint": self.itself.endpoint,
            "admin_endpoint": self.itself.admin_endpoint,
            "connections": self.itself.connections.taken(),
            "connections_max": self.itself.connections.all(),
            "disk_free_bytes": disk.map(|(free, _)| free),
            "disk_bytes": disk.map(|(_, total)| total),
            "buckets": self.buckets().await.unwrap_or(Value::Null),
            "callback_endpoints": self.callbacks.endpoint_names(),
            "callbacks": backlog.map(|backlog| self.told(&backlog)),
            "fsck": fsck,
            "scrub": scrub::shown(self.store.scrub_monitor().status()),
            "certificates_expire": expire.iter().map(|at| at.iso8601_s()).collect::<Vec<_>>(),
            "warnings": warnings,
        })
    }

    /// Free and all bytes of the disk that holds the data.
    fn disk(&self) -> Option<(u64, u64)> {
        let disk = rustix::fs::statvfs(&self.itself.data_dir).ok()?;
        let bytes = |blocks: u64| blocks.saturating_mul(disk.f_frsize);
        Some((bytes(disk.f_bavail), bytes(disk.f_blocks)))
    }

    async fn buckets(&self) -> Result<Value, StoreError> {
        let query = BucketQuery {
            owner: None,
            prefix: String::new(),
            after: None,
            limit: BUCKETS_MAX,
        };
        let page = self.store.list_buckets(query).await?;
        let mut shown = Vec::new();
        for bucket in &page.buckets {
            let usage = self.store.usage(bucket).await?;
            shown.push(json!({
                "bucket": bucket.name.as_str(),
                "objects": usage.objects,
                "bytes": usage.bytes,
            }));
        }
        Ok(json!({ "first": shown, "more": page.next.is_some() }))
    }

    fn told(&self, backlog: &Backlog) -> Value {
        let age = backlog
            .oldest()
            .map(|at| self.clock.now().since(at).as_secs());
        json!({
            "waiting": backlog.waiting(),
            "oldest_seconds": age,
            "dead": backlog.dead(),
            "counted_all": backlog.is_whole(),
        })
    }
}
