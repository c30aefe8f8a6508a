//! HTTP to operation and back.

pub mod access;
pub mod acl;
pub mod admin;
pub mod body;
pub mod checksum_header;
pub mod condition;
pub mod context;
pub mod copy_source;
pub mod cors;
pub mod error;
mod handle;
pub mod head;
mod hoist;
pub mod metadata_header;
pub mod ops;
pub mod part_number;
pub mod query;
pub mod range;
pub mod render;
pub mod reply;
pub mod route;
pub mod sse;
mod sts;
pub mod tags;
pub mod target;
mod website;
pub mod xml;

pub use admin::{AdminError, AdminHandler};
pub use context::{Call, FormCall, Service, ServiceSettings};
pub use error::{Code, S3Error};
pub use handle::handle;
pub use head::Head;
pub use query::Query;
pub use reply::{Reply, ReplyBody};
pub use route::{Operation, Route};
pub use target::{Level, Target};
