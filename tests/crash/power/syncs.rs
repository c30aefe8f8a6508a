//! Each sync is needed: with any one of them swallowed, something that was answered is lost.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use futures_util::StreamExt as _;

use crate::support::{Server, bytes_of};

use super::disk::{Cut, Doing, Effect, Rule};
use super::{MIB, Machine, get, put};

const BUCKET: &str = "kept";
/// To make the key of this dialect takes long: only its own row has it made.
const WITH_OSS: &str = "dialects = [\"oss\"]\n";
/// Lives at a time: each mostly waits.
const AT_ONCE: usize = 4;

/// From when on a sync is swallowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
enum From {
    /// The very first start.
    Start,
    /// Uploads.
    Uploads,
    /// A copy.
    Copy,
    /// A start after SIGKILL, which must make durable what it only read.
    Restart,
}

/// A sync, and what it is for.
struct Needed {
    keeps: &'static str,
    doing: &'static [Doing],
    on: fn(&str) -> bool,
    from: From,
}

const FILE: &[Doing] = &[Doing::SyncFile];
const FOLDER: &[Doing] = &[Doing::SyncFolder];

/// Every sync of the write path.
const SYNCS: &[Needed] = &[
    Needed {
        keeps: "the data folder's parents",
        doing: FOLDER,
        on: |path| path == "/",
        from: From::Start,
    },
    Needed {
        keeps: "the data folder's own name",
        doing: FOLDER,
        on: |path| path == "/srv",
        from: From::Start,
    },
    Needed {
        keeps: "what the data folder holds: keys, metadata, blobs",
        doing: FOLDER,
        on: |path| path == "/srv/data",
        from: From::Start,
    },
    Needed {
        keeps: "the blobs' folders",
        doing: FOLDER,
        on: |path| path == "/srv/data/blobs",
        from: From::Start,
    },
    Needed {
        keeps: "the folders that spread the blobs",
        doing: FOLDER,
        on: |path| path == "/srv/data/blobs/data",
        from: From::Start,
    },
    Needed {
        keeps: "the master key's bytes",
        doing: FILE,
        on: |path| path.starts_with("/srv/data/master-key.json"),
        from: From::Start,
    },
    Needed {
        keeps: "the bytes of the key that signs OSS's callbacks",
        doing: FILE,
        on: |path| path.starts_with("/srv/data/oss-callback-key.pem"),
        from: From::Start,
    },
    Needed {
        keeps: "a blob's bytes",
        doing: FILE,
        on: |path| path.starts_with("/srv/data/blobs/"),
        from: From::Uploads,
    },
    Needed {
        keeps: "a blob's name",
        doing: FOLDER,
        on: |path| path.starts_with("/srv/data/blobs/data/"),
        from: From::Uploads,
    },
    Needed {
        keeps: "a copied blob's name",
        doing: FOLDER,
        on: |path| path.starts_with("/srv/data/blobs/data/"),
        from: From::Copy,
    },
    Needed {
        keeps: "what was committed: the write-ahead log's bytes",
        doing: FILE,
        on: |path| path.starts_with("/srv/data/meta/") && path.ends_with(".log"),
        from: From::Uploads,
    },
    Needed {
        keeps: "the names of RocksDB's files",
        doing: FOLDER,
        on: |path| path == "/srv/data/meta",
        from: From::Start,
    },
    Needed {
        keeps: "what a start wrote anew: RocksDB's tables",
        doing: FILE,
        on: |path| path.ends_with(".sst"),
        from: From::Restart,
    },
    Needed {
        keeps: "what a start wrote anew: RocksDB's blob files",
        doing: FILE,
        on: |path| path.starts_with("/srv/data/meta/") && path.ends_with(".blob"),
        from: From::Restart,
    },
    Needed {
        keeps: "which of RocksDB's files are in use",
        doing: FILE,
        on: |path| path.starts_with("/srv/data/meta/MANIFEST"),
        from: From::Restart,
    },
];

/// A small life: a first start, uploads, a copy whose original is deleted, perhaps a SIGKILL, the
/// power goes. Whether all is there afterwards; and how often the rule of `needed` was met.
async fn live(machine: &Machine, needed: Option<&Needed>) -> (Result<(), String>, u64) {
    let swallow_from = |now: From| {
        if let Some(needed) = needed.filter(|needed| needed.from == now) {
            let rule = Rule::new(needed.doing, Effect::Swallow, needed.on);
            machine.mount.add_rule(rule);
        }
    };
    swallow_from(From::Start);
    let oss = needed.is_none_or(|needed| needed.keeps.contains("OSS"));
    let mut server = machine.start(if oss { WITH_OSS } else { "" }).await;
    let keys = key_files(machine);
    let client = server.client();
    client.create_bucket().bucket(BUCKET).send().await.unwrap();
    put(&client, BUCKET, "original", bytes_of(3, 200_000))
        .await
        .unwrap();
    swallow_from(From::Uploads);
    put(&client, BUCKET, "small", bytes_of(1, 20_000))
        .await
        .unwrap();
    put(&client, BUCKET, "large", bytes_of(2, 300_000))
        .await
        .unwrap();
    swallow_from(From::Copy);
    let copy = client.copy_object().bucket(BUCKET).key("copy");
    let copy = copy.copy_source(format!("{BUCKET}/original"));
    copy.send().await.unwrap();
    let delete = client.delete_object().bucket(BUCKET).key("original");
    delete.send().await.unwrap();
    if needed.is_none_or(|needed| needed.from == From::Restart) {
        swallow_from(From::Restart);
        server.kill();
        server.restart().await;
    }
    machine.cut(&mut server, Cut::Clean);
    let met = machine.mount.disk().take_rules().into_iter().sum();
    (after(machine, &mut server, &keys).await, met)
}

/// Starts again, and looks for what was answered.
async fn after(
    machine: &Machine,
    server: &mut Server,
    keys: &[Option<Vec<u8>>],
) -> Result<(), String> {
    server.restart_or_fault().await?;
    if key_files(machine) != keys {
        return Err("the keys are other ones".to_owned());
    }
    let client = server.client();
    for (key, seed, len) in [
        ("small", 1, 20_000),
        ("large", 2, 300_000),
        ("copy", 3, 200_000),
    ] {
        let bytes = get(&client, BUCKET, key).await;
        let bytes = bytes.map_err(|error| format!("{key}: {error}"))?;
        if bytes != bytes_of(seed, len) {
            return Err(format!("{key} has other bytes"));
        }
    }
    let fsck = server.command(&["fsck", "--read-blobs"]);
    if fsck.status.success() {
        Ok(())
    } else {
        Err(String::from_utf8_lossy(&fsck.stdout).into_owned())
    }
}

fn key_files(machine: &Machine) -> Vec<Option<Vec<u8>>> {
    let names = ["master-key.json", "oss-callback-key.pem"];
    names
        .map(|name| std::fs::read(machine.data.join(name)).ok())
        .into()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_is_there_where_every_sync_is_done() {
    let Some(machine) = Machine::new(1024 * MIB) else {
        return;
    };
    let (outcome, _) = live(&machine, None).await;
    outcome.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_sync_is_needed() {
    let lives = SYNCS.iter().map(|needed| async move {
        let machine = Machine::new(1024 * MIB)?;
        Some((needed, live(&machine, Some(needed)).await))
    });
    let mut lives = futures_util::stream::iter(lives).buffer_unordered(AT_ONCE);
    while let Some(life) = lives.next().await {
        let Some((needed, (outcome, met))) = life else {
            return;
        };
        let lost = outcome.err();
        let what = brief(lost.as_deref());
        eprintln!("{}: {met} swallowed: {what}", needed.keeps);
        assert!(met > 0, "{}: no such sync was made", needed.keeps);
        assert!(lost.is_some(), "{}: nothing was lost", needed.keeps);
    }
}

/// A first start that makes its own root key, which is shown this once; the power goes then. Whether
/// the next start has the same one.
async fn shows_its_key(rule: Option<Rule>) -> Option<bool> {
    let machine = Machine::new(1024 * MIB)?;
    if let Some(rule) = rule {
        machine.mount.add_rule(rule);
    }
    let file = machine.data.join("root-key.json");
    let mut first = keyless(&machine);
    let shown = until_ready(&mut first, &machine)
        .await
        .map(|()| std::fs::read(&file).unwrap());
    machine.mount.cut(Cut::Clean);
    first.kill().unwrap();
    first.wait().unwrap();
    machine.mount.disk().power_on();
    let mut second = keyless(&machine);
    let ready = until_ready(&mut second, &machine).await;
    let now = ready.map(|()| std::fs::read(&file).unwrap());
    second.kill().ok();
    second.wait().unwrap();
    Some(shown.is_some() && shown == now)
}

fn keyless(machine: &Machine) -> Child {
    Command::new(env!("CARGO_BIN_EXE_consign"))
        .arg("serve")
        .current_dir(machine.data.ancestors().nth(3).unwrap())
        .env_remove("CONSIGN_ROOT_ACCESS_KEY")
        .env_remove("CONSIGN_ROOT_SECRET_KEY")
        .env("CONSIGN_DATA_DIR", &machine.data)
        .env("CONSIGN_LISTEN", "127.0.0.1:0")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// None where it ends instead.
async fn until_ready(server: &mut Child, machine: &Machine) -> Option<()> {
    let pid = format!("\"pid\": {},", server.id());
    let announced = machine.data.join("server.json");
    while server.try_wait().unwrap().is_none() {
        if std::fs::read_to_string(&announced).is_ok_and(|text| text.contains(&pid)) {
            return Some(());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    None
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_root_key_that_was_shown_survives() {
    let Some(same) = shows_its_key(None).await else {
        return;
    };
    assert!(same, "the key that was shown is gone");
    let key = |path: &str| path.starts_with("/srv/data/root-key.json");
    let swallowed = Rule::new(FILE, Effect::Swallow, key);
    assert_eq!(shows_its_key(Some(swallowed)).await, Some(false));
}

fn brief(lost: Option<&str>) -> String {
    let lost = lost.unwrap_or("NOTHING IS LOST");
    let line = lost.lines().rfind(|line| !line.is_empty());
    line.unwrap_or_default().chars().take(160).collect()
}
