//! `consign bench` beside a real server: that it runs, not how fast.

use super::run;
use crate::support::Server;

#[tokio::test]
async fn every_kind_of_run_is_measured() {
    let server = Server::start().await;
    let runs = ["put:1KiB:2", "get:1KiB:2", "head:1MiB:1", "delete:100KiB:2"];
    let line = format!("bench --seconds 1 --objects 16 --json {}", runs.join(" "));
    let measured: serde_json::Value = serde_json::from_str(&run(&server, &line)).unwrap();
    for (at, name) in runs.into_iter().enumerate() {
        let run = &measured["runs"][at];
        assert_eq!(run["run"], name);
        assert!(run["requests"].as_u64().unwrap() >= 16, "{run}");
        assert!(run["operations_per_second"].as_f64().unwrap() > 0.0);
        assert!(run["p50_ms"].as_f64() <= run["p999_ms"].as_f64());
    }
}

#[tokio::test]
async fn a_soak_checks_every_byte_and_sees_what_the_server_takes() {
    let server = Server::start().await;
    let pid = server.pid();
    let line = format!("bench --soak 6 --slow 2 --seconds 3 --pid {pid} --json");
    let report: serde_json::Value = serde_json::from_str(&run(&server, &line)).unwrap();
    assert_eq!(report["faults"], 0, "{report}");
    let done = |name: &str| {
        let rows = report["operations"].as_array().unwrap();
        let row = rows.iter().find(|row| row["operation"] == name);
        row.map_or(0, |row| row["count"].as_u64().unwrap())
    };
    for name in ["put", "get", "head", "delete"] {
        assert!(done(name) > 0, "{name}: {report}");
    }
    let seen = report["server"].as_array().unwrap();
    assert!(seen.iter().all(|at| at["open_files"].as_u64() > Some(0)));
}
