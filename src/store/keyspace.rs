//! How keys are encoded, so that byte order is S3's order.

use crate::id::BucketId;

/// A bucket's object: the bucket's number, then the key.
pub(crate) fn object(bucket: BucketId, key: &str) -> Vec<u8> {
    [bucket.0.to_be_bytes().as_slice(), key.as_bytes()].concat()
}

/// The rows of a bucket, in any space that leads with its number.
pub(crate) fn bucket_prefix(bucket: BucketId) -> Vec<u8> {
    bucket.0.to_be_bytes().to_vec()
}
