//! What a check found, by kind.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

use crate::id::BlobId;

/// Findings that a report names one by one; of further ones only the number is kept.
const NAMED_MAX: usize = 1000;

/// What is wrong.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Serialize,
    minicbor::Encode,
    minicbor::Decode,
)]
#[serde(rename_all = "kebab-case")]
#[cbor(index_only)]
pub enum FindingKind {
    /// A row's value is no record.
    #[n(0)]
    UnreadableRecord,
    /// A record's length is not that of its segments.
    #[n(1)]
    WrongLength,
    /// A row belongs to a bucket that is not there.
    #[n(2)]
    NoBucket,
    /// A part belongs to an upload that is not there.
    #[n(3)]
    NoUpload,
    /// A record's list of segments is missing.
    #[n(4)]
    MissingLayout,
    /// A small object's bytes are missing.
    #[n(5)]
    MissingInline,
    /// A small object's bytes are not as many as its record says.
    #[n(6)]
    WrongInline,
    /// A record names a blob that has no row: the sweep would delete it.
    #[n(7)]
    UnlistedBlob,
    /// A record names a blob whose file is missing.
    #[n(8)]
    MissingBlob,
    /// A blob's bytes are not those that were written.
    #[n(9)]
    DamagedBlob,
    /// A blob has a row, but no record names it.
    #[n(10)]
    UnnamedBlob,
    /// Bytes of a small object that no record names.
    #[n(11)]
    UnnamedInline,
    /// A list of segments that no record names.
    #[n(12)]
    UnnamedLayout,
    /// A blob waits to be deleted though a record may name it.
    #[n(13)]
    GarbageInUse,
    /// A small object's bytes can't be read.
    #[n(14)]
    DamagedInline,
    /// Rows of the metadata can't be read.
    #[n(15)]
    DamagedRows,
}

impl FindingKind {
    /// Every kind.
    pub const ALL: [Self; 16] = [
        Self::UnreadableRecord,
        Self::WrongLength,
        Self::NoBucket,
        Self::NoUpload,
        Self::MissingLayout,
        Self::MissingInline,
        Self::WrongInline,
        Self::UnlistedBlob,
        Self::MissingBlob,
        Self::DamagedBlob,
        Self::UnnamedBlob,
        Self::UnnamedInline,
        Self::UnnamedLayout,
        Self::GarbageInUse,
        Self::DamagedInline,
        Self::DamagedRows,
    ];

    /// As reports name it: `missing-blob`.
    pub fn name(self) -> Option<String> {
        let name = serde_json::to_value(self).ok()?;
        name.as_str().map(str::to_owned)
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, minicbor::Encode, minicbor::Decode)]
pub struct Finding {
    /// What.
    #[n(0)]
    pub kind: FindingKind,
    /// Where: a bucket and key, or a blob.
    #[n(1)]
    pub place: String,
    /// In which way.
    #[n(2)]
    pub detail: String,
    /// The blob whose bytes are damaged or missing.
    #[serde(skip)]
    #[n(3)]
    pub blob: Option<BlobId>,
}

impl Finding {
    /// Of what no blob's bytes are to blame for.
    pub(in crate::store) fn new(
        kind: FindingKind,
        place: impl Into<String>,
        detail: impl Into<String>,
    ) -> Self {
        Self {
            kind,
            place: place.into(),
            detail: detail.into(),
            blob: None,
        }
    }
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

    pub(in crate::store) fn found(&mut self, finding: Finding) {
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
    /// Of a check that goes on where another one ended.
    pub(in crate::store) const fn from(records: u64, bytes: u64) -> Self {
        Self {
            records: AtomicU64::new(records),
            bytes: AtomicU64::new(bytes),
            bytes_total: AtomicU64::new(0),
        }
    }

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

    pub(in crate::store) fn count_record(&self) {
        self.records.fetch_add(1, Ordering::Relaxed);
    }

    pub(in crate::store) fn count_bytes(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(in crate::store) fn expect_bytes(&self, bytes: u64) {
        self.bytes_total.store(bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_named_and_in_the_list() {
        // Kinds are stored by number: the first number that none has is behind the last kind.
        let known = (0..).take_while(|number| minicbor::decode::<FindingKind>(&[*number]).is_ok());
        assert_eq!(known.count(), FindingKind::ALL.len());
        assert_eq!(
            FindingKind::MissingBlob.name().as_deref(),
            Some("missing-blob")
        );
        let names: std::collections::BTreeSet<_> = FindingKind::ALL
            .into_iter()
            .map(FindingKind::name)
            .collect();
        assert_eq!(names.len(), FindingKind::ALL.len());
    }
}
