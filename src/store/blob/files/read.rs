//! Reading a blob: whole blocks, each checked against its checksum before a byte of it goes out.

use std::fs::File;
use std::io::IoSliceMut;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};
use rustix::io::{ReadWriteFlags, preadv2};

use super::super::block::{BLOCK_BYTES, Footer};
use super::super::durable::io;
use super::super::{BlobError, BlobRef, BlobStream};
use super::buffers::Buffers;
use super::{missing_where_not_found, on_blocking_thread};

/// Bytes read at once: large enough that a step costs little beside its bytes, small enough that they are
/// still in a core's own cache (512 KiB here) when they are checked and sent, and that many slow readers
/// fit into memory.
pub(super) const PIECE_BYTES: usize = 256 * 1024;

/// Pieces that are read one after the other before other connections have their turn.
const PIECES_IN_TURN: u64 = 8;

/// Where bytes may come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// From memory, if they are there.
    Any,
    /// From the disk: the system is asked to forget them before and after.
    Disk,
}

/// Whether a read may wait for the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wait {
    /// Only what the system holds in memory is read: the runtime's own threads may do that.
    Never,
    /// As long as it takes.
    AsNeeded,
}

/// A blob that is to be read, and where.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) path: PathBuf,
    pub(super) blob: BlobRef,
    pub(super) source: Source,
    pub(super) buffers: Arc<Buffers>,
}

/// An open blob whose footer has been checked.
struct Reader {
    file: File,
    place: Place,
    footer: Footer,
}

/// The bytes of `range`. The first piece is read before this returns.
pub(super) async fn stream(place: Place, range: Range<u64>) -> Result<BlobStream, BlobError> {
    let (len, source) = (place.blob.len, place.source);
    let (now, rest) = split(range.start.min(len)..range.end.min(len));
    let begin = move |wait| {
        let reader = Reader::open(place.clone(), wait)?;
        let first = reader.piece(now.clone(), wait)?;
        Ok((reader, first))
    };
    let (reader, first) = wherever(source, begin).await?;
    let first = stream::iter((!first.is_empty()).then_some(Ok(first)));
    if rest.is_empty() {
        return Ok(first.boxed());
    }
    Ok(first.chain(pieces(reader, rest)).boxed())
}

/// Reads the whole blob and checks it. It blocks.
pub(super) fn whole(place: Place) -> Result<(), BlobError> {
    let mut rest = 0..place.blob.len;
    let reader = Reader::open(place, Wait::AsNeeded)?;
    while !rest.is_empty() {
        let (now, then) = split(rest);
        reader.piece(now, Wait::AsNeeded)?;
        rest = then;
    }
    Ok(())
}

fn pieces(reader: Reader, rest: Range<u64>) -> BlobStream {
    let begun = (Arc::new(reader), rest, 1_u64);
    stream::try_unfold(begun, |(reader, rest, number)| async move {
        if rest.is_empty() {
            return Ok(None);
        }
        if number % PIECES_IN_TURN == 0 {
            tokio::task::yield_now().await;
        }
        let (now, rest) = split(rest);
        let (source, of_read) = (reader.place.source, Arc::clone(&reader));
        let read = move |wait| of_read.piece(now.clone(), wait);
        let piece = wherever(source, read).await?;
        Ok(Some((piece, (reader, rest, number.wrapping_add(1)))))
    })
    .into_stream()
    .boxed()
}

/// Reads here what is in memory; for the rest, and to be sure of what failed, on a thread that may wait. Most
/// objects that are asked for often are in memory: two hops between threads cost more than reading a piece.
async fn wherever<T: Send + 'static>(
    source: Source,
    read: impl Fn(Wait) -> Result<T, BlobError> + Send + 'static,
) -> Result<T, BlobError> {
    if source == Source::Any
        && let Ok(found) = read(Wait::Never)
    {
        return Ok(found);
    }
    on_blocking_thread(move || read(Wait::AsNeeded)).await
}

/// The part of `range` to read now, up to a piece's border, and what follows.
fn split(range: Range<u64>) -> (Range<u64>, Range<u64>) {
    let piece = PIECE_BYTES as u64;
    let border = (range.start / piece)
        .saturating_add(1)
        .saturating_mul(piece);
    let middle = border.min(range.end).max(range.start);
    (range.start..middle, middle..range.end)
}

impl Reader {
    fn open(place: Place, wait: Wait) -> Result<Self, BlobError> {
        let opened = open(&place.path, wait).map_err(|error| io("opening", &place.path, error));
        let file = opened.map_err(|error| missing_where_not_found(error, place.blob.id))?;
        if place.source == Source::Disk {
            forget(&file);
        }
        let footer = read_footer(&file, &place, wait)?;
        Ok(Self {
            file,
            place,
            footer,
        })
    }

    /// Reads and checks the blocks that `range` touches, and gives out `range` of them.
    fn piece(&self, range: Range<u64>, wait: Wait) -> Result<Bytes, BlobError> {
        let (block, blob) = (BLOCK_BYTES as u64, self.place.blob);
        let first = range.start / block;
        let start = first.saturating_mul(block);
        let end = range
            .end
            .div_ceil(block)
            .saturating_mul(block)
            .min(blob.len);
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        let bytes = read_at(&self.file, &self.place, start..end, wait)?;
        let checked = self.footer.check(to_usize(first), &bytes);
        checked.map_err(|reason| BlobError::Corrupt {
            id: blob.id,
            reason,
        })?;
        // Both lie within `bytes`: `start <= range.start <= range.end <= end`.
        Ok(bytes.slice(to_usize(range.start - start)..to_usize(range.end - start)))
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        if self.place.source == Source::Disk {
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

fn open(path: &Path, wait: Wait) -> std::io::Result<File> {
    match wait {
        Wait::AsNeeded => File::open(path),
        Wait::Never => {
            let flags = OFlags::RDONLY | OFlags::CLOEXEC;
            let file = openat2(CWD, path, flags, Mode::empty(), ResolveFlags::CACHED)?;
            Ok(file.into())
        }
    }
}

fn read_footer(file: &File, place: &Place, wait: Wait) -> Result<Footer, BlobError> {
    let blob = place.blob;
    let corrupt = |reason| BlobError::Corrupt {
        id: blob.id,
        reason,
    };
    let end = blob.len.saturating_add(Footer::bytes(blob.len));
    let size = file
        .metadata()
        .map_err(|error| io("inspecting", &place.path, error))?
        .len();
    if size != end {
        return Err(corrupt(format!(
            "the file has {size} bytes instead of {end}"
        )));
    }
    let footer = read_at(file, place, blob.len..end, wait)?;
    Footer::parse(&footer, blob.len).map_err(corrupt)
}

fn read_at(file: &File, place: &Place, at: Range<u64>, wait: Wait) -> Result<Bytes, BlobError> {
    let len = to_usize(at.end.saturating_sub(at.start));
    let filled = place.buffers.filled(len, |bytes| match wait {
        Wait::AsNeeded => file.read_exact_at(bytes, at.start),
        Wait::Never => read_from_memory(file, bytes, at.start),
    });
    filled.map_err(|error| match error.kind() {
        std::io::ErrorKind::UnexpectedEof => BlobError::Corrupt {
            id: place.blob.id,
            reason: "the file is cut off".into(),
        },
        _ => io("reading", &place.path, error),
    })
}

/// Fills `bytes`, or fails where the system would have to wait for the disk.
fn read_from_memory(file: &File, bytes: &mut [u8], mut at: u64) -> std::io::Result<()> {
    let mut rest = bytes;
    while !rest.is_empty() {
        let wanted = &mut [IoSliceMut::new(rest)];
        let read = preadv2(file, wanted, at, ReadWriteFlags::NOWAIT)?;
        if read == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        at = at.saturating_add(read as u64);
        rest = rest.get_mut(read..).unwrap_or_default();
    }
    Ok(())
}

/// A length that is bounded by a piece or a footer; it always fits on a 64-bit machine.
fn to_usize(len: u64) -> usize {
    usize::try_from(len).unwrap_or(usize::MAX)
}
