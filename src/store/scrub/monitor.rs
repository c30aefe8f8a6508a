//! How far the scrub is, and what was found to be damaged: for commands and metrics.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::super::fsck::FsckProgress;
use super::State;
use crate::clock::Timestamp;

/// Counters and the state of the pass; they may be read at any time.
#[derive(Debug, Default)]
pub struct ScrubMonitor {
    running: AtomicBool,
    damaged: AtomicU64,
    damaged_reads: AtomicU64,
    passes: AtomicU64,
    last: Mutex<Last>,
}

#[derive(Debug, Default)]
struct Last {
    state: State,
    progress: Arc<FsckProgress>,
}

/// What a monitor shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScrubStatus {
    /// Whether a pass is under way.
    pub running: bool,
    /// When the last pass began.
    pub began: Option<Timestamp>,
    /// When the last whole pass ended.
    pub finished: Option<Timestamp>,
    /// Records that the last pass has looked at.
    pub records: u64,
    /// Bytes of blobs that it has read.
    pub bytes: u64,
    /// Bytes of all blobs when it began.
    pub bytes_total: u64,
    /// Things that are known to be damaged now.
    pub damaged: u64,
    /// Reads of objects, since the start, that found damage and were cut or refused.
    pub damaged_reads: u64,
    /// Passes that ended since the start.
    pub passes: u64,
}

/// Ends the "running" of a pass, however it ends.
pub(super) struct Running<'a>(&'a ScrubMonitor);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.store(false, Ordering::SeqCst);
    }
}

impl ScrubMonitor {
    /// What it shows now.
    pub fn status(&self) -> ScrubStatus {
        let last = self.last();
        ScrubStatus {
            running: self.running.load(Ordering::SeqCst),
            began: last.state.began,
            finished: last.state.finished,
            records: last.progress.records(),
            bytes: last.progress.bytes(),
            bytes_total: last.progress.bytes_total(),
            damaged: self.damaged.load(Ordering::Relaxed),
            damaged_reads: self.damaged_reads.load(Ordering::Relaxed),
            passes: self.passes.load(Ordering::Relaxed),
        }
    }

    /// Says that a pass is about to begin; false where one is under way.
    pub fn announce(&self) -> bool {
        !self.running.swap(true, Ordering::SeqCst)
    }

    pub(super) fn begin(&self) -> Running<'_> {
        self.running.store(true, Ordering::SeqCst);
        Running(self)
    }

    pub(super) fn tell(&self, state: &State) {
        let mut last = self.last();
        last.state = state.clone();
        last.progress = Arc::new(FsckProgress::from(state.records, state.bytes));
        last.progress.expect_bytes(state.bytes_total);
    }

    pub(super) fn watch(&self, progress: Arc<FsckProgress>) {
        self.last().progress = progress;
    }

    pub(super) fn ended(&self, state: &State) {
        self.tell(state);
        self.passes.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn damaged(&self, count: u64) {
        self.damaged.store(count, Ordering::Relaxed);
    }

    pub(in crate::store) fn count_damaged_read(&self) {
        self.damaged_reads.fetch_add(1, Ordering::Relaxed);
    }

    fn last(&self) -> MutexGuard<'_, Last> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
