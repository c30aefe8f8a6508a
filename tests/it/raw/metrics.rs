//! What the server tells Prometheus.

use std::collections::BTreeMap;

use aws_sdk_s3::primitives::ByteStream;
use consign::auth::Secret;
use consign::auth::presign::{Signer, Target, sign_header};
use consign::clock::{Clock as _, SystemClock};
use http::HeaderMap;

use crate::support::{ACCESS_KEY, REGION, SECRET_KEY, Server, plain_http};

const EMPTY_SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0";

/// Asks for the server's numbers, signed by this key.
async fn ask(server: &Server, (key, secret): (&str, &str), accept: &str) -> reqwest::Response {
    let secret = Secret::new(secret);
    let signer = Signer {
        access_key: key,
        secret: &secret,
        region: REGION,
    };
    let target = Target {
        method: "GET",
        endpoint: &server.endpoint,
        path: "/-/metrics",
        query: &[],
    };
    let mut headers = HeaderMap::new();
    sign_header(
        &signer,
        &target,
        &mut headers,
        EMPTY_SHA256,
        SystemClock.now(),
    );
    let request = plain_http().get(format!("{}/-/metrics", server.endpoint));
    let request = request.headers(headers).header("accept", accept);
    request.send().await.unwrap()
}

async fn text(server: &Server) -> String {
    let answer = ask(server, (ACCESS_KEY, SECRET_KEY), "*/*").await;
    assert_eq!(answer.status(), 200);
    answer.text().await.unwrap()
}

/// Every number by its name and labels.
fn numbers(text: &str) -> BTreeMap<&str, f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let pairs = lines.map(|line| line.rsplit_once(' ').unwrap());
    pairs
        .map(|(name, value)| (name, value.parse().unwrap()))
        .collect()
}

#[tokio::test]
async fn numbers_are_told_to_the_root_key_alone() {
    let server = Server::start().await;
    let anybody = plain_http().get(format!("{}/-/metrics", server.endpoint));
    assert_eq!(anybody.send().await.unwrap().status(), 403);
    let guessed = ask(&server, (ACCESS_KEY, "guess"), "*/*").await;
    assert_eq!(guessed.status(), 403);
    let added = server.command(&["keys", "add", "app", "--json"]);
    let added: serde_json::Value = serde_json::from_slice(&added.stdout).unwrap();
    let text = |name: &str| added[name].as_str().unwrap().to_owned();
    let (key, secret) = (text("access_key"), text("secret_key"));
    let tenant = ask(&server, (&key, &secret), "*/*").await;
    assert_eq!(tenant.status(), 403);
    let operator = ask(&server, (ACCESS_KEY, SECRET_KEY), "*/*").await;
    assert_eq!(operator.status(), 200);
    let kind = operator.headers()["content-type"].to_str().unwrap();
    assert_eq!(kind, "text/plain; version=0.0.4; charset=utf-8");
    let open = ask(&server, (ACCESS_KEY, SECRET_KEY), OPENMETRICS).await;
    let kind = open.headers()["content-type"].to_str().unwrap();
    assert_eq!(
        kind,
        "application/openmetrics-text; version=1.0.0; charset=utf-8"
    );
    assert!(open.text().await.unwrap().ends_with("# EOF\n"));
}

/// Two uploads, a download and two failures.
async fn use_it(server: &Server) {
    let client = server.client();
    let made = client.create_bucket().bucket("numbers").send().await;
    made.unwrap();
    let body = || ByteStream::from(vec![7; 100_000]);
    for key in ["a", "b"] {
        let put = client.put_object().bucket("numbers").key(key).body(body());
        put.send().await.unwrap();
    }
    let get = |key| client.get_object().bucket("numbers").key(key).send();
    let got = get("a").await.unwrap().body.collect().await.unwrap();
    assert_eq!(got.to_vec().len(), 100_000);
    get("none").await.unwrap_err();
    let nobody = plain_http().get(format!("{}/numbers/a", server.endpoint));
    assert_eq!(nobody.send().await.unwrap().status(), 403);
}

const EXACT: &[(&str, f64)] = &[
    (
        "requests_total{operation=\"PutObject\",outcome=\"success\"}",
        2.0,
    ),
    (
        "requests_total{operation=\"GetObject\",outcome=\"success\"}",
        1.0,
    ),
    (
        "requests_total{operation=\"GetObject\",outcome=\"client_error\"}",
        2.0,
    ),
    (
        "requests_total{operation=\"GetObject\",outcome=\"server_error\"}",
        0.0,
    ),
    (
        "request_errors_total{operation=\"GetObject\",code=\"NoSuchKey\"}",
        1.0,
    ),
    (
        "request_errors_total{operation=\"GetObject\",code=\"AccessDenied\"}",
        1.0,
    ),
    ("auth_failures_total{reason=\"AccessDenied\"}", 1.0),
    ("request_seconds_count{operation=\"PutObject\"}", 2.0),
    (
        "request_first_byte_seconds_count{operation=\"PutObject\"}",
        2.0,
    ),
    // That of the numbers themselves.
    ("requests_in_flight", 1.0),
    ("objects", 2.0),
    ("object_bytes", 200_000.0),
    ("bucket_bytes{bucket=\"numbers\"}", 200_000.0),
    ("meta_writable", 1.0),
    ("staged_files", 0.0),
];

const AT_LEAST: &[(&str, f64)] = &[
    // With the bodies' own framing, where the SDK chose to sign each chunk.
    ("request_bytes_total{operation=\"PutObject\"}", 200_000.0),
    ("response_bytes_total{operation=\"GetObject\"}", 100_000.0),
    ("connections_open", 1.0),
    ("connections_limit", 1.0),
    ("meta_commit_seconds_count", 3.0),
    ("meta_group_batches_count", 3.0),
    ("disk_free_bytes", 1.0),
    ("rocksdb_memtable_bytes{space=\"objects\"}", 1.0),
];

#[tokio::test]
async fn each_request_shows_in_the_numbers() {
    let server = Server::start().await;
    use_it(&server).await;
    let told = text(&server).await;
    let numbers = numbers(&told);
    for (name, value) in EXACT {
        let found = numbers.get(format!("consign_{name}").as_str());
        assert_eq!(found, Some(value), "{name}: {told}");
    }
    for (name, least) in AT_LEAST {
        let found = numbers[format!("consign_{name}").as_str()];
        assert!(found >= *least, "{name} {found}");
    }
    assert!(numbers["process_open_fds"] >= 10.0);
    assert!(numbers.contains_key("process_cpu_seconds_total"));
}

#[tokio::test]
async fn a_client_makes_no_series() {
    let server = Server::start().await;
    let client = server.client();
    client
        .create_bucket()
        .bucket("series")
        .send()
        .await
        .unwrap();
    let get = |path: String| plain_http().get(format!("{}{path}", server.endpoint));
    // One of each kind, that of the numbers included.
    for path in ["/first/x", "/series/x"] {
        get(path.to_owned()).send().await.unwrap();
    }
    text(&server).await;
    let series = |told: &str| numbers(told).len();
    let before = series(&text(&server).await);
    for number in 0..20 {
        for path in [
            format!("/bucket{number}/k{number}"),
            format!("/series/k{number}?x{number}"),
        ] {
            get(path).header("x-custom", number).send().await.unwrap();
        }
    }
    assert_eq!(series(&text(&server).await), before);
}

#[tokio::test]
async fn at_an_address_of_the_administration_prometheus_needs_no_key() {
    let server = Server::start_with("[admin]\nlisten = \"127.0.0.1:0\"\n").await;
    let announced = std::fs::read(server.data_folder().join("server.json")).unwrap();
    let announced: serde_json::Value = serde_json::from_slice(&announced).unwrap();
    let admin = announced["admin"].as_str().unwrap();
    for path in ["/metrics", "/-/metrics"] {
        let told = plain_http()
            .get(format!("{admin}{path}"))
            .send()
            .await
            .unwrap();
        assert_eq!(told.status(), 200, "{path}");
        let told = told.text().await.unwrap();
        assert!(told.contains("\nconsign_requests_in_flight 1\n"), "{told}");
        // Beside the objects there is nothing to see, for the operator neither.
        let there = plain_http().get(format!("{}{path}", server.endpoint));
        let status = there.send().await.unwrap().status();
        assert!(status == 403 || status == 404, "{path}: {status}");
    }
    let signed = ask(&server, (ACCESS_KEY, SECRET_KEY), "*/*").await;
    assert_eq!(signed.status(), 403);
    let posted = plain_http()
        .post(format!("{admin}/metrics"))
        .send()
        .await
        .unwrap();
    assert_eq!(posted.status(), 403);
}
