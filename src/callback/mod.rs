//! Callbacks: rules, outbox, signing, delivery, audit.
//!
//! An event becomes a row of [`crate::store::meta::Space::Outbox`] in the very batch that changes
//! the object, so that a change is visible if and only if its callback is queued.

mod answer;
mod ask;
pub mod audit;
mod check;
pub mod config;
mod dead;
pub mod deliver;
mod endpoint;
pub mod event;
mod hook;
mod network;
pub mod oss;
pub mod outbox;
mod queue;
pub mod retry;
pub mod rule;
pub mod sign;
mod trial;
pub mod verify;

#[cfg(test)]
mod tests;

pub use audit::AdminError;
pub use config::{CallbackConfig, CallbackError, CheckConfig, EndpointConfig, RuleConfig, Secret};
pub use deliver::{Callbacks, Prepared};
pub use event::Event;
pub use outbox::{Message, Outbox, State};
pub use queue::Backlog;
pub use verify::{Signed, Verifier, VerifyError};
