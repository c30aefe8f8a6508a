//! Data of an earlier release: opened by the program of today, everything in it is there.
//! `tests/upgrade/make` made it.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::Credentials;
use aws_sdk_s3::error::ProvideErrorMetadata as _;
use aws_sdk_s3::types::ObjectLockMode;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tempfile::TempDir;

use crate::receiver::{Inbox, Receiver};
use crate::support::{Server, client_config};

const CUSTOMER_KEY: &[u8; 32] = b"0123456789abcdef0123456789abcdef";
const PART: usize = 5 * 1024 * 1024;

fn large() -> Vec<u8> {
    b"large ".repeat(20_000)
}

fn unpacked(release: &str) -> TempDir {
    let folder = TempDir::new().unwrap();
    let archive = format!("tests/upgrade/data-{release}.tar.gz");
    let archive = Path::new(env!("CARGO_MANIFEST_DIR")).join(archive);
    let mut tar = Command::new("tar");
    tar.args(["-C", folder.path().to_str().unwrap(), "-xzf"])
        .arg(archive);
    assert!(tar.status().unwrap().success());
    folder
}

async fn bytes(client: &Client, bucket: &str, key: &str) -> Vec<u8> {
    let got = client.get_object().bucket(bucket).key(key).send().await;
    let got = got.unwrap_or_else(|error| panic!("{bucket}/{key}: {error:?}"));
    got.body.collect().await.unwrap().to_vec()
}

#[tokio::test]
async fn what_issue_4_wrote_is_there() {
    let inbox = Arc::new(Inbox::default());
    let receiver = Receiver::start("127.0.0.1:0", Arc::clone(&inbox), 0).await;
    let configuration = receiver.configuration("plain");
    let server = Server::start_in(unpacked("issue-4"), &configuration).await;
    let client = server.client();
    objects(&client).await;
    versions(&client).await;
    uploads(&client).await;
    settings(&server, &client).await;
    locks(&client).await;
    sealed(&client).await;
    keys(&server).await;
    // Its callback was not delivered there.
    inbox
        .wait(Duration::from_secs(120), |keys| {
            keys.contains(&"told/1".to_owned())
        })
        .await;
    let fsck = server.command(&["fsck", "--read-blobs"]);
    assert!(fsck.status.success(), "{fsck:?}");
    receiver.die().await;
}

async fn objects(client: &Client) {
    let small = client
        .get_object()
        .bucket("plain")
        .key("small")
        .send()
        .await
        .unwrap();
    assert_eq!(small.content_type(), Some("text/plain"));
    assert_eq!(small.cache_control(), Some("no-store"));
    assert_eq!(small.metadata().unwrap()["who"], "me");
    assert_eq!(small.tag_count(), Some(2));
    assert_eq!(&*small.body.collect().await.unwrap().to_vec(), b"small");
    assert_eq!(bytes(client, "plain", "large").await, large());
    assert_eq!(bytes(client, "plain", "copied").await, large());
    assert_eq!(bytes(client, "plain", "odd/../ä\u{a0}/").await, b"odd");
    assert_eq!(bytes(client, "plain", "appended").await, b"one two");
    assert_eq!(bytes(client, "plain", "once").await, b"once");
    let gone = client
        .head_object()
        .bucket("plain")
        .key("gone")
        .send()
        .await;
    assert!(gone.is_err());
    let more = client
        .put_object()
        .bucket("plain")
        .key("appended")
        .write_offset_bytes(7);
    more.body(b" three".to_vec().into()).send().await.unwrap();
    assert_eq!(bytes(client, "plain", "appended").await, b"one two three");
}

async fn versions(client: &Client) {
    let found = client
        .list_object_versions()
        .bucket("versions")
        .send()
        .await
        .unwrap();
    assert_eq!(found.delete_markers().len(), 1);
    let mut bodies = Vec::new();
    for version in found.versions() {
        let id = version.version_id().unwrap();
        let got = client
            .get_object()
            .bucket("versions")
            .key("key")
            .version_id(id);
        bodies.push(
            got.send()
                .await
                .unwrap()
                .body
                .collect()
                .await
                .unwrap()
                .to_vec(),
        );
    }
    assert_eq!(bodies, [large(), b"first".to_vec(), b"null".to_vec()]);
}

async fn uploads(client: &Client) {
    let whole = bytes(client, "uploads", "whole").await;
    assert!(whole.len() == PART + 7 && whole.ends_with(b"the end"));
    let under_way = client
        .list_multipart_uploads()
        .bucket("uploads")
        .send()
        .await
        .unwrap();
    let id = under_way.uploads()[0].upload_id().unwrap();
    let parts = client
        .list_parts()
        .bucket("uploads")
        .key("under way")
        .upload_id(id);
    let parts = parts.send().await.unwrap();
    let parts: Vec<_> = parts
        .parts()
        .iter()
        .map(|part| {
            aws_sdk_s3::types::CompletedPart::builder()
                .part_number(part.part_number().unwrap())
                .e_tag(part.e_tag().unwrap())
                .build()
        })
        .collect();
    assert_eq!(parts.len(), 2);
    let parts = aws_sdk_s3::types::CompletedMultipartUpload::builder().set_parts(Some(parts));
    let complete = client
        .complete_multipart_upload()
        .bucket("uploads")
        .key("under way");
    complete
        .upload_id(id)
        .multipart_upload(parts.build())
        .send()
        .await
        .unwrap();
    let done = client
        .get_object()
        .bucket("uploads")
        .key("under way")
        .send()
        .await
        .unwrap();
    assert_eq!(done.metadata().unwrap()["of"], "under way");
    assert_eq!(done.body.collect().await.unwrap().to_vec().len(), PART + 5);
}

async fn settings(server: &Server, client: &Client) {
    let bucket = "settings";
    let policy = client
        .get_bucket_policy()
        .bucket(bucket)
        .send()
        .await
        .unwrap();
    assert!(policy.policy().unwrap().contains("public/*"));
    for key in ["public/1", "listed"] {
        let anonymous = crate::support::plain_http();
        let got = anonymous
            .get(format!("{}/{bucket}/{key}", server.endpoint))
            .send()
            .await;
        assert_eq!(got.unwrap().status(), 200, "{key}");
    }
    let tags = client
        .get_bucket_tagging()
        .bucket(bucket)
        .send()
        .await
        .unwrap();
    assert_eq!(tags.tag_set()[0].value(), "old");
    let cors = client
        .get_bucket_cors()
        .bucket(bucket)
        .send()
        .await
        .unwrap();
    assert_eq!(
        cors.cors_rules()[0].allowed_origins(),
        ["https://a.example"]
    );
    let lifecycle = client.get_bucket_lifecycle_configuration().bucket(bucket);
    assert_eq!(lifecycle.send().await.unwrap().rules()[0].id(), Some("old"));
    let website = client
        .get_bucket_website()
        .bucket(bucket)
        .send()
        .await
        .unwrap();
    assert_eq!(website.index_document().unwrap().suffix(), "index.html");
    assert!(
        client
            .get_bucket_encryption()
            .bucket(bucket)
            .send()
            .await
            .is_ok()
    );
    let ownership = client
        .get_bucket_ownership_controls()
        .bucket(bucket)
        .send()
        .await;
    assert!(ownership.is_ok());
}

async fn locks(client: &Client) {
    let retained = client
        .head_object()
        .bucket("locked")
        .key("retained")
        .send()
        .await
        .unwrap();
    assert_eq!(
        retained.object_lock_mode(),
        Some(&ObjectLockMode::Compliance)
    );
    for key in ["retained", "held"] {
        let head = client
            .head_object()
            .bucket("locked")
            .key(key)
            .send()
            .await
            .unwrap();
        let id = head.version_id().unwrap();
        let delete = client
            .delete_object()
            .bucket("locked")
            .key(key)
            .version_id(id);
        let refused = delete.send().await.unwrap_err();
        assert_eq!(refused.code(), Some("AccessDenied"), "{key}");
    }
}

async fn sealed(client: &Client) {
    assert_eq!(bytes(client, "sealed", "s3").await, b"by the server's key");
    assert_eq!(bytes(client, "sealed", "kms").await, b"by a named key");
    let md5 = {
        use md5::Digest as _;
        STANDARD.encode(md5::Md5::digest(CUSTOMER_KEY))
    };
    let got = client
        .get_object()
        .bucket("sealed")
        .key("customer")
        .sse_customer_algorithm("AES256");
    let got = got
        .sse_customer_key(STANDARD.encode(CUSTOMER_KEY))
        .sse_customer_key_md5(md5);
    let body = got.send().await.unwrap().body.collect().await.unwrap();
    assert_eq!(&*body.to_vec(), b"by the client's key");
}

async fn keys(server: &Server) {
    let of = |access_key: &str, secret: &str| {
        let credentials = Credentials::new(access_key, secret, None, None, "test");
        let config = client_config(&server.endpoint).credentials_provider(credentials);
        Client::from_conf(config.build())
    };
    let reader = of("AKIAREADER0000000001", "reader-secret-0123456789");
    assert_eq!(bytes(&reader, "plain", "small").await, b"small");
    let put = reader
        .put_object()
        .bucket("plain")
        .key("x")
        .send()
        .await
        .unwrap_err();
    assert_eq!(put.code(), Some("AccessDenied"));
    let tenant = of("AKIATENANT0000000001", "tenant-secret-0123456789");
    let buckets = tenant.list_buckets().send().await.unwrap();
    let names: Vec<_> = buckets
        .buckets()
        .iter()
        .filter_map(|one| one.name())
        .collect();
    assert_eq!(names, ["tenants"]);
    let quota = server.command(&["quota", "plain", "--json"]);
    assert!(String::from_utf8(quota.stdout).unwrap().contains("1000"));
}
