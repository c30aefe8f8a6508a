//! Disk faults: full, failing, rotten. A clear error, nothing wrong served, and where it can be, healed.

use std::time::Duration;

use aws_sdk_s3::Client;

use crate::support::{Random, Server, bytes_of};

use super::disk::{Doing, Effect, Rule};
use super::{MIB, Machine, get, put};

const BUCKET: &str = "faulty";
const ENOSPC: i32 = 28;
const EIO: i32 = 5;
/// Within it a server heals that can.
const PATIENCE: Duration = Duration::from_secs(60);
/// Small enough that nothing is refused early: the faults are to meet the engines.
const NO_FLOOR: &str = "[limits]\nfree_bytes_min = 0\n";

async fn begin(machine: &Machine, configuration: &str) -> Server {
    let server = machine.start(configuration).await;
    let create = server.client().create_bucket().bucket(BUCKET);
    create.send().await.unwrap();
    server
}

/// What is there before a fault: it must stay readable.
async fn keep(client: &Client) {
    put(client, BUCKET, "small", bytes_of(1, 20_000))
        .await
        .unwrap();
    put(client, BUCKET, "large", bytes_of(2, 300_000))
        .await
        .unwrap();
}

async fn is_kept(client: &Client) {
    assert_eq!(
        get(client, BUCKET, "small").await.unwrap(),
        bytes_of(1, 20_000)
    );
    assert_eq!(
        get(client, BUCKET, "large").await.unwrap(),
        bytes_of(2, 300_000)
    );
}

async fn status(server: &Server, path: &str) -> u16 {
    let url = format!("{}{path}", server.endpoint);
    let answer = crate::support::plain_http().get(url).send().await.unwrap();
    answer.status().as_u16()
}

/// Tries until the server takes an upload again.
async fn heals(client: &Client) {
    let until = tokio::time::Instant::now() + PATIENCE;
    loop {
        let done = put(client, BUCKET, "healed", bytes_of(9, 1000)).await;
        match done {
            Ok(()) => break,
            Err(error) => assert!(tokio::time::Instant::now() < until, "never healed: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(
        get(client, BUCKET, "healed").await.unwrap(),
        bytes_of(9, 1000)
    );
}

fn clean(server: &Server) {
    let fsck = server.command(&["fsck", "--read-blobs"]);
    assert!(fsck.status.success(), "{fsck:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_fills_up_refuses_uploads_early_and_lets_delete() {
    let Some(machine) = Machine::new(64 * MIB) else {
        return;
    };
    let server = begin(&machine, "[limits]\nfree_bytes_min = 16777216\n").await;
    let client = server.client();
    keep(&client).await;
    let mut stored = 0;
    let refusal = loop {
        assert!(stored < 64, "64 MiB were stored on a disk of 64 MiB");
        match put(
            &client,
            BUCKET,
            &format!("fill/{stored}"),
            bytes_of(stored, 1 << 20),
        )
        .await
        {
            Ok(()) => stored += 1,
            Err(refusal) => break refusal,
        }
    };
    assert!(refusal.contains("InsufficientStorage"), "{refusal}");
    assert!(refusal.contains("507"), "{refusal}");
    assert!(stored > 20, "{stored} MiB only");
    let free = machine.mount.disk().free();
    assert!(free >= 15 * MIB, "{free} bytes are left of 16 MiB");
    // Small ones, which are kept with the metadata, may fill what is left of it and no more.
    let mut small = 0;
    let refusal = loop {
        assert!(
            small < 40,
            "small ones go on beyond what is to be kept free"
        );
        match put(&client, BUCKET, &format!("tiny/{small}"), vec![1; 60_000]).await {
            Ok(()) => small += 1,
            Err(refusal) => break refusal,
        }
    };
    assert!(refusal.contains("InsufficientStorage"), "{refusal}");
    is_kept(&client).await;
    assert_eq!(status(&server, "/-/ready").await, 200);
    for number in 0..stored {
        let delete = client
            .delete_object()
            .bucket(BUCKET)
            .key(format!("fill/{number}"));
        delete.send().await.unwrap();
    }
    heals(&client).await;
    clean(&server);
}

/// ENOSPC from the nth change of the disk on, whatever it is: then there is room again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_is_full_at_any_point_heals_without_a_restart() {
    let Some(machine) = Machine::new(512 * MIB) else {
        return;
    };
    let server = begin(&machine, NO_FLOOR).await;
    let client = server.client();
    keep(&client).await;
    let mut random = Random(20_261_127);
    let doing: &[&'static [Doing]] = &[
        &[Doing::Write],
        &[Doing::Create],
        &[Doing::SyncFile],
        &[Doing::SyncFolder, Doing::Rename, Doing::Link],
        &[
            Doing::Write,
            Doing::Create,
            Doing::Resize,
            Doing::SyncFile,
            Doing::SyncFolder,
        ],
    ];
    let mut kept = Vec::new();
    for round in 0..12_u64 {
        let what = doing[usize::try_from(round).unwrap() % doing.len()];
        let rule = Rule::new(what, Effect::Fail(ENOSPC), |path| {
            path.starts_with("/srv/data/")
        });
        machine.mount.add_rule(rule.after(random.below(12)));
        for number in 0..8_u64 {
            let key = format!("{round}/{number}");
            let len = [1000, 100_000][usize::try_from(number % 2).unwrap()];
            match put(&client, BUCKET, &key, bytes_of(number, len)).await {
                Ok(()) => kept.push((key, number, len)),
                Err(refusal) => {
                    assert!(
                        refusal.contains("InsufficientStorage"),
                        "{what:?}: {refusal}"
                    );
                }
            }
        }
        is_kept(&client).await;
        machine.mount.disk().take_rules();
        heals(&client).await;
    }
    for (key, seed, len) in kept {
        assert_eq!(
            get(&client, BUCKET, &key).await.unwrap(),
            bytes_of(seed, len),
            "{key}"
        );
    }
    assert_eq!(status(&server, "/-/ready").await, 200);
    clean(&server);
}

/// A sync that fails is final: nothing is written any more, all is read, and a probe is told.
async fn fails_for_good(on: fn(&str) -> bool, doing: &'static [Doing]) {
    let Some(machine) = Machine::new(256 * MIB) else {
        return;
    };
    let mut server = begin(&machine, NO_FLOOR).await;
    let client = server.client();
    keep(&client).await;
    machine
        .mount
        .add_rule(Rule::new(doing, Effect::Fail(EIO), on));
    let refusal = put(&client, BUCKET, "lost", bytes_of(3, 100_000)).await;
    let refusal = refusal.unwrap_err();
    assert!(refusal.contains("ServiceUnavailable"), "{refusal}");
    assert!(refusal.contains("started anew"), "{refusal}");
    // The disk works again, which proves nothing of what it was given before.
    machine.mount.disk().take_rules();
    let refusal = put(&client, BUCKET, "later", bytes_of(4, 100_000)).await;
    assert!(refusal.unwrap_err().contains("started anew"));
    is_kept(&client).await;
    assert_eq!(status(&server, "/-/ready").await, 503);
    assert_eq!(status(&server, "/-/healthy").await, 200);
    server.kill();
    server.restart().await;
    let client = server.client();
    is_kept(&client).await;
    heals(&client).await;
    clean(&server);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blob_that_could_not_be_synced_ends_all_writing() {
    fails_for_good(
        |path| path.starts_with("/srv/data/blobs/tmp/"),
        &[Doing::SyncFile],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_that_could_not_be_synced_ends_all_writing() {
    fails_for_good(
        |path| path.starts_with("/srv/data/blobs/data/"),
        &[Doing::SyncFolder],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_could_not_be_synced_ends_all_writing() {
    let log = |path: &str| path.starts_with("/srv/data/meta/") && path.ends_with(".log");
    fails_for_good(log, &[Doing::SyncFile]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_can_not_be_read_or_is_rotten_is_never_served() {
    let Some(machine) = Machine::new(256 * MIB) else {
        return;
    };
    let mut server = begin(&machine, NO_FLOOR).await;
    keep(&server.client()).await;
    // A new start reads everything from the disk.
    server.kill();
    server.restart().await;
    let client = server.client();
    machine
        .mount
        .add_rule(Rule::new(&[Doing::Read], Effect::Fail(EIO), |path| {
            path.starts_with("/srv/data/blobs/data/") || path.ends_with(".blob")
        }));
    for key in ["small", "large"] {
        let error = get(&client, BUCKET, key).await.unwrap_err();
        assert!(error.contains("InternalError"), "{key}: {error}");
    }
    machine.mount.disk().take_rules();
    is_kept(&client).await;
    // What is in memory is good.
    server.kill();
    server.restart().await;
    let client = server.client();

    // One bit of each blob, and of each of RocksDB's files that hold values.
    let files = machine.mount.disk().files();
    let values = |path: &str| path.starts_with("/srv/data/blobs/data/") || path.ends_with(".blob");
    let mut rotten = 0;
    for (path, len) in files.iter().filter(|(path, _)| values(path)) {
        machine.mount.disk().rot(path, len / 2);
        rotten += 1;
    }
    assert_eq!(rotten, 2, "{files:?}");
    for key in ["small", "large"] {
        match get(&client, BUCKET, key).await {
            Ok(bytes) => panic!("{key}: {} bytes were served of a rotten file", bytes.len()),
            Err(error) => eprintln!("{key}: {}", error.chars().take(200).collect::<String>()),
        }
    }
    let fsck = server.command(&["fsck", "--read-blobs"]);
    assert!(!fsck.status.success(), "{fsck:?}");
}
