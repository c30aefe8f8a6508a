//! Sealed bytes: a run of plaintext as chunks of AES-256-GCM, so that any range of it can be opened
//! without the rest, and none of it can be changed, moved or cut off unseen.
//!
//! Each chunk holds [`CHUNK_BYTES`] of plaintext (the last one fewer) and a tag of 16 bytes. Its nonce
//! is its number and whether it is the last: chunks that are swapped, dropped or appended don't open.
//! The key is the segment's own (see [`SegmentKey::derive`]), so that no nonce is ever used twice.

use std::ops::Range;

use bytes::{Bytes, BytesMut};
use futures_util::stream::{self, StreamExt as _};
use hmac::{Hmac, KeyInit as _, Mac as _};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::id::BlobId;
use crate::store::blob::{BlobError, BlobStream};

/// Bytes of plaintext in a chunk.
pub const CHUNK_BYTES: u64 = 64 * 1024;
/// Bytes that a chunk is longer than its plaintext.
pub const TAG_BYTES: u64 = 16;

/// The key that an object's bytes are sealed with; each of its segments derives its own from it.
#[derive(Clone)]
pub struct DataKey(Zeroizing<[u8; 32]>);

impl std::fmt::Debug for DataKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DataKey")
    }
}

impl DataKey {
    /// The key that these bytes are.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// A new one.
    pub fn random() -> Self {
        Self::from_bytes(crate::id::random())
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// Bytes that don't open: the key is another one, or they are not what was sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the bytes can't be opened with this key")]
pub struct CantOpen;

/// The key of one segment.
#[derive(Debug)]
pub struct SegmentKey(LessSafeKey);

impl SegmentKey {
    /// The key of the segment that was given `salt` (random, stored with the segment).
    ///
    /// # Errors
    /// [`CantOpen`] never happens with keys of 32 bytes; it is the type that says so.
    pub fn derive(key: &DataKey, salt: &[u8; 16]) -> Result<Self, CantOpen> {
        let mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).map_err(|_length| CantOpen)?;
        let derived = mac
            .chain_update(b"consign segment")
            .chain_update(salt)
            .finalize()
            .into_bytes();
        let unbound = UnboundKey::new(&AES_256_GCM, &derived).map_err(|_length| CantOpen)?;
        Ok(Self(LessSafeKey::new(unbound)))
    }

    fn nonce(number: u64, last: bool) -> Nonce {
        let mut nonce = [0; 12];
        nonce[0] = u8::from(last);
        nonce[4..].copy_from_slice(&number.to_be_bytes());
        Nonce::assume_unique_for_key(nonce)
    }

    fn seal(&self, number: u64, last: bool, plain: BytesMut) -> Result<Bytes, CantOpen> {
        let mut sealed = Vec::from(plain);
        let nonce = Self::nonce(number, last);
        let done = self
            .0
            .seal_in_place_append_tag(nonce, Aad::empty(), &mut sealed);
        done.map_err(|_length| CantOpen)?;
        Ok(sealed.into())
    }

    fn open(&self, number: u64, last: bool, sealed: BytesMut) -> Result<Bytes, CantOpen> {
        let mut bytes = Vec::from(sealed);
        let nonce = Self::nonce(number, last);
        let opened = self.0.open_in_place(nonce, Aad::empty(), &mut bytes);
        let len = opened.map_err(|_tag| CantOpen)?.len();
        bytes.truncate(len);
        Ok(bytes.into())
    }
}

/// Bytes that `plain` bytes of plaintext take when they are sealed. No bytes are one empty chunk, so
/// that they can't be told from bytes that were cut off.
pub const fn sealed_len(plain: u64) -> u64 {
    let chunks = plain.div_ceil(CHUNK_BYTES);
    let chunks = if chunks == 0 { 1 } else { chunks };
    plain.saturating_add(chunks.saturating_mul(TAG_BYTES))
}

/// Seals plaintext that comes in pieces of any size.
#[derive(Debug)]
pub struct Sealer {
    key: SegmentKey,
    number: u64,
    held: BytesMut,
}

impl Sealer {
    /// Begins a segment.
    pub fn new(key: SegmentKey) -> Self {
        Self {
            key,
            number: 0,
            held: BytesMut::new(),
        }
    }

    /// Takes `plain` in and gives out the chunks that are full. The last full chunk is held back:
    /// whether it is the last of all is known only later.
    ///
    /// # Errors
    /// As [`SegmentKey::derive`].
    pub fn push(&mut self, plain: &[u8]) -> Result<Vec<Bytes>, CantOpen> {
        self.held.extend_from_slice(plain);
        let chunk = to_usize(CHUNK_BYTES);
        let mut sealed = Vec::new();
        while self.held.len() > chunk {
            let full = self.held.split_to(chunk);
            sealed.push(self.key.seal(self.number, false, full)?);
            self.number = self.number.saturating_add(1);
        }
        Ok(sealed)
    }

    /// The last chunk.
    ///
    /// # Errors
    /// As [`SegmentKey::derive`].
    pub fn finish(self) -> Result<Bytes, CantOpen> {
        self.key.seal(self.number, true, self.held)
    }
}

/// The sealed bytes that hold the plaintext of `range`, of a segment of `plain` bytes.
pub fn sealed_range(range: &Range<u64>, plain: u64) -> Range<u64> {
    if range.is_empty() {
        return 0..0;
    }
    let first = range.start / CHUNK_BYTES;
    let behind = range.end.div_ceil(CHUNK_BYTES);
    let step = CHUNK_BYTES.saturating_add(TAG_BYTES);
    let end = behind.saturating_mul(step).min(sealed_len(plain));
    first.saturating_mul(step)..end
}

/// Opens chunks as they come, and gives out what of them lies in a range.
struct Opener {
    key: SegmentKey,
    blob: BlobId,
    sealed: BlobStream,
    held: BytesMut,
    number: u64,
    last: u64,
    plain: u64,
    range: Range<u64>,
}

impl Opener {
    /// The plaintext of the next chunk that lies in the range.
    async fn next(&mut self) -> Result<Option<Bytes>, BlobError> {
        let start = self.number.saturating_mul(CHUNK_BYTES);
        if self.range.is_empty() || start >= self.range.end {
            return Ok(None);
        }
        let len = CHUNK_BYTES.min(self.plain.saturating_sub(start));
        let want = to_usize(len.saturating_add(TAG_BYTES));
        while self.held.len() < want {
            let Some(piece) = self.sealed.next().await else {
                return Err(self.corrupt("a sealed chunk is cut off"));
            };
            self.held.extend_from_slice(&piece?);
        }
        let chunk = self.held.split_to(want);
        let last = self.number == self.last;
        let opened = self.key.open(self.number, last, chunk);
        let opened = opened.map_err(|CantOpen| self.corrupt("a sealed chunk does not open"))?;
        self.number = self.number.saturating_add(1);
        let from = to_usize(self.range.start.saturating_sub(start));
        let to = to_usize(self.range.end.saturating_sub(start)).min(opened.len());
        Ok(Some(opened.slice(from.min(to)..to)))
    }

    fn corrupt(&self, reason: &str) -> BlobError {
        BlobError::Corrupt {
            id: self.blob,
            reason: reason.to_owned(),
        }
    }
}

/// The plaintext of `range` of a segment of `plain` bytes, from the stream of its sealed bytes in
/// [`sealed_range`]. Nothing is given out that was not proven to be what was sealed.
pub fn open(
    key: SegmentKey,
    blob: BlobId,
    sealed: BlobStream,
    range: Range<u64>,
    plain: u64,
) -> BlobStream {
    let opener = Opener {
        key,
        blob,
        sealed,
        held: BytesMut::new(),
        number: range.start / CHUNK_BYTES,
        last: plain.saturating_sub(1) / CHUNK_BYTES,
        plain,
        range,
    };
    stream::try_unfold(opener, |mut opener| async move {
        let next = opener.next().await?;
        Ok(next.map(|bytes| (bytes, opener)))
    })
    .boxed()
}

fn to_usize(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use futures_util::TryStreamExt as _;
    use proptest::prelude::*;

    use super::*;

    fn key() -> SegmentKey {
        SegmentKey::derive(&DataKey::from_bytes([7; 32]), &[1; 16]).unwrap()
    }

    fn seal(plain: &[u8], step: usize) -> Vec<u8> {
        let mut sealer = Sealer::new(key());
        let mut sealed = Vec::new();
        for piece in plain.chunks(step.max(1)) {
            sealed.extend(sealer.push(piece).unwrap().concat());
        }
        sealed.extend_from_slice(&sealer.finish().unwrap());
        sealed
    }

    fn open_range(sealed: &[u8], range: Range<u64>, plain: u64) -> Result<Vec<u8>, BlobError> {
        let part = sealed_range(&range, plain);
        let part = &sealed[to_usize(part.start)..to_usize(part.end)];
        let pieces: Vec<_> = part
            .chunks(1000)
            .map(|piece| Ok(Bytes::copy_from_slice(piece)))
            .collect();
        let blob = BlobId::from_bytes([0; 16]);
        let opened = open(key(), blob, stream::iter(pieces).boxed(), range, plain);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime
            .block_on(opened.try_collect::<Vec<_>>())
            .map(|pieces| pieces.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn any_range_opens(len in 0_usize..200_000, step in 1_usize..100_000, at in 0_usize..=1000, to in 0_usize..=1000) {
            let plain: Vec<u8> = (0..=250).cycle().take(len).collect();
            let sealed = seal(&plain, step);
            prop_assert_eq!(sealed.len() as u64, sealed_len(len as u64));
            let from = len * at / 1000;
            let to = from + (len - from) * to / 1000;
            let opened = open_range(&sealed, from as u64..to as u64, len as u64).unwrap();
            prop_assert_eq!(&opened[..], &plain[from..to]);
        }
    }

    #[test]
    fn changed_swapped_or_cut_bytes_do_not_open() {
        let len = 3 * CHUNK_BYTES;
        let plain = vec![5; to_usize(len)];
        let sealed = seal(&plain, 1 << 20);
        assert_eq!(open_range(&sealed, 0..len, len).unwrap(), plain);
        let step = to_usize(CHUNK_BYTES + TAG_BYTES);
        let mut flipped = sealed.clone();
        flipped[step + 9] ^= 1;
        assert!(open_range(&flipped, 0..len, len).is_err());
        assert!(open_range(&flipped, 0..CHUNK_BYTES, len).is_ok());
        let swapped = [
            &sealed[step..2 * step],
            &sealed[..step],
            &sealed[2 * step..],
        ]
        .concat();
        assert!(open_range(&swapped, 0..len, len).is_err());
        let cut = &sealed[..2 * step];
        assert!(open_range(cut, 0..2 * CHUNK_BYTES, 2 * CHUNK_BYTES).is_err());
    }
}
