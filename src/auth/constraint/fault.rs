//! What is wrong with a demand, or with the request that it is about.

use std::net::IpAddr;

use crate::auth::error::{Details, argument};
use crate::clock::Timestamp;

/// Why a request is refused for what its signer demanded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConstraintFault {
    /// It is none that can be kept.
    #[error("{name} {reason}.")]
    Invalid {
        /// The parameter, as it came.
        name: String,
        /// Its value.
        value: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Nobody signed it.
    #[error("{name} is not covered by a signature: whoever signs must demand it.")]
    Unsigned {
        /// The parameter.
        name: String,
    },
    /// `x-consign-not-before`.
    #[error("Request is not yet valid: its signer demanded x-consign-not-before")]
    TooEarly {
        /// From when on it is.
        not_before: Timestamp,
        /// Our time.
        server_time: Timestamp,
    },
    /// `x-consign-source-ip`.
    #[error("The address of this request is not among those of x-consign-source-ip")]
    WrongSourceIp {
        /// From where it came.
        address: Option<IpAddr>,
    },
}

impl ConstraintFault {
    /// S3's code for it.
    pub(in crate::auth) const fn code(&self) -> &'static str {
        match self {
            Self::Invalid { .. } => "InvalidArgument",
            Self::Unsigned { .. } | Self::TooEarly { .. } | Self::WrongSourceIp { .. } => {
                "AccessDenied"
            }
        }
    }

    pub(in crate::auth) fn details(&self) -> Details {
        match self {
            Self::Invalid { name, value, .. } => argument(name, value),
            Self::Unsigned { name } => argument(name, ""),
            Self::TooEarly {
                not_before,
                server_time,
            } => vec![
                ("NotBefore", not_before.iso8601_s()),
                ("ServerTime", server_time.iso8601_s()),
            ],
            Self::WrongSourceIp { address } => {
                let address = address.map(|address| ("SourceIp", address.to_string()));
                address.into_iter().collect()
            }
        }
    }
}
