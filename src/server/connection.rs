//! One connection: HTTP/1.1 or HTTP/2, with a request id and a span for each request.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{HeaderValue, Request, Response, Version, header};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::cores::Cores;
use super::guard::{Activity, Guarded, ImpatientBody, InFlight};
use super::listen::{Places, Room};
use super::tls::{self, Stream, Tls};
use crate::config::Limits;
use crate::id::RequestId;
use crate::s3::Encrypted;

/// What answers requests. The server knows nothing more of it.
pub(super) trait Respond: Send + Sync + 'static {
    /// The bodies of its answers.
    type Body: Body<Data = Bytes, Error: Into<BoxError>> + Send + Unpin + 'static;

    /// Answers one request; it never fails: errors are answers too.
    fn respond(
        self: Arc<Self>,
        request: Request<RequestBody>,
        peer: SocketAddr,
        id: RequestId,
    ) -> impl Future<Output = Response<Self::Body>> + Send;

    /// Answers a request for which there is no room, at once and without its body. None: it is one
    /// of those that are heard all the same.
    fn turn_away(
        &self,
        request: &Request<RequestBody>,
        peer: SocketAddr,
        id: RequestId,
    ) -> Option<Response<Self::Body>>;
}

/// A request's body as it comes from the socket.
pub(super) type RequestBody = ImpatientBody<Incoming>;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Requests that one HTTP/2 connection may have in flight.
const HTTP2_STREAMS_MAX: u32 = 128;

/// Bytes that a client may send ahead on one HTTP/2 stream, and on one connection.
const HTTP2_STREAM_WINDOW_BYTES: u32 = 1024 * 1024;
const HTTP2_CONNECTION_WINDOW_BYTES: u32 = 4 * 1024 * 1024;

/// Headers of one request.
const HEADERS_MAX: usize = 256;

/// How often a connection's clocks are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How long a connection may be idle where connections are scarce.
const IDLE_WHERE_SCARCE: Duration = Duration::from_secs(1);

/// What all connections share.
#[derive(Debug)]
pub(super) struct Shared<R> {
    pub(super) responder: Arc<R>,
    /// A connection keeps those that it began with.
    pub(super) limits: Arc<ArcSwap<Limits>>,
    /// The certificates; none where nothing is encrypted.
    pub(super) tls: Option<Arc<Tls>>,
    pub(super) connections: Places,
    pub(super) requests: Places,
    pub(super) cores: Cores,
    pub(super) tasks: TaskTracker,
    /// No new requests: finish those in flight.
    pub(super) stop: CancellationToken,
    /// No more patience: cut what is still open.
    pub(super) cut: CancellationToken,
}

/// Runs hyper's own tasks in the server's task set.
#[derive(Debug, Clone)]
struct Executor(TaskTracker);

impl<F> hyper::rt::Executor<F> for Executor
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, future: F) {
        self.0.spawn(future);
    }
}

/// Serves `stream` until it closes, stands still, or the server stops.
pub(super) async fn serve<R: Respond>(
    shared: Arc<Shared<R>>,
    stream: TcpStream,
    peer: SocketAddr,
    room: &Room,
) {
    // Without it, an answer's last piece waits for the acknowledgement of the one before it.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "can't set TCP_NODELAY");
    }
    let limits = **shared.limits.load();
    let Some((stream, encrypted)) = secured(&shared, stream, peer).await else {
        return;
    };
    let activity = Activity::new();
    let guarded = Guarded::new(stream, Arc::clone(&activity), limits.idle_time);
    let requests = {
        let (shared, activity) = (Arc::clone(&shared), Arc::clone(&activity));
        let is_welcome = room.is_welcome;
        service_fn(move |mut request: Request<Incoming>| {
            if let Some(encrypted) = encrypted {
                request.extensions_mut().insert(encrypted);
            }
            let from = (peer, is_welcome);
            answer(&shared, activity.begin(), request, from)
        })
    };
    let builder = builder(&shared, &limits);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(guarded), requests));
    let mut look = tokio::time::interval(LOOK_EVERY);
    // Children: what is waited for at each wake has a lock of its own, not one of all connections.
    let (stop, cut) = (shared.stop.child_token(), shared.cut.child_token());
    let mut stopping = false;
    loop {
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%peer, error = %chain(error.as_ref()), "connection ended");
                }
                return;
            }
            () = stop.cancelled(), if !stopping => {
                stopping = true;
                connection.as_mut().graceful_shutdown();
            }
            () = cut.cancelled() => return,
            _ = look.tick() => {
                if activity.head_is_late(limits.head_time) {
                    tracing::debug!(%peer, "the head of a request came too slowly");
                    return;
                }
                // HTTP/2 is asked whether it is still there, by its own means.
                let patience = if shared.connections.are_scarce() {
                    Some(IDLE_WHERE_SCARCE)
                } else {
                    (!activity.is_http2()).then_some(limits.idle_time)
                };
                if !stopping && patience.is_some_and(|time| activity.is_idle_for(time)) {
                    stopping = true;
                    connection.as_mut().graceful_shutdown();
                }
            },
        }
    }
}

/// The connection's bytes, once hands are shaken where TLS is spoken; none where nothing comes of it.
async fn secured<R>(
    shared: &Shared<R>,
    stream: TcpStream,
    peer: SocketAddr,
) -> Option<(Stream, Option<Encrypted>)> {
    let Some(tls) = &shared.tls else {
        return Some((Stream::Left(stream), None));
    };
    // Boxed: a handshake's state is not to be carried by connections without one.
    let shaking = Box::pin(tls::shake_hands(tls, stream));
    let shaken = tokio::select! {
        () = shared.stop.cancelled() => return None,
        shaken = tokio::time::timeout(shared.limits.load().head_time, shaking) => shaken,
    };
    match shaken {
        Ok(Ok(done)) => done.map(|(stream, encrypted)| (stream, Some(encrypted))),
        Ok(Err(error)) => {
            tracing::debug!(%peer, %error, "the TLS handshake failed");
            None
        }
        Err(_late) => {
            tracing::debug!(%peer, "the TLS handshake took too long");
            None
        }
    }
}

fn builder<R>(shared: &Shared<R>, limits: &Limits) -> auto::Builder<Executor> {
    let mut builder = auto::Builder::new(Executor(shared.tasks.clone()));
    builder
        .http1()
        // `Activity` has clocks that cost nothing; hyper would set one anew for each request.
        .header_read_timeout(None)
        .max_headers(HEADERS_MAX)
        .max_buf_size(limits.head_bytes);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(u32::try_from(limits.head_bytes).unwrap_or(u32::MAX))
        .max_concurrent_streams(HTTP2_STREAMS_MAX)
        .initial_stream_window_size(HTTP2_STREAM_WINDOW_BYTES)
        .initial_connection_window_size(HTTP2_CONNECTION_WINDOW_BYTES)
        .keep_alive_interval(limits.idle_time)
        .keep_alive_timeout(limits.head_time);
    builder
}

/// What can be done at once is, since whatever a future holds is copied with it.
fn answer<R: Respond>(
    shared: &Shared<R>,
    in_flight: InFlight,
    request: Request<Incoming>,
    (peer, is_welcome): (SocketAddr, bool),
) -> impl Future<Output = Result<Response<Answer<R::Body>>, Infallible>> + use<R> {
    let id = RequestId::random();
    let idle = shared.limits.load().body_idle_time;
    let activity = in_flight.activity();
    // Hyper gives no leave to send nothing, and botocore takes the answer that comes in its stead for
    // that of its next request too, unless the connection ends.
    let no_leave = waits_for_leave(&request) && request.body().is_end_stream();
    let request = request.map(|body| ImpatientBody::new(body, idle, Arc::clone(&activity)));
    let responder = Arc::clone(&shared.responder);
    let place = if is_welcome {
        shared.requests.take()
    } else {
        None
    };
    let turned_away = match place {
        Some(_) => None,
        None => responder.turn_away(&request, peer, id).map(Box::new),
    };
    async move {
        let mut response = match turned_away {
            Some(response) => {
                drop(request);
                *response
            }
            None => responder.respond(request, peer, id).await,
        };
        if no_leave || !is_welcome || activity.is_still_sending() {
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(header::CONNECTION, close);
        }
        Ok(response.map(|body| Answer {
            body,
            _in_flight: in_flight,
            _place: place,
        }))
    }
}

/// Whether the client sends its body only once it is told to.
fn waits_for_leave<B>(request: &Request<B>) -> bool {
    let expect = request.headers().get(header::EXPECT);
    request.version() == Version::HTTP_11
        && expect.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

/// An answer's body, which keeps its request counted until its last byte went out.
#[derive(Debug)]
struct Answer<B> {
    body: B,
    _in_flight: InFlight,
    _place: Option<OwnedSemaphorePermit>,
}

impl<B: Body<Data = Bytes> + Unpin> Body for Answer<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}
