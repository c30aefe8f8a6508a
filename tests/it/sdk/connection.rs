//! Other ways to reach a bucket: HTTP/2, and a host name of the bucket's own.

use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::presigning::PresigningConfig;
use aws_smithy_http_client::{Builder, Connector, proxy::ProxyConfig};

use super::{BUCKET, get, put, ready};
use crate::support::{self, Server, bytes_of};

const DOMAIN: &str = "s3.consign.test";

fn soon() -> PresigningConfig {
    PresigningConfig::expires_in(Duration::from_secs(60)).unwrap()
}

#[tokio::test]
async fn many_requests_share_a_connection_of_http2() {
    let (_server, client) = ready().await;
    let http = support::plain_http_builder();
    let http = http.http2_prior_knowledge().build().unwrap();
    let uploads = (0..24_u32).map(|number| {
        let (client, http) = (&client, &http);
        async move {
            let key = format!("h2/{number} +");
            let body = bytes_of(u64::from(number), 10_000 * number as usize);
            let put = client.put_object().bucket(BUCKET).key(&key);
            let put = put.presigned(soon()).await.unwrap();
            let answer = http.put(put.uri()).body(body.clone()).send().await.unwrap();
            assert_eq!(answer.version(), http::Version::HTTP_2);
            assert_eq!(answer.status(), 200, "{key}");
            let get = client.get_object().bucket(BUCKET).key(&key);
            let get = get.presigned(soon()).await.unwrap();
            let answer = http.get(get.uri()).send().await.unwrap();
            assert!(answer.bytes().await.unwrap() == body, "{key}");
            let absent = client.get_object().bucket(BUCKET).key("absent");
            let absent = absent.presigned(soon()).await.unwrap();
            assert_eq!(http.get(absent.uri()).send().await.unwrap().status(), 404);
            assert_eq!(http.head(get.uri()).send().await.unwrap().status(), 403);
        }
    });
    futures_util::future::join_all(uploads).await;
}

/// A client that names the bucket in the host. Names of hosts lead nowhere here, so that it takes
/// the server for its proxy, which also makes it send whole URLs as its targets.
fn virtual_host_client(server: &Server) -> Client {
    let proxy = ProxyConfig::http(&server.endpoint).unwrap();
    let http = Builder::new().build_with_connector_fn(move |_, _| {
        Connector::builder()
            .proxy_config(proxy.clone())
            .build_http()
    });
    let config = support::client_config(&format!("http://{DOMAIN}"))
        .force_path_style(false)
        .http_client(http);
    Client::from_conf(config.build())
}

#[tokio::test]
async fn a_bucket_has_a_host_of_its_own() {
    let server = Server::start_with(&format!("domains = [\"{DOMAIN}\"]\n")).await;
    let client = virtual_host_client(&server);
    client.create_bucket().bucket(BUCKET).send().await.unwrap();
    for key in ["plain", "sp ace/+%/ü", "/a//b", BUCKET, "-/healthy"] {
        put(&client, key, key.as_bytes()).await;
        assert_eq!(get(&client, key).await, key.as_bytes(), "{key}");
        // By path it is the same object.
        assert_eq!(get(&server.client(), key).await, key.as_bytes(), "{key}");
    }
    let listed = client
        .list_objects_v2()
        .bucket(BUCKET)
        .send()
        .await
        .unwrap();
    assert_eq!(listed.key_count(), Some(5));
    assert_eq!(
        client.list_buckets().send().await.unwrap().buckets().len(),
        1
    );

    // The same by presigned URLs, with a port in the host, as a browser would send them.
    let port = server.authority().rsplit_once(':').unwrap().1;
    let host = format!("{BUCKET}.{DOMAIN}");
    let address = server.authority().parse().unwrap();
    let http = support::plain_http_builder().resolve(&host, address);
    let http = http.build().unwrap();
    let config = support::client_config(&format!("http://{DOMAIN}:{port}"));
    let signer = Client::from_conf(config.force_path_style(false).build());
    let put = signer.put_object().bucket(BUCKET).key("by url");
    let put = put.presigned(soon()).await.unwrap();
    assert!(
        put.uri()
            .starts_with(&format!("http://{host}:{port}/by%20url?"))
    );
    let answer = http.put(put.uri()).body("signed").send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(get(&client, "by url").await, b"signed");
}
