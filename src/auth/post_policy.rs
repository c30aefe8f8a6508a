//! Browser uploads: a form is let in by a policy that its signer wrote and that it must fulfil.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-HTTPPOSTConstructPolicy.html>

use std::ops::RangeInclusive;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::clock::Timestamp;

use super::sigv4::{self, ALGORITHM, Credential, SERVICE};
use super::{AuthError, AuthSettings, BodyProof, Grant, KeyRing, Mismatch, Secret, Who};

/// What the policy asks of the file that is still to come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostDuties {
    /// How many bytes it may have.
    pub length_range: Option<RangeInclusive<u64>>,
}

/// Puts the file's name in the place of `${filename}`. Only the last part of a path counts, as
/// some browsers send the whole of it.
pub fn expand_filename(value: &str, filename: &str) -> String {
    let name = filename.rsplit(['/', '\\']).next().unwrap_or(filename);
    value.replace("${filename}", name)
}

/// Verifies a form's signature and judges its fields by its policy. `fields` are those before the
/// file, in order, with `${filename}` already expanded; `bucket` is that of the URL.
///
/// # Errors
/// An [`AuthError`] where the form is not signed by a known key or breaks its policy.
pub fn authenticate_form(
    fields: &[(String, String)],
    bucket: &str,
    keys: &dyn KeyRing,
    settings: &AuthSettings,
    now: Timestamp,
) -> Result<(Grant, PostDuties), AuthError> {
    let form = Form::read(fields)?;
    let grant = form.verify(keys, settings)?;
    let duties = Policy::parse(form.policy)?.judge(fields, bucket, now)?;
    Ok((grant, duties))
}

struct Form<'a> {
    policy: &'a str,
    credential: &'a str,
    date: &'a str,
    signature: &'a str,
}

impl<'a> Form<'a> {
    fn read(fields: &'a [(String, String)]) -> Result<Self, AuthError> {
        let find = |name: &str| {
            fields
                .iter()
                .find(|(n, _)| n.eq_ignore_ascii_case(name))
                .map(|(_, v)| v.as_str())
        };
        let v4 = [
            "x-amz-algorithm",
            "x-amz-credential",
            "x-amz-date",
            "x-amz-signature",
        ];
        if find("awsaccesskeyid").is_some() || find("signature").is_some() {
            return Err(AuthError::SignatureV2);
        }
        if find("policy").is_none() && v4.iter().all(|name| find(name).is_none()) {
            return Err(AuthError::FormUnsigned);
        }
        if find("x-amz-security-token").is_some() {
            return Err(AuthError::InvalidToken);
        }
        let need = |field| find(field).ok_or(AuthError::FormFieldMissing { field });
        let policy = need("policy")?;
        let algorithm = need("X-Amz-Algorithm")?;
        let credential = need("X-Amz-Credential")?;
        let date = need("X-Amz-Date")?;
        let signature = need("X-Amz-Signature")?;
        // A field given twice could be judged by one value and used by the other.
        for (at, (name, _)) in fields.iter().enumerate() {
            let twice = fields
                .iter()
                .skip(at + 1)
                .any(|(n, _)| n.eq_ignore_ascii_case(name));
            if twice {
                return Err(AuthError::PolicyExtraFields {
                    fields: name.clone(),
                });
            }
        }
        match algorithm {
            ALGORITHM => Ok(Self {
                policy,
                credential,
                date,
                signature,
            }),
            "AWS4-ECDSA-P256-SHA256" => Err(AuthError::Ecdsa {
                header: "X-Amz-Algorithm",
            }),
            other => Err(invalid_field(
                "X-Amz-Algorithm",
                other,
                "X-Amz-Algorithm only supports \"AWS4-HMAC-SHA256\"",
            )),
        }
    }

    fn verify(&self, keys: &dyn KeyRing, settings: &AuthSettings) -> Result<Grant, AuthError> {
        let bad = |why: &str| invalid_field("X-Amz-Credential", self.credential, why);
        let credential = Credential::parse(self.credential).ok_or_else(|| {
            bad("the Credential is mal-formed; expecting \
                 \"<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request\".")
        })?;
        let scope = &credential.scope;
        let signed_at = Timestamp::parse_amz_date(self.date).map_err(|_invalid| {
            let why = "X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"";
            invalid_field("X-Amz-Date", self.date, why)
        })?;
        if scope.service != SERVICE {
            return Err(bad("incorrect service. This endpoint belongs to \"s3\"."));
        }
        if scope.region != settings.region {
            let (given, ours) = (&scope.region, &settings.region);
            return Err(bad(&format!(
                "the region '{given}' is wrong; expecting '{ours}'"
            )));
        }
        if scope.day != signed_at.scope_day() {
            return Err(bad("the date is not the same as X-Amz-Date."));
        }
        let key = keys
            .find(&credential.access_key)
            .filter(|key| !key.disabled);
        // An unknown key costs as much time as a known one.
        let nobody = Secret::new("nobody");
        let secret = key.as_ref().map_or(&nobody, |key| &key.secret);
        let ours = sigv4::sign(&secret.signing_key(scope), self.policy);
        let matched = sigv4::same(&ours, self.signature);
        let access_key = credential.access_key;
        let Some(key) = key else {
            return Err(AuthError::UnknownKey { access_key });
        };
        if !matched {
            return Err(AuthError::Mismatch(Box::new(Mismatch {
                access_key,
                string_to_sign: self.policy.to_owned(),
                signature: self.signature.to_owned(),
                canonical_request: None,
            })));
        }
        Ok(Grant {
            who: Who::Key(key),
            body: BodyProof::Unsigned,
            signature_age: None,
        })
    }
}

fn invalid_field(field: &'static str, value: &str, message: &str) -> AuthError {
    AuthError::FormFieldInvalid {
        field,
        value: value.into(),
        message: message.into(),
    }
}

fn invalid(reason: &str) -> AuthError {
    AuthError::InvalidPolicy {
        reason: reason.to_owned(),
    }
}

struct Policy {
    expiration: Timestamp,
    conditions: Vec<Condition>,
}

enum Condition {
    Eq { field: Value, value: Value },
    StartsWith { field: Value, value: Value },
    Length { min: Value, max: Value },
}

impl Policy {
    fn parse(base64: &str) -> Result<Self, AuthError> {
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

    fn judge(
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
        let extra: Vec<String> = fields
            .iter()
            .map(|(name, _)| name.to_ascii_lowercase())
            .filter(|name| !matches!(name.as_str(), "x-amz-signature" | "file" | "policy"))
            .filter(|name| !name.starts_with("x-ignore-") && !covered(name))
            .collect();
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

/// A bound of a range: a number, or a text that is one.
fn bound(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}
