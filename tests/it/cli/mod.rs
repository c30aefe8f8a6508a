//! The commands of the real binary, beside a server at work and without one.

mod admin_listener;
mod backup;
mod bench;
mod damage;
mod explain;
mod key_policy;
mod keys;
mod listen;
mod pipe;
mod presign;
mod quota;
mod reload;
mod status;
mod transfer;
mod upkeep;

use std::process::Output;

use aws_sdk_s3::config::Credentials;
use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::primitives::ByteStream;
use serde_json::Value;

pub(crate) use upkeep::only_blob;

use crate::receiver::SECRET;
use crate::support::{Server, client_config};

/// What a command that must succeed prints.
pub(crate) fn run(server: &Server, line: &str) -> String {
    let output = try_run(server, line);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "consign {line}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

pub(crate) fn json(server: &Server, line: &str) -> Value {
    serde_json::from_str(&run(server, &format!("{line} --json"))).unwrap()
}

pub(crate) fn try_run(server: &Server, line: &str) -> Output {
    let arguments: Vec<_> = line.split(' ').collect();
    server.command(&arguments)
}

/// What a command that must fail says.
pub(crate) fn refused(server: &Server, line: &str) -> String {
    let output = try_run(server, line);
    assert_eq!(output.status.code(), Some(1), "consign {line}");
    String::from_utf8(output.stderr).unwrap()
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field]
        .as_str()
        .unwrap_or_else(|| panic!("no {field} in {value}"))
}

/// A client that signs with what `keys add --json` or `keys rotate --json` printed.
fn client_of(server: &Server, key: &Value) -> aws_sdk_s3::Client {
    let (access_key, secret) = (text(key, "access_key"), text(key, "secret_key"));
    let credentials = Credentials::new(access_key, secret, None, None, "test");
    let config = client_config(&server.endpoint).credentials_provider(credentials);
    aws_sdk_s3::Client::from_conf(config.build())
}

pub(crate) async fn put(
    client: &aws_sdk_s3::Client,
    bucket: &str,
    key: &str,
) -> Result<(), String> {
    put_bytes(client, bucket, key, b"hello".to_vec()).await
}

pub(crate) async fn put_bytes(
    client: &aws_sdk_s3::Client,
    bucket: &str,
    key: &str,
    bytes: Vec<u8>,
) -> Result<(), String> {
    let body = ByteStream::from(bytes);
    let sent = client
        .put_object()
        .bucket(bucket)
        .key(key)
        .body(body)
        .send()
        .await;
    sent.map(drop)
        .map_err(|error| error.code().unwrap_or("?").to_owned())
}

async fn get(client: &aws_sdk_s3::Client, bucket: &str, key: &str) -> Result<(), String> {
    let sent = client.get_object().bucket(bucket).key(key).send().await;
    sent.map(drop)
        .map_err(|error| error.code().unwrap_or("?").to_owned())
}

pub(crate) async fn make_bucket(client: &aws_sdk_s3::Client, bucket: &str) {
    client.create_bucket().bucket(bucket).send().await.unwrap();
}

fn denied() -> Result<(), String> {
    Err("AccessDenied".to_owned())
}

#[tokio::test]
async fn a_configuration_is_checked_with_suggestions() {
    let server = Server::start().await;
    let endpoint = "[[callback.endpoint]]\nname = \"app\"\nurl = \"http://x/\"\n";
    let file = server.data_folder().join("check.toml");
    let line = format!("config check --config {}", file.display());
    for (text, says) in [
        ("lisen = \":1\"\n".to_owned(), "did you mean \"listen\"?"),
        (
            "[limits]\nconections = 1\n".to_owned(),
            "did you mean \"limits.connections\"?",
        ),
        (
            format!("{endpoint}secrets = [\"whsec_AAAAAAAAAAAAAAAAAAAAAA==\"]\n"),
            "24 to 64",
        ),
        (
            format!("{endpoint}secrets = [\"{SECRET}\"]\nattempts = 0\n"),
            "from 1 to 100",
        ),
        (
            format!(
                "{endpoint}secrets = [\"{SECRET}\"]\n[[callback.rule]]\nendpoint = \"app\"\n\
                 events = [\"s3:ObjectMade:*\"]\n"
            ),
            "s3:ObjectMade:*",
        ),
    ] {
        std::fs::write(&file, &text).unwrap();
        let said = refused(&server, &line);
        assert!(said.contains(says), "{text}: {said}");
    }
    std::fs::write(&file, "region = \"eu-west-1\"\n").unwrap();
    assert!(run(&server, &line).contains("eu-west-1"));
    assert!(run(&server, "status").contains("version"));
}
