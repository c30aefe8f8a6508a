//! The dialect of OSS: the key that signs its callbacks, and the door from the protocol to who posts
//! them.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;

use super::StartError;
use super::root_key::{RootKeyError, keep};
use crate::callback::oss::{OssCallbacks, Post, new_key};
use crate::config::{Config, Dialect};
use crate::s3::oss::{Callbacks, Letter};

/// Where a data folder keeps the key that signs callbacks of OSS.
const FILE: &str = "oss-callback-key.pem";

/// Where its public half can be read.
const KEY_PATH: &str = "/-/oss/callback-key.pem";

/// What the dialect stands on; none where it is not spoken. `endpoint` is where the server can be
/// reached, unless the operator says where.
///
/// # Errors
/// [`StartError`], where the key can't be had or an address is none.
pub(super) async fn wire(
    config: &Config,
    endpoint: &str,
) -> Result<Option<Arc<dyn Callbacks>>, StartError> {
    let spoken = speak(config, endpoint).await?;
    // No key is made after this one: now all that was made becomes durable, at a reload too.
    super::engines::sync_names(config).await?;
    Ok(spoken)
}

async fn speak(config: &Config, endpoint: &str) -> Result<Option<Arc<dyn Callbacks>>, StartError> {
    if !config.dialects.contains(&Dialect::Oss) {
        return Ok(None);
    }
    let dir = config.data_dir.clone();
    // To make a key takes a second or so.
    let key = tokio::task::spawn_blocking(move || load_or_make(&dir));
    let key = key.await.map_err(|error| RootKeyError::Io {
        path: config.data_dir.join(FILE),
        source: std::io::Error::other(error),
    })??;
    let base = match config.public_urls.first() {
        Some(url) => url.text(),
        None => endpoint.to_owned(),
    };
    let urls = &config.oss.callback_urls;
    let callbacks = OssCallbacks::new(
        &key,
        urls,
        &format!("{base}{KEY_PATH}"),
        &config.callback.networks,
    )?;
    Ok(Some(Arc::new(Port(callbacks))))
}

fn load_or_make(data_dir: &Path) -> Result<String, StartError> {
    let path = data_dir.join(FILE);
    let read = |path: &Path| std::fs::read_to_string(path);
    let key = match read(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let key = new_key()?;
            keep(&path, key.as_bytes()).and_then(|()| read(&path))
        }
        read => read,
    };
    Ok(key.map_err(|source| RootKeyError::Io { path, source })?)
}

#[derive(Debug)]
struct Port(OssCallbacks);

impl Callbacks for Port {
    fn admits(&self, url: &str) -> bool {
        self.0.admits(url)
    }

    fn post(&self, letter: Letter) -> BoxFuture<'_, Result<Bytes, String>> {
        Box::pin(async move {
            let request = letter.id.to_string();
            let post = Post {
                url: &letter.url,
                host: letter.host.as_deref(),
                content_type: letter.content_type,
                request: &request,
                bucket: &letter.bucket,
            };
            self.0.post(post, letter.body).await
        })
    }

    fn public_key(&self) -> &str {
        self.0.public_key()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_key_is_made_once_and_only_its_owner_may_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let key = load_or_make(folder.path()).unwrap();
        assert!(key.starts_with("-----BEGIN PRIVATE KEY-----"));
        assert_eq!(load_or_make(folder.path()).unwrap(), key);
        let file = std::fs::metadata(folder.path().join(FILE)).unwrap();
        assert_eq!(file.permissions().mode() & 0o777, 0o600);
        let names = std::fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(names, 1);
    }
}
