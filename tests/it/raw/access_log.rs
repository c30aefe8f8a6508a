//! The access log: a record for every request, in a file.

use std::path::Path;
use std::time::Duration;

use aws_sdk_s3::presigning::PresigningConfig;
use serde_json::Value;

use crate::support::{ACCESS_KEY, Server, plain_http, until};

/// A server that writes `format`, and its file.
async fn server(format: &str, more: &str) -> (Server, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log").display().to_string();
    let settings = format!("[access_log]\nfile = \"{path}\"\nformat = \"{format}\"\n{more}");
    (Server::start_with(&settings).await, folder)
}

/// The lines of the file, once there are `enough` of them.
async fn lines(path: &Path, enough: usize) -> Vec<String> {
    let mut lines = Vec::new();
    until("the records are written", async || {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        lines = text.lines().map(str::to_owned).collect();
        lines.len() >= enough
    })
    .await;
    lines
}

fn found<'a>(records: &'a [Value], operation: &str, status: u16) -> &'a Value {
    let mut found = records
        .iter()
        .filter(|record| record["operation"] == operation && record["status"] == status);
    found
        .next()
        .unwrap_or_else(|| panic!("no {operation} {status}: {records:#?}"))
}

#[tokio::test]
async fn every_request_leaves_a_record_the_refused_ones_too() {
    let (server, folder) = server("json", "").await;
    let client = server.client();
    let made = client.create_bucket().bucket("logged").send().await;
    made.unwrap();
    let put = client.put_object().bucket("logged").key("a b");
    put.body(b"hello".to_vec().into()).send().await.unwrap();
    let expires = PresigningConfig::expires_in(Duration::from_secs(60)).unwrap();
    let get = client.get_object().bucket("logged").key("a b");
    let url = get.presigned(expires).await.unwrap().uri().to_owned();
    let get = plain_http().get(&url).header("referer", &url);
    let got = get.send().await.unwrap();
    assert_eq!(got.text().await.unwrap(), "hello");
    let spoiled = url.replace("X-Amz-Signature=", "X-Amz-Signature=0");
    assert_eq!(
        plain_http().get(spoiled).send().await.unwrap().status(),
        403
    );
    let broken = plain_http().get(format!("{}/logged/%FF", server.endpoint));
    assert_eq!(broken.send().await.unwrap().status(), 400);
    let lines = lines(&folder.path().join("access.log"), 5).await;
    let records: Vec<Value> = lines
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let of = |operation: &str, status: u16| found(&records, operation, status);
    let put = of("PutObject", 200);
    assert_eq!(
        (put["bucket"].as_str(), put["key"].as_str()),
        (Some("logged"), Some("a%20b"))
    );
    assert_eq!(put["access_key"], ACCESS_KEY);
    assert_eq!(put["remote_ip"], "127.0.0.1");
    assert_eq!(put["object_size"], put["bytes_received"]);
    let got = of("GetObject", 200);
    assert_eq!(
        (got["bytes_sent"].as_u64(), got["object_size"].as_u64()),
        (Some(5), Some(5))
    );
    assert_eq!(got["authentication_type"], "QueryString");
    let refused = of("GetObject", 403);
    assert_eq!(refused["error_code"], "SignatureDoesNotMatch");
    assert_eq!(refused["requester"], Value::Null);
    assert_eq!(of("Unknown", 400)["error_code"], "InvalidURI");
    // What would let a reader of the log use the URL is not in it.
    let signature = url.split("X-Amz-Signature=").nth(1).unwrap();
    let signature = signature.split('&').next().unwrap();
    for line in &lines {
        assert!(!line.contains(signature), "{line}");
    }
    let uri = got["uri"].as_str().unwrap();
    assert!(uri.contains("X-Amz-Signature=REDACTED"), "{got}");
    let referer = got["referer"].as_str().unwrap();
    assert!(referer.contains("X-Amz-Credential=REDACTED"), "{got}");
}

#[tokio::test]
async fn records_in_s3s_format_survive_a_stop_and_go_on_behind_it() {
    let (mut server, folder) = server("aws", "").await;
    let path = folder.path().join("access.log");
    let client = server.client();
    client
        .create_bucket()
        .bucket("logged")
        .send()
        .await
        .unwrap();
    server.ask_to_stop();
    assert!(server.ended().await.success());
    // Nothing waits in memory any more: the file was written to its end before the server's.
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(" REST.PUT.BUCKET - \"PUT /logged"), "{text}");
    server.restart().await;
    server.client().list_buckets().send().await.unwrap();
    let lines = lines(&path, 2).await;
    assert!(lines[0].contains(" REST.PUT.BUCKET "), "{lines:?}");
    let last = lines.last().unwrap();
    assert!(last.contains(" REST.GET.SERVICE "), "{lines:?}");
}

#[tokio::test]
async fn a_full_file_is_rotated_and_a_moved_one_followed() {
    let (server, folder) = server("combined", "rotate_bytes = 400\nkeep = 2\n").await;
    let path = folder.path().join("access.log");
    let get = || plain_http().get(format!("{}/", server.endpoint)).send();
    for request in 1..=12 {
        assert_eq!(get().await.unwrap().status(), 403, "{request}");
    }
    lines(&folder.path().join("access.log.2"), 1).await;
    assert!(!folder.path().join("access.log.3").exists());
    let moved = folder.path().join("elsewhere");
    // Between two files there is none of that name.
    until("there is a file to move", async || {
        std::fs::rename(&path, &moved).is_ok()
    })
    .await;
    until("it is begun anew", async || path.exists()).await;
    get().await.unwrap();
    let lines = lines(&path, 1).await;
    assert!(lines[0].starts_with("127.0.0.1 - - ["), "{lines:?}");
}

#[tokio::test]
async fn a_file_that_can_not_be_opened_is_told_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let server = std::process::Command::new(env!("CARGO_BIN_EXE_consign"))
        .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
        .arg(folder.path().join("data"))
        .args(["--set", "access_log.file=/proc/no/such/folder/access.log"])
        .output()
        .unwrap();
    assert!(!server.status.success());
    let said = String::from_utf8_lossy(&server.stderr);
    assert!(said.contains("/proc/no/such/folder/access.log"), "{said}");
}
