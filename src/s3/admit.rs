//! A receiver is asked whether an upload may begin, before its first byte is taken.

use super::error::{Code, S3Error};
use crate::store::hook::{Proposed, Verdict};
use crate::store::{Bucket, ObjectStore, Origin};

/// When a client may try again whose upload could not be checked, in seconds.
const RETRY_AFTER_SECONDS: &str = "5";

/// What is known of an upload before its bytes come.
#[derive(Debug, Clone, Copy)]
pub(super) struct Announced<'a> {
    /// S3's name of the operation.
    pub(super) operation: &'static str,
    /// In which bucket.
    pub(super) bucket: &'a Bucket,
    /// Under which key.
    pub(super) key: &'a str,
    /// How many bytes it says it has.
    pub(super) len: Option<u64>,
    /// Of which type it says they are.
    pub(super) content_type: Option<&'a str>,
}

/// Asks who must allow the upload.
///
/// # Errors
/// `AccessDenied` with the receiver's reason; `ServiceUnavailable` where it can't be asked.
pub(super) async fn admit(
    store: &ObjectStore,
    origin: &Origin,
    announced: Announced<'_>,
) -> Result<(), S3Error> {
    let Announced {
        operation,
        bucket,
        key,
        len,
        content_type,
    } = announced;
    let proposed = Proposed {
        operation,
        bucket,
        key,
        len,
        content_type,
        origin,
    };
    match store.hook().admit(&proposed).await {
        Verdict::Allowed => Ok(()),
        Verdict::Refused { reason: None } => {
            let message = "The upload was refused by the check before it.";
            Err(S3Error::because(Code::AccessDenied, message))
        }
        Verdict::Refused {
            reason: Some(reason),
        } => Err(S3Error::because(Code::AccessDenied, reason)),
        Verdict::Down => {
            let message = "The upload can't be checked at present. Please try again.";
            let error = S3Error::because(Code::ServiceUnavailable, message);
            Err(error.with_header("retry-after", RETRY_AFTER_SECONDS))
        }
    }
}
