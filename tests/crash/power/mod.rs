//! Power loss: the real server on a disk that forgets what was not synced (a file system of our own,
//! mounted by FUSE). Whatever was answered is there when the power is back.

mod disk;
mod faults;
mod mount;
#[path = "../../it/receiver.rs"]
#[allow(
    dead_code,
    reason = "shared by two test binaries, which use different parts"
)]
mod receiver;
mod storm;
mod syncs;

use std::path::PathBuf;

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use tempfile::TempDir;

use crate::support::Server;
use disk::Cut;
use mount::Mount;

const MIB: u64 = 1 << 20;

/// A computer: its disk, and where on it Consign keeps its data.
struct Machine {
    mount: Mount,
    data: PathBuf,
    _folder: TempDir,
}

impl Machine {
    /// None, said loudly, where nothing can be mounted.
    fn new(capacity: u64) -> Option<Self> {
        let folder = TempDir::new().unwrap();
        let mount = Mount::new(&folder.path().join("disk"), capacity)?;
        // Two folders that the server has to make: their names must last too.
        let data = mount.path().join("srv/data");
        Some(Self {
            mount,
            data,
            _folder: folder,
        })
    }

    async fn start(&self, configuration: &str) -> Server {
        let started = Server::start_at(&self.data, configuration).await;
        started.unwrap_or_else(|fault| panic!("{fault}"))
    }

    /// The power goes and comes back; the server is not started yet.
    fn cut(&self, server: &mut Server, cut: Cut) {
        self.mount.cut(cut);
        server.kill();
        self.mount.disk().power_on();
    }
}

async fn put(client: &Client, bucket: &str, key: &str, bytes: Vec<u8>) -> Result<(), String> {
    let put = client.put_object().bucket(bucket).key(key);
    let put = put.body(ByteStream::from(bytes)).send().await;
    put.map(drop).map_err(|error| told(&error))
}

async fn get(client: &Client, bucket: &str, key: &str) -> Result<Vec<u8>, String> {
    let got = client.get_object().bucket(bucket).key(key).send().await;
    let got = got.map_err(|error| told(&error))?;
    let body = got.body.collect().await.map_err(|error| told(&error))?;
    Ok(body.to_vec())
}

fn told(error: &dyn std::fmt::Debug) -> String {
    format!("{error:?}")
}
