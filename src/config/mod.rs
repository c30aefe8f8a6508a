//! Configuration.
/// What a server is told.
#[derive(Debug, Clone, Default)]
pub struct Config {}
