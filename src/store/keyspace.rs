//! How keys are encoded, so that byte order is S3's order.

use crate::clock::Timestamp;
use crate::id::{BucketId, UploadId};

/// A bucket's object: the bucket's number, then the key.
pub(crate) fn object(bucket: BucketId, key: &str) -> Vec<u8> {
    [bucket.0.to_be_bytes().as_slice(), key.as_bytes()].concat()
}

/// The rows of a bucket, in any space that leads with its number.
pub(crate) fn bucket_prefix(bucket: BucketId) -> Vec<u8> {
    bucket.0.to_be_bytes().to_vec()
}

/// Ends an escaped key: less than any byte that may follow within one.
const KEY_END: [u8; 2] = [0, 1];
const NUL_ESCAPED: [u8; 2] = [0, 0xFF];

/// An escaped key, of bytes that go on behind it: all, where they do not.
pub(crate) fn before_key_end(bytes: &[u8]) -> &[u8] {
    let end = bytes.windows(KEY_END.len()).position(|two| two == KEY_END);
    end.and_then(|end| bytes.get(..end)).unwrap_or(bytes)
}

/// The rows of a bucket whose key, with more behind it, begins with `prefix`.
pub(crate) fn escaped_prefix(bucket: BucketId, prefix: &str) -> Vec<u8> {
    let mut bytes = bucket_prefix(bucket);
    for byte in prefix.bytes() {
        match byte {
            0 => bytes.extend(NUL_ESCAPED),
            byte => bytes.push(byte),
        }
    }
    bytes
}

/// The rows of exactly `key`, in a space where more follows the key.
pub(crate) fn escaped_key(bucket: BucketId, key: &str) -> Vec<u8> {
    let mut bytes = escaped_prefix(bucket, key);
    bytes.extend(KEY_END);
    bytes
}

/// An upload: ordered by key, then by id and thus by time.
pub(crate) fn upload(bucket: BucketId, key: &str, id: &UploadId) -> Vec<u8> {
    let mut bytes = escaped_key(bucket, key);
    bytes.extend(id.as_bytes());
    bytes
}

/// The key and id of an upload's row.
pub(crate) fn read_upload(row: &[u8]) -> Option<(String, UploadId)> {
    let (front, id) = row.split_last_chunk::<16>()?;
    Some((read_escaped_key(front)?, UploadId::from_bytes(*id)))
}

/// A noncurrent version: ordered by key, then from the newest to the oldest.
pub(crate) fn version(bucket: BucketId, key: &str, sequence: u64) -> Vec<u8> {
    let mut bytes = escaped_key(bucket, key);
    bytes.extend((!sequence).to_be_bytes());
    bytes
}

/// The key of a noncurrent version's row.
pub(crate) fn read_version(row: &[u8]) -> Option<String> {
    let (front, _sequence) = row.split_last_chunk::<8>()?;
    read_escaped_key(front)
}

/// The key that [`escaped_key`] made these bytes of.
fn read_escaped_key(bytes: &[u8]) -> Option<String> {
    let escaped = bytes.get(8..)?.strip_suffix(&KEY_END)?;
    let mut key = Vec::with_capacity(escaped.len());
    let mut bytes = escaped.iter();
    while let Some(byte) = bytes.next() {
        key.push(*byte);
        if *byte == 0 && bytes.next() != Some(&0xFF) {
            return None;
        }
    }
    String::from_utf8(key).ok()
}

/// What was used: ordered by until when that is kept.
pub(crate) fn nonce(kept_until: Timestamp, digest: &[u8; 32]) -> Vec<u8> {
    let at = u64::try_from(kept_until.unix_ms()).unwrap_or(0);
    [at.to_be_bytes().as_slice(), digest].concat()
}

/// A part of an upload.
pub(crate) fn part(id: &UploadId, number: u16) -> Vec<u8> {
    [id.as_bytes().as_slice(), &number.to_be_bytes()].concat()
}
