//! Access control lists: who else than the owner may read or write a bucket or an object.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/acl-overview.html>

mod canned;
mod fault;
mod header;
#[cfg(test)]
mod tests;

use minicbor::{Decode, Encode};

pub use canned::{Canned, Subject};
pub use fault::AclFault;
pub use header::{GRANT_HEADERS, Wanted, grants};

/// The most grants of a list.
pub const GRANTS_MAX: usize = 100;

/// What a grant allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum Permission {
    /// List a bucket; read an object.
    #[n(0)]
    Read,
    /// Write, replace and remove the objects of a bucket; nothing for an object.
    #[n(1)]
    Write,
    /// Read the list itself.
    #[n(2)]
    ReadAcp,
    /// Change the list itself.
    #[n(3)]
    WriteAcp,
    /// All of these.
    #[n(4)]
    FullControl,
}

impl Permission {
    /// All of them, but the one that stands for all.
    const SINGLE: [Self; 4] = [Self::Read, Self::Write, Self::ReadAcp, Self::WriteAcp];

    /// `READ_ACP`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "READ",
            Self::Write => "WRITE",
            Self::ReadAcp => "READ_ACP",
            Self::WriteAcp => "WRITE_ACP",
            Self::FullControl => "FULL_CONTROL",
        }
    }

    /// The permission of that name.
    pub fn named(name: &str) -> Option<Self> {
        let mut all = Self::SINGLE.into_iter().chain([Self::FullControl]);
        all.find(|permission| permission.as_str() == name)
    }
}

/// Those whom S3 itself has gathered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum Group {
    /// Everybody, known or not.
    #[n(0)]
    AllUsers,
    /// Everybody who signs, whatever their account.
    #[n(1)]
    AuthenticatedUsers,
    /// The writer of access logs.
    #[n(2)]
    LogDelivery,
}

impl Group {
    const ALL: [Self; 3] = [Self::AllUsers, Self::AuthenticatedUsers, Self::LogDelivery];

    /// The name it goes by.
    pub const fn uri(self) -> &'static str {
        match self {
            Self::AllUsers => "http://acs.amazonaws.com/groups/global/AllUsers",
            Self::AuthenticatedUsers => "http://acs.amazonaws.com/groups/global/AuthenticatedUsers",
            Self::LogDelivery => "http://acs.amazonaws.com/groups/s3/LogDelivery",
        }
    }

    /// The group of that name.
    pub fn of_uri(uri: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|group| group.uri() == uri)
    }
}

/// Whom a grant is for. Who is given by e-mail is looked up before.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Encode, Decode)]
pub enum Grantee {
    /// An account, by its canonical id.
    #[n(0)]
    CanonicalUser(#[n(0)] String),
    /// A group.
    #[n(1)]
    Group(#[n(0)] Group),
}

/// Who may do what.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Encode, Decode)]
pub struct Grant {
    /// Who.
    #[n(0)]
    pub grantee: Grantee,
    /// What.
    #[n(1)]
    pub permission: Permission,
}

impl Grant {
    /// A grant to an account.
    pub fn to_account(id: impl Into<String>, permission: Permission) -> Self {
        let grantee = Grantee::CanonicalUser(id.into());
        Self {
            grantee,
            permission,
        }
    }

    /// A grant to a group.
    pub const fn to_group(group: Group, permission: Permission) -> Self {
        let grantee = Grantee::Group(group);
        Self {
            grantee,
            permission,
        }
    }
}

/// Who asks for something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asker<'a> {
    /// Nobody who says who they are.
    Anonymous,
    /// An account, by its canonical id.
    Account(&'a str),
    /// The writer of access logs.
    LogDelivery,
}

/// An access control list.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Acl {
    /// The canonical id of whom the bucket or object belongs to.
    #[n(0)]
    pub owner: String,
    /// The grants, in the order in which they were given.
    #[n(1)]
    grants: Vec<Grant>,
}

impl Acl {
    /// A list of these grants: the owner has none that is not among them.
    ///
    /// # Errors
    /// [`AclFault::TooMany`] over [`GRANTS_MAX`].
    pub fn new(owner: impl Into<String>, grants: Vec<Grant>) -> Result<Self, AclFault> {
        if grants.len() > GRANTS_MAX {
            return Err(AclFault::TooMany);
        }
        let owner = owner.into();
        Ok(Self { owner, grants })
    }

    /// The list that all begin with: the owner alone has full control.
    pub fn private(owner: impl Into<String>) -> Self {
        let owner = owner.into();
        let grants = vec![Grant::to_account(&owner, Permission::FullControl)];
        Self { owner, grants }
    }

    /// The grants.
    pub fn grants(&self) -> &[Grant] {
        &self.grants
    }

    /// Whether the list lets `who` do that. An owner may read and change the list even where no
    /// grant says so: nobody can lock themselves out.
    pub fn allows(&self, who: Asker<'_>, permission: Permission) -> bool {
        if permission == Permission::FullControl {
            let mut single = Permission::SINGLE.into_iter();
            return single.all(|permission| self.allows(who, permission));
        }
        let is_owner = who == Asker::Account(&self.owner);
        if is_owner && matches!(permission, Permission::ReadAcp | Permission::WriteAcp) {
            return true;
        }
        self.grants.iter().any(|grant| {
            let enough = [permission, Permission::FullControl].contains(&grant.permission);
            enough && grant.grantee.is(who)
        })
    }

    /// Whether everybody, or everybody who has an account anywhere, is granted anything.
    pub fn is_public(&self) -> bool {
        self.grants.iter().any(Grant::is_public)
    }

    /// The list as it counts where public grants are ignored.
    #[must_use]
    pub fn without_public(&self) -> Self {
        let kept = self.grants.iter().filter(|grant| !grant.is_public());
        Self {
            owner: self.owner.clone(),
            grants: kept.cloned().collect(),
        }
    }
}

impl Grant {
    const fn is_public(&self) -> bool {
        matches!(
            self.grantee,
            Grantee::Group(Group::AllUsers | Group::AuthenticatedUsers)
        )
    }
}

impl Grantee {
    fn is(&self, who: Asker<'_>) -> bool {
        match (self, who) {
            (Self::CanonicalUser(id), Asker::Account(asker)) => id == asker,
            (Self::CanonicalUser(_), _) => false,
            (Self::Group(Group::AllUsers), _) => true,
            (Self::Group(Group::AuthenticatedUsers), who) => who != Asker::Anonymous,
            (Self::Group(Group::LogDelivery), who) => who == Asker::LogDelivery,
        }
    }
}
