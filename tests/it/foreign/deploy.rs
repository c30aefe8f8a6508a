//! What `data/deploy` holds, as the linters of systemd, containers and compose files see it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::clients;

/// How exposed `systemd-analyze security` may find the service, in tenths: 0 is not at all, 100 is bare.
const EXPOSURE_TENTHS_MAX: &str = "15";

fn deploy(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/deploy");
    folder.join(name)
}

fn passes(output: &Output, what: &str) {
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{what}: {said}\n{complained}");
}

/// The unit with the tested binary in place of the installed one, which need not be there.
fn unit(folder: &Path) -> PathBuf {
    let text = std::fs::read_to_string(deploy("consign.service")).unwrap();
    let binary = env!("CARGO_BIN_EXE_consign");
    let path = folder.join("consign.service");
    std::fs::write(
        &path,
        text.replace("=/usr/bin/consign ", &format!("={binary} ")),
    )
    .unwrap();
    path
}

#[test]
fn the_unit_is_valid_and_hardened() {
    let folder = tempfile::tempdir().unwrap();
    let unit = unit(folder.path());
    let mut verify = Command::new("systemd-analyze");
    let verified = verify
        .args(["verify", "--man=no"])
        .arg(&unit)
        .output()
        .unwrap();
    passes(&verified, "verify");
    let complaints = String::from_utf8_lossy(&verified.stderr).into_owned();
    let ours: Vec<_> = complaints
        .lines()
        .filter(|line| line.contains("consign"))
        .collect();
    assert!(ours.is_empty(), "{ours:?}");
    let mut security = Command::new("systemd-analyze");
    let threshold = format!("--threshold={EXPOSURE_TENTHS_MAX}");
    security.args(["security", "--offline=true", "--no-pager", &threshold]);
    passes(&security.arg(&unit).output().unwrap(), "security");
}

#[test]
fn the_service_is_given_the_time_that_a_stop_may_take() {
    let unit = std::fs::read_to_string(deploy("consign.service")).unwrap();
    let seconds = unit.split("TimeoutStopSec=").nth(1).unwrap();
    let seconds: u64 = seconds.lines().next().unwrap().parse().unwrap();
    let sample = include_str!("../../../data/consign.toml");
    let patience = sample.split("#shutdown_seconds = ").nth(1).unwrap();
    let patience: u64 = patience.lines().next().unwrap().trim().parse().unwrap();
    assert!(seconds > patience, "{seconds} {patience}");
}

#[test]
fn the_container_s_recipe_passes_hadolint() {
    let hadolint = clients().join("lint/python/bin/hadolint");
    let checked = Command::new(hadolint).arg(deploy("Containerfile")).output();
    passes(&checked.unwrap(), "hadolint");
}

#[test]
fn the_compose_file_passes_dclint() {
    let dclint = clients().join("lint/node/node_modules/.bin/dclint");
    let checked = Command::new(dclint)
        .args(["--max-warnings", "0"])
        .arg(deploy("compose.yaml"))
        .output();
    passes(&checked.unwrap(), "dclint");
}

/// The recipe builds without the tests' sources, and its commands are those that the binary knows.
#[test]
fn the_container_s_commands_are_known() {
    for arguments in [&["serve", "--help"][..], &["status", "--quiet", "--help"]] {
        let known = Command::new(env!("CARGO_BIN_EXE_consign"))
            .args(arguments)
            .output();
        passes(&known.unwrap(), &arguments.join(" "));
    }
}
