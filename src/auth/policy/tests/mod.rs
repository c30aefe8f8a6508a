//! The language as a whole: what is refused, what is said, what is public.

mod admission;
mod conditions;
mod documents;
mod evaluation;
mod publicity;

use super::{Access, Context, Decision, Identity, Policy, Principal, Role};

const ACCOUNT: &str = "123456789012";
const CANONICAL: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn identity(role: Role) -> Identity {
    Identity {
        account: ACCOUNT.into(),
        canonical: CANONICAL.into(),
        role,
    }
}

fn caller(role: Role) -> Principal {
    Principal::Account(identity(role))
}

fn user(name: &str) -> Principal {
    caller(Role::User(name.into()))
}

/// A policy of one statement, about the bucket `b` and all in it, with these members beside.
fn policy(members: &str) -> Policy {
    let json = format!(
        r#"{{"Version":"2012-10-17","Statement":[{{
            "Resource":["arn:aws:s3:::b","arn:aws:s3:::b/*"],{members}}}]}}"#
    );
    Policy::parse_bucket(&json, "b").unwrap_or_else(|fault| panic!("{fault}: {json}"))
}

fn context(pairs: &[(&str, &str)]) -> Context {
    let mut context = Context::new();
    for (key, value) in pairs {
        context.add(key, *value);
    }
    context
}

fn ask(policy: &Policy, principal: &Principal, action: &str, resource: &str) -> Decision {
    policy.evaluate(&Access {
        principal,
        action,
        resource,
        context: &context(&[]),
    })
}
