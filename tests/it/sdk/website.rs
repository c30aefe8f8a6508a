//! Buckets as websites: set through the SDK, visited as a browser does.

use aws_sdk_s3::Client;
use aws_sdk_s3::types::{
    Condition, ErrorDocument, IndexDocument, Protocol, Redirect, RedirectAllRequestsTo,
    RoutingRule, WebsiteConfiguration,
};
use reqwest::Method;

use super::{BUCKET, fault, publish, put, ready};
use crate::support::{Server, plain_http_builder};

async fn set(client: &Client, website: WebsiteConfiguration) {
    let put = client.put_bucket_website().bucket(BUCKET);
    let put = put.website_configuration(website);
    put.send().await.unwrap();
}

fn indexed() -> aws_sdk_s3::types::builders::WebsiteConfigurationBuilder {
    let index = IndexDocument::builder().suffix("index.html");
    WebsiteConfiguration::builder().index_document(index.build().unwrap())
}

/// What a visitor gets: the status, where it is sent, the body.
async fn visit(server: &Server, method: Method, path: &str) -> (u16, Option<String>, String) {
    visit_by(server, method, path, ("accept", "*/*")).await
}

/// The same with one header more.
async fn visit_by(
    server: &Server,
    method: Method,
    path: &str,
    (name, value): (&'static str, &str),
) -> (u16, Option<String>, String) {
    let http = plain_http_builder()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap();
    let asked = http.request(method, format!("{}{path}", server.endpoint));
    let host = format!("{BUCKET}.s3-website.localhost");
    let asked = asked.header("host", host).header(name, value);
    let answer = asked.send().await.unwrap();
    let status = answer.status().as_u16();
    let to = answer.headers().get("location");
    let to = to.map(|to| to.to_str().unwrap().to_owned());
    (status, to, answer.text().await.unwrap())
}

#[tokio::test]
async fn a_visitor_gets_pages_folders_and_errors() {
    let (server, client) = ready().await;
    let get = async |path: &str| visit(&server, Method::GET, path).await;
    let (status, _, page) = get("/").await;
    assert_eq!(status, 404);
    assert!(page.contains("<li>Code: NoSuchWebsiteConfiguration</li>"));
    set(&client, indexed().build()).await;
    put(&client, "index.html", b"home").await;
    put(&client, "docs/index.html", b"docs").await;
    put(&client, "a b+c.html", b"odd").await;
    // Nothing is public because it is a website.
    assert_eq!(get("/").await.0, 403);
    publish(&client, &["s3:GetObject", "s3:ListBucket"]).await;
    let page = |body: &str| (200, None, body.to_owned());
    assert_eq!(get("/").await, page("home"));
    assert_eq!(get("/?acl&versionId=x").await, page("home"));
    assert_eq!(get("/docs/").await, page("docs"));
    assert_eq!(get("/a%20b+c.html").await, page("odd"));
    let (status, to, _) = get("/docs").await;
    assert_eq!((status, to.as_deref()), (302, Some("/docs/")));
    let (status, _, lost) = get("/%3Cscript%3E").await;
    assert_eq!(status, 404);
    assert!(lost.contains("<li>Key: &lt;script&gt;</li>"), "{lost}");
    assert_eq!(visit(&server, Method::HEAD, "/").await, page(""));
    for method in [Method::PUT, Method::DELETE, Method::POST] {
        let (status, _, body) = visit(&server, method, "/index.html").await;
        assert_eq!(status, 405);
        assert!(body.contains("<li>Code: MethodNotAllowed</li>"), "{body}");
    }

    let error = ErrorDocument::builder().key("error.html").build().unwrap();
    set(&client, indexed().error_document(error).build()).await;
    let (_, _, both) = get("/lost").await;
    assert!(both.contains("Retrieve a Custom Error Document</h3>"));
    put(&client, "error.html", b"sorry").await;
    let sorry = (404, None, "sorry".to_owned());
    assert_eq!(get("/lost").await, sorry);
    // What was asked of the page that is lost says nothing of this one.
    for header in [("range", "bytes=1-1"), ("if-match", "\"x\"")] {
        let shown = visit_by(&server, Method::GET, "/lost", header).await;
        assert_eq!(shown, sorry, "{header:?}");
    }
    let moved = client.put_object().bucket(BUCKET).key("error.html");
    let moved = moved.website_redirect_location("/help");
    moved.send().await.unwrap();
    let (status, to, _) = get("/lost").await;
    assert_eq!((status, to.as_deref()), (301, Some("/help")));
}

#[tokio::test]
async fn a_visitor_is_sent_where_rules_and_objects_say() {
    let (server, client) = ready().await;
    publish(&client, &["s3:GetObject", "s3:ListBucket"]).await;
    let get = async |path: &str| visit(&server, Method::GET, path).await;
    let moved = client.put_object().bucket(BUCKET).key("moved");
    let moved = moved.website_redirect_location("/there");
    moved.send().await.unwrap();
    let rule = |condition: Condition, to: Redirect| {
        RoutingRule::builder()
            .condition(condition)
            .redirect(to)
            .build()
    };
    let old = Condition::builder().key_prefix_equals("old/").build();
    let lost = Condition::builder().http_error_code_returned_equals("404");
    let new = Redirect::builder().replace_key_prefix_with("new/").build();
    let other = Redirect::builder()
        .host_name("other.example")
        .protocol(Protocol::Https)
        .http_redirect_code("307")
        .replace_key_with("search")
        .build();
    let rules = [rule(old, new), rule(lost.build(), other)];
    let website = indexed().set_routing_rules(Some(rules.to_vec())).build();
    set(&client, website.clone()).await;
    let got = client.get_bucket_website().bucket(BUCKET);
    assert_eq!(got.send().await.unwrap().routing_rules(), rules);
    let host = format!("{BUCKET}.s3-website.localhost");
    for (path, status, to) in [
        ("/moved", 301, "/there".to_owned()),
        ("/old/a%20b", 301, format!("http://{host}/new/a%20b")),
        ("/lost", 307, "https://other.example/search".to_owned()),
    ] {
        let (answered, sent, _) = get(path).await;
        assert_eq!((answered, sent), (status, Some(to)), "{path}");
    }

    let all = RedirectAllRequestsTo::builder().host_name("elsewhere.example");
    let all = WebsiteConfiguration::builder().redirect_all_requests_to(all.build().unwrap());
    set(&client, all.build()).await;
    let (status, to, _) = get("/a/b").await;
    let elsewhere = Some("http://elsewhere.example/a/b".to_owned());
    assert_eq!((status, to), (301, elsewhere));

    client
        .delete_bucket_website()
        .bucket(BUCKET)
        .send()
        .await
        .unwrap();
    let gone = client.get_bucket_website().bucket(BUCKET).send().await;
    assert_eq!(fault(gone), (404, "NoSuchWebsiteConfiguration".to_owned()));
}
