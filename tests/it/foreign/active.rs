//! What a stranger's page can do in a real browser: nothing but be shown.

use std::path::Path;
use std::process::{Command, Stdio};

use super::clients;
use crate::support::Server;

/// Anybody may read what these buckets hold.
async fn put_public(client: &aws_sdk_s3::Client, bucket: &str, key: &str, kind: &str, text: &str) {
    client.create_bucket().bucket(bucket).send().await.unwrap();
    let policy = serde_json::json!({"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": "*", "Action": "s3:GetObject",
        "Resource": format!("arn:aws:s3:::{bucket}/*"),
    }]});
    let set = client.put_bucket_policy().bucket(bucket);
    set.policy(policy.to_string()).send().await.unwrap();
    let put = client.put_object().bucket(bucket).key(key);
    let put = put.content_type(kind).body(text.as_bytes().to_vec().into());
    put.send().await.unwrap();
}

/// What the page of `pages/active.cjs` says that it could reach, on a server of this configuration.
async fn reached(configuration: &str) -> serde_json::Value {
    let server = Server::start_with(configuration).await;
    let client = server.client();
    let page = include_str!("pages/active.html");
    put_public(&client, "strangers", "page.html", "text/html", page).await;
    put_public(&client, "other", "report.html", "text/html", "the report").await;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/foreign/pages/active.cjs");
    let modules = ["node", "test"].map(|part| clients().join("pages").join(part));
    let modules = modules.map(|folder| folder.join("node_modules"));
    let mut command = Command::new("node");
    command
        .arg(script)
        .arg(format!("{}/strangers/page.html", server.endpoint))
        .env("NODE_PATH", std::env::join_paths(modules).unwrap())
        .env("NODE_NO_WARNINGS", "1")
        .stdin(Stdio::null());
    let output = tokio::task::spawn_blocking(move || command.output());
    let output = output.await.unwrap().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test]
async fn a_strangers_page_reaches_neither_the_console_nor_another_bucket() {
    let kept = reached("").await;
    // Its script runs: a report is shown as it is meant to be.
    assert_eq!(kept["ran"], true);
    for what in ["console", "object", "frame", "storage", "origin"] {
        assert_eq!(kept[what], false, "{what}: {kept}");
    }
    // Without the header it would reach all of it: the browser is one that this test can fail in.
    let open = reached("active_content = \"allow\"\n").await;
    for what in ["ran", "console", "object", "frame", "storage", "origin"] {
        assert_eq!(open[what], true, "{what}: {open}");
    }
}
