//! What a stranger uploaded acts in nobody's name.

use crate::raw::wire::{Ask, Signer, ready, sha256};
use crate::support::Server;

async fn put(server: &Server, key: &str, kind: &str) {
    let page = b"<script>document.title = 'ran'</script>";
    let ask = Ask::new(server, "PUT", &format!("/raw/{key}")).header("content-type", kind);
    let ask = ask.body(page).authorized(&Signer::now(), &sha256(page)).0;
    ask.expect(server, 200, "").await;
}

#[tokio::test]
async fn documents_are_sandboxed_where_all_buckets_share_an_origin() {
    let server = ready().await;
    put(&server, "page", "text/html").await;
    put(&server, "image", "image/png").await;
    let get = |key: &str| Ask::new(&server, "GET", &format!("/raw/{key}"));
    let policy = "content-security-policy";
    let page = get("page")
        .presigned(&Signer::now(), "60")
        .expect(&server, 200, "")
        .await;
    let value = page.header(policy).unwrap();
    assert!(
        value.starts_with("sandbox") && !value.contains("same-origin"),
        "{value}"
    );
    assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
    let image = get("image")
        .presigned(&Signer::now(), "60")
        .expect(&server, 200, "")
        .await;
    assert_eq!(image.header(policy), None);
    assert_eq!(image.header("x-content-type-options"), Some("nosniff"));
    // A signer may call an image a page, and gets a sandbox.
    let called = get("image").query("response-content-type", "text/html");
    let called = called
        .presigned(&Signer::now(), "60")
        .expect(&server, 200, "")
        .await;
    assert!(called.header(policy).is_some(), "{called:?}");
    // Errors and the administration are no pages either.
    for path in ["/raw/none", "/-/admin/v1/keys", "/-/none"] {
        let answer = Ask::new(&server, "GET", path).send(&server).await;
        assert!(answer.status >= 400, "{answer:?}");
        assert_eq!(
            answer.header("x-content-type-options"),
            Some("nosniff"),
            "{path}"
        );
    }
    // A bucket's own host is an origin of its own.
    let mut hosted = Ask::new(&server, "GET", "/page");
    let port = server.authority().rsplit(':').next().unwrap();
    hosted.headers[0].1 = format!("raw.localhost:{port}");
    let hosted = hosted
        .presigned(&Signer::now(), "60")
        .expect(&server, 200, "")
        .await;
    assert_eq!(hosted.header(policy), None);
}
