//! HTTP to operation and back.
