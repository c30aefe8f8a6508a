//! The check of the whole store: every record's bytes are there, and nothing is there that no
//! record names.
//!
//! It runs beside a server at work. What it sees of a row may be over before it has looked further,
//! so a finding counts only where its row is still the same afterwards.

mod examine;
mod pace;
mod pages;
mod report;
#[cfg(test)]
pub(in crate::store) mod tests;

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

pub(in crate::store) use examine::Examiner;
pub use pace::{ByteRate, Pace};
pub(in crate::store) use pages::Pages;
pub use report::{Finding, FindingKind, FsckProgress, FsckReport};

use super::blob::BlobRef;
use super::meta::{Entry, MetaEngine, MetaError, Space};
use super::record::{BucketRecord, decode};
use super::{ObjectStore, StoreError, keyspace};
use crate::clock::Timestamp;
use crate::id::{BlobId, BucketId, InlineId};
use pages::ids;

/// Records whose blobs are looked at together.
const AT_ONCE: usize = 8;
/// How often the walk for names is made anew before what it misses is believed.
const NAMING_WALKS: u32 = 3;

/// The spaces whose rows name bytes. Parts become objects, and objects versions: in this order the
/// walk meets most of what moves meanwhile.
pub(in crate::store) const NAMING: [Space; 3] = [Space::Parts, Space::Objects, Space::Versions];

/// How to check.
#[derive(Debug, Clone, Copy, Default)]
pub struct FsckOptions {
    /// Read every byte of every blob and compare it with its checksum.
    pub read_blobs: bool,
}

/// What has a row of its own and must be named by a record.
#[derive(Default)]
pub(in crate::store) struct Unnamed {
    blobs: HashMap<BlobId, u64>,
    inline: HashMap<InlineId, u64>,
    layouts: HashSet<InlineId>,
}

/// What records must belong to, and what shows their places to people.
pub(in crate::store) struct Known {
    buckets: HashMap<BucketId, String>,
    uploads: HashSet<[u8; 16]>,
    /// Uploads that are younger were not there to be counted.
    counted: Timestamp,
}

impl Unnamed {
    fn is_empty(&self) -> bool {
        self.blobs.is_empty() && self.inline.is_empty() && self.layouts.is_empty()
    }
}

impl ObjectStore {
    /// Checks the whole store.
    ///
    /// # Errors
    /// What the metadata engine fails with; faults of blobs are findings.
    pub async fn fsck(
        &self,
        options: FsckOptions,
        progress: &FsckProgress,
    ) -> Result<FsckReport, StoreError> {
        let mut report = FsckReport {
            read_blobs: options.read_blobs,
            ..FsckReport::default()
        };
        if options.read_blobs {
            self.check_rows(&mut report).await?;
        }
        match self.check_records(options, progress, &mut report).await {
            Err(StoreError::Meta(error)) if is_damage(&error) => {
                let detail = format!("the check ended before all was seen: {error}");
                report.found(Finding::new(
                    FindingKind::DamagedRows,
                    "the metadata",
                    detail,
                ));
            }
            checked => checked?,
        }
        Ok(report)
    }

    /// Whether each space's rows can be read.
    async fn check_rows(&self, report: &mut FsckReport) -> Result<(), StoreError> {
        for space in Space::ALL {
            let verified = self.meta().verify(space, Bytes::new(), u64::MAX).await;
            if let Err(error) = verified {
                report.found(damaged_rows(space, error)?);
            }
        }
        Ok(())
    }

    async fn check_records(
        &self,
        options: FsckOptions,
        progress: &FsckProgress,
        report: &mut FsckReport,
    ) -> Result<(), StoreError> {
        let began = self.clock().now();
        let meta = self.meta().as_ref();
        // Rows before records: what has a row is named by a record of the same batch.
        let mut unnamed = rows(meta, report).await?;
        report.blobs = u64::try_from(unnamed.blobs.len()).unwrap_or(u64::MAX);
        report.bytes = unnamed
            .blobs
            .values()
            .fold(0, |sum, len| sum.saturating_add(*len));
        progress.expect_bytes(report.bytes);
        self.check_files(&unnamed, began, report).await?;
        self.check_garbage(report).await?;
        let known = Known::read(meta, began, report).await?;
        let pace = Pace::unlimited();
        let examiner = Examiner {
            store: self,
            known: &known,
            options,
            progress,
            pace: &pace,
        };
        for space in NAMING {
            let mut pages = Pages::of(space);
            while let Some(page) = pages.next(meta).await? {
                examine_page(&examiner, space, page, &mut unnamed, report).await?;
            }
        }
        self.check_unnamed(&examiner, unnamed, report).await
    }

    /// Files that no row names.
    async fn check_files(
        &self,
        unnamed: &Unnamed,
        began: Timestamp,
        report: &mut FsckReport,
    ) -> Result<(), StoreError> {
        let mut files = self.blobs().list();
        while let Some(id) = files.try_next().await? {
            // Younger ones may be on their way into a batch.
            if unnamed.blobs.contains_key(&id) || id.created() >= began || self.pins().keeps(id) {
                continue;
            }
            let listed = self
                .meta()
                .get(Space::Blobs, id.as_bytes())
                .await?
                .is_some();
            if listed
                || self
                    .meta()
                    .get(Space::Garbage, id.as_bytes())
                    .await?
                    .is_some()
            {
                continue;
            }
            report.leftover_files = report.leftover_files.saturating_add(1);
        }
        Ok(())
    }

    async fn check_garbage(&self, report: &mut FsckReport) -> Result<(), StoreError> {
        for (id, ()) in ids(self.meta().as_ref(), Space::Garbage, |_value| ()).await? {
            report.garbage = report.garbage.saturating_add(1);
            // One batch takes the row away and makes the garbage: both at once are a fault.
            let named = self.meta().get(Space::Blobs, &id).await?.is_some();
            if named && self.meta().get(Space::Garbage, &id).await?.is_some() {
                let place = format!("blob {}", BlobId::from_bytes(id));
                let detail = "it has a row in blobs and one in garbage";
                report.found(Finding::new(FindingKind::GarbageInUse, place, detail));
            }
        }
        Ok(())
    }

    /// Rows that no record named: looked for again, since records move while they are walked.
    async fn check_unnamed(
        &self,
        examiner: &Examiner<'_>,
        mut unnamed: Unnamed,
        report: &mut FsckReport,
    ) -> Result<(), StoreError> {
        let meta = self.meta().as_ref();
        for _walk in 0..NAMING_WALKS {
            if unnamed.is_empty() {
                return Ok(());
            }
            for space in NAMING {
                let mut pages = Pages::of(space);
                while let Some(page) = pages.next(meta).await? {
                    for row in &page {
                        examiner.name(space, row, &mut unnamed).await?;
                    }
                }
            }
        }
        let mut lost = Vec::new();
        lost.extend(unnamed.blobs.keys().map(|id| {
            (
                Space::Blobs,
                *id.as_bytes(),
                FindingKind::UnnamedBlob,
                "blob",
            )
        }));
        lost.extend(unnamed.inline.keys().map(|id| {
            (
                Space::Inline,
                *id.as_bytes(),
                FindingKind::UnnamedInline,
                "inline row",
            )
        }));
        lost.extend(unnamed.layouts.iter().map(|id| {
            (
                Space::Layouts,
                *id.as_bytes(),
                FindingKind::UnnamedLayout,
                "layout",
            )
        }));
        for (space, id, kind, what) in lost {
            if meta.get(space, &id).await?.is_some() {
                let place = format!("{what} {}", BlobId::from_bytes(id));
                let detail = "no object, version or part names it";
                report.found(Finding::new(kind, place, detail));
            }
        }
        Ok(())
    }
}

/// Whether what was stored can't be read, unlike what fails for another reason.
pub(in crate::store) const fn is_damage(error: &MetaError) -> bool {
    matches!(error, MetaError::Corrupt { .. } | MetaError::Engine { .. })
}

/// The finding that a space's rows are damaged.
///
/// # Errors
/// `error`, where it tells of no damage.
pub(in crate::store) fn damaged_rows(
    space: Space,
    error: MetaError,
) -> Result<Finding, StoreError> {
    if !is_damage(&error) {
        return Err(error.into());
    }
    let place = format!("the rows of {}", space.name());
    Ok(Finding::new(
        FindingKind::DamagedRows,
        place,
        error.to_string(),
    ))
}

/// Everything that a record must name.
async fn rows(meta: &dyn MetaEngine, report: &mut FsckReport) -> Result<Unnamed, StoreError> {
    let len_of_blob = |value: &[u8]| {
        let blob = decode::<BlobRef>(value, "a blob's row");
        blob.map_or(0, |blob| blob.len)
    };
    let blobs = ids(meta, Space::Blobs, len_of_blob).await?;
    let inline = match ids(meta, Space::Inline, |value| value.len() as u64).await {
        // The objects that it strikes are found one by one.
        Err(StoreError::Meta(error)) if is_damage(&error) => {
            report.found(damaged_rows(Space::Inline, error)?);
            Vec::new()
        }
        inline => inline?,
    };
    let layouts = ids(meta, Space::Layouts, |_value| ()).await?;
    let blob = |(id, len)| (BlobId::from_bytes(id), len);
    let small = |(id, len)| (InlineId::from_bytes(id), len);
    Ok(Unnamed {
        blobs: blobs.into_iter().map(blob).collect(),
        inline: inline.into_iter().map(small).collect(),
        layouts: layouts
            .into_iter()
            .map(|(id, ())| InlineId::from_bytes(id))
            .collect(),
    })
}

impl Known {
    /// The buckets and uploads that are there.
    pub(in crate::store) async fn read(
        meta: &dyn MetaEngine,
        counted: Timestamp,
        report: &mut FsckReport,
    ) -> Result<Self, StoreError> {
        let mut known = Self {
            buckets: HashMap::new(),
            uploads: HashSet::new(),
            counted,
        };
        let mut pages = Pages::of(Space::Buckets);
        while let Some(page) = pages.next(meta).await? {
            for row in page {
                let name = String::from_utf8_lossy(&row.key).into_owned();
                match decode::<BucketRecord>(&row.value, "a bucket's record") {
                    Ok(bucket) => drop(known.buckets.insert(bucket.id, name)),
                    Err(error) => report.found(Finding::new(
                        FindingKind::UnreadableRecord,
                        format!("bucket {name}"),
                        error.to_string(),
                    )),
                }
            }
        }
        let mut pages = Pages::of(Space::Uploads);
        while let Some(page) = pages.next(meta).await? {
            let ids = page
                .iter()
                .filter_map(|row| keyspace::read_upload(&row.key));
            known.uploads.extend(ids.map(|(_key, id)| *id.as_bytes()));
        }
        Ok(known)
    }
}

async fn examine_page(
    examiner: &Examiner<'_>,
    space: Space,
    page: Vec<Entry>,
    unnamed: &mut Unnamed,
    report: &mut FsckReport,
) -> Result<(), StoreError> {
    let mut named = Vec::with_capacity(page.len());
    for row in page {
        report.records = report.records.saturating_add(1);
        let bytes = examiner.name(space, &row, unnamed).await?;
        named.push((row, bytes));
    }
    let examined = stream::iter(named)
        .map(|(row, bytes)| async move { examiner.examine(space, &row, bytes).await })
        .buffer_unordered(AT_ONCE);
    let found: Vec<Vec<Finding>> = examined.try_collect().await?;
    found
        .into_iter()
        .flatten()
        .for_each(|finding| report.found(finding));
    Ok(())
}
