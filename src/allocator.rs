//! How the C library's allocator gives memory back.
//!
//! Left to itself glibc raises both of its thresholds to the size of whatever large piece was freed last, up
//! to 32 MiB: RocksDB's write buffers then lie among small pieces, and what is free between those stays with
//! the process. With both fixed, 64 uploads of 16 MiB after some minutes of small ones held 73 to 76 MiB in the
//! stead of 88, and 54 to 60 instead of 68 after a start; nothing took longer.

/// Fixes both thresholds, for a process that runs for long. Elsewhere than with glibc it does nothing.
pub fn fix_thresholds() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    glibc::fix_thresholds();
}

/// Gives back each page on which nothing lies, wherever it is: the thresholds know of the ends of heaps alone. It
/// takes some milliseconds, in which who allocates may wait. Elsewhere than with glibc it does nothing.
pub fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    glibc::trim();
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod glibc {
    use std::ffi::c_int;

    /// Larger pieces are pages of their own, which go back when they are freed. Above what a body is read and
    /// sent in: those come and go by the thousand, and new pages cost more than the copy.
    const OWN_PAGES_BYTES: c_int = 512 * 1024;

    /// More than so much that is free at the end of a heap goes back. With 256 KiB it was 4 MiB less, but each
    /// page of a listing had its memory taken and given anew, and took a fifth longer.
    const FREE_AT_END_BYTES: c_int = 1024 * 1024;

    pub(super) fn fix_thresholds() {
        fix(libc::M_MMAP_THRESHOLD, OWN_PAGES_BYTES);
        fix(libc::M_TRIM_THRESHOLD, FREE_AT_END_BYTES);
    }

    #[expect(unsafe_code, reason = "nobody has a safe form of it")]
    pub(super) fn trim() {
        // SAFETY: it takes a number, locks each of the allocator's heaps, and gives back what nobody holds.
        let _is_less = unsafe { libc::malloc_trim(0) };
    }

    #[expect(unsafe_code, reason = "nobody has a safe form of it")]
    fn fix(parameter: c_int, bytes: c_int) {
        // SAFETY: it takes two numbers, locks the allocator while it stores one, and refuses what it can't use.
        let _is_set = unsafe { libc::mallopt(parameter, bytes) };
    }
}

#[cfg(test)]
#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod tests {
    use std::sync::{Mutex, PoisonError};

    use super::glibc::{fix_thresholds, trim};

    /// Who measures the process' memory measures that of the other too.
    static ALONE: Mutex<()> = Mutex::new(());

    /// Bytes of this process' own memory, as the system counts them.
    fn resident_bytes() -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find(|line| line.starts_with("RssAnon:"));
        let kib = line.and_then(|line| line.split_whitespace().nth(1));
        kib.unwrap().parse::<u64>().unwrap() * 1024
    }

    #[test]
    fn free_pages_between_others_go_back_when_asked() {
        let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        fix_thresholds();
        let pieces = (0..512).map(|_| (vec![1_u8; 64 * 1024], vec![1_u8; 64]));
        let (large, small): (Vec<_>, Vec<_>) = std::hint::black_box(pieces).unzip();
        drop(std::hint::black_box(large));
        let before = resident_bytes();
        trim();
        let after = resident_bytes();
        drop(std::hint::black_box(small));
        // 32 MiB lay between the small ones; other tests run beside this one.
        let less = before.saturating_sub(after);
        assert!(less > 16 * 1024 * 1024, "{less} bytes went back");
    }

    #[test]
    fn large_pieces_go_back_though_larger_ones_were_freed_before() {
        let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        fix_thresholds();
        // By this alone glibc would keep all that follows.
        drop(std::hint::black_box(vec![1_u8; 24 * 1024 * 1024]));
        let before = resident_bytes();
        let large: Vec<_> = (0..64).map(|_| vec![1_u8; 1024 * 1024]).collect();
        // Else it could give back the end of the heap.
        let small = std::hint::black_box(vec![1_u8; 64]);
        let full = resident_bytes();
        drop(std::hint::black_box(large));
        let after = resident_bytes();
        drop(small);
        // Other tests run beside this one.
        let (taken, kept) = (full.saturating_sub(before), after.saturating_sub(before));
        assert!(kept < taken / 2, "{kept} of {taken} bytes stayed");
    }
}
