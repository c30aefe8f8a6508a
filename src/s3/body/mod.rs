//! A request's body: framing, limits and proofs.

pub mod aws_chunked;
