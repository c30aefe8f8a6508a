//! Uploads are begun and given up.

use http::StatusCode;

use super::{of_upload, upload_id};
use crate::s3::admit::{Announced, admit};
use crate::s3::checksum_header;
use crate::s3::context::Call;
use crate::s3::error::S3Error;
use crate::s3::ops::put::{given, object_headers};
use crate::s3::ops::{about, bucket};
use crate::s3::reply::Reply;
use crate::s3::sse;
use crate::s3::xml::XmlWriter;
use crate::store::{EventName, NewUpload};

/// Options that [`create_multipart_upload`] honours beside those of `PutObject`.
pub const CREATE: &[&str] = &["x-amz-checksum-algorithm", "x-amz-checksum-type"];

/// `CreateMultipartUpload`.
///
/// # Errors
/// `NoSuchBucket`, and what the head breaks.
pub async fn create_multipart_upload(call: Call) -> Result<Reply, S3Error> {
    let (store, head) = (&call.service.store, &call.head);
    let bucket = bucket::found(store, head).await?;
    let headers = object_headers(&head.headers)?;
    let checksum = checksum_header::of_upload(&head.headers)?;
    let key = head.key()?;
    let (owner, mut extras) = given(&call.service, &bucket, &head.headers, &call.who).await?;
    extras.seal = sse::for_new(&call.service, &bucket, &head.headers)?.map(|(_key, seal)| seal);
    let seal = extras.seal.clone();
    let origin = call.origin(EventName::ObjectCreatedCompleteMultipartUpload);
    let announced = Announced {
        operation: "CreateMultipartUpload",
        bucket: &bucket,
        key: key.as_str(),
        len: None,
        content_type: headers.content_type.as_deref(),
    };
    admit(store, &origin, announced).await?;
    let new = NewUpload {
        headers,
        checksum,
        initiator: call.who.owner().to_owned(),
        owner,
        extras,
        duties: call.duties.clone(),
    };
    let begun = store.create_upload(&bucket, key, new).await;
    let id = begun.map_err(|error| about(head, error))?;
    let mut document = XmlWriter::new("InitiateMultipartUploadResult");
    document.text("Bucket", bucket.name.as_str());
    document.text("Key", key.as_str());
    document.text("UploadId", &id.to_string());
    let reply = sse::described(Reply::xml(document), seal.as_ref())?;
    Ok(match checksum {
        Some((algorithm, coverage)) => reply
            .with_static("x-amz-checksum-algorithm", algorithm.name())
            .with_static("x-amz-checksum-type", coverage.name()),
        None => reply,
    })
}

/// `AbortMultipartUpload`.
///
/// # Errors
/// `NoSuchBucket`, `NoSuchUpload`.
pub async fn abort_multipart_upload(call: Call) -> Result<Reply, S3Error> {
    let (store, head) = (&call.service.store, &call.head);
    let bucket = bucket::found(store, head).await?;
    let id = upload_id(head)?;
    let aborted = store.abort_upload(&bucket, head.key()?, &id).await;
    aborted.map_err(|error| of_upload(head, error))?;
    Ok(Reply::empty(StatusCode::NO_CONTENT))
}
