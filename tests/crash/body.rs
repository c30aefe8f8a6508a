//! Bytes that tell whose they are: every 4 KiB of a write carry its seed and their place in it.

use std::sync::Arc;

use md5::{Digest, Md5};

use crate::support::Random;

const BLOCK: usize = 4096;

/// Bytes that one seed makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) seed: u64,
    pub(crate) len: usize,
}

/// An object as it must be read.
#[derive(Debug, Clone)]
pub(crate) struct Value {
    pub(crate) pieces: Arc<[Piece]>,
    pub(crate) len: usize,
    pub(crate) md5: [u8; 16],
    /// Without quotes.
    pub(crate) etag: String,
    /// In the form of `x-amz-tagging`; empty where there are none.
    pub(crate) tags: String,
}

/// What a reader saw of an object; none where it did not look.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) len: usize,
    pub(crate) etag: String,
    pub(crate) md5: Option<[u8; 16]>,
    pub(crate) tags: Option<String>,
}

impl Piece {
    pub(crate) fn bytes(self) -> Vec<u8> {
        let mut random = Random(self.seed);
        let block: Vec<u8> = (0..BLOCK / 8)
            .flat_map(|_| random.next().to_le_bytes())
            .collect();
        let mut bytes = Vec::with_capacity(self.len + BLOCK);
        for number in 0..self.len.div_ceil(BLOCK) as u64 {
            let from = bytes.len();
            bytes.extend_from_slice(&block);
            bytes[from..from + 8].copy_from_slice(&self.seed.to_le_bytes());
            bytes[from + 8..from + 16].copy_from_slice(&number.to_le_bytes());
        }
        bytes.truncate(self.len);
        bytes
    }
}

impl Value {
    /// What one write makes.
    pub(crate) fn whole(piece: Piece) -> Self {
        let md5 = md5_of(&piece.bytes());
        Self {
            pieces: Arc::new([piece]),
            len: piece.len,
            md5,
            etag: hex::encode(md5),
            tags: String::new(),
        }
    }

    /// What the parts of an upload make.
    pub(crate) fn of_parts(parts: &[Value]) -> Self {
        let pieces: Vec<_> = parts
            .iter()
            .flat_map(|part| part.pieces.iter().copied())
            .collect();
        let md5s: Vec<u8> = parts.iter().flat_map(|part| part.md5).collect();
        let etag = format!("{}-{}", hex::encode(md5_of(&md5s)), parts.len());
        Self::made_of(pieces, etag)
    }

    /// The same with `piece` behind it.
    pub(crate) fn appended(&self, piece: Piece) -> Self {
        let (md5, parts) = self.etag.split_once('-').unwrap_or((&self.etag, "1"));
        let parts: u32 = parts.parse().unwrap();
        let both = [hex::decode(md5).unwrap(), md5_of(&piece.bytes()).to_vec()].concat();
        let etag = format!("{}-{}", hex::encode(md5_of(&both)), parts + 1);
        let pieces = self.pieces.iter().copied().chain([piece]).collect();
        let tags = self.tags.clone();
        Self {
            tags,
            ..Self::made_of(pieces, etag)
        }
    }

    /// A part that is a copy of it, whose entity tag is that of its bytes.
    pub(crate) fn copied(&self) -> Self {
        Self {
            etag: hex::encode(self.md5),
            ..self.clone()
        }
    }

    pub(crate) fn with_tags(self, tags: &str) -> Self {
        Self {
            tags: tags.to_owned(),
            ..self
        }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.pieces.iter().flat_map(|piece| piece.bytes()).collect()
    }

    /// Whether this is what a reader saw.
    pub(crate) fn shows(&self, seen: &Seen) -> bool {
        self.len == seen.len
            && self.etag == seen.etag
            && seen.md5.is_none_or(|md5| md5 == self.md5)
            && seen.tags.as_ref().is_none_or(|tags| *tags == self.tags)
    }

    fn made_of(pieces: Vec<Piece>, etag: String) -> Self {
        let bytes: Vec<u8> = pieces.iter().flat_map(|piece| piece.bytes()).collect();
        Self {
            pieces: pieces.into(),
            len: bytes.len(),
            md5: md5_of(&bytes),
            etag,
            tags: String::new(),
        }
    }
}

pub(crate) fn md5_of(bytes: &[u8]) -> [u8; 16] {
    Md5::digest(bytes).into()
}
