//! Uploads in parts: what is demanded when they begin holds for the whole.

use std::sync::Arc;

use aws_sdk_s3::Client;
use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};

use super::super::wire::{Answer, Ask, Signer, ready};
use super::{PATIENCE, presigned};
use crate::receiver::{Inbox, Receiver};
use crate::support::Server;

const RANGE: &str = "x-consign-content-length-range";
const FIVE: usize = 5 << 20;

/// A URL that begins uploads.
fn begin(server: &Server, demands: &[(&str, &str)]) -> Ask {
    let demands: Vec<_> = [("uploads", "")].iter().chain(demands).copied().collect();
    presigned(server, "POST", "/raw/k", &demands)
}

fn id_of(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{answer:?}");
    let (_, rest) = answer.text.split_once("<UploadId>").unwrap();
    rest.split_once('<').unwrap().0.to_owned()
}

/// The code of what refused it; empty where nothing did.
async fn part(client: &Client, id: &str, number: i32, len: usize) -> Result<CompletedPart, String> {
    let put = client.upload_part().bucket("raw").key("k").upload_id(id);
    let body = ByteStream::from(vec![b'x'; len]);
    let put = put.part_number(number).body(body).send().await;
    let put = put.map_err(|error| error.code().unwrap_or_default().to_owned())?;
    let part = CompletedPart::builder().part_number(number);
    Ok(part.set_e_tag(put.e_tag).build())
}

async fn complete(client: &Client, id: &str, parts: &[CompletedPart]) -> Result<(), String> {
    let parts = CompletedMultipartUpload::builder().set_parts(Some(parts.to_vec()));
    let complete = client.complete_multipart_upload().bucket("raw").key("k");
    let complete = complete.upload_id(id).multipart_upload(parts.build());
    let done = complete.send().await;
    done.map(drop)
        .map_err(|error| error.code().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn the_sum_is_what_the_signer_allows() {
    let server = ready().await;
    let client = server.client();
    let range = format!("{},{}", FIVE + 10, FIVE + 20);
    let id = id_of(&begin(&server, &[(RANGE, &range)]).send(&server).await);
    let refused = |done: Result<CompletedPart, String>| done.unwrap_err();
    // Alone, and with what is there.
    assert_eq!(
        refused(part(&client, &id, 1, FIVE + 21).await),
        "EntityTooLarge"
    );
    let first = part(&client, &id, 1, FIVE).await.unwrap();
    assert_eq!(refused(part(&client, &id, 2, 21).await), "EntityTooLarge");
    let short = part(&client, &id, 2, 9).await.unwrap();
    let parts = [first.clone(), short];
    assert_eq!(
        complete(&client, &id, &parts).await.unwrap_err(),
        "EntityTooSmall"
    );
    // In the place of another, a part counts once.
    let second = part(&client, &id, 2, 20).await.unwrap();
    assert_eq!(complete(&client, &id, &[first, second]).await, Ok(()));
    let head = client
        .head_object()
        .bucket("raw")
        .key("k")
        .send()
        .await
        .unwrap();
    assert_eq!(
        head.content_length(),
        Some(i64::try_from(FIVE + 20).unwrap())
    );
    // Copied bytes count too.
    let id = id_of(&begin(&server, &[(RANGE, "0,9")]).send(&server).await);
    let copy = client
        .upload_part_copy()
        .bucket("raw")
        .key("k")
        .upload_id(id);
    let copy = copy
        .part_number(1)
        .copy_source("raw/k")
        .send()
        .await
        .unwrap_err();
    assert_eq!(copy.code(), Some("EntityTooLarge"));
}

#[tokio::test]
async fn the_type_is_judged_when_it_begins_and_the_proof_with_each_part() {
    let server = ready().await;
    let demands = [
        ("x-consign-content-type", "image/*"),
        ("x-consign-require", "checksum"),
    ];
    begin(&server, &demands)
        .expect(&server, 403, "AccessDenied")
        .await;
    let mut typed = begin(&server, &demands);
    typed
        .headers
        .push(("content-type".to_owned(), "image/png".to_owned()));
    let id = id_of(&typed.send(&server).await);
    let bare = [("partNumber", "1"), ("uploadId", &*id)];
    let bare = presigned(&server, "PUT", "/raw/k", &bare).body(b"meow");
    bare.expect(&server, 400, "InvalidRequest").await;
    // The SDK sends a CRC-32.
    let client = server.client();
    let first = part(&client, &id, 1, 9).await.unwrap();
    assert_eq!(complete(&client, &id, &[first]).await, Ok(()));
    let head = client
        .head_object()
        .bucket("raw")
        .key("k")
        .send()
        .await
        .unwrap();
    assert_eq!(head.content_type(), Some("image/png"));
}

#[tokio::test]
async fn of_uploads_that_one_url_began_one_is_completed() {
    let server = ready().await;
    let client = server.client();
    let url = begin(&server, &[("x-consign-once", "1")]);
    let mut uploads = Vec::new();
    for _ in 0..8 {
        let id = id_of(&url.send(&server).await);
        let first = part(&client, &id, 1, 9).await.unwrap();
        uploads.push((id, [first]));
    }
    let all = uploads
        .iter()
        .map(|(id, parts)| complete(&client, id, parts));
    let done = futures_util::future::join_all(all).await;
    let won = done.iter().position(Result::is_ok).unwrap();
    let lost = done.iter().enumerate().filter(|(at, _)| *at != won);
    for (_, lost) in lost {
        assert_eq!(lost.as_ref().unwrap_err(), "AccessDenied");
    }
    // An answer that was lost is given again; the others stay refused, and so does the URL.
    let (id, parts) = &uploads[won];
    assert_eq!(complete(&client, id, parts).await, Ok(()));
    let (id, parts) = &uploads[(won + 1) % 8];
    assert_eq!(
        complete(&client, id, parts).await.unwrap_err(),
        "AccessDenied"
    );
    assert_eq!(part(&client, id, 2, 9).await.unwrap_err(), "AccessDenied");
    url.expect(&server, 403, "AccessDenied").await;
}

#[tokio::test]
async fn a_part_may_have_demands_of_its_own() {
    let server = ready().await;
    let id = id_of(&begin(&server, &[]).send(&server).await);
    let url = |demands: &[(&str, &str)]| {
        let of_part = [("partNumber", "1"), ("uploadId", &*id)];
        let all: Vec<_> = of_part.iter().chain(demands).copied().collect();
        presigned(&server, "PUT", "/raw/k", &all).body(b"meow")
    };
    for (name, value, status, code) in [
        (RANGE, "5,9", 400, "EntityTooSmall"),
        (RANGE, "0,3", 400, "EntityTooLarge"),
        (RANGE, "4,4", 200, ""),
        ("x-consign-require", "checksum", 400, "InvalidRequest"),
        ("x-consign-source-ip", "10.0.0.0/8", 403, "AccessDenied"),
        (
            "x-consign-not-before",
            "20990101T000000Z",
            403,
            "AccessDenied",
        ),
        ("x-consign-content-type", "image/*", 400, "InvalidArgument"),
        ("x-consign-callback", "app", 400, "InvalidArgument"),
    ] {
        url(&[(name, value)]).expect(&server, status, code).await;
    }
    let once = url(&[("x-consign-once", "1")]);
    let all = futures_util::future::join_all((0..16).map(|_| once.send(&server))).await;
    let won = all.iter().filter(|answer| answer.status == 200).count();
    assert_eq!(won, 1, "{all:?}");
    once.expect(&server, 403, "AccessDenied").await;
    // What is demanded at the end would be too late.
    let end = [("uploadId", &*id), ("x-consign-once", "1")];
    let end = presigned(&server, "POST", "/raw/k", &end);
    end.expect(&server, 400, "InvalidArgument").await;
}

#[tokio::test]
async fn the_callback_goes_when_the_whole_is_there() {
    let inbox = Arc::new(Inbox::default());
    let receiver = Receiver::start("127.0.0.1:0", Arc::clone(&inbox), 0).await;
    let mut server = Server::start_with(&receiver.configuration("elsewhere")).await;
    server
        .client()
        .create_bucket()
        .bucket("raw")
        .send()
        .await
        .unwrap();
    // An app server may begin it by itself, signing in the header.
    let ask = Ask::new(&server, "POST", "/raw/k")
        .query("uploads", "")
        .query("x-consign-callback", "app")
        .query("x-consign-callback-var-user", "7");
    let empty = super::super::wire::sha256(b"");
    let (ask, _) = ask.authorized(&Signer::now(), &empty);
    let id = id_of(&ask.send(&server).await);
    let first = part(&server.client(), &id, 1, 9).await.unwrap();
    server.kill();
    server.restart().await;
    assert!(inbox.keys().is_empty());
    assert_eq!(complete(&server.client(), &id, &[first]).await, Ok(()));
    inbox.wait(PATIENCE, |came| came == ["k"]).await;
    let body = inbox.bodies().remove(0);
    assert_eq!(body["Records"][0]["consign"]["vars"]["user"], "7");
    assert_eq!(
        body["Records"][0]["eventName"],
        "ObjectCreated:CompleteMultipartUpload"
    );
}
