//! Objects are deleted, one by one or by a list.

use http::StatusCode;

use super::{about, bucket, check_guarded};
use crate::auth::{Action, may};
use crate::name::{InvalidName, ObjectKey};
use crate::s3::context::Call;
use crate::s3::error::{Code, S3Error};
use crate::s3::head::header;
use crate::s3::reply::Reply;
use crate::s3::xml::{self, Node, XmlWriter};
use crate::store::{Bucket, EventName, ObjectStore, Origin, WriteCondition};

/// Keys in one list, at most.
const KEYS_MAX: usize = 1000;

/// Bytes of a list, at most: 1,000 of the longest keys, each byte escaped.
const LIST_BYTES_MAX: u64 = 8 << 20;

/// `DeleteObject`. A key without an object is no fault.
///
/// # Errors
/// `NoSuchBucket`; `PreconditionFailed` where `If-Match` does not hold.
pub async fn delete_object(call: Call) -> Result<Reply, S3Error> {
    let bucket = bucket::found(&call.service.store, &call.head).await?;
    let tag = header(&call.head.headers, "if-match")?;
    let when = condition(tag);
    let origin = call.origin(EventName::ObjectRemovedDelete);
    let key = call.head.key()?;
    let store = &call.service.store;
    let deleted = store.delete_object(&bucket, key, &when, &origin).await;
    deleted.map_err(|error| about(&call.head, error))?;
    Ok(Reply::empty(StatusCode::NO_CONTENT))
}

/// `DeleteObjects`: each key is judged and deleted by itself.
///
/// # Errors
/// `NoSuchBucket`, `MalformedXML`, `InvalidRequest` where nothing guards the list.
pub async fn delete_objects(call: Call) -> Result<Reply, S3Error> {
    let bucket = bucket::found(&call.service.store, &call.head).await?;
    check_guarded(&call.head.headers)?;
    let origin = call.origin(EventName::ObjectRemovedDelete);
    let Call {
        service, who, body, ..
    } = call;
    let list = xml::parse(&body.xml(LIST_BYTES_MAX).await?, "Delete")?;
    let wanted: Vec<&Node> = list.all("Object").collect();
    if wanted.is_empty() || wanted.len() > KEYS_MAX {
        return Err(Code::MalformedXML.into());
    }
    for object in &wanted {
        object.required("Key")?;
    }
    let quiet = list
        .text_of("Quiet")
        .is_some_and(|quiet| quiet.trim().eq_ignore_ascii_case("true"));
    let mut document = XmlWriter::new("DeleteResult");
    for object in wanted {
        let name = object.required("Key")?;
        let allowed = may(&who, Action::DeleteObject, Some(&bucket.name), Some(name));
        let deleted = match allowed {
            Ok(()) => delete_one(&service.store, &bucket, object, &origin).await,
            Err(denied) => Err(denied.into()),
        };
        match deleted {
            Ok(()) if quiet => {}
            Ok(()) => {
                document.element("Deleted", |document| {
                    document.text("Key", name);
                    document.optional("VersionId", object.text_of("VersionId"));
                });
            }
            Err(error) => {
                if error.code() == Code::InternalError {
                    let cause = std::error::Error::source(&error).map(ToString::to_string);
                    tracing::error!(request = %origin.request_id, cause, "a deletion failed");
                }
                document.element("Error", |document| {
                    document.text("Key", name);
                    document.optional("VersionId", object.text_of("VersionId"));
                    document.text("Code", error.code().wire().0);
                    document.text("Message", error.message());
                });
            }
        }
    }
    Ok(Reply::xml(document))
}

async fn delete_one(
    store: &ObjectStore,
    bucket: &Bucket,
    object: &Node,
    origin: &Origin,
) -> Result<(), S3Error> {
    let key = ObjectKey::parse(object.required("Key")?).map_err(|invalid| match invalid {
        InvalidName::KeyTooLong => S3Error::new(Code::KeyTooLongError),
        InvalidName::KeyEmpty | InvalidName::Bucket => S3Error::new(Code::UserKeyMustBeSpecified),
    })?;
    if object.text_of("VersionId").is_some_and(|id| id != "null") {
        return Err(Code::NoSuchVersion.into());
    }
    for name in ["LastModifiedTime", "Size"] {
        if object.child(name).is_some() {
            return Err(S3Error::unsupported_option(name));
        }
    }
    let when = condition(object.text_of("ETag"));
    store.delete_object(bucket, &key, &when, origin).await?;
    Ok(())
}

fn condition(tag: Option<&str>) -> WriteCondition {
    WriteCondition {
        if_match: tag.map(|tag| tag.trim().trim_matches('"').to_owned()),
        if_none_match: None,
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;

    #[test]
    fn a_list_without_a_digest_is_refused() {
        let mut headers = HeaderMap::new();
        assert!(check_guarded(&headers).is_err());
        headers.insert("content-md5", "x".parse().unwrap());
        assert!(check_guarded(&headers).is_ok());
        assert_eq!(condition(Some("\"a\"")).if_match.as_deref(), Some("a"));
    }
}
