//! The example pages and their app servers in `data/examples`: each server by raw calls, the pages in headless Chromium,
//! which enforces CORS between the app server's origin and Consign's.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use aws_sdk_s3::types::{CorsConfiguration, CorsRule};

use super::clients;
use crate::receiver::SECRET;
use crate::support::{ACCESS_KEY, REGION, Random, SECRET_KEY, Server, plain_http};

const BUCKET: &str = "uploads";
/// The second one of a rotation.
const NEXT_SECRET: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const START_TIME_MAX: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);

/// A copy of the examples beside what they need installed, as their README has it.
fn examples(folder: &Path) -> PathBuf {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/examples");
    let to = folder.join("examples");
    for part in ["web", "node", "python"] {
        copy(&from.join(part), &to.join(part));
        let modules = clients().join("pages").join(part).join("node_modules");
        if modules.exists() {
            std::os::unix::fs::symlink(modules, to.join(part).join("node_modules")).unwrap();
        }
    }
    std::fs::copy(from.join("schema.sql"), to.join("schema.sql")).unwrap();
    to
}

/// The files of a folder, without its folders: those are what the tester installed there.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            std::fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
        }
    }
}

/// A port that nobody listens on, below those that the system hands out to others meanwhile.
pub(super) fn free_port() -> u16 {
    let mut random = Random(uuid::Uuid::new_v4().as_u64_pair().0);
    let ports = std::iter::repeat_with(|| 20_000 + u16::try_from(random.below(12_000)).unwrap());
    let mut free = ports.filter(|port| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok());
    free.next().unwrap()
}

/// Builds the server in Rust, beside Consign itself, and names the program.
fn rust_server() -> PathBuf {
    let consign = Path::new(env!("CARGO_BIN_EXE_consign"));
    let target = consign.parent().and_then(Path::parent).unwrap();
    let package = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/examples/rust/Cargo.toml");
    let built = Command::new(env!("CARGO"))
        .args(["build", "--locked", "--quiet", "--manifest-path"])
        .arg(package)
        .arg("--target-dir")
        .arg(target)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&built.stderr);
    assert!(built.status.success(), "{errors}");
    target.join("debug/consign-example-app")
}

/// An app server, Consign, which tells it of uploads, and a bucket that lets its page in.
struct Stage {
    // It ends before Consign does.
    app: App,
    consign: Server,
    url: String,
    folder: tempfile::TempDir,
}

struct App(Child);

impl Drop for App {
    fn drop(&mut self) {
        // It may have ended already, which is what we want.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

impl Stage {
    async fn set(program: &Path, script: Option<&str>) -> Self {
        let folder = tempfile::TempDir::new().unwrap();
        let examples = examples(folder.path());
        let port = free_port();
        let url = format!("http://127.0.0.1:{port}");
        let consign = Server::start_with(&format!(
            "[[callback.endpoint]]\nname = \"app\"\nurl = \"{url}/hooks/consign\"\n\
             secrets = [\"{SECRET}\"]\n\n[[callback.rule]]\nendpoint = \"app\"\n\
             bucket = \"{BUCKET}\"\nevents = [\"s3:ObjectCreated:*\"]\nprefix = \"user/\"\n"
        ))
        .await;
        prepare_bucket(&consign.client(), &url).await;
        let log = std::fs::File::create(folder.path().join("app.log")).unwrap();
        let mut command = Command::new(program);
        let child = command
            .args(script.map(|script| examples.join(script)))
            .current_dir(folder.path())
            .envs(settings(folder.path()))
            .env("AWS_ENDPOINT_URL", &consign.endpoint)
            .env("PORT", port.to_string())
            .env("WEB", examples.join("web"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let stage = Self {
            app: App(child),
            consign,
            url,
            folder,
        };
        stage.until_ready().await
    }

    async fn until_ready(mut self) -> Self {
        let client = plain_http();
        for _ in 0..START_TIME_MAX.as_millis() / POLL.as_millis() {
            let ended = self.app.0.try_wait().unwrap();
            assert!(ended.is_none(), "{ended:?}: {}", self.log());
            if client.get(&self.url).send().await.is_ok() {
                return self;
            }
            tokio::time::sleep(POLL).await;
        }
        panic!("the app server did not become ready: {}", self.log());
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("app.log")).unwrap_or_default()
    }

    /// Runs a driver of `tests/it/foreign/pages`.
    async fn play(&self, driver: &str) {
        let pages = clients().join("pages");
        let modules = [
            pages.join("node/node_modules"),
            pages.join("test/node_modules"),
        ];
        let work = self.folder.path().join("work");
        std::fs::create_dir_all(&work).unwrap();
        let mut command = Command::new("node");
        let mut words = driver.split(' ');
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/foreign/pages");
        command
            .arg(script.join(words.next().unwrap()))
            .args(words)
            .env("NODE_PATH", std::env::join_paths(modules).unwrap())
            .env("NODE_NO_WARNINGS", "1")
            .envs(settings(self.folder.path()))
            .env("APP_URL", &self.url)
            .env("CONSIGN_ENDPOINT", &self.consign.endpoint)
            .env("CONSIGN_WORK", work);
        // The runtime is needed for nothing else meanwhile, but its threads are few.
        let output = tokio::task::spawn_blocking(move || command.stdin(Stdio::null()).output());
        let output = output.await.unwrap().unwrap();
        assert!(
            output.status.success(),
            "{driver}: {}\n{}\n{}\nthe app server says:\n{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
            self.log()
        );
    }
}

/// What both the app servers and their drivers are told.
fn settings(folder: &Path) -> Vec<(&'static str, String)> {
    let secrets = format!("{SECRET} {NEXT_SECRET}");
    vec![
        ("AWS_ACCESS_KEY_ID", ACCESS_KEY.to_owned()),
        ("AWS_SECRET_ACCESS_KEY", SECRET_KEY.to_owned()),
        ("AWS_REGION", REGION.to_owned()),
        ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
        ("BUCKET", BUCKET.to_owned()),
        ("CALLBACK_SECRETS", secrets),
        ("DATABASE", folder.join("app.sqlite").display().to_string()),
        // S3's smallest, so that little data makes several.
        ("PART_BYTES", (5 * 1024 * 1024).to_string()),
        ("PYTHONDONTWRITEBYTECODE", "1".to_owned()),
        ("NO_PROXY", "127.0.0.1".to_owned()),
        ("no_proxy", "127.0.0.1".to_owned()),
        // The tester's own settings must not take part.
        ("HOME", folder.display().to_string()),
    ]
}

/// The bucket, with the rules of the example for another port.
async fn prepare_bucket(client: &aws_sdk_s3::Client, origin: &str) {
    let example = include_str!("../../../data/examples/cors.json");
    let example: serde_json::Value = serde_json::from_str(example).unwrap();
    let list = |name: &str| -> Vec<String> {
        let values = example["CORSRules"][0][name].as_array().unwrap();
        values
            .iter()
            .map(|one| one.as_str().unwrap().to_owned())
            .collect()
    };
    client.create_bucket().bucket(BUCKET).send().await.unwrap();
    let rule = CorsRule::builder()
        .allowed_origins(origin)
        .set_allowed_methods(Some(list("AllowedMethods")))
        .set_allowed_headers(Some(list("AllowedHeaders")))
        .set_expose_headers(Some(list("ExposeHeaders")))
        .build()
        .unwrap();
    let rules = CorsConfiguration::builder().cors_rules(rule).build();
    let put = client.put_bucket_cors().bucket(BUCKET);
    put.cors_configuration(rules.unwrap()).send().await.unwrap();
}

#[tokio::test]
async fn fastify_and_the_plain_page() {
    let stage = Stage::set(Path::new("node"), Some("node/server.js")).await;
    stage.play("plain.cjs").await;
    stage.play("api.cjs").await;
}

#[tokio::test]
async fn fastapi_and_uppy() {
    let python = clients().join("pages/python/bin/python3");
    let stage = Stage::set(&python, Some("python/server.py")).await;
    stage.play("uppy.cjs").await;
    stage.play("api.cjs").await;
}

#[tokio::test]
async fn axum() {
    let program = tokio::task::spawn_blocking(rust_server).await.unwrap();
    let stage = Stage::set(&program, None).await;
    stage.play("plain.cjs --briefly").await;
    stage.play("api.cjs").await;
}

/// What the examples' own configuration says is what the server understands.
#[tokio::test]
async fn the_examples_configuration_is_good() {
    let server = Server::start_with(include_str!("../../../data/examples/consign.toml")).await;
    prepare_bucket(&server.client(), "http://127.0.0.1:8080").await;
}
