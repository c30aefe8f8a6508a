//! Rules for browsers: set through the SDK, asked for as a browser asks.

use aws_sdk_s3::presigning::PresigningConfig;
use aws_sdk_s3::types::{CorsConfiguration, CorsRule};

use crate::support::{Server, plain_http};

async fn ask(method: &str, url: &str, headers: &[(&str, &str)]) -> reqwest::Response {
    let mut request = plain_http().request(method.parse().unwrap(), url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let body = if method == "PUT" { "x" } else { "" };
    request.body(body).send().await.unwrap()
}

const ORIGIN: (&str, &str) = ("origin", "https://app.example.com");

/// A server with a bucket that lets pages below `example.com` in.
async fn server_with_rule() -> (Server, CorsRule) {
    let server = Server::start().await;
    let client = server.client();
    client.create_bucket().bucket("web").send().await.unwrap();
    let rule = CorsRule::builder()
        .allowed_origins("https://*.example.com")
        .allowed_methods("PUT")
        .allowed_methods("GET")
        .allowed_headers("content-*")
        .expose_headers("ETag")
        .max_age_seconds(600)
        .build()
        .unwrap();
    let rules = CorsConfiguration::builder()
        .cors_rules(rule.clone())
        .build();
    let put = client.put_bucket_cors().bucket("web");
    put.cors_configuration(rules.unwrap()).send().await.unwrap();
    (server, rule)
}

#[tokio::test]
async fn rules_are_put_got_and_deleted() {
    let (server, rule) = server_with_rule().await;
    let client = server.client();
    let kept = client.get_bucket_cors().bucket("web").send().await.unwrap();
    assert_eq!(kept.cors_rules(), [rule]);
    client
        .delete_bucket_cors()
        .bucket("web")
        .send()
        .await
        .unwrap();
    let gone = client.get_bucket_cors().bucket("web").send().await;
    let gone = gone.unwrap_err().into_service_error();
    assert_eq!(gone.meta().code(), Some("NoSuchCORSConfiguration"));
    let wants = ("access-control-request-method", "PUT");
    let url = format!("{}/web/a", server.endpoint);
    let refused = ask("OPTIONS", &url, &[ORIGIN, wants]).await;
    assert_eq!(refused.status(), 403);
    let text = refused.text().await.unwrap();
    assert!(text.contains("CORS is not enabled for this bucket"));
    assert_eq!(ask("OPTIONS", &url, &[]).await.status(), 400);
}

#[tokio::test]
async fn a_preflight_is_answered_by_the_rule_that_allows_it() {
    let (server, _rule) = server_with_rule().await;
    let url = format!("{}/web/a?uploads", server.endpoint);
    let wants = ("access-control-request-method", "PUT");
    let names = ("access-control-request-headers", "Content-Type,content-md5");
    let allowed = ask("OPTIONS", &url, &[ORIGIN, wants, names]).await;
    assert_eq!(allowed.status(), 200);
    let headers = allowed.headers();
    assert_eq!(headers["access-control-allow-origin"], ORIGIN.1);
    assert_eq!(headers["access-control-allow-methods"], "PUT, GET");
    assert_eq!(
        headers["access-control-allow-headers"],
        "content-type, content-md5"
    );
    assert_eq!(headers["access-control-max-age"], "600");
    let other = ("access-control-request-headers", "x-other");
    assert_eq!(
        ask("OPTIONS", &url, &[ORIGIN, wants, other]).await.status(),
        403
    );
}

#[tokio::test]
async fn answers_to_a_page_carry_the_headers_errors_too() {
    let (server, _rule) = server_with_rule().await;
    let url = format!("{}/web/a", server.endpoint);
    let denied = ask("GET", &url, &[ORIGIN]).await;
    assert_eq!(denied.status(), 403);
    assert_eq!(denied.headers()["access-control-expose-headers"], "ETag");
    let soon = PresigningConfig::expires_in(std::time::Duration::from_secs(60)).unwrap();
    let put = server.client().put_object().bucket("web").key("a");
    let signed = put.presigned(soon).await.unwrap();
    let put = ask("PUT", signed.uri(), &[ORIGIN]).await;
    assert_eq!(put.status(), 200);
    assert_eq!(put.headers()["access-control-allow-origin"], ORIGIN.1);
    let foreign = ask("PUT", signed.uri(), &[("origin", "https://example.org")]).await;
    assert_eq!(foreign.status(), 200);
    assert!(
        !foreign
            .headers()
            .contains_key("access-control-allow-origin")
    );
}
