//! What RocksDB tells of itself.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use rocksdb::properties::{
    ACTUAL_DELAYED_WRITE_RATE, BACKGROUND_ERRORS, BLOCK_CACHE_CAPACITY, BLOCK_CACHE_USAGE,
    CUR_SIZE_ALL_MEM_TABLES, ESTIMATE_NUM_KEYS, ESTIMATE_PENDING_COMPACTION_BYTES,
    IS_WRITE_STOPPED, LIVE_SST_FILES_SIZE, NUM_IMMUTABLE_MEM_TABLE, NUM_RUNNING_COMPACTIONS,
    NUM_RUNNING_FLUSHES, PropName,
};

use super::{Shared, family};
use crate::metrics::Reading;
use crate::store::meta::Space;

/// A way to ask it that does not keep the database open.
#[derive(Debug, Clone)]
pub struct Vitals(Weak<Shared>);

/// A property, and the name under which it is told.
struct Property {
    asked: &'static PropName,
    name: &'static str,
    help: &'static str,
}

/// Told once: the same for the whole database, or for the cache that all spaces share.
const OF_ALL: &[Property] = &[
    Property {
        asked: BLOCK_CACHE_USAGE,
        name: "consign_rocksdb_block_cache_bytes",
        help: "Bytes in the block cache",
    },
    Property {
        asked: BLOCK_CACHE_CAPACITY,
        name: "consign_rocksdb_block_cache_limit_bytes",
        help: "Bytes that the block cache may hold",
    },
    Property {
        asked: NUM_RUNNING_COMPACTIONS,
        name: "consign_rocksdb_compactions_running",
        help: "Compactions under way",
    },
    Property {
        asked: NUM_RUNNING_FLUSHES,
        name: "consign_rocksdb_flushes_running",
        help: "Flushes under way",
    },
    Property {
        asked: BACKGROUND_ERRORS,
        name: "consign_rocksdb_background_errors",
        help: "Errors of flushes and compactions since the start",
    },
    Property {
        asked: IS_WRITE_STOPPED,
        name: "consign_rocksdb_write_stopped",
        help: "1 while RocksDB takes no writes until it has compacted",
    },
    Property {
        asked: ACTUAL_DELAYED_WRITE_RATE,
        name: "consign_rocksdb_delayed_write_bytes_per_second",
        help: "To how many bytes a second RocksDB slows writes down; 0 for not at all",
    },
];

/// Told for each space.
const OF_EACH: &[Property] = &[
    Property {
        asked: CUR_SIZE_ALL_MEM_TABLES,
        name: "consign_rocksdb_memtable_bytes",
        help: "Bytes in memory that are not flushed to tables",
    },
    Property {
        asked: NUM_IMMUTABLE_MEM_TABLE,
        name: "consign_rocksdb_memtables_waiting",
        help: "Memtables that wait to be flushed",
    },
    Property {
        asked: LIVE_SST_FILES_SIZE,
        name: "consign_rocksdb_sst_bytes",
        help: "Bytes of tables",
    },
    Property {
        asked: ESTIMATE_PENDING_COMPACTION_BYTES,
        name: "consign_rocksdb_pending_compaction_bytes",
        help: "Bytes that compactions have yet to rewrite, about",
    },
    Property {
        asked: ESTIMATE_NUM_KEYS,
        name: "consign_meta_rows",
        help: "Rows, about",
    },
];

impl Vitals {
    pub(super) fn of(shared: &Arc<Shared>) -> Self {
        Self(Arc::downgrade(shared))
    }

    /// Everything that it tells now; nothing once the database is closed.
    pub fn read(&self) -> Vec<Reading> {
        let Some(shared) = self.0.upgrade() else {
            return Vec::new();
        };
        let db = shared.db.load_full();
        let ask = |space, property: &Property| {
            let db = db.as_deref()?;
            let told = db.property_int_value_cf(family(db, space).ok()?, property.asked);
            // A property that this RocksDB does not know is not told at all.
            Some(Reading::gauge(property.name, property.help, told.ok()??))
        };
        let of_all = OF_ALL.iter().filter_map(|one| ask(Space::System, one));
        let of_each = OF_EACH.iter().flat_map(|property| {
            let spaces = Space::ALL.into_iter();
            spaces.filter_map(move |space| {
                Some(ask(space, property)?.labelled("space", space.name()))
            })
        });
        let writable = Reading::gauge(
            "consign_meta_writable",
            "0 once a write failed: until the disk has room, or the next start",
            shared.poisoned.get().is_none() && !shared.full.load(Ordering::Acquire),
        );
        of_all.chain(of_each).chain([writable]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Durability, RocksEngine};
    use super::*;

    #[test]
    fn every_property_is_known_to_this_rocksdb() {
        let folder = tempfile::tempdir().unwrap();
        let engine = RocksEngine::open(folder.path(), Durability::None).unwrap();
        let vitals = engine.vitals();
        let told = vitals.read();
        let each = OF_EACH.len() * Space::ALL.len();
        assert_eq!(told.len(), OF_ALL.len() + each + 1);
        drop(engine);
        assert!(vitals.read().is_empty());
    }
}
