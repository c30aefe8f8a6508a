//! What must hold of every byte that a stranger may send: the bodies of the coverage-guided targets in
//! `tests/fuzz`, whose seeds run as tests too.
//!
//! A target checks what its parser promises, against a simpler reading of the same input where there is
//! one; that nothing panics is the least of it. It is no part of the server: `cargo fuzz` and the tests
//! alone compile it.
#![allow(
    missing_docs,
    clippy::all,
    clippy::pedantic,
    clippy::cognitive_complexity,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::let_underscore_must_use,
    let_underscore_drop,
    reason = "a target reports what it finds by a panic, and is no part of the server"
)]

mod body;
mod input;
mod oss;
mod policy;
mod request;
mod service;
mod signed;
mod stored;
#[cfg(test)]
mod tests;
mod texts;

/// A target: the name of its folder of seeds, and what it does with an input.
#[derive(Debug)]
pub struct Target {
    pub name: &'static str,
    pub run: fn(&[u8]),
}

const fn target(name: &'static str, run: fn(&[u8])) -> Target {
    Target { name, run }
}

/// Each of them.
pub const TARGETS: &[Target] = &[
    target("callback", texts::callback),
    target("canonical", signed::canonicalisation),
    target("chunked", body::chunked),
    target("document", service::documents),
    target("form", body::form),
    target("forwarded", texts::forwarded),
    target("header", signed::header),
    target("iam_policy", policy::iam),
    target("oss", oss::oss),
    target("post_policy", policy::post),
    target("presigned", signed::presigned),
    target("range", texts::range_and_conditions),
    target("request", service::requests),
    target("seal", body::sealed),
    target("sigv2", signed::version_2),
    target("small", texts::small),
    target("stored", stored::rows_and_records),
];

/// Runs the target of that name.
///
/// # Panics
/// Where it finds something, and where there is no such target.
pub fn run(name: &str, data: &[u8]) {
    let target = TARGETS.iter().find(|target| target.name == name);
    (target.expect("a target").run)(data);
}
