//! How far an upload's client may be ahead of its digests and of the disk.
//!
//! A few uploads may have much waiting, so that neither the network nor the disk ever pauses for the other.
//! Of many, some always have something to do: there more would only fill memory. Where digests are the
//! slowest (a build without optimisation), 64 of 16 MiB at a time took 65 MiB of memory and take 44.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes that go to another thread together: to wake one for each piece of the network cost more
/// than the work.
pub const BATCH_BYTES: usize = 128 * 1024;

/// Uploads that may each have two batches waiting while one is at work; of more, each has one.
const FEW: usize = 16;

static UPLOADS: AtomicUsize = AtomicUsize::new(0);

/// An upload that counts as one until this is dropped.
#[derive(Debug)]
pub struct Upload(());

impl Upload {
    /// One more.
    pub fn begin() -> Self {
        UPLOADS.fetch_add(1, Ordering::Relaxed);
        Self(())
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        UPLOADS.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Bytes of one upload that may wait behind a batch: this bounds its memory.
pub fn waiting_bytes_max() -> usize {
    of(UPLOADS.load(Ordering::Relaxed))
}

const fn of(uploads: usize) -> usize {
    if uploads > FEW {
        BATCH_BYTES
    } else {
        2 * BATCH_BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_uploads_have_less_waiting_than_few() {
        assert_eq!(of(1), 256 * 1024);
        assert_eq!(of(FEW), 256 * 1024);
        assert_eq!(of(FEW + 1), 128 * 1024);
    }

    #[test]
    fn an_upload_counts_until_it_ends() {
        // Others count too, meanwhile: so many at once that they can't hide it.
        let many: Vec<_> = (0..1000).map(|_| Upload::begin()).collect();
        assert!(UPLOADS.load(Ordering::Relaxed) >= 1000);
        assert_eq!(waiting_bytes_max(), BATCH_BYTES);
        drop(many);
        assert!(UPLOADS.load(Ordering::Relaxed) < 1000);
    }
}
