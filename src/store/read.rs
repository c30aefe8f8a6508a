//! An object's bytes, though it may be overwritten or deleted while they are read.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt as _, TryStreamExt as _};

use super::blob::{BlobError, BlobRef, BlobStream};
use super::meta::Space;
use super::record::{Sealed, Segment};
use super::seal::chunk::{self, sealed_range};
use super::seal::{DataKey, SegmentKey};
use super::{Bucket, Object, ObjectStore, StoreError, TRIES_MAX, VersionRef};
use crate::id::{BlobId, InlineId};
use crate::name::ObjectKey;

/// A run of the bytes that were asked for.
#[derive(Debug)]
enum Piece {
    Inline(Bytes),
    Blob(BlobRef, Range<u64>),
}

/// How a piece is opened: with which key, and which bytes of how many.
#[derive(Debug)]
struct Opening {
    key: SegmentKey,
    blob: BlobId,
    range: Range<u64>,
    len: u64,
}

/// What of an object is to be read, and the key where it is sealed.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// The bytes.
    pub range: Range<u64>,
    /// The data key.
    pub key: Option<DataKey>,
}

impl From<Range<u64>> for Wanted {
    fn from(range: Range<u64>) -> Self {
        Self { range, key: None }
    }
}

/// Blobs that readers have yet to open, or that are on their way into a batch: deleting them waits.
#[derive(Debug, Default)]
pub(crate) struct Pins(Mutex<HashMap<BlobId, Pin>>, Mutex<Holds>);

/// Who keeps every blob, and what was doomed meanwhile.
#[derive(Debug, Default)]
struct Holds {
    count: u64,
    doomed: Vec<BlobId>,
}

/// Keeps every blob from being deleted; what was doomed meanwhile goes when it is dropped.
#[derive(Debug)]
pub struct GarbageHold(ObjectStore);

impl Drop for GarbageHold {
    fn drop(&mut self) {
        let mut holds = self.0.pins().holds();
        holds.count = holds.count.saturating_sub(1);
        let doomed = if holds.count == 0 {
            std::mem::take(&mut holds.doomed)
        } else {
            Vec::new()
        };
        drop(holds);
        self.0.discard_later(doomed);
    }
}

#[derive(Debug, Default)]
struct Pin {
    readers: u64,
    doomed: bool,
}

impl Pins {
    fn pins(&self) -> MutexGuard<'_, HashMap<BlobId, Pin>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn holds(&self) -> MutexGuard<'_, Holds> {
        self.1.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether someone keeps `id`.
    pub(crate) fn keeps(&self, id: BlobId) -> bool {
        self.holds().count > 0 || self.pins().contains_key(&id)
    }

    /// Whether `id` may be deleted now; otherwise its last reader, or who holds all, does it.
    pub(crate) fn doom(&self, id: BlobId) -> bool {
        let mut holds = self.holds();
        if holds.count > 0 {
            holds.doomed.push(id);
            return false;
        }
        drop(holds);
        let mut pins = self.pins();
        let pin = pins.get_mut(&id);
        pin.map(|pin| pin.doomed = true).is_none()
    }
}

/// Keeps blobs from being deleted; those that were doomed meanwhile are deleted when it is dropped.
#[derive(Debug)]
pub(crate) struct Pinned {
    store: ObjectStore,
    ids: Vec<BlobId>,
}

impl Pinned {
    pub(crate) fn new(store: ObjectStore, ids: Vec<BlobId>) -> Self {
        let mut pins = store.pins().pins();
        for id in &ids {
            let pin = pins.entry(*id).or_default();
            pin.readers = pin.readers.saturating_add(1);
        }
        drop(pins);
        Self { store, ids }
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        let mut doomed = Vec::new();
        let mut pins = self.store.pins().pins();
        for id in &self.ids {
            let Some(pin) = pins.get_mut(id) else {
                continue;
            };
            pin.readers = pin.readers.saturating_sub(1);
            if pin.readers > 0 {
                continue;
            }
            if pin.doomed {
                doomed.push(*id);
            }
            pins.remove(id);
        }
        drop(pins);
        self.store.discard_later(doomed);
    }
}

/// The part of `segment` that lies in `range`, where `start` is the segment's place in the object.
fn overlap(segment: Segment, start: u64, range: &Range<u64>) -> Option<Range<u64>> {
    let end = start.saturating_add(segment.len());
    let (from, to) = (range.start.max(start), range.end.min(end));
    (from < to).then(|| from.saturating_sub(start)..to.saturating_sub(start))
}

fn slice(bytes: &Bytes, range: &Range<u64>) -> Option<Bytes> {
    let at = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX);
    let (from, to) = (at(range.start), at(range.end));
    (from <= to && to <= bytes.len()).then(|| bytes.slice(from..to))
}

impl ObjectStore {
    /// Keeps every blob that is named now until the hold is dropped: garbage waits.
    pub fn hold_garbage(&self) -> GarbageHold {
        let mut holds = self.pins().holds();
        holds.count = holds.count.saturating_add(1);
        drop(holds);
        GarbageHold(self.clone())
    }

    /// The key's object, or its `version`, and those of its bytes that `choose` picks once it has
    /// seen it. Where the object is overwritten before its bytes are held, `choose` sees the new one.
    ///
    /// # Errors
    /// As [`ObjectStore::object`], what `choose` refuses with, what the engines fail with.
    pub async fn open_object<E: From<StoreError>>(
        &self,
        bucket: &Bucket,
        key: &ObjectKey,
        version: Option<&VersionRef>,
        mut choose: impl FnMut(&Object) -> Result<Wanted, E> + Send,
    ) -> Result<(Object, BlobStream), E> {
        // Boxed: few are overwritten meanwhile, and the others' futures are not to have room for it.
        let mut before: Option<Box<Object>> = None;
        for _try in 0..TRIES_MAX {
            let object = self.object(bucket, key, version).await?;
            if before.is_some_and(|before| before.record == object.record) {
                return Err(StoreError::corrupt("an object whose bytes are missing").into());
            }
            let wanted = choose(&object)?;
            match self.read(&object, wanted).await {
                Ok(bytes) => return Ok((object, bytes)),
                Err(StoreError::Superseded) => before = Some(Box::new(object)),
                Err(error) => return Err(error.into()),
            }
        }
        Err(StoreError::Conflict.into())
    }

    /// The bytes of `range`. Once this returns, the stream survives that the object is overwritten
    /// or deleted.
    ///
    /// # Errors
    /// [`StoreError::Superseded`] where its bytes went away after `object` was read: find the
    /// object anew.
    pub async fn read(
        &self,
        object: &Object,
        wanted: impl Into<Wanted> + Send,
    ) -> Result<BlobStream, StoreError> {
        let Wanted { range, key } = wanted.into();
        let mut pieces = Vec::new();
        let mut start = 0_u64;
        for segment in object.record.segments.iter().copied() {
            if let Some(part) = overlap(segment, start, &range) {
                pieces.push(self.piece(segment, part, key.as_ref()).await?);
            }
            start = start.saturating_add(segment.len());
        }
        let opened = match pieces.pop() {
            None => return Ok(stream::empty().boxed()),
            Some((Piece::Blob(blob, part), opening)) if pieces.is_empty() => {
                let bytes = self.open_blob(blob, part).await.map_err(superseded)?;
                return Ok(unsealed(bytes, opening));
            }
            Some(last) => last,
        };
        pieces.push(opened);
        self.chain(pieces).await
    }

    /// Where the bytes `part` of `segment` are, and how they are opened.
    async fn piece(
        &self,
        segment: Segment,
        part: Range<u64>,
        key: Option<&DataKey>,
    ) -> Result<(Piece, Option<Opening>), StoreError> {
        let (stored, opening) = match segment.sealed() {
            None => (part, None),
            Some(Sealed { salt, len }) => {
                let key = key.ok_or_else(|| StoreError::corrupt("a sealed object's key"))?;
                let key = SegmentKey::derive(key, salt.as_bytes());
                let opening = Opening {
                    key: key.map_err(|_cipher| StoreError::corrupt("a data key"))?,
                    blob: segment
                        .blob()
                        .map_or(BlobId::from_bytes(*salt.as_bytes()), |blob| blob.id),
                    range: part.clone(),
                    len,
                };
                (sealed_range(&part, len), Some(opening))
            }
        };
        let piece = match (segment.inline(), segment.blob()) {
            (Some((id, _len)), _) => Piece::Inline(self.inline(id, &stored).await?),
            (None, Some(blob)) => Piece::Blob(blob, stored),
            (None, None) => Piece::Inline(Bytes::new()),
        };
        Ok((piece, opening))
    }

    async fn inline(&self, id: InlineId, range: &Range<u64>) -> Result<Bytes, StoreError> {
        let row = self.meta().get(Space::Inline, id.as_bytes()).await?;
        let bytes = row.ok_or(StoreError::Superseded)?;
        slice(&bytes, range).ok_or_else(|| StoreError::corrupt("a small object's bytes"))
    }

    /// A blob's bytes, with an eye on damage: it is told and counted, since nobody may have asked.
    async fn open_blob(&self, blob: BlobRef, range: Range<u64>) -> Result<BlobStream, BlobError> {
        let bytes = self.blobs().read(blob, range).await;
        let bytes = bytes.inspect_err(|error| self.tell_damage(error))?;
        let store = self.clone();
        Ok(bytes
            .inspect_err(move |error| store.tell_damage(error))
            .boxed())
    }

    fn tell_damage(&self, error: &BlobError) {
        if matches!(error, BlobError::Corrupt { .. } | BlobError::Io { .. }) {
            tracing::error!(%error, "damaged bytes are not served");
            self.scrub_monitor().count_damaged_read();
        }
    }

    /// Opens each piece when it is its turn, and keeps its blob until then.
    async fn chain(&self, pieces: Vec<(Piece, Option<Opening>)>) -> Result<BlobStream, StoreError> {
        let ids = pieces.iter().filter_map(|(piece, _opening)| match piece {
            Piece::Blob(blob, _range) => Some(blob.id),
            Piece::Inline(_bytes) => None,
        });
        let ids: Vec<_> = ids.collect();
        let first = ids.first().copied();
        let pinned = Pinned::new(self.clone(), ids);
        // One batch takes all of an object's blobs away: while the first has its row, a deletion
        // of any comes after the pins and sees them.
        if let Some(first) = first
            && self
                .meta()
                .get(Space::Blobs, first.as_bytes())
                .await?
                .is_none()
        {
            return Err(StoreError::Superseded);
        }
        let pinned = Arc::new(pinned);
        let opened = stream::iter(pieces).then(move |(piece, opening)| {
            let pinned = Arc::clone(&pinned);
            async move {
                let bytes: BoxStream<'static, Result<Bytes, BlobError>> = match piece {
                    Piece::Inline(bytes) => stream::iter([Ok(bytes)]).boxed(),
                    Piece::Blob(blob, range) => pinned.store.open_blob(blob, range).await?,
                };
                Ok::<_, BlobError>(unsealed(bytes, opening))
            }
        });
        Ok(opened.try_flatten().boxed())
    }
}

fn unsealed(bytes: BlobStream, opening: Option<Opening>) -> BlobStream {
    match opening {
        None => bytes,
        Some(Opening {
            key,
            blob,
            range,
            len,
        }) => chunk::open(key, blob, bytes, range, len),
    }
}

fn superseded(error: BlobError) -> StoreError {
    match error {
        BlobError::Missing { .. } => StoreError::Superseded,
        error => error.into(),
    }
}
