//! Whole requests to a whole service in memory, without a socket.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::{BodyExt as _, Empty, Full};
use tokio::runtime::Runtime;

use super::pure::{KEY, now, parts, presigned};
use super::{Case, case};
use crate::clock::ManualClock;
use crate::id::RequestId;
use crate::s3::context::Service;
use crate::s3::fixture::service_over;
use crate::s3::handle;
use crate::store::meta::memory::MemoryEngine;

/// A service, and what runs it.
struct World {
    runtime: Runtime,
    service: Arc<Service>,
}

impl World {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.enable_all().build().unwrap();
        let clock = Arc::new(ManualClock::at(now()));
        let meta = Arc::new(MemoryEngine::new());
        let service = runtime.block_on(service_over(meta, clock)).unwrap();
        Self { runtime, service }
    }

    fn put(&self, path: &str, body: &'static [u8]) {
        let mut headers = HeaderMap::new();
        headers.insert("content-length", body.len().into());
        let parts = parts("PUT", &presigned("PUT", path, &[]), headers);
        let request = Request::from_parts(parts, Full::new(Bytes::from_static(body)));
        let answered = handle(
            Arc::clone(&self.service),
            request,
            None,
            RequestId::random(),
        );
        assert_eq!(self.runtime.block_on(answered).status(), 200);
    }

    /// The same request again and again; its answer has so many bytes, or more.
    fn asking(self, method: &'static str, uri: String, bytes: usize) -> impl FnMut() {
        move || {
            let request = Request::from_parts(parts(method, &uri, HeaderMap::new()), Empty::new());
            let service = Arc::clone(&self.service);
            let read = self.runtime.block_on(async {
                let answer = handle(service, request, None, RequestId::random()).await;
                assert_eq!(answer.status(), 200);
                answer.into_body().collect().await.unwrap().to_bytes()
            });
            assert!(read.len() >= bytes, "{} bytes", read.len());
        }
    }
}

fn object(method: &'static str, bytes: usize) -> impl FnMut() {
    let (world, path) = (World::new(), format!("/bucket/{KEY}"));
    world.put("/bucket", b"");
    world.put(&path, &[7; 4096]);
    world.asking(method, presigned(method, &path, &[]), bytes)
}

/// A thousand objects, each in a folder that may be named by its number, N.
fn listing(folder: &str, query: &[(&str, &str)], bytes: usize) -> impl FnMut() + use<> {
    let world = World::new();
    world.put("/bucket", b"");
    for number in 0..1000 {
        let folder = folder.replace('N', &number.to_string());
        world.put(&format!("/bucket/{folder}{number:06}"), b"");
    }
    world.asking("GET", presigned("GET", "/bucket", query), bytes)
}

pub(super) fn cases() -> Vec<Case> {
    let plain = [("list-type", "2")];
    let grouped = [("list-type", "2"), ("delimiter", "/")];
    vec![
        case("HEAD", 500, || object("HEAD", 0)),
        case("GET 4 KiB", 500, || object("GET", 4096)),
        case("list 1,000 keys", 50, move || {
            listing("folder/", &plain, 100_000)
        }),
        case("list 1,000 prefixes", 50, move || {
            listing("N/", &grouped, 50_000)
        }),
    ]
}
