//! Prometheus itself scrapes a server by `data/monitoring`: its target is up, its rules are evaluated, and
//! each query of the dashboard has an answer.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use consign::auth::canonical::encode;
use serde_json::Value;

use super::pages::free_port;
use crate::certificates::{Authority, Files};
use crate::receiver::SECRET;
use crate::support::{Server, plain_http};

const PATIENCE: Duration = Duration::from_secs(120);

fn monitoring(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    root.join("data/monitoring").join(name)
}

/// A Prometheus of its own, which ends with this.
struct Prometheus {
    child: Child,
    url: String,
    folder: tempfile::TempDir,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Prometheus {
    /// One that scrapes `target`, whose certificate is `authority`'s.
    fn start(target: &str, authority: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let rules = monitoring("rules.yaml");
        let configuration = format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: [{}]\n\
             scrape_configs:\n  - job_name: consign\n    scheme: https\n    tls_config: {{ca_file: {}}}\n    \
             static_configs: [{{targets: [\"{target}\"]}}]\n",
            rules.display(),
            authority.display()
        );
        let file = folder.path().join("prometheus.yml");
        std::fs::write(&file, configuration).unwrap();
        let address = format!("127.0.0.1:{}", free_port());
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                folder.path().join("data").display()
            ))
            .arg(format!("--web.listen-address={address}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("scripts/test-clients installs prometheus");
        let url = format!("http://{address}/api/v1");
        Self { child, url, folder }
    }

    /// What it answers; none while it does not.
    async fn ask(&self, path: &str, query: &str) -> Option<Value> {
        let url = format!("{}/{path}", self.url);
        let asked = if query.is_empty() {
            plain_http().get(url)
        } else {
            let form = format!("query={}", encode(query.as_bytes(), false));
            let kind = "application/x-www-form-urlencoded";
            let asked = plain_http().post(url).header("content-type", kind);
            asked.body(form)
        };
        let answer = asked.send().await.ok()?.text().await.ok()?;
        let answer: Value = serde_json::from_str(&answer).ok()?;
        assert_eq!(answer["status"], "success", "{query}: {answer}");
        Some(answer["data"].clone())
    }

    /// The samples of an expression.
    async fn samples(&self, expression: &str) -> usize {
        let data = self.ask("query", expression).await.unwrap_or_default();
        data["result"].as_array().map_or(0, Vec::len)
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

/// Something of everything that is counted.
async fn use_it(server: &Server) {
    let client = server.client();
    let put = client.put_object().bucket("seen").key("a");
    put.body(b"a".to_vec().into()).send().await.unwrap();
    let got = client.get_object().bucket("seen").key("a").send().await;
    got.unwrap();
    let lost = client.get_object().bucket("seen").key("b").send().await;
    lost.unwrap_err();
    let nobody = plain_http().get(format!("{}/seen/a", server.endpoint));
    assert_eq!(nobody.send().await.unwrap().status(), 403);
}

/// The dashboard's expressions, as Grafana would fill them in.
fn expressions() -> Vec<String> {
    let dashboard = std::fs::read_to_string(monitoring("dashboard.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&dashboard).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    let filled = targets.map(|target| {
        let expression = target["expr"].as_str().unwrap();
        let expression = expression.replace("$__rate_interval", "20s");
        expression.replace("$instance", ".*")
    });
    filled.collect()
}

#[tokio::test]
async fn each_panel_of_the_dashboard_has_data() {
    let (authority, files) = (Authority::new(), Files::new());
    files.put("a", &authority.sign(&["127.0.0.1"]));
    files.put_one("authority.pem", &authority.pem());
    let server = Server::start_with(&format!(
        "[admin]\nlisten = \"127.0.0.1:0\"\n[admin.tls]\n{}\n[[callback.endpoint]]\nname = \"app\"\n\
         url = \"http://127.0.0.1:9/\"\nsecrets = [\"{SECRET}\"]\n[[callback.rule]]\nendpoint = \"app\"\n\
         events = [\"s3:ObjectCreated:*\"]\n",
        files.settings(&["a"])
    ))
    .await;
    let announced = std::fs::read(server.data_folder().join("server.json")).unwrap();
    let announced: Value = serde_json::from_slice(&announced).unwrap();
    let target = announced["admin"].as_str().unwrap();
    let target = target.strip_prefix("https://").unwrap();
    let prometheus = Prometheus::start(target, &files.path("authority.pem"));
    let bucket = server.client().create_bucket().bucket("seen");
    bucket.send().await.unwrap();
    let mut without = expressions();
    assert!(without.len() > 50);
    let all = async {
        while !without.is_empty() {
            use_it(&server).await;
            tokio::time::sleep(Duration::from_millis(200)).await;
            if prometheus.samples("up{job=\"consign\"} == 1").await == 0 {
                continue;
            }
            let mut still = Vec::new();
            for expression in &without {
                if prometheus.samples(expression).await == 0 {
                    still.push(expression.clone());
                }
            }
            without = still;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, all).await;
    assert!(
        waited.is_ok(),
        "no data: {without:#?}\n{}",
        prometheus.log()
    );
    // Every alert can be judged, and nothing is alarming about this server.
    let rules = prometheus.ask("rules", "").await.unwrap();
    let rules = rules["groups"][0]["rules"].as_array().unwrap();
    assert!(rules.len() >= 25);
    for rule in rules {
        assert_eq!(rule["health"], "ok", "{rule}");
    }
    let alarm = "ALERTS{alertstate=\"firing\", alertname!~\"ConsignDisk.*\"}";
    let alarm = prometheus.ask("query", alarm).await.unwrap();
    assert_eq!(alarm["result"], serde_json::json!([]));
}
