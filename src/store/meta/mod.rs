//! The metadata engine's contract: an ordered key-value store with atomic batches that may assert
//! what they saw. Every rule of the object store is written over it, once.
//!
//! Nothing above may count on being the only process: uniqueness, one-time use, sequence numbers
//! and queue ownership come from a batch's [`Assertion`]s, never from a lock in memory.

#[cfg(test)]
mod conformance;
pub mod fault;
pub mod gather;
pub mod memory;
pub mod rocks;
mod walk;

use std::fmt::Debug;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;

pub use walk::{Entry, scan, walk};

/// A part of the key space, kept apart from the others (a column family in RocksDB).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Space {
    /// The store's own facts: format version, next bucket number.
    System,
    /// Access keys.
    Keys,
    /// Accounts, whom keys and buckets belong to.
    Accounts,
    /// Bucket records by name.
    Buckets,
    /// Each key's current version.
    Objects,
    /// Noncurrent versions.
    Versions,
    /// Multipart uploads under way.
    Uploads,
    /// Their parts.
    Parts,
    /// The segment lists of objects that have too many for their record.
    Layouts,
    /// Small objects' bytes.
    Inline,
    /// One row for each blob that something names; a blob without one is an orphan.
    Blobs,
    /// Blobs that nothing names any more and that wait to be deleted.
    Garbage,
    /// Callbacks waiting to be delivered.
    Outbox,
    /// The audit of what was delivered.
    Deliveries,
    /// Objects and bytes of each bucket, kept by [`Write::Add`].
    Usage,
    /// Signatures that were good for one use, and were used.
    Nonces,
}

impl Space {
    /// Every space, in the order of their declaration.
    pub const ALL: [Self; 16] = [
        Self::System,
        Self::Keys,
        Self::Accounts,
        Self::Buckets,
        Self::Objects,
        Self::Versions,
        Self::Uploads,
        Self::Parts,
        Self::Layouts,
        Self::Inline,
        Self::Blobs,
        Self::Garbage,
        Self::Outbox,
        Self::Deliveries,
        Self::Usage,
        Self::Nonces,
    ];

    /// The name of its column family.
    pub const fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Keys => "keys",
            Self::Accounts => "accounts",
            Self::Buckets => "buckets",
            Self::Objects => "objects",
            Self::Versions => "versions",
            Self::Uploads => "uploads",
            Self::Parts => "parts",
            Self::Layouts => "layouts",
            Self::Inline => "inline",
            Self::Blobs => "blobs",
            Self::Garbage => "garbage",
            Self::Outbox => "outbox",
            Self::Deliveries => "deliveries",
            Self::Usage => "usage",
            Self::Nonces => "nonces",
        }
    }
}

/// A half-open range of keys: from `start`, up to but without `end` (no end: to the space's last key).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRange {
    /// The first key that may be in it.
    pub start: Bytes,
    /// The first key after it.
    pub end: Option<Bytes>,
}

impl KeyRange {
    /// Every key.
    pub const fn all() -> Self {
        Self {
            start: Bytes::new(),
            end: None,
        }
    }

    /// Every key that begins with `prefix`.
    pub fn prefix(prefix: impl Into<Bytes>) -> Self {
        let start = prefix.into();
        let end = after_prefix(&start);
        Self { start, end }
    }
}

/// The first key after every key that begins with `prefix`; none where there is no such key
/// (a prefix of only `0xFF`, or an empty one).
pub fn after_prefix(prefix: &[u8]) -> Option<Bytes> {
    let keep = prefix.iter().rposition(|byte| *byte != 0xFF)?;
    let mut end = prefix.get(..=keep)?.to_vec();
    if let Some(last) = end.last_mut() {
        *last = last.wrapping_add(1); // it is not 0xFF: `rposition` chose it so
    }
    Some(end.into())
}

/// What a batch demands of the present state; one that does not hold fails the whole batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Assertion {
    /// `key` has no value.
    Absent {
        /// Where.
        space: Space,
        /// The key.
        key: Bytes,
    },
    /// `key` still has exactly the value that was read.
    Holds {
        /// Where.
        space: Space,
        /// The key.
        key: Bytes,
        /// The value that was read.
        value: Bytes,
    },
    /// `range` still has exactly the rows that were read.
    Rows {
        /// Where.
        space: Space,
        /// The range.
        range: KeyRange,
        /// What was read, in order.
        rows: Vec<Entry>,
    },
}

/// One change of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// Gives `key` a value.
    Put {
        /// Where.
        space: Space,
        /// The key.
        key: Bytes,
        /// The value.
        value: Bytes,
    },
    /// Takes the key away; no fault where it is absent.
    Delete {
        /// Where.
        space: Space,
        /// The key.
        key: Bytes,
    },
    /// Takes every key from `start` up to but without `end` away, for the price of one: worth it for
    /// hundreds, since reads nearby have to look past it for a while.
    DeleteRange {
        /// Where.
        space: Space,
        /// The first key that goes.
        start: Bytes,
        /// The first key that stays.
        end: Bytes,
    },
    /// Adds to a row of counters without reading it: the value is that many little-endian `i64`,
    /// an absent one all zero. See [`read_counters`].
    Add {
        /// Where; only [`Space::Usage`] holds counters.
        space: Space,
        /// The key.
        key: Bytes,
        /// What to add to each counter.
        deltas: [i64; 2],
    },
}

/// The counters of a row that [`Write::Add`] keeps.
pub fn read_counters(value: &[u8]) -> [i64; 2] {
    let (words, _rest) = value.as_chunks::<8>();
    let word = |at: usize| words.get(at).copied().map_or(0, i64::from_le_bytes);
    [word(0), word(1)]
}

/// Changes that happen together or not at all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    /// What must hold.
    pub assertions: Vec<Assertion>,
    /// What changes then, in this order.
    pub writes: Vec<Write>,
    /// Whether a power cut may undo it until the next batch that is not lazy: for what the next start
    /// does again.
    pub lazy: bool,
}

impl Batch {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty batch that waits for no sync.
    pub fn lazy() -> Self {
        let lazy = true;
        Self {
            lazy,
            ..Self::default()
        }
    }

    /// Demands that `key` has no value.
    pub fn assert_absent(&mut self, space: Space, key: impl Into<Bytes>) -> &mut Self {
        self.assertions.push(Assertion::Absent {
            space,
            key: key.into(),
        });
        self
    }

    /// Demands that `key` still holds `value`, or nothing where `value` is none: what a reader saw.
    pub fn assert_unchanged(
        &mut self,
        space: Space,
        key: impl Into<Bytes>,
        value: Option<Bytes>,
    ) -> &mut Self {
        let key = key.into();
        self.assertions.push(match value {
            Some(value) => Assertion::Holds { space, key, value },
            None => Assertion::Absent { space, key },
        });
        self
    }

    /// Demands that `range` is empty.
    pub fn assert_empty(&mut self, space: Space, range: KeyRange) -> &mut Self {
        self.assert_rows(space, range, Vec::new())
    }

    /// Demands that `range` still has the `rows` that a reader saw, and no others.
    pub fn assert_rows(&mut self, space: Space, range: KeyRange, rows: Vec<Entry>) -> &mut Self {
        self.assertions.push(Assertion::Rows { space, range, rows });
        self
    }

    /// Gives `key` a value.
    pub fn put(
        &mut self,
        space: Space,
        key: impl Into<Bytes>,
        value: impl Into<Bytes>,
    ) -> &mut Self {
        self.writes.push(Write::Put {
            space,
            key: key.into(),
            value: value.into(),
        });
        self
    }

    /// Takes `key` away.
    pub fn delete(&mut self, space: Space, key: impl Into<Bytes>) -> &mut Self {
        self.writes.push(Write::Delete {
            space,
            key: key.into(),
        });
        self
    }

    /// Takes all of `keys` away.
    pub fn delete_range(&mut self, space: Space, keys: Range<Bytes>) -> &mut Self {
        let Range { start, end } = keys;
        self.writes.push(Write::DeleteRange { space, start, end });
        self
    }

    /// Adds to counters.
    pub fn add(&mut self, space: Space, key: impl Into<Bytes>, deltas: [i64; 2]) -> &mut Self {
        self.writes.push(Write::Add {
            space,
            key: key.into(),
            deltas,
        });
        self
    }
}

/// What a metadata engine can fail with.
#[derive(Debug, thiserror::Error)]
pub enum MetaError {
    /// An assertion of the batch did not hold. Nothing was changed: read again and decide again.
    #[error("the metadata changed meanwhile")]
    Conflict,
    /// The disk is full, or was a moment ago: batches are taken again once it has room. Whether this
    /// one took effect is not known: what it names must be kept until the next start.
    #[error("no space left for metadata")]
    Full,
    /// A write or sync failed in a way after which nothing may be trusted to be durable: the
    /// engine takes no more batches until it is opened anew.
    #[error("the metadata engine stopped after a failed write: {reason}")]
    Poisoned {
        /// What had failed.
        reason: Arc<str>,
    },
    /// What is stored is not what was written.
    #[error("corrupt metadata: {reason}")]
    Corrupt {
        /// What is wrong.
        reason: String,
    },
    /// Another process holds the folder, or it can't be opened.
    #[error("can't open the metadata: {reason}")]
    Open {
        /// Why, with what to do.
        reason: String,
    },
    /// The engine failed in some other way.
    #[error("the metadata engine failed: {source}")]
    Engine {
        /// Its own error.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// What a visitor wants next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The next key.
    Next,
    /// The first key at or after this one, which must lie after the present one: how a listing
    /// skips all that a common prefix hides.
    Seek(Bytes),
    /// No more.
    Stop,
}

/// How far [`MetaEngine::verify`] came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Bytes of the rows that were read.
    pub bytes: u64,
    /// The key to go on from; none at the space's end.
    pub next: Option<Bytes>,
}

/// Sees each key and value of a walk, in order.
pub type Visitor = Box<dyn FnMut(&[u8], &[u8]) -> Step + Send>;

/// An ordered key-value store with atomic, durable batches.
pub trait MetaEngine: Debug + Send + Sync {
    /// The value of `key`, as the last batch left it.
    fn get(&self, space: Space, key: &[u8]) -> BoxFuture<'_, Result<Option<Bytes>, MetaError>>;

    /// Takes what was overwritten or deleted in `spaces` off the disk too, as far as files go: until then
    /// it may still be found there by who reads the files. It takes long on large spaces.
    fn expunge(&self, spaces: &'static [Space]) -> BoxFuture<'_, Result<(), MetaError>>;

    /// Shows `visit` the keys of `range` in byte order, as they were at one moment, until it stops.
    /// Use [`walk`], which gives the visitor back.
    fn walk(
        &self,
        space: Space,
        range: KeyRange,
        visit: Visitor,
    ) -> BoxFuture<'_, Result<(), MetaError>>;

    /// Reads rows from the key `from` on, past any memory where that can be, so that what rots on
    /// the disk shows: until `bytes_max` bytes were read or the space ends.
    ///
    /// # Errors
    /// [`MetaError::Corrupt`] where rows are not those that were written.
    fn verify(
        &self,
        space: Space,
        from: Bytes,
        bytes_max: u64,
    ) -> BoxFuture<'_, Result<Verified, MetaError>>;

    /// Applies `batch` if all its assertions hold; visible, and unless it is lazy durable, once this
    /// returns. Batches of that moment share one sync.
    ///
    /// # Errors
    /// [`MetaError::Conflict`] where an assertion fails; nothing has changed then.
    fn commit(&self, batch: Batch) -> BoxFuture<'_, Result<(), MetaError>>;

    /// Nothing is asked just now: whatever it holds in memory that belongs on the disk may go there, and
    /// its memory back.
    ///
    /// # Errors
    /// [`MetaError`] where that fails; nothing is lost then.
    fn rest(&self) -> BoxFuture<'_, Result<(), MetaError>> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// Whether it still takes batches, as far as it knows without trying.
    ///
    /// # Errors
    /// [`MetaError::Poisoned`] where only a new start can help, [`MetaError::Full`] until the disk
    /// has room.
    fn check(&self) -> Result<(), MetaError>;
}
