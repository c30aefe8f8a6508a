//! The checksums that S3 knows: what they are called, how they are computed, and how the
//! checksums of parts make that of the whole.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html>

mod combine;
pub mod md5;

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use combine::Combined;
use md5::Md5;
use sha2::Digest as _;

/// A checksum algorithm.
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
    /// CRC-64/XZ, which is OSS's own: S3 knows nothing of it.
    #[n(10)]
    Crc64Ecma,
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

impl Algorithm {
    /// Each that S3 knows.
    pub const ALL: [Self; 10] = [
        Self::Crc32,
        Self::Crc32c,
        Self::Crc64Nvme,
        Self::Sha1,
        Self::Sha256,
        Self::Sha512,
        Self::Md5,
        Self::XxHash64,
        Self::XxHash3,
        Self::XxHash128,
    ];

    /// Its row: its name, the header, the XML element, the digest's length in bytes.
    const fn row(self) -> (&'static str, &'static str, &'static str, usize) {
        match self {
            Self::Crc32 => ("CRC32", "x-amz-checksum-crc32", "ChecksumCRC32", 4),
            Self::Crc32c => ("CRC32C", "x-amz-checksum-crc32c", "ChecksumCRC32C", 4),
            Self::Crc64Nvme => (
                "CRC64NVME",
                "x-amz-checksum-crc64nvme",
                "ChecksumCRC64NVME",
                8,
            ),
            Self::Sha1 => ("SHA1", "x-amz-checksum-sha1", "ChecksumSHA1", 20),
            Self::Sha256 => ("SHA256", "x-amz-checksum-sha256", "ChecksumSHA256", 32),
            Self::Sha512 => ("SHA512", "x-amz-checksum-sha512", "ChecksumSHA512", 64),
            Self::Md5 => ("MD5", "x-amz-checksum-md5", "ChecksumMD5", 16),
            Self::XxHash64 => ("XXHASH64", "x-amz-checksum-xxhash64", "ChecksumXXHASH64", 8),
            Self::XxHash3 => ("XXHASH3", "x-amz-checksum-xxhash3", "ChecksumXXHASH3", 8),
            Self::XxHash128 => (
                "XXHASH128",
                "x-amz-checksum-xxhash128",
                "ChecksumXXHASH128",
                16,
            ),
            Self::Crc64Ecma => ("CRC64ECMA", "x-oss-hash-crc64ecma", "HashCrc64ecma", 8),
        }
    }

    /// S3's name for it, such as `CRC32C`.
    pub const fn name(self) -> &'static str {
        self.row().0
    }

    /// The header that carries it, in lower case.
    pub const fn header(self) -> &'static str {
        self.row().1
    }

    /// The XML element that carries it.
    pub const fn element(self) -> &'static str {
        self.row().2
    }

    /// Bytes of its digest.
    pub const fn digest_bytes(self) -> usize {
        self.row().3
    }

    /// The algorithm that S3 calls `name`, in any case.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|algorithm| algorithm.name().eq_ignore_ascii_case(name))
    }

    /// The algorithm whose header is `name`, in any case.
    pub fn from_header(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|algorithm| algorithm.header().eq_ignore_ascii_case(name))
    }

    /// Whether the whole's checksum follows from those of its parts.
    pub const fn is_crc(self) -> bool {
        matches!(
            self,
            Self::Crc32 | Self::Crc32c | Self::Crc64Nvme | Self::Crc64Ecma
        )
    }

    /// What a multipart upload's checksum covers where the client doesn't say.
    pub const fn default_coverage(self) -> Coverage {
        match self {
            Self::Crc64Nvme => Coverage::FullObject,
            _ => Coverage::Composite,
        }
    }

    /// Whether a multipart upload may ask for this coverage with it.
    pub const fn allows(self, coverage: Coverage) -> bool {
        match coverage {
            Coverage::FullObject => self.is_crc(),
            Coverage::Composite => !matches!(self, Self::Crc64Nvme),
        }
    }

    /// The digest of `bytes`.
    pub fn digest(self, bytes: &[u8]) -> Vec<u8> {
        let mut hasher = Hasher::new(self);
        hasher.update(bytes);
        hasher.finish()
    }
}

impl Coverage {
    /// S3's name for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::FullObject => "FULL_OBJECT",
            Self::Composite => "COMPOSITE",
        }
    }

    /// The coverage that S3 calls `name`.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::FullObject, Self::Composite]
            .into_iter()
            .find(|coverage| coverage.name() == name)
    }
}

impl Checksum {
    /// A checksum over all bytes.
    pub const fn full(algorithm: Algorithm, digest: Vec<u8>) -> Self {
        Self {
            algorithm,
            coverage: Coverage::FullObject,
            digest,
            parts: None,
        }
    }

    /// Reads the Base64 form of a header; nothing where it is none or of the wrong length.
    pub fn parse(algorithm: Algorithm, text: &str) -> Option<Self> {
        let digest = BASE64.decode(text.trim()).ok()?;
        (digest.len() == algorithm.digest_bytes()).then(|| Self::full(algorithm, digest))
    }

    /// As S3 shows it: Base64, with `-parts` behind a composite one.
    pub fn text(&self) -> String {
        let digest = BASE64.encode(&self.digest);
        match (self.coverage, self.parts) {
            (Coverage::Composite, Some(parts)) => format!("{digest}-{parts}"),
            _ => digest,
        }
    }

    /// The digest alone, in Base64.
    pub fn base64(&self) -> String {
        BASE64.encode(&self.digest)
    }
}

/// The checksum of checksums: `digests` of the parts in order.
pub fn composite<'a>(
    algorithm: Algorithm,
    digests: impl IntoIterator<Item = &'a [u8]>,
) -> Checksum {
    let mut hasher = Hasher::new(algorithm);
    let mut parts = 0_u32;
    for digest in digests {
        hasher.update(digest);
        parts = parts.saturating_add(1);
    }
    let coverage = Coverage::Composite;
    Checksum {
        algorithm,
        coverage,
        digest: hasher.finish(),
        parts: Some(parts),
    }
}

/// The whole's checksum from those of its parts: (digest, length in bytes), in order. Nothing
/// where the algorithm can't do that or a digest has the wrong length.
pub fn combine<'a>(
    algorithm: Algorithm,
    parts: impl IntoIterator<Item = (&'a [u8], u64)>,
) -> Option<Checksum> {
    let mut whole = Combined::new(algorithm)?;
    let width = algorithm.digest_bytes();
    for (digest, len) in parts {
        if digest.len() != width {
            return None;
        }
        let part = digest
            .iter()
            .fold(0_u64, |value, byte| (value << 8) | u64::from(*byte));
        whole.push(part, len);
    }
    let digest = match whole.value() {
        Some(value) => last_bytes(value, width),
        None => Hasher::new(algorithm).finish(),
    };
    Some(Checksum::full(algorithm, digest))
}

/// An 8-byte digest as the number that OSS shows; nothing for one of another length.
pub fn as_number(digest: impl AsRef<[u8]>) -> Option<u64> {
    digest.as_ref().try_into().ok().map(u64::from_be_bytes)
}

fn last_bytes(value: u64, width: usize) -> Vec<u8> {
    value
        .to_be_bytes()
        .into_iter()
        .skip(8_usize.saturating_sub(width))
        .collect()
}

/// Computes one checksum over bytes as they come.
pub struct Hasher {
    state: State,
    algorithm: Algorithm,
}

enum State {
    Crc32(crc32fast::Hasher),
    Crc32c(u32),
    Crc64Nvme(crc64fast_nvme::Digest),
    Crc64Ecma(crc64fast::Digest),
    Sha1(sha1::Sha1),
    Sha256(sha2::Sha256),
    Sha512(sha2::Sha512),
    Md5(Box<Md5>),
    XxHash64(xxhash_rust::xxh64::Xxh64),
    XxHash3(Box<xxhash_rust::xxh3::Xxh3>),
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hasher")
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

impl Hasher {
    /// A hasher that has seen no byte.
    pub fn new(algorithm: Algorithm) -> Self {
        let state = match algorithm {
            Algorithm::Crc32 => State::Crc32(crc32fast::Hasher::new()),
            Algorithm::Crc32c => State::Crc32c(0),
            Algorithm::Crc64Nvme => State::Crc64Nvme(crc64fast_nvme::Digest::new()),
            Algorithm::Crc64Ecma => State::Crc64Ecma(crc64fast::Digest::new()),
            Algorithm::Sha1 => State::Sha1(sha1::Sha1::new()),
            Algorithm::Sha256 => State::Sha256(sha2::Sha256::new()),
            Algorithm::Sha512 => State::Sha512(sha2::Sha512::new()),
            Algorithm::Md5 => State::Md5(Box::default()),
            Algorithm::XxHash64 => State::XxHash64(xxhash_rust::xxh64::Xxh64::new(0)),
            Algorithm::XxHash3 | Algorithm::XxHash128 => {
                State::XxHash3(Box::new(xxhash_rust::xxh3::Xxh3::new()))
            }
        };
        Self { state, algorithm }
    }

    /// The algorithm.
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Takes `bytes` in.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.state {
            State::Crc32(state) => state.update(bytes),
            State::Crc32c(state) => *state = crc32c::crc32c_append(*state, bytes),
            State::Crc64Nvme(state) => state.write(bytes),
            State::Crc64Ecma(state) => state.write(bytes),
            State::Sha1(state) => state.update(bytes),
            State::Sha256(state) => state.update(bytes),
            State::Sha512(state) => state.update(bytes),
            State::Md5(state) => state.update(bytes),
            State::XxHash64(state) => state.update(bytes),
            State::XxHash3(state) => state.update(bytes),
        }
    }

    /// The digest, most significant byte first.
    pub fn finish(self) -> Vec<u8> {
        match self.state {
            State::Crc32(state) => state.finalize().to_be_bytes().to_vec(),
            State::Crc32c(state) => state.to_be_bytes().to_vec(),
            State::Crc64Nvme(state) => state.sum64().to_be_bytes().to_vec(),
            State::Crc64Ecma(state) => state.sum64().to_be_bytes().to_vec(),
            State::Sha1(state) => state.finalize().to_vec(),
            State::Sha256(state) => state.finalize().to_vec(),
            State::Sha512(state) => state.finalize().to_vec(),
            State::Md5(state) => state.finish().to_vec(),
            State::XxHash64(state) => state.digest().to_be_bytes().to_vec(),
            State::XxHash3(state) if self.algorithm == Algorithm::XxHash128 => {
                state.digest128().to_be_bytes().to_vec()
            }
            State::XxHash3(state) => state.digest().to_be_bytes().to_vec(),
        }
    }
}

#[cfg(test)]
mod tests {
    use crc_fast::CrcAlgorithm;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// The other library knows every CRC, and each of its tables would be in the binary.
        #[test]
        fn crcs_are_those_of_another_library(
            bytes in prop::collection::vec(any::<u8>(), 0..3000),
            cuts in prop::array::uniform2(any::<prop::sample::Index>()),
        ) {
            // Where the first piece is left out, the bytes lie as no allocator would lay them.
            let [a, b] = cuts.map(|cut| cut.index(bytes.len() + 1));
            let pieces = [&bytes[..a.min(b)], &bytes[a.min(b)..a.max(b)], &bytes[a.max(b)..]];
            for (ours, theirs) in [
                (Algorithm::Crc32, CrcAlgorithm::Crc32IsoHdlc),
                (Algorithm::Crc32c, CrcAlgorithm::Crc32Iscsi),
                (Algorithm::Crc64Nvme, CrcAlgorithm::Crc64Nvme),
                (Algorithm::Crc64Ecma, CrcAlgorithm::Crc64Xz),
            ] {
                for first in 0..pieces.len() {
                    let mut hasher = Hasher::new(ours);
                    let mut expected = crc_fast::Digest::new(theirs);
                    for piece in &pieces[first..] {
                        hasher.update(piece);
                        expected.update(piece);
                    }
                    let expected = last_bytes(expected.finalize(), ours.digest_bytes());
                    prop_assert_eq!(hasher.finish(), expected, "{:?}", ours);
                }
            }
        }
    }

    #[test]
    fn digests_are_the_published_check_values() {
        let expected = [
            (Algorithm::Crc32, "cbf43926"),
            (Algorithm::Crc32c, "e3069283"),
            (Algorithm::Crc64Nvme, "ae8b14860a799888"),
            (Algorithm::Crc64Ecma, "995dc9bbdf1939fa"),
            (Algorithm::Sha1, "f7c3bc1d808e04732adf679965ccc34ca7ae3441"),
            (Algorithm::Md5, "25f9e794323b453885f5181f1b624d0b"),
            (Algorithm::XxHash64, "8cb841db40e6ae83"),
        ];
        for (algorithm, digest) in expected {
            assert_eq!(
                hex::encode(algorithm.digest(b"123456789")),
                digest,
                "{algorithm:?}"
            );
        }
        for algorithm in Algorithm::ALL {
            assert_eq!(
                algorithm.digest(b"x").len(),
                algorithm.digest_bytes(),
                "{algorithm:?}"
            );
            assert_eq!(Algorithm::from_header(algorithm.header()), Some(algorithm));
            assert_eq!(Algorithm::from_name(algorithm.name()), Some(algorithm));
        }
        let empty = [
            (Algorithm::XxHash3, "2d06800538d394c2"),
            (Algorithm::XxHash128, "99aa06d3014798d86001c324468d497f"),
        ];
        for (algorithm, digest) in empty {
            assert_eq!(hex::encode(algorithm.digest(b"")), digest, "{algorithm:?}");
        }
    }

    #[test]
    fn the_parts_crcs_make_the_wholes() {
        for algorithm in Algorithm::ALL.into_iter().chain([Algorithm::Crc64Ecma]) {
            let (a, b) = (algorithm.digest(b"1234"), algorithm.digest(b"56789"));
            let whole = combine(algorithm, [(a.as_slice(), 4), (b.as_slice(), 5)]);
            let expected = Checksum::full(algorithm, algorithm.digest(b"123456789"));
            assert_eq!(
                whole,
                algorithm.is_crc().then_some(expected),
                "{algorithm:?}"
            );
        }
    }

    #[test]
    fn a_composite_says_its_number_of_parts() {
        let (a, b) = (
            Algorithm::Sha256.digest(b"a"),
            Algorithm::Sha256.digest(b"b"),
        );
        let made = composite(Algorithm::Sha256, [a.as_slice(), b.as_slice()]);
        assert_eq!(made.digest, Algorithm::Sha256.digest(&[a, b].concat()));
        assert!(made.text().ends_with("=-2"));
        assert_eq!(Checksum::parse(Algorithm::Crc32, "AAAA"), None);
        assert_eq!(
            Checksum::parse(Algorithm::Crc32, "AAAAAA==").map(|c| c.digest),
            Some(vec![0; 4])
        );
    }
}
