//! A bucket's tags: put, got, deleted.

use http::StatusCode;

use super::{bucket, check_guarded};
use crate::s3::context::Call;
use crate::s3::error::{Code, S3Error};
use crate::s3::reply::Reply;
use crate::s3::tags::{self, TAGGING_BYTES_MAX, Tagged};

/// `PutBucketTagging`: the new set takes the place of the old one.
///
/// # Errors
/// `NoSuchBucket`, `MalformedXML`, `InvalidTag`.
pub async fn put_bucket_tagging(call: Call) -> Result<Reply, S3Error> {
    bucket::found(&call.service.store, &call.head).await?;
    check_guarded(&call.head.headers)?;
    let Call {
        service,
        head,
        body,
        ..
    } = call;
    let tags = tags::parse(&body.xml(TAGGING_BYTES_MAX).await?, Tagged::Bucket)?;
    bucket::change(&service.store, &head, |_bucket, settings| {
        settings.tags.clone_from(&tags);
        Ok(())
    })
    .await?;
    Ok(Reply::empty(StatusCode::NO_CONTENT))
}

/// `GetBucketTagging`.
///
/// # Errors
/// `NoSuchBucket`, `NoSuchTagSet` where there is no tag.
pub async fn get_bucket_tagging(call: Call) -> Result<Reply, S3Error> {
    let bucket = bucket::found(&call.service.store, &call.head).await?;
    let tags = &bucket.settings.tags;
    if tags.is_empty() {
        return Err(S3Error::new(Code::NoSuchTagSet).with("BucketName", bucket.name.as_str()));
    }
    Ok(Reply::xml(tags::document(tags)))
}

/// `DeleteBucketTagging`: no fault where there is no tag.
///
/// # Errors
/// `NoSuchBucket`.
pub async fn delete_bucket_tagging(call: Call) -> Result<Reply, S3Error> {
    let Call { service, head, .. } = call;
    bucket::change(&service.store, &head, |_bucket, settings| {
        settings.tags.clear();
        Ok(())
    })
    .await?;
    Ok(Reply::empty(StatusCode::NO_CONTENT))
}
