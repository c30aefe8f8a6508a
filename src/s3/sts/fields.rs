//! The fields of a call's form.

use std::collections::HashSet;
use std::time::Duration;

use super::VERSION;
use super::error::StsError;
use crate::auth::policy::OwnPolicy;
use crate::s3::query::Query;

/// Characters of a session's policy.
pub(super) const POLICY_CHARS_MAX: usize = 2048;
const ROLE_ARN_CHARS: std::ops::RangeInclusive<usize> = 20..=2048;
const NAME_CHARS: std::ops::RangeInclusive<usize> = 2..=64;
/// The longest session is half a day, for `GetSessionToken` too: no lasting key hides in one.
const SECONDS: std::ops::RangeInclusive<u64> = 900..=43_200;

/// The fields of a call's form, none of them twice.
#[derive(Debug)]
pub(super) struct Fields(Query);

impl Fields {
    pub(super) fn parse(body: &[u8]) -> Result<Self, StsError> {
        let malformed = || StsError::bad("MalformedQueryString", "The form is malformed.");
        let text = std::str::from_utf8(body).map_err(|_no_text| malformed())?;
        let fields = Query::parse(text).map_err(|_escape| malformed())?;
        let mut seen = HashSet::new();
        if !fields.iter().all(|(name, _)| seen.insert(name)) {
            return Err(malformed());
        }
        Ok(Self(fields))
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name)
    }

    /// The action, of the version that there is.
    pub(super) fn action(&self) -> Result<&str, StsError> {
        match (self.get("Action"), self.get("Version")) {
            (Some(action), Some(VERSION)) => Ok(action),
            _ => Err(self.unknown_action()),
        }
    }

    /// What is said of an action that there is not, or not for everybody.
    pub(super) fn unknown_action(&self) -> StsError {
        let action = self.get("Action").unwrap_or_default();
        let version = self.get("Version").unwrap_or("NO_VERSION_SPECIFIED");
        let message = format!("Could not find operation {action} for version {version}");
        StsError::bad("InvalidAction", message)
    }

    /// Refuses by name what is given beside `known`: a client that asks for less must not get more.
    pub(super) fn only(&self, known: &[&str]) -> Result<(), StsError> {
        let known = |name: &str| matches!(name, "Action" | "Version") || known.contains(&name);
        match self.0.iter().find(|(name, _)| !known(name)) {
            None => Ok(()),
            Some((name, _)) => Err(StsError::unsupported(&format!("the parameter {name}"))),
        }
    }

    fn required(&self, name: &str, field: &str) -> Result<&str, StsError> {
        self.get(name).ok_or_else(|| {
            let message = format!(
                "1 validation error detected: Value null at '{field}' failed to satisfy \
                 constraint: Member must not be null"
            );
            StsError::bad("ValidationError", message)
        })
    }

    /// `RoleArn`.
    pub(super) fn role_arn(&self) -> Result<&str, StsError> {
        let arn = self.required("RoleArn", "roleArn")?;
        if !ROLE_ARN_CHARS.contains(&arn.chars().count()) {
            let rule = "Member must have length between 20 and 2048";
            return Err(StsError::invalid("roleArn", arn, rule));
        }
        Ok(arn)
    }

    /// `RoleSessionName`.
    pub(super) fn session_name(&self) -> Result<&str, StsError> {
        let name = self.required("RoleSessionName", "roleSessionName")?;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_+=,.@-".contains(&byte);
        if !NAME_CHARS.contains(&name.len()) || !name.bytes().all(plain) {
            let rule = "Member must satisfy regular expression pattern: [\\w+=,.@-]{2,64}";
            return Err(StsError::invalid("roleSessionName", name, rule));
        }
        Ok(name)
    }

    /// `DurationSeconds`.
    pub(super) fn duration(&self, default: u64) -> Result<Duration, StsError> {
        let Some(text) = self.get("DurationSeconds") else {
            return Ok(Duration::from_secs(default));
        };
        let (least, most) = (SECONDS.start(), SECONDS.end());
        let refuse = |rule: &str| StsError::invalid("durationSeconds", text, rule);
        let seconds: i64 = text
            .parse()
            .map_err(|_no_number| refuse("Member must be a number"))?;
        match u64::try_from(seconds) {
            Ok(seconds) if SECONDS.contains(&seconds) => Ok(Duration::from_secs(seconds)),
            Ok(seconds) if seconds > *most => Err(refuse(&format!(
                "Member must have value less than or equal to {most}"
            ))),
            _ => Err(refuse(&format!(
                "Member must have value greater than or equal to {least}"
            ))),
        }
    }

    /// `Policy`.
    pub(super) fn policy(&self) -> Result<Option<OwnPolicy>, StsError> {
        let Some(text) = self.get("Policy") else {
            return Ok(None);
        };
        if text.is_empty() || text.chars().count() > POLICY_CHARS_MAX {
            let rule = "Member must have length between 1 and 2048";
            return Err(StsError::invalid("policy", text, rule));
        }
        let read = OwnPolicy::parse(text);
        let policy =
            read.map_err(|fault| StsError::bad(fault.identity_code(), fault.to_string()))?;
        Ok(Some(policy))
    }
}
