//! What a statement must be, in a bucket's policy and in an identity's.

use super::catalog::{self, Actions, Kind};
use super::condition::Condition;
use super::fault::PolicyFault;
use super::glob::Glob;
use super::parse::Fields;
use super::principal;
use super::template::{Reading, Template};
use super::{Choice, Effect, Statement};

const ARN_PREFIX: &str = "arn:aws:s3:";

/// A statement of the policy of `bucket`.
pub(super) fn bucket_statement(fields: Fields<'_>, bucket: &str) -> Result<Statement, PolicyFault> {
    let effect = fields.effect()?;
    let whom = fields
        .principal
        .ok_or(PolicyFault::Missing { field: "Principal" })?;
    let principals = principal::parse(whom.value)?;
    if whom.all_but && effect == Effect::Allow {
        return Err(PolicyFault::AllowNotPrincipal);
    }
    let (actions, all_but_actions) = Fields::texts("Action", fields.action)?;
    let named: Vec<_> = actions.iter().map(|one| Actions::named_by(one)).collect();
    if named.iter().any(|actions| actions.is_empty()) {
        return Err(PolicyFault::Action);
    }
    let (resources, all_but_resources) = Fields::texts("Resource", fields.resource)?;
    if !resources
        .iter()
        .all(|arn| is_of(arn, bucket, fields.variables))
    {
        return Err(PolicyFault::Resource);
    }
    let conditions = fields.conditions()?;
    for condition in &conditions {
        let known = catalog::condition_key(&condition.key).ok_or(PolicyFault::ConditionKey)?;
        let knowing = Actions::that_know(known);
        if !all_but_actions && !named.iter().all(|actions| actions.meets(knowing)) {
            return Err(PolicyFault::ConditionNotApplicable);
        }
    }
    if !all_but_actions && !all_but_resources && !apply(&named, &resources) {
        return Err(PolicyFault::NotApplicable);
    }
    Ok(Statement {
        effect,
        principals,
        all_but_principals: whom.all_but,
        actions: action_choice(&actions, all_but_actions),
        resources: resource_choice(&resources, all_but_resources, fields.variables),
        conditions,
    })
}

/// A statement of an identity's policy.
pub(super) fn identity_statement(fields: Fields<'_>) -> Result<Statement, PolicyFault> {
    let effect = fields.effect()?;
    if fields.principal.is_some() {
        return Err(PolicyFault::PrincipalOfIdentity);
    }
    let (actions, all_but_actions) = Fields::texts("Action", fields.action)?;
    let of_vendor = |name: &&str| **name == *"*" || is_prefaced(name);
    if !actions.iter().all(of_vendor) {
        return Err(PolicyFault::Vendor);
    }
    let (resources, all_but_resources) = Fields::texts("Resource", fields.resource)?;
    for resource in &resources {
        if *resource != "*" && !resource.starts_with("arn:") {
            let resource = (*resource).to_owned();
            return Err(PolicyFault::NotArn { resource });
        }
    }
    let conditions = fields.conditions()?;
    if !conditions
        .iter()
        .all(|one: &Condition| is_prefaced(&one.key))
    {
        return Err(PolicyFault::Vendor);
    }
    Ok(Statement {
        effect,
        principals: Vec::new(),
        all_but_principals: false,
        actions: action_choice(&actions, all_but_actions),
        resources: resource_choice(&resources, all_but_resources, fields.variables),
        conditions,
    })
}

fn is_prefaced(name: &str) -> bool {
    let parts = name.split_once(':');
    parts.is_some_and(|(vendor, rest)| !vendor.is_empty() && !rest.is_empty())
}

fn action_choice(patterns: &[&str], all_but: bool) -> Choice<Glob> {
    let glob = |pattern: &&str| Glob::spelled(&pattern.to_ascii_lowercase());
    let list = patterns.iter().map(glob).collect();
    Choice { all_but, list }
}

fn resource_choice(patterns: &[&str], all_but: bool, variables: bool) -> Choice<Template> {
    let list = patterns.iter().map(|text| resource(text, variables));
    let list = list.collect();
    Choice { all_but, list }
}

fn resource(text: &str, variables: bool) -> Template {
    let reading = Reading {
        variables,
        wildcards: true,
    };
    Template::parse(text, reading)
}

/// What the ARN of a bucket or an object says after the account: the bucket, and whether a key
/// may or must follow. Some write the account, which is empty, as `*`.
fn bucket_of(arn: &str) -> Option<(&str, Option<&str>)> {
    let rest = arn.strip_prefix(ARN_PREFIX)?;
    let path = rest
        .strip_prefix("::")
        .or_else(|| rest.strip_prefix(":*:"))?;
    Some(match path.split_once('/') {
        Some((bucket, key)) => (bucket, Some(key)),
        None => (path, None),
    })
}

/// Whether a resource can be this bucket or an object in it. Where a variable stands in the
/// bucket's place, only the request can tell.
fn is_of(arn: &str, bucket: &str, variables: bool) -> bool {
    bucket_of(arn).is_some_and(|(named, _)| {
        let varies = resource(named, variables).varies();
        !named.is_empty() && (varies || Glob::spelled(named).matches_text(bucket))
    })
}

/// Whether every action finds something of its kind among the resources.
fn apply(actions: &[Actions], resources: &[&str]) -> bool {
    let has = |kind: Kind| {
        let mut resources = resources.iter();
        resources.any(|arn| match (kind, bucket_of(arn)) {
            (Kind::Bucket, Some((_, key))) => key.is_none(),
            // A `*` at the bucket's end reaches over the `/`.
            (Kind::Object, Some((bucket, key))) => key.is_some() || bucket.contains('*'),
            (_, None) => false,
        })
    };
    let on = |kind: Kind| {
        let all = has(kind).then(|| Actions::on(kind));
        move |actions: &Actions| all.is_some_and(|all| actions.meets(all))
    };
    let (buckets, objects) = (on(Kind::Bucket), on(Kind::Object));
    actions.iter().all(|one| buckets(one) || objects(one))
}
