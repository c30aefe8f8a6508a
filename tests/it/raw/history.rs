//! Lessons of other stores that no corpus of requests can hold. SECURITY.md lists all of them.
//!
//! These have their tests elsewhere: CVE-2026-33419 (guessing), CVE-2026-22782 and CVE-2026-45040 (secrets in
//! logs), CVE-2026-27822 (active content) and #4519 (constant time) in `trust` and `tidy`; what was
//! answered and lost, #17416, #4221, #4493, #4346, #6228, #9944, #8603, #10805 and #9037, in `tests/crash`;
//! lost or damaged files, #21268, #6256, #9938, #10565, #1339, #10330 and #5379, in `cli::damage`,
//! `store::scrub` and `store::meta::rocks`; backups, #10295 and #12467, in `cli::backup`.

use std::net::TcpListener;
use std::path::Path;

use super::wire::{Ask, Signer, UNSIGNED, ready, ready_with};
use crate::support::{Server, plain_http};

/// A page of a stranger's, in the browser of somebody who reaches the server, orders nothing and reads
/// nothing: `LocalStack`'s CVE-2025-65200 and CVE-2021-32091. Browsers send such requests without asking, from
/// any page, or to a name of the page's that leads here for a moment (DNS rebinding).
#[tokio::test]
async fn a_page_in_a_browser_orders_nothing() {
    let server = ready_with("[admin]\nlisten = \"127.0.0.1:0\"\n").await;
    let announced = std::fs::read(server.data_folder().join("server.json")).unwrap();
    let announced: serde_json::Value = serde_json::from_slice(&announced).unwrap();
    let admin = announced["admin"].as_str().unwrap().to_owned();
    let page = |request: reqwest::RequestBuilder, host: &str| {
        let request = request.header("origin", "http://evil.example");
        let request = request.header("sec-fetch-site", "cross-site");
        request.header("host", host.to_owned())
    };
    let client = plain_http();
    for endpoint in [&server.endpoint, &admin] {
        let own = endpoint.strip_prefix("http://").unwrap();
        for (method, path) in [
            ("GET", "/"),
            ("GET", "/raw"),
            ("PUT", "/raw/k"),
            ("PUT", "/strangers"),
            ("DELETE", "/raw"),
            ("POST", "/raw?delete"),
            ("GET", "/-/admin/v1/keys"),
            ("POST", "/-/admin/v1/keys"),
            ("POST", "/-/admin/v1/reload"),
            ("POST", "/-/admin/v1/backup"),
        ] {
            for host in [own, "evil.example"] {
                let method: http::Method = method.parse().unwrap();
                let request = client.request(method.clone(), format!("{endpoint}{path}"));
                // What a page may send anywhere without being asked for leave.
                let request = request.header("content-type", "text/plain");
                let answer = page(request.body("{\"name\":\"evil\"}"), host).send().await;
                let answer = answer.unwrap();
                let what = format!("{method} {endpoint}{path} as {host}");
                assert!(
                    (400..500).contains(&answer.status().as_u16()),
                    "{what}: {answer:?}"
                );
                let lets_in = answer.headers().contains_key("access-control-allow-origin");
                assert!(!lets_in, "{what}: {answer:?}");
            }
        }
    }
    let keys = server.command(&["keys", "list", "--json"]);
    assert!(!String::from_utf8_lossy(&keys.stdout).contains("evil"));
    let buckets = server.client().list_buckets().send().await.unwrap();
    assert_eq!(buckets.buckets().len(), 1);
}

/// What is answered is on the disk unless somebody chose otherwise, who is told so: Garage's
/// `metadata_fsync` and `data_fsync` are off by default. That each sync is needed: `tests/crash`, `power::syncs`.
#[tokio::test]
async fn what_is_answered_is_synced_unless_somebody_says_otherwise() {
    for (configuration, warned) in [("", false), ("durability = \"none\"\n", true)] {
        let server = ready_with(configuration).await;
        let status = server.command(&["status"]);
        let told = String::from_utf8(status.stdout).unwrap();
        assert_eq!(told.contains("loses what was answered"), warned, "{told}");
        assert_eq!(server.log().contains("loses what was answered"), warned);
    }
}

/// No request makes the server call an address that the request names: CVE-2021-21287 (the Host
/// header), CVE-2026-73080 (a source that is fetched), #4420, #5135 (webhooks), CVE-2021-32090.
#[tokio::test]
async fn no_request_makes_the_server_call_what_it_names() {
    let server = ready().await;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let there = listener.local_addr().unwrap().to_string();
    let url = format!("http://{there}/x");
    let now = Signer::now();
    let put = |name: &str, value: &str| Ask::new(&server, "PUT", "/raw/k").header(name, value);
    for (name, value) in [
        ("x-amz-copy-source", url.as_str()),
        ("x-amz-copy-source", &format!("{there}/x")),
        ("x-amz-rename-source", &url),
        ("x-amz-website-redirect-location", &url),
        ("x-oss-callback", &url),
        ("x-forwarded-host", &there),
        ("forwarded", &format!("host={there}")),
        ("referer", &url),
        ("origin", &url),
    ] {
        put(name, value)
            .authorized(&now, UNSIGNED)
            .0
            .send(&server)
            .await;
    }
    for name in [
        "x-consign-callback",
        "x-consign-callback-mode",
        "x-oss-callback",
        "callback",
    ] {
        let ask = Ask::new(&server, "PUT", "/raw/k").query(name, &url);
        ask.presigned(&now, "60").send(&server).await;
    }
    let mut hosted = Ask::new(&server, "GET", "/raw/k");
    hosted.headers[0].1.clone_from(&there);
    hosted.authorized(&now, UNSIGNED).0.send(&server).await;
    for (sub_resource, body) in [
        (
            "notification",
            "<NotificationConfiguration><TopicConfiguration><Topic>URL</Topic><Event>s3:ObjectCreated:*</Event></TopicConfiguration></NotificationConfiguration>",
        ),
        (
            "website",
            "<WebsiteConfiguration><RedirectAllRequestsTo><HostName>URL</HostName></RedirectAllRequestsTo></WebsiteConfiguration>",
        ),
        ("cors", "<!DOCTYPE a SYSTEM \"URL\"><CORSConfiguration/>"),
        (
            "replication",
            "<ReplicationConfiguration><Rule><Destination><Bucket>URL</Bucket></Destination></Rule></ReplicationConfiguration>",
        ),
    ] {
        let body = body.replace("URL", &url);
        let ask = Ask::new(&server, "PUT", "/raw")
            .query(sub_resource, "")
            .body(body.as_bytes());
        ask.authorized(&now, UNSIGNED).0.send(&server).await;
    }
    let called = listener.accept();
    let error = called.map(|(_, from)| from).expect_err("the server called");
    assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
}

/// A server that nobody gave secrets makes its own, each another one (CVE-2025-68926, CVE-2026-45039,
/// CVE-2026-113466, CVE-2026-100413: secrets that stand in the source).
#[tokio::test]
async fn no_secret_stands_in_the_source() {
    let (one, other) = tokio::join!(ready(), ready());
    let key =
        |server: &Server| std::fs::read(server.data_folder().join("master-key.json")).unwrap();
    assert_ne!(key(&one), key(&other));
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for (file, line) in lines_of(&folder) {
        let looks = ["SECRET: &str = \"", "PASSWORD", "-----BEGIN"];
        let bad = looks.iter().any(|look| line.contains(look));
        assert!(!bad, "{file}: {line}");
    }
}

/// Each line of the code below that folder, without comments and tests, and the file it stands in.
fn lines_of(folder: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if path.file_name().is_none_or(|name| name != "tests") {
                found.extend(lines_of(&path));
            }
            continue;
        }
        if path.file_name().is_some_and(|name| name == "tests.rs") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let lines = text.lines().take_while(|line| line.trim() != "mod tests {");
        let code = lines.map(|line| line.split("//").next().unwrap_or_default().to_owned());
        let file = path.display().to_string();
        found.extend(code.map(|line| (file.clone(), line)));
    }
    found
}
