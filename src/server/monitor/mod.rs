//! What the server tells Prometheus: what all layers counted, and what is read when it is asked for.

mod process;
mod scrub;
mod trust;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::Mutex;
use tokio::time::Instant;

pub(super) use self::process::cpu_seconds;
pub(super) use self::trust::Trust;

use super::engines::Engines;
use crate::callback::Callbacks;
use crate::clock::Timestamp;
use crate::config::Config;
use crate::metrics::{Area, Connections, Format, Metrics, Reading, Records, Requests, Spans};
use crate::s3::Numbers;
use crate::store::blob::files;
use crate::store::meta::rocks;
use crate::store::{BucketQuery, ObjectStore, StoreError, Usage};

/// What takes a scan is not read more often.
const SCAN_EVERY: Duration = Duration::from_secs(15);
const BUCKETS_AT_A_TIME: usize = 1000;
/// Beyond so many buckets, the rest is left out of the sums.
const BUCKETS_MAX: usize = 100_000;
/// So many of the largest buckets are told by name: clients make buckets, and each is a series.
const BUCKETS_NAMED_MAX: usize = 100;

/// What can be told.
#[derive(Debug)]
pub(super) struct Monitor {
    metrics: Metrics,
    meta: rocks::Vitals,
    blobs: files::Vitals,
    store: ObjectStore,
    callbacks: Arc<Callbacks>,
    data_dir: PathBuf,
    started: Timestamp,
    connections_max: usize,
    trust: Trust,
    scanned: Mutex<Option<Scanned>>,
}

/// What it asks. A new area of counters is one more of these.
#[derive(Debug)]
pub(super) struct Watched<'a> {
    pub(super) requests: &'a Requests,
    pub(super) connections: &'a Connections,
    pub(super) records: &'a Records,
    pub(super) spans: &'a Spans,
    pub(super) engines: Engines,
    pub(super) store: &'a ObjectStore,
    pub(super) callbacks: &'a Arc<Callbacks>,
    pub(super) trust: Trust,
}

/// What a scan found, and when.
#[derive(Debug)]
struct Scanned {
    at: Instant,
    readings: Vec<Reading>,
}

impl Numbers for Monitor {
    fn tell(&self, format: Format) -> BoxFuture<'_, String> {
        async move {
            let mut readings = self.scan().await;
            readings.extend(self.read().await);
            self.metrics.text(format, readings)
        }
        .boxed()
    }
}

impl Monitor {
    /// One that asks these.
    pub(super) fn of(watched: Watched<'_>, config: &Config, started: Timestamp) -> Self {
        let Watched {
            requests,
            connections,
            records,
            spans,
            engines,
            store,
            callbacks,
            trust,
        } = watched;
        let areas: [&dyn Area; 6] = [
            requests,
            connections,
            &engines.commits,
            callbacks.counts(),
            records,
            spans,
        ];
        Self {
            metrics: Metrics::of(&areas),
            meta: engines.of_meta,
            blobs: engines.of_blobs,
            store: store.clone(),
            callbacks: Arc::clone(callbacks),
            data_dir: config.data_dir.clone(),
            started,
            connections_max: config.limits.connections,
            trust,
            scanned: Mutex::default(),
        }
    }

    /// What takes no time, though a file system may make it wait.
    async fn read(&self) -> Vec<Reading> {
        let (meta, blobs, data_dir) =
            (self.meta.clone(), self.blobs.clone(), self.data_dir.clone());
        let read = tokio::task::spawn_blocking(move || {
            let mut readings = meta.read();
            readings.extend(blobs.read());
            readings.extend(process::disk(&data_dir));
            readings.extend(process::usage());
            readings
        });
        let mut readings = read.await.unwrap_or_default();
        readings.extend(scrub::readings(self.store.scrub_monitor().status()));
        readings.extend(self.trust.readings());
        readings.push(Reading::gauge(
            "consign_connections_limit",
            "Connections that may be open at a time (limits.connections)",
            self.connections_max,
        ));
        readings.push(
            Reading::gauge("consign_build_info", "Which build this is", true)
                .labelled("version", env!("CARGO_PKG_VERSION")),
        );
        readings.push(Reading::gauge(
            "process_start_time_seconds",
            "When the process started, in seconds of the Unix epoch",
            self.started.unix_s(),
        ));
        readings
    }

    /// What takes a scan, not older than [`SCAN_EVERY`]. Who asks meanwhile waits for the same scan.
    async fn scan(&self) -> Vec<Reading> {
        let mut scanned = self.scanned.lock().await;
        if let Some(known) = &*scanned
            && known.at.elapsed() < SCAN_EVERY
        {
            return known.readings.clone();
        }
        let at = Instant::now();
        let mut readings = match self.callbacks.backlog().await {
            Ok(backlog) => backlog.readings(self.store.clock().now()),
            Err(error) => {
                tracing::warn!(%error, "could not count the callbacks that wait");
                Vec::new()
            }
        };
        match self.usage().await {
            Ok(usage) => readings.extend(usage),
            Err(error) => tracing::warn!(%error, "could not read what the buckets hold"),
        }
        *scanned = Some(Scanned {
            at,
            readings: readings.clone(),
        });
        readings
    }

    async fn usage(&self) -> Result<Vec<Reading>, StoreError> {
        let (mut after, mut found) = (None, Vec::new());
        loop {
            let query = BucketQuery {
                owner: None,
                prefix: String::new(),
                after,
                limit: BUCKETS_AT_A_TIME,
            };
            let page = self.store.list_buckets(query).await?;
            for bucket in page.buckets {
                let usage = self.store.usage(&bucket).await?;
                found.push((bucket.name.to_string(), usage));
            }
            after = page.next;
            if after.is_none() || found.len() >= BUCKETS_MAX {
                return Ok(usage_readings(found));
            }
        }
    }
}

fn usage_readings(mut found: Vec<(String, Usage)>) -> Vec<Reading> {
    let objects = found.iter().map(|(_, usage)| usage.objects).sum::<i64>();
    let bytes = found.iter().map(|(_, usage)| usage.bytes).sum::<i64>();
    let mut readings = vec![
        Reading::gauge("consign_buckets", "Buckets", found.len()),
        Reading::gauge(
            "consign_objects",
            "Versions of objects in all buckets",
            objects,
        ),
        Reading::gauge(
            "consign_object_bytes",
            "Bytes of objects in all buckets",
            bytes,
        ),
    ];
    found.sort_by(|(a_name, a), (b_name, b)| (b.bytes, a_name).cmp(&(a.bytes, b_name)));
    found.truncate(BUCKETS_NAMED_MAX);
    readings.extend(found.iter().map(|(name, usage)| {
        let help = "Versions of objects in each of the 100 largest buckets";
        Reading::gauge("consign_bucket_objects", help, usage.objects)
            .labelled("bucket", name.as_str())
    }));
    readings.extend(found.iter().map(|(name, usage)| {
        let help = "Bytes of objects in each of the 100 largest buckets";
        Reading::gauge("consign_bucket_bytes", help, usage.bytes).labelled("bucket", name.as_str())
    }));
    readings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_buckets_are_named_and_all_are_summed() {
        let found = (0..150).map(|number| {
            let (objects, bytes) = (1, number);
            (format!("b{number:03}"), Usage { objects, bytes })
        });
        let readings = usage_readings(found.collect());
        let of = |name: &str| -> Vec<_> {
            let named = readings.iter().filter(|reading| reading.name() == name);
            named.map(Reading::value).collect()
        };
        assert_eq!(of("consign_buckets"), [150.0]);
        assert_eq!(of("consign_objects"), [150.0]);
        assert_eq!(of("consign_object_bytes"), [f64::from(149 * 150 / 2)]);
        let named = of("consign_bucket_bytes");
        assert_eq!(named.len(), BUCKETS_NAMED_MAX);
        assert_eq!((named[0], named[99]), (149.0, 50.0));
    }
}
