//! Consign from outside: the real binary on a real socket, spoken to by SDKs, by raw requests and by
//! foreign clients. One binary, so that RocksDB links once.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::print_stderr,
    clippy::disallowed_methods,
    clippy::format_collect,
    clippy::format_push_string,
    reason = "a test fails by panicking, and owns its tasks"
)]

mod callback;
mod certificates;
mod cli;
mod foreign;
mod monitoring;
mod raw;
mod receiver;
mod sdk;
mod support;
mod tidy;
mod trust;
mod upgrade;
