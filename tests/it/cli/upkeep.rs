//! Dead letters and damage.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::{json, make_bucket, put, put_bytes, refused, run, text, try_run};
use crate::receiver::{Inbox, Receiver, SECRET};
use crate::support::{Server, bytes_of};

const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_dead_letter_is_shown_and_sent_again() {
    let inbox = Arc::new(Inbox::default());
    let receiver = Receiver::start("127.0.0.1:0", Arc::clone(&inbox), 0).await;
    let address = receiver.address.to_string();
    // The receiver knows only the old secret: during a rotation both sign.
    let new = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    let configuration = receiver.configuration("uploads");
    let both = format!("\"{new}\", \"{SECRET}\"]\nattempts = 1");
    let configuration = configuration.replace(&format!("\"{SECRET}\"]"), &both);
    receiver.die().await;
    let mut server = Server::start_with(&configuration).await;
    make_bucket(&server.client(), "uploads").await;
    assert_eq!(put(&server.client(), "uploads", "a b").await, Ok(()));
    let mut dead = Value::Null;
    for _ in 0..600 {
        dead = json(&server, "callbacks list --state dead --to app")["callbacks"].take();
        if !dead.as_array().unwrap().is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let id = text(&dead[0], "id");
    let shown = json(&server, &format!("callbacks show {id}"));
    assert_eq!(
        (text(&shown, "state"), &shown["attempts"]),
        ("dead", &1.into())
    );
    assert_eq!(shown["body"]["Records"][0]["s3"]["object"]["key"], "a+b");
    assert_eq!(shown["audit"].as_array().unwrap().len(), 1);
    let printed = run(&server, &format!("callbacks show msg_{id}"));
    assert!(
        printed.contains("uploads/a b") && !printed.contains("whsec"),
        "{printed}"
    );
    assert!(run(&server, "callbacks list --state dead").contains(id));
    assert!(!run(&server, "callbacks list --state dead --to other").contains(id));
    assert!(!run(&server, "callbacks list").contains(id));
    // They are counted without a look at those that were delivered, over a kill too.
    server.kill();
    server.restart().await;
    let counted = || json(&server, "status")["callbacks"]["dead"].clone();
    assert_eq!(counted(), 1);

    let receiver = Receiver::start(&address, Arc::clone(&inbox), 0).await;
    assert!(run(&server, "callbacks retry --dead --to app").contains("is tried again"));
    inbox.wait(PATIENCE, |keys| keys == ["a b"]).await;
    assert_eq!(counted(), 0);
    receiver.die().await;
    let missing = "0".repeat(32);
    assert!(refused(&server, &format!("callbacks retry {missing}")).contains("no such message"));
}

#[tokio::test]
async fn a_damaged_blob_is_found_with_a_server_and_without() {
    let mut server = Server::start().await;
    let client = server.client();
    make_bucket(&client, "uploads").await;
    assert_eq!(put(&client, "uploads", "small").await, Ok(()));
    let large = bytes_of(1, 200_000);
    assert_eq!(put_bytes(&client, "uploads", "large", large).await, Ok(()));
    let report = json(&server, "fsck --read-blobs");
    assert_eq!(
        (&report["records"], &report["blobs"]),
        (&2.into(), &1.into())
    );
    assert!(run(&server, "fsck").contains("Nothing is wrong."));

    let file = only_blob(&server);
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[70_000] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    run(&server, "fsck");
    for _running in [true, false] {
        let output = try_run(&server, "fsck --read-blobs");
        assert_eq!(output.status.code(), Some(1));
        let printed = String::from_utf8(output.stdout).unwrap();
        assert!(
            printed.contains("damaged-blob: uploads/large: "),
            "{printed}"
        );
        // A killed server leaves its announcement: the command opens the folder itself then.
        server.kill();
    }
    std::fs::remove_file(&file).unwrap();
    let output = try_run(&server, "fsck --json");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["kinds"]["missing-blob"], 1);
    let nowhere = refused(&server, "fsck --data-dir nowhere");
    assert!(nowhere.contains("holds no data"), "{nowhere}");
}

/// The one blob's file.
pub(crate) fn only_blob(server: &Server) -> std::path::PathBuf {
    let folders = std::fs::read_dir(server.data_folder().join("blobs/data")).unwrap();
    let files = folders.flat_map(|folder| std::fs::read_dir(folder.unwrap().path()).unwrap());
    let files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    let [file] = files.as_slice() else {
        panic!("{files:?}");
    };
    file.clone()
}
