//! Where log lines go: text for people on a terminal, JSON otherwise.

mod json;
mod lines;

use std::io::IsTerminal;

use tracing_subscriber::filter::Directive;
use tracing_subscriber::fmt::format::JsonFields;
use tracing_subscriber::{EnvFilter, reload};

use super::CliError;
use crate::config::{Log, LogFormat};
use json::JsonLine;
pub(super) use lines::LastLines;
use lines::Lines;

/// Crates that speak protocols: what they trace are the frames and headers themselves, and in those
/// are signatures and tokens. Whatever level is asked for, these stay quiet.
const SPEAKERS: [&str; 6] = ["h2", "hyper", "hyper_util", "multer", "reqwest", "rustls"];

/// Changes which log lines are written.
pub(super) type Refilter = Box<dyn Fn(EnvFilter) + Send + Sync>;

/// Which log lines are written.
///
/// # Errors
/// [`CliError::Usage`].
pub(super) fn filter(log: &Log) -> Result<EnvFilter, CliError> {
    let filter = EnvFilter::try_new(&log.level)
        .map_err(|error| CliError::Usage(format!("log.level is no filter: {error}")))?;
    Ok(SPEAKERS.iter().fold(filter, |filter, speaker| {
        let quiet = format!("{speaker}=info").parse::<Directive>();
        quiet.map_or(filter.clone(), |quiet| filter.add_directive(quiet))
    }))
}

/// Sends log lines to standard error from now on, until the last ones are dropped.
pub(super) fn start(log: &Log) -> Result<(Refilter, LastLines), CliError> {
    let filter = filter(log)?;
    let (lines, last) = Lines::begin()?;
    let terminal = std::io::stderr().is_terminal();
    let json = match log.format {
        LogFormat::Auto => !terminal,
        LogFormat::Text => false,
        LogFormat::Json => true,
    };
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(lines);
    let (refilter, started): (Refilter, _) = if json {
        let builder = builder.fmt_fields(JsonFields::new()).event_format(JsonLine);
        let builder = builder.with_filter_reloading();
        (refilter(builder.reload_handle()), builder.try_init())
    } else {
        let builder = builder.with_ansi(terminal).with_target(false);
        let builder = builder.with_filter_reloading();
        (refilter(builder.reload_handle()), builder.try_init())
    };
    started.map_err(|error| CliError::Usage(format!("can\'t start the log: {error}")))?;
    Ok((refilter, last))
}

fn refilter<S: 'static>(handle: reload::Handle<EnvFilter, S>) -> Refilter {
    Box::new(move |filter| {
        // It fails only where the log is gone.
        drop(handle.reload(filter));
    })
}
