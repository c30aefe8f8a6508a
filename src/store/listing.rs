//! Objects by key, with common prefixes: one walk that jumps over what a prefix hides.

use bytes::Bytes;

use super::meta::{self, KeyRange, Space, Step, after_prefix};
use super::record::decode;
use super::{Bucket, ObjectRecord, ObjectStore, StoreError, keyspace};
use crate::name::ObjectKey;

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

/// One line of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listed {
    /// An object.
    Object {
        /// Its key.
        key: ObjectKey,
        /// Its record.
        record: Box<ObjectRecord>,
    },
    /// What several keys have in common, up to and with the delimiter.
    CommonPrefix(String),
}

impl Listed {
    /// The key, or the common prefix.
    pub fn name(&self) -> &str {
        match self {
            Self::Object { key, .. } => key.as_str(),
            Self::CommonPrefix(prefix) => prefix,
        }
    }
}

/// Lines of a listing, in the order of keys.
#[derive(Debug, Clone, Default)]
pub struct ObjectPage {
    /// The lines.
    pub items: Vec<Listed>,
    /// The last line's key or prefix, where more follow: the next page's `after`.
    pub next: Option<String>,
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

/// Of an object's record, only whether it is a delete marker.
#[derive(minicbor::Decode)]
struct Presence {
    #[n(12)]
    delete_marker: Option<bool>,
}

/// The walk's state.
#[derive(Debug, Default)]
struct Page {
    items: Vec<Listed>,
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

    fn visit(&self, page: &mut Page, row: &[u8], value: &[u8], head: usize) -> Step {
        match decode::<Presence>(value, "an object's record") {
            Ok(record) if record.delete_marker == Some(true) => return Step::Next,
            Ok(_object) => {}
            Err(fault) => {
                page.fault = Some(fault);
                return Step::Stop;
            }
        }
        if page.items.len() >= self.limit {
            page.more = true;
            return Step::Stop;
        }
        match self.line(row, value, head) {
            Ok((line, step)) => {
                page.items.push(line);
                step
            }
            Err(fault) => {
                page.fault = Some(fault);
                Step::Stop
            }
        }
    }

    /// What `row` becomes, and where to go on.
    fn line(&self, row: &[u8], value: &[u8], head: usize) -> Result<(Listed, Step), StoreError> {
        let corrupt = || StoreError::corrupt("an object's key");
        let key = row
            .get(head..)
            .and_then(|key| std::str::from_utf8(key).ok());
        let key = key.ok_or_else(corrupt)?;
        let Some(prefix) = self.common_prefix(key) else {
            let record = Box::new(decode(value, "an object's record")?);
            let key = ObjectKey::parse(key).map_err(|_ignored| corrupt())?;
            return Ok((Listed::Object { key, record }, Step::Next));
        };
        let end = head.saturating_add(prefix.len());
        let next = row.get(..end).and_then(after_prefix);
        let step = next.map_or(Step::Stop, Step::Seek);
        Ok((Listed::CommonPrefix(prefix.to_owned()), step))
    }
}

impl ObjectStore {
    /// The bucket's objects in the order of their keys' bytes.
    ///
    /// # Errors
    /// What the engine fails with.
    pub async fn list_objects(
        &self,
        bucket: &Bucket,
        q: ObjectQuery,
    ) -> Result<ObjectPage, StoreError> {
        let head = keyspace::bucket_prefix(bucket.id).len();
        let range = q.range(|key| keyspace::object(bucket.id, key));
        let (Some(range), true) = (range, q.limit > 0) else {
            return Ok(ObjectPage::default());
        };
        let page = meta::walk(
            self.meta().as_ref(),
            Space::Objects,
            range,
            Page::default(),
            move |page: &mut Page, row, value| q.visit(page, row, value, head),
        );
        let Page { items, more, fault } = page.await?;
        if let Some(fault) = fault {
            return Err(fault);
        }
        let last = items.last().filter(|_line| more);
        let next = last.map(|line| line.name().to_owned());
        Ok(ObjectPage { items, next })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::clock::{SystemClock, Timestamp};
    use crate::id::BucketId;
    use crate::name::BucketName;
    use crate::store::blob::memory::MemoryBlobs;
    use crate::store::meta::Batch;
    use crate::store::meta::memory::MemoryEngine;
    use crate::store::record::encode;
    use crate::store::{ETag, NewBucket, NoHook, StoreSettings};

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
                let page = store.list_objects(&bucket, q.clone()).await.unwrap();
                let names: Vec<_> = page.items.iter().map(|line| line.name().to_owned()).collect();
                let (wanted, more) = expected(&keys, &q);
                assert_eq!(page.next.as_ref(), names.last().filter(|_name| more));
                assert_eq!(names, wanted);
            });
        }
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
        let mut names = Vec::new();
        loop {
            let page = store.list_objects(&bucket, q.clone()).await.unwrap();
            names.extend(page.items.iter().map(|line| line.name().to_owned()));
            q.after = page.next;
            if q.after.is_none() {
                break;
            }
        }
        assert_eq!(names, ["a", "b/", "c/", "d", "e/"]);
    }
}
