//! Keys' own policies, together with those of buckets.

use serde_json::{Value, json};

use super::{client_of, denied, get, json as asked, make_bucket, put, refused, run, text};
use crate::support::Server;

fn policy_file(server: &Server, name: &str, statements: &Value) -> String {
    let file = server.data_folder().join(name);
    let policy = json!({ "Version": "2012-10-17", "Statement": statements });
    std::fs::write(&file, policy.to_string()).unwrap();
    file.display().to_string()
}

/// A client of a new key that has this policy.
fn holder(
    server: &Server,
    name: &str,
    options: &str,
    statements: &Value,
) -> (aws_sdk_s3::Client, Value) {
    let file = policy_file(server, name, statements);
    let line = format!("keys add {name} --policy {file}{options}");
    let key = asked(server, &line);
    (client_of(server, &key), key)
}

async fn set_bucket_policy(server: &Server, bucket: &str, statements: &Value) {
    let policy = json!({ "Version": "2012-10-17", "Statement": statements });
    let sent = server
        .client()
        .put_bucket_policy()
        .bucket(bucket)
        .policy(policy.to_string())
        .send();
    sent.await.unwrap();
}

async fn filled(server: &Server) {
    for bucket in ["uploads", "other"] {
        make_bucket(&server.client(), bucket).await;
        for key in ["in/a", "out"] {
            assert_eq!(put(&server.client(), bucket, key).await, Ok(()));
        }
    }
}

fn code<T, E: aws_sdk_s3::error::ProvideErrorMetadata>(sent: Result<T, E>) -> Result<(), String> {
    sent.map(drop)
        .map_err(|error| error.code().unwrap_or("?").to_owned())
}

#[tokio::test]
async fn a_policy_is_judged_when_the_key_is_made() {
    let server = Server::start().await;
    let all = json!({ "Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": "*" });
    let file = policy_file(&server, "bad", &all);
    let said = refused(&server, &format!("keys add x --policy {file}"));
    assert!(said.contains("should not specify a principal"), "{said}");
    let said = refused(&server, "keys add x --policy /nowhere/at-all");
    assert!(said.contains("/nowhere/at-all"), "{said}");
    let one = json!({ "Effect": "Allow", "Action": "s3:GetObject", "Resource": "*" });
    let (_client, made) = holder(&server, "reader", "", &one);
    assert!(text(&made, "policy").contains("s3:GetObject"), "{made}");
    let listed = run(&server, "keys list");
    assert!(listed.contains("as its policy allows"), "{listed}");
}

#[tokio::test]
async fn a_key_may_what_its_policy_or_the_buckets_allows() {
    let mut server = Server::start().await;
    filled(&server).await;
    let statements = json!([
        { "Effect": "Allow", "Action": ["s3:GetObject", "s3:PutObject"],
          "Resource": "arn:aws:s3:::uploads/in/*" },
        { "Effect": "Deny", "Action": "s3:*", "Resource": "arn:aws:s3:::uploads/in/secret" },
    ]);
    let (_client, key) = holder(&server, "app", "", &statements);
    server.kill();
    server.restart().await;
    let app = client_of(&server, &key);
    assert_eq!(get(&app, "uploads", "in/a").await, Ok(()));
    assert_eq!(put(&app, "uploads", "in/b").await, Ok(()));
    for (bucket, key) in [
        ("uploads", "out"),
        ("other", "in/a"),
        ("uploads", "in/secret"),
    ] {
        assert_eq!(get(&app, bucket, key).await, denied(), "{bucket}/{key}");
        assert_eq!(put(&app, bucket, key).await, denied(), "{bucket}/{key}");
    }
    assert_eq!(put(&app, "nowhere", "in/a").await, denied());
    assert_eq!(
        get(&app, "uploads", "in/none").await,
        denied(),
        "it may not list"
    );
    assert_eq!(code(app.list_buckets().send().await), denied());
    assert_eq!(
        code(app.create_bucket().bucket("mine").send().await),
        denied()
    );
    assert_eq!(
        code(app.delete_bucket().bucket("other").send().await),
        denied()
    );
    // The bucket's policy may allow what the key's does not, but not what it forbids.
    set_bucket_policy(
        &server,
        "uploads",
        &json!({ "Effect": "Allow", "Principal": { "AWS": text(&key, "arn") },
                 "Action": "s3:*", "Resource": "arn:aws:s3:::uploads/*" }),
    )
    .await;
    assert_eq!(get(&app, "uploads", "out").await, Ok(()));
    assert_eq!(put(&app, "uploads", "in/secret").await, denied());
    // A bucket's denial wins over the key's allowance.
    set_bucket_policy(
        &server,
        "uploads",
        &json!({ "Effect": "Deny", "Principal": "*", "Action": "s3:GetObject",
                 "Resource": "arn:aws:s3:::uploads/*" }),
    )
    .await;
    assert_eq!(get(&app, "uploads", "in/a").await, denied());
    assert_eq!(put(&app, "uploads", "in/a").await, Ok(()));
}

#[tokio::test]
async fn what_is_asked_beside_a_put_needs_its_own_permission() {
    let server = Server::start().await;
    filled(&server).await;
    let put_only = json!({ "Effect": "Allow", "Action": "s3:PutObject", "Resource": "*" });
    let (writer, _) = holder(&server, "writer", "", &put_only);
    let ask = || writer.put_object().bucket("uploads").key("k");
    assert_eq!(code(ask().send().await), Ok(()));
    assert_eq!(code(ask().tagging("a=b").send().await), denied());
    let public = aws_sdk_s3::types::ObjectCannedAcl::PublicRead;
    assert_eq!(code(ask().acl(public).send().await), denied());
    // Each key of a list is judged by itself.
    let some = json!({ "Effect": "Allow", "Action": "s3:DeleteObject",
                       "Resource": "arn:aws:s3:::uploads/in/*" });
    let (cleaner, _) = holder(&server, "cleaner", "", &some);
    let one = |key: &str| {
        let object = aws_sdk_s3::types::ObjectIdentifier::builder().key(key);
        object.build().unwrap()
    };
    let list = aws_sdk_s3::types::Delete::builder()
        .set_objects(Some(vec![one("in/a"), one("out")]))
        .build();
    let sent = cleaner
        .delete_objects()
        .bucket("uploads")
        .delete(list.unwrap());
    let answer = sent.send().await.unwrap();
    assert_eq!(answer.deleted()[0].key(), Some("in/a"));
    assert_eq!(answer.errors()[0].key(), Some("out"));
    assert_eq!(answer.errors()[0].code(), Some("AccessDenied"));
}

#[tokio::test]
async fn across_accounts_both_policies_must_allow() {
    let server = Server::start().await;
    filled(&server).await;
    asked(&server, "accounts add tenant");
    let read = json!({ "Effect": "Allow", "Action": "s3:GetObject",
                       "Resource": "arn:aws:s3:::uploads/in/*" });
    let (ann, key) = holder(&server, "ann", " --account tenant", &read);
    assert_eq!(get(&ann, "uploads", "in/a").await, denied());
    set_bucket_policy(
        &server,
        "uploads",
        &json!({ "Effect": "Allow", "Principal": { "AWS": text(&key, "arn") },
                 "Action": "s3:*", "Resource": "arn:aws:s3:::uploads/*" }),
    )
    .await;
    assert_eq!(get(&ann, "uploads", "in/a").await, Ok(()));
    assert_eq!(get(&ann, "uploads", "out").await, denied());
    assert_eq!(put(&ann, "uploads", "in/a").await, denied());
    // The scope of a key holds beside its policy.
    let everything = json!({ "Effect": "Allow", "Action": "*", "Resource": "*" });
    let (reader, _) = holder(
        &server,
        "reader",
        " --read-only --bucket uploads",
        &everything,
    );
    assert_eq!(get(&reader, "uploads", "out").await, Ok(()));
    assert_eq!(put(&reader, "uploads", "out").await, denied());
    assert_eq!(get(&reader, "other", "out").await, denied());
}

#[tokio::test]
async fn tags_of_a_new_bucket_need_their_own_permission() {
    let server = Server::start().await;
    let may = |actions: &[&str]| json!({ "Effect": "Allow", "Action": actions, "Resource": "*" });
    let (plain, _) = holder(&server, "plain", "", &may(&["s3:CreateBucket"]));
    let both = may(&["s3:CreateBucket", "s3:TagResource"]);
    let (tagger, _) = holder(&server, "tagger", "", &both);
    let create = async |client: &aws_sdk_s3::Client, name: &str| {
        let tag = aws_sdk_s3::types::Tag::builder().key("a").value("b");
        let given = aws_sdk_s3::types::CreateBucketConfiguration::builder();
        let given = given.tags(tag.build().unwrap()).build();
        let create = client.create_bucket().bucket(name);
        code(create.create_bucket_configuration(given).send().await)
    };
    assert_eq!(
        create(&plain, "tagged").await,
        Err("AccessDenied".to_owned())
    );
    assert_eq!(create(&tagger, "tagged").await, Ok(()));
    let bare = plain.create_bucket().bucket("bare").send().await;
    assert_eq!(code(bare), Ok(()));
}
