//! Bytes are appended to an object, as S3's directory buckets do it.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/directory-buckets-objects-append.html>

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, StatusCode};

use super::{about, bucket, lifecycle, put, quoted, written_version};
use crate::checksum::{self, Checksum, Coverage};
use crate::s3::admit::{Announced, admit};
use crate::s3::body::{Digest, ReceiveOptions};
use crate::s3::context::Call;
use crate::s3::duties;
use crate::s3::error::{Code, S3Error};
use crate::s3::reply::Reply;
use crate::s3::sse;
use crate::s3::told::answered;
use crate::store::{Bucket, EventName, NewObject, Object, StoreError, WriteCondition, Written};

/// Where the bytes go: behind those that are there.
pub const OFFSET: &str = "x-amz-write-offset-bytes";
/// Parts of an object, appended ones among them.
const PARTS_MAX: usize = 10_000;

/// `PutObject` with an offset: the object is as before, and longer. At offset 0 where there is no
/// object, it is an ordinary put.
///
/// No byte that was there is moved; each append costs in proportion to those before it.
///
/// # Errors
/// `InvalidWriteOffset` where the object does not end there, `NoSuchKey`, `TooManyParts`,
/// `InvalidRequest` where its checksum can't be continued, `ConditionalRequestConflict` where another
/// write came first, and what [`put::put_object`] refuses.
pub async fn append_object(mut call: Call) -> Result<Reply, S3Error> {
    let bucket = bucket::found(&call.service.store, &call.head).await?;
    let offset = offset(&call.head.headers)?;
    let key = call.head.key()?;
    let old = match call.service.store.object(&bucket, key, None).await {
        Ok(old) => old,
        Err(StoreError::NoSuchKey | StoreError::DeleteMarker { .. }) if offset == 0 => {
            let headers = Arc::make_mut(&mut call.head.headers);
            headers.remove(OFFSET);
            headers.insert("if-none-match", HeaderValue::from_static("*"));
            return put::put_object(call).await;
        }
        Err(error) => return Err(about(&call.head, error)),
    };
    if offset != old.record.len {
        return Err(wrong_offset(offset, old.record.len));
    }
    extend(call, &bucket, old).await
}

fn wrong_offset(offset: u64, len: u64) -> S3Error {
    S3Error::new(Code::InvalidWriteOffset)
        .with("WriteOffsetBytes", offset.to_string())
        .with("ObjectSize", len.to_string())
}

fn offset(headers: &HeaderMap) -> Result<u64, S3Error> {
    let text = crate::s3::head::header(headers, OFFSET)?.unwrap_or_default();
    let message = "The write offset must be a number of bytes";
    let offset = text.parse();
    offset.map_err(|_none| S3Error::argument(OFFSET, text, message))
}

async fn extend(call: Call, bucket: &Bucket, old: Object) -> Result<Reply, S3Error> {
    let origin = call.origin(EventName::ObjectCreatedPut);
    let Call {
        service,
        head,
        body,
        duties,
        ..
    } = call;
    let (store, record, key) = (&service.store, &old.record, head.key()?);
    check_unchanged(&head.headers)?;
    let when = put::write_condition(&head.headers)?;
    let holds = store.check_condition(bucket, key, &when).await;
    holds.map_err(|error| about(&head, error))?;
    let before = continued(record.checksum.as_ref())?;
    let key_of = sse::for_part(&service, &head.headers, record.extras.seal.as_ref())?;
    // A signer's range is about the bytes that are appended.
    let mut want = ReceiveOptions::default();
    want.max_len = want.max_len.saturating_sub(record.len);
    want.also = Some(before.algorithm);
    let want = duties::limited(want, &duties);
    let announced = Announced {
        operation: "PutObject",
        bucket,
        key: key.as_str(),
        len: Some(body.announced_len()?),
        content_type: record.headers.content_type.as_deref(),
    };
    admit(store, &origin, announced).await?;
    let received = body.receive(store, want, key_of.as_ref()).await?;
    let checksum = both(before, record.len, &received.digest)?;
    let mut pieces = store.link(&old).await.map_err(conflict)?;
    if pieces.len() >= PARTS_MAX {
        return Err(Code::TooManyParts.into());
    }
    pieces.push(received.staged);
    let new = NewObject {
        headers: record.headers.clone(),
        etag: record.etag.appended(received.digest.etag_md5()?),
        checksum: Some(checksum.clone()),
        crc64ecma: None,
        owner: record.owner.clone(),
        extras: record.extras.clone(),
    };
    let same = WriteCondition {
        if_match: Some(record.etag.to_string()),
        if_none_match: None,
    };
    let written = store.put_pieces(bucket, key, new, pieces, &same, &origin);
    let Written {
        record: written,
        told,
    } = written.await.map_err(conflict)?;
    let reply = Reply::empty(StatusCode::OK);
    let reply = lifecycle::described(reply, bucket, key.as_str(), &written)?;
    let reply = sse::described(reply, written.extras.seal.as_ref())?
        .with_header("etag", &quoted(&written.etag))?
        .with_header("x-amz-object-size", &written.len.to_string())?
        .with_optional("x-amz-version-id", written_version(&written).as_deref())?
        .with_header(checksum.algorithm.header(), &checksum.text())?
        .with_header("x-amz-checksum-type", checksum.coverage.name())?;
    answered(reply, told)
}

/// An append changes the bytes alone: what asks for more would be forgotten.
fn check_unchanged(headers: &HeaderMap) -> Result<(), S3Error> {
    let others = headers.keys().find(|name| {
        let name = name.as_str();
        name.starts_with("x-amz-meta-")
            || name.starts_with("x-amz-acl")
            || name.starts_with("x-amz-grant-")
            || name.starts_with("x-amz-object-lock-")
            || name == "x-amz-tagging"
            || name == "x-amz-website-redirect-location"
    });
    match others {
        Some(name) => Err(S3Error::unsupported_option(name.as_str())),
        None => Ok(()),
    }
}

/// The checksum that goes on: one of the whole, which that of more bytes can be joined to.
fn continued(checksum: Option<&Checksum>) -> Result<&Checksum, S3Error> {
    let whole = checksum.filter(|one| one.coverage == Coverage::FullObject);
    whole.filter(|one| one.algorithm.is_crc()).ok_or_else(|| {
        let message = "The object's checksum can't be continued: only objects with a full-object \
                           CRC can be appended to.";
        S3Error::because(Code::InvalidRequest, message)
    })
}

fn both(before: &Checksum, len: u64, appended: &Digest) -> Result<Checksum, S3Error> {
    let new = appended.by(before.algorithm);
    let new = new.ok_or(S3Error::new(Code::InternalError))?;
    let parts = [
        (before.digest.as_slice(), len),
        (new.digest.as_slice(), appended.len),
    ];
    let both = checksum::combine(before.algorithm, parts);
    both.ok_or(S3Error::new(Code::InternalError))
}

/// The object that was read is another one now.
fn conflict(error: StoreError) -> S3Error {
    match error {
        StoreError::Superseded | StoreError::PreconditionFailed { .. } | StoreError::NoSuchKey => {
            Code::ConditionalRequestConflict.into()
        }
        other => other.into(),
    }
}
