//! The checksums that S3 knows: what they are called, how they are computed, and how the
//! checksums of parts make that of the whole.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html>

// OWNER: helper S3-INFRA. Public interface to keep (others compile against it):

/// A checksum algorithm of S3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, minicbor::Encode, minicbor::Decode)]
#[cbor(index_only)]
pub enum Algorithm {
    /// `CRC32`.
    #[n(0)]
    Crc32,
    /// `CRC32C`.
    #[n(1)]
    Crc32c,
    /// `CRC64NVME`.
    #[n(2)]
    Crc64Nvme,
    /// `SHA1`.
    #[n(3)]
    Sha1,
    /// `SHA256`.
    #[n(4)]
    Sha256,
    /// `SHA512`.
    #[n(5)]
    Sha512,
    /// `MD5`.
    #[n(6)]
    Md5,
    /// `XXHASH64`.
    #[n(7)]
    XxHash64,
    /// `XXHASH3`.
    #[n(8)]
    XxHash3,
    /// `XXHASH128`.
    #[n(9)]
    XxHash128,
}

/// What a checksum is taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
#[cbor(index_only)]
pub enum Coverage {
    /// All bytes of the object: `FULL_OBJECT`.
    #[n(0)]
    FullObject,
    /// The checksums of its parts: `COMPOSITE`.
    #[n(1)]
    Composite,
}

/// An object's or a part's checksum.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct Checksum {
    /// By which algorithm.
    #[n(0)]
    pub algorithm: Algorithm,
    /// Over what.
    #[n(1)]
    pub coverage: Coverage,
    /// The digest's bytes, as long as the algorithm says.
    #[cbor(n(2), with = "minicbor::bytes")]
    pub digest: Vec<u8>,
    /// Of a composite one, the number of parts.
    #[n(3)]
    pub parts: Option<u32>,
}
