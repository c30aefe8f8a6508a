//! `consign explain` through the real binary: of URLs, of files, and of what the server refused.

use std::process::Output;

use serde_json::Value;

use super::{json, make_bucket, text};
use crate::support::{SECRET_KEY, Server, plain_http};

/// Signed by the right secret, for a key that nobody has.
const AS_STRANGER: &str =
    "--access-key AKIANOBODY --secret-key consign/test+secret/0123456789abcdefghij";

fn explained(output: &Output) -> (i32, Value) {
    let said = String::from_utf8_lossy(&output.stderr);
    let told = serde_json::from_slice(&output.stdout);
    let told = told.unwrap_or_else(|error| panic!("{error}: {said}"));
    let all = format!("{told}{said}");
    assert!(!all.contains(SECRET_KEY), "{all}");
    (output.status.code().unwrap(), told)
}

fn kind(told: &Value) -> &str {
    told["causes"][0]["kind"].as_str().unwrap_or_default()
}

fn presigned(server: &Server, line: &str) -> String {
    text(&json(server, line), "url").to_owned()
}

#[tokio::test]
async fn a_url_is_explained_by_the_running_server() {
    let server = Server::start_with("public_urls = [\"https://files.example.com\"]").await;
    make_bucket(&server.client(), "uploads").await;
    let put = presigned(&server, "presign put uploads/cat.jpg --expires 10m");
    let explain = |more: &[&str]| {
        let line = [&["explain", "--json"], more].concat();
        explained(&server.command(&line))
    };
    let (code, told) = explain(&[&put]);
    assert_eq!((code, told["method"].as_str()), (0, Some("PUT")), "{told}");
    // What was signed for a declared host is valid at every other.
    let line = "presign put uploads/cat.jpg --endpoint https://files.example.com";
    let elsewhere = presigned(&server, line);
    let here = elsewhere.replace("https://files.example.com", &server.endpoint);
    assert_eq!(explain(&[&here]).0, 0);
    let stranger = presigned(&server, &format!("presign put uploads/k {AS_STRANGER}"));
    for (url, more, expected) in [
        (
            put.replace(&server.endpoint, "http://other.example"),
            &[][..],
            "host",
        ),
        (put.clone() + "&utm_source=mail", &[], "parameter_added"),
        (put.replace('&', "&amp;"), &[], "html_escaped"),
        (put.clone(), &["--method", "GET"], "method"),
        (
            put.clone(),
            &["-H", "x-amz-acl: public-read"],
            "header_unsigned",
        ),
        (put.replace("cat.jpg", "cat.jpg/"), &[], "trailing_slash"),
        (stranger.clone(), &[], "other_keys_secret"),
    ] {
        let (code, told) = explain(&[&[url.as_str()], more].concat());
        assert_eq!((code, kind(&told)), (1, expected), "{url} {told}");
    }
    let short = presigned(&server, "presign get uploads/cat.jpg --expires 1s");
    let (_, told) = explain(&[&short]);
    let expires = told["parts"]
        .as_array()
        .unwrap()
        .iter()
        .find(|part| part["name"] == "expires");
    assert!(
        expires.unwrap()["meaning"]
            .as_str()
            .unwrap()
            .contains("1 second"),
        "{told}"
    );
    // For people.
    let output = server.command(&["explain", &(put + "&v=2")]);
    let said = String::from_utf8(output.stdout).unwrap();
    for part in [
        "NOT VALID: SignatureDoesNotMatch",
        "\"v\" was added after signing",
        " left)",
        "uploads",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[tokio::test]
async fn a_url_is_explained_without_a_server() {
    let mut server = Server::start().await;
    let put = presigned(&server, "presign put uploads/cat.jpg");
    let other = presigned(&server, &format!("presign put uploads/k {AS_STRANGER}"));
    server.kill();
    std::fs::remove_file(server.data_folder().join("server.json")).unwrap();
    let explain = |more: &[&str]| {
        let line = [&["explain", "--json"], more].concat();
        explained(&server.command(&line))
    };
    // The root key signed, and is configured.
    assert_eq!(explain(&[&put]).0, 0);
    let (code, told) = explain(&[&other]);
    assert_eq!(
        (code, &told["causes"]),
        (1, &serde_json::json!([])),
        "{told}"
    );
    assert!(text(&told, "message").contains("--secret"), "{told}");
    assert_eq!(explain(&[&other, "--secret", SECRET_KEY]).0, 0);
    let (code, told) = explain(&[&other, "--secret", &format!("{SECRET_KEY} ")]);
    assert_eq!((code, kind(&told)), (1, "secret_spoiled"), "{told}");
}

#[tokio::test]
async fn a_request_in_a_file_is_explained_with_its_body() {
    let server = Server::start().await;
    let file = server.data_folder().join("head.txt");
    let put = presigned(&server, "presign put uploads/cat.jpg");
    let target = put.strip_prefix(&server.endpoint).unwrap();
    let explain = |head: &str| {
        std::fs::write(&file, head).unwrap();
        let file = file.to_str().unwrap();
        explained(&server.command(&["explain", "--json", "--request", file]))
    };
    let host = server.authority();
    let head = |host: &str| format!("PUT {target} HTTP/1.1\r\nHost: {host}\r\n\r\nmeow");
    assert_eq!(explain(&head(host)).0, 0);
    let (code, told) = explain(&head("localhost"));
    assert_eq!((code, kind(&told)), (1, "host"), "{told}");
    // As `curl -v` shows it.
    let curl = format!(
        "* Connected\n> PUT {target} HTTP/1.1\n> Host: {host}\n> Accept: */*\n>\n< HTTP/1.1 403"
    );
    assert_eq!(explain(&curl).0, 0);
    let output = server.command(&["explain", "--request", "/nowhere"]);
    assert_eq!(output.status.code(), Some(1));
    for nonsense in ["", "meow", "GET / HTTP/1.1\r\n\r\n"] {
        std::fs::write(&file, nonsense).unwrap();
        let output = server.command(&["explain", "--request", file.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(1), "{nonsense}");
        assert!(output.stdout.is_empty(), "{nonsense}");
    }
}

#[tokio::test]
async fn a_refusal_names_the_command_that_explains_it() {
    let server = Server::start().await;
    make_bucket(&server.client(), "uploads").await;
    let put = presigned(&server, "presign put uploads/cat.jpg");
    let http = plain_http();
    let stranger = presigned(&server, &format!("presign put uploads/k {AS_STRANGER}"));
    for (url, host, expected) in [
        (put.clone() + "&fbclid=1", None, "parameter_added"),
        (put.clone(), Some("minio:9000"), "host"),
        (
            put.clone() + "&X-Amz-Security-Token=abc",
            None,
            "token_unsigned",
        ),
        (stranger.clone(), None, "other_keys_secret"),
    ] {
        let mut request = http.put(&url);
        if let Some(host) = host {
            request = request.header("host", host);
        }
        let answer = request.send().await.unwrap();
        assert!(matches!(answer.status().as_u16(), 400 | 403));
        let id = answer.headers()["x-amz-request-id"]
            .to_str()
            .unwrap()
            .to_owned();
        let body = answer.text().await.unwrap();
        let hint = format!("<Hint>consign explain --request-id {id}</Hint></Error>");
        assert!(body.ends_with(&hint), "{body}");
        let output = server.command(&["explain", "--json", "--request-id", &id]);
        let (code, told) = explained(&output);
        let signature = url.split("X-Amz-Signature=").nth(1).unwrap();
        assert!(!told.to_string().contains(&signature[..16]), "{told}");
        assert_eq!((code, kind(&told)), (1, expected), "{url} {told}");
        let output = server.command(&["explain", "--request-id", &id]);
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(said.contains(&id) && said.contains("NOT VALID"), "{said}");
    }
    let output = server.command(&["explain", "--request-id", "0000000000000000"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("the last 256"), "{said}");
    // What is refused for another reason has no such hint.
    let answer = http
        .get(format!("{}/uploads", server.endpoint))
        .send()
        .await
        .unwrap();
    assert!(!answer.text().await.unwrap().contains("Hint"));
}
