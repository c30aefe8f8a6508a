//! What a signer may demand beyond S3, as flags.

use clap::{Args, ValueEnum};

use crate::auth::constraint::{self, Constraint};
use crate::cli::{CliError, admin_client::ClientError};

/// Bytes of the largest object, where only the smallest was said: 5 TiB.
const OBJECT_BYTES_MAX: u64 = 5 << 40;

/// When and from where.
#[derive(Debug, Args)]
pub(super) struct WhenArgs {
    /// Not valid before this time: 2026-11-24T00:20:26Z
    #[arg(long, value_name = "TIME")]
    not_before: Option<String>,
    /// Only for this address or network; may be repeated
    #[arg(long, value_name = "CIDR")]
    source_ip: Vec<String>,
}

/// What must be true of the upload, and what happens then.
#[derive(Debug, Args)]
pub(super) struct DemandArgs {
    /// Media types that may be uploaded, such as image/*; may be repeated
    #[arg(long, value_name = "PATTERN")]
    content_type_pattern: Vec<String>,
    /// Good for one successful upload
    #[arg(long)]
    once: bool,
    /// What must come with the bytes
    #[arg(long, value_name = "WHAT")]
    require: Option<Requirement>,
    /// The configured endpoint that is told of the upload
    #[arg(long, value_name = "ENDPOINT")]
    callback: Option<String>,
    /// What it is told beside the event; may be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = super::parameter, requires = "callback")]
    callback_var: Vec<(String, String)>,
    /// Whether the uploader waits for the endpoint's answer
    #[arg(long, value_name = "MODE", requires = "callback")]
    callback_mode: Option<Mode>,
    #[command(flatten)]
    when: WhenArgs,
}

/// How many bytes.
#[derive(Debug, Args)]
pub(super) struct SizeArgs {
    /// The most bytes: 500, 10KiB, 5MB, 1GiB
    #[arg(long, value_name = "SIZE", value_parser = crate::cli::size::parse)]
    max_size: Option<u64>,
    /// The fewest bytes
    #[arg(long, value_name = "SIZE", default_value = "0", value_parser = crate::cli::size::parse)]
    min_size: u64,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Requirement {
    Checksum,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Mode {
    Sync,
    Async,
}

pub(super) type Pairs = Vec<(String, String)>;

impl SizeArgs {
    /// From how many bytes to how many, where either is said.
    pub(super) fn range(&self, most: u64) -> Option<(u64, u64)> {
        let said = self.max_size.is_some() || self.min_size > 0;
        said.then_some((self.min_size, self.max_size.unwrap_or(most)))
    }

    pub(super) fn pairs(&self) -> Pairs {
        let range = self.range(OBJECT_BYTES_MAX);
        let range = range.map(|(min, max)| pair(Constraint::LengthRange, &format!("{min},{max}")));
        range.into_iter().collect()
    }
}

impl WhenArgs {
    pub(super) fn pairs(&self) -> Pairs {
        let mut pairs = Pairs::new();
        pairs.extend(
            self.not_before
                .iter()
                .map(|at| pair(Constraint::NotBefore, at)),
        );
        if !self.source_ip.is_empty() {
            pairs.push(pair(Constraint::SourceIp, &self.source_ip.join(",")));
        }
        pairs
    }
}

impl DemandArgs {
    pub(super) fn pairs(&self) -> Pairs {
        let mut pairs = self.when.pairs();
        if !self.content_type_pattern.is_empty() {
            let patterns = self.content_type_pattern.join(",");
            pairs.push(pair(Constraint::ContentType, &patterns));
        }
        if self.once {
            pairs.push(pair(Constraint::Once, "1"));
        }
        if let Some(Requirement::Checksum) = self.require {
            pairs.push(pair(Constraint::Require, "checksum"));
        }
        let endpoint = self.callback.iter();
        pairs.extend(endpoint.map(|endpoint| pair(Constraint::Callback, endpoint)));
        if let Some(mode) = self.callback_mode {
            let mode = match mode {
                Mode::Sync => "sync",
                Mode::Async => "async",
            };
            pairs.push((constraint::MODE.to_owned(), mode.to_owned()));
        }
        let vars = self.callback_var.iter();
        let named = |(name, value): &(String, String)| {
            let name = format!("{}{name}", constraint::VAR);
            (name, value.clone())
        };
        pairs.extend(vars.map(named));
        pairs
    }
}

fn pair(constraint: Constraint, value: &str) -> (String, String) {
    (constraint.name().to_owned(), value.to_owned())
}

/// Refuses what the server would refuse, of an operation that heeds these demands.
pub(super) fn checked(pairs: Pairs, heeds: &[Constraint]) -> Result<Pairs, CliError> {
    let bytes = pairs
        .iter()
        .map(|(name, value)| (name.as_bytes(), value.as_bytes()));
    let read = constraint::check(bytes, heeds);
    read.map_err(|fault| ClientError::Sign(fault.to_string()))?;
    Ok(pairs)
}
