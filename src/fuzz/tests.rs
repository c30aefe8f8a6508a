//! The seeds of `tests/fuzz/seeds`, and each of them a little changed: a second for all targets.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::TARGETS;

/// How long the changed seeds of one target are run, in milliseconds; `CONSIGN_FUZZ_MS` says otherwise.
const TARGET_MS: u64 = 60;

fn target_time() -> Duration {
    let ms = std::env::var("CONSIGN_FUZZ_MS").ok();
    Duration::from_millis(ms.and_then(|ms| ms.parse().ok()).unwrap_or(TARGET_MS))
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fuzz/seeds")
        .join(name)
}

fn seeds(name: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let files = std::fs::read_dir(folder(name)).unwrap();
    let mut paths: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    paths.sort();
    let read = |path: PathBuf| {
        let bytes = std::fs::read(&path).unwrap();
        (path, bytes)
    };
    paths.into_iter().map(read).collect()
}

/// The same numbers in each run: what fails once fails again.
struct Random(u64);

impl Random {
    fn below(&mut self, most: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 16)
            .unwrap()
            .checked_rem(most)
            .unwrap_or(0)
    }

    fn change(&mut self, bytes: &mut Vec<u8>) {
        let at = self.below(bytes.len());
        match self.below(5) {
            0 => bytes.insert(at, u8::try_from(self.below(256)).unwrap()),
            1 if !bytes.is_empty() => drop(bytes.remove(at)),
            2 if !bytes.is_empty() => bytes[at] ^= 1 << self.below(8),
            3 => bytes.truncate(at),
            _ => {
                let again = bytes[at..(at + 1 + self.below(24)).min(bytes.len())].to_vec();
                let to = self.below(bytes.len());
                drop(bytes.splice(to..to, again));
            }
        }
    }
}

/// Runs one input, and names it where it fails.
fn run(name: &str, bytes: &[u8], of: &Path) -> Option<String> {
    let done = std::panic::catch_unwind(|| super::run(name, bytes));
    let shown = || format!("{name}: {} of {}", bytes.escape_ascii(), of.display());
    done.is_err().then(shown)
}

#[test]
fn no_seed_finds_anything() {
    let mut found = Vec::new();
    for target in TARGETS {
        let seeds = seeds(target.name);
        assert!(!seeds.is_empty(), "{} has no seed", target.name);
        for (path, bytes) in seeds {
            found.extend(run(target.name, &bytes, &path));
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn no_changed_seed_finds_anything() {
    let mut found = Vec::new();
    for target in TARGETS {
        let (seeds, began) = (seeds(target.name), Instant::now());
        let mut random = Random(0x9E37_79B9_7F4A_7C15);
        while began.elapsed() < target_time() {
            let (path, bytes) = &seeds[random.below(seeds.len())];
            let mut bytes = bytes.clone();
            for _change in 0..=random.below(4) {
                random.change(&mut bytes);
            }
            let fault = run(target.name, &bytes, path);
            if fault.is_some() {
                found.extend(fault);
                break;
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn each_target_has_its_binary() {
    let manifest = folder("../Cargo.toml");
    let manifest = std::fs::read_to_string(manifest).unwrap();
    let named = manifest
        .lines()
        .filter_map(|line| line.strip_prefix("name = \""));
    let named: Vec<_> = named
        .map(|name| name.trim_end_matches('"'))
        .skip(1)
        .collect();
    let targets: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
    assert_eq!(named, targets);
    let folders = std::fs::read_dir(folder("")).unwrap().count();
    assert_eq!(folders, targets.len());
}

/// Writes the seeds that nobody can write by hand: `cargo test --lib fuzz -- --ignored`.
#[test]
#[ignore = "writes into the repository"]
fn write_seeds_of_records() {
    for (number, seed) in super::stored::record_seeds().into_iter().enumerate() {
        std::fs::write(folder("stored").join(format!("record-{number}")), seed).unwrap();
    }
}
