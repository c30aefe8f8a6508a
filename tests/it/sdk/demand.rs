//! Demands in what aws-sdk-s3 signs, as the README shows it.

use std::time::Duration;

use aws_sdk_s3::presigning::PresigningConfig;

use super::{BUCKET, ready};
use crate::support::plain_http;

#[tokio::test]
async fn a_url_demands_what_its_signer_adds_to_it() {
    let (_server, client) = ready().await;
    let demands = "x-consign-content-length-range=3,5&x-consign-once=1";
    let ten_minutes = PresigningConfig::expires_in(Duration::from_secs(600)).unwrap();
    let put = client.put_object().bucket(BUCKET).key("a b+é.png");
    let put = put.customize().mutate_request(move |request| {
        let mark = if request.uri().contains('?') {
            '&'
        } else {
            '?'
        };
        let uri = format!("{}{mark}{demands}", request.uri());
        request.set_uri(uri).expect("it is still an address");
    });
    let url = put.presigned(ten_minutes).await.unwrap().uri().to_owned();
    let http = plain_http();
    for (url, body, status) in [
        (url.clone(), "123456", 400),
        (
            url.replace("3%2C5", "3%2C9").replace("3,5", "3,9"),
            "123456",
            403,
        ),
        (url.clone(), "12345", 200),
        (url, "12345", 403),
    ] {
        let answer = http.put(&url).body(body).send().await.unwrap();
        assert_eq!(answer.status(), status, "{url}: {:?}", answer.text().await);
    }
}
