//! One connection of a soak: it has keys of its own, knows what they hold, and checks that it is so.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::stream;
use http::StatusCode;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};

use super::super::wire::{Endpoint, Sending, Wire, failed};
use super::Soak;
use super::tally::{Deed, Tally};
use crate::cli::CliError;

/// Keys of each client.
const KEYS: usize = 32;

/// What a slow client sends or reads between two pauses.
const SLOW_PIECE_BYTES: usize = 16 << 10;
const SLOW_PAUSE: Duration = Duration::from_millis(200);

/// The smallest part that may be followed by another.
const PART_BYTES: usize = 5 << 20;

/// How long a client that was turned away waits: what the answer's `Retry-After` says.
const TURNED_AWAY: Duration = Duration::from_secs(1);

/// What a key holds.
#[derive(Debug, Clone)]
enum Held {
    Nothing,
    Body(Bytes),
    /// The connection broke while it was changed.
    Unknown,
}

/// Why a deed was not done.
enum Undone {
    TurnedAway,
    Fault(String),
}

impl From<CliError> for Undone {
    fn from(error: CliError) -> Self {
        Self::Fault(error.to_string())
    }
}

/// A client and what it knows.
pub(super) struct Client {
    endpoint: Endpoint,
    number: usize,
    slow: bool,
    think_ms: u32,
    pool: Bytes,
    held: Vec<Held>,
    state: u64,
}

impl Client {
    pub(super) fn new(soak: &Soak, number: usize, pool: Bytes) -> Self {
        let seed = u64::try_from(number).unwrap_or_default();
        Self {
            endpoint: soak.endpoint.clone(),
            number,
            slow: number < soak.slow,
            think_ms: soak.think_ms,
            pool,
            held: vec![Held::Nothing; KEYS],
            state: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1,
        }
    }

    /// Goes on until `until`.
    pub(super) async fn run(mut self, wire: Wire, until: Instant, tally: Arc<Tally>) {
        let mut wire = Some(wire);
        // What an earlier run left here: the first look at each key is a deletion.
        for slot in 0..KEYS {
            self.set(slot, Held::Unknown);
        }
        while Instant::now() < until {
            let connected = match wire.take() {
                Some(wire) => Ok(wire),
                None => self.endpoint.connect().await,
            };
            let mut open = match connected {
                Ok(open) => open,
                Err(error) => {
                    tally.fault(format!("connecting: {error}"));
                    tokio::time::sleep(TURNED_AWAY).await;
                    continue;
                }
            };
            self.think().await;
            let (deed, slot) = self.choose();
            let began = Instant::now();
            match self.act(&mut open, deed, slot).await {
                Ok(bytes) => {
                    tally.add(deed, began.elapsed(), bytes);
                    wire = Some(open);
                }
                Err(Undone::TurnedAway) => {
                    tally.turn_away();
                    tokio::time::sleep(TURNED_AWAY).await;
                }
                Err(Undone::Fault(text)) => {
                    tally.fault(format!("client {} {deed:?}: {text}", self.number));
                }
            }
        }
    }

    /// Rests for anything up to twice the average, so that the clients don't fall into step.
    async fn think(&mut self) {
        let bound = usize::try_from(self.think_ms).unwrap_or_default() * 2;
        if bound > 0 {
            let ms = u64::try_from(self.below(bound)).unwrap_or_default();
            tokio::time::sleep(Duration::from_millis(ms)).await;
        }
    }

    fn next(&mut self) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state
    }

    /// Below `bound`.
    fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound.max(1)).unwrap_or(1);
        let rest = self.next().checked_rem(bound).unwrap_or_default();
        usize::try_from(rest).unwrap_or_default()
    }

    fn at(&self, slot: usize) -> &Held {
        self.held.get(slot).unwrap_or(&Held::Unknown)
    }

    fn set(&mut self, slot: usize, held: Held) {
        if let Some(place) = self.held.get_mut(slot) {
            *place = held;
        }
    }

    /// What to do next, and to which key: mostly reads, then writes, as of a web application's files.
    fn choose(&mut self) -> (Deed, usize) {
        let slot = self.below(KEYS);
        let chance = self.below(1000);
        let deed = match (self.at(slot), self.slow) {
            (Held::Unknown, _) => Deed::Delete,
            (Held::Nothing, true) => Deed::SlowPut,
            (Held::Body(_), true) if chance < 500 => Deed::SlowPut,
            (Held::Body(_), true) => Deed::SlowGet,
            (Held::Nothing, false) => Deed::Put,
            (Held::Body(_), false) => match chance {
                0..550 => Deed::Get,
                550..700 => Deed::Head,
                700..925 => Deed::Put,
                925..970 => Deed::Delete,
                970..997 => Deed::List,
                _ => Deed::Multipart,
            },
        };
        (deed, slot)
    }

    /// Mostly small bodies, some of some hundred KiB, few of some MiB.
    fn body(&mut self, deed: Deed) -> Bytes {
        let most = match (deed, self.below(100)) {
            (Deed::SlowPut, _) => 512 << 10,
            (Deed::Multipart, _) => PART_BYTES,
            (_, 0..70) => 16 << 10,
            (_, 70..95) => 256 << 10,
            _ => 4 << 20,
        };
        let len = match deed {
            Deed::Multipart => PART_BYTES.saturating_add(self.below(most)),
            _ => self.below(most),
        };
        let start = self.below(self.pool.len().saturating_sub(len));
        self.pool.slice(start..start.saturating_add(len))
    }

    fn prefix(&self) -> String {
        format!("soak/{:04}/", self.number)
    }

    fn path(&self, slot: usize) -> String {
        format!("/{}/{}{slot:02}", self.endpoint.bucket, self.prefix())
    }

    /// Does it; gives back how many bytes were sent or checked.
    async fn act(&mut self, wire: &mut Wire, deed: Deed, slot: usize) -> Result<usize, Undone> {
        match deed {
            Deed::Put | Deed::SlowPut => self.put(wire, deed, slot).await,
            Deed::Get | Deed::SlowGet => self.get(wire, slot).await,
            Deed::Head => self.head(wire, slot).await,
            Deed::Delete => self.delete(wire, slot).await,
            Deed::List => self.list(wire).await,
            Deed::Multipart => self.multipart(wire, slot).await,
        }
    }

    async fn put(&mut self, wire: &mut Wire, deed: Deed, slot: usize) -> Result<usize, Undone> {
        let body = self.body(deed);
        let url = self.endpoint.sign_query("PUT", &self.path(slot), &[]);
        let before = self.at(slot).clone();
        self.set(slot, Held::Unknown);
        let sending = if self.slow {
            slowly(body.clone())
        } else {
            Full::new(body.clone()).boxed_unsync()
        };
        match ask(wire, "PUT", &url, sending, body.len()).await {
            Ok(_answer) => {}
            Err(Undone::TurnedAway) => {
                self.set(slot, before);
                return Err(Undone::TurnedAway);
            }
            Err(fault) => return Err(fault),
        }
        let len = body.len();
        self.set(slot, Held::Body(body));
        Ok(len)
    }

    async fn get(&mut self, wire: &mut Wire, slot: usize) -> Result<usize, Undone> {
        let Held::Body(expected) = self.at(slot).clone() else {
            return Ok(0);
        };
        let url = self.endpoint.sign_query("GET", &self.path(slot), &[]);
        let answer = wire.send("GET", &url, nothing(), 0).await?;
        let mut body = accept(answer, &url).await?;
        let mut at = 0_usize;
        let mut read = 0_usize;
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(failed)?.into_data() else {
                continue;
            };
            let end = at.saturating_add(data.len());
            if expected.get(at..end) != Some(data.as_ref()) {
                return Err(Undone::Fault(format!("other bytes at {at} of {url}")));
            }
            at = end;
            read = read.saturating_add(data.len());
            while self.slow && read >= SLOW_PIECE_BYTES {
                read = read.saturating_sub(SLOW_PIECE_BYTES);
                tokio::time::sleep(SLOW_PAUSE).await;
            }
        }
        if at != expected.len() {
            return Err(Undone::Fault(format!(
                "{at} of {} bytes of {url}",
                expected.len()
            )));
        }
        Ok(at)
    }

    async fn head(&mut self, wire: &mut Wire, slot: usize) -> Result<usize, Undone> {
        let Held::Body(expected) = self.at(slot).clone() else {
            return Ok(0);
        };
        let url = self.endpoint.sign_query("HEAD", &self.path(slot), &[]);
        let answer = wire.send("HEAD", &url, nothing(), 0).await?;
        let len = answer.headers().get("content-length").cloned();
        drop(accept(answer, &url).await?);
        if len.as_ref().and_then(|len| len.to_str().ok()) != Some(&expected.len().to_string()) {
            return Err(Undone::Fault(format!("{len:?} as the length of {url}")));
        }
        Ok(0)
    }

    async fn delete(&mut self, wire: &mut Wire, slot: usize) -> Result<usize, Undone> {
        let url = self.endpoint.sign_query("DELETE", &self.path(slot), &[]);
        let before = std::mem::replace(
            self.held.get_mut(slot).unwrap_or(&mut Held::Unknown),
            Held::Unknown,
        );
        match ask(wire, "DELETE", &url, nothing(), 0).await {
            Ok(_answer) => self.set(slot, Held::Nothing),
            Err(Undone::TurnedAway) => {
                self.set(slot, before);
                return Err(Undone::TurnedAway);
            }
            Err(fault) => return Err(fault),
        }
        Ok(0)
    }

    async fn list(&mut self, wire: &mut Wire) -> Result<usize, Undone> {
        let (path, prefix) = (format!("/{}", self.endpoint.bucket), self.prefix());
        let query = [("list-type", "2"), ("prefix", prefix.as_str())];
        let url = self.endpoint.sign_query("GET", &path, &query);
        let text = ask(wire, "GET", &url, nothing(), 0).await?;
        let told = text.matches("<Key>").count();
        let (mut least, mut most) = (0, 0);
        for held in &self.held {
            least += usize::from(matches!(held, Held::Body(_)));
            most += usize::from(!matches!(held, Held::Nothing));
        }
        if !(least..=most).contains(&told) {
            let message = format!("{told} keys are listed, {least} to {most} are there");
            return Err(Undone::Fault(message));
        }
        Ok(text.len())
    }

    /// Two parts, of which the second one is small.
    async fn multipart(&mut self, wire: &mut Wire, slot: usize) -> Result<usize, Undone> {
        let (body, path) = (self.body(Deed::Multipart), self.path(slot));
        let url = self.endpoint.sign_query("POST", &path, &[("uploads", "")]);
        let begun = ask(wire, "POST", &url, nothing(), 0).await?;
        let id = between(&begun, "<UploadId>", "</UploadId>").unwrap_or_default();
        let mut document = String::from("<CompleteMultipartUpload>");
        for (number, part) in ["1", "2"].into_iter().zip([
            body.slice(..PART_BYTES.min(body.len())),
            body.slice(PART_BYTES.min(body.len())..),
        ]) {
            let query = [("partNumber", number), ("uploadId", id)];
            let url = self.endpoint.sign_query("PUT", &path, &query);
            let len = part.len();
            let answer = wire
                .send("PUT", &url, Full::new(part).boxed_unsync(), len)
                .await?;
            let etag = answer.headers().get("etag").cloned();
            drop(accept(answer, &url).await?);
            let etag = etag
                .as_ref()
                .and_then(|etag| etag.to_str().ok())
                .unwrap_or_default();
            // Writing into a string can't fail.
            _ = write!(
                document,
                "<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>"
            );
        }
        document.push_str("</CompleteMultipartUpload>");
        self.set(slot, Held::Unknown);
        let url = self.endpoint.sign_query("POST", &path, &[("uploadId", id)]);
        let len = document.len();
        let document = Full::new(Bytes::from(document)).boxed_unsync();
        let told = ask(wire, "POST", &url, document, len).await?;
        if !told.contains("<CompleteMultipartUploadResult") {
            return Err(Undone::Fault(format!("{told} from {url}")));
        }
        let len = body.len();
        self.set(slot, Held::Body(body));
        Ok(len)
    }
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    let (_before, rest) = text.split_once(start)?;
    rest.split_once(end).map(|(found, _after)| found)
}

fn nothing() -> Sending {
    Full::new(Bytes::new()).boxed_unsync()
}

/// `body` in small pieces, with a pause before each.
fn slowly(body: Bytes) -> Sending {
    let pieces = stream::unfold(body, |mut rest| async move {
        if rest.is_empty() {
            return None;
        }
        tokio::time::sleep(SLOW_PAUSE).await;
        let piece = rest.split_to(rest.len().min(SLOW_PIECE_BYTES));
        Some((Ok::<_, Infallible>(Frame::data(piece)), rest))
    });
    StreamBody::new(pieces).boxed_unsync()
}

/// Sends a request and gives back the text of its answer.
async fn ask(
    wire: &mut Wire,
    method: &str,
    url: &str,
    body: Sending,
    len: usize,
) -> Result<String, Undone> {
    let answer = wire.send(method, url, body, len).await?;
    let body = accept(answer, url).await?;
    let bytes = body.collect().await.map_err(failed)?.to_bytes();
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The body of an answer that is a success.
async fn accept(answer: http::Response<Incoming>, url: &str) -> Result<Incoming, Undone> {
    let status = answer.status();
    if status.is_success() {
        return Ok(answer.into_body());
    }
    let text = answer.into_body().collect().await.map_err(failed)?;
    let text = String::from_utf8_lossy(&text.to_bytes()).into_owned();
    if status == StatusCode::SERVICE_UNAVAILABLE && text.contains("<Code>SlowDown</Code>") {
        return Err(Undone::TurnedAway);
    }
    Err(Undone::Fault(format!("{status} from {url}: {text}")))
}
