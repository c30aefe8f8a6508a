//! What `consign presign` prints, used.

use super::{get, json, make_bucket, text};
use crate::support::{Server, plain_http};

#[tokio::test]
async fn what_presign_prints_works_until_it_expires() {
    let server = Server::start().await;
    make_bucket(&server.client(), "uploads").await;
    let http = plain_http();
    let put = json(
        &server,
        "presign put uploads/é/a --content-type text/plain --expires 10m",
    );
    let send = |kind: &str| {
        let request = http.put(text(&put, "url")).header("content-type", kind);
        request.body("hello").send()
    };
    assert_eq!(send("text/html").await.unwrap().status(), 403);
    assert_eq!(send("text/plain").await.unwrap().status(), 200);
    let query = "presign get uploads/é/a --query response-content-disposition=attachment";
    let got = http
        .get(text(&json(&server, query), "url"))
        .send()
        .await
        .unwrap();
    assert_eq!(got.headers()["content-disposition"], "attachment");
    assert_eq!(got.text().await.unwrap(), "hello");
    let head = json(&server, "presign head uploads/é/a");
    assert_eq!(
        http.head(text(&head, "url")).send().await.unwrap().status(),
        200
    );

    let key = json(&server, "keys add reader --read-only");
    let (access_key, secret) = (text(&key, "access_key"), text(&key, "secret_key"));
    let by = format!("--access-key {access_key} --secret-key {secret}");
    let delete = json(&server, &format!("presign delete uploads/é/a {by}"));
    assert_eq!(
        http.delete(text(&delete, "url"))
            .send()
            .await
            .unwrap()
            .status(),
        403
    );
    let delete = json(&server, "presign delete uploads/é/a");
    assert_eq!(
        http.delete(text(&delete, "url"))
            .send()
            .await
            .unwrap()
            .status(),
        204
    );
}

#[tokio::test]
async fn a_form_that_presign_prints_uploads() {
    let server = Server::start().await;
    make_bucket(&server.client(), "uploads").await;
    let form = json(
        &server,
        "presign post uploads/user/${filename} --max-size 1KiB",
    );
    let send = |bytes: usize| {
        let boundary = "a-boundary";
        let mut body = String::new();
        for (name, value) in form["fields"].as_object().unwrap() {
            let value = value.as_str().unwrap();
            body += &format!(
                "--{boundary}\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
            );
        }
        let file = "x".repeat(bytes);
        body += &format!(
            "--{boundary}\r\ncontent-disposition: form-data; name=\"file\"; filename=\"cat.txt\"\r\n\r\n{file}\r\n--{boundary}--\r\n"
        );
        let kind = format!("multipart/form-data; boundary={boundary}");
        plain_http()
            .post(text(&form, "url"))
            .header("content-type", kind)
            .body(body)
            .send()
    };
    assert_eq!(send(2000).await.unwrap().status(), 400);
    assert_eq!(send(1000).await.unwrap().status(), 204);
    assert_eq!(
        get(&server.client(), "uploads", "user/cat.txt").await,
        Ok(())
    );
}
