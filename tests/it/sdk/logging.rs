//! The records of a bucket's requests, delivered as objects.

use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::types::{
    BucketLoggingStatus, LoggingEnabled, PartitionDateSource, PartitionedPrefix,
    TargetObjectKeyFormat,
};

use super::{BUCKET, fault, get, put};
use crate::support::Server;

const LOGS: &str = "sdk-logs";

async fn server() -> (Server, Client) {
    let server = Server::start_with("[logging]\nseconds = 1\n").await;
    let client = server.client();
    for bucket in [BUCKET, LOGS] {
        client.create_bucket().bucket(bucket).send().await.unwrap();
    }
    (server, client)
}

async fn set(client: &Client, logging: Option<LoggingEnabled>) -> Result<(), (u16, String)> {
    let status = BucketLoggingStatus::builder().set_logging_enabled(logging);
    let put = client.put_bucket_logging().bucket(BUCKET);
    match put.bucket_logging_status(status.build()).send().await {
        Ok(_set) => Ok(()),
        refused => Err(fault(refused)),
    }
}

fn to(bucket: &str) -> aws_sdk_s3::types::builders::LoggingEnabledBuilder {
    let to = LoggingEnabled::builder().target_bucket(bucket);
    to.target_prefix("log/")
}

/// All records, and the keys of their objects, once `enough` of them are there.
async fn records(client: &Client, enough: usize) -> (Vec<String>, Vec<String>) {
    let all = async {
        loop {
            let listed = client.list_objects_v2().bucket(LOGS).send().await.unwrap();
            let (mut lines, mut keys) = (Vec::new(), Vec::new());
            for object in listed.contents() {
                let key = object.key().unwrap();
                let got = client.get_object().bucket(LOGS).key(key).send().await;
                let text = got.unwrap().body.collect().await.unwrap().to_vec();
                let text = String::from_utf8(text).unwrap();
                lines.extend(text.lines().map(str::to_owned));
                keys.push(key.to_owned());
            }
            if lines.len() >= enough {
                return (lines, keys);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), all)
        .await
        .unwrap()
}

#[tokio::test]
async fn requests_leave_records_in_s3s_format_after_a_restart_too() {
    let (mut server, client) = server().await;
    set(&client, Some(to(LOGS).build().unwrap())).await.unwrap();
    let got = client.get_bucket_logging().bucket(BUCKET).send().await;
    let got = got.unwrap().logging_enabled.unwrap();
    assert_eq!((got.target_bucket(), got.target_prefix()), (LOGS, "log/"));
    put(&client, "a b", b"hello").await;
    assert_eq!(get(&client, "a b").await, b"hello");
    // What waits is delivered before the server ends.
    server.ask_to_stop();
    assert!(server.ended().await.success());
    server.restart().await;
    let client = server.client();
    let lost = client.get_object().bucket(BUCKET).key("lost").send().await;
    assert_eq!(fault(lost).0, 404);
    let (lines, keys) = records(&client, 4).await;
    for key in keys {
        // log/2026-11-24-00-20-26-0123456789ABCDEF
        let (time, unique) = key.strip_prefix("log/").unwrap().split_at(20);
        assert_eq!(time.matches('-').count(), 6, "{key}");
        assert_eq!(unique.len(), 16, "{key}");
    }
    let owner = client.list_buckets().send().await.unwrap().owner.unwrap();
    let owner = owner.id.unwrap();
    let of = |operation: &str, status: &str| {
        let found = lines.iter().find(|line| {
            line.contains(&format!(" {operation} ")) && line.contains(&format!("\" {status} "))
        });
        found.unwrap_or_else(|| panic!("no {operation} in {lines:#?}"))
    };
    let put = of("REST.PUT.OBJECT", "200");
    assert!(put.starts_with(&format!("{owner} {BUCKET} [")), "{put}");
    assert!(put.contains(&format!(" 127.0.0.1 {owner} ")), "{put}");
    assert!(put.contains(" a%20b \"PUT /sdk-uploads/a%20b?"), "{put}");
    assert!(put.contains(" SigV4 - AuthHeader "), "{put}");
    let got = of("REST.GET.OBJECT", "200");
    assert!(got.contains(" HTTP/1.1\" 200 - 5 5 "), "{got}");
    of("REST.GET.LOGGING_STATUS", "200");
    let lost = of("REST.GET.OBJECT", "404");
    assert!(lost.contains(" 404 NoSuchKey "), "{lost}");
}

#[tokio::test]
async fn a_target_must_be_there_and_keys_may_be_made_by_day() {
    let (server, client) = server().await;
    let invalid = || Err((400, "InvalidTargetBucketForLogging".to_owned()));
    let missing = to("no-such-bucket-here").build().unwrap();
    assert_eq!(set(&client, Some(missing)).await, invalid());
    let tenant = server.tenant("tenant");
    tenant
        .create_bucket()
        .bucket("theirs")
        .send()
        .await
        .unwrap();
    let theirs = to("theirs").build().unwrap();
    assert_eq!(set(&client, Some(theirs)).await, invalid());

    let by = PartitionDateSource::EventTime;
    let by = PartitionedPrefix::builder()
        .partition_date_source(by)
        .build();
    let format = TargetObjectKeyFormat::builder()
        .partitioned_prefix(by)
        .build();
    let logging = to(LOGS).target_object_key_format(format).build().unwrap();
    set(&client, Some(logging.clone())).await.unwrap();
    let got = client.get_bucket_logging().bucket(BUCKET).send().await;
    assert_eq!(got.unwrap().logging_enabled.unwrap(), logging);
    put(&client, "k", b"x").await;
    let (_, keys) = records(&client, 2).await;
    let parts: Vec<_> = keys[0].split('/').collect();
    assert_eq!(parts.len(), 8, "{keys:?}");
    assert_eq!((parts[2], parts[3]), ("us-east-1", BUCKET));
    set(&client, None).await.unwrap();
    let got = client.get_bucket_logging().bucket(BUCKET).send().await;
    assert!(got.unwrap().logging_enabled.is_none());
}
