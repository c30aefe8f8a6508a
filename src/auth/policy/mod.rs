//! IAM's policy language: whom a document lets do what, to what, and when.
//!
//! One engine judges by the policies of buckets, of identities and of sessions. It is pure: all
//! that it knows of a request, the time included, comes in an [`Access`].
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html>

mod catalog;
mod condition;
mod context;
mod fault;
pub(crate) mod glob;
mod json;
mod operator;
mod own;
mod parse;
mod principal;
mod public;
mod template;
#[cfg(test)]
mod tests;
mod validate;

pub use context::Context;
pub use fault::PolicyFault;
pub use own::OwnPolicy;
pub use principal::{Identity, Principal, Role};

use condition::Condition;
use glob::Glob;
use principal::{Named, Naming};
use template::Template;

/// The most bytes of a bucket's policy, without its blanks.
pub const BUCKET_POLICY_BYTES_MAX: usize = 20_480;
/// The most bytes of an identity's or a session's policy, without its blanks.
pub const IDENTITY_POLICY_BYTES_MAX: usize = 6_144;

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Access<'a> {
    /// Who asks.
    pub principal: &'a Principal,
    /// What for: `s3:GetObject`.
    pub action: &'a str,
    /// Of what: `arn:aws:s3:::bucket/key`.
    pub resource: &'a str,
    /// What else is known.
    pub context: &'a Context,
}

/// What a policy says to an [`Access`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Decision {
    /// Nothing.
    None,
    /// The caller's account is allowed it, but not the caller themselves: a policy of their own
    /// must allow it too. Only a bucket's policy says so, and never to an account's root.
    Account,
    /// It is allowed.
    Allow,
    /// It is denied, whatever else allows it.
    Deny,
}

/// A policy that was read and found valid.
#[derive(Debug, Clone)]
pub struct Policy {
    statements: Vec<Statement>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effect {
    Allow,
    Deny,
}

/// A list that says what is meant, or what is not.
#[derive(Debug, Clone)]
struct Choice<T> {
    all_but: bool,
    list: Vec<T>,
}

impl<T> Choice<T> {
    fn takes(&self, meant: impl Fn(&T) -> bool) -> bool {
        self.list.iter().any(meant) != self.all_but
    }
}

#[derive(Debug, Clone)]
struct Statement {
    effect: Effect,
    /// Whom it is about; nobody at all in an identity's policy, which is about its holder.
    principals: Vec<Named>,
    /// The principals are those it is not about.
    all_but_principals: bool,
    actions: Choice<Glob>,
    resources: Choice<Template>,
    conditions: Vec<Condition>,
}

impl Policy {
    /// Judges an access: an explicit denial wins, whatever allows it.
    pub fn evaluate(&self, access: &Access<'_>) -> Decision {
        let action: Vec<char> = access.action.to_ascii_lowercase().chars().collect();
        let said = self.statements.iter().map(|one| one.says(access, &action));
        said.max().unwrap_or(Decision::None)
    }
}

impl Statement {
    fn says(&self, access: &Access<'_>, action: &[char]) -> Decision {
        let context = access.context;
        let decision = match (self.effect, self.names(access.principal)) {
            (_, Naming::Not) => return Decision::None,
            (Effect::Deny, _) => Decision::Deny,
            (Effect::Allow, Naming::Account) => Decision::Account,
            (Effect::Allow, Naming::Self_) => Decision::Allow,
        };
        let covers = |resource: &Template| resource.covers_arn(access.resource, context);
        let applies = self.actions.takes(|glob| glob.matches(action))
            && self.resources.takes(covers)
            && self.conditions.iter().all(|one| one.holds(context));
        if applies { decision } else { Decision::None }
    }

    fn names(&self, caller: &Principal) -> Naming {
        if self.principals.is_empty() {
            return Naming::Self_;
        }
        let closest = self.principals.iter().map(|one| one.names(caller)).max();
        let closest = closest.unwrap_or(Naming::Not);
        match (self.all_but_principals, closest) {
            (false, naming) => naming,
            // Who is not named themselves is not excepted.
            (true, Naming::Self_) => Naming::Not,
            (true, _) => Naming::Self_,
        }
    }
}
