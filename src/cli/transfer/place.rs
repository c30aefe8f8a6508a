//! Which file an object becomes: one of its own name where that is safe everywhere.

use std::path::Path;

use crate::auth::sigv4::sha256_hex;

/// Bytes of a part of a path that every file system takes.
const PART_BYTES_MAX: usize = 200;
/// Bytes of a path, below a folder that has a long path itself.
const PATH_BYTES_MAX: usize = 1000;

/// Where objects lie whose key is a path.
const FILES: &str = "files";
/// Where the others lie, by a digest of their key.
const ODD: &str = "odd";

/// The file of `key`, below the export's folder.
pub(super) fn of(key: &str) -> String {
    if is_path(key) {
        format!("{FILES}/{key}")
    } else {
        odd(key)
    }
}

/// The file of a key whose own name is taken: by a folder of keys that go on where it ends.
pub(super) fn odd(key: &str) -> String {
    format!("{ODD}/{}", sha256_hex(key.as_bytes()))
}

/// Whether a line of a sidecar names a file within its folder.
pub(super) fn is_within(file: &str) -> bool {
    let below = |folder: &str| {
        file.strip_prefix(folder)
            .and_then(|rest| rest.strip_prefix('/'))
    };
    below(FILES).or_else(|| below(ODD)).is_some_and(is_path)
}

/// Whether nothing on the way to the file is a link that leads elsewhere.
pub(super) fn has_no_link(folder: &Path, file: &str) -> bool {
    let mut path = folder.to_owned();
    file.split('/').all(|part| {
        path.push(part);
        !path.is_symlink()
    })
}

fn is_path(key: &str) -> bool {
    key.len() <= PATH_BYTES_MAX && key.split('/').all(is_part)
}

fn is_part(part: &str) -> bool {
    let plain = |one: char| !one.is_control() && !matches!(one, '\\' | ':');
    // A part that is written is hidden behind a dot; other systems drop a dot or a space at the end.
    !part.is_empty()
        && part.len() <= PART_BYTES_MAX
        && !part.starts_with('.')
        && !part.ends_with(['.', ' '])
        && part.chars().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_safe_keeps_its_name() {
        for key in ["a", "a/b.txt", "user/ä ö/x+y=z", "-rf"] {
            assert_eq!(of(key), format!("files/{key}"));
            assert!(is_within(&of(key)));
        }
        let long = "x".repeat(201);
        let deep = "x/".repeat(510) + "x";
        for key in [
            "", "/", "a/", "/a", "a//b", ".", "..", "a/../b", "./a", ".hidden", "a\\b", "c:d",
            "a\nb", "a.", "a ", &long, &deep,
        ] {
            assert!(
                of(key).starts_with("odd/") && of(key).len() == 68,
                "{key:?}"
            );
            assert!(is_within(&of(key)));
            assert!(!is_within(&format!("files/{key}")), "{key:?}");
        }
        for file in [
            "/etc/passwd",
            "../x",
            "files",
            "files/../../x",
            "objects.jsonl",
            "other/x",
        ] {
            assert!(!is_within(file), "{file}");
        }
    }
}
