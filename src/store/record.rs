//! What is stored about objects. A new field is an `Option`, so that older records stay readable.

use std::fmt;

use bytes::Bytes;

use super::blob::BlobRef;
use super::error::StoreError;
use super::lock::Retention;
use super::seal::WrappedKey;
use super::seal::chunk::sealed_len;
use super::settings::Settings;
use crate::auth::acl::Acl;
use crate::auth::constraint::Duties;
use crate::checksum::{Algorithm, Checksum, Coverage};
use crate::clock::Timestamp;
use crate::id::{BucketId, InlineId, UploadId, VersionId};

/// An object's entity tag; shown without quotes.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct ETag {
    #[cbor(n(0), with = "minicbor::bytes")]
    md5: [u8; 16],
    #[n(1)]
    parts: Option<u32>,
}

impl ETag {
    /// Of an object that was put whole.
    pub const fn md5(md5: [u8; 16]) -> Self {
        Self { md5, parts: None }
    }

    /// The MD5 of all bytes, where the tag is that.
    pub const fn whole(&self) -> Option<[u8; 16]> {
        match self.parts {
            None => Some(self.md5),
            Some(_) => None,
        }
    }

    /// The tag without quotes: every reader asks for it.
    pub fn text(&self) -> String {
        let mut text = String::with_capacity(32);
        self.write_to(&mut text);
        text
    }

    /// Writes the tag without quotes: a listing does a thousand times.
    pub fn write_to(&self, out: &mut String) {
        out.push_str(std::str::from_utf8(&self.digits()).unwrap_or_default());
        if let Some(parts) = self.parts {
            out.push('-');
            out.push_str(&parts.to_string());
        }
    }

    /// The digits of its MD5, which are ASCII.
    fn digits(&self) -> [u8; 32] {
        let mut digits = [0; 32];
        // As long as it must be.
        let _infallible = hex::encode_to_slice(self.md5, &mut digits);
        digits
    }

    /// Whether this is how it is written, in capitals or not: a completion asks it of each of 10,000 parts.
    pub fn is_written(&self, text: &str) -> bool {
        match self.parts {
            None => self.digits().eq_ignore_ascii_case(text.as_bytes()),
            Some(_) => text.eq_ignore_ascii_case(&self.text()),
        }
    }

    /// Of an object with this tag once bytes of that MD5 were appended to it.
    #[must_use]
    pub fn appended(&self, md5: [u8; 16]) -> Self {
        let both = Algorithm::Md5.digest(&[self.md5, md5].concat());
        let parts = self.parts.unwrap_or(1).saturating_add(1);
        // An MD5 has 16 bytes.
        Self::multipart(both.try_into().unwrap_or(md5), parts)
    }

    /// Of an object made of `parts` parts: the MD5 of their MD5s.
    pub const fn multipart(md5: [u8; 16], parts: u32) -> Self {
        let parts = Some(parts);
        Self { md5, parts }
    }
}

impl fmt::Display for ETag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

/// The headers that an object keeps for its readers.
#[derive(Debug, Clone, Default, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct ObjectHeaders {
    /// `Content-Type`.
    #[n(0)]
    pub content_type: Option<String>,
    /// `Cache-Control`.
    #[n(1)]
    pub cache_control: Option<String>,
    /// `Content-Disposition`.
    #[n(2)]
    pub content_disposition: Option<String>,
    /// `Content-Encoding`.
    #[n(3)]
    pub content_encoding: Option<String>,
    /// `Content-Language`.
    #[n(4)]
    pub content_language: Option<String>,
    /// `Expires`.
    #[n(5)]
    pub expires: Option<String>,
    /// `x-amz-website-redirect-location`.
    #[n(6)]
    pub website_redirect: Option<String>,
    /// User metadata: names in lower case, without `x-amz-meta-`.
    #[n(7)]
    pub user: Vec<(String, String)>,
}

/// Where a run of an object's bytes lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub enum Segment {
    /// In the metadata engine, with its length in bytes.
    #[n(0)]
    Inline(#[n(0)] InlineId, #[n(1)] u64),
    /// In a blob of its own.
    #[n(1)]
    Blob(#[n(0)] BlobRef),
    /// As [`Segment::Inline`], sealed.
    #[n(2)]
    SealedInline(#[n(0)] InlineId, #[n(1)] Sealed),
    /// As [`Segment::Blob`], sealed.
    #[n(3)]
    SealedBlob(#[n(0)] BlobRef, #[n(1)] Sealed),
}

/// How a run of bytes is sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct Sealed {
    /// What its key is derived with: never the same twice under one data key.
    #[n(0)]
    pub salt: InlineId,
    /// Its length in bytes before it was sealed.
    #[n(1)]
    pub len: u64,
}

impl Segment {
    /// Its length in bytes, as readers see them.
    pub const fn len(self) -> u64 {
        match self {
            Self::Inline(_, len) => len,
            Self::Blob(blob) => blob.len,
            Self::SealedInline(_, sealed) | Self::SealedBlob(_, sealed) => sealed.len,
        }
    }

    /// Whether it holds no byte.
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The blob that it is in.
    pub const fn blob(self) -> Option<BlobRef> {
        match self {
            Self::Blob(blob) | Self::SealedBlob(blob, _) => Some(blob),
            Self::Inline(..) | Self::SealedInline(..) => None,
        }
    }

    /// The row that it is in, and how many bytes that has.
    pub const fn inline(self) -> Option<(InlineId, u64)> {
        match self {
            Self::Inline(id, len) => Some((id, len)),
            Self::SealedInline(id, sealed) => Some((id, sealed_len(sealed.len))),
            Self::Blob(_) | Self::SealedBlob(..) => None,
        }
    }

    /// How it is sealed, if it is.
    pub const fn sealed(self) -> Option<Sealed> {
        match self {
            Self::SealedInline(_, sealed) | Self::SealedBlob(_, sealed) => Some(sealed),
            Self::Inline(..) | Self::Blob(_) => None,
        }
    }
}

/// Whose key it takes to open an object's data key.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub enum SealKind {
    /// The server's (SSE-S3).
    #[n(0)]
    Server,
    /// The server's, by the name of a key (SSE-KMS).
    #[n(1)]
    Named(#[n(0)] String),
    /// The client's, which is known by its MD5 only (SSE-C).
    #[n(2)]
    Customer(#[cbor(n(0), with = "minicbor::bytes")] [u8; 16]),
}

/// That an object is sealed, and how its data key is kept.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct Seal {
    /// Whose key opens it.
    #[n(0)]
    pub kind: SealKind,
    /// Its data key.
    #[n(1)]
    pub wrapped: WrappedKey,
    /// Whether its writer wanted S3's bucket key for it, which is kept and told.
    #[cbor(n(2), default)]
    pub bucket_key: bool,
}

/// What an object may be given beside its bytes and its headers.
#[derive(Debug, Clone, Default, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct Extras {
    /// Its tags.
    #[n(0)]
    pub tags: Option<Vec<(String, String)>>,
    /// Its access control list; none is that of its owner alone.
    #[n(1)]
    pub acl: Option<Acl>,
    /// Until when it is retained.
    #[n(2)]
    pub retention: Option<Retention>,
    /// Whether somebody holds it.
    #[n(3)]
    pub legal_hold: Option<bool>,
    /// How its bytes are sealed.
    #[n(4)]
    pub seal: Option<Seal>,
}

/// What is stored about a version of a key.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct ObjectRecord {
    /// Its length in bytes.
    #[n(0)]
    pub len: u64,
    /// When it was written.
    #[n(1)]
    pub modified: Timestamp,
    /// Its entity tag.
    #[n(2)]
    pub etag: ETag,
    /// Its headers.
    #[n(3)]
    pub headers: ObjectHeaders,
    /// Its checksum, where the client sent or asked for one.
    #[n(4)]
    pub checksum: Option<Checksum>,
    /// Who owns it.
    #[n(5)]
    pub owner: String,
    /// Grows with each change of the key.
    #[n(6)]
    pub sequence: u64,
    /// Where its bytes are, in order.
    #[n(7)]
    pub segments: Vec<Segment>,
    /// The parts it was uploaded in.
    #[n(8)]
    pub parts: Option<Vec<ObjectPart>>,
    /// The upload that made it.
    #[n(9)]
    pub upload: Option<UploadId>,
    /// Where its segments and parts are, when they are too many for its row: a listing reads all
    /// rows. Whoever finds the object sees them in their fields.
    #[n(10)]
    pub layout: Option<InlineId>,
    /// Which version it is; none is the null version.
    #[n(11)]
    pub version: Option<VersionId>,
    /// Whether it says that the object was deleted.
    #[n(12)]
    pub delete_marker: Option<bool>,
    /// Of the current version: the sequence of the null version, where that is not current.
    #[n(13)]
    pub null_sequence: Option<u64>,
    /// What it was given beside bytes and headers.
    #[cbor(n(14), default)]
    pub extras: Extras,
    /// The rename that brought it to its key, where that may be asked for again.
    #[n(15)]
    pub renamed: Option<Renamed>,
    /// The CRC-64 of OSS over all of its bytes, where it was computed.
    #[n(16)]
    pub crc64ecma: Option<u64>,
}

/// A rename that has a token: who sends it again hears that it is done.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct Renamed {
    /// The client's name for it.
    #[n(0)]
    pub token: String,
    /// The key before.
    #[n(1)]
    pub from: String,
}

impl ObjectRecord {
    /// A record of `len` bytes that lie in `segments`, with nothing else about it.
    pub fn new(
        owner: String,
        modified: Timestamp,
        sequence: u64,
        etag: ETag,
        (len, segments): (u64, Vec<Segment>),
    ) -> Self {
        Self {
            len,
            modified,
            etag,
            headers: ObjectHeaders::default(),
            checksum: None,
            owner,
            sequence,
            segments,
            parts: None,
            upload: None,
            layout: None,
            version: None,
            delete_marker: None,
            null_sequence: None,
            extras: Extras::default(),
            renamed: None,
            crc64ecma: None,
        }
    }

    /// Whether it says that the object was deleted.
    pub fn is_delete_marker(&self) -> bool {
        self.delete_marker == Some(true)
    }
}

/// A part of an object, as its upload numbered it.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct ObjectPart {
    /// Its number.
    #[n(0)]
    pub number: u16,
    /// Its length in bytes.
    #[n(1)]
    pub len: u64,
    /// Its checksum.
    #[n(2)]
    pub checksum: Option<Checksum>,
}

/// What an object with many segments keeps outside its row.
#[derive(Debug, Clone, Default, minicbor::Encode, minicbor::Decode)]
pub(crate) struct Layout {
    #[n(0)]
    pub(crate) segments: Vec<Segment>,
    #[n(1)]
    pub(crate) parts: Option<Vec<ObjectPart>>,
}

/// A [`Layout`] that is only written.
#[derive(Debug, minicbor::Encode)]
pub(crate) struct LayoutOf<'a> {
    #[n(0)]
    pub(crate) segments: &'a [Segment],
    #[n(1)]
    pub(crate) parts: Option<&'a [ObjectPart]>,
}

/// A multipart upload under way.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct UploadRecord {
    /// When it began.
    #[n(0)]
    pub initiated: Timestamp,
    /// The headers of the object to be.
    #[n(1)]
    pub headers: ObjectHeaders,
    /// Which checksum it will have, and over what.
    #[n(2)]
    pub checksum: Option<(Algorithm, Coverage)>,
    /// Who began it.
    #[n(3)]
    pub initiator: String,
    /// Who will own the object.
    #[n(4)]
    pub owner: String,
    /// The sequence of the object that the key had when it began.
    #[n(5)]
    pub replaces: Option<u64>,
    /// What the object to be is given beside bytes and headers.
    #[cbor(n(6), default)]
    pub extras: Extras,
    /// What was demanded of the whole when it began.
    #[cbor(n(7), default)]
    pub duties: Duties,
}

/// A part that was uploaded.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct PartRecord {
    /// Its number.
    #[n(0)]
    pub number: u16,
    /// When it was uploaded.
    #[n(1)]
    pub modified: Timestamp,
    /// The MD5 of its bytes.
    #[cbor(n(2), with = "minicbor::bytes")]
    pub etag_md5: [u8; 16],
    /// Its checksum.
    #[n(3)]
    pub checksum: Option<Checksum>,
    /// Where its bytes are.
    #[n(4)]
    pub segment: Segment,
    /// The CRC-64 of OSS over its bytes, where it was computed.
    #[n(5)]
    pub crc64ecma: Option<u64>,
}

impl PartRecord {
    /// Its length in bytes.
    pub const fn len(&self) -> u64 {
        self.segment.len()
    }

    /// Whether it holds no byte.
    pub const fn is_empty(&self) -> bool {
        self.segment.is_empty()
    }

    /// Its entity tag.
    pub const fn etag(&self) -> ETag {
        ETag::md5(self.etag_md5)
    }
}

/// A bucket's record.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub(crate) struct BucketRecord {
    #[n(0)]
    pub(crate) id: BucketId,
    #[n(1)]
    pub(crate) created: Timestamp,
    #[n(2)]
    pub(crate) owner: String,
    #[n(3)]
    pub(crate) region: String,
    #[n(4)]
    pub(crate) settings: Option<Settings>,
}

/// The bytes that are stored for `record`.
pub(crate) fn encode<T: minicbor::Encode<()>>(record: &T) -> Result<Bytes, StoreError> {
    let bytes = minicbor::to_vec(record);
    bytes
        .map(Bytes::from)
        .map_err(|_ignored| StoreError::corrupt("a new record"))
}

/// The record that `bytes` are; `what` names it in the error.
pub(crate) fn decode<T>(bytes: &[u8], what: &str) -> Result<T, StoreError>
where
    T: for<'b> minicbor::Decode<'b, ()>,
{
    minicbor::decode(bytes).map_err(|_ignored| StoreError::corrupt(what))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_knows_how_it_is_written() {
        let (whole, parts) = (ETag::md5([0xAB; 16]), ETag::multipart([0xAB; 16], 10_000));
        for tag in [&whole, &parts] {
            assert!(tag.is_written(&tag.text()) && tag.is_written(&tag.text().to_uppercase()));
            for other in [
                "",
                "ab",
                &"ab".repeat(15),
                &"ac".repeat(16),
                &"\u{e4}".repeat(16),
            ] {
                assert!(!tag.is_written(other), "{other}");
            }
        }
        assert_eq!(parts.text(), "ab".repeat(16) + "-10000");
        assert!(!whole.is_written(&parts.text()) && !parts.is_written(&whole.text()));
    }
}
