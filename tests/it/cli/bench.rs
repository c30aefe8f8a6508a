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
