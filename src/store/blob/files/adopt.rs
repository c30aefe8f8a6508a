//! Blobs that come from another folder under their own names: how backups are made and restored.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use uuid::Uuid;

use super::super::block::Footer;
use super::super::durable::{self, io};
use super::super::{BlobError, BlobRef};
use super::read::Source;
use super::{FileBlobs, missing_where_not_found, read};
use crate::id::BlobId;

/// How a blob came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Adopted {
    /// It was there already.
    There,
    /// By a link: both folders share its bytes.
    Linked,
    /// By a copy, whose checksums were compared.
    Copied,
}

/// How a blob may come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Adoption {
    /// By a link, where the file system allows it.
    LinkOrCopy,
    /// By a copy.
    Copy,
}

/// Called with the number of bytes of each piece of a copy, which goes on once it returns.
pub type Pacer<'a> = &'a dyn Fn(u64);

/// Bytes of a piece of a copy that is paced.
const PIECE_BYTES: u64 = 256 * 1024;

impl FileBlobs {
    /// Takes over `blob` from another folder. It blocks, and nothing is synced: who calls it does so.
    ///
    /// # Errors
    /// [`BlobError::Missing`] or [`BlobError::Corrupt`] where `from` has it not, or not whole.
    pub fn adopt(
        &self,
        from: &Self,
        blob: BlobRef,
        how: Adoption,
        pacer: Option<Pacer<'_>>,
    ) -> Result<Adopted, BlobError> {
        if self.has(blob) {
            return Ok(Adopted::There);
        }
        let (source, place) = (from.place.path(blob.id), self.place.path(blob.id));
        if how == Adoption::LinkOrCopy {
            if !from.has(blob) {
                return Err(BlobError::Missing { id: blob.id });
            }
            // Elsewhere, or a file system without links: copied then.
            if std::fs::hard_link(&source, &place).is_ok() {
                return Ok(Adopted::Linked);
            }
        }
        let staged = self.place.staging.join(Uuid::new_v4().simple().to_string());
        let reading = read::Place {
            path: staged.clone(),
            ..self.place.reading(blob, Source::Any)
        };
        let copied = copy(&source, &staged, reading, pacer)
            .and_then(|file| durable::publish(&file, &staged, &place, durable::Durability::None));
        if copied.is_err() {
            // What is left of it the next opening removes, too.
            std::fs::remove_file(&staged).ok();
        }
        copied.map(|()| Adopted::Copied)
    }

    /// Whether there is a file of the blob's name and length.
    pub fn has(&self, blob: BlobRef) -> bool {
        let bytes = blob.len.saturating_add(Footer::bytes(blob.len));
        let found = std::fs::metadata(self.place.path(blob.id));
        found.is_ok_and(|found| found.is_file() && found.len() == bytes)
    }

    /// Reads the whole blob from the disk and checks it. It blocks.
    ///
    /// # Errors
    /// [`BlobError::Missing`] or [`BlobError::Corrupt`].
    pub fn check(&self, blob: BlobRef) -> Result<(), BlobError> {
        read::whole(self.place.reading(blob, Source::Disk))
    }

    /// Removes the blob's file. It blocks.
    ///
    /// # Errors
    /// [`BlobError::Io`].
    pub fn remove(&self, id: BlobId) -> Result<(), BlobError> {
        let path = self.place.path(id);
        std::fs::remove_file(&path).map_err(|error| io("deleting", &path, error))
    }

    /// The names of all blobs. It blocks.
    ///
    /// # Errors
    /// [`BlobError::Io`].
    pub fn ids(&self) -> Result<Vec<BlobId>, BlobError> {
        let mut ids = Vec::new();
        for last in 0..=u8::MAX {
            ids.extend(super::ids_in(&self.place.data.join(format!("{last:02x}")))?);
        }
        Ok(ids)
    }
}

fn copy(
    from: &Path,
    to: &Path,
    reading: read::Place,
    pacer: Option<Pacer<'_>>,
) -> Result<File, BlobError> {
    let copied = match pacer {
        None => std::fs::copy(from, to).map(drop),
        Some(pacer) => copy_in_pieces(from, to, pacer),
    };
    copied.map_err(|error| missing_where_not_found(io("copying", from, error), reading.blob.id))?;
    read::whole(reading)?;
    File::open(to).map_err(|error| io("opening", to, error))
}

fn copy_in_pieces(from: &Path, to: &Path, pacer: Pacer<'_>) -> std::io::Result<()> {
    let (mut from, mut to) = (File::open(from)?, File::create(to)?);
    loop {
        let copied = std::io::copy(&mut (&mut from).take(PIECE_BYTES), &mut to)?;
        if copied == 0 {
            return Ok(());
        }
        pacer(copied);
    }
}
