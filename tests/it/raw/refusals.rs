//! Documents and options that make no sense, to each operation that takes them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::wire::{Ask, Signer, UNSIGNED, absent, ready, ready_with, sha256};
use crate::support::Server;

/// Where a document goes: method, path, sub-resource, and whether S3 demands a digest of it.
const DOCUMENTS: &[(&str, &str, &str, bool)] = &[
    ("PUT", "/raw", "acl", false),
    ("PUT", "/raw", "cors", true),
    ("PUT", "/raw", "encryption", true),
    ("PUT", "/raw", "lifecycle", true),
    ("PUT", "/raw", "logging", false),
    ("PUT", "/raw", "notification", false),
    ("PUT", "/raw", "ownershipControls", true),
    ("PUT", "/raw", "publicAccessBlock", true),
    ("PUT", "/raw", "requestPayment", false),
    ("PUT", "/raw", "tagging", true),
    ("PUT", "/raw", "versioning", false),
    ("PUT", "/raw", "website", false),
    ("POST", "/raw", "delete", true),
    ("PUT", "/locked", "object-lock", true),
    ("PUT", "/raw/k", "acl", false),
    ("PUT", "/raw/k", "tagging", true),
    ("PUT", "/locked/k", "legal-hold", true),
    ("PUT", "/locked/k", "retention", true),
];

/// A bucket that locks objects, and an object in it and in `raw`.
async fn world() -> Server {
    let server = ready().await;
    let client = server.client();
    let locked = client.create_bucket().bucket("locked");
    let locked = locked.object_lock_enabled_for_bucket(true);
    locked.send().await.unwrap();
    for bucket in ["raw", "locked"] {
        let put = client.put_object().bucket(bucket).key("k");
        put.send().await.unwrap();
    }
    server
}

fn ask(server: &Server, to: (&'static str, &str, &str), body: &[u8]) -> Ask {
    let ask = Ask::new(server, to.0, to.1).query(to.2, "").body(body);
    let digest = STANDARD.encode(Sha256::digest(body));
    ask.header("x-amz-checksum-sha256", &digest)
        .authorized(&Signer::now(), &sha256(body))
        .0
}

#[tokio::test]
async fn a_document_that_is_none_is_refused_everywhere() {
    let server = world().await;
    let deep = b"<a>".repeat(3000);
    let entity = b"<!DOCTYPE a [<!ENTITY x \"y\">]><a>&x;</a>";
    let large = [b"<a>".as_slice(), &vec![b' '; 3 << 20]].concat();
    for &(method, path, parameter, _) in DOCUMENTS {
        let code = match parameter {
            "acl" => "MalformedACLError",
            _ => "MalformedXML",
        };
        let to = (method, path, parameter);
        for document in [b"<Nonsense/>".as_slice(), b"no xml", &deep, entity] {
            ask(&server, to, document).expect(&server, 400, code).await;
        }
        let answer = ask(&server, to, &large).send(&server).await;
        assert!(matches!(answer.status, 0 | 400), "{to:?}: {answer:?}");
    }
    // Nothing was set by any of them.
    let client = server.client();
    let tags = client.get_bucket_tagging().bucket("raw").send().await;
    assert!(tags.is_err());
    let rules = client.get_bucket_cors().bucket("raw").send().await;
    assert!(rules.is_err());
}

#[tokio::test]
async fn a_document_that_must_be_guarded_comes_with_its_digest() {
    let server = world().await;
    let body = b"<Nonsense/>";
    for &(method, path, parameter, guarded) in DOCUMENTS {
        let bare = Ask::new(&server, method, path).query(parameter, "");
        let bare = bare.body(body).authorized(&Signer::now(), UNSIGNED).0;
        let answer = bare.send(&server).await;
        let missing = answer
            .text
            .contains("Missing required header for this request");
        assert_eq!(missing, guarded, "{parameter}: {answer:?}");
        assert_eq!(answer.status, 400, "{parameter}");
        let wrong = Ask::new(&server, method, path).query(parameter, "");
        let wrong = wrong.header("content-md5", "1B2M2Y8AsgTpgAmY7PhCfg==");
        let wrong = wrong.body(body).authorized(&Signer::now(), UNSIGNED).0;
        wrong.expect(&server, 400, "BadDigest").await;
    }
    let empty = |parameter| ask(&server, ("PUT", "/raw", parameter), b"");
    for parameter in ["versioning", "website", "cors", "tagging"] {
        let empty = empty(parameter);
        empty.expect(&server, 400, "MissingRequestBodyError").await;
    }
    empty("acl")
        .expect(&server, 400, "MissingSecurityHeader")
        .await;
    let both = Ask::new(&server, "PUT", "/raw").query("acl", "").body(body);
    let both = both.header("x-amz-acl", "private");
    let both = both.authorized(&Signer::now(), UNSIGNED).0;
    both.expect(&server, 400, "UnexpectedContent").await;
}

#[tokio::test]
async fn an_option_that_makes_no_sense_stores_nothing() {
    let server = ready_with("[encryption]\nkms_keys = [\"one\"]\n").await;
    let long = "x".repeat(2100);
    let kms = "x-amz-server-side-encryption-aws-kms-key-id";
    for (headers, status, code) in [
        (
            vec![("x-amz-storage-class", "GOLD")],
            400,
            "InvalidStorageClass",
        ),
        (
            vec![("x-amz-storage-class", "GLACIER")],
            501,
            "NotImplemented",
        ),
        (
            vec![("x-amz-server-side-encryption", "rot13")],
            400,
            "InvalidArgument",
        ),
        (
            vec![("x-amz-server-side-encryption", "aws:kms"), (kms, "two")],
            400,
            "KMS.NotFoundException",
        ),
        (vec![("x-amz-acl", "nobody")], 400, "InvalidArgument"),
        (
            vec![("x-amz-meta-a", long.as_str())],
            400,
            "MetadataTooLarge",
        ),
        (vec![("x-amz-tagging", "a=1&a=2")], 400, "InvalidArgument"),
        (vec![("x-amz-tagging", "aws:a=1")], 400, "InvalidTag"),
        (
            vec![("x-amz-object-lock-mode", "GOVERNANCE")],
            400,
            "InvalidRequest",
        ),
        (
            vec![("x-amz-expected-bucket-owner", "me")],
            400,
            "InvalidBucketOwnerAWSAccountID",
        ),
    ] {
        let mut put = Ask::new(&server, "PUT", "/raw/k").body(b"x");
        for (name, value) in headers {
            put = put.header(name, value);
        }
        let put = put.authorized(&Signer::now(), UNSIGNED).0;
        put.expect(&server, status, code).await;
    }
    absent(&server, "k").await;
}

#[tokio::test]
async fn what_s3_has_not_is_refused_by_its_method() {
    let server = world().await;
    for (method, path, parameter) in [
        ("DELETE", "/raw", "acl"),
        ("PUT", "/raw", "policyStatus"),
        ("PUT", "/raw", "versions"),
        ("DELETE", "/raw/k", "acl"),
        ("PATCH", "/raw/k", "acl"),
    ] {
        let ask = Ask::new(&server, method, path).query(parameter, "");
        let ask = ask.presigned(&Signer::now(), "60");
        ask.expect(&server, 405, "MethodNotAllowed").await;
    }
    server
        .client()
        .head_bucket()
        .bucket("raw")
        .send()
        .await
        .unwrap();
    for path in ["/raw/%zz", "/raw/%ff"] {
        let ask = Ask::new(&server, "GET", path);
        ask.expect(&server, 400, "InvalidURI").await;
    }
}

#[tokio::test]
async fn a_locked_bucket_refuses_what_would_unlock_it() {
    let server = world().await;
    let suspended =
        b"<VersioningConfiguration><Status>Suspended</Status></VersioningConfiguration>";
    let to = ("PUT", "/locked", "versioning");
    ask(&server, to, suspended)
        .expect(&server, 409, "InvalidBucketState")
        .await;
    let never = b"<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule>\
        <DefaultRetention><Mode>GOVERNANCE</Mode><Days>0</Days></DefaultRetention></Rule>\
        </ObjectLockConfiguration>";
    let to = ("PUT", "/locked", "object-lock");
    ask(&server, to, never)
        .expect(&server, 400, "InvalidRetentionPeriod")
        .await;
    for parameter in ["retention", "legal-hold"] {
        let none = Ask::new(&server, "GET", "/locked/k").query(parameter, "");
        let none = none.presigned(&Signer::now(), "60");
        none.expect(&server, 404, "NoSuchObjectLockConfiguration")
            .await;
        let bare = Ask::new(&server, "GET", "/raw/k").query(parameter, "");
        let bare = bare.presigned(&Signer::now(), "60");
        bare.expect(&server, 400, "InvalidRequest").await;
    }
}

#[tokio::test]
async fn what_came_without_its_length_is_refused() {
    let server = world().await;
    let put = Ask::new(&server, "PUT", "/raw/new").header("transfer-encoding", "chunked");
    let put = put.authorized(&Signer::now(), UNSIGNED).0;
    let text = String::from_utf8(put.bytes(false)).unwrap();
    let text = text.replace("content-length: 0\r\n", "") + "1\r\nx\r\n0\r\n\r\n";
    let mut stream = tokio::net::TcpStream::connect(server.authority())
        .await
        .unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 411"), "{answer}");
    assert!(
        answer.contains("<Code>MissingContentLength</Code>"),
        "{answer}"
    );
    absent(&server, "new").await;
}

#[tokio::test]
async fn a_page_that_no_rule_knows_is_refused() {
    let server = world().await;
    let preflight = |method| {
        let ask = Ask::new(&server, "OPTIONS", "/raw/k");
        let ask = ask.header("origin", "https://app.example");
        ask.header("access-control-request-method", method)
    };
    let ask = preflight("PUT");
    ask.expect(&server, 403, "AccessForbidden").await;
    let rule = aws_sdk_s3::types::CorsRule::builder().allowed_methods("PUT");
    let rule = rule.allowed_origins("https://app.example").build().unwrap();
    let rules = aws_sdk_s3::types::CorsConfiguration::builder().cors_rules(rule);
    let put = server.client().put_bucket_cors().bucket("raw");
    let put = put.cors_configuration(rules.build().unwrap());
    put.send().await.unwrap();
    preflight("PUT").expect(&server, 200, "").await;
    let ask = preflight("DELETE");
    ask.expect(&server, 403, "AccessForbidden").await;
    let bare = Ask::new(&server, "OPTIONS", "/raw/k");
    bare.expect(&server, 400, "BadRequest").await;
}

#[tokio::test]
async fn another_region_has_its_own_rules_for_buckets() {
    let server = Server::start_with("region = \"eu-west-1\"\n").await;
    let signer = Signer {
        region: "eu-west-1".to_owned(),
        ..Signer::now()
    };
    let make = |place: &str| {
        let document = match place {
            "" => String::new(),
            place => format!(
                "<CreateBucketConfiguration><LocationConstraint>{place}</LocationConstraint>\
                 </CreateBucketConfiguration>"
            ),
        };
        let ask = Ask::new(&server, "PUT", "/raw").body(document.as_bytes());
        ask.authorized(&signer, UNSIGNED).0
    };
    for elsewhere in ["", "us-west-2"] {
        let ask = make(elsewhere);
        ask.expect(&server, 400, "IllegalLocationConstraintException")
            .await;
    }
    make("eu-west-1").expect(&server, 200, "").await;
    let again = make("eu-west-1");
    again.expect(&server, 409, "BucketAlreadyOwnedByYou").await;
    let place = Ask::new(&server, "GET", "/raw").query("location", "");
    let place = place
        .presigned(&signer, "60")
        .expect(&server, 200, "")
        .await;
    assert!(
        place.text.contains(">eu-west-1</LocationConstraint>"),
        "{place:?}"
    );
}

#[tokio::test]
async fn a_policy_may_bound_the_age_of_a_signature() {
    let server = world().await;
    let policy = serde_json::json!({"Statement": [{
        "Effect": "Deny", "Principal": "*", "Action": "s3:GetObject",
        "Resource": "arn:aws:s3:::raw/*",
        "Condition": {"NumericGreaterThan": {"s3:signatureAge": "600000"}},
    }]});
    let put = server.client().put_bucket_policy().bucket("raw");
    put.policy(policy.to_string()).send().await.unwrap();
    let signed = |seconds| {
        let get = Ask::new(&server, "GET", "/raw/k");
        get.presigned(&Signer::seconds_ago(seconds), "3600")
    };
    signed(0).expect(&server, 200, "").await;
    signed(590).expect(&server, 200, "").await;
    signed(660).expect(&server, 403, "AccessDenied").await;
}
