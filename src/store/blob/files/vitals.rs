//! How much lies among the blobs that is not finished.

use std::path::PathBuf;

use super::FileBlobs;
use crate::metrics::Reading;

/// A way to look.
#[derive(Debug, Clone)]
pub struct Vitals {
    staging: PathBuf,
}

impl FileBlobs {
    /// What can be asked of the blobs' folder.
    pub fn vitals(&self) -> Vitals {
        Vitals {
            staging: self.place.staging.clone(),
        }
    }
}

impl Vitals {
    /// Everything that it tells now; nothing where the folder can't be read. It waits for the disk.
    pub fn read(&self) -> Vec<Reading> {
        let Ok(staged) = std::fs::read_dir(&self.staging) else {
            return Vec::new();
        };
        // A file that was finished meanwhile is not staged any more.
        let sizes = staged.filter_map(|file| Some(file.ok()?.metadata().ok()?.len()));
        let (files, bytes) = sizes.fold((0_u64, 0_u64), |(files, bytes), size| {
            (files.saturating_add(1), bytes.saturating_add(size))
        });
        vec![
            Reading::gauge("consign_staged_files", "Files of uploads under way", files),
            Reading::gauge("consign_staged_bytes", "Bytes of uploads under way", bytes),
        ]
    }
}
