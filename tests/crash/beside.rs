//! Clients of all else: URLs and forms that are good for one upload, uploaders who wait for an app
//! server, objects that go by themselves, buckets that come and go.

use std::sync::Arc;

use aws_sdk_s3::primitives::ByteStream;
use base64::Engine;
use serde_json::json;

use crate::body::{Piece, Value};
use crate::client::{Dead, Worker};
use crate::model::{ChangeId, Place};
use crate::wire::{Answer, Ask, Signer};

const BOUNDARY: &str = "consign-boundary";

/// An upload that may happen once: whether somebody was told that it did.
#[derive(Debug)]
pub(crate) struct Once {
    pub(crate) ask: Ask,
    pub(crate) change: ChangeId,
    pub(crate) value: Value,
    pub(crate) won: bool,
}

impl Worker {
    /// Uploads by signatures that are good for one use, from two sides at once.
    pub(crate) async fn presign(mut self) -> Result<(), Dead> {
        while self.goes_on() {
            let place = ("raw", format!("once/{}", self.new_name()));
            let value = self.value();
            let ask = if self.chance(30) {
                form(&place, &value)
            } else {
                once(&place, &value)
            };
            let change = self.model.begin(&place, Some(value.clone()));
            let (one, other) =
                tokio::join!(ask.send_to(&self.authority), ask.send_to(&self.authority));
            let won = |answer: &Answer| matches!(answer.status, 200 | 204);
            let winners = [&one, &other]
                .into_iter()
                .filter(|answer| won(answer))
                .count();
            for answer in [&one, &other] {
                if won(answer) {
                    self.created(&place, answer.header("x-amz-request-id"));
                } else if !matches!(answer.status, 0 | 403 | 409 | 503) {
                    self.model.fault(format!("{place:?}: {answer:?}"));
                }
            }
            if winners > 1 {
                self.model
                    .fault(format!("{place:?}: two uploads by one signature"));
            }
            let dead = one.status == 0 || other.status == 0;
            if winners == 1 {
                self.model.done(&change);
            } else if !dead {
                self.model
                    .fault(format!("{place:?}: nobody won: {one:?} {other:?}"));
            }
            let once = Once {
                ask,
                change,
                value,
                won: winners == 1,
            };
            self.model.with(|state| state.onces.push(once));
            if dead {
                return Err(Dead);
            }
        }
        Ok(())
    }

    /// Uploads to an app server's liking: what it does not agree to is not there.
    pub(crate) async fn wait(mut self) -> Result<(), Dead> {
        while self.goes_on() {
            let group = ["keep", "withdraw"][self.index(2)];
            let place = ("asked", format!("{group}/{}", self.new_name()));
            let value = self.value();
            let put = self.s3.put_object().bucket(place.0).key(&place.1);
            let put = put.body(ByteStream::from(value.bytes()));
            let change = self.model.begin(&place, Some(value));
            match put.send().await {
                Ok(_done) => self.model.done(&change),
                Err(aws_sdk_s3::error::SdkError::ServiceError(refused)) => {
                    match (group, refused.raw().status().as_u16()) {
                        // Stored; its receiver is told later.
                        ("keep", 203) => {
                            self.model.done(&change);
                            continue;
                        }
                        ("withdraw", 502) => {}
                        (_, status) => {
                            let said = refused.err();
                            self.model.fault(format!("{place:?}: {status} {said:?}"));
                        }
                    }
                    self.model.refused(&change);
                }
                Err(_) => return Err(Dead),
            }
        }
        Ok(())
    }

    /// Makes objects and uploads that lifecycle rules end.
    pub(crate) async fn fade(mut self) -> Result<(), Dead> {
        while self.goes_on() {
            let (key, value) = (self.new_name(), self.value());
            let put = self.s3.put_object().bucket("fleeting").key(&key);
            let put = put.body(ByteStream::from(value.bytes()));
            self.model
                .with(|state| state.fleeting.insert(key.clone(), value));
            self.told(put.send().await)?;
            self.model.answered();
            self.begin("fleeting", &key).await?;
            tokio::time::sleep(std::time::Duration::from_millis(self.random.below(60))).await;
        }
        Ok(())
    }

    /// An upload that nobody ends, with one part.
    async fn begin(&mut self, bucket: &str, key: &str) -> Result<(), Dead> {
        let create = self.s3.create_multipart_upload().bucket(bucket).key(key);
        if let Some(id) = self
            .told(create.send().await)?
            .and_then(|begun| begun.upload_id)
        {
            let part = Piece {
                seed: self.random.next(),
                len: 70_000,
            };
            let put = self.s3.upload_part().bucket(bucket).key(key).upload_id(id);
            let put = put.part_number(1).body(ByteStream::from(part.bytes()));
            self.told(put.send().await)?;
            self.model.answered();
        }
        Ok(())
    }

    /// Makes buckets, begins uploads in them and deletes them.
    pub(crate) async fn pass(mut self) -> Result<(), Dead> {
        while self.goes_on() {
            let bucket = format!("passing-{}", self.new_name());
            let model = Arc::clone(&self.model);
            let says = |there: Option<bool>| {
                model.with(|state| state.buckets.insert(bucket.clone(), there));
            };
            says(None);
            self.told(self.s3.create_bucket().bucket(&bucket).send().await)?;
            says(Some(true));
            self.model.answered();
            for key in ["a", "b"] {
                self.begin(&bucket, key).await?;
            }
            says(None);
            if self
                .told(self.s3.delete_bucket().bucket(&bucket).send().await)?
                .is_some()
            {
                says(Some(false));
                self.model.answered();
            }
            tokio::time::sleep(std::time::Duration::from_millis(self.random.below(60))).await;
        }
        Ok(())
    }
}

/// A URL for one upload, signed for a host whose name outlives the server's port.
fn once(place: &Place, value: &Value) -> Ask {
    let ask = Ask {
        method: "PUT",
        path: format!("/{}/{}", place.0, place.1),
        query: Vec::new(),
        headers: vec![("host".to_owned(), "storage.example".to_owned())],
        body: value.bytes(),
    };
    ask.query("x-consign-once", "1")
        .presigned(&Signer::now(), "3600")
}

/// A browser's form for one upload.
fn form(place: &Place, value: &Value) -> Ask {
    let signer = Signer::now();
    let credential = format!("{}/{}", signer.access_key, signer.scope());
    let until = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(3600);
    let until = until.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let policy = json!({"expiration": until, "conditions": [
        {"bucket": place.0},
        {"key": place.1},
        {"x-amz-algorithm": "AWS4-HMAC-SHA256"},
        {"x-amz-credential": credential},
        {"x-amz-date": signer.date},
        {"x-consign-once": "1"},
    ]});
    let policy = base64::engine::general_purpose::STANDARD.encode(policy.to_string());
    let signature = signer.sign(&policy);
    let mut body = Vec::new();
    for (name, text) in [
        ("key", place.1.as_str()),
        ("x-amz-algorithm", "AWS4-HMAC-SHA256"),
        ("x-amz-credential", &credential),
        ("x-amz-date", &signer.date),
        ("x-consign-once", "1"),
        ("policy", &policy),
        ("x-amz-signature", &signature),
    ] {
        let part = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{text}\r\n"
        );
        body.extend_from_slice(part.as_bytes());
    }
    let head = format!(
        "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\n"
    );
    body.extend_from_slice(head.as_bytes());
    body.extend_from_slice(&value.bytes());
    body.extend_from_slice(format!("\r\n--{BOUNDARY}--\r\n").as_bytes());
    Ask {
        method: "POST",
        path: format!("/{}", place.0),
        query: Vec::new(),
        headers: vec![
            ("host".to_owned(), "storage.example".to_owned()),
            (
                "content-type".to_owned(),
                format!("multipart/form-data; boundary={BOUNDARY}"),
            ),
        ],
        body,
    }
}
