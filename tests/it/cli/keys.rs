//! Keys and accounts.

use aws_sdk_s3::error::ProvideErrorMetadata;

use super::{client_of, denied, get, json, make_bucket, put, refused, run, text};
use crate::support::{ACCESS_KEY, Server, plain_http};

#[tokio::test]
async fn keys_are_managed_while_the_server_runs() {
    let mut server = Server::start().await;
    make_bucket(&server.client(), "uploads").await;
    let made = json(&server, "keys add app");
    let app = client_of(&server, &made);
    assert_eq!(put(&app, "uploads", "a").await, Ok(()));

    run(&server, "keys disable app");
    assert_eq!(
        put(&app, "uploads", "a").await,
        Err("InvalidAccessKeyId".to_owned())
    );
    run(&server, "keys enable app");
    assert_eq!(put(&app, "uploads", "a").await, Ok(()));

    let rotated = json(
        &server,
        &format!("keys rotate {}", text(&made, "access_key")),
    );
    assert_eq!(
        put(&app, "uploads", "a").await,
        Err("SignatureDoesNotMatch".to_owned())
    );
    let app = client_of(&server, &rotated);
    assert_eq!(put(&app, "uploads", "a").await, Ok(()));

    server.kill();
    server.restart().await;
    let app = client_of(&server, &rotated);
    assert_eq!(
        put(&app, "uploads", "a").await,
        Ok(()),
        "a key outlives a crash"
    );

    let listed = run(&server, "keys list");
    assert!(
        listed.contains(ACCESS_KEY) && listed.contains("app"),
        "{listed}"
    );
    assert!(!listed.contains(text(&rotated, "secret_key")), "{listed}");
    assert!(refused(&server, "keys add app").contains("there is a key app already"));
    assert!(refused(&server, "keys disable nobody").contains("there is no key nobody"));
    assert!(refused(&server, "keys disable root").contains("set by the configuration"));
    run(&server, "keys remove app");
    assert_eq!(
        put(&app, "uploads", "a").await,
        Err("InvalidAccessKeyId".to_owned())
    );
}

#[tokio::test]
async fn keys_are_held_to_their_scopes() {
    let server = Server::start().await;
    for bucket in ["uploads", "other"] {
        make_bucket(&server.client(), bucket).await;
        for key in ["in/a", "out"] {
            assert_eq!(put(&server.client(), bucket, key).await, Ok(()));
        }
    }
    let reader = client_of(&server, &json(&server, "keys add reader --read-only"));
    assert_eq!(get(&reader, "uploads", "out").await, Ok(()));
    assert_eq!(put(&reader, "uploads", "out").await, denied());
    let part = "keys add part --bucket uploads --prefix in/";
    let part = client_of(&server, &json(&server, part));
    assert_eq!(put(&part, "uploads", "in/b").await, Ok(()));
    assert_eq!(get(&part, "uploads", "in/a").await, Ok(()));
    for (bucket, key) in [("uploads", "out"), ("uploads", "inn"), ("other", "in/a")] {
        assert_eq!(get(&part, bucket, key).await, denied(), "{bucket}/{key}");
        assert_eq!(put(&part, bucket, key).await, denied(), "{bucket}/{key}");
    }
    let list = |prefix| {
        part.list_objects_v2()
            .bucket("uploads")
            .set_prefix(prefix)
            .send()
    };
    let seen = list(Some("in/".to_owned())).await.unwrap();
    assert_eq!(seen.key_count(), Some(2));
    assert_eq!(list(None).await.unwrap_err().code(), Some("AccessDenied"));
    let buckets = part.list_buckets().send().await.unwrap();
    let names: Vec<_> = buckets
        .buckets()
        .iter()
        .filter_map(|bucket| bucket.name())
        .collect();
    assert_eq!(names, ["uploads"]);
    // Only the root key administers.
    let own = format!("{}/-/admin/v1/keys", server.endpoint);
    assert_eq!(plain_http().get(own).send().await.unwrap().status(), 403);
}

#[tokio::test]
async fn an_account_owns_its_buckets_alone() {
    let server = Server::start().await;
    let id = "5e".repeat(32);
    let add = format!("accounts add tenant --id {id} --email Tenant@example.com");
    json(&server, &add);
    let root = &json(&server, "accounts list")["accounts"][0];
    assert_eq!(
        (text(root, "name"), &root["root"]),
        ("consign", &true.into())
    );
    assert!(refused(&server, "accounts add tenant").contains("already"));
    assert!(refused(&server, "keys add x --account nobody").contains("no account nobody"));
    let key = json(&server, "keys add ann --account tenant@example.com");
    assert_eq!(text(&key, "canonical_id"), id);
    let (ours, theirs) = (server.client(), client_of(&server, &key));
    make_bucket(&ours, "ours").await;
    make_bucket(&theirs, "theirs").await;
    assert_eq!(put(&theirs, "theirs", "a").await, Ok(()));
    assert_eq!(put(&theirs, "ours", "a").await, denied());
    assert_eq!(get(&ours, "theirs", "a").await, denied());
    assert_eq!(
        get(&theirs, "nowhere", "a").await,
        Err("NoSuchBucket".to_owned())
    );
    for (client, name, owner) in [(&ours, "ours", "consign"), (&theirs, "theirs", "tenant")] {
        let listed = client.list_buckets().send().await.unwrap();
        let names: Vec<_> = listed
            .buckets()
            .iter()
            .filter_map(|bucket| bucket.name())
            .collect();
        assert_eq!(names, [name]);
        assert_eq!(listed.owner().unwrap().display_name(), Some(owner));
    }
    let listed = theirs
        .list_objects_v2()
        .bucket("theirs")
        .fetch_owner(true)
        .send()
        .await
        .unwrap();
    assert_eq!(
        listed.contents()[0].owner().unwrap().id(),
        Some(id.as_str())
    );
    let make = |client: &aws_sdk_s3::Client| client.create_bucket().bucket("theirs").send();
    assert_eq!(
        make(&ours).await.unwrap_err().code(),
        Some("BucketAlreadyExists")
    );
    make(&theirs).await.unwrap();
}

#[tokio::test]
async fn an_expected_owner_is_an_accounts_number() {
    let server = Server::start().await;
    let tenant = json(&server, "accounts add tenant");
    let root = &json(&server, "accounts list")["accounts"][0];
    let theirs = client_of(&server, &json(&server, "keys add ann --account tenant"));
    make_bucket(&theirs, "theirs").await;
    for (number, answer) in [
        (text(&tenant, "number"), None),
        (text(root, "number"), Some("403")),
        ("1234", Some("400")),
    ] {
        let head = theirs
            .head_bucket()
            .bucket("theirs")
            .expected_bucket_owner(number)
            .send()
            .await;
        let status = head
            .err()
            .map(|error| error.raw_response().unwrap().status().to_string());
        assert_eq!(
            status.as_deref().map(|status| &status[..3]),
            answer,
            "{number}"
        );
    }
}
