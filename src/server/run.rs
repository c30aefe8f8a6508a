//! The accept loop and the order of stopping.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::connection::{self, Respond, Shared};
use super::listen::Listener;
use crate::config::Config;
use crate::s3::{self, Service};
use crate::store::ObjectStore;
use crate::store::lifecycle::LifecycleReport;
use crate::store::scrub::ByteRate;
use crate::store::settings::DayLength;

/// How often nonces are forgotten.
const NONCES_EVERY: Duration = Duration::from_secs(60 * 60);
/// How long a scrub that failed waits, and how often it is asked whether one is due.
const SCRUB_PAUSE: Duration = Duration::from_secs(60 * 60);
/// At most so often the lifecycle rules are applied.
const LIFECYCLE_PAUSE_MIN: Duration = Duration::from_millis(200);

/// Accepts connections until the server stops; the listening socket closes with it.
pub(super) async fn accept<R: Respond>(listener: Listener, shared: Arc<Shared<R>>) {
    loop {
        let (stream, peer, room) = tokio::select! {
            () = shared.stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let for_connection = Arc::clone(&shared);
        let served = async move |stream| {
            connection::serve(for_connection, stream, peer, &room).await;
            drop(room);
        };
        if let Err(error) = shared.cores.spawn(&shared.tasks, stream, served) {
            tracing::debug!(%peer, %error, "a connection was gone before it was served");
        }
    }
}

/// Begins to delete what nobody needs any more.
pub(super) fn tidy_up(tasks: &TaskTracker, store: &ObjectStore, stop: &CancellationToken) {
    tasks.spawn(sweep(store.clone(), stop.clone()));
    tasks.spawn(nonces(store.clone(), NONCES_EVERY, stop.clone()));
}

/// Deletes what earlier runs left unnamed; the next start goes on where this one is stopped.
async fn sweep(store: ObjectStore, stop: CancellationToken) {
    let swept = tokio::select! {
        () = stop.cancelled() => return,
        swept = store.sweep() => swept,
    };
    match swept {
        Ok(report) => {
            tracing::info!(
                blobs = report.blobs,
                deleted = report.deleted,
                "swept the blobs"
            );
        }
        Err(error) => tracing::warn!(%error, "the sweep of the blobs failed"),
    }
}

/// Forgets signatures that were good for one use and can't be used any more, `every` so often.
async fn nonces(store: ObjectStore, every: Duration, stop: CancellationToken) {
    loop {
        match store.forget_nonces().await {
            Ok(0) => {}
            Ok(gone) => tracing::info!(gone, "forgot signatures that were good for one use"),
            Err(error) => tracing::warn!(%error, "forgetting signatures that were used failed"),
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(every) => {}
        }
    }
}

/// Reads all that is stored now and then, and at once where `now` says so. A pass that is stopped
/// goes on at the next start.
pub(super) async fn scrub(
    store: ObjectStore,
    (rate, mut times): (ByteRate, watch::Receiver<Times>),
    now: Arc<Notify>,
    stop: CancellationToken,
) {
    if let Err(error) = store.damage().await {
        tracing::warn!(%error, "what the scrub found can't be read");
    }
    let mut wait = None;
    loop {
        let every = times.borrow_and_update().scrub;
        let due = match wait.take() {
            Some(wait) => Some(wait),
            None => store.scrub_due(every).await.unwrap_or(Some(SCRUB_PAUSE)),
        };
        let far = due.is_none_or(|due| due > SCRUB_PAUSE);
        tokio::select! {
            () = stop.cancelled() => return,
            () = now.notified() => {}
            Ok(()) = times.changed() => continue,
            // In steps, since the clock may be set.
            () = tokio::time::sleep(due.unwrap_or(SCRUB_PAUSE).min(SCRUB_PAUSE)) => {
                if far {
                    continue;
                }
            }
        }
        let scrubbed = tokio::select! {
            () = stop.cancelled() => return,
            scrubbed = store.scrub(rate.clone()) => scrubbed,
        };
        match scrubbed {
            Ok(status) => tracing::info!(
                records = status.records,
                bytes = status.bytes,
                damaged = status.damaged,
                "scrubbed all that is stored"
            ),
            Err(error) => {
                tracing::warn!(%error, "the scrub failed, and is tried again");
                wait = Some(SCRUB_PAUSE);
            }
        }
    }
}

/// How often what nobody waits for is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Times {
    /// How long a day of lifecycle rules is.
    pub(super) lifecycle_day: Duration,
    /// How often the records of requests are delivered.
    pub(super) logging: Duration,
    /// How long after the end of one scrub the next begins; none: only when it is asked for.
    pub(super) scrub: Option<Duration>,
}

impl Times {
    pub(super) const fn of(config: &Config) -> Self {
        Self {
            lifecycle_day: config.lifecycle_day,
            logging: config.logging_time,
            scrub: config.scrub.every,
        }
    }
}

/// Applies lifecycle rules: at every midnight (UTC), or, where a day is shorter, in each half of one.
pub(super) async fn lifecycle(
    store: ObjectStore,
    mut times: watch::Receiver<Times>,
    stop: CancellationToken,
) {
    loop {
        let day = times.borrow_and_update().lifecycle_day;
        let length = DayLength(day);
        let wait = if length == DayLength::default() {
            length
                .after(store.clock().now(), 0)
                .since(store.clock().now())
        } else {
            day / 2
        };
        tokio::select! {
            () = stop.cancelled() => return,
            Ok(()) = times.changed() => continue,
            () = tokio::time::sleep(wait.max(LIFECYCLE_PAUSE_MIN)) => {}
        }
        match store.apply_lifecycle(length).await {
            Ok(report) if report == LifecycleReport::default() => {}
            Ok(report) => {
                tracing::info!(
                    report.expired,
                    report.aborted,
                    "applied the lifecycle rules"
                );
            }
            Err(error) => tracing::warn!(%error, "applying the lifecycle rules failed"),
        }
    }
}

/// Delivers the records of requests to the buckets that ask for them, `every` so often. The last
/// ones go when all requests are done.
pub(super) async fn access_log(
    service: Arc<ArcSwap<Service>>,
    mut times: watch::Receiver<Times>,
    stop: CancellationToken,
) {
    loop {
        let every = times.borrow_and_update().logging;
        tokio::select! {
            () = stop.cancelled() => return,
            Ok(()) = times.changed() => {}
            () = tokio::time::sleep(every) => {
                s3::access_log::deliver(&service.load_full()).await;
            }
        }
    }
}

/// Stops: no new requests, then patience for those in flight, then none.
pub(super) async fn stop<R>(shared: &Shared<R>, patience: Duration) {
    shared.stop.cancel();
    shared.tasks.close();
    if tokio::time::timeout(patience, shared.tasks.wait())
        .await
        .is_err()
    {
        tracing::warn!(
            open = shared.tasks.len(),
            "requests did not finish in time: cut"
        );
        shared.cut.cancel();
        shared.tasks.wait().await;
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::net::SocketAddr;

    use bytes::Bytes;
    use http::{Request, Response};
    use http_body_util::{BodyExt, Full};
    use hyper::client::conn::http2;
    use hyper_util::rt::{TokioExecutor, TokioIo};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;
    use tokio::sync::Notify;

    use super::super::connection::RequestBody;
    use super::super::cores::{CoreThreads, Cores};
    use super::super::listen::Places;
    use super::*;
    use crate::config::Limits;
    use crate::id::RequestId;

    /// Answers with the length of what it was sent, once it may.
    #[derive(Debug, Default)]
    struct Echo {
        entered: Notify,
        may_answer: Notify,
    }

    impl Respond for Echo {
        type Body = Full<Bytes>;

        async fn respond(
            self: Arc<Self>,
            request: Request<RequestBody>,
            _peer: SocketAddr,
            _id: RequestId,
        ) -> Response<Full<Bytes>> {
            let waits = request.uri().path() == "/wait";
            if waits {
                self.entered.notify_one();
                self.may_answer.notified().await;
            }
            let text = match request.into_body().collect().await {
                Ok(body) => body.to_bytes().len().to_string(),
                Err(error) => error.to_string(),
            };
            Response::new(Full::from(text))
        }

        fn turn_away(
            &self,
            request: &Request<RequestBody>,
            _peer: SocketAddr,
            _id: RequestId,
        ) -> Option<Response<Full<Bytes>>> {
            let heard = request.uri().path() == "/always";
            let mut answer = Response::new(Full::from("too many"));
            *answer.status_mut() = http::StatusCode::SERVICE_UNAVAILABLE;
            (!heard).then_some(answer)
        }
    }

    struct Running {
        shared: Arc<Shared<Echo>>,
        address: SocketAddr,
        _threads: CoreThreads,
    }

    fn start(limits: Limits) -> Running {
        let connections = Places::new(limits.connections);
        let address = "127.0.0.1:0".parse().unwrap();
        let listener = Listener::bind(address, connections.clone()).unwrap();
        let address = listener.address().unwrap();
        let (cores, threads) = Cores::begin().unwrap();
        let shared = Arc::new(Shared {
            responder: Arc::default(),
            connections,
            requests: Places::new(limits.requests),
            limits: Arc::new(ArcSwap::from_pointee(limits)),
            tls: None,
            cores,
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            cut: CancellationToken::new(),
        });
        let tasks = shared.tasks.clone();
        tasks.spawn(accept(listener, Arc::clone(&shared)));
        Running {
            shared,
            address,
            _threads: threads,
        }
    }

    async fn open(server: &Running, bytes: &[u8]) -> TcpStream {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        stream
    }

    /// All that comes until the server closes; a reset counts as a close.
    async fn rest(mut stream: TcpStream) -> String {
        let mut bytes = Vec::new();
        match stream.read_to_end(&mut bytes).await {
            Err(error) if error.kind() != io::ErrorKind::ConnectionReset => panic!("{error}"),
            _ => String::from_utf8_lossy(&bytes).into_owned(),
        }
    }

    fn brief() -> Duration {
        Duration::from_millis(50)
    }

    #[tokio::test]
    async fn a_stop_finishes_requests_in_flight_and_takes_no_more() {
        let server = start(Limits::default());
        let stream = open(&server, b"GET /wait HTTP/1.1\r\nhost: x\r\n\r\n").await;
        server.shared.responder.entered.notified().await;
        let shared = Arc::clone(&server.shared);
        let stopping = async { stop(&shared, Duration::from_secs(30)).await };
        let answering = async {
            server.shared.stop.cancelled().await;
            server.shared.responder.may_answer.notify_one();
            rest(stream).await
        };
        let ((), answer) = tokio::join!(stopping, answering);
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(!server.shared.cut.is_cancelled());
        assert!(TcpStream::connect(server.address).await.is_err());
    }

    #[tokio::test]
    async fn a_stop_finishes_requests_of_http2_too() {
        let server = start(Limits::default());
        let (responder, shared) = (&server.shared.responder, &server.shared);
        let stream = TokioIo::new(open(&server, b"").await);
        let hands = http2::handshake(TokioExecutor::new(), stream).await;
        let (mut sender, connection) = hands.unwrap();
        let ask = || Request::get("http://x/wait").body(Full::<Bytes>::default());
        let answer = sender.send_request(ask().unwrap());
        let stopping = async {
            responder.entered.notified().await;
            tokio::join!(stop(shared, Duration::from_secs(30)), async {
                shared.stop.cancelled().await;
                responder.may_answer.notify_one();
            });
        };
        let asking = async {
            let answer = answer.await.unwrap();
            assert_eq!(answer.status(), http::StatusCode::OK);
            let body = answer.into_body().collect().await.unwrap();
            assert_eq!(body.to_bytes(), "0");
        };
        let (ended, (), ()) = tokio::join!(connection, stopping, asking);
        ended.unwrap();
        assert!(!shared.cut.is_cancelled());
        assert!(sender.send_request(ask().unwrap()).await.is_err());
    }

    #[tokio::test]
    async fn a_stop_cuts_what_does_not_finish() {
        let server = start(Limits::default());
        let stream = open(&server, b"GET /wait HTTP/1.1\r\nhost: x\r\n\r\n").await;
        server.shared.responder.entered.notified().await;
        stop(&server.shared, brief()).await;
        assert_eq!(rest(stream).await, "");
    }

    #[tokio::test]
    async fn a_head_that_drips_is_cut() {
        let server = start(Limits {
            head_time: brief(),
            ..Limits::default()
        });
        let stream = open(&server, b"GET / HTTP/1.1\r\nhost:").await;
        assert_eq!(rest(stream).await, "");
    }

    #[tokio::test]
    async fn an_idle_connection_is_closed() {
        let limits = Limits {
            head_time: brief(),
            idle_time: brief(),
            ..Limits::default()
        };
        let server = start(limits);
        let answer = rest(open(&server, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await).await;
        assert!(answer.ends_with("\r\n\r\n0"), "{answer}");
    }

    #[tokio::test]
    async fn a_connection_that_says_nothing_is_closed() {
        let server = start(Limits {
            idle_time: brief(),
            ..Limits::default()
        });
        assert_eq!(rest(open(&server, b"").await).await, "");
    }

    #[tokio::test]
    async fn a_body_that_pauses_is_an_error_of_the_body() {
        let server = start(Limits {
            body_idle_time: brief(),
            ..Limits::default()
        });
        let request = b"PUT / HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nabc";
        let answer = rest(open(&server, request).await).await;
        assert!(answer.contains("sent nothing for too long"), "{answer}");
    }

    #[tokio::test]
    async fn a_head_that_is_too_large_is_refused() {
        let server = start(Limits {
            head_bytes: 8192,
            ..Limits::default()
        });
        let head = format!(
            "GET / HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n",
            "y".repeat(9000)
        );
        let answer = rest(open(&server, head.as_bytes()).await).await;
        assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    }

    const CLOSE: &[u8] = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    const WAIT: &[u8] = b"GET /wait HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    const ALWAYS: &[u8] = b"GET /always HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";

    /// While one request is under way: what another one, and one that is always heard, are told.
    async fn crowded(limits: Limits) {
        let server = start(limits);
        let first = open(&server, WAIT).await;
        server.shared.responder.entered.notified().await;
        let turned_away = rest(open(&server, CLOSE).await).await;
        assert!(turned_away.starts_with("HTTP/1.1 503"), "{turned_away}");
        assert!(turned_away.contains("connection: close"), "{turned_away}");
        assert!(rest(open(&server, ALWAYS).await).await.contains("200 OK"));
        server.shared.responder.may_answer.notify_one();
        assert!(rest(first).await.contains("200 OK"));
        // Its place is free once its task has ended, a moment after the socket did.
        while rest(open(&server, CLOSE).await).await.contains(" 503 ") {}
    }

    #[tokio::test]
    async fn connections_beyond_the_limit_are_turned_away() {
        crowded(Limits {
            connections: 1,
            ..Limits::default()
        })
        .await;
    }

    #[tokio::test]
    async fn requests_beyond_the_limit_are_turned_away() {
        crowded(Limits {
            requests: 1,
            ..Limits::default()
        })
        .await;
    }

    #[tokio::test]
    async fn an_idle_connection_makes_room_where_places_are_scarce() {
        let server = start(Limits {
            connections: 4,
            idle_time: Duration::from_secs(3600),
            ..Limits::default()
        });
        let get = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";
        let mut idle = Vec::new();
        for _connection in 0..4 {
            idle.push(Box::pin(rest(open(&server, get).await)));
        }
        let first = futures_util::future::select_all(idle);
        let answer = tokio::time::timeout(Duration::from_secs(60), first).await;
        assert!(answer.unwrap().0.contains("200 OK"));
    }
}
