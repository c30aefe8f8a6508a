//! How much room the disk has left, and how much of it is not for uploads.
//!
//! What is kept free is for deleting: the metadata of a disk that is full to the last byte could
//! not even be told that something is gone.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::BlobError;

/// How long an answer of the disk serves small uploads.
const AGE_MAX: Duration = Duration::from_millis(100);

/// From so many bytes on the disk is asked anew.
const LARGE_BYTES: u64 = 1024 * 1024;

/// The room below some folders, which may lie on several disks.
#[derive(Debug)]
pub struct Room {
    folders: Vec<PathBuf>,
    free_bytes_min: u64,
    seen: Mutex<Option<(Instant, u64)>>,
}

impl Room {
    /// The room below `folders`, of which `free_bytes_min` bytes are kept free; 0 keeps nothing.
    pub fn new(folders: Vec<PathBuf>, free_bytes_min: u64) -> Self {
        Self {
            folders,
            free_bytes_min,
            seen: Mutex::new(None),
        }
    }

    /// Whether `bytes` more may be taken.
    ///
    /// # Errors
    /// [`BlobError::Full`] where fewer bytes than are to be kept free would be left.
    pub fn check(&self, bytes: u64) -> Result<(), BlobError> {
        if self.free_bytes_min == 0 {
            return Ok(());
        }
        let left = self.free(bytes < LARGE_BYTES).saturating_sub(bytes);
        if left < self.free_bytes_min {
            return Err(BlobError::Full);
        }
        Ok(())
    }

    fn free(&self, seen_will_do: bool) -> u64 {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        match *seen {
            Some((at, free)) if seen_will_do && at.elapsed() < AGE_MAX => free,
            _ => {
                let free = self.folders.iter().map(|folder| free_bytes(folder));
                let free = free.min().unwrap_or(u64::MAX);
                *seen = Some((Instant::now(), free));
                free
            }
        }
    }
}

/// The bytes that are free below `folder`; where the system can't tell, writing will.
pub fn free_bytes(folder: &Path) -> u64 {
    match rustix::fs::statvfs(folder) {
        Ok(disk) => disk.f_bavail.saturating_mul(disk.f_frsize),
        Err(_) => u64::MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_free_is_not_for_uploads() {
        let folder = tempfile::tempdir().unwrap();
        let room = |min| Room::new(vec![folder.path().to_owned()], min);
        assert!(room(1).check(1).is_ok());
        assert!(matches!(room(u64::MAX).check(0), Err(BlobError::Full)));
        assert!(matches!(room(1).check(u64::MAX), Err(BlobError::Full)));
        assert!(room(0).check(u64::MAX).is_ok());
    }
}
