//! Reading a blob: whole blocks, each checked against its checksum before a byte of it goes out.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::super::block::{BLOCK_BYTES, Footer};
use super::super::durable::io;
use super::super::{BlobError, BlobRef, BlobStream};
use super::{missing_where_not_found, on_blocking_thread};
use crate::id::BlobId;

/// Bytes read at once: large enough that a thread's hop is cheap, small enough that many slow
/// readers fit into memory.
const PIECE_BYTES: u64 = 512 * 1024;

/// Where bytes may come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// From memory, if they are there.
    Any,
    /// From the disk: the system is asked to forget them before and after.
    Disk,
}

/// An open blob whose footer has been checked.
struct Reader {
    file: File,
    source: Source,
    path: PathBuf,
    blob: BlobRef,
    footer: Footer,
}

/// The bytes of `range`. The first piece is read before this returns.
pub(super) async fn stream(
    path: PathBuf,
    blob: BlobRef,
    range: Range<u64>,
    source: Source,
) -> Result<BlobStream, BlobError> {
    let range = range.start.min(blob.len)..range.end.min(blob.len);
    let (reader, first, rest) = on_blocking_thread(move || {
        let reader = Reader::open(path, blob, source)?;
        let (now, rest) = split(range);
        let first = reader.piece(now)?;
        Ok((reader, first, rest))
    })
    .await?;
    let first = stream::iter((!first.is_empty()).then_some(Ok(first)));
    if rest.is_empty() {
        return Ok(first.boxed());
    }
    Ok(first.chain(pieces(reader, rest)).boxed())
}

/// Reads the whole blob and checks it. It blocks.
pub(super) fn whole(path: PathBuf, blob: BlobRef, source: Source) -> Result<(), BlobError> {
    let reader = Reader::open(path, blob, source)?;
    let mut rest = 0..blob.len;
    while !rest.is_empty() {
        let (now, then) = split(rest);
        reader.piece(now)?;
        rest = then;
    }
    Ok(())
}

fn pieces(reader: Reader, rest: Range<u64>) -> BlobStream {
    stream::try_unfold((reader, rest), |(reader, rest)| async move {
        if rest.is_empty() {
            return Ok(None);
        }
        let read = on_blocking_thread(move || {
            let (now, rest) = split(rest);
            let piece = reader.piece(now)?;
            Ok((piece, (reader, rest)))
        });
        read.await.map(Some)
    })
    .into_stream()
    .boxed()
}

/// The part of `range` to read now, up to a piece's border, and what follows.
fn split(range: Range<u64>) -> (Range<u64>, Range<u64>) {
    let border = (range.start / PIECE_BYTES)
        .saturating_add(1)
        .saturating_mul(PIECE_BYTES);
    let middle = border.min(range.end).max(range.start);
    (range.start..middle, middle..range.end)
}

impl Reader {
    fn open(path: PathBuf, blob: BlobRef, source: Source) -> Result<Self, BlobError> {
        let opened = File::open(&path).map_err(|error| io("opening", &path, error));
        let file = opened.map_err(|error| missing_where_not_found(error, blob.id))?;
        if source == Source::Disk {
            forget(&file);
        }
        let footer = read_footer(&file, &path, blob)?;
        Ok(Self {
            file,
            source,
            path,
            blob,
            footer,
        })
    }

    /// Reads and checks the blocks that `range` touches, and gives out `range` of them.
    fn piece(&self, range: Range<u64>) -> Result<Bytes, BlobError> {
        let block = BLOCK_BYTES as u64;
        let first = range.start / block;
        let start = first.saturating_mul(block);
        let end = range
            .end
            .div_ceil(block)
            .saturating_mul(block)
            .min(self.blob.len);
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        let bytes = read_at(&self.file, &self.path, self.blob.id, start..end)?;
        self.footer
            .check(to_usize(first), &bytes)
            .map_err(|reason| BlobError::Corrupt {
                id: self.blob.id,
                reason,
            })?;
        // Both lie within `bytes`: `start <= range.start <= range.end <= end`.
        Ok(bytes.slice(to_usize(range.start - start)..to_usize(range.end - start)))
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        if self.source == Source::Disk {
            forget(&self.file);
        }
    }
}

/// Asks the system to drop a file's bytes from memory: where it does not, only that is lost.
fn forget(file: &File) {
    if let Err(error) = rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::DontNeed) {
        tracing::debug!(%error, "a file's bytes stay in memory");
    }
}

fn read_footer(file: &File, path: &Path, blob: BlobRef) -> Result<Footer, BlobError> {
    let corrupt = |reason| BlobError::Corrupt {
        id: blob.id,
        reason,
    };
    let end = blob.len.saturating_add(Footer::bytes(blob.len));
    let size = file
        .metadata()
        .map_err(|error| io("inspecting", path, error))?
        .len();
    if size != end {
        return Err(corrupt(format!(
            "the file has {size} bytes instead of {end}"
        )));
    }
    let footer = read_at(file, path, blob.id, blob.len..end)?;
    Footer::parse(&footer, blob.len).map_err(corrupt)
}

fn read_at(file: &File, path: &Path, id: BlobId, at: Range<u64>) -> Result<Bytes, BlobError> {
    let mut bytes = BytesMut::zeroed(to_usize(at.end.saturating_sub(at.start)));
    file.read_exact_at(&mut bytes, at.start)
        .map_err(|error| match error.kind() {
            std::io::ErrorKind::UnexpectedEof => BlobError::Corrupt {
                id,
                reason: "the file is cut off".into(),
            },
            _ => io("reading", path, error),
        })?;
    Ok(bytes.freeze())
}

/// A length that is bounded by a piece or a footer; it always fits on a 64-bit machine.
fn to_usize(len: u64) -> usize {
    usize::try_from(len).unwrap_or(usize::MAX)
}
