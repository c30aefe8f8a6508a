//! Grants in headers: `x-amz-grant-read: id="..", uri=".."`.

use super::{AclFault, Grant, Group, Permission};

/// The headers of grants, and what each grants.
pub const GRANT_HEADERS: [(&str, Permission); 5] = [
    ("x-amz-grant-read", Permission::Read),
    ("x-amz-grant-write", Permission::Write),
    ("x-amz-grant-read-acp", Permission::ReadAcp),
    ("x-amz-grant-write-acp", Permission::WriteAcp),
    ("x-amz-grant-full-control", Permission::FullControl),
];

/// Whom a header names, before anybody is looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// An account, by its canonical id.
    Id(String),
    /// An account, by its e-mail address.
    Email(String),
    /// A group.
    Group(Group),
}

/// The grants of a header of [`GRANT_HEADERS`]. `account` finds the canonical id of an account
/// that a [`Wanted::Id`] or [`Wanted::Email`] names, where it exists.
///
/// # Errors
/// An [`AclFault`] where it cannot be read or names nobody.
pub fn grants(
    header: &'static str,
    permission: Permission,
    value: &str,
    account: impl Fn(&Wanted) -> Option<String>,
) -> Result<Vec<Grant>, AclFault> {
    let mut grants = Vec::new();
    for wanted in wanted(header, value)? {
        grants.push(match (account(&wanted), wanted) {
            (_, Wanted::Group(group)) => Grant::to_group(group, permission),
            (Some(id), _) => Grant::to_account(id, permission),
            (None, Wanted::Id(value)) => return Err(AclFault::Id { value }),
            (None, Wanted::Email(value)) => return Err(AclFault::Email { value }),
        });
    }
    Ok(grants)
}

fn wanted(header: &'static str, value: &str) -> Result<Vec<Wanted>, AclFault> {
    let strange = || AclFault::Header {
        header,
        value: value.to_owned(),
    };
    let mut all = Vec::new();
    let mut left = value;
    loop {
        let (kind, after) = left.split_once('=').ok_or_else(strange)?;
        let (name, after) = text(after.trim_start()).ok_or_else(strange)?;
        all.push(match kind.trim().to_ascii_lowercase().as_str() {
            "id" => Wanted::Id(name.to_owned()),
            "emailaddress" => Wanted::Email(name.to_owned()),
            "uri" => Wanted::Group(Group::of_uri(name).ok_or_else(|| AclFault::Group {
                value: name.to_owned(),
            })?),
            _ => return Err(strange()),
        });
        let after = after.trim_start();
        if after.is_empty() {
            return Ok(all);
        }
        left = after.strip_prefix(',').ok_or_else(strange)?;
    }
}

/// A text, in quotes or up to the next comma, and what follows it.
fn text(from: &str) -> Option<(&str, &str)> {
    let (text, after) = match from.strip_prefix('"') {
        Some(quoted) => quoted.split_once('"')?,
        None => from.split_at_checked(from.find(',').unwrap_or(from.len()))?,
    };
    let text = text.trim();
    (!text.is_empty()).then_some((text, after))
}
