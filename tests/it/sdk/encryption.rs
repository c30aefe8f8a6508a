//! Encryption at rest through the SDK: what the disk holds is never what was sent.

use aws_sdk_s3::Client;
use aws_sdk_s3::types::{
    ServerSideEncryption, ServerSideEncryptionByDefault, ServerSideEncryptionConfiguration,
    ServerSideEncryptionRule,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::Digest as _;

use super::{BUCKET, fault, get, ready};
use crate::support::{Server, bytes_of};

/// A word that is looked for on the disk.
const MARK: &[u8] = b"nobody-may-read-this-on-the-disk";

fn secret() -> Vec<u8> {
    [MARK, &bytes_of(4, 200_000), MARK].concat()
}

/// Whether any file of the server holds the word.
fn is_on_disk(folder: &std::path::Path) -> bool {
    std::fs::read_dir(folder).unwrap().any(|entry| {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            return is_on_disk(&entry.path());
        }
        let bytes = std::fs::read(entry.path()).unwrap_or_default();
        bytes.windows(MARK.len()).any(|window| window == MARK)
    })
}

fn check_sealed(server: &Server) {
    assert!(!is_on_disk(&server.data_folder()), "the disk can be read");
}

/// A client's key: itself and its digest, in base64.
fn key(byte: u8) -> (String, String) {
    let key = [byte; 32];
    let digest = md5::Md5::digest(key);
    (STANDARD.encode(key), STANDARD.encode(digest))
}

#[tokio::test]
async fn what_is_not_sealed_can_be_read_on_the_disk() {
    let (server, client) = ready().await;
    super::put(&client, "plain", &secret()).await;
    assert!(is_on_disk(&server.data_folder()), "this test finds nothing");
}

#[tokio::test]
async fn the_servers_key_seals_by_header_and_by_default() {
    let (server, client) = ready().await;
    let put = client.put_object().bucket(BUCKET).key("asked");
    let put = put.server_side_encryption(ServerSideEncryption::Aes256);
    let put = put.body(secret().into()).send().await.unwrap();
    let aes = Some(&ServerSideEncryption::Aes256);
    assert_eq!(put.server_side_encryption(), aes);
    let default = ServerSideEncryptionByDefault::builder();
    let default = default.sse_algorithm(ServerSideEncryption::AwsKms);
    let default = default.kms_master_key_id("reports").build().unwrap();
    let rule = ServerSideEncryptionRule::builder();
    let rule = rule
        .apply_server_side_encryption_by_default(default)
        .build();
    let rules = ServerSideEncryptionConfiguration::builder().rules(rule);
    let set = client.put_bucket_encryption().bucket(BUCKET);
    let set = set.server_side_encryption_configuration(rules.build().unwrap());
    set.send().await.unwrap();
    let put = client.put_object().bucket(BUCKET).key("default");
    let put = put.body(secret().into()).send().await.unwrap();
    assert_eq!(put.ssekms_key_id(), Some("reports"));
    check_sealed(&server);
    for (name, kind) in [
        ("asked", ServerSideEncryption::Aes256),
        ("default", ServerSideEncryption::AwsKms),
    ] {
        let head = client.head_object().bucket(BUCKET).key(name).send().await;
        assert_eq!(head.unwrap().server_side_encryption(), Some(&kind));
        assert!(get(&client, name).await == secret());
        let part = client.get_object().bucket(BUCKET).key(name);
        let part = part.range("bytes=65530-65545").send().await.unwrap();
        let part = part.body.collect().await.unwrap().to_vec();
        assert_eq!(part, &secret()[65_530..65_546]);
    }
}

async fn read_with(client: &Client, name: &str, byte: u8) -> Result<Vec<u8>, (u16, String)> {
    let (key, digest) = key(byte);
    let get = client.get_object().bucket(BUCKET).key(name);
    let get = get.sse_customer_algorithm("AES256");
    let get = get.sse_customer_key(key).sse_customer_key_md5(digest);
    match get.send().await {
        Ok(got) => Ok(got.body.collect().await.unwrap().to_vec()),
        refused => Err(fault(refused)),
    }
}

#[tokio::test]
async fn the_clients_key_opens_what_it_sealed_and_nothing_else_does() {
    let (server, client) = ready().await;
    let (own, digest) = key(7);
    let put = client.put_object().bucket(BUCKET).key("k");
    let put = put.sse_customer_algorithm("AES256").sse_customer_key(&own);
    let put = put.sse_customer_key_md5(&digest).body(secret().into());
    let put = put.send().await.unwrap();
    assert_eq!(put.sse_customer_key_md5(), Some(digest.as_str()));
    check_sealed(&server);
    assert!(read_with(&client, "k", 7).await.unwrap() == secret());
    let denied = (403, "AccessDenied".to_owned());
    assert_eq!(read_with(&client, "k", 8).await, Err(denied));
    let without = client.get_object().bucket(BUCKET).key("k").send().await;
    let invalid = (400, "InvalidRequest".to_owned());
    assert_eq!(fault(without), invalid);
    let head = client.head_object().bucket(BUCKET).key("k").send().await;
    assert_eq!(fault(head).0, 400);
    let copy = client.copy_object().bucket(BUCKET).key("copy");
    let copy = copy.copy_source(format!("{BUCKET}/k"));
    assert_eq!(fault(copy.clone().send().await), invalid);
    let copy = copy.copy_source_sse_customer_algorithm("AES256");
    let copy = copy.copy_source_sse_customer_key(&own);
    let copy = copy.copy_source_sse_customer_key_md5(&digest);
    let copy = copy.server_side_encryption(ServerSideEncryption::Aes256);
    copy.send().await.unwrap();
    assert!(get(&client, "copy").await == secret());
    check_sealed(&server);
    let wrong = client.put_object().bucket(BUCKET).key("k");
    let wrong = wrong.sse_customer_algorithm("AES256").sse_customer_key(own);
    let wrong = wrong.sse_customer_key_md5(key(8).1).send().await;
    assert_eq!(fault(wrong), (400, "InvalidArgument".to_owned()));
}

#[tokio::test]
async fn an_earlier_master_key_opens_what_it_sealed() {
    let configuration = |current: u8, previous: &[u8]| {
        let previous: Vec<_> = previous.iter().map(|byte| key(*byte).0).collect();
        let current = key(current).0;
        format!("[encryption]\nmaster_key = {current:?}\nprevious_master_keys = {previous:?}\n")
    };
    let mut server = Server::start_with(&configuration(1, &[])).await;
    let create = server.client().create_bucket().bucket(BUCKET).send().await;
    create.unwrap();
    seal(&server.client(), "old").await;
    server.kill();
    server.restart_with(&configuration(2, &[1])).await;
    for name in ["old-AES256", "old-aws:kms"] {
        assert_eq!(get(&server.client(), name).await, secret(), "{name}");
    }
    seal(&server.client(), "new").await;
    server.kill();
    server.restart_with(&configuration(2, &[])).await;
    for name in ["new-AES256", "new-aws:kms"] {
        assert_eq!(get(&server.client(), name).await, secret(), "{name}");
        let lost = server.client().get_object().bucket(BUCKET);
        let lost = lost.key(name.replace("new", "old")).send().await;
        assert!(lost.is_err(), "the key that sealed it is gone");
    }
}

async fn seal(client: &Client, name: &str) {
    for mode in [ServerSideEncryption::Aes256, ServerSideEncryption::AwsKms] {
        let put = client.put_object().bucket(BUCKET);
        let put = put.key(format!("{name}-{mode}")).body(secret().into());
        let put = put.server_side_encryption(mode);
        put.send().await.unwrap();
    }
}
