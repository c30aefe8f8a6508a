//! Access control lists of buckets and objects: got and put.

use http::StatusCode;

use super::{about, bucket, no_marker, version_name, version_of};
use crate::auth::acl::{Acl, Subject};
use crate::s3::acl::{self, LIST_BYTES_MAX};
use crate::s3::context::{Call, Service};
use crate::s3::error::{Code, S3Error};
use crate::s3::head::Head;
use crate::s3::reply::Reply;
use crate::store::{EventName, ObjectRecord};

/// `GetBucketAcl`.
///
/// # Errors
/// `NoSuchBucket`.
pub async fn get_bucket_acl(call: Call) -> Result<Reply, S3Error> {
    let bucket = bucket::found(&call.service.store, &call.head).await?;
    let kept = bucket.settings.access.acl.clone();
    let list = kept.unwrap_or_else(|| Acl::private(bucket.owner.as_str()));
    Ok(Reply::xml(acl::document(&call.service, &list)))
}

/// `PutBucketAcl`, by headers or by a document.
///
/// # Errors
/// `NoSuchBucket`, `AccessControlListNotSupported`, `AccessDenied` where public lists are blocked,
/// `MissingSecurityHeader` where there is no list.
pub async fn put_bucket_acl(call: Call) -> Result<Reply, S3Error> {
    let bucket = bucket::found(&call.service.store, &call.head).await?;
    let Call {
        service,
        head,
        body,
        ..
    } = call;
    let document = body.bytes(LIST_BYTES_MAX).await?;
    let list = given(&service, &head, &document, &bucket.owner, Subject::Bucket)?;
    acl::check_taken(&bucket, &head.headers, &list)?;
    acl::let_lists_count(&service.store, &bucket, &list).await?;
    bucket::change(&service.store, &head, |_bucket, settings| {
        settings.access.acl = Some(list.clone());
        Ok(())
    })
    .await?;
    Ok(Reply::empty(StatusCode::OK))
}

/// The list that a request gives in its headers or its document, but not in both.
fn given(
    service: &Service,
    head: &Head,
    document: &[u8],
    owner: &str,
    subject: Subject<'_>,
) -> Result<Acl, S3Error> {
    match acl::of_headers(service, &head.headers, owner, subject)? {
        Some(_list) if !document.is_empty() => Err(Code::UnexpectedContent.into()),
        Some(list) => Ok(list),
        None if document.is_empty() => {
            let error = S3Error::new(Code::MissingSecurityHeader);
            Err(error.with("MissingHeaderName", "x-amz-acl"))
        }
        None => acl::of_document(service, document, owner),
    }
}

fn list_of(record: &ObjectRecord) -> Acl {
    let kept = record.extras.acl.clone();
    kept.unwrap_or_else(|| Acl::private(record.owner.as_str()))
}

/// `GetObjectAcl`.
///
/// # Errors
/// `NoSuchBucket`, `NoSuchKey`, `NoSuchVersion`.
pub async fn get_object_acl(call: Call) -> Result<Reply, S3Error> {
    let (store, head) = (&call.service.store, &call.head);
    let bucket = bucket::found(store, head).await?;
    let version = version_of(head)?;
    let object = store.object(&bucket, head.key()?, version.as_ref()).await;
    let record = object.map_err(|error| about(head, error))?.record;
    let version = version_name(&bucket, &record);
    Reply::xml(acl::document(&call.service, &list_of(&record)))
        .with_optional("x-amz-version-id", version.as_deref())
}

/// `PutObjectAcl`, by headers or by a document.
///
/// # Errors
/// As [`put_bucket_acl`], and `NoSuchKey`, `NoSuchVersion`.
pub async fn put_object_acl(call: Call) -> Result<Reply, S3Error> {
    let bucket = bucket::found(&call.service.store, &call.head).await?;
    let origin = call.origin(EventName::ObjectAclPut);
    let Call {
        service,
        head,
        body,
        ..
    } = call;
    let (store, key) = (&service.store, head.key()?);
    let version = version_of(&head)?;
    let object = store.object(&bucket, key, version.as_ref()).await;
    let object = object.map_err(|error| no_marker(&head, error))?.record;
    let owner = object.owner;
    let document = body.bytes(LIST_BYTES_MAX).await?;
    let subject = Subject::Object {
        bucket_owner: &bucket.owner,
    };
    let list = given(&service, &head, &document, &owner, subject)?;
    acl::check_taken(&bucket, &head.headers, &list)?;
    acl::let_lists_count(store, &bucket, &list).await?;
    let bucket = bucket::found(store, &head).await?;
    let kept = (list != Acl::private(owner.as_str())).then_some(list);
    // S3 tells nobody of a list that stays as it was.
    let origin = (object.extras.acl != kept).then_some(&origin);
    let changed = store.update_object(&bucket, key, version.as_ref(), origin, |record| {
        record.extras.acl.clone_from(&kept);
        Ok::<_, S3Error>(())
    });
    let version = version_name(&bucket, &changed.await?);
    Reply::empty(StatusCode::OK).with_optional("x-amz-version-id", version.as_deref())
}
