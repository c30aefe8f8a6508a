//! What is done while nothing is asked: rows that are held in memory until they are many go to tables now, where
//! they belong anyway, and their memory is free.
//!
//! After some minutes of all kinds of work they were 20 MiB, the most of what an idle server held.

use rocksdb::properties::CUR_SIZE_ALL_MEM_TABLES;
use rocksdb::{ColumnFamily, DB};

use super::heal::has_room;
use super::{Shared, Space, engine_error, family};
use crate::store::meta::MetaError;

/// A family that holds less stays as it is: a table, and a file of small objects, for each few rows would be
/// more to read through than they are worth.
const WORTH_A_TABLE_BYTES: u64 = 4 * 1024 * 1024;

impl Shared {
    /// Writes to tables what families hold much of. It blocks.
    ///
    /// # Errors
    /// [`MetaError`] where RocksDB fails; nothing is lost then, since all of it is in the log.
    pub(super) fn rest(&self) -> Result<(), MetaError> {
        // A flush that finds no room would leave the database to be healed, of which a log needs nothing.
        if !has_room(&self.folder) {
            return Ok(());
        }
        let Some(db) = self.db.load_full() else {
            return Ok(());
        };
        for space in Space::ALL {
            let family = family(&db, space)?;
            if held_bytes(&db, family)? >= WORTH_A_TABLE_BYTES {
                db.flush_cf(family).map_err(engine_error)?;
            }
        }
        Ok(())
    }
}

/// Bytes of memory that a family takes for rows which are in no table yet.
pub(super) fn held_bytes(db: &DB, family: &ColumnFamily) -> Result<u64, MetaError> {
    let told = db.property_int_value_cf(family, CUR_SIZE_ALL_MEM_TABLES);
    Ok(told.map_err(engine_error)?.unwrap_or_default())
}
