//! Named places where tests let the server die, as a power cut or `kill -9` may at any of them.
//!
//! Only a build with the feature `fail-points` has them; in every other one [`reach`] is nothing.
//! There `CONSIGN_FAIL_POINT` names a file. Once it holds a line `NAME:NTH`, which may be while the
//! server is at work, whoever reaches that point the NTH time kills the process.

/// Every place, in the order in which a write, and what follows it, passes them.
pub const POINTS: &[&str] = &[
    // A blob on its way to its name.
    "blob.staged",
    "blob.written",
    "blob.synced",
    "blob.renamed",
    "blob.published",
    "link.linked",
    "link.published",
    // A change that is decided, but not committed.
    "once.staged",
    "put.decided",
    "delete.decided",
    "update.decided",
    "rename.decided",
    "part.decided",
    "complete.decided",
    "end.decided",
    // The batch, and what follows it.
    "meta.unwritten",
    "meta.written",
    "change.committed",
    "change.told",
    "change.discarded",
    "upload.begun",
    "part.committed",
    "end.committed",
    "bucket.deleted",
    "bucket.upload_ended",
    // What is left over.
    "guard.deleted",
    "garbage.unlinked",
    "garbage.forgotten",
    "sweep.begun",
    "sweep.deleted",
    "lifecycle.expired",
    "lifecycle.aborted",
    // Callbacks.
    "deliver.due",
    "deliver.answered",
    "deliver.recorded",
    "keep.answered",
    "ask.committed",
    "ask.answered",
    "ask.undone",
    "ask.abandoned",
];

/// Says that the place of that name is reached.
#[cfg(not(feature = "fail-points"))]
#[inline]
pub const fn reach(_name: &'static str) {}

#[cfg(feature = "fail-points")]
mod armed;
#[cfg(feature = "fail-points")]
pub use armed::reach;
