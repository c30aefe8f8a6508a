//! A bucket's objects into files.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use futures_util::{StreamExt as _, stream};
use http::{HeaderMap, HeaderValue, Method};
use sha2::{Digest as _, Sha256};

use super::sidecar::{Entry, Journal, failed};
use super::wire::{Answer, Ask, Wire};
use super::{AT_ONCE, Outcome, place, sidecar};
use crate::auth::canonical;
use crate::auth::sigv4::sha256_hex;
use crate::cli::CliError;
use crate::s3::xml::{Node, parse_any};
use crate::store::blob::durable::{self, Durability};

/// Headers that an object keeps for its readers.
const KEPT: [&str; 7] = [
    "content-type",
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "expires",
    "x-amz-website-redirect-location",
];

/// A row of a listing.
#[derive(Debug, Clone)]
struct Listed {
    key: String,
    etag: String,
    modified: String,
    len: u64,
}

pub(super) async fn export(wire: &Wire, folder: &Path, prefix: &str) -> Result<Outcome, CliError> {
    std::fs::create_dir_all(folder.join("odd"))?;
    std::fs::create_dir_all(folder.join("files"))?;
    let before = sidecar::read(folder)?;
    let mut journal = Journal::begin(folder)?;
    let mut whole = BTreeMap::new();
    let mut outcome = Outcome::default();
    let mut after = None;
    loop {
        let (page, next) = list(wire, prefix, after.as_deref()).await?;
        let mut fetch = Vec::new();
        for listed in page {
            match before
                .get(&listed.key)
                .filter(|entry| is_there(folder, entry, &listed))
            {
                Some(entry) => {
                    outcome.skipped = outcome.skipped.saturating_add(1);
                    whole.insert(listed.key, entry.clone());
                }
                None => fetch.push(listed),
            }
        }
        let fetched = stream::iter(fetch).map(|listed| async move {
            let entry = object(wire, folder, &listed).await;
            entry.map_err(|error| format!("{:?}: {error}", listed.key))
        });
        let mut fetched = fetched.buffer_unordered(AT_ONCE);
        while let Some(entry) = fetched.next().await {
            match entry {
                Ok(Some(entry)) => {
                    journal.add(&entry)?;
                    outcome.done = outcome.done.saturating_add(1);
                    outcome.bytes = outcome.bytes.saturating_add(entry.len);
                    whole.insert(entry.key.clone(), entry);
                }
                // Deleted meanwhile.
                Ok(None) => {}
                Err(failure) => outcome.failed.push(failure),
            }
        }
        match next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    if outcome.failed.is_empty() {
        remove_others(folder, &before, &whole)?;
        journal.end(&whole)?;
    }
    Ok(outcome)
}

/// Files of objects that are gone, or lie elsewhere now.
fn remove_others(
    folder: &Path,
    before: &BTreeMap<String, Entry>,
    whole: &BTreeMap<String, Entry>,
) -> Result<(), CliError> {
    let kept: BTreeSet<_> = whole.values().map(|entry| entry.file.as_str()).collect();
    for entry in before.values() {
        let file = entry.file.as_str();
        if kept.contains(file) || !place::is_within(file) || !place::has_no_link(folder, file) {
            continue;
        }
        match std::fs::remove_file(folder.join(file)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

fn is_there(folder: &Path, entry: &Entry, listed: &Listed) -> bool {
    let found = std::fs::metadata(folder.join(&entry.file));
    place::is_within(&entry.file)
        && entry.etag == listed.etag
        && entry.modified == listed.modified
        && found.is_ok_and(|found| found.is_file() && found.len() == listed.len)
}

async fn list(
    wire: &Wire,
    prefix: &str,
    after: Option<&str>,
) -> Result<(Vec<Listed>, Option<String>), CliError> {
    let mut query = vec![
        ("list-type", "2"),
        ("encoding-type", "url"),
        ("prefix", prefix),
    ];
    query.extend(after.map(|token| ("continuation-token", token)));
    let ask = Ask {
        method: Method::GET,
        query,
        ..Ask::default()
    };
    let answer = wire.ask(&ask).await?;
    if !answer.status.is_success() {
        return Err(CliError::Usage("there is no such bucket".to_owned()));
    }
    let page = parse_any(&answer.all().await?).map_err(failed)?;
    let rows = page.all("Contents").map(|row| {
        let text = |name| row.text_of(name).unwrap_or_default();
        let key = canonical::decode(text("Key"), true);
        Ok(Listed {
            key: String::from_utf8(key.into_owned()).map_err(failed)?,
            etag: text("ETag").trim_matches('"').to_owned(),
            modified: text("LastModified").to_owned(),
            len: text("Size").parse().map_err(failed)?,
        })
    });
    let rows = rows.collect::<Result<_, CliError>>()?;
    let more = page.text_of("IsTruncated") == Some("true");
    let next = page.text_of("NextContinuationToken").map(str::to_owned);
    Ok((rows, next.filter(|_token| more)))
}

/// Fetches an object into its file; none where it is gone.
async fn object(wire: &Wire, folder: &Path, listed: &Listed) -> Result<Option<Entry>, CliError> {
    let ask = Ask {
        method: Method::GET,
        key: &listed.key,
        headers: HeaderMap::from_iter([(
            http::header::ACCEPT_ENCODING,
            HeaderValue::from_static("identity"),
        )]),
        ..Ask::default()
    };
    let mut answer = wire.ask(&ask).await?;
    if !answer.status.is_success() {
        return Ok(None);
    }
    let staged = folder
        .join("odd")
        .join(format!(".{}", sha256_hex(listed.key.as_bytes())));
    let (file, len, sha256, md5) = fetched(&mut answer, &staged).await?;
    let told = answer
        .header("content-length")
        .and_then(|len| len.parse().ok());
    let etag = answer
        .header("etag")
        .unwrap_or_default()
        .trim_matches('"')
        .to_owned();
    let sealed = answer
        .header("x-amz-server-side-encryption")
        .is_some_and(|how| how != "AES256");
    // An entity tag of 32 digits is the MD5, but where a named key seals.
    let is_md5 = etag.len() == 32 && etag.bytes().all(|one| one.is_ascii_hexdigit()) && !sealed;
    if told.is_some_and(|told: u64| told != len) || (is_md5 && etag != md5) {
        return Err(CliError::Usage(
            "what came is not what was stored".to_owned(),
        ));
    }
    let tags = match answer.header("x-amz-tagging-count") {
        Some(_count) => tags(wire, &listed.key).await?,
        None => Vec::new(),
    };
    let name = publish(folder, &listed.key, &staged, &file)?;
    Ok(Some(Entry {
        key: listed.key.clone(),
        file: name,
        len,
        sha256,
        etag,
        modified: listed.modified.clone(),
        headers: headers(&answer.headers),
        tags,
    }))
}

async fn fetched(
    answer: &mut Answer,
    staged: &Path,
) -> Result<(File, u64, String, String), CliError> {
    let mut file = File::create(staged)?;
    let (mut sha256, mut md5, mut len) = (Sha256::new(), md5::Md5::new(), 0_u64);
    while let Some(bytes) = answer.next().await? {
        file.write_all(&bytes)?;
        sha256.update(&bytes);
        md5.update(&bytes);
        len = len.saturating_add(bytes.len() as u64);
    }
    Ok((
        file,
        len,
        hex::encode(sha256.finalize()),
        hex::encode(md5.finalize()),
    ))
}

/// Gives the file its name, or one that nobody else can have, where a folder has it.
fn publish(folder: &Path, key: &str, staged: &Path, file: &File) -> Result<String, CliError> {
    let publish = |name: &str| -> Result<(), CliError> {
        let place: PathBuf = folder.join(name);
        if let Some(parent) = place.parent() {
            std::fs::create_dir_all(parent)?;
        }
        durable::publish(file, staged, &place, Durability::None).map_err(failed)
    };
    let name = place::of(key);
    if place::has_no_link(folder, &name) && publish(&name).is_ok() {
        return Ok(name);
    }
    let name = place::odd(key);
    publish(&name).map(|()| name)
}

fn headers(from: &HeaderMap) -> BTreeMap<String, String> {
    let kept = from.iter().filter(|(name, _value)| {
        let name = name.as_str();
        KEPT.contains(&name) || name.starts_with("x-amz-meta-")
    });
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    kept.map(|(name, value)| (name.to_string(), text(value)))
        .collect()
}

async fn tags(wire: &Wire, key: &str) -> Result<Vec<(String, String)>, CliError> {
    let ask = Ask {
        method: Method::GET,
        key,
        query: vec![("tagging", "")],
        ..Ask::default()
    };
    let body = wire.ask(&ask).await?.all().await?;
    let tagging = parse_any(&body).map_err(failed)?;
    let set = tagging.child("TagSet").cloned().unwrap_or_default();
    let text = |tag: &Node, name: &str| tag.text_of(name).unwrap_or_default().to_owned();
    Ok(set
        .all("Tag")
        .map(|tag| (text(tag, "Key"), text(tag, "Value")))
        .collect())
}
