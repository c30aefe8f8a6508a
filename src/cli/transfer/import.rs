//! Files of an export into a bucket.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use md5::{Digest as _, Md5};

use super::sidecar::{Entry, failed};
use super::wire::{Ask, Wire};
use super::{AT_ONCE, Outcome, place, sidecar};
use crate::auth::canonical;
use crate::cli::CliError;
use crate::s3::xml::{XmlWriter, parse_any};

/// Bytes of a part, at least; what has no more is put whole.
const PART_BYTES: u64 = 16 * 1024 * 1024;
/// Parts of an upload, at most, with room to spare.
const PARTS_MAX: u64 = 9000;

pub(super) async fn import(wire: &Wire, folder: &Path) -> Result<Outcome, CliError> {
    let entries = sidecar::read(folder)?;
    if entries.is_empty() && !folder.join("objects.jsonl").is_file() {
        let folder = folder.display();
        return Err(CliError::Usage(format!(
            "{folder} holds no export: it has no objects.jsonl"
        )));
    }
    let sent = stream::iter(entries.into_values()).map(|entry| async move {
        let sent = object(wire, folder, &entry).await;
        sent.map(|sent| (sent, entry.len))
            .map_err(|error| format!("{:?}: {error}", entry.key))
    });
    let mut sent = sent.buffer_unordered(AT_ONCE);
    let mut outcome = Outcome::default();
    while let Some(sent) = sent.next().await {
        match sent {
            Ok((true, len)) => {
                outcome.done = outcome.done.saturating_add(1);
                outcome.bytes = outcome.bytes.saturating_add(len);
            }
            Ok((false, _len)) => outcome.skipped = outcome.skipped.saturating_add(1),
            Err(failure) => outcome.failed.push(failure),
        }
    }
    Ok(outcome)
}

/// Puts an object; false where the bucket has it already.
async fn object(wire: &Wire, folder: &Path, entry: &Entry) -> Result<bool, CliError> {
    if !place::is_within(&entry.file) || !place::has_no_link(folder, &entry.file) {
        let text = format!("its file {:?} does not lie in the folder", entry.file);
        return Err(CliError::Usage(text));
    }
    let part = PART_BYTES.max(entry.len.div_ceil(PARTS_MAX));
    let mut pieces = Pieces::open(&folder.join(&entry.file), part)?;
    let read = pieces.check()?;
    if (read.len, &read.sha256) != (entry.len, &entry.sha256) {
        return Err(CliError::Usage(
            "its file is not the one that was exported".to_owned(),
        ));
    }
    let headers = headers(entry)?;
    if has(wire, entry, &read.etag, &headers).await? {
        return Ok(false);
    }
    if entry.len <= part {
        let body = pieces.next()?.unwrap_or_default();
        let ask = Ask {
            method: Method::PUT,
            key: &entry.key,
            headers,
            body,
            ..Ask::default()
        };
        succeeded(wire, &ask).await?;
        return Ok(true);
    }
    upload(wire, entry, headers, &mut pieces)
        .await
        .map(|()| true)
}

/// Whether the bucket has the object, with what it tells its readers.
async fn has(
    wire: &Wire,
    entry: &Entry,
    etag: &str,
    headers: &HeaderMap,
) -> Result<bool, CliError> {
    let ask = Ask {
        method: Method::HEAD,
        key: &entry.key,
        ..Ask::default()
    };
    let found = wire.ask(&ask).await?;
    let text = found.header("etag").unwrap_or_default();
    let same = headers
        .iter()
        .all(|(name, value)| name == "x-amz-tagging" || found.headers.get(name) == Some(value));
    let tags = found
        .header("x-amz-tagging-count")
        .unwrap_or_else(|| "0".to_owned());
    Ok(found.status.is_success()
        && text.trim_matches('"') == etag
        && same
        && tags == entry.tags.len().to_string())
}

async fn upload(
    wire: &Wire,
    entry: &Entry,
    headers: HeaderMap,
    pieces: &mut Pieces,
) -> Result<(), CliError> {
    let key = &entry.key;
    let begin = Ask {
        method: Method::POST,
        key,
        query: vec![("uploads", "")],
        headers,
        ..Ask::default()
    };
    let begun = parse_any(&succeeded(wire, &begin).await?).map_err(failed)?;
    let id = begun.text_of("UploadId").unwrap_or_default().to_owned();
    let sent = parts(wire, key, &id, pieces).await;
    if sent.is_err() {
        let abort = Ask {
            method: Method::DELETE,
            key,
            query: vec![("uploadId", &id)],
            ..Ask::default()
        };
        // What can't be aborted the bucket's lifecycle removes; the first error is the one to tell.
        drop(wire.ask(&abort).await);
    }
    sent
}

async fn parts(wire: &Wire, key: &str, id: &str, pieces: &mut Pieces) -> Result<(), CliError> {
    let mut list = XmlWriter::new("CompleteMultipartUpload");
    let mut number = 0_u32;
    while let Some(body) = pieces.next()? {
        number = number.saturating_add(1);
        let text = number.to_string();
        let ask = Ask {
            method: Method::PUT,
            key,
            query: vec![("partNumber", &text), ("uploadId", id)],
            body,
            ..Ask::default()
        };
        let answer = wire.ask(&ask).await?;
        let etag = answer.header("etag").unwrap_or_default();
        list.element("Part", |part| {
            part.text("PartNumber", &text).text("ETag", &etag);
        });
    }
    let ask = Ask {
        method: Method::POST,
        key,
        query: vec![("uploadId", id)],
        body: list.finish().into(),
        ..Ask::default()
    };
    let answer = parse_any(&succeeded(wire, &ask).await?).map_err(failed)?;
    // S3 may fail after it has begun to answer with 200.
    match answer.name.as_str() {
        "Error" => Err(CliError::Usage(
            answer.text_of("Message").unwrap_or_default().to_owned(),
        )),
        _ => Ok(()),
    }
}

async fn succeeded(wire: &Wire, ask: &Ask<'_>) -> Result<Vec<u8>, CliError> {
    let answer = wire.ask(ask).await?;
    if !answer.status.is_success() {
        return Err(CliError::Usage(
            "there is no such bucket or upload".to_owned(),
        ));
    }
    answer.all().await
}

/// The headers that make the object what it was.
fn headers(entry: &Entry) -> Result<HeaderMap, CliError> {
    let mut headers = HeaderMap::new();
    for (name, value) in &entry.headers {
        let name = HeaderName::try_from(name).map_err(failed)?;
        headers.insert(
            name,
            HeaderValue::try_from(value.as_bytes()).map_err(failed)?,
        );
    }
    if !entry.tags.is_empty() {
        let pairs: canonical::Pairs<'_> = entry
            .tags
            .iter()
            .map(|(name, value)| (name.as_bytes().into(), value.as_bytes().into()))
            .collect();
        let tagging = canonical::query(pairs.iter());
        headers.insert(
            "x-amz-tagging",
            HeaderValue::try_from(tagging).map_err(failed)?,
        );
    }
    Ok(headers)
}

/// A file, part by part.
struct Pieces {
    file: File,
    part: u64,
}

/// What a file turned out to be.
struct Read {
    len: u64,
    sha256: String,
    /// What S3 makes of it, put in these parts.
    etag: String,
}

impl Pieces {
    fn open(path: &Path, part: u64) -> Result<Self, CliError> {
        let file = File::open(path)?;
        Ok(Self { file, part })
    }

    fn next(&mut self) -> Result<Option<Bytes>, CliError> {
        let mut bytes = Vec::new();
        (&mut self.file).take(self.part).read_to_end(&mut bytes)?;
        Ok((!bytes.is_empty()).then(|| bytes.into()))
    }

    /// Reads the file once, and goes back to its start.
    fn check(&mut self) -> Result<Read, CliError> {
        let (mut sha256, mut of_parts) = (sha2::Sha256::new(), Md5::new());
        let (mut len, mut parts, mut last) = (0_u64, 0_u64, Md5::digest(b""));
        while let Some(bytes) = self.next()? {
            sha2::Digest::update(&mut sha256, &bytes);
            last = Md5::digest(&bytes);
            of_parts.update(last);
            parts = parts.saturating_add(1);
            len = len.saturating_add(bytes.len() as u64);
        }
        std::io::Seek::rewind(&mut self.file)?;
        let etag = if parts > 1 {
            format!("{}-{parts}", hex::encode(of_parts.finalize()))
        } else {
            hex::encode(last)
        };
        let sha256 = hex::encode(sha2::Digest::finalize(sha256));
        Ok(Read { len, sha256, etag })
    }
}
