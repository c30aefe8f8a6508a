//! What a run came to.

use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};

use super::work::Run;

/// Microseconds of a clock tick: Linux counts a process's CPU time in hundredths of a second.
const TICK_US: u64 = 10_000;

/// What the server's process has used so far, as the kernel counts it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Usage {
    cpu: Duration,
    peak_kib: u64,
    written: u64,
}

impl Usage {
    /// Reads `/proc/PID`; none where the process can't be seen.
    pub(super) fn of(pid: u32) -> Option<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name in parentheses may hold spaces; user and system time are the 12th and 13th behind it.
        let (_name, fields) = stat.rsplit_once(") ")?;
        let mut fields = fields.split(' ').skip(11);
        let user: u64 = fields.next()?.parse().ok()?;
        let system: u64 = fields.next()?.parse().ok()?;
        let ticks = user.saturating_add(system);
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let io = std::fs::read_to_string(format!("/proc/{pid}/io")).ok()?;
        Some(Self {
            cpu: Duration::from_micros(ticks.saturating_mul(TICK_US)),
            peak_kib: field(&status, "VmHWM:")?,
            written: field(&io, "write_bytes:")?,
        })
    }
}

/// What a process takes of its machine at a moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Footprint {
    resident_kib: u64,
    files: usize,
    threads: u64,
}

impl Footprint {
    /// Reads `/proc/PID`; none where the process can't be seen.
    pub(super) fn of(pid: u32) -> Option<Self> {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        Some(Self {
            resident_kib: field(&status, "VmRSS:")?,
            files: std::fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count(),
            threads: field(&status, "Threads:")?,
        })
    }

    /// The same for a machine.
    pub(super) fn json(&self) -> Value {
        json!({
            "resident_kib": self.resident_kib,
            "open_files": self.files,
            "threads": self.threads,
        })
    }
}

impl fmt::Display for Footprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mib, files, threads) = (self.resident_kib / 1024, self.files, self.threads);
        write!(
            f,
            "{mib} MiB resident, {files} open files, {threads} threads"
        )
    }
}

fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// What a run came to.
#[derive(Debug)]
pub(super) struct Outcome {
    run: Run,
    time: Duration,
    /// How long each request took, in order.
    latencies: Vec<Duration>,
    usage: Option<(Usage, Usage)>,
}

impl Outcome {
    /// Sums `latencies` up.
    pub(super) fn new(
        run: Run,
        time: Duration,
        mut latencies: Vec<Duration>,
        usage: Option<(Usage, Usage)>,
    ) -> Self {
        latencies.sort_unstable();
        Self {
            run,
            time,
            latencies,
            usage,
        }
    }

    /// What stands above the lines.
    pub(super) const fn heading() -> &'static str {
        "run                      op/s     MiB/s    p50 ms    p99 ms  p99.9 ms  CPU us/op  peak MiB  disk MiB"
    }

    fn per_second(&self) -> f64 {
        real(self.latencies.len()) / self.time.as_secs_f64()
    }

    fn mib_per_second(&self) -> f64 {
        self.per_second() * real(self.run.bytes) / f64::from(1 << 20)
    }

    /// The time within which so many of a thousand requests were answered.
    fn quantile_ms(&self, per_mille: usize) -> f64 {
        let last = self.latencies.len().saturating_sub(1);
        let at = last.saturating_mul(per_mille) / 1000;
        let found = self.latencies.get(at).copied().unwrap_or_default();
        found.as_secs_f64() * 1000.0
    }

    /// Microseconds of CPU for each request, the peak of memory in MiB, MiB written to disk.
    fn used(&self) -> Option<[f64; 3]> {
        let (before, after) = self.usage?;
        let cpu = after.cpu.saturating_sub(before.cpu).as_secs_f64() * 1e6;
        let written = after.written.saturating_sub(before.written);
        let mib = |bytes: u64| real(usize::try_from(bytes).unwrap_or(usize::MAX)) / 1_048_576.0;
        Some([
            cpu / real(self.latencies.len().max(1)),
            mib(after.peak_kib.saturating_mul(1024)),
            mib(written),
        ])
    }

    /// The same for a machine.
    pub(super) fn json(&self) -> Value {
        let [cpu, peak, written] = self.used().map_or([None; 3], |used| used.map(Some));
        json!({
            "run": self.run.to_string(),
            "requests": self.latencies.len(),
            "seconds": self.time.as_secs_f64(),
            "operations_per_second": self.per_second(),
            "mib_per_second": self.mib_per_second(),
            "p50_ms": self.quantile_ms(500),
            "p99_ms": self.quantile_ms(990),
            "p999_ms": self.quantile_ms(999),
            "server_cpu_us_per_operation": cpu,
            "server_peak_mib": peak,
            "server_written_mib": written,
        })
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a rate is shown to four digits, a float holds fifteen"
)]
const fn real(count: usize) -> f64 {
    count as f64
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [p50, p99, p999] = [500, 990, 999].map(|part| self.quantile_ms(part));
        write!(
            f,
            "{:<18} {:>10.0} {:>9.1} {p50:>9.2} {p99:>9.2} {p999:>9.2}",
            self.run.to_string(),
            self.per_second(),
            self.mib_per_second(),
        )?;
        match self.used() {
            Some([cpu, peak, written]) => write!(f, "  {cpu:>9.0} {peak:>9.1} {written:>9.1}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::bench::work::parse_run;

    #[test]
    fn a_run_is_summed_up() {
        let run = parse_run("get:1MiB:2").unwrap();
        let latencies = (1..=1000).rev().map(Duration::from_millis).collect();
        let outcome = Outcome::new(run, Duration::from_secs(10), latencies, None);
        let json = outcome.json();
        assert_eq!(json["operations_per_second"], 100.0);
        assert_eq!(json["mib_per_second"], 100.0);
        assert_eq!(json["p50_ms"], 500.0);
        assert_eq!(json["p99_ms"], 990.0);
        assert_eq!(json["server_cpu_us_per_operation"], Value::Null);
    }

    #[test]
    fn this_process_can_be_seen() {
        assert!(Usage::of(std::process::id()).is_some_and(|usage| usage.peak_kib > 0));
    }
}
