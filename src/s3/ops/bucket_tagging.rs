//! A bucket's tags: put, got, deleted.

use http::StatusCode;

use super::bucket;
use crate::s3::context::Call;
use crate::s3::error::{Code, S3Error};
use crate::s3::reply::Reply;
use crate::s3::tags::{self, TAGGING_BYTES_MAX, Tagged};

const CONFIGURATION: bucket::Configuration = bucket::Configuration {
    bytes_max: TAGGING_BYTES_MAX,
    is_guarded: true,
};

/// `PutBucketTagging`: the new set takes the place of the old one.
///
/// # Errors
/// `NoSuchBucket`, `MalformedXML`, `InvalidTag`.
pub async fn put_bucket_tagging(call: Call) -> Result<Reply, S3Error> {
    let read = |document: &[u8]| tags::parse(document, Tagged::Bucket);
    bucket::configure(call, CONFIGURATION, read, |wanted, _bucket, settings| {
        settings.tags.clone_from(wanted);
        Ok(())
    })
    .await
    .map(|reply| reply.with_status(StatusCode::NO_CONTENT))
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
    bucket::unset(call, |settings| settings.tags.clear()).await
}
