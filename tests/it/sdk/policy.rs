//! Bucket policies through the SDK: what each kind of condition, principal and action lets through.

use aws_sdk_s3::Client;
use aws_sdk_s3::types::{ObjectCannedAcl, PublicAccessBlockConfiguration};
use serde_json::{Value, json};

use super::{BUCKET, denied, fault, put, ready};
use crate::support::{Server, plain_http};

const KEYS: &str = "arn:aws:s3:::sdk-uploads/*";

/// Puts a policy of these statements.
async fn set(client: &Client, statements: &[Value]) -> Result<(), (u16, String)> {
    let policy = json!({"Version": "2012-10-17", "Statement": statements}).to_string();
    let put = client.put_bucket_policy().bucket(BUCKET).policy(policy);
    put.send()
        .await
        .map(drop)
        .map_err(|error| fault::<(), _>(Err(error)))
}

/// A statement that lets everybody do all to the bucket and its objects, with more said of it.
fn all(effect: &str, more: &[(&str, Value)]) -> Value {
    let mut statement = json!({"Effect": effect, "Principal": "*", "Action": "s3:*",
        "Resource": [format!("arn:aws:s3:::{BUCKET}"), KEYS]});
    for (name, value) in more {
        statement[*name] = value.clone();
    }
    statement
}

/// What everybody may do where this holds.
fn when(condition: &Value) -> Value {
    all("Allow", &[("Condition", condition.clone())])
}

async fn reads(client: &Client, key: &str) -> bool {
    let got = client.get_object().bucket(BUCKET).key(key).send().await;
    got.is_ok()
}

async fn lists(client: &Client, prefix: Option<&str>, most: Option<i32>) -> bool {
    let list = client.list_objects_v2().bucket(BUCKET);
    let list = list.set_prefix(prefix.map(str::to_owned));
    list.set_max_keys(most).send().await.is_ok()
}

async fn world() -> (Server, Client, Client) {
    let (server, client) = ready().await;
    let tenant = server.tenant("tenant");
    put(&client, "k", b"x").await;
    (server, client, tenant)
}

/// The number of the account of that name.
fn number(server: &Server, name: &str) -> String {
    let listed = server.command(&["accounts", "list", "--json"]);
    let listed: Value = serde_json::from_slice(&listed.stdout).unwrap();
    let rows = listed.as_array().or_else(|| listed["accounts"].as_array());
    let account = rows.unwrap().iter().find(|row| row["name"] == name);
    account.unwrap()["number"].as_str().unwrap().to_owned()
}

/// Operator, key, values (divided by `|`), and whether the tenant's request meets that.
const EVERYWHERE: &[(&str, &str, &str, bool)] = &[
    ("Bool", "aws:SecureTransport", "false", true),
    ("Bool", "aws:SecureTransport", "true", false),
    ("IpAddress", "aws:SourceIp", "127.0.0.0/8", true),
    ("IpAddress", "aws:SourceIp", "10.0.0.0/8|192.168.1.1", false),
    ("NotIpAddress", "aws:SourceIp", "127.0.0.1", false),
    (
        "DateGreaterThan",
        "aws:CurrentTime",
        "2020-01-01T00:00:00Z",
        true,
    ),
    (
        "DateGreaterThan",
        "aws:CurrentTime",
        "2222-01-01T00:00:00Z",
        false,
    ),
    (
        "DateLessThan",
        "aws:CurrentTime",
        "2222-01-01T00:00:00Z",
        true,
    ),
    ("NumericGreaterThan", "aws:EpochTime", "1577836800", true),
    ("StringEquals", "aws:username", "tenant-key", true),
    ("StringEquals", "aws:username", "Tenant-Key", false),
    ("StringEqualsIgnoreCase", "aws:username", "Tenant-Key", true),
    ("StringNotEquals", "aws:username", "tenant-key", false),
    ("StringLike", "aws:username", "root|ten?nt-*", true),
    ("StringNotLike", "aws:username", "ten*", false),
    (
        "ArnLike",
        "aws:PrincipalArn",
        "arn:aws:iam::*:user/tenant-*",
        true,
    ),
    ("StringEquals", "aws:PrincipalType", "Anonymous", false),
    ("StringEquals", "s3:authType", "REST-HEADER", true),
    ("StringEquals", "s3:authType", "REST-QUERY-STRING", false),
    (
        "StringEquals",
        "s3:signatureversion",
        "AWS4-HMAC-SHA256",
        true,
    ),
    ("Null", "aws:TokenIssueTime", "true", true),
    ("Null", "aws:username", "true", false),
    (
        "StringEqualsIfExists",
        "aws:Referer",
        "https://a.example/",
        true,
    ),
    ("StringEquals", "aws:Referer", "https://a.example/", false),
];

#[tokio::test]
async fn conditions_on_what_is_known_of_every_request() {
    let (_server, client, tenant) = world().await;
    assert!(!reads(&tenant, "k").await);
    for (operator, key, values, expected) in EVERYWHERE {
        let values: Vec<_> = values.split('|').collect();
        let condition = json!({*operator: {*key: values}});
        set(&client, &[when(&condition)]).await.unwrap();
        assert_eq!(reads(&tenant, "k").await, *expected, "{condition}");
    }
    let both = json!({"Bool": {"aws:SecureTransport": "false"},
        "StringEquals": {"aws:username": "nobody"}});
    set(&client, &[when(&both)]).await.unwrap();
    assert!(!reads(&tenant, "k").await);
    set(&client, &[when(&json!({}))]).await.unwrap();
    assert!(reads(&tenant, "k").await);
}

#[tokio::test]
async fn conditions_on_a_listing() {
    let (_server, client, tenant) = world().await;
    let only = |condition: &Value| {
        json!({"Effect": "Allow", "Principal": "*", "Action": "s3:ListBucket",
            "Resource": format!("arn:aws:s3:::{BUCKET}"), "Condition": condition})
    };
    let set = async |condition: Value| set(&client, &[only(&condition)]).await.unwrap();
    set(json!({"StringLike": {"s3:prefix": ["home/*", ""]}})).await;
    for (prefix, expected) in [
        (Some("home/ann/"), true),
        (Some(""), true),
        (Some("other/"), false),
        (None, false),
    ] {
        assert_eq!(lists(&tenant, prefix, None).await, expected, "{prefix:?}");
    }
    set(json!({"NumericLessThanEquals": {"s3:max-keys": "10"}})).await;
    for (most, expected) in [(Some(10), true), (Some(11), false), (None, false)] {
        assert_eq!(lists(&tenant, None, most).await, expected, "{most:?}");
    }
    set(json!({"StringEquals": {"s3:delimiter": "/"}})).await;
    assert!(!lists(&tenant, None, None).await);
    let folders = tenant.list_objects_v2().bucket(BUCKET).delimiter("/");
    assert!(folders.send().await.is_ok());
}

#[tokio::test]
async fn conditions_on_what_is_written() {
    let (_server, client, tenant) = world().await;
    let full = ObjectCannedAcl::BucketOwnerFullControl;
    let write = || {
        tenant
            .put_object()
            .bucket(BUCKET)
            .key("new")
            .body(b"x".to_vec().into())
    };
    let equals = |name: &str, value: &str| json!({"StringEquals": {name: value}});
    set(
        &client,
        &[when(&equals("s3:x-amz-acl", "bucket-owner-full-control"))],
    )
    .await
    .unwrap();
    assert_eq!(fault(write().send().await), denied());
    let private = write().acl(ObjectCannedAcl::Private).send().await;
    assert_eq!(fault(private), denied());
    write().acl(full).send().await.unwrap();

    let dev = equals("s3:RequestObjectTag/env", "dev");
    set(&client, &[when(&dev)]).await.unwrap();
    assert_eq!(fault(write().send().await), denied());
    assert_eq!(fault(write().tagging("env=prod").send().await), denied());
    write().tagging("env=dev&a=b").send().await.unwrap();

    let keys = json!({"ForAllValues:StringEquals": {"s3:RequestObjectTagKeys": ["env", "team"]},
        "Null": {"s3:RequestObjectTagKeys": "false"}});
    set(&client, &[when(&keys)]).await.unwrap();
    assert_eq!(fault(write().send().await), denied());
    assert_eq!(fault(write().tagging("env=1&a=b").send().await), denied());
    write().tagging("env=1&team=2").send().await.unwrap();

    let sealed = json!({"Null": {"s3:x-amz-server-side-encryption": "true"}});
    let deny = all(
        "Deny",
        &[("Action", json!("s3:PutObject")), ("Condition", sealed)],
    );
    set(&client, &[all("Allow", &[]), deny]).await.unwrap();
    assert_eq!(fault(write().send().await), denied());
    let aes = aws_sdk_s3::types::ServerSideEncryption::Aes256;
    write().server_side_encryption(aes).send().await.unwrap();
}

#[tokio::test]
async fn conditions_on_the_tags_that_an_object_has() {
    let (_server, client, tenant) = world().await;
    for (key, tags) in [("open", "public=yes"), ("shut", "public=no"), ("bare", "")] {
        let new = client.put_object().bucket(BUCKET).key(key).tagging(tags);
        new.send().await.unwrap();
    }
    let tagged = |effect| {
        let condition = json!({"StringEquals": {"s3:ExistingObjectTag/public": "yes"}});
        let action = json!("s3:GetObject");
        let resource = json!(KEYS);
        all(
            effect,
            &[
                ("Action", action),
                ("Resource", resource),
                ("Condition", condition),
            ],
        )
    };
    set(&client, &[tagged("Allow")]).await.unwrap();
    for (key, expected) in [
        ("open", true),
        ("shut", false),
        ("bare", false),
        ("k", false),
    ] {
        assert_eq!(reads(&tenant, key).await, expected, "{key}");
    }
    set(&client, &[all("Allow", &[]), tagged("Deny")])
        .await
        .unwrap();
    for (key, expected) in [("open", false), ("shut", true), ("bare", true), ("k", true)] {
        assert_eq!(reads(&tenant, key).await, expected, "{key}");
    }
}

#[tokio::test]
async fn a_denial_wins_over_every_allowance() {
    let (server, client, tenant) = world().await;
    let no_reads = all("Deny", &[("Action", json!(["s3:GetObject*"]))]);
    set(&client, &[all("Allow", &[]), no_reads]).await.unwrap();
    assert!(!reads(&tenant, "k").await);
    // The bucket's owner too, who can still mend it.
    assert!(!reads(&client, "k").await);
    assert!(lists(&tenant, None, None).await);
    let everything = all("Deny", &[]);
    set(&client, &[everything]).await.unwrap();
    assert!(!lists(&client, None, None).await);
    let read = client
        .get_bucket_policy()
        .bucket(BUCKET)
        .send()
        .await
        .unwrap();
    assert!(read.policy().unwrap().contains("Deny"));
    let delete = || client.delete_bucket_policy().bucket(BUCKET).send();
    delete().await.unwrap();
    // It is gone, and there is no fault in saying so again.
    delete().await.unwrap();
    assert!(lists(&client, None, None).await && reads(&client, "k").await);
    let gone = client.get_bucket_policy().bucket(BUCKET).send().await;
    assert_eq!(fault(gone), (404, "NoSuchBucketPolicy".to_owned()));
    let foreign = tenant.get_bucket_policy().bucket(BUCKET).send().await;
    assert_eq!(fault(foreign), denied());
    drop(server);
}

#[tokio::test]
async fn principals_and_actions_are_named_or_excepted() {
    let (server, client, tenant) = world().await;
    let other = server.tenant("other");
    let account = number(&server, "tenant");
    let both = async || (reads(&tenant, "k").await, reads(&other, "k").await);
    let user = format!("arn:aws:iam::{account}:user/tenant-key");
    let root = format!("arn:aws:iam::{account}:root");
    for principal in [
        json!({"AWS": account}),
        json!({"AWS": root}),
        json!({"AWS": [user]}),
    ] {
        set(
            &client,
            &[all("Allow", &[("Principal", principal.clone())])],
        )
        .await
        .unwrap();
        assert_eq!(both().await, (true, false), "{principal}");
    }
    set(
        &client,
        &[all("Allow", &[("Principal", json!({"AWS": "*"}))])],
    )
    .await
    .unwrap();
    assert_eq!(both().await, (true, true));
    // All but one: whoever is not named, and their account with them, is denied.
    let mut except = all("Deny", &[("Action", json!("s3:GetObject"))]);
    except.as_object_mut().unwrap().remove("Principal");
    except["NotPrincipal"] = json!({"AWS": [root, user]});
    set(&client, &[all("Allow", &[]), except]).await.unwrap();
    assert_eq!(both().await, (true, false));

    let mut except = all("Allow", &[]);
    except.as_object_mut().unwrap().remove("Action");
    except["NotAction"] = json!(["s3:PutObject*", "s3:DeleteObject"]);
    set(&client, &[except]).await.unwrap();
    assert_eq!(both().await, (true, true));
    let write = tenant.put_object().bucket(BUCKET).key("new").send().await;
    assert_eq!(fault(write), denied());
    let delete = tenant.delete_object().bucket(BUCKET).key("k").send().await;
    assert_eq!(fault(delete), denied());

    let mut except = all("Allow", &[]);
    except.as_object_mut().unwrap().remove("Resource");
    except["NotResource"] = json!(format!("arn:aws:s3:::{BUCKET}/secret/*"));
    put(&client, "secret/k", b"x").await;
    set(&client, &[except]).await.unwrap();
    assert!(reads(&tenant, "k").await && !reads(&tenant, "secret/k").await);

    let own = json!(format!("arn:aws:s3:::{BUCKET}/${{aws:username}}/*"));
    let action = json!("s3:PutObject");
    set(
        &client,
        &[all("Allow", &[("Action", action), ("Resource", own)])],
    )
    .await
    .unwrap();
    let write = async |key: &str| tenant.put_object().bucket(BUCKET).key(key).send().await;
    write("tenant-key/a").await.unwrap();
    assert_eq!(fault(write("other-key/a").await), denied());
}

#[tokio::test]
async fn a_policy_that_makes_no_sense_is_refused() {
    let (_server, client, _tenant) = world().await;
    let malformed = || Err((400, "MalformedPolicy".to_owned()));
    let elsewhere = json!("arn:aws:s3:::elsewhere/*");
    let condition = |condition: Value| all("Allow", &[("Condition", condition)]);
    let mut nobody = all("Allow", &[]);
    nobody.as_object_mut().unwrap().remove("Principal");
    for statement in [
        nobody,
        all("Permit", &[]),
        all("Allow", &[("Resource", elsewhere)]),
        all("Allow", &[("Action", json!("s3:EatObject"))]),
        all(
            "Allow",
            &[
                ("Action", json!("s3:GetObject")),
                ("Resource", json!("arn:aws:s3:::sdk-uploads")),
            ],
        ),
        all("Allow", &[("Principal", json!({"AWS": "000"}))]),
        all("Allow", &[("Extra", json!(1))]),
        condition(json!({"StringIs": {"aws:username": "a"}})),
        condition(json!({"StringEquals": {"s3:nonsense": "a"}})),
        condition(json!({"IpAddress": {"aws:SourceIp": "somewhere"}})),
        condition(json!({"NumericLessThan": {"aws:EpochTime": "soon"}})),
    ] {
        assert_eq!(
            set(&client, std::slice::from_ref(&statement)).await,
            malformed(),
            "{statement}"
        );
    }
    assert_eq!(set(&client, &[]).await, malformed());
    for text in ["", "{}", "[]", "{\"Version\": \"2012-10-17\"", "no json"] {
        let put = client.put_bucket_policy().bucket(BUCKET).policy(text);
        assert_eq!(fault(put.send().await).0, 400, "{text}");
    }
    let wide = json!(vec![KEYS; 1000]);
    let large = all(
        "Allow",
        &[("Action", json!("s3:GetObject")), ("Resource", wide)],
    );
    assert_eq!(set(&client, &[large]).await.unwrap_err().0, 400);
    let none = client.get_bucket_policy().bucket(BUCKET).send().await;
    assert_eq!(fault(none), (404, "NoSuchBucketPolicy".to_owned()));
}

#[tokio::test]
async fn the_status_tells_whether_everybody_is_let_in() {
    let (_server, client, tenant) = world().await;
    let public = async || {
        let status = client
            .get_bucket_policy_status()
            .bucket(BUCKET)
            .send()
            .await;
        status.unwrap().policy_status.unwrap().is_public.unwrap()
    };
    assert!(!public().await);
    for (statement, expected) in [
        (all("Allow", &[]), true),
        (all("Deny", &[("Action", json!("s3:GetObject"))]), false),
        (
            when(&json!({"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}})),
            false,
        ),
        (
            when(&json!({"IpAddress": {"aws:SourceIp": "0.0.0.0/0"}})),
            true,
        ),
        (
            when(&json!({"Bool": {"aws:SecureTransport": "true"}})),
            true,
        ),
    ] {
        set(&client, std::slice::from_ref(&statement))
            .await
            .unwrap();
        assert_eq!(public().await, expected, "{statement}");
    }
    let foreign = tenant
        .get_bucket_policy_status()
        .bucket(BUCKET)
        .send()
        .await;
    assert_eq!(fault(foreign), denied());
}

/// The four switches of the block of public access.
#[derive(Debug, Clone, Copy, Default)]
#[expect(clippy::struct_excessive_bools, reason = "S3's own four switches")]
struct Block {
    acls: bool,
    ignores: bool,
    policy: bool,
    restricts: bool,
}

async fn block(client: &Client, block: Block) {
    let switches = PublicAccessBlockConfiguration::builder()
        .block_public_acls(block.acls)
        .ignore_public_acls(block.ignores)
        .block_public_policy(block.policy)
        .restrict_public_buckets(block.restricts)
        .build();
    let put = client.put_public_access_block().bucket(BUCKET);
    let put = put.public_access_block_configuration(switches);
    put.send().await.unwrap();
}

#[tokio::test]
async fn each_switch_of_the_block_of_public_access() {
    let (server, client, tenant) = world().await;
    let url = format!("{}/{BUCKET}/k", server.endpoint);
    let anybody = async || plain_http().get(&url).send().await.unwrap().status() == 200;
    let share = || {
        let put = client.put_object_acl().bucket(BUCKET).key("k");
        put.acl(ObjectCannedAcl::PublicRead).send()
    };
    share().await.unwrap();
    assert!(anybody().await && reads(&tenant, "k").await);
    // Lists that are there still count; new ones are not taken.
    let none = Block::default();
    block(&client, Block { acls: true, ..none }).await;
    assert!(anybody().await);
    assert_eq!(fault(share().await), denied());
    let new = client.put_object().bucket(BUCKET).key("new");
    let new = new.acl(ObjectCannedAcl::PublicReadWrite).send().await;
    assert_eq!(fault(new), denied());
    let private = client.put_object().bucket(BUCKET).key("new");
    private.acl(ObjectCannedAcl::Private).send().await.unwrap();
    // Lists may be given, and count for nobody.
    block(
        &client,
        Block {
            ignores: true,
            ..none
        },
    )
    .await;
    share().await.unwrap();
    assert!(!anybody().await && !reads(&tenant, "k").await && reads(&client, "k").await);
    // A public policy is not taken, another one is.
    block(
        &client,
        Block {
            policy: true,
            ..none
        },
    )
    .await;
    assert_eq!(set(&client, &[all("Allow", &[])]).await, Err(denied()));
    let local = when(&json!({"IpAddress": {"aws:SourceIp": "127.0.0.1"}}));
    set(&client, &[local]).await.unwrap();
    // A public policy counts for the owner's account alone.
    block(&client, none).await;
    let private = client.put_object_acl().bucket(BUCKET).key("k");
    private.acl(ObjectCannedAcl::Private).send().await.unwrap();
    set(&client, &[all("Allow", &[])]).await.unwrap();
    assert!(anybody().await && reads(&tenant, "k").await);
    block(
        &client,
        Block {
            restricts: true,
            ..none
        },
    )
    .await;
    assert!(!anybody().await && !reads(&tenant, "k").await && reads(&client, "k").await);
}
