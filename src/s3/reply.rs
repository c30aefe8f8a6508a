//! An answer, and the body that carries it.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::stream::{BoxStream, Stream, StreamExt as _};
use http::header::IntoHeaderName;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use http_body::{Frame, SizeHint};

use super::ending::Ending;
use super::error::{Code, S3Error};
use super::xml::XmlWriter;
use crate::store::{ObjectRecord, PartRecord};

/// Any error, boxed.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Headers of an answer, mostly: room for them is made once.
const HEADERS: usize = 12;

/// An answer.
#[derive(Debug)]
pub struct Reply {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: ReplyBody,
    /// The object or part that it is about, for who says more of it than S3 does.
    pub facts: Option<Box<Facts>>,
}

/// What is known of an object or a part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Its length in bytes.
    pub len: u64,
    /// The type that it was given.
    pub content_type: Option<String>,
    /// The MD5 of all of its bytes, where its entity tag is that.
    pub md5: Option<[u8; 16]>,
    /// Its CRC-64 of OSS, where that was computed.
    pub crc64ecma: Option<u64>,
}

impl From<&ObjectRecord> for Facts {
    fn from(record: &ObjectRecord) -> Self {
        Self {
            len: record.len,
            content_type: record.headers.content_type.clone(),
            md5: record.etag.whole(),
            crc64ecma: record.crc64ecma,
        }
    }
}

impl From<&PartRecord> for Facts {
    fn from(part: &PartRecord) -> Self {
        Self {
            len: part.len(),
            content_type: None,
            md5: Some(part.etag_md5),
            crc64ecma: part.crc64ecma,
        }
    }
}

impl Reply {
    /// An answer without a body.
    pub fn empty(status: StatusCode) -> Self {
        Self {
            status,
            headers: HeaderMap::with_capacity(HEADERS),
            body: ReplyBody::empty(),
            facts: None,
        }
    }

    /// 200 with a document.
    pub fn xml(document: XmlWriter) -> Self {
        Self::full("application/xml", document.finish())
    }

    /// 200 with a text of this type.
    pub fn full(kind: &'static str, text: impl Into<Bytes>) -> Self {
        let reply = Self {
            body: ReplyBody::full(text),
            ..Self::empty(StatusCode::OK)
        };
        reply.with_static("content-type", kind)
    }

    /// 200 with bytes of a known number that are yet to come.
    pub fn stream<E: Into<BoxError>>(
        len: u64,
        stream: impl Stream<Item = Result<Bytes, E>> + Send + 'static,
    ) -> Self {
        Self {
            body: ReplyBody::stream(len, stream),
            ..Self::empty(StatusCode::OK)
        }
    }

    /// Tells what it is about.
    #[must_use]
    pub fn about(mut self, facts: impl Into<Facts>) -> Self {
        self.facts = Some(Box::new(facts.into()));
        self
    }

    /// Sets another status.
    #[must_use]
    pub const fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// Sets a header of ours.
    #[must_use]
    pub fn with_static(mut self, name: impl IntoHeaderName, value: &'static str) -> Self {
        self.headers.insert(name, HeaderValue::from_static(value));
        self
    }

    /// Sets a header.
    ///
    /// # Errors
    /// `InvalidArgument` where the value can't stand in a header: a line break must never get out.
    pub fn with_header(mut self, name: &str, value: &str) -> Result<Self, S3Error> {
        let header: Result<HeaderName, _> = name.parse();
        match (header, HeaderValue::from_bytes(value.as_bytes())) {
            (Ok(header), Ok(value)) => {
                self.headers.insert(header, value);
                Ok(self)
            }
            _ => Err(cannot_be_sent(name)),
        }
    }

    /// Sets a header to a text that nobody else needs: it is not copied.
    ///
    /// # Errors
    /// As [`Reply::with_header`].
    pub fn with_text(mut self, name: HeaderName, value: String) -> Result<Self, S3Error> {
        let Ok(value) = HeaderValue::try_from(value) else {
            return Err(cannot_be_sent(name.as_str()));
        };
        self.headers.insert(name, value);
        Ok(self)
    }

    /// Sets a header where there is a value.
    ///
    /// # Errors
    /// As [`Reply::with_header`].
    pub fn with_optional(self, name: &str, value: Option<&str>) -> Result<Self, S3Error> {
        match value {
            Some(value) => self.with_header(name, value),
            None => Ok(self),
        }
    }
}

fn cannot_be_sent(name: &str) -> S3Error {
    let message = format!("The value of {name} can't be sent as a header.");
    S3Error::because(Code::InvalidArgument, message).with("ArgumentName", name)
}

/// The body of an answer.
pub struct ReplyBody {
    inner: Inner,
    /// Whose answer it is: what ends with it.
    of: Option<Ending>,
}

enum Inner {
    Full(Bytes),
    Stream {
        left: u64,
        stream: BoxStream<'static, Result<Bytes, BoxError>>,
    },
}

impl fmt::Debug for ReplyBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplyBody")
            .field("len", &self.len())
            .finish()
    }
}

impl ReplyBody {
    /// No bytes.
    pub const fn empty() -> Self {
        Self {
            inner: Inner::Full(Bytes::new()),
            of: None,
        }
    }

    /// These bytes.
    pub fn full(bytes: impl Into<Bytes>) -> Self {
        Self {
            inner: Inner::Full(bytes.into()),
            of: None,
        }
    }

    /// `len` bytes that are yet to come. A stream that fails or ends early cuts the connection, so
    /// that the client can't take what it got for the whole.
    pub fn stream<E: Into<BoxError>>(
        len: u64,
        stream: impl Stream<Item = Result<Bytes, E>> + Send + 'static,
    ) -> Self {
        let stream = stream.map(|piece| piece.map_err(Into::into)).boxed();
        Self {
            inner: Inner::Stream { left: len, stream },
            of: None,
        }
    }

    /// From now on it is the answer to a request, which ends when this is dropped.
    pub(super) fn answers(&mut self, request: Ending) {
        self.of = Some(request);
    }

    /// The bytes, where they are all there already.
    pub(super) const fn whole(&self) -> Option<&Bytes> {
        match &self.inner {
            Inner::Full(bytes) => Some(bytes),
            Inner::Stream { .. } => None,
        }
    }

    /// Bytes that are still to be sent.
    pub fn len(&self) -> u64 {
        match &self.inner {
            Inner::Full(bytes) => u64::try_from(bytes.len()).unwrap_or(u64::MAX),
            Inner::Stream { left, .. } => *left,
        }
    }

    /// Whether nothing is left to be sent.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Inner {
    fn poll_bytes(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BoxError>>> {
        match self {
            Self::Full(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Full(bytes) => Poll::Ready(Some(Ok(std::mem::take(bytes)))),
            Self::Stream { left: 0, .. } => Poll::Ready(None),
            Self::Stream { left, stream } => match stream.poll_next_unpin(cx) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(Some(Ok(bytes))) => {
                    let len = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
                    match left.checked_sub(len) {
                        Some(rest) => {
                            *left = rest;
                            Poll::Ready(Some(Ok(bytes)))
                        }
                        None => Poll::Ready(Some(Err("more bytes than were announced".into()))),
                    }
                }
                Poll::Ready(Some(Err(error))) => {
                    tracing::error!(%error, "the answer's body broke off");
                    Poll::Ready(Some(Err(error)))
                }
                Poll::Ready(None) => {
                    tracing::error!(left = *left, "the answer's body ended early");
                    Poll::Ready(Some(Err("fewer bytes than were announced".into())))
                }
            },
        }
    }
}

impl http_body::Body for ReplyBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let step = self.inner.poll_bytes(cx);
        if let (Poll::Ready(Some(Ok(bytes))), Some(request)) = (&step, &mut self.of) {
            request.sent(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        }
        step.map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.len())
    }
}
