//! Tests by the vectors that OSS's own SDKs publish (alibabacloud-oss-python-sdk-v2, tests/unit/signer),
//! and by what must be refused.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderName;

use super::form::authenticate_form;
use super::*;
use crate::auth::{AccessKey, PRESIGN_SECONDS_MAX, Scope};

struct Ring;

impl KeyRing for Ring {
    fn find(&self, access_key: &str) -> Option<Arc<AccessKey>> {
        (access_key == "ak").then(|| {
            Arc::new(AccessKey {
                access_key: access_key.into(),
                name: "test".into(),
                secret: Secret::new("sk"),
                disabled: false,
                scope: Scope::default(),
                root: true,
                owner: "owner".into(),
                policy: None,
                temporary: None,
            })
        })
    }
}

fn settings() -> AuthSettings {
    AuthSettings {
        region: "cn-hangzhou".into(),
        service: sigv4::SERVICE,
        presign_seconds_max: PRESIGN_SECONDS_MAX,
        signature_v2: false,
    }
}

#[derive(Clone)]
struct Sent {
    method: Method,
    bucket: &'static str,
    key: Option<&'static str>,
    query: String,
    headers: HeaderMap,
    now: Timestamp,
}

impl Sent {
    fn judge(&self) -> Result<Grant, AuthError> {
        let head = OssHead {
            method: &self.method,
            bucket: Some(self.bucket),
            key: self.key,
            raw_query: &self.query,
            headers: &self.headers,
            authority: "h",
        };
        authenticate(&head, &Ring, &settings(), self.now)
    }

    fn code(&self) -> &'static str {
        self.judge().map_or_else(|error| error.code(), |_| "ok")
    }

    fn with(&self, name: &'static str, value: &str) -> Self {
        let mut sent = self.clone();
        sent.headers.insert(
            HeaderName::from_static(name),
            value.parse().expect("a header's value"),
        );
        sent
    }

    fn asking(&self, query: &str) -> Self {
        let query = query.to_owned();
        let sent = self.clone();
        Self { query, ..sent }
    }

    fn at(&self, now: Timestamp) -> Self {
        let sent = self.clone();
        Self { now, ..sent }
    }
}

fn v1(method: Method, key: Option<&'static str>, query: &str, signature: &str) -> Sent {
    let date = "Wed, 28 Dec 2022 10:27:41 GMT";
    let sent = Sent {
        method,
        bucket: "examplebucket",
        key,
        query: query.into(),
        headers: HeaderMap::new(),
        now: Timestamp::parse_http_date(date).unwrap(),
    };
    sent.with("x-oss-date", date)
        .with("authorization", &format!("OSS ak:{signature}"))
}

fn v1_put(query: &str, signature: &str) -> Sent {
    v1(Method::PUT, Some("nelson"), query, signature)
        .with("content-md5", "eB5eJF1ptWaXm4bijSPyxw==")
        .with("content-type", "text/html")
        .with("x-oss-meta-author", "alice")
        .with("x-oss-meta-magic", "abracadabra")
}

#[test]
fn version_1_signs_as_the_sdks_do() {
    for sent in [
        v1_put("", "kSHKmLxlyEAKtZPkJhG9bZb5k7M="),
        v1_put("acl", "/afkugFbmWDQ967j1vr6zygBLQk="),
        v1(
            Method::GET,
            None,
            "resourceGroup&non-resousce=null",
            "vkQmfuUDyi1uDi3bKt67oemssIs=",
        ),
        v1(
            Method::GET,
            None,
            "resourceGroup&acl",
            "x3E5TgOvl/i7PN618s5mEvpJDYk=",
        ),
    ] {
        assert_eq!(sent.code(), "ok", "{}", sent.query);
    }
}

#[test]
fn version_1_refuses_what_it_did_not_sign() {
    let sent = v1_put("", "kSHKmLxlyEAKtZPkJhG9bZb5k7M=");
    let mismatch = "SignatureDoesNotMatch";
    let deleted = Sent {
        method: Method::DELETE,
        ..sent.clone()
    };
    assert_eq!(deleted.code(), mismatch);
    assert_eq!(sent.asking("acl").code(), mismatch);
    assert_eq!(
        sent.with("x-oss-object-acl", "public-read").code(),
        mismatch
    );
    assert_eq!(sent.with("content-type", "text/plain").code(), mismatch);
    let other = |value| sent.with("authorization", value).code();
    assert_eq!(other("OSS ak:AAAA"), mismatch);
    assert_eq!(
        other("OSS nobody:kSHKmLxlyEAKtZPkJhG9bZb5k7M="),
        "InvalidAccessKeyId"
    );
    assert_eq!(other("OSS ak"), "InvalidArgument");
    assert_eq!(other("OSS2 AccessKeyId:ak,Signature:x"), "InvalidArgument");
    let late = sent.at(sent.now.plus(Duration::from_secs(901)));
    assert_eq!(late.code(), "RequestTimeTooSkewed");
    let early = sent.at(sent.now.minus(Duration::from_secs(901)));
    assert_eq!(early.code(), "RequestTimeTooSkewed");
    assert_eq!(sent.with("x-oss-date", "yesterday").code(), "AccessDenied");
    for query in ["OSSAccessKeyId=ak", "x-oss-signature=x", "security-token=t"] {
        assert_eq!(sent.asking(query).code(), "InvalidArgument", "{query}");
    }
    let error = sent
        .with("authorization", "OSS ak:AAAA")
        .judge()
        .unwrap_err();
    let AuthError::Mismatch(mismatch) = error else {
        panic!("{error}");
    };
    assert!(mismatch.string_to_sign.ends_with("/examplebucket/nelson"));
}

fn v1_url() -> Sent {
    let query = "versionId=versionId&OSSAccessKeyId=ak&Expires=1699807420&\
                 Signature=dcLTea%2BYh9ApirQ8o8dOPqtvJXQ%3D";
    Sent {
        method: Method::GET,
        bucket: "bucket",
        key: Some("key"),
        query: query.into(),
        headers: HeaderMap::new(),
        now: Timestamp::from_unix_s(1_699_807_000),
    }
}

#[test]
fn a_url_of_version_1_is_good_until_it_expires() {
    let url = v1_url();
    assert_eq!(url.code(), "ok");
    let at = |seconds| url.at(Timestamp::from_unix_s(seconds)).code();
    assert_eq!(at(1_699_807_420), "ok");
    assert_eq!(at(1_699_807_421), "AccessDenied");
    // Further ahead than the operator lets any URL live.
    assert_eq!(at(1_699_807_420 - 604_801), "InvalidArgument");
    let changed = |from: &str, to: &str| url.asking(&url.query.replace(from, to)).code();
    assert_eq!(
        changed("Expires=1699807420", "Expires=1699807421"),
        "SignatureDoesNotMatch"
    );
    assert_eq!(changed("=versionId", "=other"), "SignatureDoesNotMatch");
    assert_eq!(
        changed("versionId=", "acl&versionId="),
        "SignatureDoesNotMatch"
    );
    assert_eq!(changed("Expires=1699807420&", ""), "InvalidArgument");
    assert_eq!(changed("OSSAccessKeyId=ak&", ""), "InvalidArgument");
    assert_eq!(changed("Expires=", "Expires=1&Expires="), "InvalidArgument");
    assert_eq!(
        changed("OSSAccessKeyId", "ossaccesskeyid"),
        "InvalidArgument"
    );
    assert_eq!(changed("=ak", "=nobody"), "InvalidAccessKeyId");
    assert_eq!(
        changed("&Signature=", "&security-token=t&Signature="),
        "InvalidToken"
    );
    assert_eq!(
        url.with("x-oss-meta-a", "b").code(),
        "SignatureDoesNotMatch"
    );
}

const PARAMETERS: &str =
    "param1=value1&%2Bparam1=value3&%7Cparam1=value4&%2Bparam2=&%7Cparam2=&param2=";

fn v4(kind: &str, date: &str) -> Sent {
    let sent = Sent {
        method: Method::PUT,
        bucket: "bucket",
        key: Some("1234+-/123/1.txt"),
        query: PARAMETERS.into(),
        headers: HeaderMap::new(),
        now: Timestamp::parse_amz_date(date).unwrap(),
    };
    sent.with("x-oss-head1", "value")
        .with("abc", "value")
        .with("zabc", "value")
        .with("xyz", "value")
        .with("content-type", kind)
}

fn v4_header(date: &str, rest: &str) -> Sent {
    let day = date.get(..8).unwrap();
    v4("text/plain", date)
        .with("x-oss-content-sha256", "UNSIGNED-PAYLOAD")
        .with("x-oss-date", date)
        .with(
            "authorization",
            &format!(
                "OSS4-HMAC-SHA256 Credential=ak/{day}/cn-hangzhou/oss/aliyun_v4_request,{rest}"
            ),
        )
}

const PLAIN: &str = "Signature=e21d18daa82167720f9b1047ae7e7f1ce7cb77a31e8203a7d5f4624fa0284afe";
const LISTED: &str = "AdditionalHeaders=abc;zabc,Signature=4a4183c187c07c8947db7620deb0a6b38d9fbdd34187b6dbaccb316fa251212f";

#[test]
fn version_4_signs_as_the_sdks_do() {
    assert_eq!(v4_header("20231216T162057Z", PLAIN).code(), "ok");
    assert_eq!(v4_header("20231216T172512Z", LISTED).code(), "ok");
    let spaced = LISTED.replace(',', ", ");
    let mut swapped: Vec<&str> = spaced.split(", ").collect();
    swapped.reverse();
    assert_eq!(
        v4_header("20231216T172512Z", &swapped.join(", ")).code(),
        "ok"
    );
}

#[test]
fn version_4_refuses_what_it_did_not_sign() {
    let sent = v4_header("20231216T162057Z", PLAIN);
    let mismatch = "SignatureDoesNotMatch";
    assert_eq!(sent.asking("param1=value1").code(), mismatch);
    assert_eq!(sent.with("x-oss-meta-a", "b").code(), mismatch);
    assert_eq!(sent.with("content-md5", "x").code(), mismatch);
    assert_eq!(sent.with("abc", "other").code(), "ok");
    let sha256 = sha256_of(b"");
    assert_eq!(sent.with("x-oss-content-sha256", &sha256).code(), mismatch);
    assert_eq!(
        sent.with("x-oss-content-sha256", "x").code(),
        "InvalidArgument"
    );
    let listed = v4_header("20231216T172512Z", LISTED);
    assert_eq!(listed.with("abc", "other").code(), mismatch);
    let late = sent.at(sent.now.plus(Duration::from_secs(901)));
    assert_eq!(late.code(), "RequestTimeTooSkewed");
    let header = sent.headers["authorization"].to_str().unwrap().to_owned();
    for (from, to, code) in [
        ("cn-hangzhou", "us-east-1", "InvalidArgument"),
        ("/oss/", "/s3/", "InvalidArgument"),
        ("aliyun_v4_request", "aws4_request", "InvalidArgument"),
        ("20231216", "20231215", "InvalidArgument"),
        ("ak/", "nobody/", "InvalidAccessKeyId"),
        ("=ak/", "=/", "InvalidArgument"),
        ("Signature=", "Signature=a,Signature=", "InvalidArgument"),
        ("Signature=", "AdditionalHeaders=abc,Signature=", mismatch),
        ("Signature=", "Other=a,Signature=", "InvalidArgument"),
    ] {
        let changed = header.replacen(from, to, 1);
        assert_eq!(sent.with("authorization", &changed).code(), code, "{to}");
    }
}

fn sha256_of(bytes: &[u8]) -> String {
    sigv4::sha256_hex(bytes)
}

fn v4_url(date: &str, more: &str, signature: &str) -> Sent {
    let day = date.get(..8).unwrap();
    let query = format!(
        "{PARAMETERS}&x-oss-signature-version=OSS4-HMAC-SHA256&x-oss-date={date}&x-oss-expires=599\
         &x-oss-credential=ak%2F{day}%2Fcn-hangzhou%2Foss%2Faliyun_v4_request{more}\
         &x-oss-signature={signature}"
    );
    v4("application/octet-stream", date).asking(&query)
}

#[test]
fn a_url_of_version_4_is_good_for_its_time() {
    let plain = "a39966c61718be0d5b14e668088b3fa07601033f6518ac7b523100014269c0fe";
    let url = v4_url("20231217T025437Z", "", plain);
    assert_eq!(url.code(), "ok");
    let listed = "6bd984bfe531afb6db1f7550983a741b103a8c58e5e14f83ea474c2322dfa2b7";
    let more = "&x-oss-additional-headers=abc%3Bzabc";
    let with_listed = v4_url("20231217T033009Z", more, listed);
    assert_eq!(with_listed.code(), "ok");
    assert_eq!(
        with_listed.with("abc", "other").code(),
        "SignatureDoesNotMatch"
    );
    let after = |seconds| url.at(url.now.plus(Duration::from_secs(seconds))).code();
    assert_eq!((after(599), after(600)), ("ok", "AccessDenied"));
    let early = url.at(url.now.minus(Duration::from_secs(901)));
    assert_eq!(early.code(), "AccessDenied");
    let changed = |from: &str, to: &str| url.asking(&url.query.replace(from, to)).code();
    assert_eq!(
        changed("expires=599", "expires=600"),
        "SignatureDoesNotMatch"
    );
    assert_eq!(changed("expires=599", "expires=604801"), "InvalidArgument");
    assert_eq!(changed("expires=599", "expires=0"), "InvalidArgument");
    assert_eq!(changed("value1", "value2"), "SignatureDoesNotMatch");
    assert_eq!(
        changed("&param2=", "&param2=&callback=e30%3D"),
        "SignatureDoesNotMatch"
    );
    assert_eq!(changed("OSS4-HMAC-SHA256", "OSS2"), "InvalidArgument");
    assert_eq!(changed("x-oss-expires=599&", ""), "InvalidArgument");
    assert_eq!(
        changed("x-oss-expires=", "x-oss-expires=1&x-oss-expires="),
        "InvalidArgument"
    );
    assert_eq!(
        changed("&x-oss-date=", "&Signature=x&x-oss-date="),
        "InvalidArgument"
    );
    assert_eq!(
        url.with("x-oss-meta-a", "b").code(),
        "SignatureDoesNotMatch"
    );
    assert_eq!(
        url.with("authorization", "OSS ak:x").code(),
        "InvalidArgument"
    );
}

#[test]
fn nobody_claims_nothing() {
    let anyone = v1_url().asking("response-content-type=a");
    assert!(matches!(anyone.judge().unwrap().who(), Who::Anonymous));
    assert!(!is_claimed(&HeaderMap::new(), "versionId=1&Signature=x"));
    for claim in ["ossaccesskeyid=1", "x-oss-date=1", "x-oss-security-token=1"] {
        assert!(is_claimed(&HeaderMap::new(), claim), "{claim}");
    }
    let mut headers = HeaderMap::new();
    for (value, is) in [
        ("OSS a:b", true),
        ("oss4-x", true),
        ("AWS a:b", false),
        ("", false),
    ] {
        headers.insert("authorization", value.parse().unwrap());
        assert_eq!(is_claimed(&headers, ""), is, "{value}");
    }
}

fn form(conditions: &str) -> Vec<(String, String)> {
    let policy = format!("{{\"expiration\":\"2023-12-16T17:00:00Z\",\"conditions\":{conditions}}}");
    vec![
        ("key".into(), "user/a.txt".into()),
        ("policy".into(), STANDARD.encode(policy)),
        ("x-oss-meta-a".into(), "b".into()),
    ]
}

fn signed_by_v1(mut fields: Vec<(String, String)>) -> Vec<(String, String)> {
    let signature = sigv2::sign("sk", &fields[1].1);
    fields.push(("OSSAccessKeyId".into(), "ak".into()));
    fields.push(("Signature".into(), signature));
    fields
}

fn signed_by_v4(mut fields: Vec<(String, String)>) -> Vec<(String, String)> {
    let date = "20231216T162057Z";
    let text = "ak/20231216/cn-hangzhou/oss/aliyun_v4_request";
    let at = Timestamp::parse_amz_date(date).unwrap();
    let credential = Credential::read(text, "c", at, &settings()).unwrap();
    let key = credential.signing_key(&Secret::new("sk"));
    let signature = sigv4::sign(&key, &fields[1].1);
    for (name, value) in [
        ("x-oss-signature-version", "OSS4-HMAC-SHA256"),
        ("x-oss-credential", text),
        ("x-oss-date", date),
        ("x-oss-signature", &signature),
    ] {
        fields.push((name.into(), value.into()));
    }
    fields
}

fn judged(fields: &[(String, String)]) -> &'static str {
    let now = Timestamp::parse_amz_date("20231216T165959Z").unwrap();
    let judged = authenticate_form(fields, "abc", &Ring, &settings(), now);
    judged.map_or_else(|error| error.code(), |_| "ok")
}

#[test]
fn a_form_is_let_in_by_its_policy() {
    // Not every field needs a condition: `key` and `x-oss-meta-a` have none here.
    let good = r#"[{"bucket":"abc"},["content-length-range",1,10]]"#;
    let bad = r#"[["starts-with","$key","other/"]]"#;
    let elsewhere = r#"[{"bucket":"other"}]"#;
    for sign in [signed_by_v1, signed_by_v4] {
        let fields = sign(form(good));
        assert_eq!(judged(&fields), "ok");
        assert_eq!(judged(&sign(form(bad))), "AccessDenied");
        assert_eq!(judged(&sign(form(elsewhere))), "AccessDenied");
        let now = Timestamp::parse_amz_date("20231216T170001Z").unwrap();
        let late = authenticate_form(&fields, "abc", &Ring, &settings(), now);
        assert_eq!(late.unwrap_err().code(), "AccessDenied");
        let changed = |at: usize, value: &str| {
            let mut fields = fields.clone();
            fields[at].1 = value.into();
            judged(&fields)
        };
        let last = fields.len() - 1;
        assert_eq!(changed(last, "x"), "SignatureDoesNotMatch");
        assert_eq!(changed(1, &form(bad)[1].1), "SignatureDoesNotMatch");
        for at in 3..fields.len() {
            let mut fields = fields.clone();
            fields.remove(at);
            assert_eq!(judged(&fields), "InvalidArgument", "{at}");
        }
        let mut twice = fields.clone();
        twice.push(("Key".into(), "b".into()));
        assert_eq!(judged(&twice), "AccessDenied");
        let mut token = fields.clone();
        token.push(("x-oss-security-token".into(), "t".into()));
        assert_eq!(judged(&token), "InvalidToken");
    }
    let both = signed_by_v4(signed_by_v1(form(good)));
    assert_eq!(judged(&both), "InvalidArgument");
    assert_eq!(judged(&form(good)), "AccessDenied");
    assert_eq!(judged(&form(good)[..1]), "ok");
}
