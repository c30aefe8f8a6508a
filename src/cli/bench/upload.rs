//! The load of large objects: multipart uploads, their completion, and copies of them.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Uri, header};
use tokio::task::JoinSet;

use super::Job;
use super::measure::{Outcome, Series, Watch};
use super::wire::{Answer, Check, Endpoint, Wire, failed, pattern, request, whole};
use crate::cli::CliError;
use crate::clock::{Clock as _, SystemClock};

/// Each part begins so many bytes further in the pattern, so that no two are the same.
const PART_SHIFT: usize = 64;
/// A part that is copied from an object: the smallest that may be followed by another.
const COPIED_PART_BYTES: usize = 5 << 20;
/// Connections that copy parts.
const COPY_CONNECTIONS: usize = 16;
/// Parts that are made ready for the completions of a run: three of as many as an upload may have, since one
/// alone is the machine's mood.
const READY_PARTS: usize = 30_000;
/// Parts of the object that is copied.
const SOURCE_PART_BYTES: usize = 64 << 20;
/// Connections that upload the object which is copied.
const SOURCE_CONNECTIONS: usize = 4;
/// Copies of a run.
const COPIES_MAX: usize = 16;

/// An object's bytes, in parts.
#[derive(Debug)]
pub(super) struct Parts {
    pool: Bytes,
    bytes: usize,
    part_bytes: usize,
}

impl Parts {
    pub(super) fn new(bytes: usize, part_bytes: usize) -> Self {
        let part_bytes = part_bytes.min(bytes).max(1);
        let count = bytes.div_ceil(part_bytes);
        Self {
            pool: pattern(part_bytes.saturating_add(count.saturating_mul(PART_SHIFT))),
            bytes,
            part_bytes,
        }
    }

    fn count(&self) -> usize {
        self.bytes.div_ceil(self.part_bytes)
    }

    /// The bytes of a part, counted from 0; none behind the last one.
    fn part(&self, number: usize) -> Option<Bytes> {
        let at = number.checked_mul(self.part_bytes)?;
        let len = self.bytes.checked_sub(at)?.min(self.part_bytes);
        let start = number.checked_mul(PART_SHIFT)?;
        (len > 0).then(|| self.pool.slice(start..start.saturating_add(len)))
    }
}

/// How a part comes to the server.
#[derive(Debug, Clone)]
enum Source {
    /// Its bytes are sent.
    Sent(Arc<Parts>),
    /// It is a copy of this object (`/bucket/key`), and there are so many.
    Copied(HeaderValue, usize),
}

/// A key and who writes to it.
#[derive(Debug, Clone)]
struct Place {
    endpoint: Endpoint,
    path: String,
}

impl Place {
    /// A key that no other run has.
    fn new(endpoint: &Endpoint, name: &str, number: usize) -> Self {
        let now = SystemClock.now().unix_ms();
        Self {
            endpoint: endpoint.clone(),
            path: format!("/{}/{name}-{now:x}-{number}", endpoint.bucket),
        }
    }

    async fn ask(
        &self,
        wire: &mut Wire,
        method: Method,
        query: &[(&str, &str)],
        body: Bytes,
    ) -> Result<Answer, CliError> {
        let url = self.endpoint.sign_query(method.as_str(), &self.path, query);
        let url = Uri::try_from(url).map_err(failed)?;
        let len = body.len();
        let request = request(method, url, whole(body), len);
        wire.ask(request, Check::Status).await
    }

    /// A request that copies `source` to here.
    async fn copy(
        &self,
        wire: &mut Wire,
        source: &HeaderValue,
        query: &[(&str, &str)],
    ) -> Result<Answer, CliError> {
        let mut headers = HeaderMap::new();
        headers.insert("x-amz-copy-source", source.clone());
        let url = self.endpoint.sign_with("PUT", &self.path, query, &headers);
        let url = Uri::try_from(url).map_err(failed)?;
        let mut request = request(Method::PUT, url, whole(Bytes::new()), 0);
        request.headers_mut().extend(headers);
        wire.ask(request, Check::Status).await
    }

    /// Begins an upload here.
    async fn begin(&self, wire: &mut Wire) -> Result<String, CliError> {
        let query = [("uploads", "")];
        let answer = self.ask(wire, Method::POST, &query, Bytes::new()).await?;
        let id = answer.element("UploadId");
        id.ok_or_else(|| CliError::Usage(format!("no UploadId for {}", self.path)))
    }

    /// Sends one part; none where there are no more. Gives back its entity tag.
    async fn part(
        &self,
        wire: &mut Wire,
        id: &str,
        source: &Source,
        number: usize,
    ) -> Result<Option<String>, CliError> {
        let told = number.saturating_add(1).to_string();
        let query = [("partNumber", told.as_str()), ("uploadId", id)];
        match source {
            Source::Sent(parts) => {
                let Some(bytes) = parts.part(number) else {
                    return Ok(None);
                };
                let answer = self.ask(wire, Method::PUT, &query, bytes).await?;
                Ok(Some(answer.header(&header::ETAG).to_owned()))
            }
            Source::Copied(_source, count) if number >= *count => Ok(None),
            Source::Copied(source, _count) => {
                let answer = self.copy(wire, source, &query).await?;
                let tag = answer.element("ETag");
                let missing = || CliError::Usage(format!("no ETag of a part of {}", self.path));
                tag.ok_or_else(missing).map(Some)
            }
        }
    }

    /// Sends all parts over all of `wires`; gives back the document that completes the upload.
    async fn parts(
        &self,
        wires: &mut Vec<Wire>,
        id: &str,
        source: &Source,
    ) -> Result<String, CliError> {
        let next = Arc::new(AtomicUsize::new(0));
        let mut senders = JoinSet::new();
        for mut wire in wires.drain(..) {
            let (place, id, source) = (self.clone(), id.to_owned(), source.clone());
            let next = Arc::clone(&next);
            senders.spawn(async move {
                let mut tags = Vec::new();
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    match place.part(&mut wire, &id, &source, number).await? {
                        Some(tag) => tags.push((number.saturating_add(1), tag)),
                        None => return Ok::<_, CliError>((wire, tags)),
                    }
                }
            });
        }
        let mut all = Vec::new();
        while let Some(ended) = senders.join_next().await {
            let (wire, tags) = ended.map_err(failed)??;
            wires.push(wire);
            all.extend(tags);
        }
        all.sort_unstable();
        let mut document = String::from("<CompleteMultipartUpload>");
        for (number, tag) in all {
            // Writing into a string can't fail.
            _ = write!(
                document,
                "<Part><PartNumber>{number}</PartNumber><ETag>{tag}</ETag></Part>"
            );
        }
        document.push_str("</CompleteMultipartUpload>");
        Ok(document)
    }

    async fn complete(
        &self,
        wire: &mut Wire,
        id: &str,
        document: String,
    ) -> Result<Answer, CliError> {
        let query = [("uploadId", id)];
        let body = Bytes::from(document);
        let answer = self.ask(wire, Method::POST, &query, body).await?;
        self.expect(&answer, "CompleteMultipartUploadResult")?;
        Ok(answer)
    }

    /// An answer of 200 may hold an error all the same.
    fn expect(&self, answer: &Answer, root: &str) -> Result<(), CliError> {
        let text = String::from_utf8_lossy(&answer.text);
        if text.contains(&format!("<{root}")) {
            return Ok(());
        }
        Err(CliError::Usage(format!("{}: {text}", self.path)))
    }

    /// A whole upload; gives back what its completion was answered.
    async fn upload(&self, wires: &mut Vec<Wire>, source: &Source) -> Result<Answer, CliError> {
        let id = self.begin(first(wires)?).await?;
        let document = self.parts(wires, &id, source).await?;
        self.complete(first(wires)?, &id, document).await
    }

    /// Compares the object's length, and the bytes from `at` on.
    async fn verify(
        &self,
        wire: &mut Wire,
        length: usize,
        at: usize,
        bytes: &Bytes,
    ) -> Result<(), CliError> {
        let url = self.endpoint.sign_query("HEAD", &self.path, &[]);
        let url = Uri::try_from(url).map_err(failed)?;
        let head = request(Method::HEAD, url, whole(Bytes::new()), 0);
        wire.ask(head, Check::Length(length)).await?;
        let url = self.endpoint.sign_query("GET", &self.path, &[]);
        let url = Uri::try_from(url).map_err(failed)?;
        let mut get = request(Method::GET, url, whole(Bytes::new()), 0);
        let last = at.saturating_add(bytes.len()).saturating_sub(1);
        let range = HeaderValue::from_str(&format!("bytes={at}-{last}")).map_err(failed)?;
        get.headers_mut().insert(header::RANGE, range);
        wire.ask(get, Check::Bytes(bytes)).await?;
        Ok(())
    }

    /// The same for each of these parts.
    async fn verify_parts(
        &self,
        wire: &mut Wire,
        parts: &Parts,
        numbers: impl Iterator<Item = usize>,
    ) -> Result<(), CliError> {
        for number in numbers {
            let at = number.saturating_mul(parts.part_bytes);
            let bytes = parts.part(number).unwrap_or_default();
            self.verify(wire, parts.bytes, at, &bytes).await?;
        }
        Ok(())
    }

    async fn delete(&self, wire: &mut Wire) -> Result<(), CliError> {
        let asked = self.ask(wire, Method::DELETE, &[], Bytes::new()).await;
        asked.map(drop)
    }
}

fn first(wires: &mut [Wire]) -> Result<&mut Wire, CliError> {
    let none = || CliError::Usage("there is no connection".to_owned());
    wires.first_mut().ok_or_else(none)
}

async fn connect(endpoint: &Endpoint, connections: usize) -> Result<Vec<Wire>, CliError> {
    let mut wires = Vec::new();
    for _wire in 0..connections {
        wires.push(endpoint.connect().await?);
    }
    Ok(wires)
}

/// Uploads objects in parts, one after the other, until the time is over.
pub(super) async fn multipart(
    job: &Job,
    bytes: usize,
    part_bytes: usize,
    connections: usize,
) -> Result<Outcome, CliError> {
    let parts = Arc::new(Parts::new(bytes, part_bytes));
    let source = Source::Sent(Arc::clone(&parts));
    let mut wires = connect(&job.endpoint, connections).await?;
    let (mut uploads, mut completions) = (Series::default(), Series::default());
    let mut places = Vec::new();
    let watch = Watch::start(&job.pids);
    let began = Instant::now();
    while places.is_empty() || began.elapsed() < job.time {
        let place = Place::new(&job.endpoint, "multipart", places.len());
        let upload = Instant::now();
        let completed = place.upload(&mut wires, &source).await?;
        uploads.add(upload.elapsed(), bytes);
        completions.add(completed.took, 0);
        places.push(place);
    }
    let (time, spent) = (began.elapsed(), watch.stop());
    let wire = first(&mut wires)?;
    if let Some(last) = places.last() {
        last.verify_parts(wire, &parts, 0..parts.count()).await?;
    }
    for place in places {
        place.delete(wire).await?;
    }
    let outcome = Outcome::new(job.run.to_string(), time, uploads, spent);
    Ok(outcome.with_completions(completions))
}

/// Completes uploads of so many parts, which are copies of one object.
pub(super) async fn complete(job: &Job, parts: usize) -> Result<Outcome, CliError> {
    let mut wires = connect(&job.endpoint, COPY_CONNECTIONS).await?;
    let origin = Place::new(&job.endpoint, "part", 0);
    let bytes = pattern(COPIED_PART_BYTES);
    let wire = first(&mut wires)?;
    origin.ask(wire, Method::PUT, &[], bytes.clone()).await?;
    let source = HeaderValue::from_str(&origin.path).map_err(failed)?;
    let source = Source::Copied(source, parts);
    let mut ready = Vec::new();
    for number in 0..(READY_PARTS / parts.max(1)).clamp(1, 5) {
        let place = Place::new(&job.endpoint, "complete", number);
        let id = place.begin(first(&mut wires)?).await?;
        let document = place.parts(&mut wires, &id, &source).await?;
        ready.push((place, id, document));
    }
    let wire = first(&mut wires)?;
    let mut completions = Series::default();
    let mut places = Vec::new();
    let watch = Watch::start(&job.pids);
    for (place, id, document) in ready {
        completions.add(place.complete(wire, &id, document).await?.took, 0);
        places.push(place);
    }
    let spent = watch.stop();
    let length = parts.saturating_mul(COPIED_PART_BYTES);
    for place in places {
        let at = length.saturating_sub(COPIED_PART_BYTES);
        place.verify(wire, length, at, &bytes).await?;
        place.delete(wire).await?;
    }
    origin.delete(wire).await?;
    let time = completions.time();
    Ok(Outcome::new(job.run.to_string(), time, completions, spent))
}

/// Copies an object again and again, until the time is over.
pub(super) async fn copy(job: &Job, bytes: usize) -> Result<Outcome, CliError> {
    let parts = Arc::new(Parts::new(bytes, SOURCE_PART_BYTES));
    let mut wires = connect(&job.endpoint, SOURCE_CONNECTIONS).await?;
    let origin = Place::new(&job.endpoint, "source", 0);
    let sent = Source::Sent(Arc::clone(&parts));
    origin.upload(&mut wires, &sent).await?;
    let source = HeaderValue::from_str(&origin.path).map_err(failed)?;
    let wire = first(&mut wires)?;
    let mut copies = Series::default();
    let mut places = Vec::new();
    let watch = Watch::start(&job.pids);
    let began = Instant::now();
    while places.is_empty() || (places.len() < COPIES_MAX && began.elapsed() < job.time) {
        let place = Place::new(&job.endpoint, "copy", places.len());
        let answer = place.copy(wire, &source, &[]).await?;
        place.expect(&answer, "CopyObjectResult")?;
        copies.add(answer.took, bytes);
        places.push(place);
    }
    let spent = watch.stop();
    let ends = [0, parts.count().saturating_sub(1)];
    for place in places {
        place.verify_parts(wire, &parts, ends.into_iter()).await?;
        place.delete(wire).await?;
    }
    origin.delete(wire).await?;
    let time = copies.time();
    Ok(Outcome::new(job.run.to_string(), time, copies, spent))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_make_up_the_object_and_differ() {
        let parts = Parts::new(1000, 300);
        let lengths = (0..5).map(|number| parts.part(number).map_or(0, |part| part.len()));
        assert_eq!(lengths.collect::<Vec<_>>(), [300, 300, 300, 100, 0]);
        assert_eq!(parts.count(), 4);
        assert_ne!(parts.part(0), parts.part(1));
        assert_eq!(Parts::new(10, 300).part(0).map(|part| part.len()), Some(10));
    }
}
