//! A bucket for the load on listings, filled faster than requests could: in the data folder itself.

use std::fmt::Display;
use std::time::{Duration, Instant};

use serde_json::json;

use super::listing::{bucket_of, key_of};
use super::wire::pattern;
use crate::cli::{CliError, block_on, print_json};
use crate::config::Config;
use crate::name::{BucketName, ObjectKey};
use crate::server::{Filling, OfflineError};

/// How often it is told how many there are.
const TELL_EVERY: Duration = Duration::from_secs(5);

/// What is to be made.
#[derive(Debug)]
pub(super) struct Fill {
    /// The name that the buckets of listings begin with.
    pub(super) bucket: String,
    /// Objects.
    pub(super) keys: usize,
    /// The length of each.
    pub(super) object_bytes: usize,
    /// Answer in JSON.
    pub(super) json: bool,
}

impl Fill {
    /// Fills the bucket that `list:KEYS` measures. Its last object comes last, as it tells that all are there.
    ///
    /// # Errors
    /// Where a server holds the folder, the bucket is missing, or what the store fails with.
    pub(super) fn run(&self, config: &Config) -> Result<(), CliError> {
        let name = bucket_of(&self.bucket, self.keys);
        let bucket = BucketName::parse(&name).map_err(usage)?;
        let (bytes, began) = (pattern(self.object_bytes), Instant::now());
        block_on(async {
            let opened = Filling::open(config, &bucket).await;
            let filling = opened.map_err(|error| match error {
                OfflineError::NoBucket(_) => CliError::Usage(format!(
                    "there is no bucket {bucket}: make it while the server runs (consign bench \
                     --bucket {bucket} put:0B:1 --objects 1)"
                )),
                error => error.into(),
            })?;
            let key = |number| ObjectKey::parse(key_of(self.keys, number)).ok();
            let last = self.keys.saturating_sub(1);
            let mut told = Instant::now();
            let tell = |count| {
                if !self.json && told.elapsed() > TELL_EVERY {
                    told = Instant::now();
                    println!("{count} of {}", self.keys);
                }
            };
            filling.put((0..last).filter_map(key), &bytes, tell).await?;
            filling
                .put(key(last).into_iter(), &bytes, |_one| {})
                .await?;
            Ok(())
        })?;
        let seconds = began.elapsed().as_secs_f64();
        if self.json {
            let run = format!("fill:{}", self.keys);
            let made = json!({ "run": run, "objects": self.keys, "seconds": seconds });
            return print_json(&json!({ "runs": [made] }));
        }
        println!("{name}: {} objects in {seconds:.1} s", self.keys);
        Ok(())
    }
}

fn usage(error: impl Display) -> CliError {
    CliError::Usage(error.to_string())
}
