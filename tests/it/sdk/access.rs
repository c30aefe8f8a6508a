//! Buckets that others may use: policies, and whose requests are paid by whom.

use aws_sdk_s3::Client;
use aws_sdk_s3::operation::RequestId as _;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{
    AccessControlPolicy, CompletedMultipartUpload, CompletedPart, Payer, RequestPayer,
    RequestPaymentConfiguration, ServerSideEncryption,
};
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

#[tokio::test]
async fn an_owner_off_the_list_may_only_come_back() {
    let (_server, client) = ready().await;
    put(&client, "k", b"x").await;
    let list = client.get_bucket_acl().bucket(BUCKET).send().await.unwrap();
    let set = async |list: AccessControlPolicy| {
        let put = client.put_bucket_acl().bucket(BUCKET);
        put.access_control_policy(list).send().await.unwrap();
    };
    let owner = list.owner().unwrap().clone();
    let empty = AccessControlPolicy::builder().owner(owner.clone());
    set(empty.set_grants(Some(Vec::new())).build()).await;
    let write = || client.put_object().bucket(BUCKET).key("other").send();
    let read = || client.get_object().bucket(BUCKET).key("k").send();
    assert_eq!(fault(write().await), denied());
    let listed = client.list_objects_v2().bucket(BUCKET).send().await;
    assert_eq!(fault(listed), denied());
    assert!(read().await.is_ok());
    assert!(client.get_bucket_acl().bucket(BUCKET).send().await.is_ok());
    let full = AccessControlPolicy::builder().owner(owner);
    set(full.set_grants(Some(list.grants().to_vec())).build()).await;
    assert!(write().await.is_ok());
}

#[tokio::test]
async fn a_completion_may_name_the_key_that_its_upload_was_begun_with() {
    let (_server, client) = ready().await;
    let kms = ServerSideEncryption::AwsKms;
    let begun = client.create_multipart_upload().bucket(BUCKET).key("k");
    let begun = begun.server_side_encryption(kms).ssekms_key_id("one");
    let id = begun.send().await.unwrap().upload_id.unwrap();
    let part = client.upload_part().bucket(BUCKET).key("k").upload_id(&id);
    let part = part.part_number(1).body(ByteStream::from_static(b"x"));
    let etag = part.send().await.unwrap().e_tag.unwrap();
    let part = CompletedPart::builder().part_number(1).e_tag(etag).build();
    let parts = CompletedMultipartUpload::builder().parts(part).build();
    let complete = |key: &'static str| {
        let complete = client.complete_multipart_upload().bucket(BUCKET).key("k");
        let complete = complete.upload_id(&id).multipart_upload(parts.clone());
        complete
            .customize()
            .mutate_request(move |request| {
                let headers = request.headers_mut();
                headers.insert("x-amz-server-side-encryption", "aws:kms");
                headers.insert("x-amz-server-side-encryption-aws-kms-key-id", key);
            })
            .send()
    };
    let refused = fault(complete("two").await);
    assert_eq!(refused, (400, "InvalidRequest".to_owned()));
    let made = complete("one").await.unwrap();
    assert_eq!(made.ssekms_key_id(), Some("one"));
}
