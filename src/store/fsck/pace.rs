//! So many bytes a second, so that who reads everything leaves the disk to others.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Bytes a second, and what was spent of them.
#[derive(Debug)]
pub(in crate::store) struct Pace {
    bytes_per_second: Option<u64>,
    /// When what was spent so far is paid for.
    paid: Mutex<Option<Instant>>,
}

impl Pace {
    /// As fast as the disk is.
    pub(in crate::store) const fn unlimited() -> Self {
        Self::of(0)
    }

    /// So many bytes a second; 0: unlimited.
    pub(in crate::store) const fn of(bytes_per_second: u64) -> Self {
        Self {
            bytes_per_second: if bytes_per_second == 0 {
                None
            } else {
                Some(bytes_per_second)
            },
            paid: Mutex::new(None),
        }
    }

    /// Waits until `bytes` more may be read.
    pub(in crate::store) async fn spend(&self, bytes: u64) {
        let Some(rate) = self.bytes_per_second else {
            return;
        };
        let micros = u128::from(bytes).saturating_mul(1_000_000) / u128::from(rate);
        let cost = Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX));
        tokio::time::sleep_until(self.book(cost)).await;
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
        let (pace, began) = (Pace::of(1000), Instant::now());
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
}
