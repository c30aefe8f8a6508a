//! The source's own rules: who may import whom, and how long a function may be.

use std::path::{Path, PathBuf};

const FUNCTION_LINES_MAX: usize = 70;

/// A part of the crate, and what it may import besides itself. The longest matching path decides.
const LAYERS: &[(&str, &[&str])] = &[
    ("main", &["cli"]),
    ("lib", &["config", "server"]),
    (
        "cli",
        &[
            "server", "config", "s3", "auth", "store", "callback", "clock", "id", "name",
        ],
    ),
    (
        "server",
        &[
            "config", "s3", "auth", "store", "callback", "clock", "id", "name",
        ],
    ),
    ("config", &["clock", "name"]),
    ("s3", &["auth", "store", "clock", "id", "name", "checksum"]),
    (
        "callback",
        &[
            "store::hook",
            "store::meta",
            "store::record",
            "clock",
            "id",
            "name",
            "config",
        ],
    ),
    ("auth", &["clock", "id", "name"]),
    (
        "store",
        &[
            "store::meta",
            "store::blob",
            "auth",
            "clock",
            "id",
            "name",
            "checksum",
        ],
    ),
    ("store::meta", &["clock", "id"]),
    ("store::blob", &["clock", "id", "checksum"]),
    ("checksum", &[]),
    ("name", &[]),
    ("id", &["clock"]),
    ("clock", &[]),
];

fn sources() -> Vec<PathBuf> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(&root(), &mut found);
    found.sort();
    found
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// `store::meta::rocks` for `src/store/meta/rocks.rs`.
fn module_of(path: &Path) -> String {
    let relative = path.strip_prefix(root()).unwrap().with_extension("");
    let mut parts: Vec<_> = relative
        .iter()
        .map(|part| part.to_string_lossy().into_owned())
        .collect();
    if parts.last().is_some_and(|last| last == "mod") {
        parts.pop();
    }
    parts.join("::")
}

fn within(path: &str, part: &str) -> bool {
    path == part
        || path
            .strip_prefix(part)
            .is_some_and(|rest| rest.starts_with("::"))
}

fn layer_of(module: &str) -> Option<&'static (&'static str, &'static [&'static str])> {
    LAYERS
        .iter()
        .filter(|(name, _)| within(module, name))
        .max_by_key(|(name, _)| name.len())
}

/// What a line says after `crate::`, each time; a group `crate::{a, b}` counts by member.
fn imports(line: &str) -> Vec<String> {
    let code = line.split("//").next().unwrap_or_default();
    let mut found = Vec::new();
    for rest in code.split("crate::").skip(1) {
        let group = rest
            .strip_prefix('{')
            .and_then(|rest| rest.split('}').next());
        for one in group.unwrap_or(rest).split(',').map(str::trim) {
            let end = one
                .find(|letter: char| !letter.is_alphanumeric() && letter != '_' && letter != ':')
                .unwrap_or(one.len());
            found.push(one[..end].trim_end_matches(':').to_owned());
            if group.is_none() {
                break;
            }
        }
    }
    found
}

#[test]
fn each_layer_imports_only_those_below_it() {
    let mut faults = Vec::new();
    for path in sources() {
        let module = module_of(&path);
        let Some((layer, may)) = layer_of(&module) else {
            faults.push(format!(
                "{}: in no layer of tests/it/tidy.rs",
                path.display()
            ));
            continue;
        };
        let text = std::fs::read_to_string(&path).unwrap();
        for (number, line) in text.lines().enumerate() {
            // A file's tests may look anywhere.
            if line.trim() == "mod tests {" {
                break;
            }
            for import in imports(line) {
                let own = layer_of(&import).is_some_and(|(name, _)| name == layer);
                // The crate's own re-exports are `Config` and `Server`.
                let allowed = own || may.iter().any(|part| within(&import, part));
                if !allowed && layer_of(&import).is_some() {
                    let place = format!("{}:{}", path.display(), number + 1);
                    faults.push(format!("{place}: {layer} must not import {import}"));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_reader_of_imports_reads_each_form() {
    assert_eq!(
        imports("use crate::store::meta::Batch;"),
        ["store::meta::Batch"]
    );
    assert_eq!(
        imports("use crate::{clock, id::BlobId};"),
        ["clock", "id::BlobId"]
    );
    assert_eq!(
        imports("    let x = crate::clock::now(crate::id::new());"),
        ["clock::now", "id::new"]
    );
    assert!(imports("// use crate::server;").is_empty());
}

#[test]
fn no_function_is_longer_than_a_page() {
    let mut faults = Vec::new();
    for path in sources() {
        let text = std::fs::read_to_string(&path).unwrap();
        let mut open: Option<(usize, usize)> = None;
        for (number, line) in text.lines().enumerate() {
            let indent = line.len() - line.trim_start().len();
            let code = line.trim_start();
            let begins = code.starts_with("fn ") || code.contains(" fn ");
            if open.is_none() && begins && !code.starts_with("//") && !code.ends_with(';') {
                open = Some((number, indent));
            }
            if let Some((from, depth)) = open
                && indent == depth
                && code.ends_with('}')
            {
                let lines = number - from + 1;
                if lines > FUNCTION_LINES_MAX {
                    let place = format!("{}:{}", path.display(), from + 1);
                    faults.push(format!("{place}: a function of {lines} lines"));
                }
                open = None;
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
