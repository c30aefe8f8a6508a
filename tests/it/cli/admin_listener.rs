//! The administration on an address of its own.

use serde_json::Value;

use super::{client_of, json, make_bucket, refused, run, text};
use crate::support::{Server, plain_http};

const APART: &str = "[admin]\nlisten = \"127.0.0.1:0\"\n";

/// Where the administration says that it is.
fn admin_of(server: &Server) -> String {
    let announced = std::fs::read(server.data_folder().join("server.json")).unwrap();
    let announced: Value = serde_json::from_slice(&announced).unwrap();
    text(&announced, "admin").to_owned()
}

async fn status_of(url: &str) -> (u16, String) {
    let answer = plain_http().get(url).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

#[tokio::test]
async fn the_administration_is_served_at_its_own_address_and_nowhere_else() {
    let server = Server::start_with(APART).await;
    let admin = admin_of(&server);
    assert_ne!(admin, server.endpoint);
    // Commands find it by themselves, and what they change holds for objects.
    let key = json(&server, "keys add app");
    make_bucket(&client_of(&server, &key), "uploads").await;
    run(&server, &format!("keys list --endpoint {admin}"));
    // The very same signed request is refused where objects are, before anyone asks who sent it.
    let said = refused(
        &server,
        &format!("keys list --endpoint {}", server.endpoint),
    );
    let here = "(403): The administration is not served at this address.";
    assert!(said.contains(here), "{said}");
    let (status, body) = status_of(&format!("{}/-/admin/v1/status", server.endpoint)).await;
    assert_eq!(status, 403, "{body}");
    for endpoint in [&admin, &server.endpoint] {
        for path in ["healthy", "ready"] {
            let (status, body) = status_of(&format!("{endpoint}/-/{path}")).await;
            assert_eq!((status, body), (200, format!("{path}\n")), "{endpoint}");
        }
    }
}

#[tokio::test]
async fn where_the_administration_is_no_object_is() {
    let server = Server::start_with(APART).await;
    let admin = admin_of(&server);
    make_bucket(&server.client(), "uploads").await;
    let there = crate::support::client(&admin);
    let listed = there.list_buckets().send().await.unwrap_err();
    assert_eq!(listed.raw_response().unwrap().status().as_u16(), 403);
    let made = there.put_object().bucket("uploads").key("a").send().await;
    assert_eq!(
        made.unwrap_err().raw_response().unwrap().status().as_u16(),
        403
    );
    for path in [
        "/",
        "/uploads",
        "/uploads/a",
        "/-/",
        "/-/oss/callback-key.pem",
        "//",
    ] {
        let (status, body) = status_of(&format!("{admin}{path}")).await;
        assert_eq!(status, 403, "{path}: {body}");
        assert!(body.contains("Only the administration"), "{path}: {body}");
    }
    // Nor by a bucket's own host, nor as a website.
    for host in ["uploads.localhost", "uploads.s3-website.localhost"] {
        let request = plain_http().get(format!("{admin}/a")).header("host", host);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 403, "{host}");
    }
    // An unsigned order is no order.
    assert_eq!(status_of(&format!("{admin}/-/admin/v1/keys")).await.0, 403);
}

#[tokio::test]
async fn without_an_address_of_its_own_the_administration_is_beside_the_objects() {
    let server = Server::start().await;
    run(
        &server,
        &format!("keys list --endpoint {}", server.endpoint),
    );
    let url = format!("{}/-/admin/v1/keys", server.endpoint);
    assert_eq!(status_of(&url).await.0, 403);
}
