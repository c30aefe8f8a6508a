//! Buckets that others may use: policies, and whose requests are paid by whom.

use aws_sdk_s3::Client;
use aws_sdk_s3::operation::RequestId as _;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{
    AccessControlPolicy, BucketCannedAcl, CompletedMultipartUpload, CompletedPart, Payer,
    PublicAccessBlockConfiguration, RequestPayer, RequestPaymentConfiguration,
    ServerSideEncryption,
};
use serde_json::json;

use super::{BUCKET, denied, fault, publish, put, ready};

#[tokio::test]
async fn who_is_asked_to_pay_must_say_so() {
    let (server, client) = ready().await;
    let tenant = server.tenant("tenant");
    put(&client, "k", b"x").await;
    publish(&client, &["s3:GetObject"]).await;
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

#[tokio::test]
async fn a_new_bucket_has_a_block_of_public_access_that_blocks_nothing_yet() {
    let (_server, client) = ready().await;
    let get = async || {
        let got = client.get_public_access_block().bucket(BUCKET).send().await;
        got.map(|got| got.public_access_block_configuration.unwrap())
    };
    let block = |acls: bool, policy: bool| {
        PublicAccessBlockConfiguration::builder()
            .block_public_acls(acls)
            .ignore_public_acls(false)
            .block_public_policy(policy)
            .restrict_public_buckets(false)
            .build()
    };
    let set = async |block: PublicAccessBlockConfiguration| {
        let put = client.put_public_access_block().bucket(BUCKET);
        let put = put.public_access_block_configuration(block);
        put.send().await.unwrap();
    };
    assert_eq!(get().await.unwrap(), block(false, false));
    publish(&client, &["s3:GetObject"]).await;
    set(block(true, true)).await;
    assert_eq!(get().await.unwrap(), block(true, true));
    let public = client.put_bucket_acl().bucket(BUCKET);
    let public = public.acl(BucketCannedAcl::PublicRead).send().await;
    assert_eq!(fault(public), denied());
    let statement = json!({"Statement": [{"Effect": "Allow", "Principal": "*",
        "Action": "s3:GetObject", "Resource": format!("arn:aws:s3:::{BUCKET}/*")}]});
    let policy = client.put_bucket_policy().bucket(BUCKET);
    let policy = policy.policy(statement.to_string()).send().await;
    assert_eq!(fault(policy), denied());
    let delete = client.delete_public_access_block().bucket(BUCKET);
    delete.send().await.unwrap();
    let gone = "NoSuchPublicAccessBlockConfiguration".to_owned();
    assert_eq!(fault(get().await), (404, gone));
}
