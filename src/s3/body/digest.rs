//! What is computed over a body on its way: beside the write, not before it.

use std::sync::Arc;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use tokio::sync::oneshot;

use super::aws_chunked::Piece;
use super::expected::Expected;
use super::{ReceiveOptions, lanes};
use crate::backlog::{Backlog, Bounds};
use crate::checksum::md5::Md5;
use crate::checksum::{Algorithm, Hasher};
use crate::s3::error::{Code, S3Error};

/// The last bytes of a body go to another thread from so many on. Fewer are hashed where they are.
const ALONE_BYTES: usize = 32 * 1024;

/// Judges the signatures of a body's chunks, each of which continues the one before it.
pub trait ChunkVerifier: std::fmt::Debug + Send {
    /// Whether `signature` is that of the next chunk, whose bytes have this SHA-256.
    fn chunk(&mut self, sha256: [u8; 32], signature: &str) -> bool;
    /// Whether `signature` is that of the trailers, whose canonical form has this SHA-256.
    fn trailer(&mut self, sha256: [u8; 32], signature: &str) -> bool;
}

/// The digests of a body, and the judge of its chunks.
#[derive(Debug)]
pub(super) struct Digests {
    pub(super) md5: Option<Md5>,
    pub(super) checksum: Hasher,
    pub(super) also: Option<Hasher>,
    pub(super) crc64ecma: Option<Hasher>,
    pub(super) sha256: Option<Hasher>,
    pub(super) trailers: Vec<(String, String)>,
    chunk: Sha256,
    verifier: Option<Box<dyn ChunkVerifier>>,
}

impl Digests {
    /// Those that what is expected is judged by, and what else is wanted.
    pub(super) fn new(
        expected: &Expected,
        want: &ReceiveOptions,
        sha256: bool,
        verifier: Option<Box<dyn ChunkVerifier>>,
    ) -> Self {
        let checksum = expected.algorithm;
        let also = want.also.filter(|also| *also != checksum);
        let crc64ecma = want.crc64ecma.then_some(Algorithm::Crc64Ecma);
        Self {
            md5: (want.md5 || expected.has_md5()).then(Md5::default),
            checksum: Hasher::new(checksum),
            also: also.map(Hasher::new),
            crc64ecma: crc64ecma.map(Hasher::new),
            sha256: sha256.then(|| Hasher::new(Algorithm::Sha256)),
            trailers: Vec::new(),
            chunk: Sha256::new(),
            verifier,
        }
    }

    /// Takes a piece into everything but the MD5; returns the bytes that are still to be taken there, where
    /// there is one.
    pub(super) fn take_beside_md5(&mut self, piece: Piece) -> Result<Option<Bytes>, S3Error> {
        match piece {
            Piece::Data(bytes) => {
                self.checksum.update(&bytes);
                let wanted = [&mut self.also, &mut self.crc64ecma, &mut self.sha256];
                for hasher in wanted.into_iter().flatten() {
                    hasher.update(&bytes);
                }
                if self.verifier.is_some() {
                    self.chunk.update(&bytes);
                }
                return Ok(self.md5.is_some().then_some(bytes));
            }
            Piece::ChunkEnd(signature) => {
                let sha256 = self.chunk.finalize_reset().into();
                self.judge(signature, |verifier, signature| {
                    verifier.chunk(sha256, signature)
                })?;
            }
            Piece::Trailer { fields, signature } => {
                let lines = fields
                    .iter()
                    .map(|(name, value)| format!("{name}:{value}\n"));
                let sha256 = Sha256::digest(lines.collect::<String>()).into();
                self.trailers = fields;
                self.judge(signature, |verifier, signature| {
                    verifier.trailer(sha256, signature)
                })?;
            }
        }
        Ok(None)
    }

    fn judge(
        &mut self,
        signature: Option<String>,
        is_right: impl FnOnce(&mut dyn ChunkVerifier, &str) -> bool,
    ) -> Result<(), S3Error> {
        let Some(verifier) = &mut self.verifier else {
            return Ok(());
        };
        let signature = signature.unwrap_or_default();
        if is_right(verifier.as_mut(), &signature) {
            return Ok(());
        }
        Err(S3Error::new(Code::SignatureDoesNotMatch).with("SignatureProvided", signature))
    }

    fn apply_all(mut self: Box<Self>, pieces: Vec<Piece>) -> Result<Box<Self>, S3Error> {
        for piece in pieces {
            if let (Some(bytes), Some(md5)) = (self.take_beside_md5(piece)?, &mut self.md5) {
                md5.update(&bytes);
            }
        }
        Ok(self)
    }
}

/// Feeds the digests. Those of large bodies are computed on threads of their own: no thread waits for
/// a slow client.
#[derive(Debug)]
pub(super) struct Pipeline {
    /// Where no thread has them.
    idle: Option<Box<Digests>>,
    job: Option<oneshot::Receiver<lanes::Outcome>>,
    backlog: Arc<Backlog<Piece>>,
}

impl Pipeline {
    pub(super) fn new(digests: Digests) -> Self {
        Self {
            idle: Some(Box::new(digests)),
            job: None,
            backlog: Backlog::new(Bounds::UPLOAD),
        }
    }

    pub(super) async fn push(&mut self, piece: Piece) -> Result<(), S3Error> {
        // Markers count a little too: a body of tiny chunks must not pile them up.
        let bytes = match &piece {
            Piece::Data(bytes) => bytes.len().max(64),
            Piece::ChunkEnd(_) | Piece::Trailer { .. } => 128,
        };
        if let Some(work) = self.backlog.push(piece, bytes) {
            self.job = Some(lanes::take(self.rest().await?, work));
        }
        Ok(())
    }

    /// Waits where too much waits already.
    pub(super) async fn room(&mut self) {
        self.backlog.room().await;
    }

    /// Everything has come: the digests over all of it.
    pub(super) async fn finish(mut self) -> Result<Box<Digests>, S3Error> {
        if let Some(work) = self.backlog.end(ALONE_BYTES) {
            self.job = Some(lanes::take(self.rest().await?, work));
        }
        let digests = self.rest().await?;
        digests.apply_all(self.backlog.rest())
    }

    async fn rest(&mut self) -> Result<Box<Digests>, S3Error> {
        if let Some(job) = self.job.take() {
            return job.await.map_err(S3Error::internal)?;
        }
        self.idle
            .take()
            .ok_or_else(|| S3Error::internal("the digests are gone"))
    }
}
