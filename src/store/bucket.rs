//! Buckets: made, found, listed, deleted, counted.

use std::ops::Deref;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use xxhash_rust::xxh3::xxh3_64;

use super::garbage::in_background;
use super::meta::{self, Batch, Entry, KeyRange, MetaError, Space, Step, read_counters};
use super::record::{BucketRecord, decode, encode};
use super::settings::{Settings, Versioning};
use super::{ObjectStore, StoreError, TRIES_MAX, keyspace};
use crate::clock::Timestamp;
use crate::fail_point;
use crate::id::BucketId;
use crate::name::BucketName;

const NEXT_BUCKET: &[u8] = b"next-bucket";

/// Buckets that are kept as they were decoded, and the largest row of one.
const DECODED_MAX: usize = 128;
const DECODED_BYTES_MAX: usize = 4096;

/// A bucket as it was when it was read; a clone is the same.
#[derive(Debug, Clone)]
pub struct Bucket(Arc<BucketFacts>);

/// What is known of a bucket.
#[derive(Debug)]
pub struct BucketFacts {
    /// Its number, never given out twice.
    pub id: BucketId,
    /// Its name.
    pub name: BucketName,
    /// When it was made.
    pub created: Timestamp,
    /// Who owns it.
    pub owner: String,
    /// Its region.
    pub region: String,
    /// What it is set to.
    pub settings: Settings,
    raw: Bytes,
}

/// What a new bucket is given.
#[derive(Debug, Clone)]
pub struct NewBucket {
    /// What it is set to.
    pub settings: Settings,
    /// Who owns it.
    pub owner: String,
    /// Its region.
    pub region: String,
}

/// Which buckets to list.
#[derive(Debug, Clone, Default)]
pub struct BucketQuery {
    /// Only those of this owner.
    pub owner: Option<String>,
    /// Only names that begin so.
    pub prefix: String,
    /// Only names behind this one.
    pub after: Option<String>,
    /// At most so many.
    pub limit: usize,
}

/// Buckets by name.
#[derive(Debug, Clone)]
pub struct BucketPage {
    /// The buckets.
    pub buckets: Vec<Bucket>,
    /// The last name, where more follow.
    pub next: Option<String>,
}

/// What a bucket holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Objects.
    pub objects: i64,
    /// Their bytes.
    pub bytes: i64,
}

impl Bucket {
    pub(super) fn read(name: BucketName, raw: Bytes) -> Result<Self, StoreError> {
        let BucketRecord {
            id,
            created,
            owner,
            region,
            settings,
        } = decode(&raw, "a bucket's record")?;
        Ok(Self(Arc::new(BucketFacts {
            id,
            name,
            created,
            owner,
            region,
            settings: settings.unwrap_or_default(),
            raw,
        })))
    }

    /// What is stored of this bucket once it is set to `settings`.
    pub(super) fn record_with(&self, settings: Settings) -> BucketRecord {
        BucketRecord {
            id: self.id,
            created: self.created,
            owner: self.owner.clone(),
            region: self.region.clone(),
            settings: Some(settings),
        }
    }

    /// Makes `batch` fail once this bucket is deleted or changed.
    pub(crate) fn assert_unchanged(&self, batch: &mut Batch) {
        let name = Bytes::copy_from_slice(self.name.as_str().as_bytes());
        batch.assert_unchanged(Space::Buckets, name, Some(self.raw.clone()));
    }
}

impl Deref for Bucket {
    type Target = BucketFacts;

    fn deref(&self) -> &BucketFacts {
        &self.0
    }
}

/// Buckets as they were decoded last: nearly every request begins with one, and decoding it took twice as long as
/// finding its row.
///
/// What is kept can't be out of date: it counts only for the very bytes that the bucket's row has now.
#[derive(Debug)]
pub(super) struct Decoded([ArcSwapOption<BucketFacts>; DECODED_MAX]);

impl Default for Decoded {
    fn default() -> Self {
        Self(std::array::from_fn(|_place| ArcSwapOption::empty()))
    }
}

impl Decoded {
    /// The bucket of that name, whose row is `raw`.
    fn read(&self, name: &BucketName, raw: Bytes) -> Result<Bucket, StoreError> {
        let Some(place) = self.place(name) else {
            return Bucket::read(name.clone(), raw);
        };
        if let Some(kept) = &*place.load()
            && kept.raw == raw
            && kept.name == *name
        {
            return Ok(Bucket(Arc::clone(kept)));
        }
        let bucket = Bucket::read(name.clone(), raw)?;
        if bucket.raw.len() <= DECODED_BYTES_MAX {
            place.store(Some(Arc::clone(&bucket.0)));
        }
        Ok(bucket)
    }

    /// Where buckets of that name are kept. Names that share a place drive each other out, no more.
    fn place(&self, name: &BucketName) -> Option<&ArcSwapOption<BucketFacts>> {
        let hash = usize::try_from(xxh3_64(name.as_str().as_bytes()) >> 32).unwrap_or(0);
        self.0.get(hash % DECODED_MAX)
    }
}

impl ObjectStore {
    /// Makes a bucket.
    ///
    /// # Errors
    /// [`StoreError::BucketExists`] where the name is taken.
    pub async fn create_bucket(
        &self,
        name: &BucketName,
        new: NewBucket,
    ) -> Result<Bucket, StoreError> {
        for _try in 0..TRIES_MAX {
            match self.bucket(name).await {
                Ok(bucket) => {
                    let owner = bucket.owner.clone();
                    return Err(StoreError::BucketExists { owner });
                }
                Err(StoreError::NoSuchBucket) => {}
                Err(error) => return Err(error),
            }
            let last = self.meta().get(Space::System, NEXT_BUCKET).await?;
            let number = match &last {
                Some(raw) => decode::<u64>(raw, "the next bucket's number")?,
                None => 1,
            };
            let record = BucketRecord {
                id: BucketId(number),
                created: self.clock().now(),
                owner: new.owner.clone(),
                region: new.region.clone(),
                settings: Some(new.settings.clone()),
            };
            let raw = encode(&record)?;
            let key = Bytes::copy_from_slice(name.as_str().as_bytes());
            let mut batch = Batch::new();
            batch.assert_absent(Space::Buckets, key.clone());
            batch.assert_unchanged(Space::System, NEXT_BUCKET, last);
            batch.put(
                Space::System,
                NEXT_BUCKET,
                encode(&number.saturating_add(1))?,
            );
            batch.put(Space::Buckets, key, raw.clone());
            match self.meta().commit(batch).await {
                Ok(()) => return Bucket::read(name.clone(), raw),
                Err(MetaError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(StoreError::Conflict)
    }

    /// The bucket of that name.
    ///
    /// # Errors
    /// [`StoreError::NoSuchBucket`].
    pub async fn bucket(&self, name: &BucketName) -> Result<Bucket, StoreError> {
        let raw = self
            .meta()
            .get(Space::Buckets, name.as_str().as_bytes())
            .await?;
        let raw = raw.ok_or(StoreError::NoSuchBucket)?;
        self.0.decoded.read(name, raw)
    }

    /// `bucket` as it is now: its settings may have changed since it was read.
    ///
    /// # Errors
    /// [`StoreError::NoSuchBucket`] where it was deleted, even if its name was taken again.
    pub(super) async fn present(&self, bucket: &Bucket) -> Result<Bucket, StoreError> {
        let present = self.bucket(&bucket.name).await?;
        if present.id == bucket.id {
            Ok(present)
        } else {
            Err(StoreError::NoSuchBucket)
        }
    }

    /// Deletes an empty bucket. Uploads that nobody completed go with it, as on S3.
    ///
    /// # Errors
    /// [`StoreError::BucketNotEmpty`] where objects or versions are left.
    pub async fn delete_bucket(&self, name: &BucketName) -> Result<(), StoreError> {
        let spaces = [Space::Objects, Space::Versions];
        for _try in 0..TRIES_MAX {
            let bucket = self.bucket(name).await?;
            let prefix = Bytes::from(keyspace::bucket_prefix(bucket.id));
            let mut batch = Batch::new();
            bucket.assert_unchanged(&mut batch);
            for space in spaces {
                let range = KeyRange::prefix(prefix.clone());
                if !meta::scan(self.meta().as_ref(), space, range.clone(), 1)
                    .await?
                    .is_empty()
                {
                    let versioned = bucket.settings.versioning != Versioning::Off;
                    return Err(StoreError::BucketNotEmpty { versioned });
                }
                batch.assert_empty(space, range);
            }
            batch.delete(
                Space::Buckets,
                Bytes::copy_from_slice(name.as_str().as_bytes()),
            );
            batch.delete(Space::Usage, prefix);
            match self.meta().commit(batch).await {
                Ok(()) => {
                    fail_point::reach("bucket.deleted");
                    self.end_uploads_later(bucket.id);
                    return Ok(());
                }
                Err(MetaError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(StoreError::Conflict)
    }

    /// Nobody can reach the uploads of a bucket that is gone: their end is nothing to wait for.
    fn end_uploads_later(&self, gone: BucketId) {
        let store = self.clone();
        in_background(async move {
            if let Err(error) = store.end_uploads_of(gone).await {
                tracing::warn!(%error, "uploads of a deleted bucket stay until the next start");
            }
        });
    }

    /// Buckets in the order of their names.
    ///
    /// # Errors
    /// What the engine fails with.
    pub async fn list_buckets(&self, q: BucketQuery) -> Result<BucketPage, StoreError> {
        let mut range = KeyRange::prefix(q.prefix.into_bytes());
        if let Some(after) = q.after {
            let behind = Bytes::from([after.as_bytes(), &[0]].concat());
            range.start = range.start.max(behind);
        }
        let (limit, owner) = (q.limit.saturating_add(1), q.owner);
        let visit = move |rows: &mut Vec<Entry>, key: &[u8], value: &[u8]| {
            let record = decode::<BucketRecord>(value, "a bucket's record");
            let of_another =
                |owner: &String| record.as_ref().is_ok_and(|record| record.owner != *owner);
            if !owner.as_ref().is_some_and(of_another) {
                let (key, value) = (Bytes::copy_from_slice(key), Bytes::copy_from_slice(value));
                rows.push(Entry { key, value });
            }
            if rows.len() < limit {
                Step::Next
            } else {
                Step::Stop
            }
        };
        let meta = self.meta().as_ref();
        let rows = meta::walk(meta, Space::Buckets, range, Vec::new(), visit).await?;
        let more = rows.len() > q.limit;
        let mut buckets = Vec::new();
        for row in rows.into_iter().take(q.limit) {
            let name = std::str::from_utf8(&row.key);
            let name = name.map_err(|_utf8| StoreError::corrupt("a bucket's name"))?;
            buckets.push(Bucket::read(BucketName::stored(name), row.value)?);
        }
        let last = buckets.last().filter(|_bucket| more);
        let next = last.map(|bucket| bucket.name.to_string());
        Ok(BucketPage { buckets, next })
    }

    /// What the bucket holds, without a scan.
    ///
    /// # Errors
    /// What the engine fails with.
    pub async fn usage(&self, bucket: &Bucket) -> Result<Usage, StoreError> {
        let key = keyspace::bucket_prefix(bucket.id);
        let row = self.meta().get(Space::Usage, &key).await?;
        let [objects, bytes] = row.map_or([0, 0], |row| read_counters(&row));
        Ok(Usage { objects, bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::record::BucketRecord;

    #[test]
    fn a_buckets_record_is_read_back() {
        let record = BucketRecord {
            id: BucketId(7),
            created: Timestamp::from_unix_s(1),
            owner: "me".into(),
            region: "eu-central-1".into(),
            settings: None,
        };
        let name = BucketName::parse("abc").unwrap();
        let bucket = Bucket::read(name.clone(), encode(&record).unwrap()).unwrap();
        assert_eq!((bucket.id, &bucket.name), (BucketId(7), &name));
        assert_eq!(
            (bucket.owner.as_str(), bucket.region.as_str()),
            ("me", "eu-central-1")
        );
    }

    fn row(owner: &str) -> Bytes {
        let record = BucketRecord {
            id: BucketId(7),
            created: Timestamp::from_unix_s(1),
            owner: owner.into(),
            region: "eu-central-1".into(),
            settings: None,
        };
        encode(&record).unwrap()
    }

    #[test]
    fn a_decoded_bucket_is_that_of_the_row_as_it_is_now() {
        let decoded = Decoded::default();
        let read = |name: &str, owner: &str| {
            let name = BucketName::parse(name).unwrap();
            decoded.read(&name, row(owner)).unwrap()
        };
        let first = read("abc", "me");
        assert!(
            Arc::ptr_eq(&first.0, &read("abc", "me").0),
            "it was decoded twice"
        );
        let changed = read("abc", "you");
        assert_eq!(
            (first.owner.as_str(), changed.owner.as_str()),
            ("me", "you")
        );
        assert_eq!(read("abc", "me").owner, "me");
        // The same row under another name is another bucket, wherever that is kept.
        for number in 0..4 * DECODED_MAX {
            let name = format!("abc-{number}");
            assert_eq!(read(&name, "me").name.as_str(), name);
        }
    }

    #[test]
    fn a_large_bucket_is_not_kept() {
        let (decoded, name) = (Decoded::default(), BucketName::parse("abc").unwrap());
        let large = row(&"m".repeat(DECODED_BYTES_MAX));
        let read = || decoded.read(&name, large.clone()).unwrap();
        assert!(!Arc::ptr_eq(&read().0, &read().0));
    }
}
