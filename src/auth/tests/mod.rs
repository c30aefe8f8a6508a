//! Tests by table and by AWS's own published examples.

mod cost;
mod form;
mod header;
mod presigned;
mod session;
mod vectors;
mod version_2;

use base64::Engine as _;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::constraint::LengthRange;
use super::post_form::{SignedForm, authenticate_form, expand_filename};
use super::presign::{Signer, Target, presign_url, sign_header, sign_post};
use super::session::{Credentials, Draw, NewSession, SessionKey};
use super::*;

const AK: &str = "AKIAIOSFODNN7EXAMPLE";
const SK: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

struct Ring;

impl KeyRing for Ring {
    fn find(&self, access_key: &str) -> Option<Arc<AccessKey>> {
        let disabled = access_key == "DISABLED";
        (disabled || access_key == AK).then(|| {
            Arc::new(AccessKey {
                access_key: access_key.into(),
                name: "test".into(),
                secret: Secret::new(SK),
                disabled,
                scope: Scope::default(),
                root: true,
                owner: "owner".into(),
                policy: None,
                temporary: None,
            })
        })
    }
}

fn settings() -> AuthSettings {
    AuthSettings {
        region: "us-east-1".into(),
        service: sigv4::SERVICE,
        presign_seconds_max: PRESIGN_SECONDS_MAX,
        signature_v2: false,
    }
}

fn t0() -> Timestamp {
    Timestamp::parse_amz_date("20130524T000000Z").unwrap()
}

#[derive(Clone)]
struct Sent {
    method: Method,
    path: String,
    query: String,
    headers: HeaderMap,
    authority: String,
    bucket: Option<&'static str>,
}

impl Sent {
    fn judge(&self, now: Timestamp) -> Result<Grant, AuthError> {
        self.judge_by(&settings(), now)
    }

    fn judge_by(&self, settings: &AuthSettings, now: Timestamp) -> Result<Grant, AuthError> {
        let head = SignedHead {
            method: &self.method,
            raw_path: &self.path,
            raw_query: &self.query,
            headers: &self.headers,
            authority: &self.authority,
            elsewhere: None,
            bucket: self.bucket,
            path: &self.path,
            payload: None,
            peer: None,
            heeds: &[],
        };
        authenticate(&head, &Ring, settings, now)
    }

    fn code(&self) -> &'static str {
        self.judge(t0()).map_or_else(|e| e.code(), |_| "ok")
    }

    fn set(&mut self, name: &'static str, value: &str) {
        self.headers
            .insert(name, HeaderValue::from_str(value).unwrap());
    }

    fn edit(&mut self, from: &str, to: &str) {
        let old = self.headers["authorization"].to_str().unwrap().to_owned();
        assert!(old.contains(from), "{from}");
        self.set("authorization", &old.replace(from, to));
    }
}

fn by_header(access_key: &str, secret: &str, region: &str, payload: &str) -> Sent {
    let secret = Secret::new(secret);
    let signer = Signer {
        access_key,
        secret: &secret,
        region,
    };
    let query = [("prefix", "a b+c")];
    let target = Target {
        method: "PUT",
        endpoint: "http://h:9000",
        path: "/b/a k//..é",
        query: &query,
    };
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static("text/plain"));
    sign_header(&signer, &target, &mut headers, payload, t0());
    Sent {
        method: Method::PUT,
        path: target.raw_path(),
        query: target.raw_query(),
        headers,
        authority: "h:9000".into(),
        bucket: None,
    }
}

/// Who signs with the key of the ring.
fn signer(secret: &Secret) -> Signer<'_> {
    Signer {
        access_key: AK,
        secret,
        region: "us-east-1",
    }
}

fn by_query(secret: &str, headers: HeaderMap, seconds: u64) -> Sent {
    let secret = Secret::new(secret);
    let signer = signer(&secret);
    let target = Target {
        method: "PUT",
        endpoint: "http://h",
        path: "/b/k",
        query: &[],
    };
    let url = presign_url(&signer, &target, &headers, seconds, t0());
    let (path, query) = url
        .strip_prefix("http://h")
        .unwrap()
        .split_once('?')
        .unwrap();
    let (path, query) = (path.into(), query.into());
    Sent {
        method: Method::PUT,
        path,
        query,
        headers,
        authority: "h".into(),
        bucket: None,
    }
}
