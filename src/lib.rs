//! Consign: a self-hosted, S3-compatible object store built around direct upload.
//!
//! This file is the crate's table of contents. `ARCHITECTURE.md` tells how the layers fit together;
//! each layer knows only those below it in this list, which `tests/it/tidy.rs` proves.

pub mod cli;
pub mod config;
pub mod server;

pub mod s3;

pub mod auth;
pub mod callback;
pub mod store;

pub mod allocator;
pub mod backlog;
pub mod checksum;
pub mod clock;
pub mod fail_point;
pub mod id;
pub mod metrics;
pub mod name;
pub mod network;
pub mod public_url;
pub mod trace;

#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzz;

#[cfg(any(test, feature = "micro"))]
#[doc(hidden)]
pub mod micro;

pub use config::Config;
pub use server::Server;
