//! What a pass found: remembered until a later one finds it whole, or it is deleted.

use bytes::Bytes;

use super::super::fsck::Finding;
use super::super::meta::{self, Batch, Entry, KeyRange, Space, Step};
use super::super::record::{decode, encode};
use super::super::{ObjectStore, StoreError};
use crate::clock::Timestamp;

const PREFIX: &[u8] = b"scrub/damage/";

/// Damage that is remembered; further one is only logged.
const REMEMBERED_MAX: u64 = 10_000;

/// Damage that a pass found.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct Damage {
    /// What is damaged, and where.
    #[n(0)]
    pub finding: Finding,
    /// When it was found first.
    #[n(1)]
    pub found: Timestamp,
    /// When it was found last.
    #[n(2)]
    pub seen: Timestamp,
    /// The record that it was found by.
    #[n(3)]
    row: Option<Row>,
}

#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
struct Row {
    #[n(0)]
    space: String,
    #[cbor(n(1), with = "minicbor::bytes")]
    key: Vec<u8>,
    #[cbor(n(2), with = "minicbor::bytes")]
    value: Vec<u8>,
}

impl Damage {
    /// Its own row: the same for the same damage.
    fn key(&self) -> Bytes {
        let of = match (&self.finding.blob, &self.row) {
            (Some(blob), _) => format!("blob/{blob}").into_bytes(),
            (None, Some(row)) => [row.space.as_bytes(), b"/", &row.key].concat(),
            (None, None) => self.finding.place.clone().into_bytes(),
        };
        [PREFIX, &of].concat().into()
    }

    /// Whether what is damaged is still there.
    async fn is_there(&self, store: &ObjectStore) -> Result<bool, StoreError> {
        if let Some(blob) = self.finding.blob {
            let row = store.meta().get(Space::Blobs, blob.as_bytes()).await?;
            return Ok(row.is_some());
        }
        let Some(row) = &self.row else {
            return Ok(true);
        };
        let space = Space::ALL.into_iter().find(|one| one.name() == row.space);
        let Some(space) = space else {
            return Ok(false);
        };
        let now = store.meta().get(space, &row.key).await?;
        Ok(now.is_some_and(|now| *now == *row.value))
    }
}

/// The damage that is known, while a pass adds to it.
pub(super) struct Remembered<'a> {
    store: &'a ObjectStore,
    count: u64,
}

impl<'a> Remembered<'a> {
    pub(super) async fn read(store: &'a ObjectStore) -> Result<Self, StoreError> {
        let count = store.damage().await?.len();
        Ok(Self {
            store,
            count: u64::try_from(count).unwrap_or(u64::MAX),
        })
    }

    pub(super) async fn add(
        &mut self,
        finding: Finding,
        row: Option<(Space, &Entry)>,
    ) -> Result<(), StoreError> {
        let now = self.store.clock().now();
        let row = row.map(|(space, row)| Row {
            space: space.name().to_owned(),
            key: row.key.to_vec(),
            value: row.value.to_vec(),
        });
        let mut damage = Damage {
            finding,
            found: now,
            seen: now,
            row,
        };
        let key = damage.key();
        let before = self.store.meta().get(Space::System, &key).await?;
        match before.and_then(|row| decode::<Damage>(&row, "remembered damage").ok()) {
            Some(before) => damage.found = before.found,
            None if self.count >= REMEMBERED_MAX => return Ok(()),
            None => self.count = self.count.saturating_add(1),
        }
        self.store.scrub_monitor().damaged(self.count);
        let mut batch = Batch::new();
        batch.put(Space::System, key, encode(&damage)?);
        Ok(self.store.meta().commit(batch).await?)
    }

    /// Forgets what a pass that began at `began` did not find again.
    pub(super) async fn forget_before(&self, began: Timestamp) -> Result<(), StoreError> {
        let known = rows(self.store).await?;
        let gone = known.iter().filter(|damage| damage.seen < began);
        forget(self.store, gone.map(Damage::key).collect()).await?;
        self.store.damage().await.map(drop)
    }
}

impl ObjectStore {
    /// The damage that passes found and that was neither deleted since nor found whole.
    ///
    /// # Errors
    /// What the metadata engine fails with.
    pub async fn damage(&self) -> Result<Vec<Damage>, StoreError> {
        let mut there = Vec::new();
        let mut gone = Vec::new();
        for damage in rows(self).await? {
            if damage.is_there(self).await? {
                there.push(damage);
            } else {
                gone.push(damage.key());
            }
        }
        forget(self, gone).await?;
        let count = u64::try_from(there.len()).unwrap_or(u64::MAX);
        self.scrub_monitor().damaged(count);
        Ok(there)
    }
}

async fn rows(store: &ObjectStore) -> Result<Vec<Damage>, StoreError> {
    let visit = |found: &mut Vec<Damage>, _key: &[u8], value: &[u8]| {
        found.extend(decode(value, "remembered damage").ok());
        Step::Next
    };
    let range = KeyRange::prefix(PREFIX);
    let meta = store.meta().as_ref();
    Ok(meta::walk(meta, Space::System, range, Vec::new(), visit).await?)
}

async fn forget(store: &ObjectStore, keys: Vec<Bytes>) -> Result<(), StoreError> {
    if keys.is_empty() {
        return Ok(());
    }
    let mut batch = Batch::new();
    for key in keys {
        batch.delete(Space::System, key);
    }
    Ok(store.meta().commit(batch).await?)
}
