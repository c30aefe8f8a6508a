//! What can be wrong with a configuration, said so that the reader knows what to change.

use std::fmt;
use std::path::PathBuf;

/// Where a setting was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In a file, on this line (the first is 1).
    File {
        /// The file.
        path: PathBuf,
        /// The line.
        line: usize,
    },
    /// In the environment, under this name.
    Env(String),
    /// In this command line flag.
    Flag(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line } => write!(f, "{}, line {line}", path.display()),
            Self::Env(name) => write!(f, "environment variable {name}"),
            Self::Flag(name) => write!(f, "{name}"),
        }
    }
}

/// Why a configuration can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file can't be read.
    #[error("can't read the configuration file {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is no TOML.
    #[error("{place}: {message}")]
    Syntax {
        /// Where.
        place: Place,
        /// What the parser said.
        message: String,
    },
    /// No setting has this name.
    #[error("{place}: unknown setting \"{name}\"{}", did_you_mean(.nearest.as_deref()))]
    Unknown {
        /// Where.
        place: Place,
        /// The name as written.
        name: String,
        /// The most similar name that exists.
        nearest: Option<String>,
    },
    /// A setting's value is not one that it can have.
    #[error("{place}: \"{name}\" {message}")]
    Value {
        /// Where.
        place: Place,
        /// The setting.
        name: String,
        /// What it must be.
        message: String,
    },
    /// Settings that contradict each other.
    #[error("{0}")]
    Whole(String),
}

fn did_you_mean(nearest: Option<&str>) -> String {
    nearest
        .map(|name| format!("; did you mean \"{name}\"?"))
        .unwrap_or_default()
}

/// The candidate most similar to `name`, if any is similar at all.
pub(super) fn nearest<'a>(name: &str, of: impl Iterator<Item = &'a str>) -> Option<String> {
    of.map(|candidate| (strsim::jaro_winkler(name, candidate), candidate))
        .filter(|(likeness, _)| *likeness > 0.7)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate.to_owned())
}
