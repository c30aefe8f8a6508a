//! Rules for browsers: set through the SDK, asked for as a browser asks.

use aws_sdk_s3::presigning::PresigningConfig;
use aws_sdk_s3::types::{CorsConfiguration, CorsRule};

use crate::support::{Server, plain_http};

async fn ask(method: &str, url: &str, headers: &[(&str, &str)]) -> reqwest::Response {
    let mut request = plain_http().request(method.parse().unwrap(), url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.unwrap()
}

#[tokio::test]
async fn a_page_of_an_allowed_origin_uploads_and_reads() {
    let server = Server::start().await;
    let client = server.client();
    client.create_bucket().bucket("web").send().await.unwrap();
    let url = format!("{}/web/a?uploads", server.endpoint);
    let origin = ("origin", "https://app.example.com");
    let wants = ("access-control-request-method", "PUT");
    let refused = ask("OPTIONS", &url, &[origin, wants]).await;
    assert_eq!(refused.status(), 403);
    assert!(
        refused
            .text()
            .await
            .unwrap()
            .contains("CORS is not enabled for this bucket")
    );
    assert_eq!(ask("OPTIONS", &url, &[]).await.status(), 400);

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
    let kept = client.get_bucket_cors().bucket("web").send().await.unwrap();
    assert_eq!(kept.cors_rules(), [rule]);

    let names = ("access-control-request-headers", "Content-Type,content-md5");
    let allowed = ask("OPTIONS", &url, &[origin, wants, names]).await;
    assert_eq!(allowed.status(), 200);
    let headers = allowed.headers();
    assert_eq!(
        headers["access-control-allow-origin"],
        "https://app.example.com"
    );
    assert_eq!(headers["access-control-allow-methods"], "PUT, GET");
    assert_eq!(
        headers["access-control-allow-headers"],
        "content-type, content-md5"
    );
    assert_eq!(headers["access-control-max-age"], "600");
    let other = ("access-control-request-headers", "x-other");
    assert_eq!(
        ask("OPTIONS", &url, &[origin, wants, other]).await.status(),
        403
    );

    // Errors too carry the headers: otherwise a page could not read them.
    let denied = ask("GET", &format!("{}/web/a", server.endpoint), &[origin]).await;
    assert_eq!(denied.status(), 403);
    assert_eq!(denied.headers()["access-control-expose-headers"], "ETag");
    let soon = PresigningConfig::expires_in(std::time::Duration::from_secs(60)).unwrap();
    let signed = client
        .put_object()
        .bucket("web")
        .key("a")
        .presigned(soon)
        .await;
    let put = ask("PUT", signed.unwrap().uri(), &[origin]).await;
    assert_eq!(put.status(), 200);
    assert_eq!(
        put.headers()["access-control-allow-origin"],
        "https://app.example.com"
    );
    let foreign = ask("PUT", &url, &[("origin", "https://example.org")]).await;
    assert!(
        !foreign
            .headers()
            .contains_key("access-control-allow-origin")
    );

    client
        .delete_bucket_cors()
        .bucket("web")
        .send()
        .await
        .unwrap();
    let gone = client
        .get_bucket_cors()
        .bucket("web")
        .send()
        .await
        .unwrap_err();
    let code = gone.into_service_error().meta().code().map(str::to_owned);
    assert_eq!(code.as_deref(), Some("NoSuchCORSConfiguration"));
}
