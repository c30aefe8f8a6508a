//! One file for each group of operations.

pub mod acl;
pub mod append;
pub mod attributes;
pub mod bucket;
pub mod bucket_cors;
pub mod bucket_encryption;
pub mod bucket_logging;
pub mod bucket_notification;
pub mod bucket_policy;
pub mod bucket_tagging;
pub mod bucket_website;
pub mod copy;
pub mod delete;
pub mod get;
pub mod lifecycle;
pub mod list;
pub mod list_versions;
pub mod lock;
pub mod multipart;
pub mod paging;
pub mod post_form;
pub mod put;
pub mod rename;
pub mod request_payment;
pub mod tagging;
pub mod versioning;

#[cfg(test)]
mod tests;

use http::HeaderMap;

use super::checksum_header::Claim;
use super::error::{Code, S3Error};
use super::head::Head;
use crate::store::{Bucket, ObjectRecord, StoreError, VersionRef, Versioning};

/// Options that carry a checksum of the body.
pub const CHECKSUMS: &[&str] = &[
    "x-amz-checksum-crc32",
    "x-amz-checksum-crc32c",
    "x-amz-checksum-crc64nvme",
    "x-amz-checksum-md5",
    "x-amz-checksum-sha1",
    "x-amz-checksum-sha256",
    "x-amz-checksum-sha512",
    "x-amz-checksum-xxhash128",
    "x-amz-checksum-xxhash3",
    "x-amz-checksum-xxhash64",
];

/// The store's error as S3's, which names the bucket or the key that it is about.
fn about(head: &Head, error: StoreError) -> S3Error {
    let of_bucket = matches!(
        error,
        StoreError::NoSuchBucket
            | StoreError::BucketExists { .. }
            | StoreError::BucketNotEmpty { .. }
            | StoreError::QuotaExceeded
    );
    let of_key = matches!(
        error,
        StoreError::NoSuchKey
            | StoreError::NoSuchVersion
            | StoreError::DeleteMarker { named: false, .. }
    );
    let of_version = matches!(error, StoreError::NoSuchVersion);
    let error = S3Error::from(error);
    match (&head.target.bucket, &head.target.key) {
        (Some(bucket), _) if of_bucket => error.with("BucketName", bucket.as_str()),
        (_, Some(key)) if of_version => error
            .with("Key", key.as_str())
            .with("VersionId", head.query.get("versionId").unwrap_or_default()),
        (_, Some(key)) if of_key => error.with("Key", key.as_str()),
        _ => error,
    }
}

/// [`about`] what only an object has: where the current version is a delete marker, S3 says so.
fn no_marker(head: &Head, error: StoreError) -> S3Error {
    match error {
        StoreError::DeleteMarker {
            version, modified, ..
        } => {
            let named = true;
            let marker = StoreError::DeleteMarker {
                version,
                modified,
                named,
            };
            about(head, marker)
        }
        error => about(head, error),
    }
}

/// The option that names a version.
pub const VERSION: &[&str] = &["versionId"];

/// The version that the request names.
///
/// # Errors
/// `InvalidArgument` for what is no version's name.
fn version_of(head: &Head) -> Result<Option<VersionRef>, S3Error> {
    head.query.get("versionId").map(version).transpose()
}

/// The version of that name.
///
/// # Errors
/// `InvalidArgument` for what is none.
fn version(name: &str) -> Result<VersionRef, S3Error> {
    if name.is_empty() {
        let message = "Version id cannot be the empty string";
        return Err(S3Error::argument("versionId", name, message));
    }
    let message = "Invalid version id specified";
    VersionRef::parse(name).ok_or_else(|| S3Error::argument("versionId", name, message))
}

/// What `x-amz-version-id` says of `record`; nothing in a bucket that never kept versions.
fn version_name(bucket: &Bucket, record: &ObjectRecord) -> Option<String> {
    let versioned = bucket.settings.versioning != Versioning::Off;
    versioned.then(|| VersionRef::of(record).to_string())
}

/// What `x-amz-version-id` says of a record that was just written: S3 sends none for a null version.
fn written_version(record: &ObjectRecord) -> Option<String> {
    record.version.map(|id| id.to_string())
}

/// An entity tag as S3 sends it.
fn quoted(etag: &crate::store::ETag) -> String {
    let mut quoted = String::with_capacity(40);
    quoted.push('"');
    etag.write_to(&mut quoted);
    quoted.push('"');
    quoted
}

/// A document that lost a byte on its way would say something else: S3 demands a digest of those
/// that delete or that set what many objects depend on.
fn check_guarded(headers: &HeaderMap) -> Result<(), S3Error> {
    let claimed = matches!(Claim::of(headers)?, Claim::Header(_) | Claim::Trailer(_));
    if claimed || headers.contains_key("content-md5") {
        return Ok(());
    }
    let message = "Missing required header for this request: Content-MD5 OR x-amz-checksum-*";
    Err(S3Error::because(Code::InvalidRequest, message))
}
