//! Who calls, and whom a policy names.

use super::fault::PolicyFault;
use super::json::Json;

/// Who calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Principal {
    /// Nobody who says who they are.
    Anonymous,
    /// Somebody of an account.
    Account(Identity),
    /// A service, by its name: `logging.s3.amazonaws.com`.
    Service(String),
}

/// Somebody of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The account's number: twelve digits.
    pub account: String,
    /// The account's canonical id.
    pub canonical: String,
    /// Who of the account.
    pub role: Role,
}

/// Who of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    /// The account itself.
    Root,
    /// A user; the name has its path before it, without the first `/`.
    User(String),
    /// A session of a role.
    Session {
        /// The role's name, with its path.
        role: String,
        /// The session's own name.
        session: String,
    },
    /// A user of another directory, by the name given to the session.
    Federated(String),
}

impl Identity {
    /// Its ARN: the value of `aws:PrincipalArn`, save that a session is named by its role there.
    pub fn arn(&self) -> String {
        let account = &self.account;
        match &self.role {
            Role::Root => format!("arn:aws:iam::{account}:root"),
            Role::User(name) => format!("arn:aws:iam::{account}:user/{name}"),
            Role::Session { role, session } => {
                let name = role.rsplit('/').next().unwrap_or(role);
                format!("arn:aws:sts::{account}:assumed-role/{name}/{session}")
            }
            Role::Federated(name) => format!("arn:aws:sts::{account}:federated-user/{name}"),
        }
    }

    /// The ARN of its role, where it is a session of one.
    fn role_arn(&self) -> Option<String> {
        let account = &self.account;
        match &self.role {
            Role::Session { role, .. } => Some(format!("arn:aws:iam::{account}:role/{role}")),
            _ => None,
        }
    }

    fn is(&self, arn: &str) -> bool {
        if self.arn() == arn || self.role_arn().is_some_and(|role| role == arn) {
            return true;
        }
        // A role is a user's other name here: what is said of the user holds for sessions too, so
        // that nobody escapes a denial by assuming themselves.
        let own = match &self.role {
            Role::User(name) | Role::Session { role: name, .. } => Some(name.as_str()),
            Role::Root | Role::Federated(_) => None,
        };
        let user = own.map(|name| format!("arn:aws:iam::{}:user/{name}", self.account));
        if user.is_some_and(|user| user == arn) {
            return true;
        }
        // Ceph's way: no account, and a user by their name or their id.
        let ceph = arn.strip_prefix("arn:aws:iam:::user/");
        ceph.is_some_and(|name| name == self.canonical || own == Some(name))
    }
}

/// How closely a policy names somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Naming {
    /// Not at all.
    Not,
    /// By their account only.
    Account,
    /// Themselves, or everybody.
    Self_,
}

/// One whom a policy names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Named {
    Everyone,
    /// An account, by its number.
    Account(String),
    /// An account, by its canonical id.
    Canonical(String),
    /// One of an account, by their ARN.
    Arn(String),
    Service(String),
    /// A provider of identities: none of them calls S3.
    Federated,
}

impl Named {
    /// How closely it names the caller.
    pub(super) fn names(&self, caller: &Principal) -> Naming {
        let by_account = |identity: &Identity, same: bool| match (same, &identity.role) {
            (false, _) => Naming::Not,
            (true, Role::Root) => Naming::Self_,
            (true, _) => Naming::Account,
        };
        let wholly = |same| if same { Naming::Self_ } else { Naming::Not };
        match (self, caller) {
            (Self::Everyone, _) => Naming::Self_,
            (Self::Account(number), Principal::Account(identity)) => {
                by_account(identity, identity.account == *number)
            }
            (Self::Canonical(id), Principal::Account(identity)) => {
                by_account(identity, identity.canonical == *id)
            }
            (Self::Arn(arn), Principal::Account(identity)) => wholly(identity.is(arn)),
            (Self::Service(name), Principal::Service(caller)) => wholly(name == caller),
            _ => Naming::Not,
        }
    }

    /// Whether it lets in somebody outside the account of `owner`.
    pub(super) fn is_outside(&self, owner: &Identity) -> bool {
        match self {
            Self::Everyone => true,
            Self::Account(number) => *number != owner.account,
            Self::Canonical(id) => *id != owner.canonical,
            Self::Arn(arn) => {
                let own = arn.strip_prefix("arn:aws:iam:::user/");
                let account = arn.split(':').nth(4).unwrap_or_default();
                account != owner.account && own != Some(&owner.canonical)
            }
            Self::Service(_) | Self::Federated => false,
        }
    }
}

/// Reads a `Principal` or `NotPrincipal`.
pub(super) fn parse(json: &Json) -> Result<Vec<Named>, PolicyFault> {
    let empty = PolicyFault::Empty { field: "Principal" };
    let members = match json {
        Json::Text(text) if text == "*" => return Ok(vec![Named::Everyone]),
        Json::Map(members) => members,
        _ => return Err(PolicyFault::Syntax),
    };
    let mut all = Vec::new();
    for (kind, names) in members {
        let names = names.texts().map_err(|_fault| PolicyFault::Principal)?;
        if names.is_empty() {
            return Err(empty);
        }
        for name in names {
            all.push(named(kind, name).ok_or(PolicyFault::Principal)?);
        }
    }
    if all.is_empty() { Err(empty) } else { Ok(all) }
}

fn named(kind: &str, name: &str) -> Option<Named> {
    let plain = !name.is_empty() && !name.contains(['*', '?']);
    match kind {
        "AWS" if name == "*" => Some(Named::Everyone),
        "AWS" if plain => aws(name),
        "CanonicalUser" if plain => Some(Named::Canonical(name.to_owned())),
        "Service" if plain => Some(Named::Service(name.to_owned())),
        "Federated" if plain => Some(Named::Federated),
        _ => None,
    }
}

/// An account's number, or an ARN of IAM or STS. Accounts and users are not looked up here, and
/// an account may have a name, or none, as Ceph's tenants do.
fn aws(name: &str) -> Option<Named> {
    if is_account(name) {
        return Some(Named::Account(name.to_owned()));
    }
    let parts: Vec<_> = name.splitn(6, ':').collect();
    let ["arn", partition, service, "", account, who] = parts.as_slice() else {
        return None;
    };
    let word = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let known = matches!(*partition, "aws" | "aws-cn" | "aws-us-gov") && account.bytes().all(word);
    let kinds: &[&str] = match *service {
        "iam" if *who == "root" && !account.is_empty() => {
            return known.then(|| Named::Account((*account).to_owned()));
        }
        "iam" => &["user/", "role/"],
        "sts" => &["assumed-role/", "federated-user/"],
        _ => &[],
    };
    let one = |kind: &&str| who.strip_prefix(kind).is_some_and(|name| !name.is_empty());
    (known && kinds.iter().any(one)).then(|| Named::Arn(name.to_owned()))
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}
