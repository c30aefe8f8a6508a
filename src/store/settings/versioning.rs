//! Whether a bucket keeps the versions of its objects.

/// A bucket's versioning: once it was enabled, it can only be suspended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
#[cbor(index_only)]
pub enum Versioning {
    /// It never was enabled: each key has one object.
    #[default]
    #[n(0)]
    Off,
    /// Each write makes a new version with an id of its own.
    #[n(1)]
    Enabled,
    /// Versions stay; each write makes the null version.
    #[n(2)]
    Suspended,
}
