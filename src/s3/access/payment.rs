//! Buckets whose requesters pay: others than the owner must say in each request that they do.
//!
//! Consign bills nobody. It asks for the word, as S3 does, so that a client that forgets it is
//! found here and not in production.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/RequesterPaysBuckets.html>

use crate::s3::error::{Code, S3Error};
use crate::s3::head::Head;
use crate::store::Bucket;

const PAYER: &str = "x-amz-request-payer";

/// Whether somebody else than the bucket's owner pays for this request.
///
/// # Errors
/// `AccessDenied` where the bucket asks them to and they don't say so.
pub(super) fn check(
    bucket: &Bucket,
    head: &Head,
    is_owner: bool,
    is_anonymous: bool,
) -> Result<(), S3Error> {
    if is_owner || !bucket.settings.requester_pays {
        return Ok(());
    }
    let pays = head.header(PAYER)? == Some("requester");
    if pays && !is_anonymous {
        return Ok(());
    }
    Err(Code::AccessDenied.into())
}

/// Whether the answer tells that its requester was charged.
pub fn is_charged(bucket: &Bucket, head: &Head, requester: &str) -> bool {
    bucket.settings.requester_pays && bucket.owner != requester && head.headers.contains_key(PAYER)
}
