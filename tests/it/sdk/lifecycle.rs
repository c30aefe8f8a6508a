//! What becomes of objects with time: set through the SDK, applied by a server whose days are short.

use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::types::{
    AbortIncompleteMultipartUpload, BucketLifecycleConfiguration, ExpirationStatus,
    LifecycleExpiration, LifecycleRule, LifecycleRuleAndOperator, LifecycleRuleFilter,
    NoncurrentVersionExpiration, Tag,
};

use super::{BUCKET, fault, put, ready};
use crate::support::Server;

fn rule(id: &str, prefix: &str) -> aws_sdk_s3::types::builders::LifecycleRuleBuilder {
    let filter = LifecycleRuleFilter::builder().prefix(prefix).build();
    let rule = LifecycleRule::builder().id(id).filter(filter);
    rule.status(ExpirationStatus::Enabled)
}

fn after(days: i32) -> LifecycleExpiration {
    LifecycleExpiration::builder().days(days).build()
}

async fn set(client: &Client, rules: Vec<LifecycleRule>) -> Result<(), (u16, String)> {
    let rules = BucketLifecycleConfiguration::builder().set_rules(Some(rules));
    let put = client.put_bucket_lifecycle_configuration().bucket(BUCKET);
    let put = put.lifecycle_configuration(rules.build().unwrap());
    match put.send().await {
        Ok(_set) => Ok(()),
        refused => Err(fault(refused)),
    }
}

#[tokio::test]
async fn rules_are_put_got_judged_and_deleted() {
    let (_server, client) = ready().await;
    let get = || {
        client
            .get_bucket_lifecycle_configuration()
            .bucket(BUCKET)
            .send()
    };
    let missing = (404, "NoSuchLifecycleConfiguration".to_owned());
    assert_eq!(fault(get().await), missing);
    let tag = Tag::builder().key("k").value("v").build().unwrap();
    let and = LifecycleRuleAndOperator::builder().prefix("a/").tags(tag);
    let and = and.object_size_greater_than(10).build();
    let filter = LifecycleRuleFilter::builder().and(and).build();
    let noncurrent = NoncurrentVersionExpiration::builder();
    let noncurrent = noncurrent.noncurrent_days(3).newer_noncurrent_versions(2);
    let stale = AbortIncompleteMultipartUpload::builder().days_after_initiation(7);
    let rules = vec![
        rule("one", "").filter(filter).expiration(after(1)).build(),
        rule("two", "b/")
            .noncurrent_version_expiration(noncurrent.build())
            .abort_incomplete_multipart_upload(stale.build())
            .build(),
    ];
    let rules: Vec<_> = rules.into_iter().map(Result::unwrap).collect();
    set(&client, rules.clone()).await.unwrap();
    assert_eq!(get().await.unwrap().rules(), rules);
    let one = |rule: aws_sdk_s3::types::builders::LifecycleRuleBuilder| vec![rule.build().unwrap()];
    let same = vec![rules[0].clone(), rules[0].clone()];
    for (rules, code) in [
        (one(rule("a", "a/").expiration(after(0))), "InvalidArgument"),
        (one(rule("a", "a/")), "InvalidRequest"),
        (same, "InvalidArgument"),
        (
            one(rule(&"i".repeat(256), "a/").expiration(after(1))),
            "InvalidArgument",
        ),
    ] {
        let refused = set(&client, rules).await.unwrap_err();
        assert_eq!(refused, (400, code.to_owned()));
    }
    assert_eq!(get().await.unwrap().rules(), rules);
    let delete = client.delete_bucket_lifecycle().bucket(BUCKET);
    delete.send().await.unwrap();
    assert_eq!(fault(get().await), missing);
}

#[tokio::test]
async fn every_answer_about_an_object_tells_when_it_goes() {
    let (_server, client) = ready().await;
    let rules = vec![rule("r 1", "gone/").expiration(after(1)).build().unwrap()];
    set(&client, rules).await.unwrap();
    let sent = client.put_object().bucket(BUCKET).key("gone/k");
    let sent = sent.send().await.unwrap().expiration.unwrap();
    assert!(sent.starts_with("expiry-date=\""), "{sent}");
    assert!(
        sent.ends_with("00:00:00 GMT\", rule-id=\"r%201\""),
        "{sent}"
    );
    let got = client.get_object().bucket(BUCKET).key("gone/k").send();
    assert_eq!(got.await.unwrap().expiration(), Some(sent.as_str()));
    let head = client.head_object().bucket(BUCKET).key("gone/k").send();
    assert_eq!(head.await.unwrap().expiration(), Some(sent.as_str()));
    put(&client, "kept/k", b"x").await;
    let head = client.head_object().bucket(BUCKET).key("kept/k").send();
    assert_eq!(head.await.unwrap().expiration(), None);
}

#[tokio::test]
async fn what_is_due_goes_and_nothing_else() {
    let server = Server::start_with("[lifecycle]\nday_seconds = 1\n").await;
    let client = server.client();
    client.create_bucket().bucket(BUCKET).send().await.unwrap();
    for key in ["gone/a", "gone/b", "kept/a", "later/a"] {
        put(&client, key, b"x").await;
    }
    let begin = client.create_multipart_upload().bucket(BUCKET);
    begin.key("gone/up").send().await.unwrap();
    let stale = AbortIncompleteMultipartUpload::builder().days_after_initiation(1);
    let gone = rule("gone", "gone/").expiration(after(1));
    let gone = gone.abort_incomplete_multipart_upload(stale.build());
    let later = rule("later", "later/").expiration(after(9_000));
    let rules = [gone, later].map(|rule| rule.build().unwrap());
    set(&client, rules.to_vec()).await.unwrap();
    let keys = async || {
        let listed = client.list_objects_v2().bucket(BUCKET).send().await;
        let listed = listed.unwrap().contents.unwrap_or_default();
        let keys = listed.into_iter().map(|object| object.key.unwrap());
        keys.collect::<Vec<_>>()
    };
    let uploads = async || {
        let listed = client.list_multipart_uploads().bucket(BUCKET).send().await;
        listed.unwrap().uploads.unwrap_or_default().len()
    };
    let done = async {
        while keys().await.len() > 2 || uploads().await > 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let patience = Duration::from_secs(60);
    tokio::time::timeout(patience, done).await.unwrap();
    assert_eq!(keys().await, ["kept/a", "later/a"]);
}
