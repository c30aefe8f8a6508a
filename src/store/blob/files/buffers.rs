//! Buffers of pieces that are read again and again: memory that is warm, and that nobody zeroes or maps anew.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

/// Buffers that are kept while nobody needs them. Two cores that serve sixteen readers at full speed are
/// seldom found with more in their hands; what is kept counts as idle memory.
const KEPT_MAX: usize = 8;

/// Buffers of one size, given back when their last reader is done.
#[derive(Debug)]
pub(super) struct Buffers {
    bytes: usize,
    free: Mutex<Vec<Box<[u8]>>>,
}

impl Buffers {
    /// None yet; each is to hold so many bytes.
    pub(super) fn new(bytes: usize) -> Arc<Self> {
        Arc::new(Self {
            bytes,
            free: Mutex::default(),
        })
    }

    /// `len` bytes for `fill` to write all of. Only a whole buffer's worth is worth keeping: less is made to
    /// measure, so that many small answers that nobody reads hold no more memory than their bytes.
    ///
    /// # Errors
    /// As `fill`.
    pub(super) fn filled<E>(
        self: &Arc<Self>,
        len: usize,
        fill: impl FnOnce(&mut [u8]) -> Result<(), E>,
    ) -> Result<Bytes, E> {
        if len != self.bytes {
            let mut bytes = vec![0; len];
            fill(&mut bytes)?;
            return Ok(bytes.into());
        }
        let free = self.free().pop();
        let mut buffer = Buffer {
            bytes: free.unwrap_or_else(|| vec![0; len].into_boxed_slice()),
            home: Arc::clone(self),
        };
        fill(&mut buffer.bytes)?;
        Ok(Bytes::from_owner(buffer))
    }

    fn free(&self) -> std::sync::MutexGuard<'_, Vec<Box<[u8]>>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A buffer that somebody reads.
struct Buffer {
    bytes: Box<[u8]>,
    home: Arc<Buffers>,
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        let mut free = self.home.free();
        if free.len() < KEPT_MAX {
            free.push(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(buffers: &Arc<Buffers>, len: usize, with: u8) -> Bytes {
        let fill = |bytes: &mut [u8]| {
            bytes.fill(with);
            Ok::<_, ()>(())
        };
        buffers.filled(len, fill).unwrap()
    }

    #[test]
    fn a_buffer_is_used_again_once_its_last_reader_is_done_and_not_before() {
        let buffers = Buffers::new(4);
        let first = filled(&buffers, 4, 1);
        let (part, at) = (first.slice(1..3), first.as_ptr());
        drop(first);
        let second = filled(&buffers, 4, 2);
        assert_eq!((&*part, &*second), (&[1, 1][..], &[2; 4][..]));
        drop(part);
        assert_eq!(filled(&buffers, 4, 3).as_ptr(), at);
        assert_eq!(filled(&buffers, 3, 4), [4; 3][..]);
    }

    #[test]
    fn only_so_many_are_kept_and_one_that_could_not_be_filled_is() {
        let buffers = Buffers::new(4);
        let many: Vec<_> = (0..2 * KEPT_MAX).map(|_| filled(&buffers, 4, 1)).collect();
        drop(many);
        assert_eq!(buffers.free().len(), KEPT_MAX);
        let failed = buffers.filled(4, |_bytes| Err("unread"));
        assert_eq!(failed, Err("unread"));
        assert_eq!(buffers.free().len(), KEPT_MAX);
    }
}
