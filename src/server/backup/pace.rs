//! So many bytes a second, so that a backup leaves the disk to those who are served.

use std::cell::Cell;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

/// At most so long nobody looks whether the server stops.
const STEP: Duration = Duration::from_millis(200);

/// Bytes a second of a thread that copies.
#[derive(Debug)]
pub(super) struct Pace<'a> {
    bytes_per_second: u64,
    stop: &'a CancellationToken,
    /// When what was copied so far is paid for.
    paid: Cell<Instant>,
}

impl<'a> Pace<'a> {
    /// So many until `stop`; then as many as there are.
    pub(super) fn of(bytes_per_second: u64, stop: &'a CancellationToken) -> Self {
        Self {
            bytes_per_second,
            stop,
            paid: Cell::new(Instant::now()),
        }
    }

    /// Blocks until `bytes` are paid for; time that nobody used is not saved up.
    pub(super) fn spend(&self, bytes: u64) {
        let micros =
            u128::from(bytes).saturating_mul(1_000_000) / u128::from(self.bytes_per_second.max(1));
        let cost = Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX));
        let from = self.paid.get().max(Instant::now());
        let until = from.checked_add(cost).unwrap_or(from);
        self.paid.set(until);
        while !self.stop.is_cancelled() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            std::thread::sleep(left.min(STEP));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_takes_as_many_bytes_as_it_may_and_a_stop_is_heeded() {
        let stop = CancellationToken::new();
        let (pace, began) = (Pace::of(10_000, &stop), Instant::now());
        for _piece in 0..4 {
            pace.spend(500);
        }
        assert!(began.elapsed() >= Duration::from_millis(200));
        stop.cancel();
        pace.spend(u64::MAX);
        assert!(began.elapsed() < Duration::from_secs(60));
    }
}
