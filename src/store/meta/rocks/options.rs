//! How RocksDB is set up, with the reason for each choice.

use rocksdb::{
    BlockBasedIndexType, BlockBasedOptions, Cache, ColumnFamilyDescriptor, DBCompressionType,
    DBRecoveryMode, InfoLogger, LogLevel, LruCacheOptions, MergeOperands, Options,
};

use crate::store::meta::{Space, read_counters};

const MIB: usize = 1024 * 1024;

/// One block cache for all families: what an idle server may keep in memory.
const BLOCK_CACHE_BYTES: usize = 32 * MIB;

/// The cache is divided into two to the power of this, each with a lock of its own. Left to itself RocksDB
/// makes parts of 512 KiB: what is larger never stays there, and a few indexes that fall into one part
/// drive each other out.
const BLOCK_CACHE_PARTS_LOG2: i32 = 3;

/// Bytes that all write buffers together may hold before they are flushed.
const WRITE_BUFFERS_BYTES: usize = 64 * MIB;

/// Values of at least this size go to blob files, which compaction does not rewrite.
const BLOB_BYTES_MIN: u64 = 1024;

/// The database's options. Only where there `is_new` room for one it is made: RocksDB would take
/// a lost file for that.
pub(super) fn database(is_new: bool) -> Options {
    let mut options = Options::default();
    options.create_if_missing(is_new);
    options.create_missing_column_families(true);
    // A torn record at the log's end is a batch that was never answered: it is dropped. Damage
    // before it is not, and opening fails.
    options.set_wal_recovery_mode(DBRecoveryMode::TolerateCorruptedTailRecords);
    // A log that is missing or shorter than it was is no torn one.
    options.set_track_and_verify_wals_in_manifest(true);
    options.set_db_write_buffer_size(WRITE_BUFFERS_BYTES);
    options.set_max_total_wal_size(2 * WRITE_BUFFERS_BYTES as u64);
    options.set_max_background_jobs(2);
    options.set_max_open_files(512);
    // Else each family's files are opened by sixteen threads, most of which find none: of the 264 that a
    // start made before it was ready, 256 were these.
    options.set_max_file_opening_threads(1);
    options.set_info_logger(InfoLogger::new_callback_logger(LogLevel::Warn, tell));
    // Else they are gathered at the start and every ten minutes, and told nobody.
    options.set_stats_dump_period_sec(0);
    options.set_stats_persist_period_sec(0);
    options.set_bytes_per_sync(MIB as u64);
    options
}

/// What RocksDB complains of goes to the server's log. In a file of its own it would say everything at
/// every start, 180 KB of settings, before the first request is answered.
fn tell(level: LogLevel, text: &str) {
    match level {
        LogLevel::Warn => tracing::warn!("RocksDB: {text}"),
        LogLevel::Error | LogLevel::Fatal => tracing::error!("RocksDB: {text}"),
        // Its settings come here whatever level is asked for.
        LogLevel::Debug | LogLevel::Info | LogLevel::Header => {}
    }
}

/// Every space's column family; they share one block cache.
pub(super) fn families() -> [ColumnFamilyDescriptor; Space::ALL.len()] {
    let mut cache = LruCacheOptions::default();
    cache.set_capacity(BLOCK_CACHE_BYTES);
    cache.set_num_shard_bits(BLOCK_CACHE_PARTS_LOG2);
    let cache = Cache::new_lru_cache_opts(&cache);
    Space::ALL.map(|space| family(space, &cache))
}

fn family(space: Space, cache: &Cache) -> ColumnFamilyDescriptor {
    let mut options = Options::default();
    let mut table = BlockBasedOptions::default();
    // Ten bits a key: one read in a hundred of an absent key touches the disk.
    table.set_bloom_filter(10.0, false);
    table.set_block_cache(cache);
    table.set_cache_index_and_filter_blocks(true);
    // In pieces of 4 KiB, since those of a whole table are MiBs: a million keys that came in no order took
    // 0.95 ms of CPU for a HEAD of any of them, and take 0.25.
    table.set_index_type(BlockBasedIndexType::TwoLevelIndexSearch);
    table.set_partition_filters(true);
    options.set_block_based_table_factory(&table);
    options.set_compression_type(DBCompressionType::Lz4);
    options.set_write_buffer_size(16 * MIB);
    if space == Space::Inline {
        options.set_enable_blob_files(true);
        options.set_min_blob_size(BLOB_BYTES_MIN);
        options.set_enable_blob_gc(true);
        // Without it, each read of a small object that was flushed would need another thread.
        options.set_blob_cache(cache);
        // Uploads are mostly compressed already; what a small one saves is not worth the time.
        options.set_blob_compression_type(DBCompressionType::None);
    }
    if space == Space::Usage {
        options.set_merge_operator_associative("consign.counters", add);
    }
    ColumnFamilyDescriptor::new(space.name(), options)
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "RocksDB's merge operator has this shape"
)]
fn add(_key: &[u8], existing: Option<&[u8]>, operands: &MergeOperands) -> Option<Vec<u8>> {
    let start = existing.map_or([0, 0], read_counters);
    let [a, b] = operands
        .iter()
        .map(read_counters)
        .fold(start, |[a, b], [da, db]| {
            [a.saturating_add(da), b.saturating_add(db)]
        });
    Some([a, b].map(i64::to_le_bytes).concat())
}
