//! One row at a time: what it names, and whether that is there.

use futures_util::TryStreamExt as _;

use super::super::blob::{BlobError, BlobRef};
use super::super::meta::{Entry, Space};
use super::super::record::{Layout, ObjectRecord, PartRecord, Segment, decode};
use super::super::{ObjectStore, StoreError, keyspace};
use super::report::{Finding, FindingKind, FsckProgress};
use super::{FsckOptions, Known, Pace, Unnamed, is_damage};
use crate::id::{BlobId, BucketId};

/// One thing that is wrong with a row, before it has a place.
pub(super) struct Fault {
    kind: FindingKind,
    detail: String,
    /// The blob whose bytes are the fault.
    blob: Option<BlobId>,
}

impl Fault {
    fn new(kind: FindingKind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            blob: None,
        }
    }
}

/// What a row says of its bytes.
pub(in crate::store) struct Bytes {
    /// The length that it states.
    len: u64,
    segments: Vec<Segment>,
    /// What is wrong with the row itself.
    faults: Vec<Fault>,
}

pub(in crate::store) struct Examiner<'a> {
    pub(in crate::store) store: &'a ObjectStore,
    pub(in crate::store) known: &'a Known,
    pub(in crate::store) options: FsckOptions,
    pub(in crate::store) progress: &'a FsckProgress,
    pub(in crate::store) pace: &'a Pace,
}

impl Examiner<'_> {
    /// Reads a row and crosses off what it names.
    pub(in crate::store) async fn name(
        &self,
        space: Space,
        row: &Entry,
        unnamed: &mut Unnamed,
    ) -> Result<Bytes, StoreError> {
        let bytes = match space {
            Space::Parts => of_part(row),
            _ => self.of_object(row, unnamed).await?,
        };
        for segment in &bytes.segments {
            if let Some((id, _len)) = segment.inline() {
                unnamed.inline.remove(&id);
            }
            if let Some(blob) = segment.blob() {
                unnamed.blobs.remove(&blob.id);
            }
        }
        Ok(bytes)
    }

    async fn of_object(&self, row: &Entry, unnamed: &mut Unnamed) -> Result<Bytes, StoreError> {
        let record: ObjectRecord = match decode(&row.value, "an object's record") {
            Ok(record) => record,
            Err(error) => return Ok(unreadable(&error)),
        };
        let mut bytes = Bytes {
            len: record.len,
            segments: record.segments,
            faults: Vec::new(),
        };
        let Some(id) = record.layout else {
            return Ok(bytes);
        };
        unnamed.layouts.remove(&id);
        let stored = self.store.meta().get(Space::Layouts, id.as_bytes()).await?;
        match stored.map(|raw| decode::<Layout>(&raw, "an object's layout")) {
            Some(Ok(layout)) => bytes.segments = layout.segments,
            Some(Err(error)) => bytes
                .faults
                .push(Fault::new(FindingKind::MissingLayout, error.to_string())),
            None => {
                let text = format!("its layout {id} is missing");
                bytes
                    .faults
                    .push(Fault::new(FindingKind::MissingLayout, text));
            }
        }
        Ok(bytes)
    }

    /// Looks whether what a row names is there. What is found counts only where the row is still
    /// the same: a change takes its bytes away.
    pub(in crate::store) async fn examine(
        &self,
        space: Space,
        row: &Entry,
        bytes: Bytes,
    ) -> Result<Vec<Finding>, StoreError> {
        self.progress.count_record();
        let mut faults = bytes.faults;
        faults.extend(self.belongs(space, row));
        let stored = bytes
            .segments
            .iter()
            .fold(0_u64, |sum, part| sum.saturating_add(part.len()));
        if faults.is_empty() && stored != bytes.len {
            let text = format!("it has {} bytes, its segments {stored}", bytes.len);
            faults.push(Fault::new(FindingKind::WrongLength, text));
        }
        for segment in bytes.segments {
            faults.extend(self.segment(segment).await?);
            if let Some(blob) = segment.blob() {
                self.progress.count_bytes(blob.len);
            }
        }
        if faults.is_empty() {
            return Ok(Vec::new());
        }
        let now = self.store.meta().get(space, &row.key).await?;
        if now.as_ref() != Some(&row.value) {
            return Ok(Vec::new());
        }
        let place = self.place(space, row);
        let finding = |fault: Fault| Finding {
            kind: fault.kind,
            place: place.clone(),
            detail: fault.detail,
            blob: fault.blob,
        };
        Ok(faults.into_iter().map(finding).collect())
    }

    /// What a row must belong to, unless that came after it was counted.
    fn belongs(&self, space: Space, row: &Entry) -> Option<Fault> {
        if space == Space::Parts {
            let upload = row.key.first_chunk::<16>();
            let known = upload.is_some_and(|id| self.known.uploads.contains(id));
            let new = upload.is_some_and(|id| self.is_new(*id));
            let fault = || Fault::new(FindingKind::NoUpload, "its upload is not there");
            return (!known && !new).then(fault);
        }
        let bucket = bucket_of(row)?;
        let newer = self
            .known
            .buckets
            .keys()
            .max()
            .is_none_or(|last| bucket > *last);
        let known = self.known.buckets.contains_key(&bucket);
        let text = format!("its bucket, number {}, is not there", bucket.0);
        (!known && !newer).then(|| Fault::new(FindingKind::NoBucket, text))
    }

    fn is_new(&self, upload: [u8; 16]) -> bool {
        let created = crate::id::UploadId::from_bytes(upload).created();
        created >= self.known.counted
    }

    async fn segment(&self, segment: Segment) -> Result<Option<Fault>, StoreError> {
        if let Some(blob) = segment.blob() {
            return self.blob(blob).await;
        }
        let Some((id, len)) = segment.inline() else {
            return Ok(None);
        };
        let row = match self.store.meta().get(Space::Inline, id.as_bytes()).await {
            Ok(row) => row,
            Err(error) if is_damage(&error) => {
                let text = error.to_string();
                return Ok(Some(Fault::new(FindingKind::DamagedInline, text)));
            }
            Err(error) => return Err(error.into()),
        };
        Ok(match row.map(|row| row.len() as u64) {
            None => {
                let text = format!("its bytes {id} are missing");
                Some(Fault::new(FindingKind::MissingInline, text))
            }
            Some(found) if found != len => {
                let text = format!("it has {found} bytes instead of {len}");
                Some(Fault::new(FindingKind::WrongInline, text))
            }
            Some(_same) => None,
        })
    }

    async fn blob(&self, blob: BlobRef) -> Result<Option<Fault>, StoreError> {
        let id = blob.id;
        let row = self.store.meta().get(Space::Blobs, id.as_bytes()).await?;
        let listed = row.and_then(|raw| decode::<BlobRef>(&raw, "a blob's row").ok());
        if listed != Some(blob) {
            let text = format!("blob {id} has no row, or one of another length");
            return Ok(Some(Fault::new(FindingKind::UnlistedBlob, text)));
        }
        let checked = if self.options.read_blobs {
            self.read(blob).await
        } else {
            // Opening it compares its length and checks its footer.
            self.store.blobs().read(blob, 0..0).await.map(drop)
        };
        let kind = match &checked {
            Ok(()) => return Ok(None),
            Err(BlobError::Missing { .. }) => FindingKind::MissingBlob,
            Err(_error) => FindingKind::DamagedBlob,
        };
        Ok(checked.err().map(|error| Fault {
            kind,
            detail: error.to_string(),
            blob: Some(id),
        }))
    }

    async fn read(&self, blob: BlobRef) -> Result<(), BlobError> {
        let mut pieces = self.store.blobs().read_from_disk(blob).await?;
        while let Some(piece) = pieces.try_next().await? {
            self.pace.spend(piece.len() as u64).await;
        }
        Ok(())
    }

    /// Where a row is, for people.
    fn place(&self, space: Space, row: &Entry) -> String {
        if space == Space::Parts {
            let (upload, number) = row.key.split_at(row.key.len().min(16));
            let number = number.first_chunk().copied().map_or(0, u16::from_be_bytes);
            return format!("part {number} of upload {}", hex::encode(upload));
        }
        let bucket = bucket_of(row);
        let name = bucket
            .and_then(|id| self.known.buckets.get(&id))
            .map_or("?", String::as_str);
        let key = row.key.get(8..).unwrap_or_default();
        let key = match space {
            // A version's row goes on behind its key.
            Space::Versions => keyspace::before_key_end(key),
            _ => key,
        };
        let key = String::from_utf8_lossy(key);
        format!("{name}/{key}")
    }
}

fn of_part(row: &Entry) -> Bytes {
    match decode::<PartRecord>(&row.value, "a part's record") {
        Ok(part) => Bytes {
            len: part.len(),
            segments: vec![part.segment],
            faults: Vec::new(),
        },
        Err(error) => unreadable(&error),
    }
}

fn unreadable(error: &StoreError) -> Bytes {
    Bytes {
        len: 0,
        segments: Vec::new(),
        faults: vec![Fault::new(FindingKind::UnreadableRecord, error.to_string())],
    }
}

fn bucket_of(row: &Entry) -> Option<BucketId> {
    row.key
        .first_chunk::<8>()
        .map(|id| BucketId(u64::from_be_bytes(*id)))
}
