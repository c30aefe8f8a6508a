//! Tests by table and by AWS's own published examples.

use base64::Engine as _;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::post_form::{authenticate_form, expand_filename};
use super::presign::{Signer, Target, presign_url, sign_header, sign_post};
use super::session::{Credentials, Draw, NewSession, SessionKey};
use super::*;

const AK: &str = "AKIAIOSFODNN7EXAMPLE";
const SK: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

struct Ring;

impl KeyRing for Ring {
    fn find(&self, access_key: &str) -> Option<Arc<AccessKey>> {
        let disabled = access_key == "DISABLED";
        (disabled || access_key == AK).then(|| {
            Arc::new(AccessKey {
                access_key: access_key.into(),
                name: "test".into(),
                secret: Secret::new(SK),
                disabled,
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
        region: "us-east-1".into(),
        service: sigv4::SERVICE,
        presign_seconds_max: PRESIGN_SECONDS_MAX,
    }
}

fn t0() -> Timestamp {
    Timestamp::parse_amz_date("20130524T000000Z").unwrap()
}

#[derive(Clone)]
struct Sent {
    method: Method,
    path: String,
    query: String,
    headers: HeaderMap,
    authority: String,
}

impl Sent {
    fn judge(&self, now: Timestamp) -> Result<Grant, AuthError> {
        let head = SignedHead {
            method: &self.method,
            raw_path: &self.path,
            raw_query: &self.query,
            headers: &self.headers,
            authority: &self.authority,
            payload: None,
        };
        authenticate(&head, &Ring, &settings(), now)
    }

    fn code(&self) -> &'static str {
        self.judge(t0()).map_or_else(|e| e.code(), |_| "ok")
    }

    fn set(&mut self, name: &'static str, value: &str) {
        self.headers
            .insert(name, HeaderValue::from_str(value).unwrap());
    }

    fn edit(&mut self, from: &str, to: &str) {
        let old = self.headers["authorization"].to_str().unwrap().to_owned();
        assert!(old.contains(from), "{from}");
        self.set("authorization", &old.replace(from, to));
    }
}

fn by_header(access_key: &str, secret: &str, region: &str, payload: &str) -> Sent {
    let secret = Secret::new(secret);
    let signer = Signer {
        access_key,
        secret: &secret,
        region,
    };
    let query = [("prefix", "a b+c")];
    let target = Target {
        method: "PUT",
        endpoint: "http://h:9000",
        path: "/b/a k//..é",
        query: &query,
    };
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static("text/plain"));
    sign_header(&signer, &target, &mut headers, payload, t0());
    Sent {
        method: Method::PUT,
        path: target.raw_path(),
        query: target.raw_query(),
        headers,
        authority: "h:9000".into(),
    }
}

fn by_query(secret: &str, headers: HeaderMap, seconds: u64) -> Sent {
    let secret = Secret::new(secret);
    let signer = Signer {
        access_key: AK,
        secret: &secret,
        region: "us-east-1",
    };
    let target = Target {
        method: "PUT",
        endpoint: "http://h",
        path: "/b/k",
        query: &[],
    };
    let url = presign_url(&signer, &target, &headers, seconds, t0());
    let (path, query) = url
        .strip_prefix("http://h")
        .unwrap()
        .split_once('?')
        .unwrap();
    let (path, query) = (path.into(), query.into());
    Sent {
        method: Method::PUT,
        path,
        query,
        headers,
        authority: "h".into(),
    }
}

#[test]
fn awss_published_examples_are_verified() {
    let text = include_str!("../../data/vectors/sigv4.json");
    let cases: Vec<Value> = serde_json::from_str(text).unwrap();
    for case in &cases {
        let get = |name: &str| case[name].as_str().unwrap().to_owned();
        let headers = case["headers"].as_object().unwrap().iter().map(|(n, v)| {
            let name = HeaderName::from_bytes(n.as_bytes()).unwrap();
            (name, HeaderValue::from_str(v.as_str().unwrap()).unwrap())
        });
        let sent = Sent {
            method: get("method").parse().unwrap(),
            path: get("path"),
            query: get("query"),
            headers: headers.collect(),
            authority: get("authority"),
        };
        let grant = sent.judge(Timestamp::parse_amz_date(&get("now")).unwrap());
        let (_, body) = grant
            .unwrap_or_else(|e| panic!("{}: {e:?}", get("name")))
            .into_parts();
        let Some(chunks) = case["chunks"].as_array() else {
            continue;
        };
        let BodyProof::SignedChunks { mut chain, trailer } = body else {
            panic!("no chunks")
        };
        for chunk in chunks {
            let data = vec![b'a'; usize::try_from(chunk["a"].as_u64().unwrap()).unwrap()];
            let signature = chunk["signature"].as_str().unwrap();
            assert!(
                chain.verify_chunk(Sha256::digest(data).into(), signature),
                "{signature}"
            );
        }
        assert_eq!(trailer, case["trailer"].is_object());
        if trailer {
            let text = case["trailer"]["text"].as_str().unwrap();
            let signature = case["trailer"]["signature"].as_str().unwrap();
            assert!(chain.verify_trailer(Sha256::digest(text).into(), signature));
            assert!(!chain.verify_trailer(Sha256::digest(text).into(), signature));
        }
    }
}

/// <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html>
#[test]
fn our_signer_makes_awss_own_presigned_example() {
    let secret = Secret::new(SK);
    let signer = Signer {
        access_key: AK,
        secret: &secret,
        region: "us-east-1",
    };
    let target = Target {
        method: "GET",
        endpoint: "https://examplebucket.s3.amazonaws.com",
        path: "/test.txt",
        query: &[],
    };
    let url = presign_url(&signer, &target, &HeaderMap::new(), 86_400, t0());
    let signature = "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404";
    assert!(url.ends_with(signature), "{url}");
}

#[test]
fn what_our_signer_signs_is_let_in() {
    assert_eq!(
        by_header(AK, SK, "us-east-1", "UNSIGNED-PAYLOAD").code(),
        "ok"
    );
    assert_eq!(by_query(SK, HeaderMap::new(), 60).code(), "ok");
    let mut sent = by_query(SK, HeaderMap::new(), 60);
    sent.authority = "h:80".into();
    assert_eq!(sent.code(), "ok");
    let stranger = Sent {
        query: String::new(),
        ..sent
    };
    assert!(matches!(
        stranger.judge(t0()).unwrap().who(),
        Who::Anonymous
    ));
}

#[test]
fn a_wrong_secret_never_passes_whatever_the_payload() {
    for payload in [
        "UNSIGNED-PAYLOAD",
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
        "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        sigv4::EMPTY_SHA256,
    ] {
        assert_eq!(
            by_header(AK, SK, "us-east-1", payload).code(),
            "ok",
            "{payload}"
        );
        assert_eq!(
            by_header(AK, "x", "us-east-1", payload).code(),
            "SignatureDoesNotMatch"
        );
        let mut headers = HeaderMap::new();
        headers.insert(
            "x-amz-content-sha256",
            HeaderValue::from_str(payload).unwrap(),
        );
        assert_eq!(by_query(SK, headers.clone(), 60).code(), "ok", "{payload}");
        assert_eq!(
            by_query("x", headers, 60).code(),
            "SignatureDoesNotMatch",
            "{payload}"
        );
    }
}

#[test]
fn each_fault_of_a_header_has_its_code() {
    type Spoil = fn(&mut Sent);
    let table: [(&str, Spoil); 19] = [
        ("SignatureDoesNotMatch", |s| s.method = Method::GET),
        ("SignatureDoesNotMatch", |s| s.path.push('x')),
        ("SignatureDoesNotMatch", |s| s.query.push_str("&x=1")),
        ("SignatureDoesNotMatch", |s| s.authority = "other".into()),
        ("SignatureDoesNotMatch", |s| {
            s.set("content-type", "text/html");
        }),
        ("SignatureDoesNotMatch", |s| {
            drop(s.headers.remove("content-type"));
        }),
        ("AccessDenied", |s| s.set("x-amz-copy-source", "/other/key")),
        ("AccessDenied", |s| s.edit(";host", "")),
        ("AccessDenied", |s| drop(s.headers.remove("x-amz-date"))),
        ("AccessDenied", |s| s.set("x-amz-date", "yesterday")),
        ("RequestTimeTooSkewed", |s| {
            s.set("x-amz-date", "20130524T001501Z");
        }),
        ("InvalidRequest", |s| {
            drop(s.headers.remove("x-amz-content-sha256"));
        }),
        ("InvalidArgument", |s| {
            s.set("x-amz-content-sha256", "nonsense");
        }),
        ("AuthorizationHeaderMalformed", |s| s.edit("/s3/", "/sts/")),
        ("AuthorizationHeaderMalformed", |s| {
            s.edit("aws4_request", "aws5");
        }),
        ("AuthorizationHeaderMalformed", |s| {
            s.edit("20130524", "20130525");
        }),
        ("AuthorizationHeaderMalformed", |s| {
            s.edit("Signature=", "Nothing=");
        }),
        ("InvalidRequest", |s| s.set("authorization", "AWS ak:sig")),
        ("InvalidArgument", |s| s.set("authorization", "Bearer hush")),
    ];
    for (at, (code, spoil)) in table.into_iter().enumerate() {
        let mut sent = by_header(AK, SK, "us-east-1", "UNSIGNED-PAYLOAD");
        spoil(&mut sent);
        assert_eq!(sent.code(), code, "row {at}");
    }
    assert_eq!(
        by_header("NOBODY", SK, "us-east-1", "UNSIGNED-PAYLOAD").code(),
        "InvalidAccessKeyId"
    );
    assert_eq!(
        by_header("DISABLED", SK, "us-east-1", "UNSIGNED-PAYLOAD").code(),
        "InvalidAccessKeyId"
    );
    let far = by_header(AK, SK, "far", "UNSIGNED-PAYLOAD")
        .judge(t0())
        .unwrap_err()
        .wire();
    assert_eq!(far.2, [("Region", "us-east-1".to_owned())]);
}

#[test]
fn each_fault_of_a_query_has_its_code() {
    type Spoil = fn(&mut Sent);
    let table: [(&str, Spoil); 16] = [
        ("AuthorizationQueryParametersError", |s| {
            s.query = s.query.replace("&X-Amz-Date", "&No");
        }),
        ("AuthorizationQueryParametersError", |s| {
            s.query.push_str("&X-Amz-Expires=60");
        }),
        ("AuthorizationQueryParametersError", |s| {
            s.query.push_str("&x-amz-date=1");
        }),
        ("AuthorizationQueryParametersError", |s| {
            s.query = s.query.replace("=60", "=604801");
        }),
        ("AuthorizationQueryParametersError", |s| {
            s.query = s.query.replace("=60", "=0");
        }),
        ("AuthorizationQueryParametersError", |s| {
            s.query = s.query.replace("=60", "=-1");
        }),
        ("AuthorizationQueryParametersError", |s| {
            s.query = s.query.replace("=60", "=x");
        }),
        ("AuthorizationQueryParametersError", |s| {
            s.query = s.query.replace("%2Fs3", "%252Fs3");
        }),
        ("AuthorizationQueryParametersError", |s| {
            s.query = s.query.replace("us-east-1", "far");
        }),
        ("SignatureDoesNotMatch", |s| {
            s.query = s.query.replace("=60", "=61");
        }),
        ("AccessDenied", |s| s.set("x-amz-copy-source", "/other/key")),
        ("InvalidToken", |s| {
            s.query.push_str("&X-Amz-Security-Token=t");
        }),
        ("InvalidRequest", |s| {
            s.query = "AWSAccessKeyId=a&Signature=b&Expires=1".into();
        }),
        ("AccessDenied", |s| {
            s.query = "AWSAccessKeyId=a&Expires=1".into();
        }),
        ("AccessDenied", |s| s.query = "Signature=a".into()),
        ("InvalidArgument", |s| {
            s.set("authorization", "AWS4-HMAC-SHA256 x");
        }),
    ];
    for (at, (code, spoil)) in table.into_iter().enumerate() {
        let mut sent = by_query(SK, HeaderMap::new(), 60);
        spoil(&mut sent);
        assert_eq!(sent.code(), code, "row {at}");
    }
}

#[test]
fn a_presigned_url_lives_to_the_second() {
    let sent = by_query(SK, HeaderMap::new(), 60);
    let secs = Duration::from_secs;
    for (now, outcome) in [
        (t0().minus(secs(901)), Some("Request is not yet valid")),
        (t0().minus(secs(900)), None),
        (t0().plus(secs(60)), None),
        (
            t0().plus(Duration::from_millis(60_001)),
            Some("Request has expired"),
        ),
    ] {
        let got = sent.judge(now).err().map(|e| e.to_string());
        assert_eq!(got.as_deref(), outcome, "{now:?}");
    }
}

fn form(conditions: &str, extra: &[(&str, &str)]) -> Result<post_policy::PostDuties, AuthError> {
    let secret = Secret::new(SK);
    let signer = Signer {
        access_key: AK,
        secret: &secret,
        region: "us-east-1",
    };
    let policy = format!(
        r#"{{"expiration":"2013-05-24T01:00:00Z","conditions":[{{"x-amz-algorithm":"AWS4-HMAC-SHA256"}},
        ["starts-with","$x-amz-credential",""],["starts-with","$X-Amz-Date",""],
        {{"bucket":"photos"}}{conditions}]}}"#
    );
    let mut fields = sign_post(&signer, &policy, t0());
    fields.extend(
        extra
            .iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned())),
    );
    authenticate_form(&fields, "photos", &Ring, &settings(), t0()).map(|(_, duties)| duties)
}

#[test]
fn each_condition_of_a_policy_is_kept() {
    let failed = "Invalid according to Policy: Policy Condition failed: ";
    for (conditions, fields, error) in [
        (r#",{"bucket":"photos"},{"key":"a"}"#, vec![("Key", "a")], None),
        (r#",{"bucket":"other"}"#, vec![], Some(format!("{failed}[\"eq\", \"$bucket\", \"other\"]"))),
        (r#",{"bucket":"photos"}"#, vec![("bucket", "x")], Some(format!("{failed}[\"eq\", \"$bucket\", \"photos\"]"))),
        (r#",["eq","$key","a"]"#, vec![("key", "b")], Some(format!("{failed}[\"eq\", \"$key\", \"a\"]"))),
        (r#",["eq","key","a"]"#, vec![("key", "a")], Some(format!("{failed}[\"eq\", \"key\", \"a\"]"))),
        (r#",["starts-with","$key","u/"]"#, vec![("key", "u/x")], None),
        (r#",["starts-with","$key","u/"]"#, vec![("key", "v/x")], Some(format!("{failed}[\"starts-with\", \"$key\", \"u/\"]"))),
        (r#",["starts-with","$Content-Type","image/"]"#, vec![("content-type", "image/a,image/b")], None),
        (r#",["starts-with","$Content-Type","image/"]"#, vec![("content-type", "image/a,text/b")], Some(format!("{failed}[\"starts-with\", \"$Content-Type\", \"image/\"]"))),
        (r#",["content-length-range","test",10]"#, vec![], Some(format!("{failed}[\"content-length-range\", \"test\", \"10\"]"))),
        ("", vec![("key", "a")], Some("Invalid according to Policy: Extra input fields: key".into())),
        ("", vec![("x-ignore-a", "a")], None),
        (r#",{"a":"1","b":"2"}"#, vec![], Some("Invalid Policy: Invalid Simple-Condition: Simple-Conditions must have exactly one property specified.".into())),
        (r#",["in","$key","a"]"#, vec![], Some("Invalid Policy: Invalid Condition: unknown operation 'in'.".into())),
    ] {
        let got = form(conditions, &fields).err().map(|e| e.to_string());
        assert_eq!(got, error, "{conditions} {fields:?}");
    }
    let range = form(r#",["content-length-range",1,"10"]"#, &[])
        .unwrap()
        .length_range;
    assert_eq!(range, Some(1..=10));
    let range = form(r#",["content-length-range",-1,0]"#, &[]).unwrap();
    assert_eq!(range.length_range, Some(0..=0));
}

/// The fields of a form that is signed as Version 2 has it.
fn form_v2(policy: &str) -> Vec<(String, String)> {
    let policy = base64::engine::general_purpose::STANDARD.encode(policy);
    let signature = sigv2::sign(SK, &policy);
    let fields = [
        ("AWSAccessKeyId", AK.to_owned()),
        ("Signature", signature),
        ("policy", policy),
    ];
    fields.map(|(name, value)| (name.to_owned(), value)).into()
}

#[test]
fn a_form_may_be_signed_by_version_2_where_s3_still_takes_it() {
    let judge = |fields: &[(String, String)], region: &str| {
        let settings = AuthSettings {
            region: region.into(),
            ..settings()
        };
        let grant = authenticate_form(fields, "photos", &Ring, &settings, t0());
        grant.map_or_else(|error| error.to_string(), |_| "ok".to_owned())
    };
    let fine = r#"{"expiration":"2013-05-24T00:00:00Z","conditions":[{"bucket":"photos"}]}"#;
    let fields = form_v2(fine);
    assert_eq!(judge(&fields, "us-east-1"), "ok");
    let refused = AuthError::SignatureV2.to_string();
    assert_eq!(judge(&fields, "eu-central-1"), refused);
    for name in ["AWSAccessKeyId", "Signature"] {
        let without: Vec<_> = fields.iter().filter(|(n, _)| n != name).cloned().collect();
        let missing = AuthError::FormFieldMissing { field: name };
        assert_eq!(judge(&without, "us-east-1"), missing.to_string());
    }
    let mut forged = fields.clone();
    forged[1].1 = sigv2::sign("x", &forged[2].1);
    assert!(judge(&forged, "us-east-1").contains("does not match"));
    for (policy, error) in [
        (
            r#"{"conditions":[]}"#,
            "Invalid Policy: Policy missing expiration.",
        ),
        (
            r#"{"expiration":"2013-05-24T00:00:00Z","conditions":[]}"#,
            "Invalid according to Policy: Extra input fields: bucket",
        ),
        (
            r#"{"expiration":"2013-05-24 00:00:00+00:00","conditions":[]}"#,
            "Invalid Policy: Invalid 'expiration' value.",
        ),
    ] {
        assert_eq!(judge(&form_v2(policy), "us-east-1"), error);
    }
}

#[test]
fn a_forms_signature_is_proven_before_its_policy_is_read() {
    let secret = Secret::new(SK);
    let signer = Signer {
        access_key: AK,
        secret: &secret,
        region: "us-east-1",
    };
    let judge = |fields: &[(String, String)], now| {
        authenticate_form(fields, "photos", &Ring, &settings(), now).map_or_else(
            |e| e.code(),
            |(grant, _)| match grant.who() {
                Who::Key(_) => "key",
                Who::Anonymous => "anonymous",
            },
        )
    };
    let fields = sign_post(&signer, "{}", t0());
    assert_eq!(judge(&fields, t0()), "InvalidPolicyDocument");
    assert_eq!(judge(&[], t0()), "anonymous");
    assert_eq!(judge(fields.get(..1).unwrap(), t0()), "AccessDenied");
    for at in 0..fields.len() {
        let mut without = fields.clone();
        without.remove(at);
        assert_eq!(judge(&without, t0()), "InvalidArgument", "{at}");
    }
    let mut garbled = fields.clone();
    garbled[0].1.push('x');
    assert_eq!(judge(&garbled, t0()), "SignatureDoesNotMatch");
    let policy = r#"{"expiration":"2013-05-24T00:00:00Z","conditions":[]}"#;
    let expired = sign_post(&signer, policy, t0());
    assert_eq!(
        judge(&expired, t0().plus(Duration::from_millis(1))),
        "AccessDenied"
    );
    assert!(
        base64::engine::general_purpose::STANDARD
            .decode(&expired[0].1)
            .is_ok()
    );
}

/// A ring with one lasting key, and a session of it that is good for 15 minutes.
struct WithSession(SessionKey);

impl KeyRing for WithSession {
    fn find(&self, access_key: &str) -> Option<Arc<AccessKey>> {
        Ring.find(access_key)
    }

    fn session_key(&self) -> Option<&SessionKey> {
        Some(&self.0)
    }
}

impl WithSession {
    fn new() -> (Self, Credentials) {
        let key = SessionKey::from_bytes([1; 32]);
        let parent = Ring.find(AK).unwrap();
        let new = NewSession {
            parent: &parent,
            role: None,
            policy: None,
            issued: t0(),
            expires: t0().plus(Duration::from_secs(900)),
        };
        let draw = Draw {
            access_key: [1; 16],
            secret: [2; 30],
            nonce: [3; 12],
        };
        let made = key.issue(&new, draw).unwrap();
        (Self(key), made)
    }

    fn code(&self, sent: &Sent, seconds: u64) -> String {
        let head = SignedHead {
            method: &sent.method,
            raw_path: &sent.path,
            raw_query: &sent.query,
            headers: &sent.headers,
            authority: &sent.authority,
            payload: None,
        };
        let now = t0().plus(Duration::from_secs(seconds));
        let grant = authenticate(&head, self, &settings(), now);
        grant.map_or_else(|e| e.code().to_owned(), |g| g.who().owner().to_owned())
    }
}

/// Requests by header and by query that `made` signs with this token.
fn by_session(made: &Credentials, token: Option<&str>) -> [Sent; 2] {
    let signer = Signer {
        access_key: &made.access_key,
        secret: &made.secret,
        region: "us-east-1",
    };
    let mut headers = HeaderMap::new();
    let query: Vec<_> = token
        .map(|t| ("X-Amz-Security-Token", t))
        .into_iter()
        .collect();
    let target = |query| Target {
        method: "GET",
        endpoint: "http://h",
        path: "/b/k",
        query,
    };
    if let Some(token) = token {
        headers.insert("x-amz-security-token", token.parse().unwrap());
    }
    sign_header(
        &signer,
        &target(&[]),
        &mut headers,
        "UNSIGNED-PAYLOAD",
        t0(),
    );
    let url = presign_url(&signer, &target(&query), &HeaderMap::new(), 3600, t0());
    let sent = |query: &str, headers| Sent {
        method: Method::GET,
        path: "/b/k".into(),
        query: query.into(),
        headers,
        authority: "h".into(),
    };
    [
        sent("", headers),
        sent(url.split_once('?').unwrap().1, HeaderMap::new()),
    ]
}

#[test]
fn a_session_signs_with_its_token_until_it_ends() {
    let (ring, made) = WithSession::new();
    let code = |token: Option<&str>, seconds| {
        by_session(&made, token).map(|sent| ring.code(&sent, seconds))
    };
    let token = made.token.as_str();
    assert_eq!(code(Some(token), 899), ["owner", "owner"]);
    assert_eq!(code(Some(token), 900), ["ExpiredToken", "ExpiredToken"]);
    assert_eq!(code(None, 0), ["InvalidAccessKeyId", "InvalidAccessKeyId"]);
    assert_eq!(code(Some("x"), 0), ["InvalidToken", "InvalidToken"]);
    let forged = Credentials {
        secret: Secret::new("guess"),
        ..made.clone()
    };
    let codes = by_session(&forged, Some(token)).map(|sent| ring.code(&sent, 0));
    assert_eq!(codes, ["SignatureDoesNotMatch", "SignatureDoesNotMatch"]);
    let lasting = Credentials {
        access_key: AK.into(),
        secret: Secret::new(SK),
        ..made.clone()
    };
    let codes = by_session(&lasting, Some(token)).map(|sent| ring.code(&sent, 0));
    assert_eq!(codes, ["InvalidToken", "InvalidToken"]);
    // A token that is not signed, or there twice.
    let [mut by_header, mut by_query] = by_session(&made, Some(token));
    by_header.edit(";x-amz-security-token", "");
    assert_eq!(ring.code(&by_header, 0), "AccessDenied");
    by_query.set("x-amz-security-token", token);
    assert_eq!(ring.code(&by_query, 0), "InvalidToken");
}

#[test]
fn a_form_of_a_session_has_its_token() {
    let (ring, made) = WithSession::new();
    let signer = Signer {
        access_key: &made.access_key,
        secret: &made.secret,
        region: "us-east-1",
    };
    let judge = |token: Option<&str>, spoken: &str, seconds| {
        let policy = format!(
            r#"{{"expiration":"2013-05-25T00:00:00Z","conditions":[{{"bucket":"photos"}},
                ["starts-with","$x-amz-algorithm",""],["starts-with","$x-amz-credential",""],
                ["starts-with","$x-amz-date",""]{spoken}]}}"#
        );
        let mut fields = sign_post(&signer, &policy, t0());
        fields.extend(token.map(|t| ("x-amz-security-token".to_owned(), t.to_owned())));
        let now = t0().plus(Duration::from_secs(seconds));
        authenticate_form(&fields, "photos", &ring, &settings(), now)
            .map_or_else(|e| e.code(), |_| "ok")
    };
    let spoken = r#",["starts-with","$x-amz-security-token",""]"#;
    let token = made.token.as_str();
    assert_eq!(judge(Some(token), spoken, 899), "ok");
    assert_eq!(judge(Some(token), spoken, 900), "ExpiredToken");
    assert_eq!(judge(Some(token), "", 0), "AccessDenied");
    assert_eq!(judge(Some("x"), spoken, 0), "InvalidToken");
    assert_eq!(judge(None, spoken, 0), "InvalidAccessKeyId");
    let alone = [("x-amz-security-token".to_owned(), token.to_owned())];
    let refused = authenticate_form(&alone, "photos", &ring, &settings(), t0());
    assert_eq!(refused.unwrap_err().code(), "InvalidArgument");
}

#[test]
fn a_files_name_is_put_into_the_key() {
    assert_eq!(expand_filename("u/${filename}", r"C:\x\a.png"), "u/a.png");
    assert_eq!(expand_filename("u/x", "a"), "u/x");
}
