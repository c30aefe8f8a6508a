//! Faults of the time, the scope, the key, and of what was done to a URL.

use super::*;

#[test]
fn a_header_that_nobody_signed() {
    let mut request = url(|_sent| {}, as_sent);
    request
        .headers
        .insert("x-amz-acl", HeaderValue::from_static("public-read"));
    check("x-amz-acl", &request, Kind::HeaderUnsigned);
}

#[test]
fn the_bodys_hash() {
    let hash = sigv4::sha256_hex(b"hello");
    let set = |sent: &mut Sent| sent.header("x-amz-content-sha256", "UNSIGNED-PAYLOAD");
    let request = put(set, |canon| canon.payload = EMPTY_SHA256.into());
    check("another in the last line", &request, Kind::ContentSha256);
    let set = |sent: &mut Sent| sent.body_sha256 = Some(hash.clone());
    let request = put(set, |canon| canon.payload.clone_from(&hash));
    let first = told(&request).causes[0].clone();
    assert_eq!((first.kind, first.proven), (Kind::ContentSha256, true));
    // The signature holds, and the body is another one.
    let set = |sent: &mut Sent| {
        sent.header("x-amz-content-sha256", EMPTY_SHA256);
        sent.body_sha256 = Some(hash.clone());
    };
    let told = told(&put(set, as_sent));
    assert_eq!(told.causes[0].kind, Kind::ContentSha256, "{told:#?}");
    assert!(!told.valid, "{told:#?}");
    let mut request = put(
        |_sent| {},
        |canon| canon.payload = "UNSIGNED-PAYLOAD".into(),
    );
    request.headers.remove("x-amz-content-sha256");
    let told = explain(&request, &known(&settings()));
    assert!(
        told.causes
            .iter()
            .any(|cause| cause.kind == Kind::ContentSha256Missing),
        "{told:#?}"
    );
}

#[test]
fn the_time() {
    let at = |date: &'static str| {
        move |sent: &mut Sent| {
            sent.date = date.into();
            let day = date.split('T').next().unwrap();
            sent.credential = format!("{AK}/{day}/us-east-1/s3/aws4_request");
        }
    };
    check(
        "expired",
        &url(at("20261125T115000Z"), as_sent),
        Kind::Expired,
    );
    check(
        "in the future",
        &url(at("20261125T123000Z"), as_sent),
        Kind::Clock,
    );
    check("old", &put(at("20261125T113000Z"), as_sent), Kind::Clock);
    check("skewed", &put(at("20261125T123000Z"), as_sent), Kind::Clock);
    let told = told(&url(at("20261125T115000Z"), as_sent));
    let expires = told
        .parts
        .iter()
        .find(|part| part.name == "expires")
        .unwrap();
    assert_eq!(
        expires.meaning,
        "good for 1 minute, until 2026-11-25T11:51:00Z: ended 9 minutes ago"
    );
    let set = |sent: &mut Sent| {
        sent.credential = format!("{AK}/20261124/us-east-1/s3/aws4_request");
    };
    check("another day", &url(set, as_sent), Kind::Day);
    let set = |sent: &mut Sent| sent.header("date", "Wed, 25 Nov 2026 12:01:00 GMT");
    let request = put(set, |canon| canon.date = "20261125T120100Z".into());
    check("the time of Date", &request, Kind::Date);
}

#[test]
fn the_scope() {
    let scope = |scope: &'static str| {
        move |sent: &mut Sent| sent.credential = format!("{AK}/20261125/{scope}/aws4_request")
    };
    check(
        "another region",
        &url(scope("eu-west-9/s3"), as_sent),
        Kind::Region,
    );
    check(
        "another service",
        &url(scope("us-east-1/sts"), as_sent),
        Kind::Service,
    );
    let change = |canon: &mut Signed| canon.scope.region = "auto".into();
    check(
        "the credential was changed",
        &url(|_sent| {}, change),
        Kind::Region,
    );
    let change = |canon: &mut Signed| canon.scope.service = "s3express".into();
    check(
        "derived for another service",
        &url(|_sent| {}, change),
        Kind::Service,
    );
}

#[test]
fn the_secret() {
    for (row, secret, kind) in [
        ("line break", format!("{SK}\n"), Kind::SecretSpoiled),
        ("carriage return", format!("{SK}\r\n"), Kind::SecretSpoiled),
        ("space before", format!(" {SK}"), Kind::SecretSpoiled),
        ("quotes", format!("\"{SK}\""), Kind::SecretSpoiled),
        ("plus as space", SK.replace('+', " "), Kind::SecretSpoiled),
        ("slash encoded", SK.replace('/', "%2F"), Kind::SecretSpoiled),
        (
            "cut",
            SK.strip_suffix('Y').unwrap().to_owned(),
            Kind::SecretSpoiled,
        ),
        ("swapped", AK.to_owned(), Kind::SwappedKeys),
        ("another key's", OTHER_SK.to_owned(), Kind::OtherKeysSecret),
    ] {
        check(row, &url(|_sent| {}, |canon| canon.secret = secret), kind);
    }
    let of = |access_key: &str| {
        let credential = format!("{access_key}/20261125/us-east-1/s3/aws4_request");
        move |sent: &mut Sent| sent.credential = credential
    };
    let first = |request: &Request| told(request).causes[0].clone();
    let unknown = url(of("NOBODY"), |canon| canon.secret = "guess".into());
    assert_eq!(first(&unknown).kind, Kind::UnknownKey);
    check(
        "a known key's secret",
        &url(of("NOBODY"), as_sent),
        Kind::OtherKeysSecret,
    );
    assert!(
        first(&url(of("other"), |c| c.secret = "x".into()))
            .fix
            .contains("OTHER")
    );
    check(
        "switched off",
        &url(of("DISABLED"), as_sent),
        Kind::DisabledKey,
    );
    let swapped = url(of(SK), |canon| canon.secret = AK.into());
    let told = told(&swapped);
    assert_eq!(told.causes[0].kind, Kind::SwappedKeys, "{told:#?}");
    assert!(
        !serde_json::to_string(&told).unwrap().contains(SK),
        "{told:#?}"
    );
    let wrong = explain(
        &url(|_sent| {}, |canon| canon.secret = "guess".into()),
        &known(&settings()),
    );
    assert!(wrong.causes.is_empty() && wrong.tries > 300, "{wrong:#?}");
}

#[test]
fn the_token() {
    let of = |access_key: &'static str, query: &'static str| {
        move |sent: &mut Sent| {
            sent.credential = format!("{access_key}/20261125/us-east-1/s3/aws4_request");
            sent.query = query.into();
        }
    };
    let first = |request: &Request| told(request).causes[0].kind;
    assert_eq!(
        first(&url(of("ASIATEMPORARY", ""), as_sent)),
        Kind::OtherKeysSecret
    );
    let missing = url(of("ASIATEMPORARY", ""), |canon| {
        canon.secret = "theirs".into();
    });
    assert_eq!(first(&missing), Kind::TokenMissing);
    let left = url(of(AK, "X-Amz-Security-Token=old"), as_sent);
    assert_eq!(first(&left), Kind::TokenInvalid);
    let mut later = url(|_sent| {}, as_sent);
    later.raw_query += "&X-Amz-Security-Token=abc";
    assert_eq!(first(&later), Kind::TokenUnsigned);
    let forged = url(
        of("ASIATEMPORARY", "X-Amz-Security-Token=forged"),
        |canon| {
            canon.secret = "theirs".into();
        },
    );
    assert_eq!(first(&forged), Kind::TokenInvalid);
}

#[test]
fn urls_that_were_spoiled_on_their_way() {
    let good = || url(|sent| sent.query = "x-id=GetObject".into(), as_sent);
    let with = |change: &dyn Fn(&str) -> String| {
        let good = good();
        Request {
            raw_query: change(&good.raw_query),
            ..good
        }
    };
    check(
        "HTML",
        &with(&|query| query.replace('&', "&amp;")),
        Kind::HtmlEscaped,
    );
    let twice = with(&|query| {
        canonical::encode(query.as_bytes(), false)
            .replace("%26", "&")
            .replace("%3D", "=")
    });
    check("encoded once more", &twice, Kind::UrlEncoded);
    check(
        "quoted-printable",
        &with(&|query| query.replace('=', "=3D")),
        Kind::UrlEncoded,
    );
    check(
        "a dot behind it",
        &with(&|query| format!("{query}).")),
        Kind::UrlSurrounded,
    );
    let small = with(&|query| query.replace("X-Amz-", "x-amz-"));
    check("small letters", &small, Kind::QueryCase);
    let good = good();
    let whole = format!("{}?{}", good.raw_path, good.raw_query);
    let whole = Request {
        raw_path: whole
            .replace('%', "%25")
            .replace('?', "%3F")
            .replace('=', "%3D")
            .replace('&', "%26"),
        raw_query: String::new(),
        ..good.clone()
    };
    let told = told(&whole);
    assert_eq!(told.causes[0].kind, Kind::UrlEncoded, "{told:#?}");
}

#[test]
fn urls_that_lack_a_part() {
    let good = url(|sent| sent.query = "x-id=GetObject".into(), as_sent);
    let with = |change: &dyn Fn(&str) -> String| Request {
        raw_query: change(&good.raw_query),
        ..good.clone()
    };
    for (row, request, kind) in [
        (
            "cut off",
            with(&|query| query.split_at(query.len() - 10).0.to_owned()),
            Kind::Incomplete,
        ),
        (
            "cut by a shell",
            with(&|query| query.split("&X-Amz-Date").next().unwrap().to_owned()),
            Kind::Incomplete,
        ),
        (
            "nothing at all",
            with(&|_query| String::new()),
            Kind::Unsigned,
        ),
        (
            "version 2",
            with(&|_query| String::new()),
            Kind::OtherAlgorithm,
        ),
        ("both", good.clone(), Kind::ManyMechanisms),
    ] {
        let mut request = request;
        let authorization = match kind {
            Kind::OtherAlgorithm => Some("AWS AKIA:c2ln"),
            Kind::ManyMechanisms => Some("AWS4-HMAC-SHA256 Credential=a"),
            _ => None,
        };
        if let Some(value) = authorization {
            request
                .headers
                .insert("authorization", HeaderValue::from_static(value));
        }
        let told = explain(&request, &known(&settings()));
        let kinds: Vec<_> = told.causes.iter().map(|cause| cause.kind).collect();
        assert!(!told.valid && kinds.contains(&kind), "{row}: {told:#?}");
    }
}

#[test]
fn nothing_that_lets_in_is_kept() {
    let signature = "0123456789abcdef".repeat(4);
    let text = |request: &Request| serde_json::to_string(&request.redacted()).unwrap();
    let head = |line: &str| {
        let head = format!("PUT /b/k?a=b HTTP/1.1\r\nHost: h\r\n{line}");
        Request::of_head(&head).unwrap()
    };
    for request in [
        Request::of_url(
            &format!("http://h/b/k?X-Amz-Signature={signature}&x=1"),
            None,
            HeaderMap::new(),
        )
        .unwrap(),
        Request::of_url(
            &format!("http://h/b?X-Amz-Security-Token={signature}"),
            None,
            HeaderMap::new(),
        )
        .unwrap(),
        Request::of_url(
            &format!("http://h/b?amp;Signature={signature}"),
            None,
            HeaderMap::new(),
        )
        .unwrap(),
        head(&format!(
            "Authorization: AWS4-HMAC-SHA256 Credential=A/1, Signature={signature}"
        )),
        head(&format!(
            "Authorization: AWS4-HMAC-SHA256 Signature={signature}, Credential=A/1"
        )),
        head(&format!("Authorization: AWS AKIA:{signature}")),
        head(&format!("Authorization: Bearer {signature}")),
        head(&format!("Authorization: {signature}")),
        head(&format!("Cookie: a={signature}")),
        head(&format!("X-Amz-Security-Token: {signature}")),
        head(&format!(
            "x-amz-server-side-encryption-customer-key: {signature}"
        )),
    ] {
        assert!(!text(&request).contains("89abcdef01"), "{}", text(&request));
    }
    let whole = head(
        "Authorization: AWS4-HMAC-SHA256 Credential=A/1, SignedHeaders=host, Signature=0123456789",
    );
    assert!(text(&whole).contains("Credential=A/1, SignedHeaders=host, Signature=01234567...10"));
}

#[test]
fn requests_are_read() {
    let head = "PUT /b/k?x=1 HTTP/1.1\r\nHost: h:9000\r\nX-A:  b \r\n\r\nbody";
    let request = Request::of_head(head).unwrap();
    assert_eq!(
        (request.authority.as_str(), request.raw_query.as_str()),
        ("h:9000", "x=1")
    );
    assert_eq!(request.headers["x-a"], "b");
    for (text, error) in [
        ("", InvalidRequest::RequestLine),
        ("GET b HTTP/1.1\r\nHost: h", InvalidRequest::RequestLine),
        ("GET /b HTTP/1.1\r\n\r\n", InvalidRequest::Host),
        ("GET /b HTTP/1.1\r\nHost h", InvalidRequest::Header(2)),
    ] {
        assert_eq!(Request::of_head(text), Err(error), "{text}");
    }
    for text in [
        "",
        "h/b",
        "ftp://h/b",
        "http://",
        "http:///b",
        "http://a b/c",
    ] {
        assert_eq!(
            Request::of_url(text, None, HeaderMap::new()),
            Err(InvalidRequest::Url),
            "{text}"
        );
    }
}
