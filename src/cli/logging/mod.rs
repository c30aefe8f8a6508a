//! Where log lines go: text for people on a terminal, JSON otherwise.

mod json;
mod lines;

use std::io::IsTerminal;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{fmt, registry, reload};

use super::CliError;
use crate::config::{Log, LogFormat};
pub(super) use lines::LastLines;
use lines::Lines;

/// Crates that speak protocols: what they trace are the frames and headers themselves, and in those
/// are signatures and tokens. Whatever level is asked for, these stay quiet.
const SPEAKERS: [&str; 6] = ["h2", "hyper", "hyper_util", "multer", "reqwest", "rustls"];

/// Changes which log lines are written.
pub(super) type Refilter = Box<dyn Fn(Targets) + Send + Sync>;

/// Which log lines are written.
///
/// # Errors
/// [`CliError::Usage`].
pub(super) fn filter(log: &Log) -> Result<Targets, CliError> {
    // By level and place alone: to choose by spans' fields takes regular expressions, half a MiB of code.
    let asked = log.level.parse::<Targets>();
    let filter =
        asked.map_err(|error| CliError::Usage(format!("log.level is no filter: {error}")))?;
    Ok(filter.with_targets(SPEAKERS.map(|speaker| (speaker, LevelFilter::INFO))))
}

/// Sends log lines to standard error from now on, until the last ones are dropped.
pub(super) fn start(log: &Log) -> Result<(Refilter, LastLines), CliError> {
    let (filter, handle) = reload::Layer::new(filter(log)?);
    let (lines, last) = Lines::begin()?;
    let terminal = std::io::stderr().is_terminal();
    let json = match log.format {
        LogFormat::Auto => !terminal,
        LogFormat::Text => false,
        LogFormat::Json => true,
    };
    let (filtered, written) = (registry().with(filter), fmt::layer().with_writer(lines));
    let started = if json {
        filtered
            .with(written.event_format(json::JsonLine))
            .try_init()
    } else {
        let written = written.with_ansi(terminal).with_target(false);
        filtered.with(written).try_init()
    };
    started.map_err(|error| CliError::Usage(format!("can\'t start the log: {error}")))?;
    let refilter: Refilter = Box::new(move |filter| {
        // It fails only where the log is gone.
        drop(handle.reload(filter));
    });
    Ok((refilter, last))
}
