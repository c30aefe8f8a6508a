//! What the server does when nothing is asked of it: it gives back the memory that busy times have left.
//!
//! What many connections, batches and flushes held is free afterwards, but lies between what stays: rows in
//! memory, blocks of the cache. After some minutes of all kinds of work the process held 103 MiB of which it used
//! 52, and 64 uploads that came then took it to 106 in the stead of 70.

use std::sync::Arc;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use crate::allocator;
use crate::metrics::Requests;

/// How often it is looked whether there is anything to give back.
const EVERY: Duration = Duration::from_secs(5);

/// So much work, in CPU time, leaves something behind that is worth the look: that takes a hundredth of it.
const WORK: Duration = Duration::from_millis(250);

/// Gives memory back, between requests, until the server stops.
pub(super) async fn give_back(requests: Arc<Requests>, stop: CancellationToken) {
    let mut worked = Worked::default();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
        if requests.none_runs() && worked.is_enough(cpu_time()) {
            // It ends with a panic alone, which is told where it happens.
            drop(spawn_blocking(allocator::give_back_all).await);
        }
    }
}

/// The CPU time of all threads since the process began.
fn cpu_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap_or_default()
}

/// The CPU time that had been spent when memory was last given back.
#[derive(Debug, Default)]
struct Worked(Duration);

impl Worked {
    /// Whether there was enough work since; if so, it is counted anew.
    fn is_enough(&mut self, now: Duration) -> bool {
        let enough = now.saturating_sub(self.0) >= WORK;
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
        assert!(worked.is_enough(WORK));
        assert!(!worked.is_enough(WORK));
        assert!(!worked.is_enough(WORK + WORK / 2), "hardly any work");
        assert!(worked.is_enough(WORK * 2));
    }

    #[test]
    fn the_time_of_all_threads_is_told() {
        let before = cpu_time();
        while cpu_time() < before + Duration::from_millis(1) {}
    }
}
