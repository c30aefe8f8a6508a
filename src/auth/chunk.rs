//! The chain of signatures over an `aws-chunked` body: each chunk signs its predecessor's signature.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html>

use std::fmt;

use zeroize::Zeroizing;

use super::sigv4::{EMPTY_SHA256, Scope, same, sign};

/// Where a chain of chunk signatures stands.
#[derive(Clone)]
pub struct ChunkChain {
    key: Zeroizing<[u8; 32]>,
    amz_date: String,
    scope: String,
    previous: String,
}

impl ChunkChain {
    pub(crate) fn new(key: Zeroizing<[u8; 32]>, date: &str, scope: &Scope<'_>, seed: &str) -> Self {
        Self {
            key,
            amz_date: date.into(),
            scope: scope.text(),
            previous: seed.into(),
        }
    }

    /// The signature of the next chunk, whose data has the SHA-256 `sha256`. Moves the chain on.
    pub fn sign_chunk(&mut self, sha256: [u8; 32]) -> String {
        let tail = format!("{EMPTY_SHA256}\n{}", hex::encode(sha256));
        self.step("AWS4-HMAC-SHA256-PAYLOAD", &tail)
    }

    /// The signature of the trailer, whose lines `name:value\n` have the SHA-256 `sha256`.
    pub fn sign_trailer(&mut self, sha256: [u8; 32]) -> String {
        self.step("AWS4-HMAC-SHA256-TRAILER", &hex::encode(sha256))
    }

    /// Whether `signature` is that of the next chunk. The final, empty chunk is asked about too.
    pub fn verify_chunk(&mut self, chunk_sha256: [u8; 32], signature: &str) -> bool {
        same(self.sign_chunk(chunk_sha256), signature)
    }

    /// Whether `signature` is that of the trailer.
    pub fn verify_trailer(&mut self, trailer_bytes_sha256: [u8; 32], signature: &str) -> bool {
        same(self.sign_trailer(trailer_bytes_sha256), signature)
    }

    fn step(&mut self, kind: &str, tail: &str) -> String {
        let Self {
            amz_date,
            scope,
            previous,
            ..
        } = &*self;
        let string = format!("{kind}\n{amz_date}\n{scope}\n{previous}\n{tail}");
        // The chain goes on from our own signature: after a false one nothing can be true again.
        self.previous = sign(&self.key, &string);
        self.previous.clone()
    }
}

impl fmt::Debug for ChunkChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChunkChain")
            .field("scope", &self.scope)
            .finish_non_exhaustive()
    }
}
