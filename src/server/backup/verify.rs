//! Whether backups are whole: every file against its digest, every blob against its checksums.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use serde::Serialize;

use super::manifest::Backups;
use super::{BackupError, BackupProgress, files};
use crate::clock::SystemClock;
use crate::store::blob::durable::Durability;
use crate::store::blob::files::FileBlobs;

/// What was looked at, and what is wrong.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct VerifyReport {
    /// The generations, oldest first.
    pub generations: Vec<String>,
    /// Blobs that they name.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// What is wrong, in words.
    pub faults: Vec<String>,
}

/// Reads every whole generation in `folder`. It blocks.
///
/// # Errors
/// [`BackupError`] where it can't be read at all; what is damaged is a fault of the report.
pub fn verify(folder: &Path, progress: &BackupProgress) -> Result<VerifyReport, BackupError> {
    let backups = Backups::open(folder)?;
    let pool = FileBlobs::at(&backups.pool(), Durability::None, Arc::new(SystemClock));
    let generations = backups.generations()?;
    let mut report = VerifyReport::default();
    let total = generations.iter().map(|one| one.manifest.bytes).max();
    progress.expect(total.unwrap_or_default());
    let mut seen = HashSet::new();
    for generation in generations {
        for entry in &generation.manifest.files {
            if let Err(error) = files::check(&generation.folder, entry) {
                report.faults.push(error.to_string());
            }
        }
        let known: HashSet<_> = generation.manifest.damaged.iter().cloned().collect();
        let blobs = match generation.blobs() {
            Ok(blobs) => blobs,
            Err(error) => {
                report.faults.push(error.to_string());
                Vec::new()
            }
        };
        for blob in blobs {
            if known.contains(&blob.id.to_string()) || !seen.insert(blob.id) {
                continue;
            }
            report.blobs = report.blobs.saturating_add(1);
            report.bytes = report.bytes.saturating_add(blob.len);
            if let Err(error) = pool.check(blob) {
                report.faults.push(format!("{}: {error}", generation.name));
            }
            progress.count(blob.len);
        }
        if !known.is_empty() {
            let (name, known) = (&generation.name, known.len());
            let text = format!("{name}: {known} blobs were damaged when it was made");
            report.faults.push(text);
        }
        report.generations.push(generation.name);
    }
    if report.generations.is_empty() {
        return Err(BackupError::NoGeneration {
            path: folder.to_owned(),
            name: None,
        });
    }
    Ok(report)
}
