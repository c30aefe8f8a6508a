//! Parts are uploaded.

use http::{HeaderMap, StatusCode};

use super::{of_upload, upload_id};
use crate::checksum::{Algorithm, Coverage};
use crate::s3::body::ReceiveOptions;
use crate::s3::checksum_header::{self, Claim};
use crate::s3::context::Call;
use crate::s3::duties;
use crate::s3::error::S3Error;
use crate::s3::ops::{bucket, quoted};
use crate::s3::part_number;
use crate::s3::reply::Reply;
use crate::s3::sse;
use crate::store::upload::PART_BYTES_MAX;
use crate::store::{NewPart, UploadRecord};

/// `UploadPart`: everything in the head is judged before a byte of the body is read.
///
/// # Errors
/// `NoSuchBucket`, `NoSuchUpload`, `InvalidArgument` for the part's number, `InvalidRequest` where
/// its checksum is not of the upload's algorithm, and what the body breaks.
pub async fn upload_part(call: Call) -> Result<Reply, S3Error> {
    let Call {
        service,
        head,
        body,
        duties,
        ..
    } = call;
    let number = part_number::parse(head.query.get("partNumber").unwrap_or_default())?;
    let store = &service.store;
    let bucket = bucket::found(store, &head).await?;
    let (key, id) = (head.key()?, upload_id(&head)?);
    let upload = store.upload(&bucket, key, &id).await;
    let upload = upload.map_err(|error| of_upload(&head, error))?;
    let seal = upload.extras.seal.as_ref();
    let sealed_by = sse::for_part(&service, &head.headers, seal)?;
    let want = duties::limited(wanted(&upload, &head.headers)?, &duties);
    let mut want = duties::limited_as_part(want, &upload.duties);
    want.crc64ecma = service.oss.is_some();
    let room = store.room_for_part(&id, number, &upload.duties).await?;
    want.max_len = want.max_len.min(room);
    // An upload that can't be completed any more must not cost further bytes.
    store.check_unused(upload.duties.once.as_ref()).await?;
    let received = body.receive(store, want, sealed_by.as_ref()).await?;
    let digest = received.digest;
    let kept = upload
        .checksum
        .map_or(Algorithm::Crc64Nvme, |(algorithm, _)| algorithm);
    let part = NewPart {
        etag_md5: digest.etag_md5()?,
        checksum: digest.by(kept).cloned(),
        once: duties.once,
        crc64ecma: digest.crc64ecma,
    };
    let put = store.put_part(&bucket, key, &id, number, part, received.staged);
    let record = put.await.map_err(|error| of_upload(&head, error))?;
    let shown = &digest.checksum;
    let reply = Reply::empty(StatusCode::OK).about(&record);
    sse::described(reply, seal)?
        .with_header("etag", &quoted(&record.etag()))?
        .with_header(shown.algorithm.header(), &shown.text())
}

/// What is to be computed over a part of the upload.
fn wanted(upload: &UploadRecord, headers: &HeaderMap) -> Result<ReceiveOptions, S3Error> {
    let claim = Claim::of(headers)?;
    if let Some((algorithm, Coverage::Composite)) = upload.checksum
        && claim == Claim::None
    {
        // A checksum of checksums that the client never saw would prove nothing to it.
        return Err(checksum_header::another_type(algorithm.name(), "null"));
    }
    let algorithm = upload.checksum.map(|(algorithm, _)| algorithm);
    Ok(ReceiveOptions {
        max_len: PART_BYTES_MAX,
        algorithm,
        // The whole gets this one where the client chose none, whatever its parts came with.
        also: algorithm.is_none().then_some(Algorithm::Crc64Nvme),
        ..ReceiveOptions::default()
    })
}
