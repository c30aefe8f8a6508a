//! Identifiers, and the only source of randomness behind them.

use std::cell::RefCell;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

use crate::checksum::Algorithm;
use crate::clock::Timestamp;

/// A bucket's number: never given out twice, so that a bucket made anew under an old name
/// can't see what the old one held.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, minicbor::Encode, minicbor::Decode,
)]
#[cbor(transparent)]
pub struct BucketId(#[n(0)] pub u64);

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[derive(minicbor::Encode, minicbor::Decode)]
        #[cbor(transparent)]
        pub struct $name(#[cbor(n(0), with = "minicbor::bytes")] [u8; 16]);

        impl $name {
            /// A new identifier whose first 48 bits are `now` in milliseconds (UUID version 7).
            pub fn new(now: Timestamp) -> Self {
                let ms = u64::try_from(now.unix_ms()).unwrap_or(0);
                let (s, ns) = (ms / 1000, u32::try_from(ms % 1000).unwrap_or(0) * 1_000_000);
                let at = uuid::Timestamp::from_unix(uuid::NoContext, s, ns);
                Self(Uuid::new_v7(at).into_bytes())
            }

            /// The identifier's bytes, in the order of their creation time.
            pub const fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }

            /// The identifier that these bytes are.
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }

            /// When it was made, to the millisecond.
            pub fn created(&self) -> Timestamp {
                let ms = self.0.iter().take(6).fold(0_i64, |ms, byte| (ms << 8) | i64::from(*byte));
                Timestamp::from_unix_ms(ms)
            }

            /// Reads the form that `Display` writes: 32 lower-case hexadecimal digits.
            pub fn parse(text: &str) -> Option<Self> {
                let mut bytes = [0; 16];
                hex::decode_to_slice(text, &mut bytes).ok()?;
                (text.bytes().all(|b| !b.is_ascii_uppercase())).then_some(Self(bytes))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

uuid_id!(
    /// Names one immutable blob. Given out when the blob is published, not when its upload starts,
    /// so that a sweep can tell blobs of an earlier run by their age.
    BlobId
);

impl BlobId {
    /// A new identifier with the same last byte: blobs that are made together may lie together.
    #[must_use]
    pub fn beside(&self, now: Timestamp) -> Self {
        let mut id = Self::new(now);
        let ([.., last], [.., ours]) = (&mut id.0, &self.0);
        *last = *ours;
        id
    }
}
uuid_id!(
    /// Names the bytes of one small object in the metadata engine.
    InlineId
);
uuid_id!(
    /// Names one multipart upload; what clients see as `UploadId`.
    UploadId
);
uuid_id!(
    /// Names one callback message, over all its attempts.
    MessageId
);
/// Names one version of an object; what clients see as `versionId`. It holds the version's place
/// among those of its key, so that it is found without a search.
#[derive(Clone, Copy, PartialEq, Eq, Hash, minicbor::Encode, minicbor::Decode)]
#[cbor(transparent)]
pub struct VersionId(#[cbor(n(0), with = "minicbor::bytes")] [u8; 20]);

impl VersionId {
    /// A new identifier of the version that its key's `sequence` number is of.
    pub fn new(sequence: u64) -> Self {
        let mut bytes = [0; 20];
        let (front, back) = bytes.split_at_mut(8);
        front.copy_from_slice(&sequence.to_be_bytes());
        back.copy_from_slice(&random::<12>());
        Self(bytes)
    }

    /// The sequence number of its version.
    pub fn sequence(&self) -> u64 {
        self.0.first_chunk().copied().map_or(0, u64::from_be_bytes)
    }

    /// Reads the form that `Display` writes: 32 characters, the last of which guard the others, so
    /// that an identifier which was not given out here is told apart.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes: [u8; 24] = URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?;
        let id = Self(*bytes.first_chunk()?);
        bytes.ends_with(&id.guard()).then_some(id)
    }

    fn guard(&self) -> Vec<u8> {
        Algorithm::Crc32.digest(&self.0)
    }
}

impl fmt::Display for VersionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode([&self.0[..], &self.guard()].concat()))
    }
}

impl fmt::Debug for VersionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

thread_local! {
    /// Randomness of this thread that no request is named by yet. Nothing secret is made of it.
    static DRAWN: RefCell<Vec<[u8; 8]>> = const { RefCell::new(Vec::new()) };
}

/// One request's name, in its answer (`x-amz-request-id`) and in every log line about it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct RequestId(u64);

impl RequestId {
    /// A fresh, unpredictable one. Bytes for many are drawn at once: one draw is a call into the kernel,
    /// and every request would pay for it.
    pub fn random() -> Self {
        let drawn = DRAWN.try_with(|drawn| {
            let mut drawn = drawn.borrow_mut();
            if drawn.is_empty() {
                let bytes = random::<512>();
                drawn.extend(bytes.as_chunks().0);
            }
            drawn.pop()
        });
        Self(u64::from_ne_bytes(
            drawn.ok().flatten().unwrap_or_else(random),
        ))
    }
}

/// The second name of a request, which S3's clients show beside the first.
pub fn host_id(request: impl fmt::Display) -> String {
    format!("consign-{request}")
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut digits = [0; 16];
        // As long as it must be, and ASCII. Every request is named several times.
        let _infallible = hex::encode_to_slice(self.0.to_be_bytes(), &mut digits);
        digits.make_ascii_uppercase();
        f.write_str(std::str::from_utf8(&digits).unwrap_or_default())
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// `N` bytes from the operating system's generator.
///
/// # Panics
/// Where the operating system has no randomness to give: no secret could be made without it.
#[expect(
    clippy::expect_used,
    reason = "without randomness there is nothing safe to go on with"
)]
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system's random generator failed");
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_requests_have_one_name() {
        let names: std::collections::HashSet<_> = (0..1000).map(|_| RequestId::random()).collect();
        assert_eq!(names.len(), 1000);
    }

    #[test]
    fn a_version_is_read_back_and_a_foreign_one_is_not() {
        let id = VersionId::new(0x0123_4567_89AB_CDEF);
        let text = id.to_string();
        assert_eq!((text.len(), VersionId::parse(&text)), (32, Some(id)));
        assert_eq!(id.sequence(), 0x0123_4567_89AB_CDEF);
        let mut other = text.clone().into_bytes();
        other[20] = if other[20] == b'A' { b'B' } else { b'A' };
        for foreign in [
            String::from_utf8(other).unwrap(),
            "HPniJFCxqTsMuIH9KX8K8wEjNUgmABCD".to_owned(),
            text.chars().skip(1).collect(),
            String::new(),
        ] {
            assert_eq!(VersionId::parse(&foreign), None, "{foreign}");
        }
    }
}
