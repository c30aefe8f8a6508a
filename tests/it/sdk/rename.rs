//! Objects that get other keys, through the SDK.

use aws_sdk_s3::Client;
use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::operation::rename_object::RenameObjectError;
use aws_sdk_s3::operation::rename_object::builders::RenameObjectFluentBuilder;
use aws_sdk_s3::primitives::DateTime;
use aws_sdk_s3::types::{
    BucketVersioningStatus, ChecksumMode, ServerSideEncryption, VersioningConfiguration,
};
use serde_json::json;

use super::{BUCKET, fault, get, put, ready};
use crate::support::bytes_of;

fn rename(client: &Client, from: &str, to: &str) -> RenameObjectFluentBuilder {
    let rename = client.rename_object().bucket(BUCKET).key(to);
    rename.rename_source(from)
}

async fn absent(client: &Client, key: &str) -> bool {
    let got = client.head_object().bucket(BUCKET).key(key).send().await;
    got.is_err()
}

async fn refused(rename: RenameObjectFluentBuilder) -> (u16, String) {
    let outcome: Result<_, SdkError<RenameObjectError>> = rename.send().await;
    fault(outcome)
}

fn code(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

fn fsck(server: &crate::support::Server) {
    let output = server.command(&["fsck", "--read-blobs"]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("Nothing is wrong."), "{said}");
}

#[tokio::test]
async fn an_object_stays_what_it_is_under_another_key() {
    let (server, client) = ready().await;
    let large = bytes_of(1, 300_000);
    let new = client.put_object().bucket(BUCKET).key("a b/ü+");
    let new = new.content_type("text/plain").metadata("m", "1");
    let new = new
        .tagging("t=1")
        .server_side_encryption(ServerSideEncryption::Aes256);
    new.body(large.clone().into()).send().await.unwrap();
    put(&client, "in the way", b"old").await;
    let head = async |key: &str| {
        let head = client.head_object().bucket(BUCKET).key(key);
        let head = head.checksum_mode(ChecksumMode::Enabled).send().await;
        head.unwrap()
    };
    let before = head("a b/ü+").await;
    rename(&client, "a%20b/%C3%BC%2B", "in the way")
        .send()
        .await
        .unwrap();
    assert!(absent(&client, "a b/ü+").await);
    assert!(get(&client, "in the way").await == large);
    let after = head("in the way").await;
    assert_eq!(after.e_tag(), before.e_tag());
    assert_eq!(after.last_modified(), before.last_modified());
    assert_eq!(after.content_type(), Some("text/plain"));
    assert_eq!(after.metadata(), before.metadata());
    assert_eq!(after.checksum_crc32(), before.checksum_crc32());
    assert_eq!(
        after.server_side_encryption(),
        before.server_side_encryption()
    );
    let tags = client.get_object_tagging().bucket(BUCKET).key("in the way");
    assert_eq!(tags.send().await.unwrap().tag_set().len(), 1);
    // A small one, which lies beside its record.
    put(&client, "small", b"x").await;
    rename(&client, "small", "smaller").send().await.unwrap();
    assert_eq!(get(&client, "smaller").await, b"x");
    fsck(&server);
    let list = client
        .list_objects_v2()
        .bucket(BUCKET)
        .send()
        .await
        .unwrap();
    assert_eq!(list.key_count(), Some(2));
}

#[tokio::test]
async fn conditions_on_both_keys_are_heeded() {
    let (_server, client) = ready().await;
    for key in ["from", "to"] {
        put(&client, key, key.as_bytes()).await;
    }
    let head = async |key: &str| {
        let head = client.head_object().bucket(BUCKET).key(key).send().await;
        head.unwrap()
    };
    let (from, to) = (head("from").await, head("to").await);
    let etag = from.e_tag.unwrap();
    // A date that is yet to come says nothing of what was modified since.
    let (from, to) = (from.last_modified.unwrap(), to.last_modified.unwrap());
    let (past, future) = (DateTime::from_secs(1), DateTime::from_secs(4_000_000_000));
    let failed = code(412, "PreconditionFailed");
    let go = |to: &str| rename(&client, "from", to);
    for attempt in [
        go("to").destination_if_none_match("*"),
        go("to").destination_if_match("\"x\""),
        go("to").destination_if_unmodified_since(past),
        go("to").destination_if_modified_since(to),
        go("new").destination_if_match("*"),
        go("new").destination_if_modified_since(past),
        go("to").source_if_match("\"x\""),
        go("to").source_if_none_match(&etag),
        go("to").source_if_none_match("*"),
        go("to").source_if_unmodified_since(past),
        go("to").source_if_modified_since(from),
    ] {
        assert_eq!(refused(attempt).await, failed);
    }
    assert_eq!(get(&client, "from").await, b"from");
    assert_eq!(get(&client, "to").await, b"to");
    assert_eq!(
        refused(rename(&client, "none", "to")).await,
        code(404, "NoSuchKey")
    );
    assert_eq!(refused(go("from")).await, code(400, "InvalidRequest"));
    for source in ["", "%zz"] {
        let attempt = rename(&client, source, "to");
        assert_eq!(
            refused(attempt).await,
            code(400, "InvalidArgument"),
            "{source}"
        );
    }
    let missing = client.rename_object().bucket("nobucket").key("to");
    assert_eq!(
        refused(missing.rename_source("from")).await,
        code(404, "NoSuchBucket")
    );
    let fine = go("to")
        .source_if_match(&etag)
        .source_if_modified_since(past);
    let fine = fine.source_if_unmodified_since(future);
    fine.destination_if_match("*").send().await.unwrap();
    assert_eq!(get(&client, "to").await, b"from");
    let new = rename(&client, "to", "new").destination_if_none_match("*");
    new.send().await.unwrap();
}

#[tokio::test]
async fn of_many_renames_of_one_object_one_wins() {
    let (server, client) = ready().await;
    put(&client, "from", &bytes_of(7, 100_000)).await;
    let attempts = (0..24).map(|number| {
        let to = format!("to-{}", number % 8);
        rename(&client, "from", &to).send()
    });
    let outcomes = futures_util::future::join_all(attempts).await;
    let mut won = 0;
    for outcome in outcomes {
        match outcome {
            Ok(_done) => won += 1,
            lost => assert_eq!(fault(lost), code(404, "NoSuchKey")),
        }
    }
    assert_eq!(won, 1);
    let list = client
        .list_objects_v2()
        .bucket(BUCKET)
        .send()
        .await
        .unwrap();
    assert_eq!(list.key_count(), Some(1));
    assert!(get(&client, list.contents()[0].key().unwrap()).await == bytes_of(7, 100_000));
    fsck(&server);
}

#[tokio::test]
async fn renames_and_writes_of_the_same_keys_lose_nothing() {
    let (server, client) = ready().await;
    put(&client, "a", b"0").await;
    // Back and forth, beside writers of both keys.
    let turns = (0..30_u8).map(|number| {
        let client = client.clone();
        async move {
            let (from, to) = if number % 2 == 0 {
                ("a", "b")
            } else {
                ("b", "a")
            };
            if number % 3 == 0 {
                return put(&client, from, &vec![number; 70_000]).await;
            }
            let turned = rename(&client, from, to).send().await;
            if turned.is_err() {
                assert_eq!(fault(turned), code(404, "NoSuchKey"));
            }
        }
    });
    futures_util::future::join_all(turns).await;
    fsck(&server);
}

#[tokio::test]
async fn a_token_makes_a_rename_happen_once() {
    let (_server, client) = ready().await;
    put(&client, "from", b"one").await;
    let once = || rename(&client, "from", "to").client_token("token-1");
    once().send().await.unwrap();
    put(&client, "from", b"two").await;
    // Sent again, and with a condition that no longer holds: it is done.
    let again = once().destination_if_none_match("*");
    again.send().await.unwrap();
    assert_eq!(get(&client, "to").await, b"one");
    assert_eq!(get(&client, "from").await, b"two");
    let other = rename(&client, "other", "to").client_token("token-1");
    let mismatch = code(400, "IdempotencyParameterMismatch");
    assert_eq!(refused(other).await, mismatch);
    for token in ["a b", &"x".repeat(65)] {
        let attempt = rename(&client, "from", "to").client_token(token);
        assert_eq!(refused(attempt).await, code(400, "InvalidArgument"));
    }
    let second = rename(&client, "from", "to").client_token("token-2");
    second.send().await.unwrap();
    assert_eq!(get(&client, "to").await, b"two");
}

#[tokio::test]
async fn versions_are_never_renamed() {
    let (_server, client) = ready().await;
    put(&client, "from", b"x").await;
    let state = code(409, "InvalidBucketState");
    for status in [
        BucketVersioningStatus::Enabled,
        BucketVersioningStatus::Suspended,
    ] {
        let set = client.put_bucket_versioning().bucket(BUCKET);
        let status = VersioningConfiguration::builder().status(status).build();
        set.versioning_configuration(status).send().await.unwrap();
        assert_eq!(refused(rename(&client, "from", "to")).await, state);
    }
    assert_eq!(get(&client, "from").await, b"x");
}

#[tokio::test]
async fn who_renames_must_be_let_read_delete_and_write() {
    let (server, client) = ready().await;
    let tenant = server.tenant("tenant");
    let arn = |key: &str| format!("arn:aws:s3:::{BUCKET}/{key}");
    let allow = async |actions: &[&str], keys: &[&str]| {
        let keys: Vec<_> = keys.iter().map(|key| arn(key)).collect();
        let policy = json!({"Statement": [{"Effect": "Allow", "Principal": "*",
            "Action": actions, "Resource": keys}]});
        let put = client.put_bucket_policy().bucket(BUCKET);
        put.policy(policy.to_string()).send().await.unwrap();
    };
    put(&client, "from", b"x").await;
    let all = ["s3:GetObject", "s3:DeleteObject", "s3:PutObject"];
    let go = || rename(&tenant, "from", "to");
    for missing in 0..3 {
        let mut some = all.to_vec();
        some.remove(missing);
        allow(&some, &["from", "to"]).await;
        assert_eq!(refused(go()).await, code(403, "AccessDenied"), "{missing}");
    }
    for only in ["from", "to"] {
        allow(&all, &[only]).await;
        assert_eq!(refused(go()).await, code(403, "AccessDenied"), "{only}");
    }
    allow(&all, &["from", "to"]).await;
    go().send().await.unwrap();
    assert_eq!(get(&client, "to").await, b"x");
}
