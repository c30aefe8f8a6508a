//! The load on listings: a bucket of many small objects under a hundred prefixes.

use bytes::Bytes;
use http::{Method, Uri};

use super::Job;
use super::load::{Expected, Sent, Supply, drive};
use super::measure::{Outcome, Watch};
use super::wire::{Endpoint, failed, make_bucket, pattern, whole};
use super::work::Listing;
use crate::cli::{CliError, block_on};

/// Prefixes that the keys are under.
const PREFIXES: usize = 100;
/// Keys of a page: what S3 gives at most.
const PAGE_KEYS: usize = 1000;
/// Pages that are asked for in turn.
const PAGES_MAX: usize = 64;
/// URLs that are signed at a time.
const SLICE: usize = 50_000;
/// Connections that fill and empty a bucket.
const HELPERS: usize = 64;

/// The bucket of so many keys.
pub(super) fn bucket_of(bucket: &str, keys: usize) -> String {
    format!("{bucket}-{keys}")
}

/// The key in this place of the order of a bucket with so many.
pub(super) fn key_of(keys: usize, number: usize) -> String {
    let prefix = number / keys.div_ceil(PREFIXES).max(1);
    format!("{prefix:02}/{number:010}")
}

/// A bucket with so many keys, and nothing else in it.
struct Full {
    endpoint: Endpoint,
    keys: usize,
    /// The length of each object.
    object_bytes: usize,
}

impl Full {
    fn key(&self, number: usize) -> String {
        key_of(self.keys, number)
    }

    fn path(&self, number: usize) -> String {
        format!("/{}/{}", self.endpoint.bucket, self.key(number))
    }

    /// Sends a request for each of the objects from `start` up to `end`.
    fn each(&self, method: &Method, start: usize, end: usize) -> Result<(), CliError> {
        for start in (start..end).step_by(SLICE) {
            let numbers = start..end.min(start.saturating_add(SLICE));
            let signed = numbers.map(|number| {
                let path = self.path(number);
                let url = self.endpoint.sign_query(method.as_str(), &path, &[]);
                Uri::try_from(url).map_err(failed)
            });
            let mut supply = Supply::new(method.clone(), signed.collect::<Result<_, _>>()?);
            if method == Method::PUT {
                supply.sent = Sent::Plain(pattern(self.object_bytes));
            }
            drive(&self.endpoint, &supply, HELPERS, None)?;
        }
        Ok(())
    }

    /// Puts what is missing, and tells whether anything was. The last object is put when all others are
    /// there, so that it tells of them.
    fn fill(&self) -> Result<bool, CliError> {
        let last = self.keys.saturating_sub(1);
        let is_full = block_on(async {
            make_bucket(&self.endpoint).await?;
            let url = self.endpoint.sign_query("HEAD", &self.path(last), &[]);
            let mut wire = self.endpoint.connect().await?;
            let answer = wire.send("HEAD", &url, whole(Bytes::new()), 0).await?;
            Ok(answer.status().is_success())
        })?;
        if is_full {
            return Ok(false);
        }
        self.each(&Method::PUT, 0, last)?;
        self.each(&Method::PUT, last, self.keys)?;
        Ok(true)
    }

    /// Deletes all, the telling object first.
    fn empty(&self) -> Result<(), CliError> {
        let last = self.keys.saturating_sub(1);
        self.each(&Method::DELETE, last, self.keys)?;
        self.each(&Method::DELETE, 0, last)
    }

    /// The requests of a run, and what they must be answered.
    fn supply(&self, listing: Listing) -> Result<Supply, CliError> {
        let path = format!("/{}", self.endpoint.bucket);
        let mut targets = Vec::new();
        let mut texts = Vec::new();
        let mut add = |query: &[(&str, &str)], expected: Vec<String>| {
            let url = self.endpoint.sign_query("GET", &path, query);
            targets.push(Uri::try_from(url).map_err(failed)?);
            texts.push(expected);
            Ok::<_, CliError>(())
        };
        let mark = match listing {
            Listing::Prefixes => {
                let last = self.key(self.keys.saturating_sub(1));
                let prefixes = (0..PREFIXES).map(|prefix| format!("{prefix:02}/"));
                let there = prefixes.take_while(|prefix| *prefix <= last).collect();
                add(&[("list-type", "2"), ("delimiter", "/")], there)?;
                "<Prefix>"
            }
            Listing::Page => {
                let pages = self.keys.div_ceil(PAGE_KEYS);
                let shown = pages.min(PAGES_MAX);
                for nth in 0..shown {
                    let start = (pages * nth / shown.max(1)).saturating_mul(PAGE_KEYS);
                    let end = self.keys.min(start.saturating_add(PAGE_KEYS));
                    let keys = (start..end).map(|number| self.key(number)).collect();
                    match start.checked_sub(1).map(|before| self.key(before)) {
                        None => add(&[("list-type", "2")], keys)?,
                        Some(after) => add(&[("list-type", "2"), ("start-after", &after)], keys)?,
                    }
                }
                "<Key>"
            }
        };
        let mut supply = Supply::new(Method::GET, targets);
        supply.expected = Expected::Texts(mark, texts);
        supply.round = true;
        Ok(supply)
    }
}

/// Fills a bucket, measures its listing, and empties it unless it is to be kept or was full before: to put
/// ten million objects there again may take an hour.
pub(super) fn measure(
    job: &Job,
    listing: Listing,
    keys: usize,
    connections: usize,
) -> Result<Outcome, CliError> {
    let bucket = bucket_of(&job.endpoint.bucket, keys);
    let full = Full {
        endpoint: job.endpoint.with_bucket(bucket),
        keys,
        object_bytes: job.listed_bytes,
    };
    let is_own = full.fill()?;
    let supply = full.supply(listing)?;
    let watch = Watch::start(&job.pids);
    let (series, time) = drive(&full.endpoint, &supply, connections, Some(job.time))?;
    let spent = watch.stop();
    if is_own && !job.keeps {
        full.empty()?;
    }
    Ok(Outcome::new(job.run.to_string(), time, series, spent))
}

#[cfg(test)]
mod tests {
    use super::super::wire::Address;
    use super::*;

    fn full(keys: usize) -> Full {
        let endpoint = Endpoint {
            address: Address::new("http://127.0.0.1:1", || panic!("no TLS")).unwrap(),
            key: None,
            region: String::new(),
            bucket: "b".to_owned(),
        };
        Full {
            endpoint,
            keys,
            object_bytes: 1,
        }
    }

    fn texts(keys: usize, listing: Listing) -> Vec<Vec<String>> {
        match full(keys).supply(listing).unwrap().expected {
            Expected::Texts(_mark, texts) => texts,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn keys_are_in_order_under_a_hundred_prefixes() {
        for keys in [1, 99, 100, 101, 2500, 10_000] {
            let all: Vec<_> = (0..keys).map(|number| full(keys).key(number)).collect();
            assert!(all.is_sorted());
            let prefix = |key: &String| key.split_inclusive('/').next().unwrap().to_owned();
            let mut prefixes: Vec<_> = all.iter().map(prefix).collect();
            prefixes.dedup();
            assert_eq!(texts(keys, Listing::Prefixes), [prefixes], "{keys}");
            if keys <= PAGES_MAX * PAGE_KEYS {
                assert_eq!(texts(keys, Listing::Page).concat(), all);
            }
        }
    }

    #[test]
    fn pages_are_spread_over_a_large_bucket() {
        let pages = texts(1_000_000, Listing::Page);
        assert_eq!(pages.len(), PAGES_MAX);
        assert!(pages.iter().all(|page| page.len() == PAGE_KEYS));
        assert!(pages.last().unwrap()[0] > full(1_000_000).key(980_000));
    }
}
