//! The load: connections that ask for one URL after the other, presigned before the clock starts.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::measure::{Outcome, Usage};
use super::work::{Kind, Run};
use crate::auth::Secret;
use crate::auth::presign::{Signer, Target, presign_url};
use crate::cli::CliError;
use crate::clock::{Clock as _, SystemClock};

/// For so long the URLs of a run are good.
const URL_SECONDS: u64 = 6 * 3600;
/// Objects that reads go round.
const OBJECTS_READ: usize = 64;
/// Bytes of objects that are put beforehand, at most, so that a run of large ones begins soon.
const PREPARED_BYTES_MAX: usize = 1 << 30;

/// The server that is measured, and who asks.
#[derive(Debug, Clone)]
pub(super) struct Endpoint {
    /// `http://host:port`.
    pub(super) address: String,
    /// The key's public half.
    pub(super) access_key: String,
    /// Its secret half.
    pub(super) secret: Secret,
    /// The region.
    pub(super) region: String,
    /// The bucket.
    pub(super) bucket: String,
}

/// One run and its bounds.
#[derive(Debug, Clone)]
pub(super) struct Job {
    /// Where.
    pub(super) endpoint: Endpoint,
    /// What.
    pub(super) run: Run,
    /// For how long.
    pub(super) time: Duration,
    /// How many objects at most.
    pub(super) objects: usize,
    /// The server's process.
    pub(super) pid: Option<u32>,
}

impl Endpoint {
    fn host(&self) -> Result<&str, CliError> {
        let host = self.address.strip_prefix("http://");
        let host = host.map(|host| host.trim_end_matches('/'));
        host.ok_or_else(|| CliError::Usage(format!("{} is no http:// address", self.address)))
    }

    /// What a presigned URL of this object has behind the host.
    fn sign(&self, method: &str, path: &str) -> String {
        self.sign_query(method, path, &[])
    }

    /// The same with a query.
    pub(super) fn sign_query(&self, method: &str, path: &str, query: &[(&str, &str)]) -> String {
        let signer = Signer {
            access_key: &self.access_key,
            secret: &self.secret,
            region: &self.region,
        };
        let target = Target {
            method,
            endpoint: &self.address,
            path,
            query,
        };
        let now = SystemClock.now();
        let url = presign_url(&signer, &target, &HeaderMap::new(), URL_SECONDS, now);
        let start = self.address.trim_end_matches('/').len();
        url.get(start..).unwrap_or_default().to_owned()
    }

    fn object(&self, run: Run, number: usize) -> String {
        format!("/{}/{}/{number:08}", self.bucket, run.bytes)
    }

    pub(super) async fn connect(&self) -> Result<Wire, CliError> {
        let stream = TcpStream::connect(self.host()?).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(failed)?;
        let mut driver = JoinSet::new();
        driver.spawn(async move {
            // A fault of the connection shows as the fault of its request.
            drop(connection.await);
        });
        Ok(Wire {
            sender,
            host: self.host()?.to_owned(),
            _driver: driver,
        })
    }
}

/// A body on its way to the server.
pub(super) type Sending = UnsyncBoxBody<Bytes, Infallible>;

/// A kept-alive connection, and the task that drives it.
pub(super) struct Wire {
    sender: SendRequest<Sending>,
    host: String,
    _driver: JoinSet<()>,
}

impl Wire {
    /// Sends one request with a body of `len` bytes.
    pub(super) async fn send(
        &mut self,
        method: &str,
        url: &str,
        body: Sending,
        len: usize,
    ) -> Result<Response<Incoming>, CliError> {
        let request = Request::builder()
            .method(method)
            .uri(url)
            .header("host", &self.host)
            .header("content-length", len)
            .body(body)
            .map_err(failed)?;
        self.sender.ready().await.map_err(failed)?;
        self.sender.send_request(request).await.map_err(failed)
    }

    /// Sends one request; gives back the answer's status and how long it took. The body is compared
    /// with `expected` as it comes, where there is something to expect.
    async fn ask(
        &mut self,
        method: &str,
        url: &str,
        body: Bytes,
        expected: Option<&Bytes>,
    ) -> Result<(StatusCode, Duration), CliError> {
        let began = Instant::now();
        let len = body.len();
        let body = Full::new(body).boxed_unsync();
        let answer = self.send(method, url, body, len).await?;
        let status = answer.status();
        let mut body = answer.into_body();
        let mut at = 0_usize;
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(failed)?.into_data() else {
                continue;
            };
            let end = at.saturating_add(data.len());
            if status.is_success()
                && expected.is_some_and(|all| all.get(at..end) != Some(data.as_ref()))
            {
                return Err(CliError::Usage(format!("{url} gave back other bytes")));
            }
            at = end;
        }
        if status.is_success() && expected.is_some_and(|all| all.len() != at) {
            return Err(CliError::Usage(format!("{url} gave back {at} bytes")));
        }
        Ok((status, began.elapsed()))
    }
}

pub(super) fn failed(error: impl std::error::Error + Send + Sync + 'static) -> CliError {
    CliError::Io(std::io::Error::other(error))
}

/// `bytes` bytes that no compression shortens and no block repeats.
pub(super) fn pattern(bytes: usize) -> Bytes {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let words = std::iter::repeat_with(|| {
        // Xorshift: any sequence that is the same in every run will do.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.flatten().take(bytes).collect()
}

/// Makes the bucket; one that is there already is no fault.
pub(super) async fn make_bucket(endpoint: &Endpoint) -> Result<(), CliError> {
    let url = endpoint.sign("PUT", &format!("/{}", endpoint.bucket));
    let mut wire = endpoint.connect().await?;
    let (status, _time) = wire.ask("PUT", &url, Bytes::new(), None).await?;
    if status.is_success() || status == StatusCode::CONFLICT {
        return Ok(());
    }
    let message = format!("the bucket {} can't be made: {status}", endpoint.bucket);
    Err(CliError::Usage(message))
}

/// The URLs of a run, given out one by one to whichever connection is free.
struct Supply {
    method: &'static str,
    urls: Vec<String>,
    taken: AtomicUsize,
    /// They are given out again once all were.
    round: bool,
}

impl Supply {
    fn new(endpoint: &Endpoint, run: Run, kind: Kind, objects: usize, round: bool) -> Arc<Self> {
        let method = kind.method();
        let urls = (0..objects).map(|number| endpoint.sign(method, &endpoint.object(run, number)));
        Arc::new(Self {
            method,
            urls: urls.collect(),
            taken: AtomicUsize::new(0),
            round,
        })
    }

    fn next(&self) -> Option<&str> {
        let at = self.taken.fetch_add(1, Ordering::Relaxed);
        let at = if self.round {
            at.checked_rem(self.urls.len())?
        } else {
            at
        };
        self.urls.get(at).map(String::as_str)
    }
}

/// Sends `supply` over `connections` until it or the time is at its end.
async fn drive(
    job: &Job,
    supply: &Arc<Supply>,
    time: Option<Duration>,
    send: Bytes,
    expected: Option<Bytes>,
) -> Result<Vec<Duration>, CliError> {
    let mut wires = Vec::new();
    for _wire in 0..job.run.connections {
        wires.push(job.endpoint.connect().await?);
    }
    let until = time.map(|time| Instant::now() + time);
    let mut tasks = JoinSet::new();
    for mut wire in wires {
        let (supply, send, expected) = (Arc::clone(supply), send.clone(), expected.clone());
        tasks.spawn(async move {
            let mut latencies = Vec::new();
            while until.is_none_or(|until| Instant::now() < until) {
                let Some(url) = supply.next() else { break };
                let asked = wire.ask(supply.method, url, send.clone(), expected.as_ref());
                let (status, took) = asked.await?;
                if !status.is_success() {
                    return Err(CliError::Usage(format!(
                        "{} {url}: {status}",
                        supply.method
                    )));
                }
                latencies.push(took);
            }
            Ok(latencies)
        });
    }
    let mut all = Vec::new();
    while let Some(done) = tasks.join_next().await {
        all.extend(done.map_err(failed)??);
    }
    Ok(all)
}

/// Prepares and measures one run.
pub(super) async fn measure(job: Job) -> Result<Outcome, CliError> {
    let (endpoint, run) = (&job.endpoint, job.run);
    let bytes = pattern(run.bytes);
    let fit = |count: usize| count.min(PREPARED_BYTES_MAX / run.bytes.max(1)).max(1);
    let objects = match run.kind {
        Kind::Put => job
            .objects
            .min((8 * PREPARED_BYTES_MAX) / run.bytes.max(1))
            .max(1),
        Kind::Delete => fit(job.objects.min(50_000)),
        Kind::Get | Kind::Head => fit(OBJECTS_READ),
    };
    if run.kind != Kind::Put {
        let supply = Supply::new(endpoint, run, Kind::Put, objects, false);
        drop(drive(&job, &supply, None, bytes.clone(), None).await?);
    }
    let round = run.kind != Kind::Delete;
    let supply = Supply::new(endpoint, run, run.kind, objects, round);
    let (send, expected) = match run.kind {
        Kind::Put => (bytes, None),
        Kind::Get => (Bytes::new(), Some(bytes)),
        Kind::Head | Kind::Delete => (Bytes::new(), None),
    };
    let before = job.pid.and_then(Usage::of);
    let began = Instant::now();
    let latencies = drive(&job, &supply, Some(job.time), send, expected).await?;
    let time = began.elapsed();
    let usage = before.zip(job.pid.and_then(Usage::of));
    Ok(Outcome::new(run, time, latencies, usage))
}
