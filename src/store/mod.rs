//! The object store: S3's rules, written once over two engines.

pub mod blob;
pub mod meta;
