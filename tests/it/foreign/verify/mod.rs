//! The verification kits of `data/callback-verify`, each in its own language, on one table of good,
//! altered, stale and rotated signatures.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

// The kit is kept as its readers copy it.
#[rustfmt::skip]
#[allow(unreachable_pub, reason = "its readers call it from elsewhere")]
#[path = "../../../../data/callback-verify/verify.rs"]
mod kit;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn vectors() -> PathBuf {
    root().join("data/vectors/callback.json")
}

fn rows() -> Vec<Value> {
    serde_json::from_str(&std::fs::read_to_string(vectors()).unwrap()).unwrap()
}

fn names(texts: &Value) -> Vec<&str> {
    let texts = texts.as_array().unwrap().iter();
    texts.map(|text| text.as_str().unwrap()).collect()
}

/// Whether the language is on this machine.
fn is_there(program: &str) -> bool {
    let found = Command::new(program).arg("--version").output();
    let found = found.or_else(|_none| Command::new(program).arg("version").output());
    if found.is_err() {
        eprintln!("{program} is not on this machine: its kit is not run");
    }
    found.is_ok()
}

/// Runs a kit over the vectors: it names each of them that came out as it must, and fails else.
fn run(work: &Path, program: &str, arguments: &[&str]) {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(work)
        .env("KITS", root().join("data/callback-verify"))
        .env("VECTORS", vectors())
        .env("VECTOR_LINES", work.join("lines"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program}: {said}{error}");
    for row in rows() {
        let name = row["name"].as_str().unwrap();
        let judged = said.lines().any(|line| line == name);
        assert!(judged, "{program} did not judge \"{name}\"");
    }
}

fn harness(name: &str) -> String {
    let path = root().join("tests/it/foreign/verify").join(name);
    path.to_str().unwrap().to_owned()
}

fn script(program: &str, file: &str) {
    let work = tempfile::TempDir::new().unwrap();
    if is_there(program) {
        run(work.path(), program, &[&harness(file)]);
    }
}

#[test]
fn python() {
    script("python3", "run.py");
}

#[test]
fn node() {
    script("node", "run.mjs");
}

#[test]
fn php() {
    script("php", "run.php");
}

#[test]
fn ruby() {
    script("ruby", "run.rb");
}

#[test]
fn go() {
    if !is_there("go") {
        return;
    }
    let work = tempfile::TempDir::new().unwrap();
    let kit = root().join("data/callback-verify/verify.go");
    std::fs::copy(kit, work.path().join("verify.go")).unwrap();
    std::fs::copy(
        harness("verify_test.go"),
        work.path().join("verify_test.go"),
    )
    .unwrap();
    std::fs::write(work.path().join("go.mod"), "module verify\n\ngo 1.19\n").unwrap();
    run(work.path(), "go", &["test", "-v", "./..."]);
}

#[test]
fn java() {
    if !is_there("javac") {
        return;
    }
    let work = tempfile::TempDir::new().unwrap();
    let line = |row: &Value| {
        let mut cells = vec![
            row["name"].as_str().unwrap().to_owned(),
            row["valid"].to_string(),
            row["now"].to_string(),
            names(&row["secrets"]).join(" "),
            row["body"].as_str().unwrap().to_owned(),
        ];
        for (name, value) in row["headers"].as_object().unwrap() {
            cells.extend([name.clone(), value.as_str().unwrap().to_owned()]);
        }
        let cells: Vec<_> = cells.iter().map(|cell| STANDARD.encode(cell)).collect();
        cells.join("\t")
    };
    let lines: Vec<_> = rows().iter().map(line).collect();
    std::fs::write(work.path().join("lines"), lines.join("\n")).unwrap();
    let kit = root().join("data/callback-verify/Verify.java");
    let compiled = Command::new("javac")
        .args(["-d", "."])
        .args([kit.to_str().unwrap(), &harness("Run.java")])
        .current_dir(work.path())
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&compiled.stderr);
    assert!(compiled.status.success(), "{error}");
    let ascii = "-Dfile.encoding=UTF-8";
    run(
        work.path(),
        "java",
        &[ascii, "-Dstdout.encoding=UTF-8", "Run"],
    );
}

#[test]
fn rust() {
    for row in rows() {
        let header = |name: &str| row["headers"].get(name).map(|text| text.as_str().unwrap());
        let body = row["body"].as_str().unwrap().as_bytes();
        let now = row["now"].as_u64().unwrap();
        let found = kit::verify(body, header, &names(&row["secrets"]), now);
        assert_eq!(Some(found), row["valid"].as_bool(), "{}", row["name"]);
    }
}

/// The published library is the measure of the table itself, save for what it reads from the clock.
#[test]
fn the_published_library_makes_the_tables_good_signatures() {
    for row in rows().iter().filter(|row| row["valid"] == true) {
        let headers = &row["headers"];
        let text = |name: &str| headers[name].as_str().unwrap();
        let at = text("webhook-timestamp").parse().unwrap();
        let body = row["body"].as_str().unwrap().as_bytes();
        let made = names(&row["secrets"]).into_iter().map(|secret| {
            let webhook = standardwebhooks::Webhook::new(secret).unwrap();
            webhook.sign(text("webhook-id"), at, body).unwrap()
        });
        let given: Vec<_> = text("webhook-signature").split(' ').collect();
        assert!(
            made.into_iter().any(|one| given.contains(&one.as_str())),
            "{}",
            row["name"]
        );
    }
}
