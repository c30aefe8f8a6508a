//! What a check found, by kind.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

/// Findings that a report names one by one; of further ones only the number is kept.
const NAMED_MAX: usize = 1000;

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FindingKind {
    /// A row's value is no record.
    UnreadableRecord,
    /// A record's length is not that of its segments.
    WrongLength,
    /// A row belongs to a bucket that is not there.
    NoBucket,
    /// A part belongs to an upload that is not there.
    NoUpload,
    /// A record's list of segments is missing.
    MissingLayout,
    /// A small object's bytes are missing.
    MissingInline,
    /// A small object's bytes are not as many as its record says.
    WrongInline,
    /// A record names a blob that has no row: the sweep would delete it.
    UnlistedBlob,
    /// A record names a blob whose file is missing.
    MissingBlob,
    /// A blob's bytes are not those that were written.
    DamagedBlob,
    /// A blob has a row, but no record names it.
    UnnamedBlob,
    /// Bytes of a small object that no record names.
    UnnamedInline,
    /// A list of segments that no record names.
    UnnamedLayout,
    /// A blob waits to be deleted though a record may name it.
    GarbageInUse,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What.
    pub kind: FindingKind,
    /// Where: a bucket and key, or a blob.
    pub place: String,
    /// In which way.
    pub detail: String,
}

/// What a check found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct FsckReport {
    /// Records of objects, versions and parts looked at.
    pub records: u64,
    /// Blobs looked at.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Whether every byte was read.
    pub read_blobs: bool,
    /// How often each kind was found.
    pub kinds: BTreeMap<FindingKind, u64>,
    /// The first thousand findings.
    pub findings: Vec<Finding>,
    /// Files that no row names: a crash leaves them, and the sweep after a start deletes them.
    pub leftover_files: u64,
    /// Blobs that wait to be deleted.
    pub garbage: u64,
}

impl FsckReport {
    /// Whether nothing is wrong.
    pub fn is_clean(&self) -> bool {
        self.kinds.is_empty()
    }

    pub(super) fn found(&mut self, finding: Finding) {
        let count = self.kinds.entry(finding.kind).or_default();
        *count = count.saturating_add(1);
        if self.findings.len() < NAMED_MAX {
            self.findings.push(finding);
        }
    }
}

/// How far a check is; it may be read while the check runs.
#[derive(Debug, Default)]
pub struct FsckProgress {
    records: AtomicU64,
    bytes: AtomicU64,
    bytes_total: AtomicU64,
}

impl FsckProgress {
    /// Records looked at so far.
    pub fn records(&self) -> u64 {
        self.records.load(Ordering::Relaxed)
    }

    /// Bytes of blobs looked at so far.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Bytes of all blobs, once they are counted.
    pub fn bytes_total(&self) -> u64 {
        self.bytes_total.load(Ordering::Relaxed)
    }

    pub(super) fn count_record(&self) {
        self.records.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_bytes(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn expect_bytes(&self, bytes: u64) {
        self.bytes_total.store(bytes, Ordering::Relaxed);
    }
}
