//! Where the records of a bucket's requests go.

use crate::auth::acl::Grant;

/// How the keys of a bucket's log objects are made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
#[cbor(index_only)]
pub enum LogKeys {
    /// `PREFIX TIME UNIQUE`.
    #[n(0)]
    #[default]
    Simple,
    /// `PREFIX ACCOUNT/REGION/BUCKET/YEAR/MONTH/DAY/TIME UNIQUE`, by the day of the requests.
    #[n(1)]
    ByEventTime,
    /// The same, by the day of delivery.
    #[n(2)]
    ByDeliveryTime,
}

/// Where the records of a bucket's requests go.
#[derive(Debug, Clone, Default, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct Logging {
    /// The bucket that gets them.
    #[n(0)]
    pub target: String,
    /// What their keys begin with.
    #[n(1)]
    pub prefix: String,
    /// Who else may read them.
    #[n(2)]
    pub grants: Vec<Grant>,
    /// How their keys are made.
    #[n(3)]
    pub keys: LogKeys,
}
