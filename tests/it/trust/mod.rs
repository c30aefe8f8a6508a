//! What whoever runs Consign relies on: secrets stay secret, and who may not in is kept out.

mod active;
mod audit;
mod lockout;
mod numbers;
mod secrets;

use std::path::Path;

/// The files below `folder` that hold `what`.
fn holders(folder: &Path, what: &[u8]) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(holders(&path, what));
        } else {
            let bytes = std::fs::read(&path).unwrap_or_default();
            if bytes.windows(what.len()).any(|window| window == what) {
                found.push(path);
            }
        }
    }
    found
}
