//! The audit log in a folder, over an engine in memory.

use std::path::Path;

use super::*;
use crate::clock::SystemClock;
use crate::s3::audit::AuditKind;
use crate::store::meta::memory::MemoryEngine;

struct Place {
    folder: tempfile::TempDir,
    meta: Arc<MemoryEngine>,
    config: Config,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = Config::for_test(folder.path());
        let meta = Arc::new(MemoryEngine::new());
        Self {
            folder,
            meta,
            config,
        }
    }

    async fn open(&self) -> Arc<AuditLog> {
        let (folder, encryption) = (self.folder.path(), &self.config.encryption);
        let masters = master_key::load_or_make(folder, encryption).unwrap();
        let meta: Arc<dyn MetaEngine> = Arc::<MemoryEngine>::clone(&self.meta);
        let clock = Arc::new(SystemClock);
        let opened = AuditLog::open(&self.config, meta, &masters, clock);
        opened.await.unwrap()
    }

    async fn verdict(&self) -> Verdict {
        let known = known(&*self.meta).await.unwrap();
        verify(&self.config, &[], known).unwrap()
    }

    fn files(&self) -> Vec<PathBuf> {
        audit_files(self.folder.path()).unwrap()
    }

    /// Changes the text of the last file.
    fn spoil(&self, spoil: impl FnOnce(String) -> String) {
        let last = self.files().pop().unwrap();
        let text = std::fs::read_to_string(&last).unwrap();
        std::fs::write(last, spoil(text)).unwrap();
    }

    /// Some lines, and an end.
    async fn with_lines(lines: usize) -> Self {
        let place = Self::new();
        let log = place.open().await;
        for at in 0..lines {
            log.record(entry(&at.to_string())).await.unwrap();
        }
        log.close().await;
        place
    }
}

fn entry(request: &str) -> AuditEntry {
    AuditEntry {
        time: "2026-11-26T00:00:00.000Z".to_owned(),
        kind: AuditKind::Admin,
        request: request.to_owned(),
        client: None,
        key: Some("CK1".to_owned()),
        name: None,
        operation: Some("POST keys".to_owned()),
        method: "POST".to_owned(),
        path: "/a\"b\n{".to_owned(),
        about: serde_json::Map::new(),
        status: Some(200),
        code: Some("AccessDenied"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_recorded_outlives_restarts_in_one_chain() {
    let place = Place::with_lines(3).await;
    let log = place.open().await;
    log.record(entry("again")).await.unwrap();
    // Without an end: a kill.
    let verdict = place.verdict().await;
    assert_eq!((verdict.lines, verdict.first, verdict.last), (6, 1, 6));
    assert!(verdict.fault.is_none() && !verdict.torn, "{verdict:?}");
    log.close().await;
    assert!(log.record(entry("late")).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_changes_a_line_is_found_out() {
    for (what, spoil) in [
        (
            "a changed line",
            (|text: String| {
                text.replacen("\"200\"", "\"500\"", 1)
                    .replacen("CK1", "CK2", 1)
            }) as fn(String) -> String,
        ),
        ("a line that is gone", |text| {
            let lines: Vec<_> = text.split_inclusive('\n').collect();
            [&lines[..1], &lines[2..]].concat().concat()
        }),
        ("an end that is gone", |text| {
            let lines: Vec<_> = text.split_inclusive('\n').collect();
            lines[..lines.len() - 1].concat()
        }),
        ("half of an end", |text| {
            text.split_at(text.len() - 20).0.to_owned()
        }),
        ("nothing left", |_text| String::new()),
        ("an added line", |text| {
            text.clone() + text.lines().next().unwrap() + "\n"
        }),
    ] {
        let place = Place::with_lines(4).await;
        assert!(place.verdict().await.fault.is_none(), "{what}");
        place.spoil(spoil);
        let verdict = place.verdict().await;
        assert!(verdict.fault.is_some(), "{what}: {verdict:?}");
        // The server goes on behind it, and the fault stays for who looks.
        let log = place.open().await;
        log.record(entry("later")).await.unwrap();
        log.close().await;
        let later = place.verdict().await;
        let found = [&verdict, &later].map(|verdict| verdict.fault.clone().unwrap());
        let places = found.map(|found| (found.file, found.line));
        assert!(
            what.contains("end") || what == "nothing left" || places[0] == places[1],
            "{what}: {places:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_a_crash_tore_is_no_tampering() {
    let place = Place::with_lines(2).await;
    place.spoil(|text| text + "{\"seq\":4,\"previous\":\"00");
    let verdict = place.verdict().await;
    assert!(verdict.torn && verdict.fault.is_none(), "{verdict:?}");
    let log = place.open().await;
    log.close().await;
    let verdict = place.verdict().await;
    assert!(!verdict.torn && verdict.fault.is_none(), "{verdict:?}");
    assert_eq!(verdict.lines, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_follow_each_other_and_old_ones_may_be_kept_elsewhere() {
    let mut place = Place::new();
    place.config.audit.file_bytes = 1000;
    let log = place.open().await;
    for at in 0..10 {
        log.record(entry(&at.to_string())).await.unwrap();
    }
    log.close().await;
    let files = place.files();
    assert!(files.len() > 2, "{files:?}");
    let verdict = place.verdict().await;
    assert_eq!(
        (verdict.lines, verdict.fault.is_none()),
        (11, true),
        "{verdict:?}"
    );
    std::fs::remove_file(&files[0]).unwrap();
    let verdict = place.verdict().await;
    assert!(verdict.first > 1 && verdict.fault.is_none(), "{verdict:?}");
    // One in the middle may not be missing.
    std::fs::remove_file(&files[2]).unwrap();
    assert!(place.verdict().await.fault.is_some());
    let named = verify(&place.config, &files[1..2], None).unwrap();
    assert!(named.lines > 0 && named.fault.is_none(), "{named:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_master_key_signs_no_line() {
    let place = Place::with_lines(2).await;
    let other = Place::with_lines(2).await;
    std::fs::copy(&other.files()[0], &place.files()[0]).unwrap();
    let verdict = place.verdict().await;
    assert_eq!(verdict.fault.unwrap().fault, Fault::Changed.to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_denials_is_counted_and_takes_no_more_lines() {
    let place = Place::new();
    let log = place.open().await;
    for _ in 0..5000 {
        log.note(entry("denied"));
    }
    log.close().await;
    let lines = lines(&place.files()[0]);
    assert!(lines.len() < 300, "{} lines", lines.len());
    let counted = lines.iter().filter(|line| line["kind"] == "counted");
    let counted: u64 = counted
        .map(|line| line["denied"]["AccessDenied"].as_u64().unwrap())
        .sum();
    let told = lines
        .iter()
        .filter(|line| line["request"] == "denied")
        .count();
    assert_eq!(counted + u64::try_from(told).unwrap(), 5000);
    assert!(place.verdict().await.fault.is_none());
}

fn lines(file: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(file).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// One that is whole.
fn number(log: &AuditLog, name: &str) -> u64 {
    let readings = log.vitals().readings();
    let mut named = readings.iter().filter(|reading| reading.name() == name);
    named.next().unwrap().value().to_string().parse().unwrap()
}

#[tokio::test]
async fn it_is_told_how_the_log_is() {
    let place = Place::with_lines(3).await;
    let log = place.open().await;
    // The start of each of the two runs is a line, too.
    assert_eq!(number(&log, "consign_audit_lines"), 5);
    assert_eq!(number(&log, "consign_audit_tampered"), 0);
    assert_eq!(number(&log, "consign_audit_writable"), 1);
    for _ in 0..DENIALS_PER_MINUTE + 7 {
        log.note(entry("denied"));
    }
    // Another minute may have begun meanwhile, which has lines of its own.
    let without = number(&log, "consign_audit_denials_without_line");
    assert!((1..=7).contains(&without), "{without}");
    log.close().await;
    place.spoil(|text| text.replace("denied", "DENIED"));
    let log = place.open().await;
    assert_eq!(number(&log, "consign_audit_tampered"), 1);
    log.close().await;
    std::fs::remove_dir_all(folder(place.folder.path())).unwrap();
    let log = place.open().await;
    assert_eq!(number(&log, "consign_audit_tampered"), 1);
    log.close().await;
}

#[tokio::test]
async fn lines_that_cannot_be_written_are_told() {
    let mut place = Place::new();
    place.config.audit.file_bytes = 1;
    let log = place.open().await;
    let folder = folder(place.folder.path());
    // Each line has a file of its own, and there is no folder for the next one.
    std::fs::remove_dir_all(&folder).unwrap();
    std::fs::write(&folder, "").unwrap();
    log.record(entry("lost")).await.unwrap_err();
    assert_eq!(number(&log, "consign_audit_writable"), 0);
    assert_eq!(number(&log, "consign_audit_failures"), 1);
    std::fs::remove_file(&folder).unwrap();
    log.record(entry("kept")).await.unwrap();
    assert_eq!(number(&log, "consign_audit_writable"), 1);
    log.close().await;
}
