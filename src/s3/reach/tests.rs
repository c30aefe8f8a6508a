use proptest::prelude::*;

use super::*;
use crate::id::RequestId;
use crate::s3::Head;
use crate::s3::learned::Learned;

fn reach(urls: &[&str], proxies: &[&str]) -> Arc<Reach> {
    let urls: Vec<_> = urls
        .iter()
        .map(|url| PublicUrl::parse(url).unwrap())
        .collect();
    let proxies: Vec<_> = proxies
        .iter()
        .map(|one| Network::parse(one).unwrap())
        .collect();
    let (domains, websites) = (["localhost".to_owned()], ["web.example.com".to_owned()]);
    Arc::new(Reach::new(&domains, &websites, &urls, &proxies))
}

fn usual() -> Arc<Reach> {
    let urls = [
        "https://files.example.com",
        "http://minio:9000",
        "https://example.com/storage",
    ];
    reach(&urls, &["10.0.0.0/8"])
}

/// A request as it comes over the wire, `host` first among its headers.
fn sent(reach: &Arc<Reach>, peer: &str, path: &str, headers: &[(&str, &str)]) -> Head {
    let mut request = http::Request::get(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let (mut parts, ()) = request.body(()).unwrap().into_parts();
    let arrival = Arrival::of(reach, &parts, Some(peer.parse().unwrap())).unwrap();
    parts
        .extensions
        .insert(Learned::of(RequestId::random(), Some(arrival)));
    Head::parse(&parts, reach.domains()).unwrap()
}

fn direct(reach: &Arc<Reach>, host: &str, path: &str) -> Head {
    sent(reach, "203.0.113.7:1", path, &[("host", host)])
}

fn about(head: &Head) -> String {
    let bucket = head.target.bucket.as_ref().map(ToString::to_string);
    let key = head.target.key.as_ref().map(ToString::to_string);
    format!("{}|{}", bucket.unwrap_or_default(), key.unwrap_or_default())
}

#[test]
fn hosts_and_prefixes_lead_to_one_bucket_and_key() {
    let reach = usual();
    for (host, path, target) in [
        ("files.example.com", "/abc/k", "abc|k"),
        ("files.example.com:443", "/abc/k", "abc|k"),
        ("abc.files.example.com", "/d/k", "abc|d/k"),
        ("abc.minio:9000", "/k", "abc|k"),
        ("example.com", "/storage/abc/k", "abc|k"),
        ("abc.example.com", "/storage/k", "abc|k"),
        ("example.com", "/storage", "|"),
        ("example.com", "/abc/k", "abc|k"),
        ("example.com", "/storages/k", "storages|k"),
        // A host that only the proxy knows: each prefix counts.
        ("127.0.0.1:9000", "/storage/abc/k", "abc|k"),
        // A host that has another URL: its own alone.
        ("minio:9000", "/storage/k", "storage|k"),
    ] {
        assert_eq!(about(&direct(&reach, host, path)), target, "{host}{path}");
    }
}

#[test]
fn what_a_trusted_proxy_says_counts_only_where_it_was_declared() {
    let reach = usual();
    let at = |peer: &str, path: &str, more: &[(&str, &str)]| {
        let headers = [&[("host", "consign:9000")], more].concat();
        let head = sent(&reach, peer, path, &headers);
        let arrival = &head.arrival;
        let (authority, raw_path) = (arrival.authority(), arrival.raw_path());
        format!("{authority} {raw_path} {}", about(&head))
    };
    let (proxy, stranger) = ("10.1.2.3:5", "203.0.113.7:5");
    let host = |host| [("x-forwarded-host", host)];
    for (peer, path, more, expected) in [
        (
            proxy,
            "/k",
            host("abc.files.example.com").to_vec(),
            "abc.files.example.com /k abc|k",
        ),
        (
            stranger,
            "/kkk",
            host("abc.files.example.com").to_vec(),
            "consign:9000 /kkk kkk|",
        ),
        (
            proxy,
            "/kkk",
            host("abc.evil.example").to_vec(),
            "consign:9000 /kkk kkk|",
        ),
        (
            proxy,
            "/abc/k",
            [
                ("x-forwarded-host", "example.com"),
                ("x-forwarded-prefix", "/storage"),
            ]
            .to_vec(),
            "example.com /storage/abc/k abc|k",
        ),
        // What nobody declared was not taken off.
        (
            proxy,
            "/abc/k",
            [
                ("x-forwarded-host", "example.com"),
                ("x-forwarded-prefix", "/other"),
            ]
            .to_vec(),
            "example.com /abc/k abc|k",
        ),
        (
            proxy,
            "/abc/k",
            [("forwarded", "for=203.0.113.7;host=\"minio:9000\"")].to_vec(),
            "minio:9000 /abc/k abc|k",
        ),
    ] {
        assert_eq!(at(peer, path, &more), expected, "{peer} {path} {more:?}");
    }
}

#[test]
fn the_client_is_who_stands_before_the_proxies() {
    let reach = usual();
    let of = |peer: &str| {
        let headers = [
            ("host", "h"),
            ("x-forwarded-for", "203.0.113.9"),
            ("x-forwarded-proto", "https"),
        ];
        let head = sent(&reach, peer, "/", &headers);
        (
            head.arrival.client().unwrap().to_string(),
            head.arrival.is_secure(),
        )
    };
    assert_eq!(of("10.1.2.3:5"), ("203.0.113.9:0".into(), true));
    assert_eq!(of("203.0.113.7:5"), ("203.0.113.7:5".into(), false));
}

#[test]
fn answers_name_the_public_url() {
    let reach = usual();
    let proxied = |host: &str, path: &str| sent(&reach, "10.0.0.1:1", path, &[("host", host)]);
    for (head, url) in [
        (
            direct(&reach, "files.example.com", "/abc/k"),
            "https://files.example.com/abc/k%2Fa",
        ),
        (
            direct(&reach, "abc.files.example.com", "/k"),
            "https://abc.files.example.com/k%2Fa",
        ),
        (
            direct(&reach, "minio:9000", "/abc/k"),
            "http://minio:9000/abc/k%2Fa",
        ),
        (
            direct(&reach, "example.com", "/storage/abc/k"),
            "https://example.com/storage/abc/k%2Fa",
        ),
        // The proxy took the prefix off without a word.
        (
            direct(&reach, "example.com", "/abc/k"),
            "https://example.com/storage/abc/k%2Fa",
        ),
        (
            direct(&reach, "127.0.0.1:9000", "/abc/k"),
            "http://127.0.0.1:9000/abc/k%2Fa",
        ),
        (
            direct(&reach, "abc.localhost:9000", "/k"),
            "http://abc.localhost:9000/k%2Fa",
        ),
        (
            proxied("consign:9000", "/abc/k"),
            "https://files.example.com/abc/k%2Fa",
        ),
    ] {
        let key = crate::name::ObjectKey::parse("k/a").unwrap();
        assert_eq!(head.object_url("abc", &key), url);
    }
    let nothing = Arc::new(Reach::default());
    let spoofed = [("host", "h"), ("x-forwarded-proto", "https")];
    let head = sent(&nothing, "10.0.0.1:1", "/abc/k", &spoofed);
    assert_eq!(head.arrival.url_of("abc", "k"), "http://h/abc/k");
}

fn places(head: &Head) -> Vec<String> {
    let places = head.arrival.places().into_iter();
    places
        .map(|place| place.authority + &place.raw_path)
        .collect()
}

#[test]
fn a_request_may_have_been_signed_for_each_public_url() {
    let found = places(&direct(&usual(), "127.0.0.1:9000", "/abc/a//b"));
    for place in [
        "files.example.com/abc/a//b",
        "files.example.com:443/abc/a//b",
        "abc.files.example.com/a//b",
        "minio:9000/abc/a//b",
        "abc.minio:9000/a//b",
        "example.com/storage/abc/a//b",
        "abc.example.com/storage/a//b",
    ] {
        assert!(found.iter().any(|one| one == place), "{place} in {found:?}");
    }
    assert!(
        !found.iter().any(|one| one.contains("localhost")),
        "{found:?}"
    );
    let found = places(&direct(&usual(), "abc.files.example.com", "/"));
    for place in ["minio:9000/abc/", "minio:9000/abc", "abc.minio:9000/"] {
        assert!(found.iter().any(|one| one == place), "{place} in {found:?}");
    }
    let found = places(&direct(&usual(), "files.example.com", "/"));
    for place in ["example.com/storage/", "example.com/storage", "minio:9000/"] {
        assert!(found.iter().any(|one| one == place), "{place} in {found:?}");
    }
}

#[test]
fn nothing_is_tried_that_would_mean_something_else() {
    // Below one host, `/storage/k` is the bucket `storage` for nobody.
    let both = reach(&["https://h.example", "https://h.example/storage"], &[]);
    let found = places(&direct(&both, "h.example", "/storage/storage/k"));
    assert!(
        !found.contains(&"h.example/storage/k".to_owned()),
        "{found:?}"
    );
    // `files.` is no bucket where that host is declared itself.
    let both = reach(&["https://example.com", "https://files.example.com"], &[]);
    let found = places(&direct(&both, "example.com", "/files/abc"));
    assert!(
        !found.contains(&"files.example.com/abc".to_owned()),
        "{found:?}"
    );
    // Nor is a website's host one of the service.
    let web = reach(&["https://example.com"], &[]);
    let found = places(&direct(&web, "example.com", "/abc.web/k"));
    assert!(
        !found.contains(&"abc.web.example.com/k".to_owned()),
        "{found:?}"
    );
    // A proxy's own host means another bucket than the one that was asked for.
    let headers = [
        ("host", "consign:9000"),
        ("x-forwarded-host", "abc.files.example.com"),
    ];
    let found = places(&sent(&usual(), "10.0.0.1:1", "/kkk", &headers));
    assert!(!found.contains(&"consign:9000/kkk".to_owned()), "{found:?}");
}

proptest! {
    /// Whoever holds a signature for a place may do there what it says, and the same elsewhere.
    #[test]
    fn every_place_means_the_same(
        urls in prop::collection::vec("(http|https)://(a|b[.]a|minio:9000|abc[.]a)(/p|/p/q|)", 0..4),
        host in "(a|b[.]a|abc[.]a|ppp[.]a|minio:9000|x|p[.]localhost|abc[.]minio)(:80|:443|)",
        path in "(/p|/p/q|)(/abc|/ppp|/b[.]a)?(/k|/p|/q|//)?(/|)",
        forwarded in prop::option::of("(a|b[.]a|abc[.]a|abc[.]minio:9000|x)"),
        prefix in prop::option::of("(/p|/p/q)"),
    ) {
        let urls: Vec<_> = urls.iter().map(String::as_str).collect();
        let reach = reach(&urls, &["10.0.0.0/8"]);
        let mut headers = vec![("host", host.as_str())];
        headers.extend(forwarded.as_deref().map(|host| ("x-forwarded-host", host)));
        headers.extend(prefix.as_deref().map(|prefix| ("x-forwarded-prefix", prefix)));
        let path = if path.is_empty() { "/" } else { &path };
        let mut request = http::Request::get(path);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let arrival = Arrival::of(&reach, &parts, Some("10.0.0.1:1".parse().unwrap())).unwrap();
        let target = |arrival: &Arrival| {
            super::super::Target::parse(arrival.authority(), arrival.path(), reach.domains())
                .map(|target| (target.bucket, target.key))
                .map_err(|error| error.code())
        };
        let meant = target(&arrival);
        prop_assume!(meant.is_ok());
        for place in arrival.places() {
            let parts = http::Request::get(&place.raw_path).header("host", &place.authority);
            let (parts, ()) = parts.body(()).unwrap().into_parts();
            let there = Arrival::of(&reach, &parts, None).unwrap();
            prop_assert_eq!(target(&there), meant.clone(), "{:?}", place);
        }
    }
}

#[test]
fn a_request_names_one_host_and_a_host_it_is() {
    let asked = |uri: &str, hosts: &[&str]| {
        let request = http::Request::get(uri);
        let request = hosts
            .iter()
            .fold(request, |request, host| request.header("host", *host));
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let arrival = Arrival::of(&usual(), &parts, None);
        arrival
            .map(|arrival| arrival.authority().to_owned())
            .map_err(|error| error.code())
    };
    for (uri, host, good) in [
        ("/a", "h:9000", "h:9000"),
        ("/a", "[::1]:9000", "[::1]:9000"),
        ("/a", "a_b.example", "a_b.example"),
        ("http://H:1/a", "h:1", "h:1"),
    ] {
        assert_eq!(asked(uri, &[host]).as_deref(), Ok(good));
    }
    assert_eq!(asked("http://h/a", &[]).as_deref(), Ok("h"));
    for (uri, hosts) in [
        ("/a", &[][..]),
        ("/a", &[""]),
        ("/a", &["a", "a"]),
        ("/a", &["a", "b"]),
        ("http://b/a", &["a"]),
        ("http://u@a/a", &["a"]),
        ("/a", &["u@a"]),
        ("/a", &["a/b"]),
        ("/a", &["a b"]),
        ("/a", &["a,b"]),
        ("/a", &["a\\b"]),
        ("/a", &["a#b"]),
        ("/a", &["\u{e9}"]),
    ] {
        assert_eq!(
            asked(uri, hosts),
            Err(Code::InvalidRequest),
            "{uri} {hosts:?}"
        );
    }
}
