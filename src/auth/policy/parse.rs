//! The document: its fields and those of its statements, as the grammar has them.

use super::condition::Condition;
use super::fault::PolicyFault;
use super::json::Json;
use super::{
    BUCKET_POLICY_BYTES_MAX, Effect, IDENTITY_POLICY_BYTES_MAX, Policy, Statement, validate,
};

impl Policy {
    /// Reads the policy of the bucket of that name, as `PutBucketPolicy` does. The first fault
    /// that is found is told. Blanks do not count for the limit: who reads the body must bound it.
    ///
    /// # Errors
    /// A [`PolicyFault`] where it is not valid, or not about this bucket.
    pub fn parse_bucket(json: &str, bucket: &str) -> Result<Self, PolicyFault> {
        let json = Json::parse(json)?;
        if json.normalized_len() > BUCKET_POLICY_BYTES_MAX {
            let limit = BUCKET_POLICY_BYTES_MAX;
            return Err(PolicyFault::TooLarge { limit });
        }
        read(&json, |fields| validate::bucket_statement(fields, bucket))
    }

    /// Reads a policy of an identity or a session: it names no principals, and any services'
    /// actions and resources.
    ///
    /// # Errors
    /// A [`PolicyFault`] where it is not valid.
    pub fn parse_identity(json: &str) -> Result<Self, PolicyFault> {
        let json = Json::parse(json)?;
        if json.normalized_len() > IDENTITY_POLICY_BYTES_MAX {
            let limit = IDENTITY_POLICY_BYTES_MAX;
            return Err(PolicyFault::Quota { limit });
        }
        let mut names = std::collections::HashSet::new();
        read(&json, |fields| {
            // Buckets' policies may have names twice; identities' may not.
            if let Some(sid) = fields.sid.filter(|sid| !sid.is_empty())
                && !names.insert(sid.to_owned())
            {
                return Err(PolicyFault::Sid);
            }
            validate::identity_statement(fields)
        })
    }
}

/// An element that has an opposite, and whether that is what was given.
#[derive(Debug, Clone, Copy)]
pub(super) struct Element<'a> {
    pub(super) value: &'a Json,
    pub(super) all_but: bool,
}

/// The fields of a statement, of the right names and none of them twice.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Fields<'a> {
    pub(super) variables: bool,
    pub(super) sid: Option<&'a str>,
    pub(super) effect: Option<&'a Json>,
    pub(super) principal: Option<Element<'a>>,
    pub(super) action: Option<Element<'a>>,
    pub(super) resource: Option<Element<'a>>,
    pub(super) condition: Option<&'a Json>,
}

fn read<'a>(
    json: &'a Json,
    mut statement: impl FnMut(Fields<'a>) -> Result<Statement, PolicyFault>,
) -> Result<Policy, PolicyFault> {
    let (mut variables, mut given) = (false, None);
    for (name, value) in json.members()? {
        match name.as_str() {
            "Version" => {
                variables = match value {
                    Json::Text(version) if version == "2012-10-17" => true,
                    Json::Text(version) if version == "2008-10-17" => false,
                    _ => return Err(PolicyFault::Version),
                }
            }
            "Id" => drop(value.text()?),
            "Statement" => given = Some(value),
            _ => return Err(unknown(name)),
        }
    }
    let given = given.ok_or(PolicyFault::Missing { field: "Statement" })?;
    let list = match given {
        Json::List(list) if list.is_empty() => return Err(PolicyFault::NoStatement),
        Json::List(list) => list.as_slice(),
        one => std::slice::from_ref(one),
    };
    let statements = list
        .iter()
        .map(|one| statement(Fields::read(one, variables)?));
    let statements = statements.collect::<Result<_, _>>()?;
    Ok(Policy { statements })
}

fn unknown(field: &str) -> PolicyFault {
    PolicyFault::UnknownField {
        field: field.to_owned(),
    }
}

impl<'a> Fields<'a> {
    fn read(json: &'a Json, variables: bool) -> Result<Self, PolicyFault> {
        let mut fields = Self {
            variables,
            ..Self::default()
        };
        for (name, value) in json.members()? {
            match name.as_str() {
                "Sid" => fields.sid = Some(value.text()?),
                "Effect" => fields.effect = Some(value),
                "Condition" => fields.condition = Some(value),
                _ => fields.element(name, value)?,
            }
        }
        Ok(fields)
    }

    fn element(&mut self, name: &str, value: &'a Json) -> Result<(), PolicyFault> {
        let plain = name.strip_prefix("Not");
        let all_but = plain.is_some();
        let plain = plain.unwrap_or(name);
        let place = match plain {
            "Principal" => &mut self.principal,
            "Action" => &mut self.action,
            "Resource" => &mut self.resource,
            _ => return Err(unknown(name)),
        };
        if place.replace(Element { value, all_but }).is_some() {
            let field = plain.to_owned();
            return Err(PolicyFault::Twice { field });
        }
        Ok(())
    }

    /// Whether it allows or denies.
    pub(super) fn effect(&self) -> Result<Effect, PolicyFault> {
        match self.effect {
            None => Err(PolicyFault::Missing { field: "Effect" }),
            Some(Json::Text(effect)) if effect == "Allow" => Ok(Effect::Allow),
            Some(Json::Text(effect)) if effect == "Deny" => Ok(Effect::Deny),
            Some(Json::Text(effect)) => Err(PolicyFault::Effect {
                effect: effect.clone(),
            }),
            Some(_) => Err(PolicyFault::Syntax),
        }
    }

    /// The texts of an element that must be there and not be empty.
    pub(super) fn texts(
        field: &'static str,
        element: Option<Element<'a>>,
    ) -> Result<(Vec<&'a str>, bool), PolicyFault> {
        let element = element.ok_or(PolicyFault::Missing { field })?;
        let texts = element.value.texts()?;
        if texts.is_empty() {
            return Err(PolicyFault::Empty { field });
        }
        Ok((texts, element.all_but))
    }

    /// The conditions: operators, each with keys, each with values.
    pub(super) fn conditions(&self) -> Result<Vec<Condition>, PolicyFault> {
        let mut all = Vec::new();
        let operators = self.condition.map_or(Ok(&[][..]), Json::members)?;
        for (operator, keys) in operators {
            for (key, values) in keys.members()? {
                let values = values.scalars()?;
                all.push(Condition::parse(operator, key, &values, self.variables)?);
            }
        }
        Ok(all)
    }
}
