//! Whether a policy lets in everybody, or somebody of another account.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-control-block-public-access.html>,
//! "The meaning of public".

use super::condition::{Condition, Operand};
use super::operator::{Set, Test};
use super::principal::{Identity, Named};
use super::{Effect, Policy, Statement};

impl Policy {
    /// Whether it is public as S3 sees it: a statement allows everybody something, and no
    /// condition holds that to fixed values of a key that says where a request comes from. What
    /// other statements deny makes no difference.
    pub fn is_public(&self) -> bool {
        self.statements.iter().any(Statement::is_public)
    }

    /// Whether it lets in anybody outside the account of `owner`: it is public, or names somebody
    /// of another account.
    pub fn grants_others(&self, owner: &Identity) -> bool {
        let outside = |statement: &&Statement| {
            let mut named = statement.principals.iter();
            named.any(|one| *one != Named::Everyone && one.is_outside(owner))
        };
        let allows = |statement: &&Statement| statement.effect == Effect::Allow;
        self.is_public() || self.statements.iter().filter(allows).any(|s| outside(&s))
    }
}

impl Statement {
    fn is_public(&self) -> bool {
        self.effect == Effect::Allow
            && self.principals.contains(&Named::Everyone)
            && !self.conditions.iter().any(narrows)
    }
}

/// Whether a condition holds a request to fixed values of a key that says where it comes from.
fn narrows(condition: &Condition) -> bool {
    let operator = condition.operator;
    // What also holds where the key is absent limits nobody.
    if operator.negated || operator.if_exists || operator.set == Set::All {
        return false;
    }
    let fixed = |operand: &Operand| match operand {
        Operand::Text(template) => template.is_fixed(),
        Operand::Network(network) => !network.is_everywhere(),
        _ => false,
    };
    let by_text = matches!(
        operator.test,
        Test::Text | Test::TextAnyCase | Test::Like | Test::Arn
    );
    let mut operands = condition.operands.iter();
    match condition.key.as_str() {
        "aws:sourceip" => operator.test == Test::Address && operands.all(fixed),
        "aws:userid" => by_text && operands.all(|one| fixed(one) || is_any_session(one)),
        "s3:dataaccesspointarn" => by_text && operands.all(|one| fixed(one) || is_any_point(one)),
        "aws:principalaccount"
        | "aws:principalarn"
        | "aws:principalorgid"
        | "aws:principalorgpaths"
        | "aws:sourceaccount"
        | "aws:sourcearn"
        | "aws:sourceorgid"
        | "aws:sourceowner"
        | "aws:sourcevpc"
        | "aws:sourcevpce"
        | "s3:dataaccesspointaccount"
        | "s3:x-amz-server-side-encryption-aws-kms-key-id" => by_text && operands.all(fixed),
        _ => false,
    }
}

/// `AROAEXAMPLE:*`: any session of one role.
fn is_any_session(operand: &Operand) -> bool {
    let Operand::Text(template) = operand else {
        return false;
    };
    template
        .fixed_before_last_star()
        .is_some_and(|text| text.len() > 1 && text.ends_with(':'))
}

/// `arn:aws:s3:region:account:accesspoint/*`: any access point of one account.
fn is_any_point(operand: &Operand) -> bool {
    let Operand::Text(template) = operand else {
        return false;
    };
    template.fixed_before_last_star().is_some_and(|text| {
        let parts: Vec<_> = text.splitn(6, ':').collect();
        let account = parts.get(4).filter(|account| account.len() == 12);
        account.is_some()
            && parts
                .get(5)
                .is_some_and(|rest| rest.starts_with("accesspoint/"))
    })
}
