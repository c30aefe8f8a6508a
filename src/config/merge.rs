//! Merges the sources: defaults, then the file, then the environment, then flags.

use std::path::PathBuf;

use super::error::{ConfigError, Place, nearest};
use super::file::{self, Entry, Parsed};
use super::setting::{SETTINGS, Setting};
use super::{Config, DEFAULT_FILE};

/// The variable that names the configuration file.
const ENV_FILE: &str = "CONSIGN_CONFIG";

/// Variables of ours that are no settings: those of client commands.
const ENV_OTHER: [&str; 7] = [
    ENV_FILE,
    "CONSIGN_ENDPOINT",
    "CONSIGN_ACCESS_KEY",
    "CONSIGN_SECRET_KEY",
    "CONSIGN_CA_FILE",
    "CONSIGN_CLIENT_CERTIFICATE",
    "CONSIGN_CLIENT_KEY",
];

/// Variables that begin so belong to tests of the server itself. Where it has no fail points, one that
/// would arm one is refused like any other that is not known.
const ENV_TEST_PREFIXES: &[&str] = if cfg!(feature = "fail-points") {
    &["CONSIGN_TEST_", "CONSIGN_FAIL_POINT"]
} else {
    &["CONSIGN_TEST_"]
};

/// Where a configuration comes from.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The file that `--config` names.
    pub file: Option<PathBuf>,
    /// Environment variables; those that don't begin with `CONSIGN_` are passed over.
    pub env: Vec<(String, String)>,
    /// Flags: how it was written, the setting's name, its text.
    pub flags: Vec<(String, String, String)>,
}

impl Sources {
    /// The process's own environment, and no flags.
    pub fn from_env() -> Self {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Self {
            env: std::env::vars_os().filter_map(text).collect(),
            ..Self::default()
        }
    }

    /// The file that will be read, if any.
    pub fn file(&self) -> Option<PathBuf> {
        let named = |(name, _): &&(String, String)| name == ENV_FILE;
        let from_env = || {
            self.env
                .iter()
                .find(named)
                .map(|(_, path)| PathBuf::from(path))
        };
        let default = || Some(PathBuf::from(DEFAULT_FILE)).filter(|path| path.is_file());
        self.file.clone().or_else(from_env).or_else(default)
    }
}

pub(super) fn merge(sources: &Sources) -> Result<Config, ConfigError> {
    let mut config = Config::default();
    if let Some(path) = sources.file() {
        apply_file(&mut config, file::read(&path)?)?;
    }
    for (name, value) in &sources.env {
        apply_env(&mut config, name, value)?;
    }
    for (flag, name, value) in &sources.flags {
        let place = Place::Flag(flag.clone());
        let setting = find(name, &place)?;
        applied(place, name, setting.apply_text(&mut config, value))?;
    }
    Ok(config)
}

pub(super) fn apply_file(config: &mut Config, parsed: Parsed) -> Result<(), ConfigError> {
    for Entry {
        name,
        values,
        place,
    } in parsed.entries
    {
        let setting = find(&name, &place)?;
        applied(place, &name, setting.apply(config, &values))?;
    }
    config.callback.apply(parsed.rows)
}

fn apply_env(config: &mut Config, name: &str, value: &str) -> Result<(), ConfigError> {
    let other = ENV_OTHER.contains(&name)
        || ENV_TEST_PREFIXES
            .iter()
            .any(|prefix| name.starts_with(prefix));
    if !name.starts_with("CONSIGN_") || other {
        return Ok(());
    }
    let place = Place::Env(name.to_owned());
    let Some(setting) = SETTINGS.iter().find(|setting| setting.env_name() == name) else {
        let names: Vec<String> = SETTINGS.iter().map(Setting::env_name).collect();
        let all = names.iter().map(String::as_str).chain(ENV_OTHER);
        let nearest = nearest(name, all);
        return Err(ConfigError::Unknown {
            place,
            name: name.to_owned(),
            nearest,
        });
    };
    applied(place, setting.name, setting.apply_text(config, value))
}

fn find(name: &str, place: &Place) -> Result<&'static Setting, ConfigError> {
    SETTINGS
        .iter()
        .find(|setting| setting.name == name)
        .ok_or_else(|| ConfigError::Unknown {
            place: place.clone(),
            name: name.to_owned(),
            nearest: nearest(
                name,
                SETTINGS
                    .iter()
                    .map(|setting| setting.name)
                    .chain(super::callback::TABLES),
            ),
        })
}

fn applied(place: Place, name: &str, outcome: Result<(), String>) -> Result<(), ConfigError> {
    outcome.map_err(|message| ConfigError::Value {
        place,
        name: name.to_owned(),
        message,
    })
}
