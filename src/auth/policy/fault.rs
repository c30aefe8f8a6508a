//! Why a policy was refused, in AWS's words.

/// Why a policy was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyFault {
    /// It does not begin as an object.
    #[error("Policies must be valid JSON and the first byte must be '{{'")]
    NotJson,
    /// It begins as an object, but is not JSON.
    #[error("This policy contains invalid Json")]
    InvalidJson,
    /// A bucket's policy without its blanks is over the limit.
    #[error("Normalized policy document exceeds the maximum allowed size of {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: usize,
    },
    /// An identity's policy without its blanks is over the limit.
    #[error("Cannot exceed quota for PolicySize: {limit}")]
    Quota {
        /// The limit.
        limit: usize,
    },
    /// A value has the wrong type.
    #[error("Invalid policy syntax.")]
    Syntax,
    /// A field that the language does not have, or not there.
    #[error("Unknown field {field}")]
    UnknownField {
        /// Which.
        field: String,
    },
    /// A field is there twice, or beside its opposite.
    #[error("Statement/policy already has instance of {field}")]
    Twice {
        /// Which.
        field: String,
    },
    /// Neither of the two versions.
    #[error("The policy must contain a valid version string")]
    Version,
    /// No statement at all.
    #[error("Could not parse the policy: Statement is empty!")]
    NoStatement,
    /// A field that must be there is not.
    #[error("Missing required field {field}")]
    Missing {
        /// Which.
        field: &'static str,
    },
    /// A field that must be filled is not.
    #[error("Missing required field {field} cannot be empty!")]
    Empty {
        /// Which.
        field: &'static str,
    },
    /// Neither `Allow` nor `Deny`.
    #[error("Invalid effect: {effect}")]
    Effect {
        /// What came.
        effect: String,
    },
    /// A principal that cannot be.
    #[error("Invalid principal in policy")]
    Principal,
    /// It would allow all but some.
    #[error("Allow with NotPrincipal is not allowed.")]
    AllowNotPrincipal,
    /// An action that a bucket's policy cannot name.
    #[error("Policy has invalid action")]
    Action,
    /// A resource outside the bucket.
    #[error("Policy has invalid resource")]
    Resource,
    /// An action on buckets with only objects named, or the other way around.
    #[error("Action does not apply to any resource(s) in statement")]
    NotApplicable,
    /// An unknown operator.
    #[error("Invalid Condition type : {operator}")]
    Operator {
        /// What came.
        operator: String,
    },
    /// An unknown condition key.
    #[error("Policy has an invalid condition key")]
    ConditionKey,
    /// A condition key that one of the actions does not have.
    #[error("Conditions do not apply to combination of actions and resources in statement")]
    ConditionNotApplicable,
    /// No address or network.
    #[error("Invalid IP address in Conditions")]
    IpAddress,
    /// A value that the operator cannot read.
    #[error("Invalid value in Conditions for operator {operator}")]
    ConditionValue {
        /// The operator.
        operator: String,
    },
    /// An identity's policy that says whom it is about.
    #[error("Policy document should not specify a principal.")]
    PrincipalOfIdentity,
    /// An identity's policy with an action of no service.
    #[error("Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.")]
    Vendor,
    /// An identity's policy with a resource that is no ARN.
    #[error("Resource {resource} must be in ARN format or \"*\".")]
    NotArn {
        /// What came.
        resource: String,
    },
    /// An identity's policy with two statements of one name.
    #[error("Statement IDs (SID) in a single policy must be unique.")]
    Sid,
}

impl PolicyFault {
    /// The code that S3 answers for a bucket's policy.
    pub const BUCKET_CODE: &'static str = "MalformedPolicy";

    /// The code that IAM and STS answer for an identity's or a session's policy.
    pub const fn identity_code(&self) -> &'static str {
        match self {
            Self::Quota { .. } => "LimitExceeded",
            _ => "MalformedPolicyDocument",
        }
    }
}
