//! Starts the real binary on a folder of its own, and kills it when the test ends.
#![allow(
    dead_code,
    reason = "shared by two test binaries, which use different parts"
)]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use tempfile::TempDir;

pub(crate) const ACCESS_KEY: &str = "AKIACONSIGNTEST00001";
pub(crate) const SECRET_KEY: &str = "consign/test+secret/0123456789abcdefghij";
pub(crate) const REGION: &str = "us-east-1";
const START_TIME_MAX: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(20);
/// How long a server may take for what it does by itself.
const SEEN_MAX: Duration = Duration::from_secs(120);

/// Waits for something that nobody is told of.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !holds().await {
            tokio::time::sleep(POLL).await;
        }
    };
    let waited = tokio::time::timeout(SEEN_MAX, wait).await;
    waited.unwrap_or_else(|_late| panic!("not seen: {what}"));
}

/// A running server and its folder.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    folder: TempDir,
    data: PathBuf,
    configuration: String,
    pub(crate) endpoint: String,
}

impl Server {
    /// A server with an empty folder.
    pub(crate) async fn start() -> Self {
        Self::start_with("").await
    }

    /// A server with an empty folder and this configuration file.
    pub(crate) async fn start_with(configuration: &str) -> Self {
        Self::start_in(TempDir::new().unwrap(), configuration).await
    }

    /// A server with this folder, in which its data may lie already.
    pub(crate) async fn start_in(folder: TempDir, configuration: &str) -> Self {
        let data = data_folder(folder.path());
        let started = Self::try_start(folder, data, configuration).await;
        started.unwrap_or_else(|fault| panic!("{fault}"))
    }

    /// A server whose data folder lies elsewhere; how it failed, where it ends instead.
    pub(crate) async fn start_at(data: &Path, configuration: &str) -> Result<Self, String> {
        Self::try_start(TempDir::new().unwrap(), data.to_owned(), configuration).await
    }

    async fn try_start(
        folder: TempDir,
        data: PathBuf,
        configuration: &str,
    ) -> Result<Self, String> {
        let child = launch(folder.path(), &data, configuration);
        let mut server = Self {
            child,
            folder,
            data,
            configuration: configuration.to_owned(),
            endpoint: String::new(),
        };
        server.become_ready().await?;
        Ok(server)
    }

    /// Ends the process as a power cut would, as far as a process can see one.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// The process's number.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Asks the process to end, as a service manager does.
    pub(crate) fn ask_to_stop(&self) {
        let id = i32::try_from(self.child.id()).unwrap();
        let process = rustix::process::Pid::from_raw(id).unwrap();
        rustix::process::kill_process(process, rustix::process::Signal::TERM).unwrap();
    }

    /// Tells the process to read its configuration again.
    pub(crate) fn hang_up(&self) {
        let id = i32::try_from(self.child.id()).unwrap();
        let process = rustix::process::Pid::from_raw(id).unwrap();
        rustix::process::kill_process(process, rustix::process::Signal::HUP).unwrap();
    }

    /// Writes another configuration file, which the server does not know yet.
    pub(crate) fn configure(&self, configuration: &str) {
        std::fs::write(self.folder.path().join("consign.toml"), configuration).unwrap();
    }

    /// Waits for the end that was asked for.
    pub(crate) async fn ended(&mut self) -> std::process::ExitStatus {
        let tries = START_TIME_MAX.as_millis() / POLL.as_millis();
        for _ in 0..tries {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            tokio::time::sleep(POLL).await;
        }
        panic!("the server did not end:\n{}", self.log());
    }

    /// Starts again on the same folder; the endpoint is a new one.
    pub(crate) async fn restart(&mut self) {
        let restarted = self.restart_or_fault().await;
        restarted.unwrap_or_else(|fault| panic!("{fault}"));
    }

    /// As [`Server::restart`], telling how it failed.
    pub(crate) async fn restart_or_fault(&mut self) -> Result<(), String> {
        self.child = launch(self.folder.path(), &self.data, &self.configuration);
        self.become_ready().await
    }

    /// [`Server::restart`] of a server that may die while it starts: whether it lives.
    pub(crate) async fn try_restart(&mut self) -> bool {
        self.restart_or_fault().await.is_ok()
    }

    /// Arms a fail point, `NAME:NTH`, for the server at work or the next one.
    pub(crate) fn arm(&self, point: &str) {
        std::fs::write(fail_point(self.folder.path()), format!("{point}\n")).unwrap();
    }

    /// The next server has no fail point.
    pub(crate) fn disarm(&self) {
        // There may have been none.
        std::fs::remove_file(fail_point(self.folder.path())).ok();
    }

    /// Whether the process ended by itself.
    pub(crate) fn is_dead(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Leaves the folder where it is, for whoever wants to see what went wrong.
    pub(crate) fn keep_folder(&mut self) -> &Path {
        self.folder.disable_cleanup(true);
        self.folder.path()
    }

    /// As [`Server::restart`], with another configuration file.
    pub(crate) async fn restart_with(&mut self, configuration: &str) {
        configuration.clone_into(&mut self.configuration);
        self.restart().await;
    }

    /// `consign` with these arguments, told where this server's folder is.
    pub(crate) fn command(&self, arguments: &[&str]) -> std::process::Output {
        binary(self.folder.path(), &self.data)
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// `consign` with these arguments, at work beside the server; its output is ours to read.
    pub(crate) fn begin(&self, arguments: &[&str]) -> Child {
        binary(self.folder.path(), &self.data)
            .args(arguments)
            .env("CONSIGN_CONFIG", self.folder.path().join("consign.toml"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    pub(crate) fn data_folder(&self) -> PathBuf {
        self.data.clone()
    }

    /// An SDK client for this server.
    pub(crate) fn client(&self) -> aws_sdk_s3::Client {
        client(&self.endpoint)
    }

    /// The host and port alone.
    /// A client of another account, which is made by this.
    pub(crate) fn tenant(&self, name: &str) -> aws_sdk_s3::Client {
        let made = self.command(&["accounts", "add", name]);
        assert!(made.status.success(), "{made:?}");
        let key = format!("{name}-key");
        let made = self.command(&["keys", "add", &key, "--account", name, "--json"]);
        let made: serde_json::Value = serde_json::from_slice(&made.stdout).unwrap();
        let part = |part: &str| made[part].as_str().unwrap().to_owned();
        let (access_key, secret) = (part("access_key"), part("secret_key"));
        let credentials = Credentials::new(access_key, secret, None, None, "test");
        let config = client_config(&self.endpoint).credentials_provider(credentials);
        aws_sdk_s3::Client::from_conf(config.build())
    }

    pub(crate) fn authority(&self) -> &str {
        let endpoint = self.endpoint.as_str();
        endpoint
            .split_once("://")
            .map_or(endpoint, |(_, rest)| rest)
    }

    async fn become_ready(&mut self) -> Result<(), String> {
        let announced = self.data_folder().join("server.json");
        let tries = START_TIME_MAX.as_millis() / POLL.as_millis();
        for _ in 0..tries {
            if self.is_dead() {
                return Err(format!("the server ended:\n{}", self.log()));
            }
            // A killed server leaves its file behind: only the one with our process's id counts.
            if let Some(endpoint) = endpoint_of(&announced, self.child.id()) {
                self.endpoint = endpoint;
                return Ok(());
            }
            tokio::time::sleep(POLL).await;
        }
        Err(format!("the server did not become ready:\n{}", self.log()))
    }

    /// The most memory that the server has had, in bytes.
    pub(crate) fn memory_bytes_max(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.unwrap().trim().trim_end_matches(" kB");
        kib.parse::<u64>().unwrap() * 1024
    }

    /// Waits until the server has logged the text: a line is written beside the answer, not before it.
    pub(crate) async fn logs(&self, text: &str) {
        let what = format!("{text:?} is logged");
        until(&what, async || self.log().contains(text)).await;
    }

    /// What the server has logged.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already, which is what we want.
        self.child.kill().ok();
        self.child.wait().ok();
        if std::thread::panicking() {
            let log = self.log();
            let from = log.len().saturating_sub(4000);
            eprintln!(
                "server's log ends with:\n{}",
                log.get(from..).unwrap_or(&log)
            );
        }
    }
}

/// An SDK client for the server at `endpoint`.
pub(crate) fn client(endpoint: &str) -> aws_sdk_s3::Client {
    aws_sdk_s3::Client::from_conf(client_config(endpoint).build())
}

/// What such a client is made of.
pub(crate) fn client_config(endpoint: &str) -> aws_sdk_s3::config::Builder {
    let credentials = Credentials::new(ACCESS_KEY, SECRET_KEY, None, None, "test");
    aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(endpoint)
        .region(Region::new(REGION))
        .credentials_provider(credentials)
        .force_path_style(true)
        .retry_config(aws_sdk_s3::config::retry::RetryConfig::disabled())
        .http_client(aws_smithy_http_client::Builder::new().build_http())
}

/// A client without TLS of its own: every URL here is `http:`.
pub(crate) fn plain_http() -> reqwest::Client {
    plain_http_builder().build().unwrap()
}

pub(crate) fn plain_http_builder() -> reqwest::ClientBuilder {
    // Another test of this process may have been first.
    rustls::crypto::ring::default_provider()
        .install_default()
        .ok();
    reqwest::Client::builder().no_proxy()
}

/// Bytes that look random and are the same for the same seed.
pub(crate) fn bytes_of(seed: u64, len: usize) -> Vec<u8> {
    let mut random = Random(seed);
    std::iter::repeat_with(|| random.next().to_le_bytes())
        .flatten()
        .take(len)
        .collect()
}

/// `SplitMix64`: small, seeded, good enough to choose sizes and moments.
#[derive(Debug)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

fn data_folder(folder: &Path) -> PathBuf {
    folder.join("data")
}

fn binary(folder: &Path, data: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_consign"));
    // The tester's own settings must not reach the server.
    for (name, _) in std::env::vars() {
        if name.starts_with("CONSIGN_") || name.starts_with("AWS_") {
            command.env_remove(name);
        }
    }
    command
        .current_dir(folder)
        .env("CONSIGN_DATA_DIR", data)
        .env("CONSIGN_ROOT_ACCESS_KEY", ACCESS_KEY)
        .env("CONSIGN_ROOT_SECRET_KEY", SECRET_KEY);
    command
}

fn launch(folder: &Path, data: &Path, configuration: &str) -> Child {
    let file = folder.join("consign.toml");
    std::fs::write(&file, configuration).unwrap();
    let log = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(folder.join("log"))
        .unwrap();
    let mut command = binary(folder, data);
    command
        .arg("serve")
        .env("CONSIGN_CONFIG", file)
        .env("CONSIGN_LISTEN", "127.0.0.1:0");
    // A build without fail points refuses to hear of one.
    if cfg!(feature = "fail-points") {
        command.env("CONSIGN_FAIL_POINT", fail_point(folder));
    }
    command
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap()
}

/// The file that arms a fail point, where there is one.
fn fail_point(folder: &Path) -> PathBuf {
    folder.join("fail-point")
}

fn endpoint_of(announced: &Path, process: u32) -> Option<String> {
    let text = std::fs::read_to_string(announced).ok()?;
    let value: serde_json::Value = serde_json::from_str(&text).ok()?;
    let ours = value.get("pid")?.as_u64()? == u64::from(process);
    ours.then(|| value.get("endpoint")?.as_str().map(str::to_owned))?
}
