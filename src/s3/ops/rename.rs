//! Objects get other keys, as in S3's directory buckets.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/API_RenameObject.html>

use http::{HeaderMap, StatusCode};

use super::bucket;
use crate::auth::Action;
use crate::name::ObjectKey;
use crate::s3::condition::{Conditions, Verdict};
use crate::s3::context::Call;
use crate::s3::error::{Code, S3Error};
use crate::s3::head::header;
use crate::s3::query::decode;
use crate::s3::reply::Reply;
use crate::s3::target::key_from_text;
use crate::s3::told::answered;
use crate::store::{EventName, ObjectRecord, Rename};

const SOURCE: &str = "x-amz-rename-source";
const TOKEN: &str = "x-amz-client-token";
const TOKEN_BYTES_MAX: usize = 64;

/// Options that [`rename_object`] honours.
pub const RENAME_OBJECT: &[&str] = &[
    SOURCE,
    TOKEN,
    "x-amz-rename-source-if-match",
    "x-amz-rename-source-if-modified-since",
    "x-amz-rename-source-if-none-match",
    "x-amz-rename-source-if-unmodified-since",
];

/// `RenameObject`: the source is gone and the key has its object, or neither is. S3 has it in
/// directory buckets; here it is in each bucket that never kept versions.
///
/// Who renames must be allowed to read and to delete the one key and to write the other. Both are
/// told to callbacks: one is removed, the other created.
///
/// # Errors
/// `NoSuchKey`, `PreconditionFailed`, `InvalidBucketState` in a bucket with versions,
/// `InvalidArgument` for source or token, `IdempotencyParameterMismatch`, `InvalidRequest` for a
/// rename to the same key.
pub async fn rename_object(call: Call) -> Result<Reply, S3Error> {
    let created = call.origin(EventName::ObjectCreatedCopy);
    let removed = call.origin(EventName::ObjectRemovedDelete);
    let (service, head, caller) = (&call.service, &call.head, call.caller());
    let bucket = bucket::found(&service.store, head).await?;
    let (from, token) = (source(&head.headers)?, token(&head.headers)?);
    for action in [Action::DeleteObject, Action::GetObject] {
        let subject = Some(from.as_str());
        caller.may(action, Some(&bucket.name), subject).await?;
    }
    let now = service.clock.now();
    let of_source = Conditions::of_rename_source(&head.headers, now)?;
    let of_target = Conditions::of(&head.headers, now)?;
    let rename = Rename {
        from: &from,
        to: head.key()?,
        token,
        created: &created,
        removed: &removed,
    };
    let judge = |source: &ObjectRecord, there: Option<&ObjectRecord>| {
        holds(&of_source, source)?;
        there.map_or_else(|| of_target.judge_nothing(), |it| holds(&of_target, it))
    };
    match service.store.rename_object(&bucket, rename, judge).await {
        Ok(written) => answered(Reply::empty(StatusCode::OK), written.told),
        Err(error) if error.code() == Code::NoSuchKey => Err(error.with("Key", from.as_str())),
        Err(error) => Err(error),
    }
}

/// Whether the conditions hold of what is there: a rename has no 304.
fn holds(conditions: &Conditions, record: &ObjectRecord) -> Result<(), S3Error> {
    match conditions.judge(&record.etag.to_string(), record.modified)? {
        Verdict::Proceed => Ok(()),
        Verdict::NotModified(condition) => Err(conditions.failed(condition)),
    }
}

/// The key that is to be renamed, percent-encoded.
fn source(headers: &HeaderMap) -> Result<ObjectKey, S3Error> {
    let text = header(headers, SOURCE)?.unwrap_or_default();
    let key = decode(text, false).filter(|key| !key.is_empty());
    let message = "The rename source must be the URL-encoded key of an object in the bucket.";
    let key = key.ok_or_else(|| S3Error::argument(SOURCE, text, message))?;
    key_from_text(&key)
}

fn token(headers: &HeaderMap) -> Result<Option<&str>, S3Error> {
    let Some(token) = header(headers, TOKEN)? else {
        return Ok(None);
    };
    let printable = token.bytes().all(|byte| byte.is_ascii_graphic());
    if printable && (1..=TOKEN_BYTES_MAX).contains(&token.len()) {
        return Ok(Some(token));
    }
    let message = "A client token has 1 to 64 visible ASCII characters.";
    Err(S3Error::argument(TOKEN, token, message))
}
