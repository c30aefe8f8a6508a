//! Who sent a request, found out in one place for every dialect: with a lock for who failed too often,
//! and a note of who it was.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use super::context::Service;
use super::error::S3Error;
use super::learned::Learned;
use super::throttle::{Origin, SlowDown};
use crate::auth::session::SessionKey;
use crate::auth::{AccessKey, AuthError, Grant, KeyRing};
use crate::clock::Timestamp;

/// Codes of those who name a key and can't show that it is theirs; other faults tell nothing of a secret.
const FAILURES: [&str; 3] = [
    "SignatureDoesNotMatch",
    "InvalidAccessKeyId",
    "InvalidToken",
];

/// The server's keys, as one request may ask for them: the key that it names first is the one that it
/// claims to have, and where that failed too often from there, it is not even looked at.
struct Guarded<'a> {
    service: &'a Service,
    origin: Option<Origin>,
    now: Timestamp,
    claim: OnceLock<Claim>,
}

struct Claim {
    access_key: String,
    told: Result<(), SlowDown>,
}

impl KeyRing for Guarded<'_> {
    fn find(&self, access_key: &str) -> Option<Arc<AccessKey>> {
        if let Some(origin) = self.origin {
            let claim = self.claim.get_or_init(|| Claim {
                access_key: access_key.to_owned(),
                told: self
                    .service
                    .throttle
                    .may_try((origin, access_key), self.now),
            });
            claim.told.ok()?;
        }
        self.service.keys.find(access_key)
    }

    fn named(&self, name: &str) -> Option<Arc<AccessKey>> {
        self.service.keys.named(name)
    }

    fn all(&self) -> Vec<Arc<AccessKey>> {
        self.service.keys.all()
    }

    fn session_key(&self) -> Option<&SessionKey> {
        self.service.keys.session_key()
    }
}

/// Lets `judge` find out who sent a request from `client`. `refused` makes an answer of its refusal.
///
/// # Errors
/// What `refused` makes; `SlowDown` for who failed or asks too often.
pub(super) fn prove<E: From<S3Error>>(
    service: &Service,
    (client, learned): (Option<SocketAddr>, &Learned),
    judge: impl FnOnce(&dyn KeyRing, Timestamp) -> Result<Grant, AuthError>,
    refused: impl FnOnce(AuthError, Timestamp) -> E,
) -> Result<Grant, E> {
    let (throttle, now) = (&service.throttle, service.clock.now());
    let guarded = Guarded {
        service,
        origin: throttle.origin(client.map(|client| client.ip())),
        now,
        claim: OnceLock::new(),
    };
    let judged = judge(&guarded, now);
    let claim = guarded.origin.zip(guarded.claim.get());
    if let Some((_origin, claim)) = claim {
        claim.told.map_err(S3Error::from)?;
    }
    let grant = match judged {
        Ok(grant) => grant,
        Err(error) => {
            if let Some((origin, claim)) = claim
                && FAILURES.contains(&error.code())
            {
                throttle.failed((origin, &claim.access_key), now);
            }
            return Err(refused(error, now));
        }
    };
    if let Some(key) = grant.who().key() {
        if let Some((origin, claim)) = claim {
            throttle.proved((origin, &claim.access_key), now);
        }
        learned.proved(key);
        throttle.admit_key(key, now).map_err(S3Error::from)?;
    }
    Ok(grant)
}
