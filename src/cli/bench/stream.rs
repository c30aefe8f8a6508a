//! Bodies as the SDKs stream them: `aws-chunked`, with or without a checksum behind the last chunk.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html>,
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming-trailers.html>

use bytes::Bytes;
use clap::ValueEnum;
use futures_util::stream;
use http::{HeaderMap, HeaderValue, Method, Request, Uri};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use sha2::{Digest as _, Sha256};

use super::wire::{Endpoint, Sending, failed, request};
use crate::auth::presign::sign_header;
use crate::checksum::{Algorithm, Checksum};
use crate::cli::CliError;
use crate::clock::{Clock as _, SystemClock};

/// A chunk's data, as AWS's SDK for Java cuts it.
const CHUNK_BYTES: usize = 128 << 10;
/// A signature in hexadecimal.
const SIGNATURE_BYTES: usize = 64;
/// What the SDKs compute where nothing else is asked for.
const CHECKSUM: Algorithm = Algorithm::Crc32;

/// How an SDK streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Form {
    /// Each chunk and the checksum signed, as AWS's SDKs do without TLS
    Signed,
    /// Each chunk signed, and no checksum, as MinIO's SDKs do, and AWS's did
    Chunks,
    /// Nothing but the head signed, as they do over TLS
    Unsigned,
}

/// A link of the chain of signatures, by the SHA-256 of what it signs.
enum Link {
    Chunk([u8; 32]),
    Trailer([u8; 32]),
}

/// A body that was cut and hashed beforehand, and is sent under a new signature each time.
#[derive(Debug)]
pub(super) struct Streamed {
    form: Form,
    chunks: Vec<(Bytes, [u8; 32])>,
    trailer: String,
    decoded: usize,
    encoded: usize,
}

impl Form {
    /// `x-amz-content-sha256`.
    const fn payload(self) -> &'static str {
        match self {
            Self::Signed => "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
            Self::Chunks => "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
            Self::Unsigned => "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        }
    }
}

impl Streamed {
    pub(super) fn new(form: Form, body: &Bytes) -> Self {
        let chunks = (0..body.len()).step_by(CHUNK_BYTES).map(|start| {
            let data = body.slice(start..body.len().min(start.saturating_add(CHUNK_BYTES)));
            let sha256 = Sha256::digest(&data).into();
            (data, sha256)
        });
        let checksum = Checksum::full(CHECKSUM, CHECKSUM.digest(body)).text();
        let mut streamed = Self {
            form,
            chunks: chunks.collect(),
            trailer: format!("{}:{checksum}", CHECKSUM.header()),
            decoded: body.len(),
            encoded: 0,
        };
        let pieces = streamed.pieces(|_link| "0".repeat(SIGNATURE_BYTES));
        streamed.encoded = pieces.iter().map(Bytes::len).sum();
        streamed
    }

    /// The encoded body's pieces, signed by `sign` where they are signed at all.
    fn pieces(&self, mut sign: impl FnMut(Link) -> String) -> Vec<Bytes> {
        let mut head = |len: usize, sha256: [u8; 32], before: &str| match self.form {
            Form::Signed | Form::Chunks => {
                let signature = sign(Link::Chunk(sha256));
                format!("{before}{len:x};chunk-signature={signature}\r\n").into()
            }
            Form::Unsigned => format!("{before}{len:x}\r\n").into(),
        };
        let mut pieces: Vec<Bytes> = Vec::with_capacity(self.chunks.len().saturating_mul(2));
        let mut before = "";
        for (data, sha256) in &self.chunks {
            pieces.push(head(data.len(), *sha256, before));
            pieces.push(data.clone());
            before = "\r\n";
        }
        pieces.push(head(0, Sha256::digest([]).into(), before));
        let trailer = &self.trailer;
        pieces.push(match self.form {
            Form::Signed => {
                let sha256 = Sha256::digest(format!("{trailer}\n")).into();
                let signature = sign(Link::Trailer(sha256));
                format!("{trailer}\r\nx-amz-trailer-signature:{signature}\r\n\r\n").into()
            }
            Form::Chunks => "\r\n".into(),
            Form::Unsigned => format!("{trailer}\r\n\r\n").into(),
        });
        pieces
    }

    /// A `PutObject` of this body, signed now.
    pub(super) fn put(
        &self,
        endpoint: &Endpoint,
        path: &str,
    ) -> Result<Request<Sending>, CliError> {
        let Some(signer) = endpoint.signer() else {
            return Err(CliError::Usage("a stream is signed by a key".to_owned()));
        };
        let mut headers = HeaderMap::new();
        headers.insert("content-encoding", HeaderValue::from_static("aws-chunked"));
        if self.form != Form::Chunks {
            let trailer = HeaderValue::from_static(CHECKSUM.header());
            headers.insert("x-amz-trailer", trailer);
        }
        let decoded = HeaderValue::from(self.decoded);
        headers.insert("x-amz-decoded-content-length", decoded);
        let target = endpoint.target("PUT", path, &[]);
        let now = SystemClock.now();
        let mut chain = sign_header(&signer, &target, &mut headers, self.form.payload(), now);
        let pieces = self.pieces(|link| match link {
            Link::Chunk(sha256) => chain.sign_chunk(sha256),
            Link::Trailer(sha256) => chain.sign_trailer(sha256),
        });
        let uri = Uri::try_from(target.raw_path()).map_err(failed)?;
        let frames = pieces.into_iter().map(|piece| Ok(Frame::data(piece)));
        let body = StreamBody::new(stream::iter(frames)).boxed_unsync();
        let mut request = request(Method::PUT, uri, body, self.encoded);
        request.headers_mut().extend(headers);
        Ok(request)
    }
}
