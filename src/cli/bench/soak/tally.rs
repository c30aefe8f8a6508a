//! What all clients of a soak have seen so far.

use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::{Value, json};

use super::per_second;

/// Faults that are told in full.
const FAULTS_TOLD: usize = 20;

/// The longest time that is told apart, in microseconds: an hour.
const LONGEST_US: u64 = 3_600_000_000;

/// What is done in a soak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deed {
    Put,
    Get,
    Head,
    Delete,
    List,
    Multipart,
    SlowPut,
    SlowGet,
}

impl Deed {
    pub(super) const ALL: [Self; 8] = [
        Self::Put,
        Self::Get,
        Self::Head,
        Self::Delete,
        Self::List,
        Self::Multipart,
        Self::SlowPut,
        Self::SlowGet,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Put => "put",
            Self::Get => "get",
            Self::Head => "head",
            Self::Delete => "delete",
            Self::List => "list",
            Self::Multipart => "multipart",
            Self::SlowPut => "slow put",
            Self::SlowGet => "slow get",
        }
    }
}

/// Counts and times, by deed.
#[derive(Debug, Default)]
pub(super) struct Tally(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    /// In the order of [`Deed::ALL`]; none where nothing of it was done yet.
    times_us: [Option<Histogram<u64>>; Deed::ALL.len()],
    bytes: u64,
    turned_away: u64,
    faults: u64,
    first_faults: Vec<String>,
}

impl Tally {
    fn with<T>(&self, look: impl FnOnce(&mut Counts) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A deed was done rightly.
    pub(super) fn add(&self, deed: Deed, took: Duration, bytes: usize) {
        let us = u64::try_from(took.as_micros()).unwrap_or(LONGEST_US);
        self.with(|counts| {
            let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
            counts.bytes = counts.bytes.saturating_add(bytes);
            if let Some(times) = counts.times_us.get_mut(deed as usize) {
                // Three digits are far more than a busy machine repeats.
                let fresh = || Histogram::new_with_bounds(1, LONGEST_US, 3).ok();
                if times.is_none() {
                    *times = fresh();
                }
                if let Some(times) = times {
                    times.saturating_record(us.max(1));
                }
            }
        });
    }

    /// The server said that there are too many requests.
    pub(super) fn turn_away(&self) {
        self.with(|counts| counts.turned_away = counts.turned_away.saturating_add(1));
    }

    /// Something came that should not.
    pub(super) fn fault(&self, text: String) {
        self.with(|counts| {
            counts.faults = counts.faults.saturating_add(1);
            if counts.first_faults.len() < FAULTS_TOLD {
                counts.first_faults.push(text);
            }
        });
    }

    pub(super) fn done(&self) -> u64 {
        self.with(|counts| counts.times_us.iter().flatten().map(Histogram::len).sum())
    }

    pub(super) fn turned_away(&self) -> u64 {
        self.with(|counts| counts.turned_away)
    }

    pub(super) fn faults(&self) -> u64 {
        self.with(|counts| counts.faults)
    }

    pub(super) fn first_faults(&self) -> Vec<String> {
        self.with(|counts| counts.first_faults.clone())
    }

    /// Each deed's name, number and times in milliseconds: p50, p99, p99.9 and the longest.
    fn rows(&self) -> Vec<(&'static str, u64, [f64; 4])> {
        self.with(|counts| {
            let rows = Deed::ALL.iter().zip(&counts.times_us);
            let rows = rows.filter_map(|(deed, times)| Some((deed, times.as_ref()?)));
            rows.map(|(deed, times)| {
                let ms = [
                    times.value_at_quantile(0.5),
                    times.value_at_quantile(0.99),
                    times.value_at_quantile(0.999),
                    times.max(),
                ];
                (deed.name(), times.len(), ms.map(to_ms))
            })
            .collect()
        })
    }

    /// A table for people.
    pub(super) fn table(&self, time: Duration) -> String {
        let mut text = String::from(
            "operation        count     op/s    p50 ms    p99 ms  p99.9 ms    max ms\n",
        );
        for (name, count, [p50, p99, p999, max]) in self.rows() {
            let rate = per_second(count, time);
            // Writing into a string can't fail.
            _ = writeln!(
                text,
                "{name:<10} {count:>11} {rate:>8.1} {p50:>9.2} {p99:>9.2} {p999:>9.2} {max:>9.2}"
            );
        }
        let (bytes, away) = self.with(|counts| (counts.bytes, counts.turned_away));
        let mib = per_second(bytes, time) / 1_048_576.0;
        let faults = self.faults();
        _ = writeln!(
            text,
            "{mib:.1} MiB/s checked; {away} turned away (SlowDown); {faults} faults"
        );
        text
    }

    /// The same for a machine.
    pub(super) fn json(&self, time: Duration) -> Value {
        let rows = self
            .rows()
            .into_iter()
            .map(|(name, count, [p50, p99, p999, max])| {
                json!({
                    "operation": name, "count": count, "operations_per_second": per_second(count, time),
                    "p50_ms": p50, "p99_ms": p99, "p999_ms": p999, "max_ms": max,
                })
            });
        rows.collect()
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "times are shown to hundredths of a millisecond"
)]
fn to_ms(us: u64) -> f64 {
    us as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deeds_are_counted_and_timed() {
        let tally = Tally::default();
        for ms in 1..=1000 {
            tally.add(Deed::Get, Duration::from_millis(ms), 1 << 20);
        }
        tally.turn_away();
        tally.fault("other bytes".into());
        let json = tally.json(Duration::from_secs(10));
        assert_eq!(json[0]["operation"], "get");
        assert_eq!(json[0]["operations_per_second"], 100.0);
        let p99 = json[0]["p99_ms"].as_f64().unwrap();
        assert!((989.0..=991.0).contains(&p99), "{p99}");
        let table = tally.table(Duration::from_secs(10));
        assert!(table.contains("100.0 MiB/s checked; 1 turned away (SlowDown); 1 faults"));
        assert_eq!((tally.done(), tally.faults()), (1000, 1));
    }
}
