//! Through aws-sdk-s3, as an app server's code calls it.

mod access;
mod append;
mod attributes;
mod bucket;
mod connection;
mod copy;
mod cors;
mod demand;
mod encryption;
mod lifecycle;
mod listing;
mod lock;
mod logging;
mod multipart;
mod notification;
mod object;
mod ownership;
mod part_copy;
mod parts;
mod policy;
mod rename;
mod versioning;
mod website;

use aws_sdk_s3::Client;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::BucketCannedAcl;
use serde_json::json;

use crate::support::Server;

pub(super) const BUCKET: &str = "sdk-uploads";

/// Keys that have gone wrong in other servers.
pub(super) const ODD_KEYS: [&str; 14] = [
    "..",
    "../../etc/passwd",
    "a/../b",
    "a/./b",
    "//two//slashes//",
    "/leading",
    "sp ace",
    "plus+plus",
    "per%cent%20",
    "q?u&e=r#y",
    "back\\slash",
    "<&>\"'",
    "ü/漢/🐈",
    "tab\tnew",
];

/// Lets anybody do `actions` to the bucket and all that is in it.
pub(super) async fn publish(client: &Client, actions: &[&str]) {
    let policy = json!({"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": "*", "Action": actions,
        "Resource": [format!("arn:aws:s3:::{BUCKET}"), format!("arn:aws:s3:::{BUCKET}/*")],
    }]});
    let put = client.put_bucket_policy().bucket(BUCKET);
    put.policy(policy.to_string()).send().await.unwrap();
}

/// A server with a bucket.
pub(super) async fn ready() -> (Server, Client) {
    let server = Server::start().await;
    let client = server.client();
    client.create_bucket().bucket(BUCKET).send().await.unwrap();
    (server, client)
}

pub(super) async fn put(client: &Client, key: &str, body: &[u8]) {
    let body = ByteStream::from(body.to_vec());
    let put = client.put_object().bucket(BUCKET).key(key).body(body);
    put.send()
        .await
        .unwrap_or_else(|error| panic!("{key}: {error:?}"));
}

pub(super) async fn get(client: &Client, key: &str) -> Vec<u8> {
    let got = client.get_object().bucket(BUCKET).key(key).send().await;
    let got = got.unwrap_or_else(|error| panic!("{key}: {error:?}"));
    got.body.collect().await.unwrap().to_vec()
}

/// The status and the code of what must have failed.
pub(super) fn fault<T: std::fmt::Debug, E>(outcome: Result<T, SdkError<E>>) -> (u16, String)
where
    E: ProvideErrorMetadata,
{
    let error = outcome.expect_err("this must fail");
    let status = error.raw_response().map_or(0, |raw| raw.status().as_u16());
    (status, error.code().unwrap_or_default().to_owned())
}

/// What whoever may not hears.
pub(super) fn denied() -> (u16, String) {
    (403, "AccessDenied".to_owned())
}

#[tokio::test]
async fn buckets_are_made_found_listed_and_deleted() {
    let (_server, client) = ready().await;
    for name in ["alpha", "beta", "gamma"] {
        client.create_bucket().bucket(name).send().await.unwrap();
    }
    client.head_bucket().bucket("beta").send().await.unwrap();
    client
        .get_bucket_location()
        .bucket("beta")
        .send()
        .await
        .unwrap();
    let all = client.list_buckets().send().await.unwrap();
    let names: Vec<_> = all.buckets().iter().filter_map(|one| one.name()).collect();
    assert_eq!(names, ["alpha", "beta", "gamma", BUCKET]);

    let first = client.list_buckets().max_buckets(2).send().await.unwrap();
    assert_eq!(first.buckets().len(), 2);
    let token = first.continuation_token().unwrap();
    let rest = client
        .list_buckets()
        .continuation_token(token)
        .send()
        .await
        .unwrap();
    assert_eq!(rest.buckets().len(), 2);
    // S3 takes an empty token for none where it lists buckets, and refuses it where it lists objects.
    let afresh = client.list_buckets().continuation_token("");
    assert_eq!(afresh.send().await.unwrap().buckets().len(), 4);
    let objects = client.list_objects_v2().bucket(BUCKET);
    let none = objects.continuation_token("").send().await;
    assert_eq!(fault(none), (400, "InvalidArgument".into()));

    // Made again with another list, a bucket would be open to all by a request for a new one.
    client.create_bucket().bucket(BUCKET).send().await.unwrap();
    let open = client.create_bucket().bucket(BUCKET);
    let open = open.acl(BucketCannedAcl::PublicRead).send().await;
    assert_eq!(fault(open), (409, "BucketAlreadyExists".into()));

    put(&client, "here", b"x").await;
    let full = client.delete_bucket().bucket(BUCKET).send().await;
    assert_eq!(fault(full), (409, "BucketNotEmpty".into()));
    client
        .delete_object()
        .bucket(BUCKET)
        .key("here")
        .send()
        .await
        .unwrap();
    client.delete_bucket().bucket(BUCKET).send().await.unwrap();
    let gone = client.list_objects_v2().bucket(BUCKET).send().await;
    assert_eq!(fault(gone), (404, "NoSuchBucket".into()));
    for name in ["Not_A_Name", "foo.-bar", "foo-.bar"] {
        let bad = client.create_bucket().bucket(name).send().await;
        assert_eq!(fault(bad), (400, "InvalidBucketName".into()), "{name}");
    }
}
