//! An object's tags: put, got, deleted.

use http::StatusCode;

use super::{bucket, check_guarded, no_marker, version_name, version_of};
use crate::s3::context::{Call, Service};
use crate::s3::error::S3Error;
use crate::s3::head::Head;
use crate::s3::reply::Reply;
use crate::s3::tags::{self, TAGGING_BYTES_MAX, Tagged};
use crate::store::{EventName, Origin, StoreError};

/// `PutObjectTagging`: the new set takes the place of the old one.
///
/// # Errors
/// `NoSuchBucket`, `NoSuchKey`, `NoSuchVersion`, `MalformedXML`, `InvalidTag`, `BadRequest`.
pub async fn put_object_tagging(call: Call) -> Result<Reply, S3Error> {
    bucket::found(&call.service.store, &call.head).await?;
    check_guarded(&call.head.headers)?;
    let origin = call.origin(EventName::ObjectTaggingPut);
    let Call {
        service,
        head,
        body,
        ..
    } = call;
    let tags = tags::parse(&body.xml(TAGGING_BYTES_MAX).await?, Tagged::Object)?;
    let reply = set(&service, &head, &origin, tags).await?;
    Ok(reply.with_status(StatusCode::OK))
}

/// `DeleteObjectTagging`: no fault where there is no tag.
///
/// # Errors
/// `NoSuchBucket`, `NoSuchKey`, `NoSuchVersion`.
pub async fn delete_object_tagging(call: Call) -> Result<Reply, S3Error> {
    let origin = call.origin(EventName::ObjectTaggingDelete);
    let Call { service, head, .. } = call;
    set(&service, &head, &origin, Vec::new()).await
}

async fn set(
    service: &Service,
    head: &Head,
    origin: &Origin,
    tags: Vec<(String, String)>,
) -> Result<Reply, S3Error> {
    let store = &service.store;
    let bucket = bucket::found(store, head).await?;
    let version = version_of(head)?;
    let key = head.key()?;
    let tags = (!tags.is_empty()).then_some(tags);
    let changed = store.update_object(&bucket, key, version.as_ref(), Some(origin), |record| {
        record.extras.tags.clone_from(&tags);
        Ok::<_, StoreError>(())
    });
    let record = changed.await.map_err(|error| no_marker(head, error))?;
    let version = version_name(&bucket, &record);
    Reply::empty(StatusCode::NO_CONTENT).with_optional("x-amz-version-id", version.as_deref())
}

/// `GetObjectTagging`: an empty set where there is no tag.
///
/// # Errors
/// `NoSuchBucket`, `NoSuchKey`, `NoSuchVersion`.
pub async fn get_object_tagging(call: Call) -> Result<Reply, S3Error> {
    let (store, head) = (&call.service.store, &call.head);
    let bucket = bucket::found(store, head).await?;
    let version = version_of(head)?;
    let object = store.object(&bucket, head.key()?, version.as_ref()).await;
    let record = object.map_err(|error| no_marker(head, error))?.record;
    let version = version_name(&bucket, &record);
    let tags = record.extras.tags.unwrap_or_default();
    Reply::xml(tags::document(&tags)).with_optional("x-amz-version-id", version.as_deref())
}
