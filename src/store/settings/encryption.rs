//! How a bucket seals objects whose writers don't say.

/// With whose keys.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub enum DefaultKey {
    /// The server's (SSE-S3).
    #[n(0)]
    Server,
    /// The server's, by the name of a key; none is the key that every server has (SSE-KMS).
    #[n(1)]
    Named(#[n(0)] Option<String>),
}

/// A bucket's default encryption.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct Encryption {
    /// With whose keys.
    #[n(0)]
    pub key: DefaultKey,
    /// `BucketKeyEnabled`, which is kept and told.
    #[n(1)]
    pub bucket_key: bool,
}
