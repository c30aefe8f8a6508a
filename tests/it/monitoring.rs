//! What `data/monitoring` asks for is what the server tells, as Prometheus' own tools see it.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::certificates::{Authority, Files};
use crate::support::{Server, plain_http};

const CONFIGURATION: &str = r#"
[admin]
listen = "127.0.0.1:0"

[[callback.endpoint]]
name = "app"
url = "http://127.0.0.1:9/"
secrets = ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwTbBwbVbXvGk="]

[[callback.rule]]
endpoint = "app"
events = ["s3:ObjectCreated:*"]
"#;

fn file(name: &str) -> PathBuf {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    root.join("data/monitoring").join(name)
}

fn read(name: &str) -> String {
    std::fs::read_to_string(file(name)).unwrap()
}

/// The numbers of a server that was used.
async fn told() -> String {
    let authority = Authority::new();
    let files = Files::new();
    files.put("a", &authority.sign(&["127.0.0.1"]));
    let settings = files.settings(&["a"]);
    let server = Server::start_with(&format!("{CONFIGURATION}\n[admin.tls]\n{settings}")).await;
    let client = server.client();
    client.create_bucket().bucket("seen").send().await.unwrap();
    let put = client
        .put_object()
        .bucket("seen")
        .key("a")
        .body(b"a".to_vec().into());
    put.send().await.unwrap();
    let nobody = plain_http().get(format!("{}/seen/a", server.endpoint));
    assert_eq!(nobody.send().await.unwrap().status(), 403);
    let announced = std::fs::read(server.data_folder().join("server.json")).unwrap();
    let announced: Value = serde_json::from_slice(&announced).unwrap();
    let metrics = format!("{}/metrics", announced["admin"].as_str().unwrap());
    let client = authority.client(None).build().unwrap();
    let answer = client.get(metrics).send().await.unwrap();
    answer.text().await.unwrap()
}

/// The names of numbers within a text.
fn names(text: &str) -> BTreeSet<String> {
    let words = text.split(|char: char| !char.is_ascii_alphanumeric() && char != '_');
    let ours = |word: &&str| word.starts_with("consign_") || word.starts_with("process_");
    words.filter(ours).map(str::to_owned).collect()
}

/// Every expression of the dashboard.
fn expressions(dashboard: &Value) -> Vec<&str> {
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    targets
        .map(|target| target["expr"].as_str().unwrap())
        .collect()
}

fn promtool(arguments: &[&str], input: &str) -> Output {
    let mut tool = Command::new("promtool");
    tool.args(arguments).current_dir(file(""));
    let tool = tool
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = tool
        .spawn()
        .expect("scripts/test-clients installs promtool");
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    child.wait_with_output().unwrap()
}

fn check(arguments: &[&str], input: &str) {
    let output = promtool(arguments, input);
    let said = [output.stdout, output.stderr].concat();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&said)
    );
}

#[tokio::test]
async fn what_dashboard_and_alerts_ask_for_is_told() {
    let told = told().await;
    // Prometheus' own judgement of names, help and types.
    check(&["check", "metrics"], &told);
    let lines = told.lines().filter(|line| !line.starts_with('#'));
    let samples = lines.filter_map(|line| line.split(['{', ' ']).next());
    let samples: BTreeSet<_> = samples.map(str::to_owned).collect();
    let dashboard: Value = serde_json::from_str(&read("dashboard.json")).unwrap();
    let asked = expressions(&dashboard).join("\n");
    let rules = read("rules.yaml");
    // A description may name one too.
    for name in names(&asked).union(&names(&rules)) {
        assert!(samples.contains(name), "{name} is told by nobody");
    }
    // And what is told is shown: else nobody sees it.
    let shown = names(&asked);
    let families = told.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    for family in families.filter_map(|line| line.split(' ').next()) {
        let is_shown = shown.iter().any(|name| name.starts_with(family));
        assert!(is_shown, "{family} is on no panel");
    }
}

#[test]
fn alerts_fire_when_they_should_and_only_then() {
    check(&["check", "rules", "rules.yaml"], "");
    check(&["test", "rules", "rules.test.yaml"], "");
    // Every alert is in a test.
    let tested = read("rules.test.yaml");
    let rules = read("rules.yaml");
    for alert in rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "))
    {
        assert!(tested.contains(alert), "{alert} is not tested");
    }
}

#[test]
fn the_dashboards_panels_stand_beside_each_other() {
    let dashboard: Value = serde_json::from_str(&read("dashboard.json")).unwrap();
    let mut taken = BTreeSet::new();
    let mut ids = BTreeSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        let title = panel["title"].as_str().unwrap();
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{title}");
        let place = |name: &str| panel["gridPos"][name].as_u64().unwrap();
        assert!(place("x") + place("w") <= 24, "{title}");
        for x in place("x")..place("x") + place("w") {
            for y in place("y")..place("y") + place("h") {
                assert!(taken.insert((x, y)), "{title} covers another panel");
            }
        }
    }
    // Every expression is one that Prometheus understands: Grafana fills in what it calls by `$`.
    let rules = expressions(&dashboard).into_iter().map(|expression| {
        let filled = expression
            .replace("$__rate_interval", "5m")
            .replace("$instance", ".*");
        format!("      - record: x\n        expr: {}\n", Value::from(filled))
    });
    let rules = rules.collect::<String>();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rules.yaml");
    std::fs::write(&path, format!("groups:\n  - name: x\n    rules:\n{rules}")).unwrap();
    check(
        &["check", "rules", "--lint=none", path.to_str().unwrap()],
        "",
    );
}
