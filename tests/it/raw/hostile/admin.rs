//! The administration's routes, as they stand in the server's source: only the root key's own
//! signature opens one (CVE-2020-11012, CVE-2023-28432, CVE-2026-47136 and
//! CVE-2026-72920).

use std::path::Path;

use super::case::Case;
use super::world::World;
use super::{check, exchange, make};

/// The first parts of the paths that the administration knows.
fn groups() -> Vec<String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/server/admin/mod.rs");
    let text = std::fs::read_to_string(file).unwrap();
    let arms = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("(\""));
    let names = arms.filter(|arm| arm.contains("=>"));
    let names = names.filter_map(|arm| Some(arm.split_once('"')?.0.to_owned()));
    names.collect()
}

#[tokio::test]
async fn each_admin_route_wants_the_root_keys_own_signature() {
    let world = World::begin("").await;
    let groups = groups();
    assert!(groups.len() >= 7, "{groups:?}");
    let mut faults = Vec::new();
    for group in &groups {
        for method in ["GET", "POST", "PUT", "DELETE"] {
            for (signer, sign, change) in WAYS {
                let case = Case {
                    ask: format!("{method} /-/admin/v1/{group}"),
                    sign: (*sign).to_owned(),
                    signer: (*signer).to_owned(),
                    body: "{}".to_owned(),
                    replace: change
                        .iter()
                        .map(|(a, b)| (a.to_string(), b.to_string()))
                        .collect(),
                    ..Case::default()
                };
                let bytes = make::bytes_of(&case, &world.values, world.signer(&case));
                let came = exchange(&world, &case, &bytes).await.unwrap_or_default();
                let came = String::from_utf8_lossy(&came);
                let what =
                    format!("{method} {group} as {signer} by {sign:?} {change:?}: {came:.300}");
                let refused =
                    ["HTTP/1.1 403 ", "HTTP/1.1 400 "].map(|start| came.starts_with(start));
                check(
                    &mut faults,
                    refused.contains(&true) && came.contains("<Code>"),
                    &what,
                );
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n\n"));
    // The root key's own opens them: else the refusals above would say nothing.
    let case = Case {
        ask: "GET /-/admin/v1/status".to_owned(),
        sign: "header".to_owned(),
        ..Case::default()
    };
    let bytes = make::bytes_of(&case, &world.values, world.signer(&case));
    let came = exchange(&world, &case, &bytes).await.unwrap();
    assert!(
        came.starts_with(b"HTTP/1.1 200 "),
        "{}",
        String::from_utf8_lossy(&came)
    );
    let made = world.server.command(&["keys", "list"]);
    let listed = String::from_utf8_lossy(&made.stdout).into_owned();
    assert!(!listed.contains("hostile"), "{listed}");
    world.is_well().await;
}

/// Who asks, how it is signed, and what of it is changed afterwards.
type Way = (
    &'static str,
    &'static str,
    &'static [(&'static str, &'static str)],
);

const WAYS: &[Way] = &[
    ("root", "", &[]),
    ("wrong", "header", &[]),
    ("stranger", "header", &[]),
    ("narrow", "header", &[]),
    ("foreign", "header", &[]),
    ("disabled", "header", &[]),
    ("wrong", "query", &[]),
    ("root", "v2", &[]),
    // A body that no signature covers could be anyone's order.
    ("root", "query", &[]),
    ("root", "header UNSIGNED-PAYLOAD", &[]),
    ("root", "header STREAMING-UNSIGNED-PAYLOAD-TRAILER", &[]),
    ("root", "header", &[("{}", "[]")]),
    ("root", "header", &[("/-/admin/v1/", "/-/admin/v1//")]),
    (
        "root",
        "header",
        &[("{{signature}}", "{{other-signature}}")],
    ),
];
