//! Backups beside a server at work, and what can be brought back from them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use super::{get, make_bucket, put_bytes};
use crate::support::{Server, bytes_of};

/// A server, and a place for its backups.
struct Scene {
    server: Server,
    place: TempDir,
}

impl Scene {
    async fn start() -> Self {
        let server = Server::start_with("[limits]\nshutdown_seconds = 5\n").await;
        make_bucket(&server.client(), "uploads").await;
        let place = TempDir::new().unwrap();
        Self { server, place }
    }

    fn folder(&self) -> PathBuf {
        self.place.path().join("backups")
    }

    fn run(&self, command: &str, more: &[&str]) -> std::process::Output {
        let folder = self.folder();
        let mut arguments = vec![command, folder.to_str().unwrap()];
        arguments.extend(more);
        self.server.command(&arguments)
    }

    fn backup(&self, more: &[&str]) -> Value {
        let output = self.run("backup", &[more, &["--json"]].concat());
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Brings the newest backup back, and starts a server there.
    async fn restored(&self, name: &str) -> Server {
        let folder = TempDir::new_in(self.place.path()).unwrap();
        let data = folder.path().join("data");
        let data = data.to_str().unwrap();
        let output = self.run("restore", &["--data-dir", data, "--json"]);
        assert!(output.status.success(), "{name}: {output:?}");
        let fsck = self
            .server
            .command(&["fsck", "--read-blobs", "--data-dir", data]);
        assert!(fsck.status.success(), "{name}: {fsck:?}");
        Server::start_in(folder, "").await
    }
}

/// Small ones lie in the metadata, large ones in blobs.
fn body(name: &str, seed: u64) -> Vec<u8> {
    let small = seed.is_multiple_of(2);
    let mut bytes = bytes_of(seed, if small { 900 } else { 150_000 });
    bytes.extend(name.as_bytes());
    bytes
}

async fn bytes_in(server: &Server, key: &str) -> Option<Vec<u8>> {
    let client = server.client();
    let got = client.get_object().bucket("uploads").key(key).send().await;
    Some(got.ok()?.body.collect().await.unwrap().to_vec())
}

// Commands run while the writers go on: each on a thread of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_beside_writers_has_all_that_was_answered_before() {
    let scene = Scene::start().await;
    let client = scene.server.client();
    let mut before = BTreeMap::new();
    for seed in 0..12 {
        let name = format!("before/{seed}");
        let bytes = body(&name, seed);
        assert_eq!(
            put_bytes(&client, "uploads", &name, bytes.clone()).await,
            Ok(())
        );
        before.insert(name, bytes);
    }
    // Writers that overwrite and delete: what the backup names must stay until it has it.
    let over = Arc::new(AtomicBool::new(false));
    let writers = (0..4_u64).map(|writer| {
        let (client, over) = (client.clone(), Arc::clone(&over));
        tokio::spawn(async move {
            let mut round = 0;
            while !over.load(Ordering::SeqCst) {
                round += 1;
                let name = format!("busy/{writer}/{}", round % 3);
                let bytes = body(&name, 2 * round + 1);
                assert_eq!(put_bytes(&client, "uploads", &name, bytes).await, Ok(()));
                let gone = format!("busy/{writer}/{}", (round + 1) % 3);
                let delete = client.delete_object().bucket("uploads").key(gone);
                delete.send().await.unwrap();
            }
            round
        })
    });
    let writers: Vec<_> = writers.collect();
    for _ in 0..4 {
        scene.backup(&[]);
    }
    over.store(true, Ordering::SeqCst);
    for writer in writers {
        assert!(writer.await.unwrap() > 2);
    }
    let verified = scene.run("backup", &["--verify"]);
    assert!(verified.status.success(), "{verified:?}");
    let restored = scene.restored("beside writers").await;
    for (name, bytes) in before {
        assert_eq!(bytes_in(&restored, &name).await, Some(bytes), "{name}");
    }
    // What the writers left at that moment is whole, whatever it is.
    let list = restored
        .client()
        .list_objects_v2()
        .bucket("uploads")
        .send()
        .await
        .unwrap();
    for object in list.contents() {
        let key = object.key().unwrap();
        let bytes = bytes_in(&restored, key).await.unwrap();
        assert!(bytes.ends_with(key.as_bytes()), "{key}");
    }
    // Nothing is left behind on either side.
    assert!(!scene.server.data_folder().join("checkpoint").exists());
    let fsck = scene.server.command(&["fsck", "--read-blobs"]);
    assert!(fsck.status.success(), "{fsck:?}");
}

#[tokio::test]
async fn a_second_backup_takes_only_what_is_new_and_old_ones_go() {
    let mut scene = Scene::start().await;
    let client = scene.server.client();
    for seed in [1, 3, 5] {
        let name = format!("{seed}");
        let put = put_bytes(&client, "uploads", &name, body(&name, seed)).await;
        assert_eq!(put, Ok(()));
    }
    let first = scene.backup(&["--copy"]);
    assert_eq!(
        (&first["blobs"], &first["new_blobs"]),
        (&3.into(), &3.into())
    );
    assert!(first["copied_bytes"].as_u64().unwrap() > 450_000);
    assert_eq!(
        put_bytes(&client, "uploads", "7", body("7", 7)).await,
        Ok(())
    );
    let delete = client.delete_object().bucket("uploads").key("1");
    delete.send().await.unwrap();
    let second = scene.backup(&["--copy"]);
    assert_eq!(
        (&second["blobs"], &second["new_blobs"]),
        (&3.into(), &1.into())
    );
    let copied = |report: &Value| report["copied_bytes"].as_u64().unwrap();
    assert!(
        copied(&second) + 250_000 < copied(&first),
        "{first} {second}"
    );
    // Without a server, too; and the pool keeps what the kept generations name.
    scene.server.ask_to_stop();
    assert!(scene.server.ended().await.success());
    let third = scene.backup(&["--copy", "--keep", "1"]);
    assert_eq!(third["new_blobs"], 0);
    assert_eq!(third["removed"].as_array().unwrap().len(), 2);
    assert_eq!(blobs_in(&scene.folder()).len(), 3);
    let restored = scene.restored("the third").await;
    assert_eq!(bytes_in(&restored, "1").await, None);
    assert_eq!(bytes_in(&restored, "7").await, Some(body("7", 7)));
}

fn blobs_in(backups: &Path) -> Vec<PathBuf> {
    let folders = std::fs::read_dir(backups.join("blobs/data")).unwrap();
    let files = folders.flat_map(|folder| std::fs::read_dir(folder.unwrap().path()).unwrap());
    files.map(|file| file.unwrap().path()).collect()
}

fn said(output: &std::process::Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned()
}

#[tokio::test]
async fn a_backup_that_is_damaged_or_unfinished_is_told() {
    let scene = Scene::start().await;
    let client = scene.server.client();
    assert_eq!(
        put_bytes(&client, "uploads", "1", body("1", 1)).await,
        Ok(())
    );
    let nothing = scene.run("restore", &["--data-dir", "new"]);
    assert!(
        said(&nothing).contains("is no folder of backups"),
        "{nothing:?}"
    );
    let made = scene.backup(&["--copy"]);
    let used = scene.run("restore", &[]);
    assert!(said(&used).contains("is not empty"), "{used:?}");
    let inside = scene.server.data_folder().join("backups");
    let inside = scene.server.command(&["backup", inside.to_str().unwrap()]);
    assert!(
        said(&inside).contains("a backup must lie elsewhere"),
        "{inside:?}"
    );
    let other = scene
        .server
        .command(&["backup", scene.place.path().to_str().unwrap()]);
    assert!(
        said(&other).contains("is no folder of backups"),
        "{other:?}"
    );

    let file = blobs_in(&scene.folder()).remove(0);
    let good = std::fs::read(&file).unwrap();
    let mut bad = good.clone();
    bad[70_000] ^= 1;
    std::fs::write(&file, bad).unwrap();
    let verified = scene.run("backup", &["--verify"]);
    assert_eq!(verified.status.code(), Some(1));
    assert!(said(&verified).contains("is corrupt"), "{verified:?}");
    let restored = scene.run("restore", &["--data-dir", "damaged"]);
    assert_eq!(restored.status.code(), Some(1));
    assert!(
        said(&restored).contains("missing-blob: uploads/1"),
        "{restored:?}"
    );
    std::fs::write(&file, good).unwrap();

    // A generation is whole by its manifest alone.
    let name = made["generation"].as_str().unwrap();
    let generation = scene.folder().join("generations").join(name);
    let table = std::fs::read_dir(generation.join("meta")).unwrap();
    let table = table.map(|file| file.unwrap().path());
    let table = table
        .into_iter()
        .find(|file| file.extension().is_some_and(|end| end == "sst"));
    let table = table.unwrap();
    let bytes = std::fs::read(&table).unwrap();
    std::fs::write(&table, &bytes[1..]).unwrap();
    let cut = scene.run("restore", &["--data-dir", "cut"]);
    assert!(said(&cut).contains("bytes instead of"), "{cut:?}");
    std::fs::remove_file(generation.join("manifest.json")).unwrap();
    let none = scene.run("restore", &["--data-dir", "none"]);
    assert!(said(&none).contains("holds no whole backup"), "{none:?}");
    assert_eq!(get(&client, "uploads", "1").await, Ok(()));
}

#[tokio::test]
async fn keys_go_along_for_their_owner_only() {
    let scene = Scene::start().await;
    let made = scene.backup(&[]);
    assert_eq!(made["keys"], serde_json::json!(["master-key.json"]));
    let name = made["generation"].as_str().unwrap();
    let key = scene
        .folder()
        .join("generations")
        .join(name)
        .join("keys/master-key.json");
    let mode = std::os::unix::fs::PermissionsExt::mode(&key.metadata().unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    let without = scene.backup(&["--without-keys"]);
    assert_eq!(without["keys"], serde_json::json!([]));
    // Sealed by the master key, readable where it came along.
    let scene = Scene::start().await;
    let sealed = scene
        .server
        .client()
        .put_object()
        .bucket("uploads")
        .key("sealed");
    let sealed = sealed.server_side_encryption(aws_sdk_s3::types::ServerSideEncryption::Aes256);
    let body = aws_sdk_s3::primitives::ByteStream::from_static(b"secret");
    sealed.body(body).send().await.unwrap();
    scene.backup(&[]);
    let restored = scene.restored("sealed").await;
    assert_eq!(
        bytes_in(&restored, "sealed").await,
        Some(b"secret".to_vec())
    );
}

#[tokio::test]
async fn a_backup_takes_no_more_of_the_disk_than_it_may() {
    let scene = Scene::start().await;
    let client = scene.server.client();
    let large = bytes_of(5, 600_000);
    put_bytes(&client, "uploads", "large", large).await.unwrap();
    let began = Instant::now();
    let report = scene.backup(&["--copy", "--rate", "400KB"]);
    assert!(began.elapsed() >= Duration::from_millis(1400));
    assert!(report["copied_bytes"].as_u64().unwrap() >= 600_000);
    assert!(scene.run("backup", &["--verify"]).status.success());
    let refused = scene.run("backup", &["--rate", "0"]);
    assert!(said(&refused).contains("more than nothing"));
}
