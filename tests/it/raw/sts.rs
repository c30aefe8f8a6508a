//! Temporary credentials: how they are got, what they may, and when they end.

use aws_sdk_s3::config::Credentials;
use aws_sdk_s3::error::ProvideErrorMetadata;
use serde_json::{Value, json};

use super::form::{ask as form, fields_by};
use super::wire::{Answer, Ask, Signer, absent, ready, sha256};
use crate::support::{Server, client_config};

/// Temporary credentials as STS told them.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    pub(crate) signer: Signer,
    pub(crate) token: String,
}

/// What `consign` answers in JSON.
fn consign(server: &Server, arguments: &[&str]) -> Value {
    let output = server.command(&[arguments, &["--json"]].concat());
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {error}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A signer for STS with a new key of these options.
pub(crate) fn key(server: &Server, name: &str, options: &[&str]) -> Signer {
    let made = consign(server, &[&["keys", "add", name], options].concat());
    Signer {
        access_key: made["access_key"].as_str().unwrap().to_owned(),
        secret: made["secret_key"].as_str().unwrap().to_owned(),
        ..root()
    }
}

fn key_with_policy(server: &Server, name: &str, statements: &Value) -> Signer {
    let file = server.data_folder().join(name);
    std::fs::write(&file, policy(statements)).unwrap();
    key(server, name, &["--policy", file.to_str().unwrap()])
}

pub(crate) fn root() -> Signer {
    Signer {
        service: "sts",
        ..Signer::now()
    }
}

fn policy(statements: &Value) -> String {
    json!({ "Version": "2012-10-17", "Statement": statements }).to_string()
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

pub(crate) fn call(server: &Server, action: &str, given: &[(&str, &str)]) -> Ask {
    let mut body = format!("Action={action}&Version=2011-06-15");
    for (name, value) in given {
        body.push_str(&format!("&{name}={}", encoded(value)));
    }
    posted(server, &body)
}

fn posted(server: &Server, body: &str) -> Ask {
    let kind = "application/x-www-form-urlencoded; charset=utf-8";
    Ask::new(server, "POST", "/")
        .header("content-type", kind)
        .body(body.as_bytes())
}

/// Signed as SDKs sign for STS: no header tells the body's digest.
pub(crate) fn signed(ask: Ask, signer: &Signer) -> Ask {
    let digest = sha256(&ask.body);
    ask.authorized_plainly(signer, &digest).0
}

fn element<'a>(answer: &'a Answer, name: &str) -> &'a str {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let from = answer
        .text
        .find(&open)
        .unwrap_or_else(|| panic!("no {name}: {answer:?}"));
    let rest = &answer.text[from + open.len()..];
    &rest[..rest.find(&close).unwrap()]
}

pub(crate) fn session_of(answer: &Answer) -> Session {
    Session {
        signer: Signer {
            access_key: element(answer, "AccessKeyId").to_owned(),
            secret: element(answer, "SecretAccessKey").to_owned(),
            ..Signer::now()
        },
        token: element(answer, "SessionToken").to_owned(),
    }
}

fn role(server: &Server, name: &str) -> String {
    let accounts = consign(server, &["accounts", "list"]);
    let number = accounts["accounts"][0]["number"]
        .as_str()
        .unwrap()
        .to_owned();
    format!("arn:aws:iam::{number}:role/{name}")
}

/// A session of the role `name`, narrowed by `policy`.
pub(crate) async fn assume(
    server: &Server,
    signer: &Signer,
    name: &str,
    policy: Option<&str>,
) -> Session {
    let arn = role(server, name);
    let mut given = vec![("RoleArn", arn.as_str()), ("RoleSessionName", "user-1")];
    given.extend(policy.map(|policy| ("Policy", policy)));
    let ask = signed(call(server, "AssumeRole", &given), signer);
    session_of(&ask.expect(server, 200, "").await)
}

pub(crate) fn put_url(server: &Server, session: &Session, key: &str) -> Ask {
    Ask::new(server, "PUT", &format!("/raw/{key}"))
        .query("X-Amz-Security-Token", &session.token)
        .presigned(&session.signer, "600")
        .body(b"hello")
}

fn client(server: &Server, session: &Session) -> aws_sdk_s3::Client {
    let Signer {
        access_key, secret, ..
    } = &session.signer;
    let token = Some(session.token.clone());
    let credentials = Credentials::new(access_key, secret, token, None, "test");
    let config = client_config(&server.endpoint).credentials_provider(credentials);
    aws_sdk_s3::Client::from_conf(config.build())
}

async fn put(client: &aws_sdk_s3::Client, key: &str) -> String {
    let sent = client.put_object().bucket("raw").key(key).send().await;
    sent.map_or_else(
        |error| error.code().unwrap_or("?").to_owned(),
        |_| "ok".into(),
    )
}

fn puts_below(prefix: &str) -> String {
    let resource = format!("arn:aws:s3:::raw/{prefix}*");
    policy(&json!({ "Effect": "Allow", "Action": "s3:PutObject", "Resource": resource }))
}

#[tokio::test]
async fn a_narrow_session_uploads_below_its_prefix_until_its_parent_ends() {
    let mut server = ready().await;
    let app = key(&server, "app", &["--bucket", "raw"]);
    let session = assume(&server, &app, "app", Some(&puts_below("user-1/"))).await;
    assert!(session.signer.access_key.starts_with("ASIA"));
    put_url(&server, &session, "user-1/a")
        .expect(&server, 200, "")
        .await;
    put_url(&server, &session, "user-2/a")
        .expect(&server, 403, "AccessDenied")
        .await;
    absent(&server, "user-2/a").await;
    Ask::new(&server, "GET", "/raw/user-1/a")
        .query("X-Amz-Security-Token", &session.token)
        .presigned(&session.signer, "600")
        .expect(&server, 403, "AccessDenied")
        .await;
    // Nothing is stored of it, and yet it outlives a crash.
    server.kill();
    server.restart().await;
    let sdk = client(&server, &session);
    assert_eq!(put(&sdk, "user-1/b").await, "ok");
    assert_eq!(put(&sdk, "b").await, "AccessDenied");
    for (command, code) in [("disable", "InvalidAccessKeyId"), ("enable", "ok")] {
        consign(&server, &["keys", command, "app"]);
        assert_eq!(put(&sdk, "user-1/c").await, code, "{command}");
    }
    consign(&server, &["keys", "disable", "app"]);
    put_url(&server, &session, "user-1/d")
        .expect(&server, 403, "InvalidAccessKeyId")
        .await;
    consign(&server, &["keys", "enable", "app"]);
    // What was got with a secret ends with it.
    consign(&server, &["keys", "rotate", "app"]);
    assert_eq!(put(&sdk, "user-1/d").await, "InvalidAccessKeyId");
    absent(&server, "user-1/d").await;
}

#[tokio::test]
async fn a_form_of_a_session_uploads_below_its_prefix() {
    let server = ready().await;
    let app = key(&server, "app", &[]);
    let session = assume(&server, &app, "app", Some(&puts_below("user-1/"))).await;
    let token = session.token.as_str();
    let upload = |key: &'static str, token: &str| {
        let conditions = [
            json!(["starts-with", "$key", ""]),
            json!(["starts-with", "$x-amz-security-token", ""]),
        ];
        let given = [("key", key), ("x-amz-security-token", token)];
        let fields = fields_by(&session.signer, &conditions, 60, &given);
        form(&server, &fields, b"meow", "")
    };
    upload("user-1/a", token).expect(&server, 204, "").await;
    upload("user-2/a", token)
        .expect(&server, 403, "AccessDenied")
        .await;
    upload("user-1/a", "x")
        .expect(&server, 400, "InvalidToken")
        .await;
}

#[tokio::test]
async fn a_token_is_needed_and_must_be_that_of_the_key() {
    let server = ready().await;
    let app = key(&server, "app", &[]);
    let answer = signed(call(&server, "GetSessionToken", &[]), &app);
    let session = session_of(&answer.expect(&server, 200, "").await);
    put_url(&server, &session, "a")
        .expect(&server, 200, "")
        .await;
    let with = |signer: &Signer, token: Option<&str>| {
        let ask = Ask::new(&server, "GET", "/raw");
        let ask = token
            .iter()
            .fold(ask, |ask, token| ask.header("x-amz-security-token", token));
        ask.authorized(signer, &sha256(b"")).0
    };
    let (own, token) = (&session.signer, session.token.as_str());
    with(own, Some(token)).expect(&server, 200, "").await;
    with(own, None)
        .expect(&server, 403, "InvalidAccessKeyId")
        .await;
    with(own, Some("x"))
        .expect(&server, 400, "InvalidToken")
        .await;
    with(&Signer::now(), Some(token))
        .expect(&server, 400, "InvalidToken")
        .await;
    let other = assume(&server, &app, "app", None).await;
    with(own, Some(&other.token))
        .expect(&server, 400, "InvalidToken")
        .await;
    // No session administers the server, that of the root key neither.
    let answer = signed(call(&server, "GetSessionToken", &[]), &root());
    let session = session_of(&answer.expect(&server, 200, "").await);
    Ask::new(&server, "GET", "/-/admin/v1/keys")
        .header("x-amz-security-token", &session.token)
        .authorized(&session.signer, &sha256(b""))
        .0
        .expect(&server, 403, "AccessDenied")
        .await;
    put_url(&server, &session, "a")
        .expect(&server, 200, "")
        .await;
}

#[tokio::test]
async fn callers_are_told_who_they_are() {
    let server = ready().await;
    let app = key(&server, "app", &[]);
    let who = |signer: &Signer, token: Option<&str>| {
        let ask = call(&server, "GetCallerIdentity", &[]);
        let ask = token
            .iter()
            .fold(ask, |ask, token| ask.header("x-amz-security-token", token));
        signed(
            ask,
            &Signer {
                service: "sts",
                ..signer.clone()
            },
        )
    };
    let number = role(&server, "x").split(':').nth(4).unwrap().to_owned();
    let session = assume(&server, &app, "app", None).await;
    let answer = signed(call(&server, "GetSessionToken", &[]), &app);
    let plain = session_of(&answer.expect(&server, 200, "").await);
    let assumed = format!("arn:aws:sts::{number}:assumed-role/app/user-1");
    for (signer, token, arn) in [
        (&root(), None, format!("arn:aws:iam::{number}:root")),
        (&app, None, format!("arn:aws:iam::{number}:user/app")),
        (&session.signer, Some(&session.token), assumed),
        (
            &plain.signer,
            Some(&plain.token),
            format!("arn:aws:iam::{number}:user/app"),
        ),
    ] {
        let answer = who(signer, token.map(String::as_str));
        let answer = answer.expect(&server, 200, "").await;
        assert_eq!(element(&answer, "Arn"), arn);
        assert_eq!(element(&answer, "Account"), number);
        let root =
            "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">";
        assert!(answer.text.contains(root), "{answer:?}");
    }
    who(&session.signer, Some("x"))
        .expect(&server, 403, "InvalidClientTokenId")
        .await;
}

#[tokio::test]
async fn faults_of_a_call_are_told_in_stss_form() {
    let server = ready().await;
    let app = key(&server, "app", &[]);
    let identity = || call(&server, "GetCallerIdentity", &[]);
    let answer = identity().expect(&server, 400, "InvalidAction").await;
    let start = "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error>\
                 <Type>Sender</Type><Code>InvalidAction</Code>";
    assert!(answer.text.contains(start), "{answer:?}");
    for body in [
        "",
        "Action=AssumeRoleWithWebIdentity&Version=2011-06-15",
        "Action=GetCallerIdentity",
        "Action=GetCallerIdentity&Version=2010-01-01",
    ] {
        let ask = signed(posted(&server, body), &app);
        ask.expect(&server, 400, "InvalidAction").await;
    }
    let twice = posted(
        &server,
        "Action=GetCallerIdentity&Action=x&Version=2011-06-15",
    );
    signed(twice, &app)
        .expect(&server, 400, "MalformedQueryString")
        .await;
    let mut changed = signed(identity(), &app);
    changed.body.push(b'&');
    changed.expect(&server, 403, "SignatureDoesNotMatch").await;
    let of_s3 = Signer {
        service: "s3",
        ..app.clone()
    };
    signed(identity(), &of_s3)
        .expect(&server, 400, "IncompleteSignature")
        .await;
    let stranger = Signer {
        access_key: "AKIANOBODY".into(),
        ..app.clone()
    };
    signed(identity(), &stranger)
        .expect(&server, 403, "InvalidClientTokenId")
        .await;
    let large = posted(&server, &"a".repeat(65 * 1024));
    large.expect(&server, 400, "MaxMessageLengthExceeded").await;
    let arn = role(&server, "app");
    let long = format!("{}{}", puts_below(""), " ".repeat(2048));
    let long = long.as_str();
    for (changes, status, code) in [
        (&[("DurationSeconds", "899")][..], 400, "ValidationError"),
        (&[("DurationSeconds", "43201")], 400, "ValidationError"),
        (&[("DurationSeconds", "x")], 400, "ValidationError"),
        (&[("RoleSessionName", "a b")], 400, "ValidationError"),
        (&[("RoleSessionName", "a")], 400, "ValidationError"),
        (&[("RoleArn", "short")], 400, "ValidationError"),
        (
            &[("RoleArn", "arn:aws:iam::000000000000:role/app")],
            403,
            "AccessDenied",
        ),
        (&[("Policy", "")], 400, "ValidationError"),
        (&[("Policy", long)], 400, "ValidationError"),
        (&[("Policy", "{}")], 400, "MalformedPolicyDocument"),
        (&[("Tags.member.1.Key", "a")], 501, "NotImplemented"),
        (&[("DurationSeconds", "900"), ("ExternalId", "ab")], 200, ""),
        (&[("DurationSeconds", "43200")], 200, ""),
    ] {
        let mut given = vec![("RoleArn", arn.as_str()), ("RoleSessionName", "user-1")];
        given.retain(|(name, _)| !changes.iter().any(|(changed, _)| changed == name));
        given.extend_from_slice(changes);
        let ask = signed(call(&server, "AssumeRole", &given), &app);
        ask.expect(&server, status, code).await;
    }
}

#[tokio::test]
async fn a_role_is_a_key_that_the_caller_may_assume() {
    let server = ready().await;
    consign(&server, &["accounts", "add", "tenant"]);
    let foreign = key(&server, "ann", &["--account", "tenant"]);
    let app = key(&server, "app", &[]);
    let narrow = key(&server, "narrow", &["--bucket", "raw", "--prefix", "in/"]);
    let statement = |action: &str, resource: &str| json!({ "Effect": "Allow", "Action": action, "Resource": resource });
    let puts = statement("s3:PutObject", "arn:aws:s3:::raw/up/*");
    let writer = key_with_policy(&server, "writer", &puts);
    let (arn, own) = (role(&server, "writer"), role(&server, "starter"));
    let deny = json!({ "Effect": "Deny", "Action": "sts:*", "Resource": own });
    let starter = json!([statement("sts:AssumeRole", &arn), deny]);
    let starter = key_with_policy(&server, "starter", &starter);
    let off = key(&server, "off", &[]);
    let of_off = assume(&server, &app, "off", None).await;
    consign(&server, &["keys", "disable", "off"]);
    for (signer, name, status) in [
        (&app, "writer", 200),
        (&app, "app", 200),
        (&app, "nobody", 403),
        (&app, "ann", 403),
        (&app, "root", 403),
        (&app, "off", 403),
        (&off, "off", 403),
        (&foreign, "app", 403),
        (&narrow, "app", 403),
        (&narrow, "narrow", 200),
        (&writer, "app", 403),
        (&writer, "writer", 200),
        (&starter, "writer", 200),
        (&starter, "app", 403),
        (&starter, "starter", 403),
        (&root(), "writer", 200),
    ] {
        let arn = role(&server, name);
        let given = [("RoleArn", arn.as_str()), ("RoleSessionName", "user-1")];
        let ask = signed(call(&server, "AssumeRole", &given), signer);
        let answer = ask.send(&server).await;
        assert_eq!(answer.status, status, "{name}: {answer:?}");
    }
    put_url(&server, &of_off, "a")
        .expect(&server, 403, "InvalidAccessKeyId")
        .await;
    // It has the role's rights, and no more than its own policy lets it.
    let plain = client(&server, &assume(&server, &app, "writer", None).await);
    assert_eq!(put(&plain, "up/a").await, "ok");
    assert_eq!(put(&plain, "a").await, "AccessDenied");
    let wide = policy(&statement("*", "*"));
    let session = assume(&server, &starter, "writer", Some(&wide)).await;
    let wide = client(&server, &session);
    assert_eq!(put(&wide, "up/b").await, "ok");
    assert_eq!(put(&wide, "b").await, "AccessDenied");
    // A session makes no other, which would outlive it.
    for (action, given) in [
        (
            "AssumeRole",
            &[("RoleArn", arn.as_str()), ("RoleSessionName", "again")][..],
        ),
        ("GetSessionToken", &[]),
    ] {
        let ask = call(&server, action, given).header("x-amz-security-token", &session.token);
        let signer = Signer {
            service: "sts",
            ..session.signer.clone()
        };
        signed(ask, &signer)
            .expect(&server, 403, "AccessDenied")
            .await;
    }
}

/// CVE-2025-62506: only denials were looked at, so that a session's policy could be escaped.
#[tokio::test]
async fn a_session_does_not_escape_what_is_said_of_its_key() {
    let server = ready().await;
    let app = key(&server, "app", &[]);
    let session = assume(&server, &app, "app", None).await;
    let sdk = client(&server, &session);
    assert_eq!(put(&sdk, "a").await, "ok");
    let user = role(&server, "app").replace(":role/", ":user/");
    let narrow = policy(&json!({ "Effect": "Allow", "Action": "s3:GetObject", "Resource": "*" }));
    let narrow = client(&server, &assume(&server, &app, "app", Some(&narrow)).await);
    let statement = |effect: &str, principal: Value, condition: Value| {
        json!({ "Effect": effect, "Principal": principal, "Action": "s3:PutObject",
                "Resource": "arn:aws:s3:::raw/*", "Condition": condition })
    };
    for (effect, principal, condition, plain) in [
        ("Deny", json!({ "AWS": user }), json!({}), "AccessDenied"),
        (
            "Deny",
            json!("*"),
            json!({ "StringEquals": { "aws:username": "app" } }),
            "AccessDenied",
        ),
        (
            "Deny",
            json!("*"),
            json!({ "ArnEquals": { "aws:PrincipalArn": user } }),
            "AccessDenied",
        ),
        ("Allow", json!({ "AWS": user }), json!({}), "ok"),
    ] {
        let set = policy(&statement(effect, principal, condition));
        let root = server.client();
        root.put_bucket_policy()
            .bucket("raw")
            .policy(set)
            .send()
            .await
            .unwrap();
        assert_eq!(put(&sdk, "a").await, plain);
        // A bucket's policy widens no session.
        assert_eq!(put(&narrow, "a").await, "AccessDenied");
    }
}
