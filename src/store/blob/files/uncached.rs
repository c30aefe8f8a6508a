//! Writing bytes that memory is not to keep.
//!
//! A page that was free until now can cost more than the copy into it: where a virtual machine had given it back,
//! its host has to find another. 64 uploads of 16 MiB at a time took 87 ms of CPU each (332 MiB/s), and 53
//! (489 MiB/s) where they go through the pages that the disk is done with. Nor does a flood drive out of memory
//! what is read. What comes no faster than it is written stays, for who reads it next. (To ask by `fadvise` for
//! the pages of what the disk has took 46 ms where this took 40.)

use std::fs::File;
use std::io::{self, IoSlice};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::io::{Errno, ReadWriteFlags};

/// The disk begins with the bytes at once, and they are forgotten when it has them. Linux knows it from 6.14 on.
/// <https://man7.org/linux/man-pages/man2/pwritev2.2.html>
const DONT_CACHE: ReadWriteFlags = ReadWriteFlags::from_bits_retain(0x80);

/// Not at an offset, but where the file goes on.
const AT_ITS_POSITION: u64 = u64::MAX;

/// Such writes, where the file system takes them.
#[derive(Debug, Default)]
pub(super) struct Uncached {
    /// It doesn't.
    refused: AtomicBool,
}

impl Uncached {
    /// Whether the file system said that it doesn't.
    pub(super) fn is_refused(&self) -> bool {
        self.refused.load(Ordering::Relaxed)
    }

    /// Writes some of `pieces` behind what `file` has, and tells how many bytes. Nothing where that can't be
    /// done without keeping them.
    pub(super) fn write(&self, file: &File, pieces: &[IoSlice<'_>]) -> io::Result<Option<usize>> {
        if self.is_refused() {
            return Ok(None);
        }
        match rustix::io::pwritev2(file, pieces, AT_ITS_POSITION, DONT_CACHE) {
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => {
                self.refused.store(true, Ordering::Relaxed);
                Ok(None)
            }
            written => Ok(Some(written?)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Seek as _, Write as _};

    use rustix::fs::MemfdFlags;

    use super::*;

    #[test]
    fn what_is_written_so_or_otherwise_lies_in_its_order() {
        let uncached = Uncached::default();
        let mut file = tempfile::tempfile().unwrap();
        let pieces = [IoSlice::new(b"one "), IoSlice::new(b"two ")];
        for _twice in 0..2 {
            match uncached.write(&file, &pieces).unwrap() {
                Some(bytes) => assert_eq!(bytes, 8),
                None => assert_eq!(file.write_vectored(&pieces).unwrap(), 8),
            }
            file.write_all(b"three ").unwrap();
        }
        file.rewind().unwrap();
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, "one two three one two three ");
    }

    #[test]
    fn a_file_system_that_keeps_all_is_asked_once_and_written_otherwise() {
        let uncached = Uncached::default();
        // Memory's own files can't be anywhere else.
        let file = File::from(rustix::fs::memfd_create("kept", MemfdFlags::empty()).unwrap());
        assert_eq!(
            uncached.write(&file, &[IoSlice::new(b"kept")]).unwrap(),
            None
        );
        assert!(uncached.refused.load(Ordering::Relaxed));
        assert_eq!(file.metadata().unwrap().len(), 0);
    }

    #[test]
    fn a_write_that_fails_is_no_refusal() {
        let uncached = Uncached::default();
        let file = File::open("/dev/null").unwrap();
        let failed = uncached.write(&file, &[IoSlice::new(b"read only")]);
        assert_eq!(
            failed.unwrap_err().kind(),
            io::Error::from(Errno::BADF).kind()
        );
        assert!(!uncached.refused.load(Ordering::Relaxed));
    }
}
