//! Objects by key, with common prefixes: one walk that jumps over what a prefix hides.

use bytes::Bytes;

use super::meta::{self, KeyRange, Space, Step, after_prefix};
use super::{Bucket, ETag, ObjectStore, StoreError, keyspace};
use crate::checksum::{Algorithm, Coverage};
use crate::clock::Timestamp;

/// Which objects to list.
#[derive(Debug, Clone, Default)]
pub struct ObjectQuery {
    /// Only keys that begin so.
    pub prefix: String,
    /// Keys that hold this behind the prefix become one common prefix.
    pub delimiter: Option<String>,
    /// Only keys behind this. Where it is a common prefix itself, as `next` can be, that is
    /// skipped whole; where it lies inside one, the keys behind it still show as that prefix.
    pub after: Option<String>,
    /// At most so many keys and common prefixes together.
    pub limit: usize,
}

/// One line of a listing, as it lies in the engine: nothing is copied that nobody wants to keep.
#[derive(Debug)]
pub enum Line<'r> {
    /// An object.
    Object {
        /// Its key.
        key: &'r str,
        /// What a listing tells of it.
        summary: Summary<'r>,
    },
    /// What several keys have in common, up to and with the delimiter.
    CommonPrefix(&'r str),
}

/// Of an object's record, what a listing tells.
#[derive(Debug)]
pub struct Summary<'r> {
    /// Its length in bytes.
    pub len: u64,
    /// When it was written.
    pub modified: Timestamp,
    /// Its entity tag.
    pub etag: ETag,
    /// By which algorithm its checksum was made, and over what.
    pub checksum: Option<ChecksumKind>,
    /// Who owns it.
    pub owner: &'r str,
    delete_marker: bool,
}

impl<'r> Summary<'r> {
    /// Reads these fields of an [`super::ObjectRecord`], whose numbers they have; what follows the last of them
    /// is not looked at.
    fn read(record: &'r [u8]) -> Result<Self, minicbor::decode::Error> {
        let mut fields = minicbor::Decoder::new(record);
        let count = fields.array()?.unwrap_or(0);
        let (len, modified, etag) = (fields.u64()?, fields.decode()?, fields.decode()?);
        skip(&mut fields, 1)?; // headers
        let checksum = ChecksumKind::read(&mut fields)?;
        let owner = fields.str()?;
        let mut delete_marker = None;
        if count > DELETE_MARKER {
            skip(&mut fields, DELETE_MARKER.saturating_sub(OWNER + 1))?;
            delete_marker = fields.decode::<Option<bool>>()?;
        }
        Ok(Self {
            len,
            modified,
            etag,
            checksum,
            owner,
            delete_marker: delete_marker == Some(true),
        })
    }
}

/// Fields of [`super::ObjectRecord`] by their numbers.
const OWNER: u64 = 5;
const DELETE_MARKER: u64 = 12;

/// Passes over so many items of what `minicbor` writes, which never has an indefinite length, in a fraction
/// of the time that its own way takes: three quarters of a record are passed over.
fn skip(fields: &mut minicbor::Decoder<'_>, mut items: u64) -> Result<(), minicbor::decode::Error> {
    use minicbor::decode::Error;
    let input = fields.input();
    let mut at = fields.position();
    while let Some(others) = items.checked_sub(1) {
        items = others;
        let head = *input.get(at).ok_or_else(Error::end_of_input)?;
        let info = usize::from(head & 0b1_1111);
        at = at.saturating_add(1);
        let argument = match info {
            0..=23 => info as u64,
            24..=27 => {
                let bytes = input.get(at..at.saturating_add(1 << (info - 24)));
                let bytes = bytes.ok_or_else(Error::end_of_input)?;
                at = at.saturating_add(bytes.len());
                bytes
                    .iter()
                    .fold(0, |sum, byte| sum << 8 | u64::from(*byte))
            }
            _ => return Err(Error::message("an item of no definite length")),
        };
        match head >> 5 {
            2 | 3 => at = at.saturating_add(usize::try_from(argument).unwrap_or(usize::MAX)),
            4 => items = items.saturating_add(argument),
            5 => items = items.saturating_add(argument.saturating_mul(2)),
            6 => items = items.saturating_add(1), // what the tag is of
            _ => {}
        }
    }
    fields.set_position(at);
    Ok(())
}

/// Of a checksum, all but the digest.
#[derive(Debug)]
pub struct ChecksumKind {
    /// By which algorithm.
    pub algorithm: Algorithm,
    /// Over what.
    pub coverage: Coverage,
}

impl ChecksumKind {
    /// Reads these fields of a [`crate::checksum::Checksum`], or that there is none.
    fn read(record: &mut minicbor::Decoder<'_>) -> Result<Option<Self>, minicbor::decode::Error> {
        if record.datatype()? == minicbor::data::Type::Null {
            record.null()?;
            return Ok(None);
        }
        let count = record.array()?.unwrap_or(0);
        let (algorithm, coverage) = (record.decode()?, record.decode()?);
        skip(record, count.saturating_sub(2))?;
        Ok(Some(Self {
            algorithm,
            coverage,
        }))
    }
}

impl Line<'_> {
    /// The key, or the common prefix.
    pub const fn name(&self) -> &str {
        match self {
            Self::Object { key, .. } => key,
            Self::CommonPrefix(prefix) => prefix,
        }
    }
}

/// What hides `key` in a listing below `prefix`: all up to and with the first delimiter.
pub(super) fn common_prefix<'k>(
    key: &'k str,
    prefix: &str,
    delimiter: Option<&str>,
) -> Option<&'k str> {
    let delimiter = delimiter.filter(|text| !text.is_empty())?;
    let behind = key.strip_prefix(prefix)?;
    let end = prefix.len().checked_add(behind.find(delimiter)?)?;
    key.get(..end.checked_add(delimiter.len())?)
}

/// The walk's state.
struct Page<S> {
    told: S,
    lines: usize,
    /// The last line's key or prefix.
    last: String,
    more: bool,
    fault: Option<StoreError>,
}

impl ObjectQuery {
    /// The same, but where `after` lies inside a common prefix that is skipped whole: what a marker of
    /// S3's first `ListObjects` means.
    #[must_use]
    pub fn after_whole_prefix(mut self) -> Self {
        let prefix = self
            .after
            .as_deref()
            .and_then(|key| self.common_prefix(key));
        if let Some(prefix) = prefix.map(str::to_owned) {
            self.after = Some(prefix);
        }
        self
    }

    /// The common prefix that hides `key`.
    fn common_prefix<'k>(&self, key: &'k str) -> Option<&'k str> {
        common_prefix(key, &self.prefix, self.delimiter.as_deref())
    }

    /// What the walk sees, in keys of the bucket's rows; none where nothing can follow.
    fn range(&self, at: impl Fn(&str) -> Vec<u8>) -> Option<KeyRange> {
        let mut range = KeyRange::prefix(at(&self.prefix));
        let Some(after) = &self.after else {
            return Some(range);
        };
        let start = match self.common_prefix(after) {
            Some(seen) if seen == after => after_prefix(&at(seen))?,
            _ => Bytes::from([at(after).as_slice(), &[0]].concat()),
        };
        range.start = range.start.max(start);
        let open = range.end.as_ref().is_none_or(|end| range.start < *end);
        open.then_some(range)
    }

    /// What `row` becomes, and where to go on; none where it shows nothing.
    fn line<'r>(
        &self,
        row: &'r [u8],
        value: &'r [u8],
        head: usize,
    ) -> Result<Option<(Line<'r>, Step)>, StoreError> {
        let summary = Summary::read(value);
        let summary = summary.map_err(|_ignored| StoreError::corrupt("an object's record"))?;
        if summary.delete_marker {
            return Ok(None);
        }
        let key = row.get(head..).map(std::str::from_utf8);
        let Some(Ok(key)) = key else {
            return Err(StoreError::corrupt("an object's key"));
        };
        let Some(prefix) = self.common_prefix(key) else {
            return Ok(Some((Line::Object { key, summary }, Step::Next)));
        };
        let end = head.saturating_add(prefix.len());
        let next = row.get(..end).and_then(after_prefix);
        let step = next.map_or(Step::Stop, Step::Seek);
        Ok(Some((Line::CommonPrefix(prefix), step)))
    }
}

impl ObjectStore {
    /// Tells the bucket's objects in the order of their keys' bytes: gives `state` back, and the last
    /// line's key or prefix where more follow, which is the next page's `after`.
    ///
    /// # Errors
    /// What the engine fails with.
    pub async fn list_objects<S: Send + 'static>(
        &self,
        bucket: &Bucket,
        q: ObjectQuery,
        state: S,
        mut tell: impl FnMut(&mut S, &Line<'_>) + Send + 'static,
    ) -> Result<(S, Option<String>), StoreError> {
        let head = keyspace::bucket_prefix(bucket.id).len();
        let range = q.range(|key| keyspace::object(bucket.id, key));
        let (Some(range), true) = (range, q.limit > 0) else {
            return Ok((state, None));
        };
        let page = Page {
            told: state,
            lines: 0,
            last: String::new(),
            more: false,
            fault: None,
        };
        let visit = move |page: &mut Page<S>, row: &[u8], value: &[u8]| {
            let (line, step) = match q.line(row, value, head) {
                Ok(Some(line)) => line,
                Ok(None) => return Step::Next,
                Err(fault) => {
                    page.fault = Some(fault);
                    return Step::Stop;
                }
            };
            if page.lines >= q.limit {
                page.more = true;
                return Step::Stop;
            }
            page.lines = page.lines.saturating_add(1);
            if page.lines == q.limit {
                line.name().clone_into(&mut page.last);
            }
            tell(&mut page.told, &line);
            step
        };
        let meta = self.meta().as_ref();
        let page = meta::walk(meta, Space::Objects, range, page, visit).await?;
        match page.fault {
            Some(fault) => Err(fault),
            None => Ok((page.told, page.more.then_some(page.last))),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::clock::SystemClock;
    use crate::id::BucketId;
    use crate::name::BucketName;
    use crate::store::blob::memory::MemoryBlobs;
    use crate::store::meta::Batch;
    use crate::store::meta::memory::MemoryEngine;
    use crate::store::record::{Segment, encode};
    use crate::store::{NewBucket, NoHook, ObjectRecord, StoreSettings};

    async fn store_with(keys: &BTreeSet<String>) -> (ObjectStore, Bucket) {
        let (meta, blobs) = (Arc::new(MemoryEngine::new()), Arc::new(MemoryBlobs::new()));
        let (clock, settings) = (Arc::new(SystemClock), StoreSettings::default());
        let hook = Arc::new(NoHook);
        let store = ObjectStore::open(meta, blobs, clock, hook, settings)
            .await
            .unwrap();
        let new = NewBucket {
            owner: "me".into(),
            region: "eu".into(),
            settings: crate::store::Settings::default(),
        };
        let bucket = store
            .create_bucket(&BucketName::parse("abc").unwrap(), new)
            .await
            .unwrap();
        let record = ObjectRecord::new(
            "me".into(),
            Timestamp::from_unix_s(1),
            1,
            ETag::md5([0; 16]),
            (0, Vec::new()),
        );
        let mut batch = Batch::new();
        for key in keys {
            batch.put(
                Space::Objects,
                keyspace::object(bucket.id, key),
                encode(&record).unwrap(),
            );
        }
        // A neighbour's row must never show.
        let beside = keyspace::object(BucketId(bucket.id.0 + 1), "a");
        batch.put(Space::Objects, beside, encode(&record).unwrap());
        store.meta().commit(batch).await.unwrap();
        (store, bucket)
    }

    async fn names(
        store: &ObjectStore,
        bucket: &Bucket,
        q: ObjectQuery,
    ) -> (Vec<String>, Option<String>) {
        let note = |names: &mut Vec<String>, line: &Line<'_>| names.push(line.name().to_owned());
        store
            .list_objects(bucket, q, Vec::new(), note)
            .await
            .unwrap()
    }

    /// S3's rule, said plainly.
    fn expected(keys: &BTreeSet<String>, q: &ObjectQuery) -> (Vec<String>, bool) {
        let mut names: Vec<String> = Vec::new();
        for key in keys.iter().filter(|key| key.starts_with(&q.prefix)) {
            let name = q.common_prefix(key).unwrap_or(key);
            let done = q
                .after
                .as_deref()
                .is_some_and(|after| key.as_str() <= after || name == after);
            if !done && names.last().is_none_or(|last| last != name) {
                names.push(name.to_owned());
            }
        }
        let more = names.len() > q.limit;
        names.truncate(q.limit);
        (names, more && q.limit > 0)
    }

    fn text(len: usize) -> impl Strategy<Value = String> {
        let letter = prop::sample::select(vec!["a", "b", "/", "é", "\u{10FFFF}"]);
        prop::collection::vec(letter, 0..=len).prop_map(|letters| letters.concat())
    }

    fn query() -> impl Strategy<Value = ObjectQuery> {
        let delimiter = prop::option::of(prop::sample::select(vec!["/", "b", "/a", ""]));
        let after = prop::option::of(text(4));
        (text(2), delimiter, after, 0_usize..5).prop_map(|(prefix, delimiter, after, limit)| {
            let delimiter = delimiter.map(str::to_owned);
            ObjectQuery {
                prefix,
                delimiter,
                after,
                limit,
            }
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        #[test]
        fn a_page_is_what_the_rule_says(
            keys in prop::collection::btree_set(text(5).prop_filter("empty", |key| !key.is_empty()), 0..30),
            q in query(),
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async {
                let (store, bucket) = store_with(&keys).await;
                let (names, next) = names(&store, &bucket, q.clone()).await;
                let (wanted, more) = expected(&keys, &q);
                assert_eq!(next.as_ref(), names.last().filter(|_name| more));
                assert_eq!(names, wanted);
            });
        }
    }

    #[test]
    fn a_summary_is_read_past_everything_else() {
        let (at, etag) = (Timestamp::from_unix_ms(-7), ETag::multipart([9; 16], 3));
        let blob = crate::store::blob::BlobRef {
            id: crate::id::BlobId::new(at),
            len: 1 << 40,
        };
        let user = vec![("a".into(), "b".repeat(300)); 30];
        let headers = crate::store::ObjectHeaders {
            content_type: Some("text/plain".into()),
            user,
            ..Default::default()
        };
        let record = ObjectRecord {
            headers,
            checksum: Some(crate::checksum::Checksum::full(
                Algorithm::Crc32,
                vec![7; 4],
            )),
            delete_marker: Some(true),
            null_sequence: Some(u64::MAX),
            ..ObjectRecord::new(
                "me".into(),
                at,
                70_000,
                etag,
                (8, vec![Segment::Blob(blob); 20]),
            )
        };
        let bytes = encode(&record).unwrap();
        let summary = Summary::read(&bytes).unwrap();
        assert_eq!((summary.len, summary.modified), (8, at));
        assert_eq!((summary.etag, summary.owner), (record.etag, "me"));
        assert_eq!(summary.checksum.unwrap().algorithm, Algorithm::Crc32);
        assert!(summary.delete_marker);
        let cut = (0..bytes.len()).filter(|len| Summary::read(&bytes[..*len]).is_ok());
        let whole = cut.min().unwrap();
        assert!(
            bytes.len() - whole < 20,
            "only what follows the marker may be missing"
        );
        // As a later version might write it: an array without a length, in the headers' place.
        let odd = [
            &[0x86, 0, 0, 0x81, 0x50][..],
            &[0; 16],
            &[0x9F, 0xFF, 0xF6, 0x60],
        ]
        .concat();
        assert!(Summary::read(&odd).is_err());
    }

    #[tokio::test]
    async fn pages_join_to_the_whole() {
        let keys = ["a", "b/1", "b/2", "c/", "d", "e/1/2"]
            .map(str::to_owned)
            .into();
        let (store, bucket) = store_with(&keys).await;
        let mut q = ObjectQuery {
            delimiter: Some("/".into()),
            limit: 1,
            ..ObjectQuery::default()
        };
        let mut all = Vec::new();
        loop {
            let (page, next) = names(&store, &bucket, q.clone()).await;
            all.extend(page);
            q.after = next;
            if q.after.is_none() {
                break;
            }
        }
        assert_eq!(all, ["a", "b/", "c/", "d", "e/"]);
    }
}
