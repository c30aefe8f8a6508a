//! Differences that the search finds.

use super::*;

#[test]
fn another_host_port_or_prefix() {
    for (host, kind) in [
        ("localhost:9000", Kind::Host),
        ("minio:9000", Kind::Host),
        ("127.0.0.1:41234", Kind::Host),
        ("localhost:41234", Kind::Host),
        ("127.0.0.1:9000", Kind::Host),
        ("host.docker.internal:9000", Kind::Host),
        ("bkt.h:9000", Kind::Host),
        ("s3.us-east-1.amazonaws.com", Kind::Host),
        ("h", Kind::Port),
        ("h:8080", Kind::Port),
    ] {
        let change = |signed: &mut Signed| {
            *header(signed, "host") = host.into();
            if host.starts_with("bkt.") {
                signed.path = "/dir/a%20b".into();
            }
        };
        check(host, &url(|_sent| {}, change), kind);
    }
    // Hosts that the request tells itself.
    let told_by = |name: &'static str, value: &'static str| {
        let request = url(
            |_sent| {},
            |signed| *header(signed, "host") = "files.example.com".into(),
        );
        let mut request = request;
        request
            .headers
            .insert(name, HeaderValue::from_static(value));
        check(name, &request, Kind::Host);
    };
    told_by("x-forwarded-host", "files.example.com");
    told_by("forwarded", "for=1.2.3.4;host=files.example.com");
    told_by("referer", "https://files.example.com/page");
    let below = |signed: &mut Signed| signed.path = format!("/storage{}", signed.path);
    check("prefix taken off", &url(|_sent| {}, below), Kind::Prefix);
    let set = |sent: &mut Sent| sent.raw_path = "/assets/bkt/dir/k".into();
    let change = |signed: &mut Signed| signed.path = "/bkt/dir/k".into();
    check("prefix added", &url(set, change), Kind::Prefix);
}

#[test]
fn another_method() {
    for (sent, signed) in [
        ("HEAD", "GET"),
        ("PUT", "GET"),
        ("GET", "PUT"),
        ("POST", "PUT"),
    ] {
        let set = |request: &mut Sent| request.method = Some(sent.parse().unwrap());
        let change = |canon: &mut Signed| canon.method = signed.into();
        check(
            &format!("{signed} as {sent}"),
            &url(set, change),
            Kind::Method,
        );
    }
}

#[test]
fn a_path_that_was_written_otherwise() {
    type Row = (&'static str, &'static str, &'static str, Kind);
    let rows: [Row; 16] = [
        ("space as plus", "/bkt/a+b", "/bkt/a%20b", Kind::Plus),
        ("plus as space", "/bkt/a%20b", "/bkt/a%2Bb", Kind::Plus),
        ("space signed as +", "/bkt/a%20b", "/bkt/a+b", Kind::Plus),
        ("plus not encoded", "/bkt/a%2Bb", "/bkt/a+b", Kind::Plus),
        (
            "signed twice",
            "/bkt/a%20b",
            "/bkt/a%2520b",
            Kind::DoubleEncoding,
        ),
        (
            "sent twice",
            "/bkt/a%2520b",
            "/bkt/a%20b",
            Kind::DoubleEncoding,
        ),
        ("not encoded", "/bkt/%C3%A9%20b", "/bkt/é b", Kind::Encoding),
        ("slash encoded", "/bkt/d/k", "/bkt/d%2Fk", Kind::Encoding),
        (
            "small escapes",
            "/bkt/%C3%A9",
            "/bkt/%c3%a9",
            Kind::Encoding,
        ),
        (
            "small letters",
            "/bkt/Cat.JPG",
            "/bkt/cat.jpg",
            Kind::Encoding,
        ),
        (
            "brackets left",
            "/bkt/a(1).jpg",
            "/bkt/a(1).jpg",
            Kind::Encoding,
        ),
        ("tilde encoded", "/bkt/~k", "/bkt/%7Ek", Kind::Encoding),
        (
            "signed folded",
            "/bkt/a/../b//c",
            "/bkt/b/c",
            Kind::Normalisation,
        ),
        (
            "slashes folded on the way",
            "/bkt/d/k",
            "/bkt/d//k",
            Kind::Normalisation,
        ),
        ("slash lost", "/bkt/d/k", "/bkt/d/k/", Kind::TrailingSlash),
        ("slash won", "/bkt/d/k/", "/bkt/d/k", Kind::TrailingSlash),
    ];
    for (row, sent, signed, kind) in rows {
        let set = |request: &mut Sent| request.raw_path = sent.into();
        check(row, &url(set, |canon| canon.path = signed.into()), kind);
    }
}

#[test]
fn a_query_that_was_written_otherwise() {
    let query = |sent: &'static str, from: &'static str, to: &'static str| {
        let set = move |request: &mut Sent| request.query = sent.into();
        url(set, move |canon| {
            assert!(canon.query.contains(from), "{}", canon.query);
            canon.query = canon.query.replace(from, to);
        })
    };
    let none = "X-Amz-Algorithm";
    for (row, request, kind) in [
        (
            "plus meant",
            query("prefix=a+b", "a%20b", "a%2Bb"),
            Kind::Plus,
        ),
        (
            "space as +",
            query("prefix=a%20b", "a%20b", "a+b"),
            Kind::Plus,
        ),
        (
            "signed twice",
            query("prefix=a%20b", "%", "%25"),
            Kind::DoubleEncoding,
        ),
        ("no =", query("acl", "&acl=", "&acl"), Kind::QueryForm),
        ("x-id lost", query("", none, none), Kind::ParameterRemoved),
    ] {
        let request = match row {
            "x-id lost" => url(|_sent| {}, |canon| canon.query += "&x-id=GetObject"),
            _ => request,
        };
        check(row, &request, kind);
    }
    let set = |sent: &mut Sent| sent.query = "prefix=a%2520b".into();
    let twice = url(set, |canon| {
        canon.query = canon.query.replace("a%2520b", "a%20b");
    });
    check("sent twice", &twice, Kind::DoubleEncoding);
    let set = |sent: &mut Sent| sent.query = "zz=1".into();
    let unsorted = url(set, |canon| {
        let rest = canon.query.strip_suffix("&zz=1").unwrap().to_owned();
        canon.query = format!("zz=1&{rest}");
    });
    check("not sorted", &unsorted, Kind::QueryForm);
}

#[test]
fn parameters_that_came_later() {
    for added in [
        "utm_source=mail",
        "fbclid=x",
        "x-id=GetObject",
        "v=2",
        "utm_a=1&utm_b=2",
        "a=1&b=2",
    ] {
        let mut request = url(|_sent| {}, as_sent);
        request.raw_query = format!("{}&{added}", request.raw_query);
        check(added, &request, Kind::ParameterAdded);
    }
}

#[test]
fn the_checksum_of_nothing_that_a_javascript_sdk_signs() {
    let both = "&x-amz-checksum-crc32=AAAAAA%3D%3D&x-amz-sdk-checksum-algorithm=CRC32";
    let stripped = url(
        |_sent| {},
        |canon| {
            canon.method = "PUT".into();
            canon.query += both;
        },
    );
    let stripped = Request {
        method: Some(Method::PUT),
        ..stripped
    };
    check("stripped from the URL", &stripped, Kind::EmptyChecksum);
    let set = |sent: &mut Sent| sent.header("x-amz-checksum-crc32", "AAAAAA==");
    let mut as_header = url(set, as_sent);
    as_header.headers.remove("x-amz-checksum-crc32");
    check("signed as a header", &as_header, Kind::EmptyChecksum);
    // Where it is where it was signed, it does no harm, and is told.
    let told = told(&url(
        |sent| sent.query = both.trim_start_matches('&').into(),
        as_sent,
    ));
    assert!(told.valid, "{told:#?}");
    let part = told
        .parts
        .iter()
        .find(|part| part.name == "x-amz-checksum-crc32");
    assert!(part.unwrap().meaning.contains("JavaScript"), "{told:#?}");
}

#[test]
fn headers_that_came_otherwise() {
    for (name, signed, came) in [
        (
            "content-type",
            "image/jpeg",
            Some("application/x-www-form-urlencoded"),
        ),
        (
            "content-type",
            "text/plain",
            Some("text/plain;charset=UTF-8"),
        ),
        (
            "content-type",
            "text/plain; charset=utf-8",
            Some("text/plain"),
        ),
        ("content-type", "", Some("application/octet-stream")),
        ("accept-encoding", "identity", Some("gzip")),
        ("accept-encoding", "gzip, deflate", Some("br")),
        ("user-agent", "", Some("curl/8")),
        ("x-amz-acl", "private", Some("public-read")),
        ("x-amz-meta-a", "abc", Some("ABC")),
    ] {
        let set = |sent: &mut Sent| sent.header(name, came.unwrap());
        let change = |canon: &mut Signed| *header(canon, name) = signed.into();
        let row = format!("{name}: {signed} as {came:?}");
        check(&row, &put(set, change), Kind::HeaderChanged);
    }
    for (name, value) in [
        ("content-type", "application/octet-stream"),
        ("content-length", "0"),
        ("accept-encoding", "identity"),
        ("expect", "100-continue"),
        ("x-amz-acl", "public-read"),
    ] {
        let mut request = put(|sent| sent.header(name, value), as_sent);
        request.headers.remove(name);
        check(&format!("without {name}"), &request, Kind::HeaderMissing);
    }
    // What nobody can guess is told all the same.
    let mut request = put(|sent| sent.header("x-amz-meta-a", "odd"), as_sent);
    request.headers.remove("x-amz-meta-a");
    let told = told(&request);
    assert_eq!(told.causes[0].kind, Kind::HeaderMissing, "{told:#?}");
    assert!(!told.causes[0].proven && told.tries > 300, "{told:#?}");
}
