//! Why a request in OSS's words was not let in, where S3 knows no such fault.

use crate::auth::{AuthError, Details};
use crate::clock::Timestamp;

/// Why a request in OSS's words was not let in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// An `Authorization` header that breaks its form.
    #[error("Authorization header is invalid.")]
    Header,
    /// More than one way of proving who is calling.
    #[error(
        "Only one auth mechanism allowed; only the Authorization header or the parameters of one \
         signature version should be specified."
    )]
    Several,
    /// Signed without a time.
    #[error("OSS authentication requires a valid Date.")]
    Date,
    /// A parameter of the signature is not there.
    #[error("The parameter {name} of the signature is missing or no text.")]
    Missing {
        /// Which.
        name: &'static str,
    },
    /// A parameter of the signature is there twice.
    #[error("The parameter {name} of the signature was given more than once.")]
    Repeated {
        /// Which.
        name: &'static str,
    },
    /// A parameter of the signature says what can't be.
    #[error("{message}")]
    Invalid {
        /// Which.
        name: &'static str,
        /// What it must be.
        message: String,
    },
    /// A signed URL's time is over.
    #[error("Request has expired.")]
    Expired {
        /// Until when it was good.
        expires: Timestamp,
        /// Our time.
        server_time: Timestamp,
    },
}

impl Fault {
    /// The code, which OSS shares with S3.
    pub(in crate::auth) const fn code(&self) -> &'static str {
        match self {
            Self::Date | Self::Expired { .. } => "AccessDenied",
            Self::Header
            | Self::Several
            | Self::Missing { .. }
            | Self::Repeated { .. }
            | Self::Invalid { .. } => "InvalidArgument",
        }
    }

    pub(in crate::auth) fn details(&self) -> Details {
        let argument = |name: &str| vec![("ArgumentName", name.to_owned())];
        match self {
            Self::Header | Self::Several => argument("Authorization"),
            Self::Missing { name } | Self::Repeated { name } | Self::Invalid { name, .. } => {
                argument(name)
            }
            Self::Expired {
                expires,
                server_time,
            } => vec![
                ("Expires", expires.iso8601_ms()),
                ("ServerTime", server_time.iso8601_ms()),
            ],
            Self::Date => Vec::new(),
        }
    }
}

impl From<Fault> for AuthError {
    fn from(fault: Fault) -> Self {
        Self::Oss(fault)
    }
}
