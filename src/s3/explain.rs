//! Requests whose signature was refused: the last of them are kept, and explained by their id.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use http::HeaderMap;

use super::head::Head;
use super::reach::{Arrival, Reach};
use super::target::Target;
use crate::auth::explain::{Explanation, Known, Request, explain, explain_refused};
use crate::auth::{AuthError, AuthSettings, KeyRing, Place};
use crate::clock::Timestamp;
use crate::id::RequestId;
use crate::name::{BucketName, ObjectKey};

/// Requests that are kept: the newest drives out the oldest.
const KEPT_MAX: usize = 256;
/// Bytes of one that is kept.
const REQUEST_BYTES_MAX: usize = 16 * 1024;
const MESSAGE_CHARS_MAX: usize = 1024;

/// A request whose signature was refused.
#[derive(Debug, Clone)]
pub struct Refused {
    /// Its id.
    pub id: RequestId,
    /// When it came.
    pub at: Timestamp,
    /// From where.
    pub client: Option<SocketAddr>,
    /// S3's code.
    pub code: &'static str,
    /// What was answered.
    pub message: String,
    /// What is left of it without its secrets.
    pub request: Request,
}

/// The last refused requests, in memory alone.
#[derive(Debug, Default)]
pub struct Refusals(Mutex<VecDeque<Refused>>);

/// What explains requests.
pub struct Explainer {
    reach: Arc<Reach>,
    keys: Arc<dyn KeyRing>,
    settings: AuthSettings,
    /// Where the server listens: a host with its port.
    own: String,
}

impl std::fmt::Debug for Explainer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Explainer").finish_non_exhaustive()
    }
}

impl Refusals {
    /// Keeps what may be kept of a request.
    pub(super) fn note(
        &self,
        id: RequestId,
        (head, sent): (&Head, &HeaderMap),
        error: &AuthError,
        at: Timestamp,
    ) {
        let request = Request {
            method: Some(head.method.clone()),
            authority: head.arrival.authority().to_owned(),
            raw_path: head.arrival.raw_path().to_owned(),
            raw_query: head.raw_query.clone(),
            headers: sent.clone(),
            body_sha256: None,
        };
        if request.bytes() > REQUEST_BYTES_MAX {
            return;
        }
        let refused = Refused {
            id,
            at,
            client: head.arrival.client(),
            code: error.code(),
            message: error.to_string().chars().take(MESSAGE_CHARS_MAX).collect(),
            request: request.redacted(),
        };
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while kept.len() >= KEPT_MAX {
            kept.pop_front();
        }
        kept.push_back(refused);
    }

    /// The request of that id, where it is still kept.
    pub fn find(&self, id: &str) -> Option<Refused> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is = |refused: &&Refused| refused.id.to_string().eq_ignore_ascii_case(id);
        kept.iter().find(is).cloned()
    }

    /// All that are kept, the newest first.
    pub fn list(&self) -> Vec<Refused> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().rev().cloned().collect()
    }
}

impl Explainer {
    /// One for a server that is reached so, knows these keys and listens at `own`.
    pub const fn new(
        reach: Arc<Reach>,
        keys: Arc<dyn KeyRing>,
        settings: AuthSettings,
        own: String,
    ) -> Self {
        Self {
            reach,
            keys,
            settings,
            own,
        }
    }

    /// The same for a server that is reached so and authenticates by these settings.
    #[must_use]
    pub fn reconfigured(&self, reach: Arc<Reach>, settings: AuthSettings) -> Self {
        Self {
            reach,
            keys: Arc::clone(&self.keys),
            settings,
            own: self.own.clone(),
        }
    }

    /// Explains a request as if it came now.
    pub fn explain(&self, request: &Request, now: Timestamp) -> Explanation {
        self.known(request, now, explain)
    }

    /// Explains a request that was refused.
    pub fn explain_refused(&self, refused: &Refused) -> Explanation {
        let said = (refused.code, refused.message.as_str());
        self.known(&refused.request, refused.at, |request, known| {
            explain_refused(request, said, known)
        })
    }

    fn known(
        &self,
        request: &Request,
        now: Timestamp,
        run: impl FnOnce(&Request, &Known<'_>) -> Explanation,
    ) -> Explanation {
        let place = Place {
            authority: request.authority.clone(),
            raw_path: request.raw_path.clone(),
        };
        let arrival = Arrival::seen(&self.reach, place, &HeaderMap::new(), (None, false));
        let target = Target::parse(arrival.authority(), arrival.path(), self.reach.domains());
        let target = target.ok();
        let bucket = target.as_ref().and_then(|target| target.bucket.as_ref());
        let key = target.as_ref().and_then(|target| target.key.as_ref());
        let is_virtual = target.as_ref().is_some_and(|target| target.virtual_host);
        let bucket_of_host = bucket.filter(|_| is_virtual).map(BucketName::as_str);
        let prefixes = self.reach.prefixes();
        let known = Known {
            keys: &*self.keys,
            settings: &self.settings,
            elsewhere: Some(&arrival),
            target: (bucket.map(BucketName::as_str), key.map(ObjectKey::as_str)),
            resource: (bucket_of_host, arrival.path()),
            own: &self.own,
            prefixes: &prefixes,
            now,
        };
        run(request, &known)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(path: &str, query: &str, value: &str) -> (Head, HeaderMap) {
        let request = http::Request::get(format!("{path}?{query}")).header("host", "h");
        let request = request.header("authorization", value).body(()).unwrap();
        let parts = request.into_parts().0;
        (Head::parse(&parts, &[]).unwrap(), parts.headers)
    }

    #[test]
    fn the_last_ones_are_kept_without_their_secrets() {
        let refusals = Refusals::default();
        let note = |path: &str| {
            let secret = "0123456789abcdef".repeat(4);
            let authorization = format!("AWS4-HMAC-SHA256 Credential=A/b, Signature={secret}");
            let query = format!("X-Amz-Signature={secret}&X-Amz-Security-Token={secret}");
            let (head, sent) = refused(path, &query, &authorization);
            let id = RequestId::random();
            let now = Timestamp::from_unix_s(0);
            refusals.note(id, (&head, &sent), &AuthError::MissingDate, now);
            id
        };
        let first = note("/abc/0");
        assert!(refusals.find(&first.to_string()).is_some());
        let ids: Vec<_> = (0..KEPT_MAX)
            .map(|at| note(&format!("/abc/{at}")))
            .collect();
        assert!(refusals.find(&first.to_string()).is_none());
        assert_eq!(refusals.list().len(), KEPT_MAX);
        assert_eq!(refusals.list()[0].id, ids[KEPT_MAX - 1]);
        let kept = format!("{:?}", refusals.list());
        assert!(
            kept.contains("01234567...64") && !kept.contains("012345678"),
            "{kept}"
        );
        note(&format!("/abc/{}?", "x".repeat(1000)));
        let (head, mut sent) = refused("/abc/large", "", "AWS4-HMAC-SHA256 x");
        sent.insert("x-large", "x".repeat(REQUEST_BYTES_MAX).parse().unwrap());
        let id = RequestId::random();
        let at = Timestamp::from_unix_s(0);
        refusals.note(id, (&head, &sent), &AuthError::MissingDate, at);
        assert!(refusals.find(&id.to_string()).is_none());
    }
}
