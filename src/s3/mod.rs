//! HTTP to operation and back.

pub mod error;
pub mod head;
pub mod query;
pub mod reply;
pub mod target;
pub mod xml;

pub use error::{Code, S3Error};
pub use head::Head;
pub use query::Query;
pub use reply::{Reply, ReplyBody};
pub use target::{Level, Target};
