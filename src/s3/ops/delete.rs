//! Objects are deleted, one by one or by a list.

use http::StatusCode;

use super::{about, bucket, check_guarded, lock, version_of};
use crate::auth::Action;
use crate::clock::Timestamp;
use crate::name::{InvalidName, ObjectKey};
use crate::s3::access::Caller;
use crate::s3::context::Call;
use crate::s3::error::{Code, S3Error};
use crate::s3::head::header;
use crate::s3::reply::Reply;
use crate::s3::xml::{self, Node, XmlWriter};
use crate::store::{Bucket, DeleteCondition, Deleted, EventName, ObjectStore, Origin, VersionRef};

/// Keys in one list, at most.
const KEYS_MAX: usize = 1000;

/// Bytes of a list, at most: 1,000 of the longest keys, each byte escaped.
const LIST_BYTES_MAX: u64 = 8 << 20;

/// Asks to delete what is retained in governance mode too.
pub const BYPASS: &[&str] = &["x-amz-bypass-governance-retention"];

/// Options that [`delete_object`] honours.
pub const DELETE_OBJECT: &[&str] = &[
    "versionId",
    "x-amz-if-match-last-modified-time",
    "x-amz-if-match-size",
];

/// `DeleteObject`: as the bucket's versioning has it, or one version for good. What is not there is
/// no fault.
///
/// # Errors
/// `NoSuchBucket`; `PreconditionFailed` where a condition does not hold.
pub async fn delete_object(call: Call) -> Result<Reply, S3Error> {
    let bucket = bucket::found(&call.service.store, &call.head).await?;
    let head = &call.head;
    let version = version_of(head)?;
    let bypass_governance = lock::bypass(&call.caller()).await?;
    let when = condition(
        header(&head.headers, "if-match")?,
        header(&head.headers, "x-amz-if-match-size")?,
        header(&head.headers, "x-amz-if-match-last-modified-time")?,
    )?;
    let when = DeleteCondition {
        bypass_governance,
        ..when
    };
    let origin = call.origin(EventName::ObjectRemovedDelete);
    let key = head.key()?;
    let store = &call.service.store;
    let deleted = store.delete_object(&bucket, key, version.as_ref(), &when, &origin);
    let deleted = deleted.await.map_err(|error| about(head, error))?;
    let marker = deleted.delete_marker.then_some("true");
    let version = deleted.version.map(|version| version.to_string());
    Reply::empty(StatusCode::NO_CONTENT)
        .with_optional("x-amz-delete-marker", marker)?
        .with_optional("x-amz-version-id", version.as_deref())
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
        service,
        head,
        who,
        body,
        peer,
        signature,
        ..
    } = call;
    let caller = Caller {
        service: &service,
        who: &who,
        head: &head,
        peer,
        signature,
    };
    let bypass = lock::bypass(&caller).await?;
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
        let action = match object.text_of("VersionId") {
            Some(_version) => Action::DeleteObjectVersion,
            None => Action::DeleteObject,
        };
        let deleted = match caller.may(action, Some(&bucket.name), Some(name)).await {
            Ok(()) => delete_one(&service.store, &bucket, object, bypass, &origin).await,
            Err(denied) => Err(denied),
        };
        match deleted {
            Ok(_deleted) if quiet => {}
            Ok(deleted) => tell_deleted(&mut document, object, name, &deleted),
            Err(error) => {
                if error.code() == Code::InternalError {
                    let cause = std::error::Error::source(&error).map(ToString::to_string);
                    tracing::error!(id = %origin.request_id, cause, "a deletion failed");
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

fn tell_deleted(document: &mut XmlWriter, asked: &Node, key: &str, deleted: &Deleted) {
    let named = asked.text_of("VersionId");
    document.element("Deleted", |document| {
        document.text("Key", key);
        document.optional("VersionId", named);
        if deleted.delete_marker {
            document.value("DeleteMarker", true);
            let marker = deleted.version.map(|version| version.to_string());
            document.optional("DeleteMarkerVersionId", marker.as_deref());
        }
    });
}

async fn delete_one(
    store: &ObjectStore,
    bucket: &Bucket,
    object: &Node,
    bypass_governance: bool,
    origin: &Origin,
) -> Result<Deleted, S3Error> {
    let key = ObjectKey::parse(object.required("Key")?).map_err(|invalid| match invalid {
        InvalidName::KeyTooLong => S3Error::new(Code::KeyTooLongError),
        InvalidName::KeyEmpty | InvalidName::Bucket => S3Error::new(Code::UserKeyMustBeSpecified),
    })?;
    // A list's foreign version is one that is not there.
    let version = object.text_of("VersionId").map(|name| {
        let missing = S3Error::new(Code::NoSuchVersion);
        VersionRef::parse(name.trim()).ok_or(missing)
    });
    let version = version.transpose()?;
    let when = condition(
        object.text_of("ETag"),
        object.text_of("Size"),
        object.text_of("LastModifiedTime"),
    )?;
    let when = DeleteCondition {
        bypass_governance,
        ..when
    };
    let deleted = store.delete_object(bucket, &key, version.as_ref(), &when, origin);
    Ok(deleted.await?)
}

/// What must hold of the object for the deletion to happen.
fn condition(
    tag: Option<&str>,
    size: Option<&str>,
    modified: Option<&str>,
) -> Result<DeleteCondition, S3Error> {
    let size = size.map(|size| {
        let message = "The size to match must be a number of bytes.";
        let number = size.trim().parse();
        number.map_err(|_none| S3Error::argument("x-amz-if-match-size", size, message))
    });
    let modified = modified.map(|date| {
        let date = date.trim();
        let read =
            Timestamp::parse_http_date(date).or_else(|_other| Timestamp::parse_iso8601(date));
        let message = "The time to match must be a date.";
        read.map_err(|_none| S3Error::argument("x-amz-if-match-last-modified-time", date, message))
    });
    Ok(DeleteCondition {
        if_match: tag.map(|tag| tag.trim().trim_matches('"').to_owned()),
        size: size.transpose()?,
        modified: modified.transpose()?,
        bypass_governance: false,
    })
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
        assert_eq!(
            condition(Some("\"a\""), None, None)
                .unwrap()
                .if_match
                .as_deref(),
            Some("a")
        );
    }
}
