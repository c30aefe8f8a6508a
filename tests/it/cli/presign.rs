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

#[tokio::test]
async fn each_flag_demands_what_it_says() {
    let server = Server::start().await;
    make_bucket(&server.client(), "uploads").await;
    let http = plain_http();
    let send = async |line: &str, kind: &str, body: &str| {
        let url = json(&server, &format!("presign put uploads/k {line}"));
        let put = http.put(text(&url, "url")).header("content-type", kind);
        put.body(body.to_owned()).send().await.unwrap().status()
    };
    for (line, kind, body, status) in [
        ("--max-size 5B", "a/b", "hello", 200),
        ("--max-size 4B", "a/b", "hello", 400),
        ("--min-size 6B", "a/b", "hello", 400),
        (
            "--content-type-pattern image/* --content-type-pattern a/b",
            "a/b",
            "x",
            200,
        ),
        ("--content-type-pattern image/*", "a/b", "x", 403),
        ("--require checksum", "a/b", "x", 400),
        ("--not-before 2020-01-01T00:00:00Z", "a/b", "x", 200),
        ("--not-before 2099-01-01T00:00:00Z", "a/b", "x", 403),
        ("--source-ip 127.0.0.0/8 --source-ip ::1", "a/b", "x", 200),
        ("--source-ip 192.0.2.0/24", "a/b", "x", 403),
        (
            "--callback nobody --callback-var a=b --callback-mode async",
            "a/b",
            "x",
            400,
        ),
    ] {
        assert_eq!(send(line, kind, body).await, status, "{line}");
    }
    let once = json(&server, "presign put uploads/k --once");
    for status in [200, 403] {
        let put = http.put(text(&once, "url")).body("x").send();
        assert_eq!(put.await.unwrap().status(), status);
    }
    let get = json(&server, "presign get uploads/k --source-ip 192.0.2.7");
    assert_eq!(
        http.get(text(&get, "url")).send().await.unwrap().status(),
        403
    );
    // What the server would refuse is not signed at all.
    for (line, says) in [
        ("put uploads/k --not-before tomorrow", "must be a time"),
        ("put uploads/k --source-ip 10.0.0.0/40", "networks"),
        ("put uploads/k --content-type-pattern image", "media types"),
        ("put uploads/k --query x-consign-ones=1", "unknown"),
        (
            "get uploads/k --query x-consign-once=1",
            "of this operation",
        ),
        (
            "upload-part uploads/k --upload-id u --part-number 1 --callback app",
            "of this operation",
        ),
        ("post uploads/k --source-ip nowhere", "networks"),
    ] {
        let said = super::refused(&server, &format!("presign {line}"));
        assert!(said.contains(says), "{line}: {said}");
    }
}

#[tokio::test]
async fn an_upload_in_parts_is_signed_from_its_begin_to_its_end() {
    let server = Server::start().await;
    make_bucket(&server.client(), "uploads").await;
    let http = plain_http();
    let begin = json(&server, "presign create-multipart uploads/k --max-size 9B");
    let begun = http.post(text(&begin, "url")).send().await.unwrap();
    let begun = begun.text().await.unwrap();
    let (_, id) = begun.split_once("<UploadId>").unwrap();
    let (id, _) = id.split_once('<').unwrap();
    let line = format!("presign upload-part uploads/k --upload-id {id} --part-number 1");
    let part = json(&server, &line);
    let send = |body: &'static str| http.put(text(&part, "url")).body(body).send();
    assert_eq!(send("0123456789").await.unwrap().status(), 400);
    let sent = send("012345678").await.unwrap();
    let etag = sent.headers()["etag"].to_str().unwrap();
    let list = format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part>\
         </CompleteMultipartUpload>"
    );
    let end = json(
        &server,
        &format!("presign complete-multipart uploads/k --upload-id {id}"),
    );
    let ended = http
        .post(text(&end, "url"))
        .body(list)
        .send()
        .await
        .unwrap();
    assert_eq!(ended.status(), 200);
    assert_eq!(get(&server.client(), "uploads", "k").await, Ok(()));
}

#[tokio::test]
async fn a_form_demands_what_its_flags_say() {
    let server = Server::start().await;
    make_bucket(&server.client(), "uploads").await;
    let flags = "--once --content-type-pattern image/* --starts-with content-type=";
    let form = json(&server, &format!("presign post uploads/k {flags}"));
    let send = async |kind: &str| {
        let part = |name: &str, value: &str| {
            format!(
                "--boundary\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
            )
        };
        let fields = form["fields"].as_object().unwrap();
        let fields = fields.iter().filter(|(name, _)| *name != "content-type");
        let mut body: String = fields
            .map(|(name, value)| part(name, value.as_str().unwrap()))
            .collect();
        body += &part("content-type", kind);
        body += &part("file", "x");
        let post = plain_http().post(text(&form, "url"));
        let post = post.header("content-type", "multipart/form-data; boundary=boundary");
        post.body(body + "--boundary--\r\n")
            .send()
            .await
            .unwrap()
            .status()
    };
    assert_eq!(send("text/html").await, 403);
    assert_eq!(send("image/png").await, 204);
    assert_eq!(send("image/png").await, 403);
}
