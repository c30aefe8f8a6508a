//! How the C library's allocator gives memory back.
//!
//! Left to itself glibc raises both of its thresholds to the size of whatever large piece was freed last, up
//! to 32 MiB: RocksDB's write buffers then lie among small pieces, and what is free between those stays with
//! the process. With both fixed, 64 uploads of 16 MiB after some minutes of small ones held 74 MiB in the
//! stead of 88, 54 instead of 68 after a start, and nothing took longer.

#[cfg(all(target_os = "linux", target_env = "gnu"))]
use std::ffi::c_int;

/// Larger pieces are pages of their own, which go back when they are freed. Above what a body is read and
/// sent in: those come and go by the thousand, and new pages cost more than the copy.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const OWN_PAGES_BYTES: c_int = 512 * 1024;

/// More than so much that is free at the end of a heap goes back. With 256 KiB it was 4 MiB less, but each page of a
/// listing had its memory taken and given anew, and took a fifth longer.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const FREE_AT_END_BYTES: c_int = 1024 * 1024;

/// Fixes both thresholds, for a process that runs for long. Elsewhere than with glibc it does nothing.
pub fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    for (parameter, bytes) in [
        (libc::M_MMAP_THRESHOLD, OWN_PAGES_BYTES),
        (libc::M_TRIM_THRESHOLD, FREE_AT_END_BYTES),
    ] {
        fix(parameter, bytes);
    }
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "the one call for which nobody has a safe form")]
fn fix(parameter: c_int, bytes: c_int) {
    // SAFETY: it takes two numbers, locks the allocator while it stores one, and refuses what it can't use.
    let _is_set = unsafe { libc::mallopt(parameter, bytes) };
}

#[cfg(test)]
mod tests {
    /// Bytes of this process' own memory, as the system counts them.
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    fn resident_bytes() -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find(|line| line.starts_with("RssAnon:"));
        let kib = line.and_then(|line| line.split_whitespace().nth(1));
        kib.unwrap().parse::<u64>().unwrap() * 1024
    }

    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[test]
    fn large_pieces_go_back_though_larger_ones_were_freed_before() {
        super::give_back();
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
