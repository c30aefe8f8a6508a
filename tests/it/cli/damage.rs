//! Damage of what lies on the disk: found by the scrub, told at the start, never served.

use serde_json::Value;

use super::upkeep::only_blob;
use super::{get, json, make_bucket, put, put_bytes, run, try_run};
use crate::support::{Server, bytes_of};

#[tokio::test]
async fn the_scrub_finds_damage_and_remembers_it() {
    let server = Server::start_with("[scrub]\nbytes_per_second = 0\n").await;
    let mut server = server;
    let client = server.client();
    make_bucket(&client, "uploads").await;
    assert_eq!(put(&client, "uploads", "small").await, Ok(()));
    let large = bytes_of(1, 200_000);
    assert_eq!(
        put_bytes(&client, "uploads", "a/large", large).await,
        Ok(())
    );
    let whole = json(&server, "scrub --now");
    assert_eq!(
        (&whole["records"], &whole["damage"]),
        (&2.into(), &Value::Array(vec![]))
    );
    assert!(run(&server, "scrub").contains("Nothing is known to be damaged."));

    let file = only_blob(&server);
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[70_000] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    for line in ["scrub --now", "scrub"] {
        let output = try_run(&server, line);
        let printed = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(1), "{printed}");
        assert!(
            printed.contains("damaged-blob: uploads/a/large: "),
            "{printed}"
        );
    }
    assert!(run(&server, "status").contains("damaged      1: see"));
    let range = client
        .get_object()
        .bucket("uploads")
        .key("a/large")
        .range("bytes=66000-80000");
    assert!(range.send().await.is_err(), "wrong bytes are not served");
    let known: Value = serde_json::from_slice(&try_run(&server, "scrub --json").stdout).unwrap();
    assert_eq!(known["damaged_reads"], 1);
    // It is remembered over a restart, and forgotten with what it was about.
    server.kill();
    server.restart().await;
    assert!(run(&server, "status").contains("damaged      1: see"));
    let delete = server
        .client()
        .delete_object()
        .bucket("uploads")
        .key("a/large");
    delete.send().await.unwrap();
    assert!(run(&server, "scrub").contains("Nothing is known to be damaged."));
    assert_eq!(get(&server.client(), "uploads", "small").await, Ok(()));
}

/// Why a start on this folder is refused.
fn refusal(server: &Server) -> String {
    let output = server.command(&["serve", "--listen", "127.0.0.1:0"]);
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8(output.stderr).unwrap()
}

#[tokio::test]
async fn a_start_over_lost_metadata_or_lost_blobs_is_refused() {
    let mut server = Server::start().await;
    let client = server.client();
    make_bucket(&client, "uploads").await;
    let large = bytes_of(1, 200_000);
    assert_eq!(put_bytes(&client, "uploads", "large", large).await, Ok(()));
    server.ask_to_stop();
    assert!(server.ended().await.success());
    let data = server.data_folder();
    for (name, says) in [
        ("meta", "the metadata of the blobs beside it is missing"),
        ("blobs", "the blobs that the metadata names are missing"),
        ("meta/CURRENT", "the file CURRENT is missing"),
    ] {
        let (from, away) = (data.join(name), data.join("away"));
        std::fs::rename(&from, &away).unwrap();
        let said = refusal(&server);
        assert!(
            said.contains(says) && said.contains("consign restore"),
            "{said}"
        );
        assert!(!from.exists(), "{name} is not made anew");
        std::fs::rename(&away, &from).unwrap();
    }
    server.restart().await;
    assert_eq!(get(&server.client(), "uploads", "large").await, Ok(()));
}
