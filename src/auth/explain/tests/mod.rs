//! Each difference, by a request that has it and nothing else.

mod said;
mod search;

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use proptest::prelude::*;

use super::super::canonical::{self, Parts};
use super::super::sigv4::{self, EMPTY_SHA256, Scope};
use super::super::{AccessKey, AuthSettings, KeyRing, PRESIGN_SECONDS_MAX, Secret};
use super::*;

const AK: &str = "AKIAIOSFODNN7EXAMPLE";
const SK: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const OTHER_SK: &str = "other/secret+0123456789012345678901234567";

struct Ring;

fn key(access_key: &str, secret: &str) -> Arc<AccessKey> {
    Arc::new(AccessKey {
        access_key: access_key.into(),
        name: access_key.to_lowercase(),
        secret: Secret::new(secret),
        disabled: access_key == "DISABLED",
        scope: super::super::Scope::default(),
        root: false,
        owner: "owner".into(),
        policy: None,
        temporary: None,
    })
}

impl KeyRing for Ring {
    fn find(&self, access_key: &str) -> Option<Arc<AccessKey>> {
        self.all()
            .into_iter()
            .find(|key| key.access_key == access_key)
    }

    fn all(&self) -> Vec<Arc<AccessKey>> {
        vec![key(AK, SK), key("OTHER", OTHER_SK), key("DISABLED", SK)]
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
    Timestamp::parse_amz_date("20261125T120000Z").unwrap()
}

fn known(settings: &AuthSettings) -> Known<'_> {
    Known {
        keys: &Ring,
        settings,
        elsewhere: None,
        target: (Some("bkt"), Some("k")),
        resource: (None, "/bkt/k"),
        own: "127.0.0.1:41234",
        prefixes: &[],
        now: t0(),
    }
}

/// What is sent.
#[derive(Clone)]
struct Sent {
    by_header: bool,
    method: Option<Method>,
    authority: String,
    raw_path: String,
    /// What stands before the parameters of the signature.
    query: String,
    /// Headers that are signed.
    headers: Vec<(String, String)>,
    credential: String,
    date: String,
    expires: String,
    body_sha256: Option<String>,
}

/// What is signed: as it is sent, until a test changes it.
struct Signed {
    method: String,
    path: String,
    query: String,
    headers: Vec<(String, String)>,
    payload: String,
    date: String,
    scope: Scope<'static>,
    secret: String,
}

impl Sent {
    fn new() -> Self {
        Self {
            by_header: false,
            method: None,
            authority: "h:9000".into(),
            raw_path: "/bkt/dir/a%20b".into(),
            query: String::new(),
            headers: Vec::new(),
            credential: format!("{AK}/20261125/us-east-1/s3/aws4_request"),
            date: "20261125T120000Z".into(),
            expires: "60".into(),
            body_sha256: None,
        }
    }

    fn header(&mut self, name: &str, value: &str) {
        self.headers.push((name.into(), value.into()));
    }

    /// The request, whose signature is over what `change` makes of it.
    fn signed(mut self, change: impl FnOnce(&mut Signed)) -> Request {
        if self.by_header {
            self.header("x-amz-date", &self.date.clone());
            if !self
                .headers
                .iter()
                .any(|(name, _)| name == "x-amz-content-sha256")
            {
                self.header("x-amz-content-sha256", "UNSIGNED-PAYLOAD");
            }
        }
        let mut headers = self.headers.clone();
        headers.push(("host".into(), self.authority.clone()));
        headers.sort();
        let names: Vec<_> = headers.iter().map(|(name, _)| name.clone()).collect();
        let names = names.join(";");
        let query = self.claimed(&names);
        let credential = sigv4::Credential::parse(&self.credential).unwrap();
        let payload = headers
            .iter()
            .find(|(name, _)| name == "x-amz-content-sha256");
        let mut signed = Signed {
            method: self.method.as_ref().unwrap_or(&Method::GET).to_string(),
            path: canonical::path(&self.raw_path).into_owned(),
            query: canonical::query(canonical::pairs(&query).iter()),
            payload: payload.map_or("UNSIGNED-PAYLOAD".into(), |(_, value)| value.clone()),
            headers,
            date: self.date.clone(),
            scope: credential.scope.into_owned(),
            secret: SK.into(),
        };
        change(&mut signed);
        let signature = signed.signature(&names);
        self.request(query, &names, &signature)
    }

    /// The query with the parameters of the signature.
    fn claimed(&self, names: &str) -> String {
        let own = [
            ("X-Amz-Algorithm", "AWS4-HMAC-SHA256"),
            ("X-Amz-Credential", &self.credential),
            ("X-Amz-Date", &self.date),
            ("X-Amz-Expires", &self.expires),
            ("X-Amz-SignedHeaders", names),
        ];
        let own = own.map(|(name, value)| {
            let value = canonical::encode(value.as_bytes(), false);
            format!("{name}={value}")
        });
        let own = if self.by_header { &[] } else { own.as_slice() };
        let query = (!self.query.is_empty()).then(|| self.query.clone());
        let pieces: Vec<_> = query.into_iter().chain(own.iter().cloned()).collect();
        pieces.join("&")
    }

    fn request(self, mut raw_query: String, names: &str, signature: &str) -> Request {
        let mut headers = HeaderMap::new();
        let mut add = |name: &str, value: &str| {
            let name = HeaderName::try_from(name).unwrap();
            headers.append(name, HeaderValue::try_from(value).unwrap());
        };
        for (name, value) in &self.headers {
            add(name, value);
        }
        if self.by_header {
            let credential = &self.credential;
            let value = format!(
                "AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={names}, Signature={signature}"
            );
            add("authorization", &value);
        } else {
            raw_query = format!("{raw_query}&X-Amz-Signature={signature}");
        }
        Request {
            method: self.method,
            authority: self.authority,
            raw_path: self.raw_path,
            raw_query,
            headers,
            body_sha256: self.body_sha256,
        }
    }
}

impl Signed {
    fn signature(&self, names: &str) -> String {
        let text = Parts {
            method: &self.method,
            path: &self.path,
            query: &self.query,
            headers: &self.headers,
            signed: names,
            payload: &self.payload,
        }
        .text();
        let string = sigv4::string_to_sign(&self.date, &self.scope, &text);
        sigv4::sign(&sigv4::derive_key(&self.secret, &self.scope), &string)
    }
}

fn url(set: impl FnOnce(&mut Sent), change: impl FnOnce(&mut Signed)) -> Request {
    let mut sent = Sent::new();
    set(&mut sent);
    sent.signed(change)
}

fn put(set: impl FnOnce(&mut Sent), change: impl FnOnce(&mut Signed)) -> Request {
    let mut sent = Sent::new();
    sent.by_header = true;
    sent.method = Some(Method::PUT);
    set(&mut sent);
    sent.signed(change)
}

fn told(request: &Request) -> Explanation {
    let settings = settings();
    explain(request, &known(&settings))
}

/// That this, and nothing else, is said to make the difference, also of a request that was refused.
fn check(row: &str, request: &Request, kind: Kind) {
    let told = told(request);
    assert!(!told.valid, "{row}: {told:#?}");
    assert_eq!(
        told.causes.first().map(|cause| cause.kind),
        Some(kind),
        "{row}: {told:#?}"
    );
    assert!(told.causes[0].proven, "{row}: {told:#?}");
    let settings = settings();
    let kept = request.redacted();
    let after = explain_refused(&kept, ("SignatureDoesNotMatch", "no"), &known(&settings));
    assert_eq!(
        after.causes.first().map(|cause| cause.kind),
        Some(kind),
        "{row}: {after:#?}"
    );
    let text = serde_json::to_string(&(&told, &after)).unwrap();
    for secret in [SK, OTHER_SK] {
        assert!(!text.contains(secret), "{row}: {text}");
    }
    let again: Explanation = serde_json::from_value(serde_json::to_value(&told).unwrap()).unwrap();
    assert_eq!(again, told);
}

fn header<'a>(signed: &'a mut Signed, name: &str) -> &'a mut String {
    let found = signed.headers.iter_mut().find(|(found, _)| found == name);
    &mut found.unwrap().1
}

fn as_sent(_signed: &mut Signed) {}

#[test]
fn a_valid_request_is_called_so() {
    let told = told(&url(|_sent| {}, as_sent));
    assert!(told.valid && told.causes.is_empty(), "{told:#?}");
    assert_eq!(told.method.as_deref(), Some("GET"));
    let told = explain(&put(|_sent| {}, as_sent), &known(&settings()));
    assert!(told.valid, "{told:#?}");
    // A URL alone does not tell its method: the one that it is good for is found.
    let told = explain(
        &url(|_sent| {}, |signed| signed.method = "PUT".into()),
        &known(&settings()),
    );
    assert_eq!((told.valid, told.method.as_deref()), (true, Some("PUT")));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// Whatever is explained: it ends, within its bound, and shows no secret.
    #[test]
    fn no_request_is_too_odd_to_be_explained(
        path in "(/[ -~]{0,30})", query in "[ -~é]{0,80}", name in "[a-z-]{1,10}", value in "[ -~]{0,40}",
        signed in "[a-z;-]{0,30}", signature in "[0-9a-f]{0,64}",
    ) {
        let auth = format!(
            "{query}&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={AK}%2F20261125%2Fus-east-1%2Fs3%2Faws4_request\
             &X-Amz-Date=20261125T120000Z&X-Amz-Expires=60&X-Amz-SignedHeaders={signed}&X-Amz-Signature={signature}"
        );
        let url = format!("http://h{path}?{auth}");
        let mut headers = HeaderMap::new();
        headers.insert(HeaderName::try_from(name).unwrap(), HeaderValue::try_from(value).unwrap());
        if let Ok(request) = Request::of_url(&url, None, headers) {
            let told = told(&request);
            prop_assert!(!told.valid && told.tries <= 5 * 4096);
            let text = serde_json::to_string(&told).unwrap();
            prop_assert!(!text.contains(SK) && !text.contains(OTHER_SK));
        }
    }
}
