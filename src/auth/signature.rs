//! How a request was signed, as policies ask it.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/bucket-policy-s3-sigv4-conditions.html>

use std::time::Duration;

/// How a request was signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signature {
    /// By which version,
    pub version: SignatureVersion,
    /// where it stood,
    pub auth_type: AuthType,
    /// and how long ago; none where the request does not tell.
    pub age: Option<Duration>,
}

/// A version of AWS's signatures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignatureVersion {
    /// HMAC-SHA1 with the secret itself.
    V2,
    /// HMAC-SHA256 with a key of the day.
    V4,
}

impl SignatureVersion {
    /// The value of `s3:signatureversion`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::V2 => "AWS",
            Self::V4 => "AWS4-HMAC-SHA256",
        }
    }
}

/// Where a signature stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthType {
    /// In the `Authorization` header.
    Header,
    /// In the query: a presigned URL.
    Query,
    /// Among a form's fields.
    Form,
}

impl AuthType {
    /// The value of `s3:authType`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Header => "REST-HEADER",
            Self::Query => "REST-QUERY-STRING",
            Self::Form => "POST",
        }
    }
}
