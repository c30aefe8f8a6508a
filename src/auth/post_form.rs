//! Browser forms: who signed one. What its policy demands is judged by [`super::post_policy`].
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-authentication-HTTPPOST.html>

use std::net::IpAddr;
use std::sync::Arc;

use crate::clock::Timestamp;

use super::constraint::{self, Constraint, Duties, LengthRange, Proven};
use super::post_policy::{Coverage, Policy};
use super::request::check_scope;
use super::sigv4::{self, ALGORITHM, Credential};
use super::{
    AccessKey, AuthError, AuthSettings, AuthType, BodyProof, Grant, KeyRing, Mismatch, Secret,
    Signature, SignatureVersion, Who, anonymous, session, sigv2,
};

/// Puts the file's name in the place of `${filename}`. Only the last part of a path counts, as
/// some browsers send the whole of it.
pub fn expand_filename(value: &str, filename: &str) -> String {
    let name = filename.rsplit(['/', '\\']).next().unwrap_or(filename);
    value.replace("${filename}", name)
}

/// A form upload before its file.
#[derive(Debug, Clone, Copy)]
pub struct SignedForm<'a> {
    /// The fields before the file, in order, with `${filename}` already expanded.
    pub fields: &'a [(String, String)],
    /// The bucket of the URL.
    pub bucket: &'a str,
    /// Where it came from.
    pub peer: Option<IpAddr>,
    /// What of a signer's demands the operation can keep.
    pub heeds: &'a [Constraint],
}

/// Verifies a form's signature and judges its fields by its policy. A form that claims nothing is
/// anybody's.
///
/// # Errors
/// An [`AuthError`] where the form is not signed by a known key or breaks its policy.
pub fn authenticate_form(
    sent: &SignedForm<'_>,
    keys: &dyn KeyRing,
    settings: &AuthSettings,
    now: Timestamp,
) -> Result<Grant, AuthError> {
    let Some(form) = Form::read(sent.fields, settings)? else {
        let names = sent.fields.iter().map(|(name, _)| name.as_bytes());
        constraint::refuse_unsigned(names)?;
        return Ok(anonymous());
    };
    let key = form.verify(keys, settings, now)?;
    let policy = Policy::parse(form.policy)?;
    let length_range = policy.judge(sent.fields, sent.bucket, Coverage::Whole, now)?;
    let proven = Proven {
        access_key: &key.access_key,
        signature: form.signature,
        good_until: policy.expiration(),
        now,
        peer: sent.peer,
        heeds: sent.heeds,
    };
    // The policy has spoken of every field, and its signature covers the policy.
    let fields = sent.fields.iter();
    let fields = fields.map(|(name, value)| (name.as_bytes(), value.as_bytes()));
    let demanded = constraint::demanded(fields, &proven)?;
    let both = [length_range, demanded.length_range];
    let duties = Duties {
        length_range: both.into_iter().flatten().reduce(LengthRange::and),
        ..demanded
    };
    Ok(Grant {
        who: Who::Key(key),
        body: BodyProof::Unsigned,
        signature: Some(Signature {
            version: form.signer.version(),
            auth_type: AuthType::Form,
            age: None,
        }),
        duties,
    })
}

struct Form<'a> {
    policy: &'a str,
    signature: &'a str,
    signer: Signer<'a>,
    /// The session's token. The policy must speak of it, as of any field.
    token: Option<&'a str>,
}

enum Signer<'a> {
    V2 { access_key: &'a str },
    V4 { credential: &'a str, date: &'a str },
}

impl Signer<'_> {
    const fn version(&self) -> SignatureVersion {
        match self {
            Self::V2 { .. } => SignatureVersion::V2,
            Self::V4 { .. } => SignatureVersion::V4,
        }
    }
}

const V2_FIELDS: [&str; 2] = ["awsaccesskeyid", "signature"];
const V4_FIELDS: [&str; 4] = [
    "x-amz-algorithm",
    "x-amz-credential",
    "x-amz-date",
    "x-amz-signature",
];
const TOKEN: &str = "x-amz-security-token";

impl<'a> Form<'a> {
    /// What the form claims; nothing where it claims nothing.
    fn read(
        fields: &'a [(String, String)],
        settings: &AuthSettings,
    ) -> Result<Option<Self>, AuthError> {
        let find = |name: &str| {
            let mut named = fields.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name));
            named.next().map(|(_, v)| v.as_str())
        };
        let any = |names: &[&str]| names.iter().any(|name| find(name).is_some());
        let token = find(TOKEN);
        let v2 = any(&V2_FIELDS);
        // A token alone is half a claim, which must never pass for none.
        let v4 = any(&V4_FIELDS) || (token.is_some() && !v2);
        if !v2 && !v4 {
            let unsigned = find("policy").map(|_policy| AuthError::FormUnsigned);
            return unsigned.map_or(Ok(None), Err);
        }
        let need = |field| find(field).ok_or(AuthError::FormFieldMissing { field });
        let form = if v4 {
            let policy = need("policy")?;
            check_algorithm(need("X-Amz-Algorithm")?)?;
            let (credential, date) = (need("X-Amz-Credential")?, need("X-Amz-Date")?);
            Self {
                policy,
                signature: need("X-Amz-Signature")?,
                signer: Signer::V4 { credential, date },
                token,
            }
        } else {
            if !sigv2::is_on_forms(settings) {
                return Err(AuthError::SignatureV2);
            }
            let policy = need("policy")?;
            let access_key = need("AWSAccessKeyId")?;
            Self {
                policy,
                signature: need("Signature")?,
                signer: Signer::V2 { access_key },
                token,
            }
        };
        check_unique(fields)?;
        Ok(Some(form))
    }

    fn verify(
        &self,
        keys: &dyn KeyRing,
        settings: &AuthSettings,
        now: Timestamp,
    ) -> Result<Arc<AccessKey>, AuthError> {
        let credential = match self.signer {
            Signer::V2 { .. } => None,
            Signer::V4 { credential, date } => Some(check_credential(credential, date, settings)?),
        };
        let access_key = match (&self.signer, &credential) {
            (Signer::V2 { access_key }, _) => (*access_key).to_owned(),
            (Signer::V4 { .. }, credential) => credential
                .as_ref()
                .map(|credential| credential.access_key.to_string())
                .unwrap_or_default(),
        };
        let key = session::find(keys, &access_key, self.token, now)?;
        // An unknown key costs as much time as a known one.
        let nobody = Secret::new("nobody");
        let secret = key.as_ref().map_or(&nobody, |key| &key.secret);
        let ours = match &credential {
            None => sigv2::sign(secret.expose(), self.policy),
            Some(credential) => sigv4::sign(&secret.signing_key(&credential.scope), self.policy),
        };
        let matched = sigv4::same(&ours, self.signature);
        let Some(key) = key else {
            return Err(AuthError::UnknownKey { access_key });
        };
        if matched {
            return Ok(key);
        }
        Err(AuthError::Mismatch(Box::new(Mismatch {
            access_key,
            string_to_sign: self.policy.to_owned(),
            signature: self.signature.to_owned(),
            canonical_request: None,
        })))
    }
}

/// A field given twice could be judged by one value and used by the other.
pub(super) fn check_unique(fields: &[(String, String)]) -> Result<(), AuthError> {
    let mut seen = std::collections::HashSet::new();
    let twice = |(name, _): &&(String, String)| !seen.insert(name.to_ascii_lowercase());
    match fields.iter().find(twice) {
        None => Ok(()),
        Some((name, _)) => Err(AuthError::PolicyExtraFields {
            fields: name.clone(),
        }),
    }
}

fn check_algorithm(algorithm: &str) -> Result<(), AuthError> {
    match algorithm {
        ALGORITHM => Ok(()),
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

fn check_credential<'a>(
    text: &'a str,
    date: &str,
    settings: &AuthSettings,
) -> Result<Credential<'a>, AuthError> {
    let bad = |why: &str| invalid_field("X-Amz-Credential", text, why);
    let credential = Credential::parse(text).ok_or_else(|| {
        bad("the Credential is mal-formed; expecting \
             \"<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request\".")
    })?;
    let signed_at = Timestamp::parse_amz_date(date).map_err(|_invalid| {
        let why = "X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"";
        invalid_field("X-Amz-Date", date, why)
    })?;
    check_scope(&credential, signed_at, settings).map_err(|fault| bad(&fault.reason()))?;
    Ok(credential)
}

fn invalid_field(field: &'static str, value: &str, message: &str) -> AuthError {
    AuthError::FormFieldInvalid {
        field,
        value: value.into(),
        message: message.into(),
    }
}
