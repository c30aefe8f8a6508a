//! All versions by key, newest first.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::VersionRef;
use crate::name::ObjectKey;
use crate::store::listing::common_prefix;
use crate::store::meta::{self, KeyRange, Space, Step, after_prefix};
use crate::store::record::decode;
use crate::store::{Bucket, ObjectRecord, ObjectStore, StoreError, keyspace};

/// How often a page is read anew because keys changed meanwhile.
const TRIES_MAX: u32 = 10;

/// Which versions to list.
#[derive(Debug, Clone, Default)]
pub struct VersionQuery {
    /// Only keys that begin so.
    pub prefix: String,
    /// Keys that hold this behind the prefix become one common prefix.
    pub delimiter: Option<String>,
    /// Only keys behind this one, or the same with [`Self::version_id_marker`]. Where it lies in a
    /// common prefix, that is skipped whole.
    pub key_marker: Option<String>,
    /// Of the marker's key, only versions older than this one.
    pub version_id_marker: Option<VersionRef>,
    /// At most so many versions and common prefixes together.
    pub limit: usize,
}

/// One line of a listing of versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListedVersion {
    /// A version or a delete marker.
    Version {
        /// Its key.
        key: ObjectKey,
        /// Whether it is the current one.
        latest: bool,
        /// Its record.
        record: Box<ObjectRecord>,
    },
    /// What several keys have in common, up to and with the delimiter.
    CommonPrefix(String),
}

/// Where a listing of versions goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionMarker {
    /// The last key or common prefix.
    pub key: String,
    /// The last version of that key.
    pub version: Option<VersionRef>,
}

/// Versions by key, then from the newest to the oldest.
#[derive(Debug, Clone, Default)]
pub struct VersionPage {
    /// The lines.
    pub items: Vec<ListedVersion>,
    /// Where to go on, where more follow.
    pub next: Option<VersionMarker>,
}

/// A key's current row, or what hides it.
#[derive(Debug, PartialEq, Eq)]
enum Head {
    Key(String, Bytes),
    Prefix(String),
}

impl Head {
    fn name(&self) -> &str {
        match self {
            Self::Key(name, _) | Self::Prefix(name) => name,
        }
    }
}

/// Where in the order of keys and versions the page begins.
#[derive(Debug)]
enum Start {
    Beginning,
    /// Behind all keys that begin so.
    BehindPrefix(String),
    /// Behind all versions of this key.
    BehindKey(String),
    /// At the versions of this key that are older than that sequence.
    Within(String, u64),
}

impl VersionQuery {
    fn common_prefix<'k>(&self, key: &'k str) -> Option<&'k str> {
        common_prefix(key, &self.prefix, self.delimiter.as_deref())
    }

    /// The first row of `objects` that the page may show; none where nothing can follow.
    fn range(&self, bucket: &Bucket, start: &Start) -> Option<KeyRange> {
        let at = |key: &str| keyspace::object(bucket.id, key);
        let mut range = KeyRange::prefix(at(&self.prefix));
        let from = match start {
            Start::Beginning => return Some(range),
            Start::BehindPrefix(prefix) => after_prefix(&at(prefix))?,
            Start::BehindKey(key) => [at(key).as_slice(), &[0]].concat().into(),
            Start::Within(key, _) => at(key).into(),
        };
        range.start = range.start.max(from);
        let open = range.end.as_ref().is_none_or(|end| range.start < *end);
        open.then_some(range)
    }
}

impl ObjectStore {
    /// The bucket's versions and delete markers.
    ///
    /// # Errors
    /// What the engine fails with.
    pub async fn list_versions(
        &self,
        bucket: &Bucket,
        q: VersionQuery,
    ) -> Result<VersionPage, StoreError> {
        let start = self.start(bucket, &q).await?;
        let (Some(range), true) = (q.range(bucket, &start), q.limit > 0) else {
            return Ok(VersionPage::default());
        };
        let mut heads = self.heads(bucket, &q, range.clone()).await?;
        for _try in 0..TRIES_MAX {
            let older = self.older(bucket, &q, &start, &heads).await?;
            // A version that left or entered `versions` between the two walks changed its key's
            // row in `objects`: only where none changed is the page what was there at one moment.
            let again = self.heads(bucket, &q, range.clone()).await?;
            if again == heads {
                return page(&q, &start, heads, older);
            }
            heads = again;
        }
        let older = self.older(bucket, &q, &start, &heads).await?;
        page(&q, &start, heads, older)
    }

    async fn start(&self, bucket: &Bucket, q: &VersionQuery) -> Result<Start, StoreError> {
        let Some(marker) = q.key_marker.as_deref().filter(|key| !key.is_empty()) else {
            return Ok(Start::Beginning);
        };
        if let Some(prefix) = q.common_prefix(marker) {
            return Ok(Start::BehindPrefix(prefix.to_owned()));
        }
        let key = marker.to_owned();
        let Some(version) = q.version_id_marker else {
            return Ok(Start::BehindKey(key));
        };
        let sequence = match version {
            VersionRef::Id(id) => id.sequence(),
            VersionRef::Null => self.null_sequence(bucket, marker).await?,
        };
        Ok(Start::Within(key, sequence))
    }

    /// Where among the key's versions the null version is. Where it went meanwhile nobody knows
    /// any more: then a page rather shows a version twice than leaves one out.
    async fn null_sequence(&self, bucket: &Bucket, key: &str) -> Result<u64, StoreError> {
        let at = keyspace::object(bucket.id, key);
        let Some(raw) = self.meta().get(Space::Objects, &at).await? else {
            return Ok(u64::MAX);
        };
        let record: ObjectRecord = decode(&raw, "an object's record")?;
        let current = record.version.is_none().then_some(record.sequence);
        Ok(current.or(record.null_sequence).unwrap_or(u64::MAX))
    }

    /// The first keys and common prefixes of the range: each has at least one line.
    async fn heads(
        &self,
        bucket: &Bucket,
        q: &VersionQuery,
        range: KeyRange,
    ) -> Result<Vec<Head>, StoreError> {
        let before = keyspace::bucket_prefix(bucket.id).len();
        // One more to know that more follow, and one because the marker's key may have no older.
        let most = q.limit.saturating_add(2);
        let q = q.clone();
        let heads = meta::walk(
            self.meta().as_ref(),
            Space::Objects,
            range,
            Some(Vec::new()),
            move |found: &mut Option<Vec<Head>>, row, value| {
                let key = row.get(before..);
                let key = key.and_then(|key| std::str::from_utf8(key).ok());
                let (Some(key), Some(heads)) = (key, found.as_mut()) else {
                    *found = None;
                    return Step::Stop;
                };
                let prefix = q.common_prefix(key);
                heads.push(match prefix {
                    Some(prefix) => Head::Prefix(prefix.to_owned()),
                    None => Head::Key(key.to_owned(), Bytes::copy_from_slice(value)),
                });
                if heads.len() >= most {
                    return Step::Stop;
                }
                let Some(prefix) = prefix else {
                    return Step::Next;
                };
                let end = before.saturating_add(prefix.len());
                let behind = row.get(..end).and_then(after_prefix);
                behind.map_or(Step::Stop, Step::Seek)
            },
        );
        heads
            .await?
            .ok_or_else(|| StoreError::corrupt("an object's key"))
    }

    /// The noncurrent versions of those keys, as far as the page needs them.
    async fn older(
        &self,
        bucket: &Bucket,
        q: &VersionQuery,
        start: &Start,
        heads: &[Head],
    ) -> Result<BTreeMap<String, Vec<Bytes>>, StoreError> {
        let mut keys = heads.iter().filter_map(|head| match head {
            Head::Key(key, _) => Some(key.as_str()),
            Head::Prefix(_) => None,
        });
        let Some(first) = keys.next() else {
            return Ok(BTreeMap::new());
        };
        let last = keys.next_back().unwrap_or(first);
        let from = match start {
            Start::Within(key, sequence) if key == first => {
                let marker = keyspace::version(bucket.id, key, *sequence);
                [marker.as_slice(), &[0]].concat()
            }
            _ => keyspace::escaped_key(bucket.id, first),
        };
        let range = KeyRange {
            start: from.into(),
            end: after_prefix(&keyspace::escaped_key(bucket.id, last)),
        };
        let most = q.limit.saturating_add(1);
        let (q, id) = (q.clone(), bucket.id);
        let rows = meta::walk(
            self.meta().as_ref(),
            Space::Versions,
            range,
            Some((0_usize, BTreeMap::<String, Vec<Bytes>>::new())),
            move |found, row, value| {
                let key = keyspace::read_version(row);
                let (Some(key), Some((count, rows))) = (key, found.as_mut()) else {
                    *found = None;
                    return Step::Stop;
                };
                if let Some(prefix) = q.common_prefix(&key) {
                    let behind = after_prefix(&keyspace::escaped_prefix(id, prefix));
                    return behind.map_or(Step::Stop, Step::Seek);
                }
                rows.entry(key)
                    .or_default()
                    .push(Bytes::copy_from_slice(value));
                *count = count.saturating_add(1);
                if *count < most {
                    Step::Next
                } else {
                    Step::Stop
                }
            },
        );
        let rows = rows.await?;
        let rows = rows.ok_or_else(|| StoreError::corrupt("a version's key"))?;
        Ok(rows.1)
    }
}

/// Joins the current versions and the older ones to a page.
fn page(
    q: &VersionQuery,
    start: &Start,
    heads: Vec<Head>,
    mut older: BTreeMap<String, Vec<Bytes>>,
) -> Result<VersionPage, StoreError> {
    let mut page = VersionPage::default();
    let mut more = false;
    for head in heads {
        let behind = older.remove(head.name()).unwrap_or_default();
        let Head::Key(name, raw) = head else {
            more = more || page.items.len() >= q.limit;
            if !more {
                page.items
                    .push(ListedVersion::CommonPrefix(head.name().to_owned()));
            }
            continue;
        };
        let key =
            ObjectKey::parse(name.as_str()).map_err(|_ignored| StoreError::corrupt("a key"))?;
        for (place, raw) in std::iter::once(raw).chain(behind).enumerate() {
            let record: Box<ObjectRecord> = Box::new(decode(&raw, "an object's record")?);
            if matches!(start, Start::Within(at, seen) if *at == name && record.sequence >= *seen) {
                continue;
            }
            more = more || page.items.len() >= q.limit;
            if !more {
                page.items.push(ListedVersion::Version {
                    key: key.clone(),
                    latest: place == 0,
                    record,
                });
            }
        }
        if more {
            break;
        }
    }
    page.next = page
        .items
        .last()
        .filter(|_last| more)
        .map(|last| match last {
            ListedVersion::Version { key, record, .. } => VersionMarker {
                key: key.as_str().to_owned(),
                version: Some(VersionRef::of(record)),
            },
            ListedVersion::CommonPrefix(prefix) => VersionMarker {
                key: prefix.clone(),
                version: None,
            },
        });
    Ok(page)
}
