//! By which of the server's sockets a request came in, and what is answered there.

use http::request::Parts;

/// A socket of the server: a request carries it among its extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Door {
    /// The only one: objects and administration.
    #[default]
    Whole,
    /// Objects, beside a socket for the administration.
    Objects,
    /// The administration alone.
    Administration,
}

/// How a request's connection is encrypted: one that carries none came in the clear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Encrypted {
    /// The protocol: `TLSv1.3`.
    pub version: &'static str,
    /// The cipher suite, by its name in IANA's registry.
    pub suite: &'static str,
}

impl Door {
    /// The one by which this request came.
    pub(super) fn of(parts: &Parts) -> Self {
        parts.extensions.get().copied().unwrap_or_default()
    }

    /// Whether buckets and objects are served there.
    pub(super) const fn serves_objects(self) -> bool {
        matches!(self, Self::Whole | Self::Objects)
    }

    /// Whether the administration is served there.
    pub(super) const fn administers(self) -> bool {
        matches!(self, Self::Whole | Self::Administration)
    }
}
