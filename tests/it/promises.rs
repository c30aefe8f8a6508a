//! What README.md and SECURITY.md promise: each test that they name is there, and each lesson of others
//! stands in the tests by the name under which it is known.

use std::path::{Path, PathBuf};

/// The documents that name tests, and where in them.
const DOCUMENTS: &[(&str, &str)] = &[("README.md", "## Promises"), ("SECURITY.md", "# ")];

/// Where tests lie, and what runs them.
const FOLDERS: &[&str] = &["tests/", "scripts/", "data/hostile"];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn text_of(file: &str) -> String {
    let file = root().join(file);
    std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// A document from its heading on, to the next of the same kind.
fn part<'a>(text: &'a str, heading: &str) -> &'a str {
    let from = text.find(heading).unwrap_or_else(|| panic!("no {heading}"));
    let text = &text[from..];
    let next = heading
        .starts_with("##")
        .then(|| text[2..].find("\n## "))
        .flatten();
    next.map_or(text, |end| &text[..end + 2])
}

/// What stands between back-ticks and is a test or a module of tests: `raw::signature::faults`, also
/// behind `it`, `lib auth::a::b`; or a file: `tests/crash`, `scripts/torture`.
fn tests_named(text: &str) -> Vec<String> {
    let words = text
        .lines()
        .flat_map(|line| line.split('`').skip(1).step_by(2));
    let is_path = |word: &&str| {
        if FOLDERS.iter().any(|folder| word.starts_with(folder)) {
            return true;
        }
        let path = ["lib ", "it "]
            .iter()
            .find_map(|kind| word.strip_prefix(kind));
        let path = path.unwrap_or(word);
        let parts: Vec<_> = path.split("::").collect();
        let plain = |part: &&str| {
            let mut bytes = part.bytes();
            !part.is_empty()
                && bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        };
        parts.len() > 1 && parts.iter().all(plain)
    };
    words.filter(is_path).map(str::to_owned).collect()
}

/// Whether there is such a test, or such a module of them: of `it`, of the library, of the crashes.
fn is_there(path: &str) -> bool {
    if FOLDERS.iter().any(|folder| path.starts_with(folder)) {
        let file = path.split(' ').next().unwrap_or(path);
        return root().join(file).exists();
    }
    let path = ["lib ", "it "]
        .iter()
        .find_map(|kind| path.strip_prefix(kind))
        .unwrap_or(path);
    // A family of the corpus is one test for each of its files.
    let family = path.strip_prefix("raw::hostile::");
    let families = root().join("data/hostile");
    if family.is_some_and(|name| families.join(name).with_extension("toml").exists()) {
        return true;
    }
    // `mod tests` may stand in its file or be one.
    let inner = path.replace("::tests::", "::");
    let inner = inner.strip_suffix("::tests").unwrap_or(&inner);
    let mut folders = ["tests/it", "src", "tests/crash"]
        .map(|folder| root().join(folder))
        .into_iter();
    folders.any(|folder| is_below(&folder, path) || is_below(&folder, inner))
}

/// Whether that path, which may end in the beginning of a test's name, is below `folder`.
fn is_below(folder: &Path, path: &str) -> bool {
    let parts: Vec<_> = path.split("::").collect();
    let whole = folder.join(parts.join("/"));
    if whole.is_dir() || whole.with_extension("rs").exists() {
        return true;
    }
    let Some((name, parts)) = parts.split_last() else {
        return false;
    };
    let declared = format!("fn {name}");
    let file = folder.join(parts.join("/"));
    let files = [
        file.with_extension("rs"),
        file.join("mod.rs"),
        file.join("tests.rs"),
    ];
    files.iter().any(|file| {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        text.contains(&declared)
    })
}

#[test]
fn each_test_that_a_promise_names_is_there() {
    let mut faults = Vec::new();
    for (document, heading) in DOCUMENTS {
        let text = text_of(document);
        let named = tests_named(part(&text, heading));
        assert!(!named.is_empty(), "{document} names no test");
        let absent = named.into_iter().filter(|path| !is_there(path));
        faults.extend(absent.map(|path| format!("{document}: there is no test {path}")));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// The names by which a vulnerability or a loss is known in SECURITY.md's table of them.
fn lessons(text: &str) -> Vec<String> {
    let part = part(text, "## Lessons of others");
    let rows = part.lines().filter(|line| line.starts_with("| "));
    let cells = rows.filter_map(|row| row.split('|').nth(1));
    let words = cells.flat_map(|cell| cell.split([' ', ',']));
    let is_name = |word: &&str| {
        let known = ["CVE-", "RUSTSEC-", "#"]
            .iter()
            .any(|start| word.starts_with(start));
        known && word.bytes().any(|byte| byte.is_ascii_digit())
    };
    words.filter(is_name).map(str::to_owned).collect()
}

#[test]
fn each_lesson_of_others_stands_by_its_name_in_the_tests() {
    let text = text_of("SECURITY.md");
    let lessons = lessons(&text);
    assert!(lessons.len() > 40, "{lessons:?}");
    let mut all = String::new();
    for folder in ["tests", "data/hostile", "src"] {
        gather(&root().join(folder), &mut all);
    }
    let absent: Vec<_> = lessons
        .iter()
        .filter(|name| !all.contains(name.as_str()))
        .collect();
    assert!(absent.is_empty(), "in no test: {absent:?}");
}

fn gather(folder: &Path, all: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            gather(&path, all);
        } else if path
            .extension()
            .is_some_and(|kind| kind == "rs" || kind == "toml")
        {
            all.push_str(&std::fs::read_to_string(&path).unwrap());
        }
    }
}
