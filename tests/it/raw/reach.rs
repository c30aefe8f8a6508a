//! Signed for one host, reached by another; and what proxies may say.

use super::wire::{Ask, Signer, UNSIGNED};
use crate::support::Server;

const CONFIGURATION: &str = r#"
public_urls = ["https://files.example.com", "http://minio:9000", "https://example.com/storage"]
trusted_proxies = ["127.0.0.1/32"]
"#;

async fn ready(configuration: &str) -> Server {
    let server = Server::start_with(configuration).await;
    let made = server.client().create_bucket().bucket("raw").send().await;
    made.unwrap();
    server
}

/// A request for that host and path, as its client signs it.
fn ask(method: &'static str, host: &str, path: &str) -> Ask {
    Ask {
        method,
        path: path.to_owned(),
        query: Vec::new(),
        headers: vec![("host".to_owned(), host.to_owned())],
        body: Vec::new(),
    }
}

/// The request as a proxy passes it on.
fn passed(mut ask: Ask, host: &str, path: &str) -> Ask {
    path.clone_into(&mut ask.path);
    for (name, value) in &mut ask.headers {
        if name == "host" {
            host.clone_into(value);
        }
    }
    ask
}

#[tokio::test]
async fn a_signature_for_a_declared_address_holds_at_each() {
    let server = ready(CONFIGURATION).await;
    let own = server.authority().to_owned();
    let now = Signer::now();
    let places = [
        ("files.example.com", "/raw/k"),
        ("files.example.com:443", "/raw/k"),
        ("raw.files.example.com", "/k"),
        ("minio:9000", "/raw/k"),
        ("raw.minio:9000", "/k"),
        ("example.com", "/storage/raw/k"),
        ("raw.example.com", "/storage/k"),
        (own.as_str(), "/raw/k"),
    ];
    for (host, path) in places {
        let put = ask("PUT", host, path)
            .body(host.as_bytes())
            .presigned(&now, "60");
        let get = ask("GET", host, path);
        let get = get.authorized(&now, UNSIGNED).0;
        for (at, to) in places {
            // At our own address we are reached by proxies; what is signed for it alone stays there.
            if host == own && at != own {
                continue;
            }
            let put = passed(put.clone(), at, to);
            put.expect(&server, 200, "").await;
            let got = passed(get.clone(), at, to).expect(&server, 200, "").await;
            assert!(got.text.ends_with(host), "{host} at {at}: {got:?}");
        }
    }
    // A proxy that rewrites the host and leaves the prefix.
    let put = ask("PUT", "example.com", "/storage/raw/k").presigned(&now, "60");
    let put = passed(put, "consign.internal:80", "/storage/raw/k");
    put.expect(&server, 200, "").await;
}

#[tokio::test]
async fn no_other_host_is_ever_tried() {
    let server = ready(CONFIGURATION).await;
    let now = Signer::now();
    for host in ["evil.example", "localhost", "minio", "example.org"] {
        let signed = ask("PUT", host, "/raw/k").presigned(&now, "60");
        let put = passed(signed, "files.example.com", "/raw/k");
        put.expect(&server, 403, "SignatureDoesNotMatch").await;
    }
    // Not even where a trusted proxy says so.
    let signed = ask("PUT", "evil.example", "/raw/k").presigned(&now, "60");
    let put = passed(signed, "files.example.com", "/raw/k");
    for (name, value) in [
        ("x-forwarded-host", "evil.example"),
        ("forwarded", "for=1.2.3.4;host=evil.example"),
    ] {
        let put = put.clone().header(name, value);
        put.expect(&server, 403, "SignatureDoesNotMatch").await;
    }
    // Another bucket, key, method or secret is as wrong by another host as by the same.
    let signed = ask("PUT", "minio:9000", "/raw/k").presigned(&now, "60");
    for (host, path) in [
        ("files.example.com", "/raw/other"),
        ("raw.files.example.com", "/raw/k"),
        ("other.files.example.com", "/k"),
        ("example.com", "/storage/storage/raw/k"),
    ] {
        let put = passed(signed.clone(), host, path);
        put.expect(&server, 403, "SignatureDoesNotMatch").await;
    }
    let forger = Signer {
        secret: "guess".into(),
        ..now
    };
    let forged = ask("PUT", "minio:9000", "/raw/k").presigned(&forger, "60");
    passed(forged, "files.example.com", "/raw/k")
        .expect(&server, 403, "SignatureDoesNotMatch")
        .await;
}

#[tokio::test]
async fn without_a_declaration_a_signature_is_for_its_own_host() {
    let server = ready("").await;
    let signed = ask("PUT", "files.example.com", "/raw/k").presigned(&Signer::now(), "60");
    signed.expect(&server, 200, "").await;
    let put = passed(signed, "127.0.0.1", "/raw/k").header("x-forwarded-host", "files.example.com");
    put.expect(&server, 403, "SignatureDoesNotMatch").await;
}

#[tokio::test]
async fn a_trusted_proxy_tells_the_host_that_was_asked_for() {
    let server = ready(CONFIGURATION).await;
    let now = Signer::now();
    let signed = || ask("PUT", "raw.files.example.com", "/k").presigned(&now, "60");
    // The bucket's name is nowhere but in the host that the proxy hides.
    let hidden = passed(signed(), "consign:9000", "/k");
    let told = |name: &str, value: &str| hidden.clone().header(name, value);
    told("x-forwarded-host", "raw.files.example.com")
        .expect(&server, 200, "")
        .await;
    told(
        "forwarded",
        "for=203.0.113.7;host=raw.files.example.com;proto=https",
    )
    .expect(&server, 200, "")
    .await;
    told("x-forwarded-host", "raw.evil.example")
        .expect(&server, 400, "InvalidBucketName")
        .await;
    // A prefix that the proxy took off and tells.
    let signed = ask("PUT", "example.com", "/storage/raw/k").presigned(&now, "60");
    let put = passed(signed, "consign:9000", "/raw/k")
        .header("x-forwarded-host", "example.com")
        .header("x-forwarded-prefix", "/storage");
    put.expect(&server, 200, "").await;
}

const SOURCE_POLICY: &str = r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow",
    "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::raw/*", "Condition": {
    "IpAddress": {"aws:SourceIp": "203.0.113.0/24"}, "Bool": {"aws:SecureTransport": "true"}}}]}"#;

#[tokio::test]
async fn policies_see_the_client_before_the_proxies_that_are_trusted() {
    for (trusted, expected) in [("127.0.0.1", 200), ("10.0.0.0/8", 403)] {
        let server = ready(&format!(
            "trusted_proxies = [\"{trusted}\", \"10.0.0.0/8\"]"
        ))
        .await;
        let client = server.client();
        let put = client.put_object().bucket("raw").key("k").send().await;
        put.unwrap();
        let policy = client
            .put_bucket_policy()
            .bucket("raw")
            .policy(SOURCE_POLICY);
        policy.send().await.unwrap();
        let get = |from: &str, proto: &str| {
            let get = ask("GET", "h", "/raw/k").header("x-forwarded-for", from);
            get.header("x-forwarded-proto", proto)
        };
        get("203.0.113.9, 10.1.1.1", "https")
            .expect(&server, expected, "")
            .await;
        for (from, proto) in [
            ("203.0.113.9, 198.51.100.1", "https"),
            ("198.51.100.1", "https"),
            ("203.0.113.9", "http"),
            ("203.0.113.9, unknown", "https"),
        ] {
            get(from, proto).expect(&server, 403, "AccessDenied").await;
        }
    }
}

#[tokio::test]
async fn answers_name_the_public_url() {
    let server = ready(CONFIGURATION).await;
    for (host, path, location) in [
        (
            "files.example.com",
            "/raw",
            "https://files.example.com/raw/k",
        ),
        (
            "raw.files.example.com",
            "/",
            "https://raw.files.example.com/k",
        ),
        (
            "example.com",
            "/storage/raw",
            "https://example.com/storage/raw/k",
        ),
        ("minio:9000", "/raw", "http://minio:9000/raw/k"),
        ("consign:9000", "/raw", "https://files.example.com/raw/k"),
    ] {
        let answer = form(&server, host, path).await;
        assert!(
            answer.contains(&format!("location: {location}\r\n")),
            "{host}{path}: {answer}"
        );
    }
}

/// Posts a signed form.
async fn form(server: &Server, host: &str, path: &str) -> String {
    use base64::Engine as _;
    let now = Signer::now();
    let policy = format!(
        r#"{{"expiration": "2099-01-01T00:00:00Z", "conditions": [["starts-with", "$key", ""],
        {{"bucket": "raw"}}, {{"x-amz-algorithm": "AWS4-HMAC-SHA256"}}, {{"x-amz-credential":
        "{}/{}"}}, {{"x-amz-date": "{}"}}]}}"#,
        now.access_key,
        now.scope(),
        now.date
    );
    let policy = base64::engine::general_purpose::STANDARD.encode(policy);
    let credential = format!("{}/{}", now.access_key, now.scope());
    let signature = now.sign(&policy);
    let fields = [
        ("key", "k"),
        ("x-amz-algorithm", "AWS4-HMAC-SHA256"),
        ("x-amz-credential", &credential),
        ("x-amz-date", &now.date),
        ("policy", &policy),
        ("x-amz-signature", &signature),
        ("file", "meow"),
    ];
    let mut body = String::new();
    for (name, value) in fields {
        body += &format!(
            "--frontier\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
        );
    }
    body += "--frontier--\r\n";
    let ask = ask("POST", host, path).body(body.as_bytes());
    let ask = ask.header("content-type", "multipart/form-data; boundary=frontier");
    ask.expect(server, 204, "").await.text
}
