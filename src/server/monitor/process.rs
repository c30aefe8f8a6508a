//! What the system knows of the process and its disk.

use std::fs;
use std::path::Path;

use rustix::process::{Resource, getrlimit};

use crate::metrics::Reading;

/// Linux tells times of processes in hundredths of a second, whatever the kernel's own clock is.
const TICKS_PER_SECOND: f64 = 100.0;

/// The space of the file system that holds `folder`.
pub(super) fn disk(folder: &Path) -> Vec<Reading> {
    let Ok(disk) = rustix::fs::statvfs(folder) else {
        return Vec::new();
    };
    let bytes = |blocks: u64| blocks.saturating_mul(disk.f_frsize);
    vec![
        Reading::gauge(
            "consign_disk_bytes",
            "Bytes of the file system that holds the data folder",
            bytes(disk.f_blocks),
        ),
        Reading::gauge(
            "consign_disk_free_bytes",
            "Bytes that are free there",
            bytes(disk.f_bavail),
        ),
        Reading::gauge(
            "consign_disk_free_files",
            "Files that may still be made there",
            disk.f_favail,
        ),
    ]
}

/// What the process takes, by the names that Prometheus' own clients give it.
///
/// <https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics>
pub(super) fn usage() -> Vec<Reading> {
    let mut readings = Vec::new();
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = |name: &str| -> Option<u64> {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_ascii_whitespace().next()?.parse().ok()
    };
    for (line, name, help) in [
        ("VmRSS:", "process_resident_memory_bytes", "Memory in RAM"),
        (
            "VmSize:",
            "process_virtual_memory_bytes",
            "Memory that is mapped",
        ),
    ] {
        if let Some(kib) = field(line) {
            readings.push(Reading::gauge(name, help, kib.saturating_mul(1024)));
        }
    }
    if let Some(threads) = field("Threads:") {
        readings.push(Reading::gauge("process_threads", "Threads", threads));
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        // The folder that is being read is one of them.
        let open = open.count().saturating_sub(1);
        readings.push(Reading::gauge(
            "process_open_fds",
            "Open files and sockets",
            open,
        ));
    }
    if let Some(limit) = getrlimit(Resource::Nofile).current {
        let help = "Files and sockets that may be open";
        readings.push(Reading::gauge("process_max_fds", help, limit));
    }
    if let Some(seconds) = cpu_seconds() {
        let help = "Time of processors, user and system";
        readings.push(Reading::counter("process_cpu_seconds", help, seconds));
    }
    readings
}

/// Seconds of processors, user and system, that the process has taken.
pub(in crate::server) fn cpu_seconds() -> Option<f64> {
    cpu_seconds_in(&fs::read_to_string("/proc/self/stat").ok()?)
}

/// The 14th and 15th field; the second, the name, may hold spaces and brackets.
fn cpu_seconds_in(stat: &str) -> Option<f64> {
    let (_name, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u32>().ok();
    Some((f64::from(ticks()?) + f64::from(ticks()?)) / TICKS_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_processors_is_found_behind_any_name() {
        let stat = "7 (a) b 1) S 1 7 7 0 -1 4194560 100 0 0 0 250 150 0 0 20 0";
        assert_eq!(cpu_seconds_in(stat), Some(4.0));
        assert_eq!(cpu_seconds_in("7 (a)"), None);
    }

    #[test]
    fn linux_tells_everything() {
        let told = usage();
        assert_eq!(told.len(), 6, "{told:?}");
        assert!(told.iter().all(|reading| reading.value() >= 0.0));
        assert_eq!(disk(Path::new("/")).len(), 3);
        assert!(disk(Path::new("/nowhere-at-all")).is_empty());
    }
}
