//! How the audit log is, as numbers.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use super::Head;
use crate::clock::Timestamp;
use crate::metrics::Reading;

/// What is known of the log without looking into it.
#[derive(Debug, Default)]
pub(in crate::server) struct Vitals {
    lines: AtomicU64,
    written_s: AtomicI64,
    failures: AtomicU64,
    is_failing: AtomicBool,
    without_line: AtomicU64,
    was_tampered: AtomicBool,
}

impl Vitals {
    /// The log goes on behind `head`; whether it had been tampered with.
    pub(super) fn found(&self, head: Head, was_tampered: bool) {
        self.lines.store(head.seq, Ordering::Relaxed);
        self.was_tampered.store(was_tampered, Ordering::Relaxed);
    }

    /// Lines were written, the last of them `head`; or could not be.
    pub(super) fn wrote(&self, head: Head, now: Timestamp, is_kept: bool) {
        self.is_failing.store(!is_kept, Ordering::Relaxed);
        if is_kept {
            self.lines.store(head.seq, Ordering::Relaxed);
            self.written_s.store(now.unix_s(), Ordering::Relaxed);
        } else {
            self.failures.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Who was denied gets no line of their own.
    pub(super) fn passed_over(&self) {
        self.without_line.fetch_add(1, Ordering::Relaxed);
    }

    /// All of it.
    pub(in crate::server) fn readings(&self) -> Vec<Reading> {
        vec![
            Reading::gauge(
                "consign_audit_lines",
                "The number of the audit log's last line",
                self.lines.load(Ordering::Relaxed),
            ),
            Reading::gauge(
                "consign_audit_written_time_seconds",
                "When a line was written last, in seconds of the Unix epoch; 0: not since the start",
                self.written_s.load(Ordering::Relaxed),
            ),
            Reading::gauge(
                "consign_audit_writable",
                "0 where the last lines could not be written: changes by administrators are refused",
                !self.is_failing.load(Ordering::Relaxed),
            ),
            Reading::counter(
                "consign_audit_failures",
                "Times that lines could not be written",
                self.failures.load(Ordering::Relaxed),
            ),
            Reading::gauge(
                "consign_audit_tampered",
                "1 where this start found that the audit log had been tampered with",
                self.was_tampered.load(Ordering::Relaxed),
            ),
            Reading::counter(
                "consign_audit_denials_without_line",
                "Denied requests beyond those that get a line of their own, which one line counts",
                self.without_line.load(Ordering::Relaxed),
            ),
        ]
    }
}
