//! TLS: objects over it, certificates that change under way, and clients that must show one.

use std::time::Duration;

use reqwest::{Response, Version};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::wire::{Ask, Signer, UNSIGNED};
use crate::certificates::{Authority, Files, quoted};
use crate::support::{Server, bytes_of, until};

/// How long a change of files may take to be seen.
const SEEN_MAX: Duration = Duration::from_secs(60);

/// A server that shows a certificate of `authority` for its address.
async fn server_of(authority: &Authority) -> (Server, Files) {
    let files = Files::new();
    files.put("a", &authority.sign(&["127.0.0.1"]));
    let server = Server::start_with(&format!("[tls]\n{}", files.settings(&["a"]))).await;
    (server, files)
}

/// Signs `ask` as the root key does, and sends it over TLS.
async fn send(client: &reqwest::Client, server: &Server, ask: Ask) -> Response {
    let (ask, _seed) = ask.authorized(&Signer::now(), UNSIGNED);
    let query: Vec<_> = ask.query.iter().map(|(n, v)| format!("{n}={v}")).collect();
    let url = format!("{}{}?{}", server.endpoint, ask.path, query.join("&"));
    let method = ask.method.parse().unwrap();
    let mut request = client.request(method, url).body(ask.body);
    for (name, value) in &ask.headers {
        request = request.header(name, value);
    }
    request.send().await.unwrap()
}

async fn make_bucket(client: &reqwest::Client, server: &Server) {
    let made = send(client, server, Ask::new(server, "PUT", "/raw")).await;
    assert_eq!(made.status(), 200, "{}", made.text().await.unwrap());
}

async fn health(client: &reqwest::Client, endpoint: &str) -> reqwest::Result<Response> {
    client.get(format!("{endpoint}/-/healthy")).send().await
}

fn presigned(server: &Server, method: &str) -> String {
    let made = server.command(&["presign", method, "raw/large"]);
    String::from_utf8(made.stdout).unwrap().trim().to_owned()
}

#[tokio::test]
async fn a_bucket_is_exported_from_the_folders_own_server_and_from_no_stranger() {
    let authority = Authority::new();
    let (server, files) = server_of(&authority).await;
    let client = authority.client(None).build().unwrap();
    make_bucket(&client, &server).await;
    let ask = Ask::new(&server, "PUT", "/raw/a.txt").body(b"hello");
    assert_eq!(send(&client, &server, ask).await.status(), 200);
    let out = tempfile::tempdir().unwrap();
    let out = out.path().to_str().unwrap();
    let exported = server.command(&["export", "raw", out]);
    assert!(exported.status.success(), "{exported:?}");
    let text = std::fs::read_to_string(format!("{out}/files/a.txt")).unwrap();
    assert_eq!(text, "hello");
    // Another authority's word does not hold for it.
    files.put_one("stranger.pem", &Authority::new().pem());
    let stranger = files.path("stranger.pem");
    let stranger = stranger.to_str().unwrap();
    let refused = server.command(&["export", "raw", out, "--ca-file", stranger]);
    assert!(!refused.status.success(), "{refused:?}");
    let told = String::from_utf8(refused.stderr).unwrap();
    assert!(told.contains("certificate"), "{told}");
}

#[tokio::test]
async fn objects_go_over_https_by_http_2_and_by_http_1() {
    let authority = Authority::new();
    let (server, _files) = server_of(&authority).await;
    assert!(
        server.endpoint.starts_with("https://"),
        "{}",
        server.endpoint
    );
    let body = bytes_of(7, 20_000_000);
    for (client, version) in [
        (authority.client(None), Version::HTTP_2),
        (authority.client(None).http1_only(), Version::HTTP_11),
    ] {
        let client = client.build().unwrap();
        make_bucket(&client, &server).await;
        // `consign presign` names https by itself.
        let put = client.put(presigned(&server, "put")).body(body.clone());
        let put = put.send().await.unwrap();
        assert_eq!((put.status().as_u16(), put.version()), (200, version));
        let got = client.get(presigned(&server, "get")).send().await.unwrap();
        assert!(got.bytes().await.unwrap() == body, "{version:?}");
    }
}

#[tokio::test]
async fn a_policy_sees_that_a_request_was_encrypted() {
    let authority = Authority::new();
    let (server, _files) = server_of(&authority).await;
    let client = authority.client(None).build().unwrap();
    make_bucket(&client, &server).await;
    let put = Ask::new(&server, "PUT", "/raw/a").body(b"x");
    assert_eq!(send(&client, &server, put).await.status(), 200);
    let open = |secure: bool| {
        format!(
            r#"{{"Version": "2012-10-17", "Statement": [{{"Effect": "Allow", "Principal": "*",
            "Action": "s3:GetObject", "Resource": "arn:aws:s3:::raw/*",
            "Condition": {{"Bool": {{"aws:SecureTransport": "{secure}"}}}}}}]}}"#
        )
    };
    for (secure, status) in [(false, 403), (true, 200)] {
        let policy = Ask::new(&server, "PUT", "/raw").query("policy", "");
        let policy = policy.body(open(secure).as_bytes());
        assert_eq!(send(&client, &server, policy).await.status(), 204);
        let got = client
            .get(format!("{}/raw/a", server.endpoint))
            .send()
            .await;
        assert_eq!(got.unwrap().status(), status, "{secure}");
    }
}

#[tokio::test]
async fn a_client_that_trusts_another_authority_does_not_talk() {
    let authority = Authority::new();
    let (server, files) = server_of(&authority).await;
    let other = Authority::new();
    let client = other.client(None).build().unwrap();
    health(&client, &server.endpoint).await.unwrap_err();
    // The same of our own commands; the data folder's own certificate they know by itself.
    files.put_one("ca", &authority.pem());
    files.put_one("other", &other.pem());
    let status = |more: &[&str]| server.command(&[&["status"], more].concat());
    assert!(status(&[]).status.success());
    let there = server.endpoint.as_str();
    let (ca, wrong) = (files.path("ca"), files.path("other"));
    let by =
        |ca: &std::path::Path| status(&["--endpoint", there, "--ca-file", ca.to_str().unwrap()]);
    assert!(by(&ca).status.success(), "{:?}", by(&ca));
    let refused = String::from_utf8(by(&wrong).stderr).unwrap();
    assert!(refused.contains("certificate"), "{refused}");
    assert!(!status(&["--endpoint", there]).status.success());
}

#[tokio::test]
async fn a_plain_request_is_told_that_only_https_is_spoken() {
    let (server, _files) = server_of(&Authority::new()).await;
    let authority = server.authority();
    let mut stream = TcpStream::connect(authority).await.unwrap();
    let asked = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";
    stream.write_all(asked).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(
        head.contains(&format!("content-length: {}", body.len())),
        "{answer}"
    );
    assert!(body.contains("https://"), "{answer}");
}

#[tokio::test]
async fn a_handshake_that_does_not_end_is_cut() {
    let files = Files::new();
    files.put("a", &Authority::new().sign(&["127.0.0.1"]));
    let tls = files.settings(&["a"]);
    let server = Server::start_with(&format!("[limits]\nhead_seconds = 1\n[tls]\n{tls}")).await;
    let authority = server.authority();
    // Silence, and a hello that stops after its first bytes.
    for sent in [&b""[..], &[22, 3, 1, 2, 0, 1, 0, 1]] {
        let mut stream = TcpStream::connect(authority).await.unwrap();
        stream.write_all(sent).await.unwrap();
        let mut bytes = Vec::new();
        let read = tokio::time::timeout(SEEN_MAX, stream.read_to_end(&mut bytes)).await;
        // A reset is an end, too.
        assert!(read.is_ok() && bytes.is_empty(), "{sent:?}: {bytes:?}");
    }
}

#[tokio::test]
async fn new_certificates_are_taken_and_faulty_ones_are_not() {
    let (old, new) = (Authority::new(), Authority::new());
    let (server, files) = server_of(&old).await;
    let begun = old.client(None).build().unwrap();
    health(&begun, &server.endpoint).await.unwrap();
    // A certificate whose key is another's: everything stays, and the log says why.
    let (one, other) = (new.sign(&["127.0.0.1"]), new.sign(&["127.0.0.1"]));
    files.put_one("a.pem", &one.certificate);
    server.logs("the old ones stay").await;
    let fresh = old.client(None).build().unwrap();
    health(&fresh, &server.endpoint).await.unwrap();
    // The pair of it: new connections see it, commands know it, and who is connected stays so.
    files.put("a", &other);
    let trusting = new.client(None).pool_max_idle_per_host(0).build().unwrap();
    until("the new certificate is shown", async || {
        health(&trusting, &server.endpoint).await.is_ok()
    })
    .await;
    let late = old.client(None).build().unwrap();
    health(&late, &server.endpoint).await.unwrap_err();
    health(&begun, &server.endpoint).await.unwrap();
    until("commands know it", async || {
        server.command(&["status"]).status.success()
    })
    .await;
}

#[tokio::test]
async fn each_name_is_shown_its_own_certificate() {
    let (first, second) = (Authority::new(), Authority::new());
    let files = Files::new();
    files.put("a", &first.sign(&["a.test"]));
    files.put("b", &second.sign(&["b.test", "*.b.test"]));
    let server = Server::start_with(&format!("[tls]\n{}", files.settings(&["a", "b"]))).await;
    let address = server.authority().parse().unwrap();
    for (authority, name, is_shown) in [
        (&first, "a.test", true),
        (&first, "b.test", false),
        (&second, "b.test", true),
        (&second, "bucket.b.test", true),
        (&second, "a.test", false),
    ] {
        let client = authority
            .client(None)
            .resolve(name, address)
            .build()
            .unwrap();
        let asked = health(&client, &format!("https://{name}")).await;
        assert_eq!(asked.is_ok(), is_shown, "{name}: {asked:?}");
    }
}

#[tokio::test]
async fn the_administration_refuses_who_shows_no_certificate_of_its_clients() {
    let (ours, clients) = (Authority::new(), Authority::new());
    let files = Files::new();
    files.put("a", &ours.sign(&["127.0.0.1"]));
    files.put_one("clients-ca.pem", &clients.pem());
    let server = Server::start_with(&format!(
        "[tls]\n{}[admin]\nlisten = \"127.0.0.1:0\"\n[admin.tls]\nclient_ca = {}\n",
        files.settings(&["a"]),
        quoted(&files.path("clients-ca.pem"))
    ))
    .await;
    let announced = std::fs::read(server.data_folder().join("server.json")).unwrap();
    let announced: serde_json::Value = serde_json::from_slice(&announced).unwrap();
    let admin = announced["admin"].as_str().unwrap();
    let valid = clients.sign(&["operator"]);
    let stranger = ours.sign(&["operator"]);
    let expired = clients.sign_until(&["operator"], 2020);
    for (shown, is_heard) in [
        (Some(&valid), true),
        (None, false),
        (Some(&stranger), false),
        (Some(&expired), false),
    ] {
        let client = ours.client(shown).build().unwrap();
        assert_eq!(health(&client, admin).await.is_ok(), is_heard, "{shown:?}");
        // Objects are for everybody.
        health(&client, &server.endpoint).await.unwrap();
    }
    assert!(!server.command(&["keys", "list"]).status.success());
    files.put("operator", &valid);
    let (certificate, key) = (files.path("operator.pem"), files.path("operator.key"));
    let listed = server.command(&[
        "keys",
        "list",
        "--client-certificate",
        certificate.to_str().unwrap(),
        "--client-key",
        key.to_str().unwrap(),
    ]);
    assert!(listed.status.success(), "{listed:?}");
}
