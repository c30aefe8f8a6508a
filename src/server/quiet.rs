//! What the server does when nothing is asked of it: it gives back the memory that busy times have left.
//!
//! Rows that wait in memory to be many are written to tables. What many connections, batches and flushes held is
//! free afterwards, but lies between what stays: rows in memory, blocks of the cache. After some minutes of all
//! kinds of work the process held 103 MiB of which it used 52, and 64 uploads that came then took it to 106 in the
//! stead of 70.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use super::monitor::cpu_seconds;
use crate::allocator;
use crate::metrics::Requests;
use crate::store::ObjectStore;

/// How often it is looked whether there is anything to give back.
const EVERY: Duration = Duration::from_secs(5);

/// So much work, in seconds of CPU time, leaves something behind that is worth the look: that takes a hundredth
/// of it.
const WORK_S: f64 = 0.25;

/// Gives memory back, between requests, until the server stops.
pub(super) async fn rest(requests: Arc<Requests>, store: ObjectStore, stop: CancellationToken) {
    let mut worked = Worked::default();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
        if requests.none_runs() && cpu_seconds().is_some_and(|now| worked.is_enough(now)) {
            if let Err(error) = store.meta().rest().await {
                tracing::warn!(%error, "rows stay in memory until they are more");
            }
            // It ends with a panic alone, which is told where it happens.
            drop(spawn_blocking(allocator::give_back).await);
        }
    }
}

/// Seconds of CPU time that had been spent when memory was last given back.
#[derive(Debug, Default)]
struct Worked(f64);

impl Worked {
    /// Whether there was enough work since; if so, it is counted anew.
    fn is_enough(&mut self, now: f64) -> bool {
        let enough = now - self.0 >= WORK_S;
        if enough {
            self.0 = now;
        }
        enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_given_back_after_work_alone() {
        let mut worked = Worked::default();
        assert!(worked.is_enough(WORK_S));
        assert!(!worked.is_enough(WORK_S));
        assert!(!worked.is_enough(WORK_S + WORK_S / 2.0), "hardly any work");
        assert!(worked.is_enough(2.0 * WORK_S));
    }
}
