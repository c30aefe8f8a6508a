//! Encryption at rest: objects' bytes sealed by data keys, data keys wrapped by master keys.

pub mod chunk;
pub mod keyring;
pub mod secret;

pub use chunk::{DataKey, Sealer, SegmentKey};
pub use keyring::{MasterKey, MasterRing, RingError, WrappedKey};
pub use secret::{SealedSecret, SecretLost};
