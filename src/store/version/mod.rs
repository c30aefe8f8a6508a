//! The versions of a key: its current one in `objects`, the others in `versions`, newest first.
//!
//! A key that has any version has a current one, if only a delete marker. At most one version of a
//! key is the null version: the one that was written while the bucket kept no versions.

mod change;
mod find;
pub mod listing;
mod rename;
#[cfg(test)]
mod tests;

use std::fmt;

pub(super) use change::Edit;
pub(super) use find::Current;
pub use rename::Rename;

use super::ObjectRecord;
use crate::id::VersionId;

/// Which version of a key is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VersionRef {
    /// The null version.
    Null,
    /// The one of this id.
    Id(VersionId),
}

impl VersionRef {
    /// The name that `record` goes by.
    pub fn of(record: &ObjectRecord) -> Self {
        record.version.map_or(Self::Null, Self::Id)
    }

    /// Reads the form that `Display` writes.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "null" => Some(Self::Null),
            id => VersionId::parse(id).map(Self::Id),
        }
    }
}

impl fmt::Display for VersionRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Id(id) => fmt::Display::fmt(id, f),
        }
    }
}
