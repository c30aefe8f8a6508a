//! What STS does here: who is calling, and sessions of theirs or of a role.
//!
//! Roles are not kept: `arn:aws:iam::NUMBER:role/NAME` is the key of that name in the caller's own
//! account, and that key's policy is the role's.

use std::sync::Arc;

use super::error::StsError;
use super::fields::{Fields, POLICY_CHARS_MAX};
use super::{Answer, XmlWriter};
use crate::auth::policy::{Decision, OwnPolicy};
use crate::auth::session::{Credentials, Draw, NewSession};
use crate::auth::{AccessKey, Scope};
use crate::clock::Timestamp;
use crate::id::random;
use crate::s3::access::Caller;

const ASSUME_SECONDS: u64 = 3_600;
const TOKEN_SECONDS: u64 = 43_200;

/// Answers one operation.
pub(super) type Run = fn(&Caller<'_>, &Arc<AccessKey>, &Fields) -> Result<Answer, StsError>;

/// The operation that is asked for.
pub(super) fn of(fields: &Fields) -> Result<Run, StsError> {
    match fields.action()? {
        "AssumeRole" => Ok(assume_role),
        "GetSessionToken" => Ok(get_session_token),
        "GetCallerIdentity" => Ok(get_caller_identity),
        _ => Err(fields.unknown_action()),
    }
}

/// `GetCallerIdentity`: needs no permission.
///
/// <https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html>
fn get_caller_identity(
    caller: &Caller<'_>,
    key: &Arc<AccessKey>,
    fields: &Fields,
) -> Result<Answer, StsError> {
    fields.only(&[])?;
    let number = caller.service.number_of(&key.owner);
    let (base, session) = base_of(key);
    let is_root = caller.service.keys.find(base).is_some_and(|key| key.root);
    let (arn, id) = match session {
        Some(session) => (assumed(&number, key, session), format!("{base}:{session}")),
        None if is_root => (format!("arn:aws:iam::{number}:root"), number.clone()),
        None => (user(&number, key), base.to_owned()),
    };
    Ok(Answer {
        response: "GetCallerIdentityResponse",
        result: "GetCallerIdentityResult",
        write: Box::new(move |document| {
            document.text("Arn", &arn);
            document.text("UserId", &id);
            document.text("Account", &number);
        }),
    })
}

/// `GetSessionToken`: the caller's own rights, for a while.
///
/// <https://docs.aws.amazon.com/STS/latest/APIReference/API_GetSessionToken.html>
fn get_session_token(
    caller: &Caller<'_>,
    key: &Arc<AccessKey>,
    fields: &Fields,
) -> Result<Answer, StsError> {
    fields.only(&["DurationSeconds"])?;
    let duration = fields.duration(TOKEN_SECONDS)?;
    if key.temporary.is_some() {
        let message = "Cannot call GetSessionToken with session credentials";
        return Err(StsError::forbidden("AccessDenied", message));
    }
    let issued = caller.service.clock.now().truncated_to_s();
    let new = NewSession {
        parent: key,
        role: None,
        policy: None,
        issued,
        expires: issued.plus(duration),
    };
    let made = issue(caller, &new)?;
    let expires = new.expires;
    Ok(Answer {
        response: "GetSessionTokenResponse",
        result: "GetSessionTokenResult",
        write: Box::new(move |document| write_credentials(document, &made, expires)),
    })
}

/// `AssumeRole`: the rights of a key of the same account, narrowed by a policy.
///
/// <https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html>
fn assume_role(
    caller: &Caller<'_>,
    key: &Arc<AccessKey>,
    fields: &Fields,
) -> Result<Answer, StsError> {
    fields.only(&[
        "DurationSeconds",
        "ExternalId",
        "Policy",
        "RoleArn",
        "RoleSessionName",
    ])?;
    let (arn, name) = (fields.role_arn()?, fields.session_name()?.to_owned());
    let duration = fields.duration(ASSUME_SECONDS)?;
    let policy = fields.policy()?;
    let number = caller.service.number_of(&key.owner);
    let role = role(caller, key, arn).filter(|role| may_assume(caller, key, role, (arn, fields)));
    let role = role.ok_or_else(|| {
        let caller = match base_of(key) {
            (_, Some(session)) => assumed(&number, key, session),
            _ => user(&number, key),
        };
        let message = format!(
            "User: {caller} is not authorized to perform: sts:AssumeRole on resource: {arn}"
        );
        StsError::forbidden("AccessDenied", message)
    })?;
    let issued = caller.service.clock.now().truncated_to_s();
    let new = NewSession {
        parent: key,
        role: Some((&role, &name)),
        policy: policy.as_ref(),
        issued,
        expires: issued.plus(duration),
    };
    let (made, expires) = (issue(caller, &new)?, new.expires);
    let packed = policy.as_ref().map(packed);
    Ok(Answer {
        response: "AssumeRoleResponse",
        result: "AssumeRoleResult",
        write: Box::new(move |document| {
            write_credentials(document, &made, expires);
            document.element("AssumedRoleUser", |document| {
                document.text("AssumedRoleId", &format!("{}:{name}", role.access_key));
                document.text("Arn", &assumed(&number, &role, &name));
            });
            if let Some(packed) = packed {
                document.value("PackedPolicySize", packed);
            }
        }),
    })
}

/// The key that a role's ARN names, where it is one of the caller's own account. The root key is
/// nobody's role.
fn role(caller: &Caller<'_>, key: &AccessKey, arn: &str) -> Option<Arc<AccessKey>> {
    let number = caller.service.number_of(&key.owner);
    let start = format!("arn:aws:iam::{number}:role/");
    let name = arn.strip_prefix(&start)?;
    let role = caller.service.keys.named(name)?;
    (!role.root && !role.disabled && role.owner == key.owner).then_some(role)
}

/// Whether the caller may assume it. As in IAM their own policy must allow `sts:AssumeRole`; a key
/// that nothing limits may all, and every key may assume itself, since that gives it nothing. A
/// session may not: it would outlive itself.
fn may_assume(
    caller: &Caller<'_>,
    key: &AccessKey,
    role: &AccessKey,
    (arn, fields): (&str, &Fields),
) -> bool {
    if key.temporary.is_some() {
        return false;
    }
    let itself = key.access_key == role.access_key;
    let known = [
        ("sts:RoleSessionName", fields.get("RoleSessionName")),
        ("sts:ExternalId", fields.get("ExternalId")),
    ];
    match caller.own_of_service("sts:AssumeRole", arn, &known) {
        Some(Decision::Deny) => false,
        Some(Decision::Allow) => true,
        Some(Decision::None | Decision::Account) => itself,
        None => itself || key.root || key.scope == Scope::default(),
    }
}

fn issue(caller: &Caller<'_>, new: &NewSession<'_>) -> Result<Credentials, StsError> {
    let draw = Draw {
        access_key: random(),
        secret: random(),
        nonce: random(),
    };
    let key = caller.service.keys.session_key();
    let key = key.ok_or_else(|| StsError::unsupported("sessions"))?;
    let made = key.issue(new, draw);
    made.ok_or_else(|| StsError::bad("PackedPolicyTooLarge", "The policy is too large."))
}

fn write_credentials(document: &mut XmlWriter, made: &Credentials, expires: Timestamp) {
    document.element("Credentials", |document| {
        document.text("AccessKeyId", &made.access_key);
        document.text("SecretAccessKey", made.secret.expose());
        document.text("SessionToken", &made.token);
        document.text("Expiration", &expires.iso8601_s());
    });
}

/// How much of the room for a policy is used, in hundredths.
fn packed(policy: &OwnPolicy) -> usize {
    let chars = policy.text().chars().count();
    chars.saturating_mul(100).div_ceil(POLICY_CHARS_MAX)
}

/// The lasting key behind it, and the name of its session where it was assumed.
fn base_of(key: &AccessKey) -> (&str, Option<&str>) {
    match key.temporary.as_deref() {
        Some(temporary) => (&temporary.base, temporary.name.as_deref()),
        None => (&key.access_key, None),
    }
}

fn user(number: &str, key: &AccessKey) -> String {
    format!("arn:aws:iam::{number}:user/{}", key.name)
}

fn assumed(number: &str, key: &AccessKey, session: &str) -> String {
    // As in IAM, a role's path is no part of it.
    let name = key.name.rsplit('/').next().unwrap_or(&key.name);
    format!("arn:aws:sts::{number}:assumed-role/{name}/{session}")
}
