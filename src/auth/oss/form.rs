//! Forms in OSS's words: who signed one. Its policy is judged like one of S3's, but for one rule: OSS
//! demands no condition for each field.
//!
//! <https://www.alibabacloud.com/help/en/oss/developer-reference/postobject>

use super::v4::{self, Credential};
use super::{Claim, Fault, Means, v1};
use crate::auth::constraint::{self, Duties};
use crate::auth::post_form::check_unique;
use crate::auth::post_policy::{Coverage, Policy};
use crate::auth::{AuthError, AuthSettings, AuthType, BodyProof, Grant, KeyRing, anonymous};
use crate::clock::Timestamp;

const V1_SIGNATURE: &str = "Signature";
const POLICY: &str = "policy";

/// Whether a form's field speaks of OSS's signature or of OSS's options.
pub fn is_of_oss(name: &str) -> bool {
    let starts = |start: &str| {
        let front = name.get(..start.len());
        front.is_some_and(|front| front.eq_ignore_ascii_case(start))
    };
    name.eq_ignore_ascii_case(v1::ACCESS_KEY) || starts("x-oss-")
}

/// Verifies a form's signature and judges its fields by its policy. `fields` are those before the
/// file, in order; `bucket` is that of the URL. A form that claims nothing is anybody's.
///
/// # Errors
/// An [`AuthError`] where the form is not signed by a known key or breaks its policy.
pub fn authenticate_form(
    fields: &[(String, String)],
    bucket: &str,
    keys: &dyn KeyRing,
    settings: &AuthSettings,
    now: Timestamp,
) -> Result<Grant, AuthError> {
    let find = |name: &str| {
        let mut named = fields.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name));
        named.next().map(|(_, value)| value.as_str())
    };
    let need = |field| find(field).ok_or(AuthError::FormFieldMissing { field });
    let by_v1 = [v1::ACCESS_KEY, V1_SIGNATURE]
        .iter()
        .any(|n| find(n).is_some());
    let by_v4 = [v4::VERSION, v4::CREDENTIAL, v4::DATE, v4::SIGNATURE]
        .iter()
        .any(|name| find(name).is_some());
    // A token alone is half a claim, which must never pass for none; SDKs send an empty one for none.
    let token = find(v4::TOKEN).filter(|token| !token.is_empty());
    check_unique(fields)?;
    // What S3's signers may demand has no like in OSS.
    constraint::refuse_unsigned(fields.iter().map(|(name, _)| name.as_bytes()))?;
    let (access_key, means, signature) = match (by_v1, by_v4) {
        (false, false) if find(POLICY).is_some() || token.is_some() => {
            return Err(AuthError::FormUnsigned);
        }
        (false, false) => return Ok(anonymous()),
        (true, true) => return Err(Fault::Several.into()),
        (true, false) => {
            let access_key = need(v1::ACCESS_KEY)?.to_owned();
            (access_key, Means::Sha1, need(V1_SIGNATURE)?)
        }
        (false, true) => {
            v4::check_version(need(v4::VERSION)?)?;
            let date = need(v4::DATE)?;
            let signed_at = Timestamp::parse_amz_date(date).map_err(|_invalid| Fault::Date)?;
            let credential =
                Credential::read(need(v4::CREDENTIAL)?, v4::CREDENTIAL, signed_at, settings)?;
            let access_key = credential.access_key.clone();
            (access_key, Means::Sha256(credential), need(v4::SIGNATURE)?)
        }
    };
    let policy = need(POLICY)?;
    let claim = Claim {
        access_key: &access_key,
        token,
        means,
        signature,
        string_to_sign: policy.to_owned(),
        canonical_request: None,
        body: BodyProof::Unsigned,
        auth_type: AuthType::Form,
        age: None,
    };
    let grant = claim.prove(keys, now)?;
    let length_range = Policy::parse(policy)?.judge(fields, bucket, Coverage::Free, now)?;
    let duties = Duties {
        length_range,
        ..Duties::default()
    };
    Ok(Grant { duties, ..grant })
}
