//! S3's XML: written in the order that its schema gives, read within limits.

mod read;
mod write;

pub use read::{Node, parse, parse_any, visit};
pub use write::XmlWriter;

/// The namespace of S3's documents.
pub const NAMESPACE: &str = "http://s3.amazonaws.com/doc/2006-03-01/";
