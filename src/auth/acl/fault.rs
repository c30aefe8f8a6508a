//! Why a list was refused, with S3's code, message and details.

/// Why a list was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AclFault {
    /// An `x-amz-acl` that is none of the canned lists. S3 says nothing more about it.
    #[error("")]
    Canned {
        /// What came.
        value: String,
    },
    /// A header of grants that cannot be read.
    #[error("Argument format not recognized")]
    Header {
        /// Which header.
        header: &'static str,
        /// What came.
        value: String,
    },
    /// No account has that id.
    #[error("Invalid id")]
    Id {
        /// What came.
        value: String,
    },
    /// No group has that name.
    #[error("Invalid group uri")]
    Group {
        /// What came.
        value: String,
    },
    /// No account has that e-mail address.
    #[error("The e-mail address you provided does not match any account on record.")]
    Email {
        /// What came.
        value: String,
    },
    /// `x-amz-acl` and headers of grants.
    #[error("Specifying both Canned ACLs and Header Grants is not allowed")]
    Both,
    /// More grants than a list may have.
    #[error(
        "The XML you provided was not well-formed or did not validate against our published schema"
    )]
    TooMany,
}

impl AclFault {
    /// S3's code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Canned { .. } | Self::Header { .. } | Self::Id { .. } | Self::Group { .. } => {
                "InvalidArgument"
            }
            Self::Email { .. } => "UnresolvableGrantByEmailAddress",
            Self::Both => "InvalidRequest",
            Self::TooMany => "MalformedACLError",
        }
    }

    /// `ArgumentName` and `ArgumentValue`, where S3 tells them. It names an argument of a list in
    /// XML otherwise: `CanonicalUser/ID`, `Group/URI`.
    pub fn argument(&self) -> Option<(&'static str, &str)> {
        match self {
            Self::Canned { value } => Some(("x-amz-acl", value)),
            Self::Header { header, value } => Some((header, value)),
            Self::Id { value } => Some(("id", value)),
            Self::Group { value } => Some(("uri", value)),
            Self::Email { value } => Some(("emailAddress", value)),
            Self::Both | Self::TooMany => None,
        }
    }
}
