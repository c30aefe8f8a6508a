//! The source's own rules: who may import whom, which layer holds which foreign crate, and how long a
//! function may be.

#[path = "promises.rs"]
mod promises;

use std::path::{Path, PathBuf};

use consign::fail_point::POINTS;

const FUNCTION_LINES_MAX: usize = 70;

/// A part of the crate, and what it may import besides itself. The longest matching path decides.
const LAYERS: &[(&str, &[&str])] = &[
    ("main", &["cli"]),
    ("lib", &[]),
    // `cli` checks a folder that no server holds by itself.
    (
        "cli",
        &[
            "server",
            "config",
            "auth",
            "store::fsck",
            // A file that `consign export` writes has its name once it is whole; a bucket is read
            // and written by a client, in S3's own words.
            "store::blob",
            "s3::xml",
            // `consign listen` verifies as a receiver does.
            "callback",
            "clock",
            "name",
            // `consign bench` streams as SDKs do: with a checksum.
            "checksum",
            // Before a server has threads.
            "allocator",
        ],
    ),
    (
        "server",
        &[
            "config",
            "s3",
            "auth",
            "store",
            "callback",
            "clock",
            "id",
            "metrics",
            "name",
            "trace",
            // It fills a bucket as uploads would, entity tags and all.
            "checksum",
            // When nothing is asked.
            "allocator",
        ],
    ),
    ("config", &["network", "public_url"]),
    // The targets of cargo-fuzz: they ask everything that reads what strangers write.
    (
        "fuzz",
        &[
            "cli",
            "s3",
            "callback",
            "auth",
            "store",
            "checksum",
            "clock",
            "id",
            "name",
            "network",
            "public_url",
        ],
    ),
    // What `cargo bench` measures.
    ("micro", &["s3", "auth", "store", "clock", "id"]),
    (
        "s3",
        &[
            "auth",
            "store",
            "clock",
            "id",
            "metrics",
            "name",
            "checksum",
            "network",
            "public_url",
            "trace",
            "backlog",
        ],
    ),
    (
        "callback",
        &[
            "store::hook",
            "store::meta",
            "clock",
            "id",
            "config",
            "fail_point",
            "metrics",
            "network",
            "trace",
        ],
    ),
    ("auth", &["clock", "name", "network", "public_url"]),
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
            "fail_point",
            "trace",
        ],
    ),
    ("store::meta", &["fail_point", "metrics"]),
    (
        "store::blob",
        &["backlog", "clock", "id", "fail_point", "metrics"],
    ),
    ("allocator", &[]),
    ("backlog", &[]),
    ("checksum", &[]),
    ("name", &[]),
    // A version id guards itself with a checksum.
    ("id", &["clock", "checksum"]),
    ("clock", &[]),
    ("fail_point", &[]),
    // Counters know nobody, so that everybody may count.
    ("metrics", &[]),
    ("trace", &["clock", "id", "metrics"]),
    ("network", &[]),
    ("public_url", &[]),
];

/// What only some layers may name: a crate or a part of the standard library, and those layers.
const DOORS: &[(&str, &[&str])] = &[
    ("rocksdb", &["store::meta"]),
    ("quick_xml", &["s3"]),
    ("multer", &["s3"]),
    ("imagesize", &["s3"]),
    ("rsa", &["callback"]),
    // `cli` measures servers with a client of its own: `consign bench`.
    ("hyper", &["server", "cli"]),
    ("hyper_util", &["server", "cli"]),
    ("http_body", &["s3", "server", "fuzz"]),
    ("http_body_util", &["s3", "server", "cli", "fuzz", "micro"]),
    (
        "http",
        &["auth", "s3", "server", "callback", "cli", "fuzz", "micro"],
    ),
    // `config` only parses URLs by it.
    ("reqwest", &["callback", "cli", "config", "server"]),
    ("tokio::net", &["server", "cli"]),
    // The files of RocksDB are looked at before it opens them.
    (
        "std::fs",
        &[
            "store::blob",
            "store::meta",
            "server",
            "config",
            "cli",
            "fail_point",
        ],
    ),
    ("tokio::fs", &[]),
    // How much room a disk has is asked of the system, for blobs and for metadata.
    (
        "rustix",
        &["store::blob", "store::meta", "server", "fail_point"],
    ),
    ("std::env", &["config", "fail_point"]),
    ("clap", &["cli"]),
    ("toml", &["config", "cli"]),
    (
        "minicbor",
        &[
            "store",
            "store::blob",
            "fuzz",
            // An ACL is stored as it is judged.
            "auth",
            "callback",
            "checksum",
            "clock",
            "id",
        ],
    ),
    ("getrandom", &["id"]),
    ("libc", &["allocator"]),
    ("prometheus_client", &["metrics"]),
    ("tokio_rustls", &["server", "cli"]),
    ("sd_notify", &["cli"]),
    ("webpki", &["server"]),
    ("rustls", &["server", "cli", "callback"]),
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

/// The code of a file, without comments and without the tests at its end. Lines keep their numbers.
fn code_of(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap();
    let lines = text.lines().take_while(|line| line.trim() != "mod tests {");
    lines
        .map(|line| line.split("//").next().unwrap_or_default())
        .collect::<Vec<_>>()
        .join("\n")
}

/// The sources that the rules are for: tests may look anywhere.
fn judged() -> Vec<(PathBuf, String)> {
    let all = sources().into_iter();
    all.filter(|path| path.file_stem().is_some_and(|stem| stem != "tests"))
        .map(|path| (path.clone(), code_of(&path)))
        .collect()
}

/// Where a path that begins with `start` stands in `code`: the offset, and what follows.
fn mentions<'a>(code: &'a str, start: &'a str) -> impl Iterator<Item = (usize, &'a str)> {
    code.match_indices(start).filter_map(move |(at, _)| {
        let before = code[..at].chars().next_back();
        let inside = before.is_some_and(|one| one.is_alphanumeric() || "_:".contains(one));
        let rest = code[at + start.len()..].strip_prefix("::")?;
        (!inside).then_some((at, rest))
    })
}

/// Every path in the crate that `code`, which stands in `module`, names: with its offset.
fn imports(code: &str, module: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let roots = mentions(code, "crate").chain(mentions(code, "consign"));
    for (at, rest) in roots {
        read_tree(rest, "", &mut |path| found.push((at, path)));
    }
    for (at, mut rest) in mentions(code, "super") {
        let mut parts: Vec<_> = module.split("::").collect();
        parts.pop();
        while let Some(above) = rest.strip_prefix("super::") {
            parts.pop();
            rest = above;
        }
        read_tree(rest, &parts.join("::"), &mut |path| found.push((at, path)));
    }
    found
}

/// Reads `a::{b, c::d}` to `a::b` and `a::c::d`; returns what follows it.
fn read_tree<'a>(text: &'a str, prefix: &str, found: &mut dyn FnMut(String)) -> &'a str {
    if let Some(mut rest) = text.strip_prefix('{') {
        loop {
            rest = rest.trim_start_matches(|one: char| one.is_whitespace() || one == ',');
            if rest.is_empty() || rest.starts_with('}') {
                return rest.get(1..).unwrap_or_default();
            }
            let after = read_tree(rest, prefix, found);
            // Past `as name`, and never twice at the same place.
            let end = after.find([',', '}']).unwrap_or(after.len());
            rest = &after[end..];
        }
    }
    let is_name = |one: char| one.is_alphanumeric() || one == '_';
    let end = text.find(|one| !is_name(one)).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let path = match (prefix, name) {
        (_, "" | "self") => prefix.to_owned(),
        ("", name) => name.to_owned(),
        (prefix, name) => format!("{prefix}::{name}"),
    };
    match rest.strip_prefix("::") {
        Some(rest) if !name.is_empty() => read_tree(rest, &path, found),
        _ => {
            found(path);
            rest
        }
    }
}

fn place(path: &Path, code: &str, at: usize) -> String {
    let line = code[..at].matches('\n').count() + 1;
    format!("{}:{line}", path.display())
}

/// The layer of what is imported; the crate's own root re-exports belong to `lib`.
fn owner_of(import: &str) -> &'static str {
    layer_of(import).map_or("lib", |(name, _)| name)
}

#[test]
fn each_layer_imports_only_those_below_it() {
    let mut faults = Vec::new();
    let mut used = Vec::new();
    for (path, code) in judged() {
        let module = module_of(&path);
        let Some((layer, may)) = layer_of(&module) else {
            let path = path.display();
            faults.push(format!("{path}: in no layer of tests/it/tidy.rs"));
            continue;
        };
        for (at, import) in imports(&code, &module) {
            if owner_of(&import) == *layer {
                continue;
            }
            if let Some(part) = may.iter().find(|part| within(&import, part)) {
                used.push((*layer, *part));
            } else {
                let place = place(&path, &code, at);
                faults.push(format!("{place}: {layer} must not import {import}"));
            }
        }
    }
    // A permission that nobody needs would let in what nobody thought of.
    for (layer, may) in LAYERS {
        for part in may.iter().filter(|part| !used.contains(&(layer, part))) {
            faults.push(format!("tests/it/tidy.rs: {layer} does not use {part}"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn each_foreign_crate_stays_behind_its_door() {
    let mut faults = Vec::new();
    for (path, code) in judged() {
        let module = module_of(&path);
        for (name, layers) in DOORS {
            let layer = owner_of(&module);
            if layers.contains(&layer) {
                continue;
            }
            for (at, _) in mentions(&code, name) {
                let place = place(&path, &code, at);
                faults.push(format!("{place}: {layer} must not know {name}"));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_reader_of_imports_reads_each_form() {
    let read = |code| -> Vec<_> {
        let found = imports(code, "store::meta::rocks").into_iter();
        found.map(|(_, path)| path).collect()
    };
    assert_eq!(read("use crate::store::Batch;"), ["store::Batch"]);
    assert_eq!(
        read("use crate::{\n    clock,\n    id::{self, BlobId as Id},\n};"),
        ["clock", "id", "id::BlobId"]
    );
    assert_eq!(
        read("let x = crate::clock::now(crate::id::new::<u8>());"),
        ["clock::now", "id::new"]
    );
    assert_eq!(read("use super::Key;"), ["store::meta::Key"]);
    assert_eq!(
        read("use super::super::{record::*, Batch};"),
        ["store::record", "store::Batch"]
    );
    assert!(read("let crates = my_crate::x; pub(super) fn f() {}").is_empty());
}

/// What must not be compared by `==`: it takes the longer the more of it is right.
const COMPARED_BLINDLY: [&str; 5] = ["signature", "mac", "hmac", "secret", "expose()"];

/// Compared for the operator alone, who may see the secret.
const OF_THE_OPERATOR: &str = "auth/explain/";
/// Compares what it made itself.
const OF_THE_FUZZER: &str = "src/fuzz/";

#[test]
fn no_signature_is_compared_by_eye() {
    let last = |text: &str| {
        let end = text.trim().rsplit(['.', '&', '*', '(', ' ']).next();
        end.unwrap_or_default().to_owned()
    };
    let mut faults = Vec::new();
    for (path, code) in judged() {
        let name = path.to_string_lossy();
        if name.contains(OF_THE_OPERATOR) || name.contains(OF_THE_FUZZER) {
            continue;
        }
        let code = code.split("#[cfg(test)]\nmod tests").next().unwrap();
        for (number, line) in code.lines().enumerate() {
            let compared = ["==", "!="].iter().find_map(|sign| line.split_once(*sign));
            let Some((before, after)) = compared else {
                continue;
            };
            let right = after.trim_start_matches([' ', '&', '*']);
            let right = right.split([' ', ')', '{', ';', ',']).next().unwrap();
            let right = right.rsplit('.').next().unwrap();
            let left = last(before.trim_end_matches("expose() "));
            let exposed = before.trim_end().ends_with("expose()") || after.contains("expose()");
            let named = |name: &str| COMPARED_BLINDLY.contains(&name);
            if exposed || named(&left) || named(right) {
                let place = format!("{}:{}", path.display(), number + 1);
                faults.push(format!(
                    "{place}: compare by subtle::ConstantTimeEq: {line}"
                ));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
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
                && (code.ends_with('}') || code.starts_with(')') && code.ends_with(';'))
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

/// Every name that the code gives to `fail_point::reach`, and where.
fn reached_points() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (path, code) in judged() {
        for (at, rest) in mentions(&code, "fail_point") {
            let named = rest.strip_prefix("reach(\"");
            let name = named.and_then(|rest| rest.split_once('"'));
            found.extend(name.map(|(name, _)| (name.to_owned(), place(&path, &code, at))));
        }
    }
    found
}

#[test]
fn every_fail_point_is_in_the_list_and_in_the_code_once() {
    let reached = reached_points();
    let mut faults = Vec::new();
    for (name, place) in &reached {
        if !POINTS.contains(&name.as_str()) {
            faults.push(format!("{place}: {name} is not in fail_point::POINTS"));
        }
    }
    for point in POINTS {
        let places = reached.iter().filter(|(name, _)| name == point).count();
        if places != 1 {
            faults.push(format!("{point} is in the code {places} times"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn no_build_has_fail_points_that_does_not_ask_for_them() {
    let manifest = std::fs::read_to_string(root().with_file_name("Cargo.toml")).unwrap();
    let manifest: toml::Table = manifest.parse().unwrap();
    let features = manifest["features"].as_table().unwrap();
    assert!(features.contains_key("fail-points"));
    for (name, others) in features {
        let others = others.as_array().unwrap();
        let asks = others
            .iter()
            .any(|other| other.as_str() == Some("fail-points"));
        assert!(!asks, "the feature {name} turns fail points on");
    }
    let scripts = root().with_file_name("scripts");
    for script in std::fs::read_dir(scripts).unwrap() {
        let path = script.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let builds = text
            .lines()
            .filter(|line| line.contains("cargo build") || line.contains("--release"));
        for line in builds {
            assert!(!line.contains("feature"), "{}: {line}", path.display());
        }
    }
}
