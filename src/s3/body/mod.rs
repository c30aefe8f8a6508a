//! A request's body: framing, limits and proofs. Nothing is read before somebody asks for it, so
//! that `100 Continue` is sent only to requests that have passed every check of their head.

pub mod aws_chunked;
mod digest;
mod expected;
pub mod form;
mod lanes;
#[cfg(test)]
mod tests;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, BoxStream, Stream, StreamExt as _};
use http::HeaderMap;
use http_body_util::BodyExt as _;
use http_body_util::combinators::UnsyncBoxBody;

use self::aws_chunked::{Decoder, Framing, Piece};
pub use self::digest::ChunkVerifier;
use self::digest::{Digests, Pipeline};
use self::expected::Expected;
use super::checksum_header::Claim;
use super::error::{Code, S3Error};
use super::head::header;
use super::reply::BoxError;
use crate::checksum::{Algorithm, Checksum};

/// Bytes of the largest object that one request can bring.
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/upload-objects.html>
pub const OBJECT_BYTES_MAX: u64 = 5 << 30;

/// How a body proves that it is what was signed.
#[derive(Debug)]
pub enum Proof {
    /// Not at all.
    Unsigned,
    /// By its SHA-256, which the head's signature covers.
    Sha256([u8; 32]),
    /// By a signature on each chunk, and on the trailers where there are some.
    SignedChunks {
        /// The judge.
        verifier: Box<dyn ChunkVerifier>,
        /// Whether trailers follow.
        trailer: bool,
    },
    /// In chunks without signatures, with trailers.
    UnsignedTrailer,
}

/// Where a body's bytes go.
pub trait Sink: Send {
    /// Takes `bytes` over.
    fn write(&mut self, bytes: Bytes) -> impl Future<Output = Result<(), S3Error>> + Send;
}

/// A sink in memory, for what is known to be small.
impl Sink for Vec<u8> {
    async fn write(&mut self, bytes: Bytes) -> Result<(), S3Error> {
        self.extend_from_slice(&bytes);
        Ok(())
    }
}

/// What a handler wants of a body.
#[derive(Debug, Clone, Copy)]
pub struct ReceiveOptions {
    /// Bytes at least,
    pub min_len: u64,
    /// and at most.
    pub max_len: u64,
    /// Whether the client must send what proves its bytes.
    pub needs_checksum: bool,
    /// The algorithm that the client must have used, and that is computed where it sent none;
    /// nothing leaves the choice to the client, and CRC64NVME to us, as S3 has it.
    pub algorithm: Option<Algorithm>,
    /// Computed too, where the client chose another.
    pub also: Option<Algorithm>,
    /// Whether OSS's own is computed too.
    pub crc64ecma: bool,
    /// Whether the MD5 is computed though the client sent none: an object's entity tag.
    pub md5: bool,
}

impl Default for ReceiveOptions {
    fn default() -> Self {
        Self {
            min_len: 0,
            max_len: OBJECT_BYTES_MAX,
            needs_checksum: false,
            algorithm: None,
            also: None,
            crc64ecma: false,
            md5: true,
        }
    }
}

impl ReceiveOptions {
    /// Judges a length, announced or counted.
    ///
    /// # Errors
    /// `EntityTooLarge`, `EntityTooSmall`.
    pub fn check_len(&self, len: u64) -> Result<(), S3Error> {
        if len > self.max_len {
            return Err(too_large(len, self.max_len));
        }
        if len < self.min_len {
            return Err(too_small(len, self.min_len));
        }
        Ok(())
    }
}

/// What came, once all of it has come and every proof has held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digest {
    /// Bytes.
    pub len: u64,
    /// Their MD5, where it was wanted.
    pub md5: Option<[u8; 16]>,
    /// Their checksum.
    pub checksum: Checksum,
    /// The other one that the handler wanted.
    pub also: Option<Checksum>,
    /// OSS's own, where it was wanted.
    pub crc64ecma: Option<u64>,
}

impl Digest {
    /// The MD5 that an entity tag is made of.
    ///
    /// # Errors
    /// `InternalError` where the handler wanted none.
    pub fn etag_md5(&self) -> Result<[u8; 16], S3Error> {
        self.md5
            .ok_or_else(|| S3Error::internal("an object's MD5 was not computed"))
    }

    /// The checksum by that algorithm, where it was computed.
    pub fn by(&self, algorithm: Algorithm) -> Option<&Checksum> {
        let all = [Some(&self.checksum), self.also.as_ref()];
        let mut all = all.into_iter().flatten();
        all.find(|checksum| checksum.algorithm == algorithm)
    }
}

/// A body that has not been read.
pub struct Payload {
    body: UnsyncBoxBody<Bytes, BoxError>,
    headers: Arc<HeaderMap>,
    proof: Proof,
    idle: Duration,
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Payload")
            .field("proof", &self.proof)
            .finish_non_exhaustive()
    }
}

impl Payload {
    /// The body of a request with these headers. A client that sends nothing for `idle` is given
    /// up.
    pub fn new<B>(body: B, headers: impl Into<Arc<HeaderMap>>, proof: Proof, idle: Duration) -> Self
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let body = body.map_err(Into::into).boxed_unsync();
        Self {
            body,
            headers: headers.into(),
            proof,
            idle,
        }
    }

    /// The same body, about which the head's checksum says nothing: with `CompleteMultipartUpload`
    /// it is the object's.
    #[must_use]
    pub fn without_claim(mut self) -> Self {
        let headers = Arc::make_mut(&mut self.headers);
        for algorithm in Algorithm::ALL {
            headers.remove(algorithm.header());
        }
        headers.remove("x-amz-sdk-checksum-algorithm");
        self
    }

    /// Bytes of the object that the client announced.
    ///
    /// # Errors
    /// `MissingContentLength` where it didn't, `InvalidArgument` where it is no number.
    pub fn announced_len(&self) -> Result<u64, S3Error> {
        let framed = matches!(
            self.proof,
            Proof::SignedChunks { .. } | Proof::UnsignedTrailer
        );
        let name = if framed {
            "x-amz-decoded-content-length"
        } else {
            "content-length"
        };
        let text = header(&self.headers, name)?.ok_or(S3Error::new(Code::MissingContentLength))?;
        // Rust's own parser takes a sign too.
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        let len = digits.then(|| text.parse().ok()).flatten();
        len.ok_or_else(|| {
            S3Error::argument(name, text, format!("The value of {name} is not a length."))
        })
    }

    /// Reads the object's bytes into `sink` and judges them.
    ///
    /// # Errors
    /// The error of S3 for what doesn't hold: length, framing, signature, digest or checksum.
    pub async fn receive_into<S: Sink>(
        self,
        sink: &mut S,
        want: ReceiveOptions,
    ) -> Result<Digest, S3Error> {
        let len = self.announced_len()?;
        want.check_len(len)?;
        self.read(sink, want, Some(len)).await
    }

    /// Reads a small body whole.
    ///
    /// # Errors
    /// `MaxMessageLengthExceeded` past `max` bytes; as [`Payload::receive_into`] else.
    pub async fn bytes(self, max: u64) -> Result<Bytes, S3Error> {
        let framed = matches!(
            self.proof,
            Proof::SignedChunks { .. } | Proof::UnsignedTrailer
        );
        let has_len = self.headers.contains_key(http::header::CONTENT_LENGTH);
        let len = if framed || has_len {
            Some(self.announced_len()?)
        } else {
            None
        };
        if len.is_some_and(|len| len > max) {
            return Err(S3Error::new(Code::MaxMessageLengthExceeded));
        }
        let mut sink = Vec::with_capacity(usize::try_from(len.unwrap_or(0)).unwrap_or(0));
        let want = ReceiveOptions {
            max_len: max,
            md5: false,
            ..ReceiveOptions::default()
        };
        self.read(&mut sink, want, len)
            .await
            .map_err(|error| match error.code() {
                Code::EntityTooLarge => S3Error::new(Code::MaxMessageLengthExceeded),
                _ => error,
            })?;
        Ok(sink.into())
    }

    /// Reads a document of S3's.
    ///
    /// # Errors
    /// `MissingRequestBodyError` where there is none; as [`Payload::bytes`] else.
    pub async fn xml(self, max: u64) -> Result<Bytes, S3Error> {
        let bytes = self.bytes(max).await?;
        if bytes.is_empty() {
            Err(Code::MissingRequestBodyError.into())
        } else {
            Ok(bytes)
        }
    }

    /// The bytes as they come, for a form, whose proof stands in its fields.
    pub fn into_stream(self) -> BoxStream<'static, Result<Bytes, S3Error>> {
        let (body, idle) = (self.body, self.idle);
        stream::try_unfold(body, move |mut body| async move {
            Ok(next(&mut body, idle).await?.map(|bytes| (bytes, body)))
        })
        .boxed()
    }

    async fn read<S: Sink>(
        mut self,
        sink: &mut S,
        want: ReceiveOptions,
        len: Option<u64>,
    ) -> Result<Digest, S3Error> {
        let expected = Expected::of(&self.headers, want.algorithm)?;
        if want.needs_checksum && !matches!(self.proof, Proof::Sha256(_)) {
            expected.check_present()?;
        }
        let (framing, sha256, verifier) = match self.proof {
            Proof::Unsigned => (None, None, None),
            Proof::Sha256(sha256) => (None, Some(sha256), None),
            Proof::SignedChunks { verifier, trailer } => (
                Some(Framing {
                    signed: true,
                    trailer,
                }),
                None,
                Some(verifier),
            ),
            Proof::UnsignedTrailer => (
                Some(Framing {
                    signed: false,
                    trailer: true,
                }),
                None,
                None,
            ),
        };
        let has_trailer = framing.is_some_and(|framing| framing.trailer);
        if matches!(expected.claim, Claim::Trailer(_)) && !has_trailer {
            return Err(Code::MalformedTrailerError.into());
        }
        let digests = Digests::new(&expected, &want, sha256.is_some(), verifier);
        let mut intake = Intake {
            pipeline: Pipeline::new(digests),
            len: 0,
            max: len,
            want,
        };
        let mut decoder = framing.map(Decoder::new);
        let mut pieces = Vec::new();
        while let Some(bytes) = next(&mut self.body, self.idle).await? {
            match &mut decoder {
                None => pieces.push(Piece::Data(bytes)),
                Some(decoder) => decoder.push(bytes, &mut pieces)?,
            }
            for piece in pieces.drain(..) {
                intake.take(piece, sink).await?;
            }
        }
        let whole = decoder.as_ref().is_none_or(Decoder::is_done);
        if !whole || len.is_some_and(|len| len != intake.len) {
            return Err(Code::IncompleteBody.into());
        }
        let len = intake.len;
        want.check_len(len)?;
        let digests = intake.pipeline.finish().await?;
        expected.judge(*digests, sha256, len)
    }
}

/// Reads a stream that is no request's body, such as a form's file, into `sink`. It proves itself
/// by the checksum that `fields` claim, and is cut off one byte past the limit.
///
/// # Errors
/// As [`Payload::receive_into`].
pub async fn receive_stream<S: Sink>(
    stream: impl Stream<Item = Result<Bytes, S3Error>> + Send,
    fields: &HeaderMap,
    sink: &mut S,
    want: ReceiveOptions,
) -> Result<Digest, S3Error> {
    let expected = Expected::of(fields, want.algorithm)?;
    if want.needs_checksum {
        expected.check_present()?;
    }
    let digests = Digests::new(&expected, &want, false, None);
    let mut intake = Intake {
        pipeline: Pipeline::new(digests),
        len: 0,
        max: None,
        want,
    };
    let mut stream = std::pin::pin!(stream);
    while let Some(bytes) = stream.next().await {
        intake.take(Piece::Data(bytes?), sink).await?;
    }
    let len = intake.len;
    want.check_len(len)?;
    let digests = intake.pipeline.finish().await?;
    expected.judge(*digests, None, len)
}

/// The next bytes of a body.
async fn next(
    body: &mut UnsyncBoxBody<Bytes, BoxError>,
    idle: Duration,
) -> Result<Option<Bytes>, S3Error> {
    loop {
        let frame = tokio::time::timeout(idle, body.frame()).await;
        let frame = frame.map_err(|_elapsed| S3Error::new(Code::RequestTimeout))?;
        match frame {
            None => return Ok(None),
            Some(Err(error)) => return Err(S3Error::new(broken(&*error)).caused_by(error)),
            Some(Ok(frame)) => match frame.into_data() {
                Ok(bytes) if bytes.is_empty() => {}
                Ok(bytes) => return Ok(Some(bytes)),
                // HTTP's own trailers say nothing that S3 listens to.
                Err(_trailers) => {}
            },
        }
    }
}

/// What S3 calls a body that does not come: the socket's own clock may be the first to run out.
fn broken(error: &(dyn std::error::Error + 'static)) -> Code {
    let timed_out = error
        .downcast_ref::<std::io::Error>()
        .is_some_and(|error| error.kind() == std::io::ErrorKind::TimedOut);
    if timed_out {
        Code::RequestTimeout
    } else {
        Code::IncompleteBody
    }
}

/// Counts, hashes and stores.
struct Intake {
    pipeline: Pipeline,
    len: u64,
    max: Option<u64>,
    want: ReceiveOptions,
}

impl Intake {
    async fn take<S: Sink>(&mut self, piece: Piece, sink: &mut S) -> Result<(), S3Error> {
        let Piece::Data(bytes) = &piece else {
            self.pipeline.push(piece).await?;
            self.pipeline.room().await;
            return Ok(());
        };
        self.len = self
            .len
            .saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        if self.max.is_some_and(|max| self.len > max) {
            return Err(Code::IncompleteBody.into());
        }
        if self.len > self.want.max_len {
            return Err(too_large(self.len, self.want.max_len));
        }
        let bytes = bytes.clone();
        self.pipeline.push(piece).await?;
        sink.write(bytes).await?;
        self.pipeline.room().await;
        Ok(())
    }
}

/// `EntityTooLarge`.
pub(super) fn too_large(len: u64, max: u64) -> S3Error {
    S3Error::new(Code::EntityTooLarge)
        .with("ProposedSize", len.to_string())
        .with("MaxSizeAllowed", max.to_string())
}

/// `EntityTooSmall`.
pub(super) fn too_small(len: u64, min: u64) -> S3Error {
    S3Error::new(Code::EntityTooSmall)
        .with("ProposedSize", len.to_string())
        .with("MinSizeAllowed", min.to_string())
}
