//! What a caller's own policy says: an identity's, as IAM has it.

use super::{Caller, add_tags, condition, resource};
use crate::auth::Action;
use crate::auth::policy::{Access, Decision, Identity, OwnPolicy, Principal, Role};
use crate::name::BucketName;
use crate::s3::acl::ACL_HEADERS;
use crate::s3::head::Head;
use crate::store::ObjectRecord;

/// What a caller's own policies say to an access.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Own {
    /// What the key's policy says; a key without one may all.
    identity: Decision,
    /// What its session's policy says, within which all else counts.
    session: Decision,
}

impl Own {
    /// What those hear who have no policy.
    pub(super) const UNLIMITED: Self = Self {
        identity: Decision::Allow,
        session: Decision::Allow,
    };

    /// Whether one of them forbids it.
    pub(super) fn denies(self) -> bool {
        self.identity == Decision::Deny || self.session == Decision::Deny
    }

    /// Whether they allow it.
    pub(super) fn allows(self) -> bool {
        self.identity == Decision::Allow && self.session == Decision::Allow
    }

    /// Whether they let another policy allow it.
    pub(super) fn admits(self) -> bool {
        self.identity != Decision::Deny && self.session == Decision::Allow
    }
}

impl Caller<'_> {
    /// Who it is, as policies name them.
    pub(super) fn principal(&self) -> Principal {
        let Some(key) = self.who.key() else {
            return Principal::Anonymous;
        };
        Principal::Account(Identity {
            account: self.service.number_of(&key.owner),
            canonical: key.owner.clone(),
            role: match key.temporary.as_deref().and_then(|one| one.name.clone()) {
                Some(session) => Role::Session {
                    role: key.name.clone(),
                    session,
                },
                None => Role::User(key.name.clone()),
            },
        })
    }

    /// Whether a policy of their own limits the caller.
    pub(super) fn has_own_policy(&self) -> bool {
        self.policies().next().is_some()
    }

    /// Whether one of their own policies asks for the tags of the object.
    pub(super) fn asks_for_tags(&self) -> bool {
        self.policies().any(OwnPolicy::asks_for_tags)
    }

    fn policies(&self) -> impl Iterator<Item = &OwnPolicy> {
        let key = self.who.key();
        let of_key = key.and_then(|key| key.policy.as_deref());
        let of_session = key.and_then(|key| key.session_policy());
        of_key.into_iter().chain(of_session)
    }

    /// What the policy of the caller's key says to an action of another service than S3; none where
    /// it has no policy. `known` is what conditions may ask for beside what each request tells.
    pub(in crate::s3) fn own_of_service(
        &self,
        action: &str,
        resource: &str,
        known: &[(&str, Option<&str>)],
    ) -> Option<Decision> {
        let policy = self.who.key()?.policy.as_deref()?;
        let mut context = condition::of_request(self);
        for (name, value) in known {
            context.set_if(name, *value);
        }
        Some(policy.evaluate(&Access {
            principal: &self.principal(),
            action,
            resource,
            context: &context,
        }))
    }

    /// What the caller's own policies say to `action`, and to all else that the request asks for
    /// beside it. `object` is what it is about, where a policy asks for its tags.
    pub(super) fn own(
        &self,
        action: Action,
        bucket: Option<&BucketName>,
        subject: Option<&str>,
        object: Option<&ObjectRecord>,
    ) -> Own {
        // A list of keys to delete: each of them is judged by itself.
        if !self.has_own_policy() || action == Action::DeleteObjects {
            return Own::UNLIMITED;
        }
        let mut context = condition::of_request(self);
        add_tags(&mut context, object);
        let principal = self.principal();
        let judge = |policy: &OwnPolicy, action: Action| {
            policy.evaluate(&Access {
                principal: &principal,
                action: action.as_str(),
                resource: &resource(action, bucket, subject),
                context: &context,
            })
        };
        let wanted: Vec<Action> = std::iter::once(action)
            .chain(implied(action, self.head))
            .collect();
        let by = |policy: Option<&OwnPolicy>| match policy {
            Some(policy) => together(wanted.iter().map(|action| judge(policy, *action))),
            None => Decision::Allow,
        };
        let key = self.who.key();
        Own {
            identity: by(key.and_then(|key| key.policy.as_deref())),
            session: by(key.and_then(|key| key.session_policy())),
        }
    }
}

/// What is said to several accesses that are one: a denial of any, else an allowance of all.
fn together(said: impl Iterator<Item = Decision>) -> Decision {
    let said: Vec<Decision> = said.collect();
    if said.contains(&Decision::Deny) {
        Decision::Deny
    } else if said.iter().all(|one| *one == Decision::Allow) {
        Decision::Allow
    } else {
        Decision::None
    }
}

/// What a request asks for beside its action, each of which needs its own permission.
///
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html>
fn implied(action: Action, head: &Head) -> Vec<Action> {
    let has = |name: &str| head.headers.get(name).is_some_and(|v| !v.is_empty());
    let mut also = Vec::new();
    match action {
        Action::PutObject => {
            if has("x-amz-tagging") {
                also.push(Action::PutObjectTagging);
            }
            if ACL_HEADERS.iter().any(|name| has(name)) {
                also.push(Action::PutObjectAcl);
            }
            if has("x-amz-object-lock-mode") || has("x-amz-object-lock-retain-until-date") {
                also.push(Action::PutObjectRetention);
            }
            if has("x-amz-object-lock-legal-hold") {
                also.push(Action::PutObjectLegalHold);
            }
        }
        Action::CreateBucket => {
            if ACL_HEADERS.iter().any(|name| has(name)) {
                also.push(Action::PutBucketAcl);
            }
            if has("x-amz-object-ownership") {
                also.push(Action::PutBucketOwnershipControls);
            }
            if has("x-amz-bucket-object-lock-enabled") {
                also.push(Action::PutBucketObjectLockConfiguration);
                also.push(Action::PutBucketVersioning);
            }
        }
        Action::GetObjectAttributes => also.push(Action::GetObject),
        _ => {}
    }
    also
}
