//! Browser uploads: a form is let in by a policy that its signer wrote and that it must fulfil.
//! Who signed it is [`super::post_form`]'s question.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-HTTPPOSTConstructPolicy.html>

use std::ops::RangeInclusive;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::clock::Timestamp;

use super::AuthError;

/// Fields that carry the form's proof or its file, of which no policy can speak.
const EXEMPT: &[&str] = &[
    "awsaccesskeyid",
    "file",
    "policy",
    "signature",
    "x-amz-signature",
];

/// What the policy asks of the file that is still to come.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PostDuties {
    /// How many bytes it may have.
    pub length_range: Option<RangeInclusive<u64>>,
}

fn invalid(reason: &str) -> AuthError {
    AuthError::InvalidPolicy {
        reason: reason.to_owned(),
    }
}

/// A policy, read but not yet judged.
pub(super) struct Policy {
    expiration: Timestamp,
    conditions: Vec<Condition>,
}

enum Condition {
    Eq { field: Value, value: Value },
    StartsWith { field: Value, value: Value },
    Length { min: Value, max: Value },
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

    /// Judges the form's fields; `bucket` is that of the URL.
    pub(super) fn judge(
        &self,
        fields: &[(String, String)],
        bucket: &str,
        now: Timestamp,
    ) -> Result<PostDuties, AuthError> {
        if now > self.expiration {
            return Err(AuthError::PolicyExpired);
        }
        let mut duties = PostDuties { length_range: None };
        for condition in &self.conditions {
            let holds = match condition {
                Condition::Eq { field, value } => Condition::compare(field, fields, bucket, |v| {
                    value.as_str().is_some_and(|want| want == v)
                }),
                Condition::StartsWith { field, value } => {
                    let want = value.as_str();
                    let listed = name_of(field).is_some_and(|n| n == "content-type");
                    Condition::compare(field, fields, bucket, |v| match want {
                        None => false,
                        Some(want) if listed => {
                            v.split(',').all(|item| item.trim_start().starts_with(want))
                        }
                        Some(want) => v.starts_with(want),
                    })
                }
                Condition::Length { min, max } => match (bound(min), bound(max)) {
                    (Some(min), Some(max)) => {
                        duties.narrow(min, max);
                        true
                    }
                    _ => false,
                },
            };
            if !holds {
                return Err(AuthError::PolicyFailed {
                    condition: condition.text(),
                });
            }
        }
        self.check_covered(fields)?;
        Ok(duties)
    }

    /// Every field must be spoken of by some condition: what the signer did not think of must not be.
    fn check_covered(&self, fields: &[(String, String)]) -> Result<(), AuthError> {
        let covered = |name: &str| {
            self.conditions.iter().any(|condition| match condition {
                Condition::Eq { field, .. } | Condition::StartsWith { field, .. } => {
                    name_of(field).is_some_and(|n| n == name)
                }
                Condition::Length { .. } => false,
            })
        };
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

impl PostDuties {
    /// Of several ranges, what all of them allow.
    fn narrow(&mut self, min: u64, max: u64) {
        self.length_range = Some(match &self.length_range {
            None => min..=max,
            Some(range) => min.max(*range.start())..=max.min(*range.end()),
        });
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
            "content-length-range" => Ok(Self::Length {
                min: first,
                max: second,
            }),
            _ => Err(invalid(&format!(
                "Invalid Condition: unknown operation '{operator}'."
            ))),
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
            Self::Length { min, max } => ("content-length-range", min, max),
        };
        format!("[\"{operator}\", {}, {}]", quoted(first), quoted(second))
    }
}

fn quoted(value: &Value) -> String {
    match value {
        Value::String(_) => value.to_string(),
        other => format!("\"{other}\""),
    }
}

/// The lower-case name of `$Field`; nothing without its `$`.
fn name_of(field: &Value) -> Option<String> {
    Some(field.as_str()?.strip_prefix('$')?.to_ascii_lowercase())
}

/// A bound of a range: a number, or a text that is one. A negative one bounds nothing.
fn bound(value: &Value) -> Option<u64> {
    let signed = value.as_i64().or_else(|| value.as_str()?.parse().ok());
    let clamped = signed.map(|number| u64::try_from(number).unwrap_or(0));
    value.as_u64().or(clamped)
}
