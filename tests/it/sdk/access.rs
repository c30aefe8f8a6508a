//! Buckets that others may use: policies, and whose requests are paid by whom.

use aws_sdk_s3::Client;
use aws_sdk_s3::operation::RequestId as _;
use aws_sdk_s3::types::{Payer, RequestPayer, RequestPaymentConfiguration};
use serde_json::json;

use super::{BUCKET, fault, put, ready};

fn denied() -> (u16, String) {
    (403, "AccessDenied".to_owned())
}

async fn allow(client: &Client, action: &str, below: &str) {
    let policy = json!({"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": "*", "Action": action,
        "Resource": format!("arn:aws:s3:::{BUCKET}{below}"),
    }]});
    let put = client.put_bucket_policy().bucket(BUCKET);
    put.policy(policy.to_string()).send().await.unwrap();
}

#[tokio::test]
async fn who_is_asked_to_pay_must_say_so() {
    let (server, client) = ready().await;
    let tenant = server.tenant("tenant");
    put(&client, "k", b"x").await;
    allow(&client, "s3:GetObject", "/*").await;
    let set = async |payer: Payer| {
        let who = RequestPaymentConfiguration::builder().payer(payer).build();
        let put = client.put_bucket_request_payment().bucket(BUCKET);
        let put = put.request_payment_configuration(who.unwrap());
        put.send().await.unwrap();
        let got = client.get_bucket_request_payment().bucket(BUCKET);
        got.send().await.unwrap().payer.unwrap()
    };
    let read = |client: &Client| client.get_object().bucket(BUCKET).key("k");
    assert_eq!(set(Payer::BucketOwner).await, Payer::BucketOwner);
    assert!(read(&tenant).send().await.is_ok());
    assert_eq!(set(Payer::Requester).await, Payer::Requester);
    assert_eq!(fault(read(&tenant).send().await), denied());
    let paid = read(&tenant).request_payer(RequestPayer::Requester);
    let paid = paid.send().await.unwrap();
    assert!(paid.request_id().is_some());
    assert_eq!(paid.request_charged.unwrap().as_str(), "requester");
    // The owner is asked for nothing and told nothing; who signs nothing can't pay.
    let own = read(&client).request_payer(RequestPayer::Requester);
    assert!(own.send().await.unwrap().request_charged.is_none());
    let url = format!("{}/{BUCKET}/k", server.endpoint);
    let anonymous = crate::support::plain_http().get(url);
    let anonymous = anonymous.header("x-amz-request-payer", "requester");
    assert_eq!(anonymous.send().await.unwrap().status(), 403);
    let refused = tenant.get_bucket_request_payment().bucket(BUCKET);
    assert_eq!(fault(refused.send().await), denied());
}
