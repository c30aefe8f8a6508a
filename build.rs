//! How the released binary is linked: small, and so that a start touches little of it.
//!
//! Only where the linker is known: the one that rustup's compiler brings for Linux on x86-64. Who names
//! another one, or links on another system, gets what the compiler does by itself.

use std::env;
use std::path::Path;
use std::process::Command;

/// The first glibc that reads relative relocations in their packed form.
const GLIBC_WITH_PACKED: (u32, u32) = (2, 36);

/// Names a file of functions that lie beside each other, in the stead of ours: scripts/release knows more of them.
const LINK_ORDER: &str = "CONSIGN_LINK_ORDER";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=data/link-order");
    for name in ["RUSTC_LINKER", "CARGO_ENCODED_RUSTFLAGS", LINK_ORDER] {
        println!("cargo::rerun-if-env-changed={name}");
    }
    if !is("PROFILE", "release") || !is("TARGET", "x86_64-unknown-linux-gnu") || is_chosen() {
        return;
    }
    let Some(folder) = lld() else { return };
    for argument in [
        // The very linker whose options these are.
        &format!("-B{folder}"),
        "-fuse-ld=lld",
        // Functions of the same instructions once: generic code has many. No address is an identity here.
        "-Wl,--icf=all",
        // And equal constants, of which the tables of checksums and those of exceptions are the largest.
        "-Wl,--ignore-data-address-equality",
        // What is rarely run lies apart: else each page of what is would hold some of it.
        "-Wl,-z,keep-text-section-prefix",
        // And what runs at a start and for most requests lies together, in 6 MiB less of mapped pages.
        &format!("-Wl,--symbol-ordering-file={}", link_order()),
        "-Wl,--no-warn-symbol-ordering",
    ] {
        println!("cargo::rustc-link-arg-bins={argument}");
    }
    if is("HOST", "x86_64-unknown-linux-gnu") && glibc() >= Some(GLIBC_WITH_PACKED) {
        // A MiB of addresses that are relative to where the binary is loaded, in twenty KiB.
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}

fn is(name: &str, value: &str) -> bool {
    env::var(name).is_ok_and(|found| found == value)
}

/// Whether somebody names a linker.
fn is_chosen() -> bool {
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    env::var_os("RUSTC_LINKER").is_some() || flags.contains("link")
}

fn link_order() -> String {
    env::var(LINK_ORDER).unwrap_or_else(|_| {
        let root = env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
        format!("{root}/data/link-order")
    })
}

/// The folder of the compiler's own linker, under the name by which C compilers find it.
fn lld() -> Option<String> {
    let root = said(&env::var("RUSTC").ok()?, &["--print", "sysroot"])?;
    let folder = format!("{root}/lib/rustlib/x86_64-unknown-linux-gnu/bin/gcc-ld");
    Path::new(&folder).join("ld.lld").exists().then_some(folder)
}

/// This machine's C library: "glibc 2.36".
fn glibc() -> Option<(u32, u32)> {
    let version = said("getconf", &["GNU_LIBC_VERSION"])?;
    let (major, minor) = version.strip_prefix("glibc ")?.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

fn said(program: &str, arguments: &[&str]) -> Option<String> {
    let said = Command::new(program).args(arguments).output().ok()?;
    let text = String::from_utf8(said.stdout).ok()?;
    Some(text.trim().to_owned())
}
