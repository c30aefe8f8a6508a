//! So many bytes a second, so that who reads everything leaves the disk to others.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Bytes a second, which may be changed while somebody keeps to them; 0: as many as the disk gives.
#[derive(Debug, Clone, Default)]
pub struct ByteRate(Arc<AtomicU64>);

impl ByteRate {
    /// So many.
    pub fn of(bytes_per_second: u64) -> Self {
        Self(Arc::new(AtomicU64::new(bytes_per_second)))
    }

    /// So many from now on.
    pub fn set(&self, bytes_per_second: u64) {
        self.0.store(bytes_per_second, Ordering::Relaxed);
    }

    /// So many now; none: it is unlimited.
    fn now(&self) -> Option<u64> {
        Some(self.0.load(Ordering::Relaxed)).filter(|rate| *rate > 0)
    }
}

/// Bytes a second, and what was spent of them.
#[derive(Debug)]
pub struct Pace {
    rate: ByteRate,
    /// When what was spent so far is paid for.
    paid: Mutex<Option<Instant>>,
}

impl Pace {
    /// As fast as the disk is.
    pub fn unlimited() -> Self {
        Self::at(ByteRate::default())
    }

    /// As fast as `rate` says at each moment.
    pub const fn at(rate: ByteRate) -> Self {
        Self {
            rate,
            paid: Mutex::new(None),
        }
    }

    /// Waits until `bytes` more may be read: in steps of a second, so that another rate is soon heeded.
    pub async fn spend(&self, bytes: u64) {
        let mut left = bytes;
        while left > 0
            && let Some(rate) = self.rate.now()
        {
            let some = left.min(rate);
            let micros = u128::from(some).saturating_mul(1_000_000) / u128::from(rate);
            let cost = Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX));
            tokio::time::sleep_until(self.book(cost)).await;
            left = left.saturating_sub(some);
        }
    }

    /// Adds to what is to be paid; time that nobody used is not saved up.
    fn book(&self, cost: Duration) -> Instant {
        let now = Instant::now();
        let mut paid = self.paid.lock().unwrap_or_else(PoisonError::into_inner);
        let from = paid.map_or(now, |paid| paid.max(now));
        let until = from.checked_add(cost).unwrap_or(from);
        *paid = Some(until);
        until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_second_takes_as_many_bytes_as_it_may() {
        let (pace, began) = (Pace::at(ByteRate::of(1000)), Instant::now());
        for _piece in 0..8 {
            pace.spend(500).await;
        }
        assert_eq!(began.elapsed().as_secs(), 4);
        // A pause is not saved up.
        tokio::time::sleep(Duration::from_secs(60)).await;
        pace.spend(2000).await;
        assert_eq!(began.elapsed().as_secs(), 66);
        Pace::unlimited().spend(u64::MAX).await;
        assert_eq!(began.elapsed().as_secs(), 66);
    }

    #[tokio::test(start_paused = true)]
    async fn another_rate_is_heeded_within_a_second() {
        let (rate, began) = (ByteRate::of(1), Instant::now());
        let pace = Pace::at(rate.clone());
        let faster = async {
            tokio::time::sleep(Duration::from_millis(2500)).await;
            rate.set(1_000_000);
        };
        tokio::join!(pace.spend(1_000_000), faster);
        assert!(began.elapsed() < Duration::from_secs(5));
    }
}
