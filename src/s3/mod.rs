//! HTTP to operation and back.

pub mod body;
pub mod checksum_header;
pub mod condition;
pub mod error;
pub mod head;
pub mod metadata_header;
pub mod ops;
pub mod query;
pub mod range;
pub mod render;
pub mod reply;
pub mod route;
pub mod target;
pub mod xml;

pub use error::{Code, S3Error};
pub use head::Head;
pub use query::Query;
pub use reply::{Reply, ReplyBody};
pub use route::{Operation, Route};
pub use target::{Level, Target};
