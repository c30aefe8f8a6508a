//! So many bytes a second, so that a backup leaves the disk to those who are served.

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use crate::store::scrub::{self, ByteRate};

/// Bytes a second of a thread that copies.
#[derive(Debug)]
pub(super) struct Pace<'a> {
    bytes: scrub::Pace,
    stop: &'a CancellationToken,
    runtime: Handle,
}

impl<'a> Pace<'a> {
    /// So many until `stop`; then as many as there are.
    pub(super) fn of(bytes_per_second: u64, stop: &'a CancellationToken, runtime: Handle) -> Self {
        Self {
            bytes: scrub::Pace::at(ByteRate::of(bytes_per_second.max(1))),
            stop,
            runtime,
        }
    }

    /// Blocks until `bytes` are paid for. It is for threads that may block.
    pub(super) fn spend(&self, bytes: u64) {
        let stopped = self.stop.run_until_cancelled(self.bytes.spend(bytes));
        // Paid for or stopped: both go on.
        let _either = self.runtime.block_on(stopped);
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn a_second_takes_as_many_bytes_as_it_may_and_a_stop_is_heeded() {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let (stop, began) = (CancellationToken::new(), Instant::now());
        let pace = Pace::of(10_000, &stop, runtime.handle().clone());
        for _piece in 0..4 {
            pace.spend(500);
        }
        assert!(began.elapsed() >= Duration::from_millis(200));
        stop.cancel();
        pace.spend(u64::MAX);
        assert!(began.elapsed() < Duration::from_secs(60));
    }
}
