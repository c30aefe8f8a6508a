//! Reads demands: what is unknown, repeated, empty or spelled otherwise is refused by name.

use std::collections::HashSet;

use super::{
    CallbackChoice, CallbackMode, Constraint, ConstraintFault, Constraints, ContentTypes,
    LengthRange, MODE, VAR, invalid, is_ours,
};
use crate::clock::Timestamp;
use crate::network::Network;

/// Networks of one list.
const NETWORKS_MAX: usize = 64;
/// Variables of one callback.
const VARS_MAX: usize = 32;
/// Bytes of their names and values together.
const VARS_BYTES_MAX: usize = 4 * 1024;
/// Bytes of a variable's name.
const VAR_NAME_BYTES_MAX: usize = 64;

/// A callback whose endpoint may still come.
#[derive(Default)]
struct Callback<'a> {
    endpoint: Option<&'a str>,
    mode: Option<CallbackMode>,
    vars: Vec<(String, String)>,
    bytes: usize,
}

impl Constraints {
    /// Reads the demands among `pairs`.
    pub(super) fn parse<'a>(
        pairs: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    ) -> Result<Self, ConstraintFault> {
        let mut found = Self::default();
        let mut callback = Callback::default();
        let mut seen = HashSet::new();
        for (name, value) in pairs.filter(|(name, _)| is_ours(name)) {
            let fault = |reason: &str| invalid(name, value, reason);
            let Ok(text) = str::from_utf8(value) else {
                return Err(fault("must be UTF-8"));
            };
            if !seen.insert(name.to_ascii_lowercase()) {
                return Err(fault("must not be given more than once"));
            }
            if name.iter().any(u8::is_ascii_uppercase) {
                return Err(fault("must be spelled in lower case"));
            }
            if text.is_empty() {
                return Err(fault("must not be empty"));
            }
            let Ok(known) = str::from_utf8(name) else {
                return Err(fault("is unknown"));
            };
            let read = match known {
                MODE => callback.take_mode(text),
                _ => match known.strip_prefix(VAR) {
                    Some(var) => callback.take_var(var, text),
                    None => found.take(known, text, &mut callback),
                },
            };
            read.map_err(fault)?;
        }
        found.callback = callback.chosen()?;
        Ok(found)
    }

    fn take<'a>(
        &mut self,
        name: &str,
        value: &'a str,
        callback: &mut Callback<'a>,
    ) -> Result<(), &'static str> {
        const ALL: [Constraint; 7] = [
            Constraint::LengthRange,
            Constraint::ContentType,
            Constraint::Once,
            Constraint::NotBefore,
            Constraint::SourceIp,
            Constraint::Require,
            Constraint::Callback,
        ];
        let known = ALL.into_iter().find(|known| known.name() == name);
        match known.ok_or("is unknown")? {
            Constraint::LengthRange => self.length_range = Some(length_range(value)?),
            Constraint::ContentType => {
                let why = "must be media types without parameters between commas, such as \
                           image/*,application/pdf";
                self.content_types = Some(ContentTypes::parse(value).ok_or(why)?);
            }
            Constraint::Once if value == "1" => self.once = true,
            Constraint::Once => return Err("must be 1"),
            Constraint::NotBefore => self.not_before = Some(time(value)?),
            Constraint::SourceIp => self.source_ip = Some(networks(value)?),
            Constraint::Require if value == "checksum" => self.require_checksum = true,
            Constraint::Require => return Err("must be checksum"),
            Constraint::Callback => callback.endpoint = Some(value),
        }
        Ok(())
    }
}

impl Callback<'_> {
    fn take_mode(&mut self, value: &str) -> Result<(), &'static str> {
        self.mode = Some(match value {
            "async" => CallbackMode::Async,
            "sync" => CallbackMode::Sync,
            _ => return Err("must be sync or async"),
        });
        Ok(())
    }

    fn take_var(&mut self, name: &str, value: &str) -> Result<(), &'static str> {
        let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_');
        if !(1..=VAR_NAME_BYTES_MAX).contains(&name.len()) || !name.bytes().all(allowed) {
            return Err("must name a variable by 1 to 64 of a-z, 0-9, '-' and '_'");
        }
        self.bytes = self.bytes.saturating_add(name.len() + value.len());
        if self.vars.len() >= VARS_MAX || self.bytes > VARS_BYTES_MAX {
            return Err("is too much: a callback has at most 32 variables of 4096 bytes together");
        }
        self.vars.push((name.to_owned(), value.to_owned()));
        Ok(())
    }

    fn chosen(self) -> Result<Option<CallbackChoice>, ConstraintFault> {
        if let Some(endpoint) = self.endpoint {
            return Ok(Some(CallbackChoice {
                endpoint: endpoint.to_owned(),
                vars: self.vars,
                mode: self.mode.unwrap_or_default(),
            }));
        }
        let why = "says nothing without x-consign-callback";
        match (self.vars.first(), self.mode) {
            (Some((name, value)), _) => {
                let name = format!("{VAR}{name}");
                Err(invalid(name.as_bytes(), value.as_bytes(), why))
            }
            (None, Some(_)) => Err(invalid(MODE.as_bytes(), b"", why)),
            (None, None) => Ok(None),
        }
    }
}

/// `min,max`: decimal digits alone, as `parse` would take a sign.
fn length_range(text: &str) -> Result<LengthRange, &'static str> {
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse::<u64>().ok()).flatten()
    };
    let bounds = text.split_once(',');
    let bounds = bounds.and_then(|(min, max)| Some((number(min)?, number(max)?)));
    let bounds = bounds.filter(|(min, max)| min <= max);
    let (min, max) =
        bounds.ok_or("must be min,max: two numbers of bytes, the first not greater")?;
    Ok(LengthRange { min, max })
}

fn time(text: &str) -> Result<Timestamp, &'static str> {
    let why = "must be a time such as 20261124T002026Z or 2026-11-24T00:20:26Z";
    Timestamp::parse_amz_date(text)
        .or_else(|_other| Timestamp::parse_iso8601(text))
        .map_err(|_neither| why)
}

fn networks(text: &str) -> Result<Vec<Network>, &'static str> {
    let why = "must be at most 64 addresses or networks between commas, such as \
               192.0.2.7,10.0.0.0/8,2001:db8::/32";
    let networks: Option<Vec<_>> = text.split(',').map(Network::parse).collect();
    networks.filter(|all| all.len() <= NETWORKS_MAX).ok_or(why)
}
