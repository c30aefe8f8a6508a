//! Browser uploads: a form is let in by a policy that its signer wrote and that it must fulfil.
//! Who signed it is [`super::post_form`]'s question.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-HTTPPOSTConstructPolicy.html>

use std::collections::HashSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::clock::Timestamp;

use super::AuthError;
use super::constraint::LengthRange;

/// Fields that carry the form's proof or its file, of which no policy can speak.
const EXEMPT: &[&str] = &[
    "awsaccesskeyid",
    "file",
    "policy",
    "signature",
    "x-amz-signature",
];

fn invalid(reason: &str) -> AuthError {
    AuthError::InvalidPolicy {
        reason: reason.to_owned(),
    }
}

/// Whether a policy must speak of every field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coverage {
    /// It must: S3's rule.
    Whole,
    /// It need not: OSS's rule.
    Free,
}

/// A policy, read but not yet judged.
pub(super) struct Policy {
    expiration: Timestamp,
    conditions: Vec<Condition>,
}

enum Condition {
    Eq {
        field: Value,
        value: Value,
    },
    StartsWith {
        field: Value,
        value: Value,
    },
    /// As OSS has them.
    In {
        field: Value,
        values: Value,
    },
    NotIn {
        field: Value,
        values: Value,
    },
    Length {
        min: Value,
        max: Value,
    },
}

impl Policy {
    /// Reads the policy as it stands in the form.
    pub(super) fn parse(base64: &str) -> Result<Self, AuthError> {
        let packed: String = base64.split_ascii_whitespace().collect();
        let bytes = STANDARD
            .decode(packed)
            .map_err(|_invalid| invalid("Invalid Base64."))?;
        let json: Value =
            serde_json::from_slice(&bytes).map_err(|_invalid| invalid("Invalid JSON."))?;
        let object = json
            .as_object()
            .ok_or_else(|| invalid("Invalid JSON: no object."))?;
        if let Some(name) = object
            .keys()
            .find(|n| !["expiration", "conditions"].contains(&&***n))
        {
            return Err(invalid(&format!("Unexpected: '{name}'.")));
        }
        let expiration = object
            .get("expiration")
            .ok_or_else(|| invalid("Policy missing expiration."))?
            .as_str()
            .filter(|text| text.contains('T'))
            .and_then(|text| Timestamp::parse_iso8601(text).ok())
            .ok_or_else(|| invalid("Invalid 'expiration' value."))?;
        let conditions = object
            .get("conditions")
            .ok_or_else(|| invalid("Policy missing conditions."))?
            .as_array()
            .ok_or_else(|| invalid("Invalid 'conditions' value: must be a List."))?;
        let conditions = conditions
            .iter()
            .map(Condition::parse)
            .collect::<Result<_, _>>()?;
        Ok(Self {
            expiration,
            conditions,
        })
    }

    /// Until when it is good.
    pub(super) const fn expiration(&self) -> Timestamp {
        self.expiration
    }

    /// Judges the form's fields; `bucket` is that of the URL. Says how long the file may be, where it
    /// limits that.
    pub(super) fn judge(
        &self,
        fields: &[(String, String)],
        bucket: &str,
        coverage: Coverage,
        now: Timestamp,
    ) -> Result<Option<LengthRange>, AuthError> {
        if now > self.expiration {
            return Err(AuthError::PolicyExpired);
        }
        let mut range: Option<LengthRange> = None;
        for condition in &self.conditions {
            let holds = match condition {
                Condition::Length { min, max } => {
                    let found = range_of(min, max);
                    // Of several ranges, what all of them allow.
                    let both = [range, found].into_iter().flatten();
                    range = both.reduce(LengthRange::and);
                    found.is_some()
                }
                other => other.holds(fields, bucket),
            };
            if !holds {
                return Err(AuthError::PolicyFailed {
                    condition: condition.text(),
                });
            }
        }
        if coverage == Coverage::Whole {
            self.check_covered(fields)?;
        }
        Ok(range)
    }

    /// Every field must be spoken of by some condition: what the signer did not think of must not be.
    fn check_covered(&self, fields: &[(String, String)]) -> Result<(), AuthError> {
        let spoken_of = self.conditions.iter().filter_map(Condition::field);
        let spoken_of: HashSet<String> = spoken_of.filter_map(name_of).collect();
        let covered = |name: &str| spoken_of.contains(name);
        let given = fields.iter().map(|(name, _)| name.to_ascii_lowercase());
        // The URL's bucket counts as a field of every form.
        let implied = given.chain(["bucket".to_owned()]);
        let mut extra: Vec<String> = implied
            .filter(|name| !EXEMPT.contains(&name.as_str()))
            .filter(|name| !name.starts_with("x-ignore-") && !covered(name))
            .collect();
        extra.dedup();
        if extra.is_empty() {
            return Ok(());
        }
        Err(AuthError::PolicyExtraFields {
            fields: extra.join(", "),
        })
    }
}

impl Condition {
    fn parse(value: &Value) -> Result<Self, AuthError> {
        match value {
            Value::Object(simple) => match (simple.iter().next(), simple.len()) {
                (Some((name, value)), 1) => Ok(Self::Eq {
                    field: Value::String(format!("${name}")),
                    value: value.clone(),
                }),
                _ => Err(invalid(
                    "Invalid Simple-Condition: Simple-Conditions must have exactly one property \
                     specified.",
                )),
            },
            Value::Array(list) => Self::parse_list(list),
            _ => Err(invalid("Invalid Condition: must be a List or an Object.")),
        }
    }

    fn parse_list(list: &[Value]) -> Result<Self, AuthError> {
        let [operator, first, second] = list else {
            return Err(invalid("Invalid Condition: wrong number of arguments."));
        };
        let (first, second) = (first.clone(), second.clone());
        let operator = operator.as_str().unwrap_or_default();
        match operator.to_ascii_lowercase().as_str() {
            "eq" => Ok(Self::Eq {
                field: first,
                value: second,
            }),
            "starts-with" => Ok(Self::StartsWith {
                field: first,
                value: second,
            }),
            "in" => Ok(Self::In {
                field: first,
                values: second,
            }),
            "not-in" => Ok(Self::NotIn {
                field: first,
                values: second,
            }),
            "content-length-range" => Ok(Self::Length {
                min: first,
                max: second,
            }),
            _ => Err(invalid(&format!(
                "Invalid Condition: unknown operation '{operator}'."
            ))),
        }
    }

    /// The field that it is about; none where it is about the file.
    const fn field(&self) -> Option<&Value> {
        match self {
            Self::Eq { field, .. }
            | Self::StartsWith { field, .. }
            | Self::In { field, .. }
            | Self::NotIn { field, .. } => Some(field),
            Self::Length { .. } => None,
        }
    }

    /// Whether the fields are as it demands.
    fn holds(&self, fields: &[(String, String)], bucket: &str) -> bool {
        match self {
            Self::Eq { field, value } => Self::compare(field, fields, bucket, |given| {
                value.as_str().is_some_and(|want| want == given)
            }),
            Self::StartsWith { field, value } => {
                let Some(want) = value.as_str() else {
                    return false;
                };
                let listed = is_content_type(field);
                Self::compare(field, fields, bucket, |given| {
                    let starts = |item: &str| item.trim_start().starts_with(want);
                    (listed && given.split(',').all(starts)) || (!listed && given.starts_with(want))
                })
            }
            Self::In { field, values } => {
                let Some(values) = texts(values) else {
                    return false;
                };
                Self::compare(field, fields, bucket, |given| values.contains(&given))
            }
            Self::NotIn { field, values } => {
                let Some(values) = texts(values) else {
                    return false;
                };
                // A parameter or another case makes no other type of it.
                let typed = is_content_type(field);
                Self::compare(field, fields, bucket, |given| {
                    let is = |value: &&str| {
                        let mut types = types_in(given).filter(|_one| typed);
                        given == *value || types.any(|one| one.eq_ignore_ascii_case(value))
                    };
                    !values.iter().any(is)
                })
            }
            Self::Length { .. } => false,
        }
    }

    /// Whether `fits` what the form says of `field`. A field that did not come is empty.
    fn compare(
        field: &Value,
        fields: &[(String, String)],
        bucket: &str,
        fits: impl Fn(&str) -> bool,
    ) -> bool {
        let Some(name) = name_of(field) else {
            return false;
        };
        let given = fields.iter().find(|(n, _)| n.eq_ignore_ascii_case(&name));
        let given = given.map(|(_, value)| value.as_str());
        if name == "bucket" {
            // The URL decides; a form that names another bucket contradicts itself.
            return fits(bucket) && given.is_none_or(|given| given == bucket);
        }
        fits(given.unwrap_or_default())
    }

    /// The condition as AWS shows it.
    fn text(&self) -> String {
        let (operator, first, second) = match self {
            Self::Eq { field, value } => ("eq", field, value),
            Self::StartsWith { field, value } => ("starts-with", field, value),
            Self::In { field, values } => ("in", field, values),
            Self::NotIn { field, values } => ("not-in", field, values),
            Self::Length { min, max } => ("content-length-range", min, max),
        };
        format!("[\"{operator}\", {}, {}]", quoted(first), quoted(second))
    }
}

fn quoted(value: &Value) -> String {
    match value {
        Value::String(_) | Value::Array(_) => value.to_string(),
        other => format!("\"{other}\""),
    }
}

/// The lower-case name of `$Field`; nothing without its `$`.
fn name_of(field: &Value) -> Option<String> {
    Some(field.as_str()?.strip_prefix('$')?.to_ascii_lowercase())
}

fn is_content_type(field: &Value) -> bool {
    name_of(field).is_some_and(|name| name == "content-type")
}

/// A list of texts; none where it is anything else.
fn texts(values: &Value) -> Option<Vec<&str>> {
    values.as_array()?.iter().map(Value::as_str).collect()
}

/// The media types that a reader may see in a `Content-Type`.
fn types_in(value: &str) -> impl Iterator<Item = &str> {
    value.split([',', ';']).map(str::trim)
}

/// The range between two bounds, if they are some.
fn range_of(min: &Value, max: &Value) -> Option<LengthRange> {
    let (min, max) = (bound(min)?, bound(max)?);
    Some(LengthRange { min, max })
}

/// A bound of a range: a number, or a text that is one. A negative one bounds nothing.
fn bound(value: &Value) -> Option<u64> {
    let signed = value.as_i64().or_else(|| value.as_str()?.parse().ok());
    let clamped = signed.map(|number| u64::try_from(number).unwrap_or(0));
    value.as_u64().or(clamped)
}
