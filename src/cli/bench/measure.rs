//! What a run came to.

use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};

/// Microseconds of a clock tick: Linux counts a process's CPU time in hundredths of a second.
const TICK_US: u64 = 10_000;

/// What processes have used so far, as the kernel counts it.
#[derive(Debug, Clone, Copy, Default)]
struct Usage {
    cpu: Duration,
    peak_kib: u64,
    written: u64,
}

impl Usage {
    /// Reads `/proc/PID`; none where the process can't be seen.
    fn of(pid: u32) -> Option<Self> {
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

    /// The same of all of them together; none where one can't be seen, or there are none.
    fn of_all(pids: &[u32]) -> Option<Self> {
        let all = pids.iter().map(|pid| Self::of(*pid));
        let all = all.collect::<Option<Vec<_>>>()?;
        all.into_iter().reduce(|sum, one| Self {
            cpu: sum.cpu.saturating_add(one.cpu),
            peak_kib: sum.peak_kib.saturating_add(one.peak_kib),
            written: sum.written.saturating_add(one.written),
        })
    }
}

/// Looks at the server's processes, and at this one, from the start of a run to its end.
#[derive(Debug)]
pub(super) struct Watch {
    pids: Vec<u32>,
    server: Option<Usage>,
    client: Option<Usage>,
}

impl Watch {
    pub(super) fn start(pids: &[u32]) -> Self {
        for pid in pids {
            // The peak begins anew; where that is not allowed it is that of the process's whole life.
            // <https://docs.kernel.org/filesystems/proc.html>
            drop(std::fs::write(format!("/proc/{pid}/clear_refs"), "5"));
        }
        Self {
            pids: pids.to_vec(),
            server: Usage::of_all(pids),
            client: Usage::of(std::process::id()),
        }
    }

    pub(super) fn stop(self) -> Spent {
        let cpu = |before: Option<Usage>, after: Option<Usage>| {
            let (before, after) = before.zip(after)?;
            Some(after.cpu.saturating_sub(before.cpu))
        };
        let client = Usage::of(std::process::id());
        let server = Usage::of_all(&self.pids);
        let written = self.server.zip(server);
        Spent {
            client_cpu: cpu(self.client, client),
            server_cpu: cpu(self.server, server),
            peak: server.map(|server| server.peak_kib.saturating_mul(1024)),
            written: written.map(|(before, after)| after.written.saturating_sub(before.written)),
        }
    }
}

/// What a run took of the machine.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Spent {
    client_cpu: Option<Duration>,
    server_cpu: Option<Duration>,
    /// Bytes of memory.
    peak: Option<u64>,
    /// Bytes written to disk.
    written: Option<u64>,
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

/// How long requests took, and what they moved.
#[derive(Debug, Default)]
pub(super) struct Series {
    latencies: Vec<Duration>,
    /// Bytes of bodies.
    pub(super) bytes: usize,
}

impl Series {
    pub(super) fn add(&mut self, took: Duration, bytes: usize) {
        self.latencies.push(took);
        self.bytes = self.bytes.saturating_add(bytes);
    }

    pub(super) fn extend(&mut self, other: Self) {
        self.latencies.extend(other.latencies);
        self.bytes = self.bytes.saturating_add(other.bytes);
    }

    pub(super) fn count(&self) -> usize {
        self.latencies.len()
    }

    /// All of them, one after the other.
    pub(super) fn time(&self) -> Duration {
        self.latencies.iter().sum()
    }

    fn sorted(mut self) -> Self {
        self.latencies.sort_unstable();
        self
    }

    /// The time within which so many of a thousand requests were answered, once they are sorted.
    fn quantile_ms(&self, per_mille: usize) -> f64 {
        let last = self.latencies.len().saturating_sub(1);
        let at = last.saturating_mul(per_mille) / 1000;
        let found = self.latencies.get(at).copied().unwrap_or_default();
        found.as_secs_f64() * 1000.0
    }

    fn json(&self) -> Value {
        json!({
            "requests": self.count(),
            "bytes": self.bytes,
            "min_ms": self.quantile_ms(0),
            "p50_ms": self.quantile_ms(500),
            "p99_ms": self.quantile_ms(990),
            "p999_ms": self.quantile_ms(999),
            "max_ms": self.quantile_ms(1000),
        })
    }
}

/// What a run came to.
#[derive(Debug)]
pub(super) struct Outcome {
    name: String,
    time: Duration,
    series: Series,
    /// `CompleteMultipartUpload` of each upload.
    completions: Option<Series>,
    spent: Spent,
}

impl Outcome {
    /// Sums `series` up.
    pub(super) fn new(name: String, time: Duration, series: Series, spent: Spent) -> Self {
        Self {
            name,
            time,
            series: series.sorted(),
            completions: None,
            spent,
        }
    }

    /// With the last step of each upload told apart.
    pub(super) fn with_completions(self, completions: Series) -> Self {
        Self {
            completions: Some(completions.sorted()),
            ..self
        }
    }

    /// What stands above the lines.
    pub(super) const fn heading() -> &'static str {
        "run                      op/s     MiB/s    p50 ms    p99 ms  p99.9 ms  CPU us/op  peak MiB  disk MiB"
    }

    fn seconds(&self) -> f64 {
        self.time.as_secs_f64().max(1e-9)
    }

    fn per_second(&self) -> f64 {
        real(self.series.count()) / self.seconds()
    }

    fn mib_per_second(&self) -> f64 {
        mib(self.series.bytes) / self.seconds()
    }

    fn us_per_operation(&self, cpu: Option<Duration>) -> Option<f64> {
        cpu.map(|cpu| cpu.as_secs_f64() * 1e6 / real(self.series.count().max(1)))
    }

    /// Microseconds of CPU for each request, the peak of memory in MiB, MiB written to disk.
    fn used(&self) -> [Option<f64>; 3] {
        let bytes = |bytes: u64| mib(usize::try_from(bytes).unwrap_or(usize::MAX));
        [
            self.us_per_operation(self.spent.server_cpu),
            self.spent.peak.map(bytes),
            self.spent.written.map(bytes),
        ]
    }

    /// The same for a machine.
    pub(super) fn json(&self) -> Value {
        let [cpu, peak, written] = self.used();
        let mut json = self.series.json();
        let own = json!({
            "run": self.name,
            "seconds": self.time.as_secs_f64(),
            "operations_per_second": self.per_second(),
            "mib_per_second": self.mib_per_second(),
            "complete": self.completions.as_ref().map(Series::json),
            "client_cpu_us_per_operation": self.us_per_operation(self.spent.client_cpu),
            "server_cpu_us_per_operation": cpu,
            "server_peak_mib": peak,
            "server_written_mib": written,
        });
        if let (Some(json), Value::Object(own)) = (json.as_object_mut(), own) {
            json.extend(own);
        }
        json
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a rate is shown to four digits, a float holds fifteen"
)]
const fn real(count: usize) -> f64 {
    count as f64
}

fn mib(bytes: usize) -> f64 {
    real(bytes) / f64::from(1 << 20)
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [p50, p99, p999] = [500, 990, 999].map(|part| self.series.quantile_ms(part));
        write!(
            f,
            "{:<18} {:>10.0} {:>9.1} {p50:>9.2} {p99:>9.2} {p999:>9.2}",
            self.name,
            self.per_second(),
            self.mib_per_second(),
        )?;
        if let [Some(cpu), Some(peak), Some(written)] = self.used() {
            write!(f, "  {cpu:>9.0} {peak:>9.1} {written:>9.1}")?;
        }
        match &self.completions {
            Some(last) => write!(f, "  complete in {:.1} ms", last.quantile_ms(500)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_summed_up() {
        let mut series = Series::default();
        for ms in (1..=1000).rev() {
            series.add(Duration::from_millis(ms), 1 << 20);
        }
        assert_eq!(series.time(), Duration::from_millis(500_500));
        let mut last = Series::default();
        last.add(Duration::from_millis(7), 0);
        let time = Duration::from_secs(10);
        let outcome = Outcome::new("get:1MiB:2".to_owned(), time, series, Spent::default());
        let outcome = outcome.with_completions(last);
        let json = outcome.json();
        assert_eq!(json["run"], "get:1MiB:2");
        assert_eq!(json["operations_per_second"], 100.0);
        assert_eq!(json["mib_per_second"], 100.0);
        assert_eq!(json["min_ms"], 1.0);
        assert_eq!(json["p50_ms"], 500.0);
        assert_eq!(json["p99_ms"], 990.0);
        assert_eq!(json["max_ms"], 1000.0);
        assert_eq!(json["complete"]["p50_ms"], 7.0);
        assert_eq!(json["server_cpu_us_per_operation"], Value::Null);
        assert!(outcome.to_string().ends_with("complete in 7.0 ms"));
    }

    #[test]
    fn processes_are_seen_together() {
        let own = std::process::id();
        let twice = Usage::of_all(&[own, own]).unwrap();
        assert!(twice.peak_kib > Usage::of(own).unwrap().peak_kib);
        assert!(Usage::of_all(&[]).is_none());
        assert!(Usage::of_all(&[own, u32::MAX]).is_none());
    }
}
