//! What an attacker sends: the corpus in `data/hostile`, and floods that no text can hold.
//!
//! A case that fails prints its name, what was expected and what came. `CONSIGN_HOSTILE=text` runs only
//! the cases whose name has that text in it.

mod admin;
mod case;
mod http2;
mod make;
mod world;

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use self::case::{Case, Family, Pace};
use self::world::{SECRETS, World};
use crate::support::SECRET_KEY;

/// Longer than any case takes.
const PATIENCE: Duration = Duration::from_secs(30);
/// Cases at a time.
const AT_ONCE: usize = 8;
/// Cases of the whole corpus, at least.
const CASES_MIN: usize = 300;
/// The server's memory at its highest, whatever is sent to it.
const MEMORY_BYTES_MAX: u64 = 400 << 20;

macro_rules! families {
    ($($name:ident)*) => {
        const FAMILIES: &[&str] = &[$(stringify!($name),)*];
        $(
            #[tokio::test]
            async fn $name() {
                run(stringify!($name)).await;
            }
        )*
    };
}

families! {
    bodies
    bounds
    chunks
    dialects
    forms
    framing
    headers
    hosts
    mixing
    paths
    signatures
    slow
    sts
    unsigned
    xml
}

#[test]
fn the_corpus_is_whole() {
    let files = std::fs::read_dir(case::folder()).unwrap();
    let files: BTreeSet<_> = files
        .map(|file| file.unwrap().path())
        .map(|file| file.file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    let run: BTreeSet<_> = FAMILIES.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(
        files, run,
        "each file of data/hostile is run, and nothing else"
    );
    let cases: Vec<_> = run
        .iter()
        .flat_map(|name| Family::read(name).cases())
        .collect();
    assert!(cases.len() >= CASES_MIN, "{} cases", cases.len());
    let names: BTreeSet<_> = cases.iter().map(|case| &case.name).collect();
    assert_eq!(names.len(), cases.len(), "two cases have one name");
}

/// Sends each case of a family, and looks whether the server is as it was.
async fn run(name: &str) {
    let family = Family::read(name);
    let world = World::begin(&family.configuration).await;
    let before = world.snapshot().await;
    let only = std::env::var("CONSIGN_HOSTILE").unwrap_or_default();
    let cases: Vec<_> = family.cases().into_iter().enumerate().collect();
    let cases = cases
        .into_iter()
        .filter(|(_, case)| case.name.contains(&only));
    let cases: Vec<_> = cases.collect();
    let faults: Vec<String> = stream::iter(&cases)
        .map(|(number, case)| judge(&world, *number, case))
        .buffered(AT_ONCE)
        .filter_map(|fault| async { fault })
        .collect()
        .await;
    let mut expected = before;
    for (number, _) in cases.iter().filter(|(_, case)| case.stores) {
        expected.insert(format!("raw/{}", key_of(*number)));
    }
    let after = world.snapshot().await;
    let names: Vec<_> = cases
        .iter()
        .map(|(number, case)| (key_of(*number), &case.name))
        .collect();
    let changed: Vec<_> = after
        .symmetric_difference(&expected)
        .map(|what| {
            let of = names.iter().find(|(key, _)| what.ends_with(key.as_str()));
            format!("{what} by {:?}", of.map(|(_, name)| name))
        })
        .collect();
    let report = faults.join("\n\n");
    assert!(
        faults.is_empty(),
        "{} of {}:\n{report}",
        faults.len(),
        cases.len()
    );
    assert!(changed.is_empty(), "what is stored changed: {changed:#?}");
    world.is_well().await;
}

/// The key that a case may store under.
fn key_of(number: usize) -> String {
    format!("case-{number:03}")
}

/// Sends one case; tells what is wrong with what came.
async fn judge(world: &World, number: usize, case: &Case) -> Option<String> {
    let mut values = world.values.clone();
    values.set("key", key_of(number));
    let send = async |case: &Case| {
        let bytes = make::bytes_of(case, &values, world.signer(case));
        exchange(world, case, &bytes).await
    };
    let Some(came) = send(case).await else {
        return Some(format!("{}\n  no end within {PATIENCE:?}", case.name));
    };
    let text = String::from_utf8_lossy(&came);
    let afterwards = if case.then.is_empty() {
        Vec::new()
    } else {
        send(&case.afterwards()).await.unwrap_or_default()
    };
    let both = format!("{text}{}", String::from_utf8_lossy(&afterwards));
    let mut faults = Vec::new();
    judge_status(case, &text, &mut faults);
    for says in &case.says {
        let says = values.text(says);
        check(&mut faults, text.contains(&says), &format!("says {says}"));
    }
    for hides in case.hides.iter().map(|hides| values.text(hides)) {
        check(
            &mut faults,
            !text.contains(&hides),
            &format!("hides {hides}"),
        );
    }
    for secret in SECRETS.iter().chain([&SECRET_KEY]) {
        check(&mut faults, !both.contains(secret), "no secret in it");
    }
    let lower = both.to_ascii_lowercase();
    check(
        &mut faults,
        !lower.contains("\nx-injected:"),
        "no header of the client's",
    );
    if faults.is_empty() {
        return None;
    }
    let first = text.lines().next().unwrap_or_default();
    let from = text.find("<Code>").unwrap_or_default();
    let short: String = text.chars().skip(from).take(300).collect();
    Some(format!(
        "{}\n  expected: {}\n  came: {first} {short:?}",
        case.name,
        faults.join(", ")
    ))
}

/// Whether the answer has the status and the code that the case expects.
fn judge_status(case: &Case, text: &str, faults: &mut Vec<String>) {
    let (status, code) = case.expect.split_once(' ').unwrap_or((&case.expect, ""));
    let lines = ["HTTP/1.1 ", "HTTP/1.0 "];
    let answers: usize = lines.iter().map(|line| text.matches(line).count()).sum();
    match status {
        "any" => {}
        "closed" => check(faults, text.is_empty(), "no answer"),
        _ => {
            let is_it = lines
                .iter()
                .any(|line| text.starts_with(&format!("{line}{status} ")));
            check(faults, is_it, &case.expect);
            check(faults, answers == case.answers.unwrap_or(1), "one answer");
        }
    }
    let code_is_there = code.is_empty() || text.contains(&format!("<Code>{code}</Code>"));
    check(faults, code_is_there, &case.expect);
}

fn check(faults: &mut Vec<String>, holds: bool, what: &str) {
    if !holds && !faults.iter().any(|fault| fault == what) {
        faults.push(what.to_owned());
    }
}

/// What comes for `bytes`, to the end of the connection; nothing where it does not end.
async fn exchange(world: &World, case: &Case, bytes: &[u8]) -> Option<Vec<u8>> {
    let stream = TcpStream::connect(world.server.authority()).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let (mut reader, mut writer) = stream.into_split();
    let mut came = Vec::new();
    let send = async {
        // A server may refuse, and close, before it has taken all.
        match case.pace {
            Pace::Bytes => {
                for byte in bytes {
                    if writer.write_all(&[*byte]).await.is_err() {
                        break;
                    }
                }
            }
            Pace::Whole | Pace::Cut | Pace::Still => {
                writer.write_all(bytes).await.ok();
            }
        }
        if case.pace == Pace::Cut {
            writer.shutdown().await.ok();
        }
        // Dropped, it would close our half, which tells a server that nobody waits.
        writer
    };
    let receive = async {
        // A reset ends it too.
        reader.read_to_end(&mut came).await.ok();
    };
    let both = async { tokio::join!(send, receive) };
    tokio::time::timeout(PATIENCE, both).await.ok()?;
    Some(came)
}
