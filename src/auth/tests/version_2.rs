//! Signature Version 2, where it is switched on.

use super::*;

fn v2() -> AuthSettings {
    AuthSettings {
        signature_v2: true,
        ..settings()
    }
}

fn judge(sent: &Sent, now: Timestamp) -> Result<Grant, AuthError> {
    sent.judge_by(&v2(), now)
}

fn code(sent: &Sent) -> &'static str {
    judge(sent, t0()).map_or_else(|error| error.code(), |_| "ok")
}

fn headers_of(case: &Value) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in case["headers"].as_object().unwrap() {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        let values = value.as_array().cloned().unwrap_or(vec![value.clone()]);
        for value in values {
            let value = HeaderValue::from_str(value.as_str().unwrap()).unwrap();
            headers.append(&name, value);
        }
    }
    headers
}

#[test]
fn awss_published_examples_are_verified() {
    let text = include_str!("../../../data/vectors/sigv2.json");
    let vectors: Value = serde_json::from_str(text).unwrap();
    for case in vectors["cases"].as_array().unwrap() {
        let get = |name: &str| case[name].as_str().unwrap().to_owned();
        let bucket = case["bucket"].as_str().map(|name| &*name.to_owned().leak());
        let sent = Sent {
            method: get("method").parse().unwrap(),
            path: get("path"),
            query: get("query"),
            headers: headers_of(case),
            authority: "h".into(),
            bucket,
        };
        let now = Timestamp::parse_amz_date(&get("now")).unwrap();
        let name = get("name");
        let grant = judge(&sent, now).unwrap_or_else(|error| panic!("{name}: {error:?}"));
        assert_eq!(grant.signature().unwrap().version, SignatureVersion::V2);
        // Off, no request of this version is let in.
        let off = sent.judge(now).unwrap_err();
        assert_eq!(off, AuthError::SignatureV2, "{name}");
        let changed = Sent {
            path: format!("{}x", sent.path),
            ..sent
        };
        let error = judge(&changed, now).unwrap_err();
        assert_eq!(error.code(), "SignatureDoesNotMatch", "{name}");
    }
}

/// A PUT with a header of S3 and a sub-resource, signed over `text`.
fn by_header(text: &str) -> Sent {
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("content-type", "text/plain"),
        ("date", "Fri, 24 May 2013 00:00:00 GMT"),
        ("x-amz-meta-a", "b  c"),
        ("x-amz-acl", "private"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    let value = format!("AWS {AK}:{}", sigv2::sign(SK, text));
    headers.insert("authorization", value.parse().unwrap());
    Sent {
        method: Method::PUT,
        path: "/b/k".into(),
        query: "partNumber=1&x-id=UploadPart&uploadId=a%2Bb".into(),
        headers,
        authority: "h".into(),
        bucket: None,
    }
}

const BY_HEADER: &str = "PUT\n\ntext/plain\nFri, 24 May 2013 00:00:00 GMT\nx-amz-acl:private\n\
     x-amz-meta-a:b  c\n/b/k?partNumber=1&uploadId=a+b";

#[test]
fn each_fault_of_a_header_has_its_code() {
    type Spoil = fn(&mut Sent);
    let table: [(&str, Spoil); 19] = [
        ("ok", |_| {}),
        // Version 2 does not sign what S3 did not know.
        ("AccessDenied", |s| s.query.push_str("&x-consign-once=1")),
        ("ok", |s| s.query.push_str("&prefix=unsigned")),
        ("ok", |s| s.set("content-encoding", "gzip")),
        ("SignatureDoesNotMatch", |s| s.method = Method::GET),
        ("SignatureDoesNotMatch", |s| s.query.push_str("&acl")),
        ("SignatureDoesNotMatch", |s| {
            s.query.push_str("&renameObject");
        }),
        ("SignatureDoesNotMatch", |s| {
            s.query.push_str("&versionId=1");
        }),
        ("SignatureDoesNotMatch", |s| s.bucket = Some("b")),
        ("SignatureDoesNotMatch", |s| {
            s.set("content-type", "text/html");
        }),
        ("SignatureDoesNotMatch", |s| s.set("content-md5", "x")),
        ("SignatureDoesNotMatch", |s| {
            s.set("x-amz-copy-source", "/c/d");
        }),
        ("SignatureDoesNotMatch", |s| {
            s.query.push_str("&x-amz-tagging=a");
        }),
        ("SignatureDoesNotMatch", |s| {
            s.set("x-amz-date", "20130524T000000Z");
        }),
        ("InvalidArgument", |s| s.set("authorization", "AWS HAHAHA")),
        ("InvalidArgument", |s| s.set("authorization", "AWS")),
        ("InvalidAccessKeyId", |s| s.edit("AKIA", "AKIB")),
        ("InvalidToken", |s| s.set("x-amz-security-token", "t")),
        ("InvalidArgument", |s| {
            s.query.push_str("&AWSAccessKeyId=a&Signature=b&Expires=1");
        }),
    ];
    for (at, (expected, spoil)) in table.into_iter().enumerate() {
        let mut sent = by_header(BY_HEADER);
        spoil(&mut sent);
        assert_eq!(code(&sent), expected, "row {at}");
    }
}

#[test]
fn a_header_is_good_for_a_quarter_of_an_hour() {
    let sent = by_header(BY_HEADER);
    let far = Duration::from_secs(901);
    for (now, expected) in [
        (t0().minus(SKEW_MAX), "ok"),
        (t0().plus(SKEW_MAX), "ok"),
        (t0().minus(far), "RequestTimeTooSkewed"),
        (t0().plus(far), "RequestTimeTooSkewed"),
    ] {
        let judged = judge(&sent, now);
        assert_eq!(judged.map_or_else(|error| error.code(), |_| "ok"), expected);
    }
    for (date, expected) in [
        ("", "AccessDenied"),
        ("yesterday", "AccessDenied"),
        ("Tue, 07 Jul 1950 21:53:04 GMT", "AccessDenied"),
        ("Tue, 07 Jul 2010 21:53:04 GMT", "RequestTimeTooSkewed"),
        ("Tue, 07 Jul 9999 21:53:04 GMT", "RequestTimeTooSkewed"),
    ] {
        let mut sent = by_header(BY_HEADER);
        sent.set("x-amz-date", date);
        assert_eq!(code(&sent), expected, "{date}");
    }
    let mut sent = by_header(BY_HEADER);
    sent.headers.remove("date");
    assert_eq!(code(&sent), "AccessDenied");
    let details = judge(&by_header(BY_HEADER), t0().plus(far))
        .unwrap_err()
        .wire()
        .2;
    let sent_time = "Fri, 24 May 2013 00:00:00 GMT".to_owned();
    assert_eq!(details[0], ("RequestTime", sent_time));
}

#[test]
fn a_buckets_path_may_be_signed_with_a_slash_at_its_end() {
    let at = |path: &str, signed: &str| {
        let until = t0().plus(Duration::from_secs(60)).unix_s().to_string();
        let sent = by_query(&until, &format!("GET\n\n\n{until}\n{signed}"), "");
        let path = path.to_owned();
        code(&Sent { path, ..sent })
    };
    assert_eq!(at("/b", "/b"), "ok");
    assert_eq!(at("/b", "/b/"), "ok");
    assert_eq!(at("/", "/"), "ok");
    for (path, signed) in [("/b/", "/b"), ("/b/k", "/b/k/"), ("/", "//"), ("/b", "/c/")] {
        assert_eq!(at(path, signed), "SignatureDoesNotMatch", "{path} {signed}");
    }
}

#[test]
fn a_mismatch_tells_what_was_signed() {
    let error = judge(&by_header("else"), t0()).unwrap_err();
    let (code, _, details) = error.wire();
    let names: Vec<_> = details.iter().map(|(name, _)| *name).collect();
    assert_eq!(code, "SignatureDoesNotMatch");
    assert_eq!(
        names,
        [
            "AWSAccessKeyId",
            "StringToSign",
            "SignatureProvided",
            "StringToSignBytes"
        ]
    );
    assert_eq!(details[1].1, BY_HEADER);
}

/// A GET that is signed in the query, with `more` in it, until `expires`.
fn by_query(expires: &str, text: &str, more: &str) -> Sent {
    let signature = canonical::encode(sigv2::sign(SK, text).as_bytes(), false);
    Sent {
        method: Method::GET,
        path: "/b/k".into(),
        query: format!("AWSAccessKeyId={AK}&Signature={signature}&Expires={expires}{more}"),
        headers: HeaderMap::new(),
        authority: "h".into(),
        bucket: None,
    }
}

#[test]
fn a_url_is_good_until_it_expires() {
    let at = |seconds: i64| {
        let text = (t0().unix_s() + seconds).to_string();
        by_query(&text, &format!("GET\n\n\n{text}\n/b/k"), "")
    };
    let week = i64::try_from(PRESIGN_SECONDS_MAX).unwrap();
    let skew = i64::try_from(SKEW_MAX.as_secs()).unwrap();
    for (seconds, expected) in [
        (0, "ok"),
        (60, "ok"),
        (week + skew, "ok"),
        (-1, "Request has expired"),
        (
            week + skew + 1,
            "Expires must be less than 604800 seconds from now on this server",
        ),
        (-t0().unix_s() - 5, "Request has expired"),
    ] {
        let judged = judge(&at(seconds), t0());
        let said = judged.map_or_else(|error| error.to_string(), |_| "ok".to_owned());
        assert_eq!(said, expected, "{seconds}");
    }
    let details = judge(&at(-1), t0()).unwrap_err().wire().2;
    let names: Vec<_> = details.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["Expires", "ServerTime"]);
    let signature = judge(&at(60), t0()).unwrap().signature().unwrap();
    assert_eq!(
        (signature.auth_type, signature.age),
        (AuthType::Query, None)
    );
}

#[test]
fn each_fault_of_a_query_has_its_code() {
    let until = t0().plus(Duration::from_secs(60)).unix_s().to_string();
    let text = format!(
        "GET\n\n\n{until}\nx-amz-meta-a:b c\n/b/k?response-content-type=a/b; c&versionId=1"
    );
    let more = "&versionId=1&response-content-type=a%2Fb%3B%20c&X-Amz-Meta-A=b%20c";
    let fine = || by_query(&until, &text, more);
    assert_eq!(code(&fine()), "ok");
    let edited = |from: &str, to: &str| {
        let mut sent = fine();
        assert!(sent.query.contains(from), "{from}");
        sent.query = sent.query.replace(from, to);
        judge(&sent, t0()).map_or_else(|error| error.to_string(), |_| "ok".to_owned())
    };
    let incomplete = AuthError::SignatureV2Incomplete.to_string();
    for name in ["AWSAccessKeyId", "Signature", "Expires"] {
        assert_eq!(edited(name, &format!("x{name}")), incomplete);
        assert_eq!(edited(name, &name.to_lowercase()), incomplete);
        assert_eq!(edited(name, &format!("{name}=a&{name}")), incomplete);
    }
    let no_time = "Invalid date (should be seconds since epoch): soon";
    assert_eq!(edited(&format!("Expires={until}"), "Expires=soon"), no_time);
    for (from, to) in [
        ("versionId=1", "versionId=2"),
        ("a%2Fb", "text%2Fhtml"),
        ("Meta-A=b", "Meta-A=c"),
        ("versionId=1", "versionId=1&tagging"),
        ("&X-Amz-Meta-A=b%20c", ""),
    ] {
        assert!(edited(from, to).contains("does not match"), "{from}");
    }
    let split = edited("Meta-A=b%20c", "Meta-A=b%0Ax-amz-acl:c");
    assert!(split.contains("can't stand in a header"), "{split}");
    let both = edited("&versionId", "&X-Amz-Signature=a&versionId");
    assert!(both.contains("Only one auth mechanism"), "{both}");
    let mut with_header = fine();
    with_header.set("x-amz-acl", "public-read");
    assert_eq!(code(&with_header), "SignatureDoesNotMatch");
}

#[test]
fn the_body_is_proven_by_its_digest_or_not_at_all() {
    for (payload, expected) in [
        ("UNSIGNED-PAYLOAD", "ok"),
        (sigv4::EMPTY_SHA256, "ok"),
        ("STREAMING-UNSIGNED-PAYLOAD-TRAILER", "ok"),
        ("STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "InvalidArgument"),
        (
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
            "InvalidArgument",
        ),
        ("x", "InvalidArgument"),
    ] {
        let line = format!("x-amz-content-sha256:{payload}\n");
        let mut sent = by_header(&BY_HEADER.replace("x-amz-meta-a", &(line + "x-amz-meta-a")));
        sent.set("x-amz-content-sha256", payload);
        assert_eq!(code(&sent), expected, "{payload}");
    }
    let grant = judge(&by_header(BY_HEADER), t0()).unwrap();
    assert!(matches!(grant.body(), BodyProof::Unsigned));
}
