//! The policy that an identity or a session has of its own, ready to be judged by.

use super::fault::PolicyFault;
use super::template::Template;
use super::{Access, Decision, Policy};

/// The condition keys that only the object itself can answer.
const OBJECT_TAGS: &str = "s3:existingobjecttag/";

/// A policy that an identity or a session has of its own, and the text that it was read from.
#[derive(Debug, Clone)]
pub struct OwnPolicy {
    text: String,
    policy: Policy,
    asks_for_tags: bool,
}

impl OwnPolicy {
    /// Reads it as [`Policy::parse_identity`] does.
    ///
    /// # Errors
    /// A [`PolicyFault`] where it is not valid.
    pub fn parse(text: &str) -> Result<Self, PolicyFault> {
        let policy = Policy::parse_identity(text)?;
        Ok(Self {
            text: text.to_owned(),
            asks_for_tags: policy.names_key(OBJECT_TAGS),
            policy,
        })
    }

    /// As it was given.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether the tags of the object decide something.
    pub const fn asks_for_tags(&self) -> bool {
        self.asks_for_tags
    }

    /// Judges an access.
    pub fn evaluate(&self, access: &Access<'_>) -> Decision {
        self.policy.evaluate(access)
    }
}

impl Policy {
    /// Whether a condition or a variable asks for a key that begins so, in its canonical form.
    fn names_key(&self, start: &str) -> bool {
        self.statements.iter().any(|statement| {
            let mut conditions = statement.conditions.iter();
            let mut resources = statement.resources.list.iter();
            conditions.any(|one| one.key.starts_with(start) || one.varies_by(start))
                || resources.any(|one: &Template| one.varies_by(start))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_asked_for_however_they_are_spelled() {
        let asks = |resource: &str, condition: &str| {
            let text = format!(
                r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Action":"s3:*",
                    "Resource":"{resource}","Condition":{{"StringEquals":{{{condition}}}}}}}}}"#
            );
            OwnPolicy::parse(&text).unwrap().asks_for_tags()
        };
        assert!(!asks("*", r#""aws:username":"a""#));
        assert!(asks("*", r#""s3:ExistingObjectTag/a":"b""#));
        assert!(asks("*", r#""S3:\u0045xistingObjectTag/a":"b""#));
        assert!(asks("*", r#""aws:username":"${s3:ExistingObjectTag/a}""#));
        assert!(asks(
            "arn:aws:s3:::b/${s3:existingObjectTag/a}",
            r#""aws:username":"a""#
        ));
    }
}
