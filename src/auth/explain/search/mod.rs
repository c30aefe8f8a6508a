//! The search: requests that differ from the one that came in one thing, each compared with the
//! signature that came.

mod draft;
mod encoding;
mod header;
mod host;
mod query;
mod scope;
mod secret;

use std::sync::Arc;

use http::Method;

use self::draft::Draft;
use super::super::canonical::{self, Pairs};
use super::super::{AccessKey, Secret, sigv4};
use super::claim::Reading;
use super::{Cause, Kind, Known, Request, session};

/// Other requests that one signature is compared with. Each costs a few microseconds.
const TRIES_MAX: usize = 4096;

/// What came of a search.
#[derive(Debug, Default)]
pub(super) struct Search {
    /// How many requests were drawn up.
    pub(super) tries: usize,
    /// The one that fits.
    pub(super) found: Option<Cause>,
    /// The signature is right as it is.
    pub(super) as_it_is: bool,
}

impl Search {
    pub(super) fn found(cause: Cause) -> Self {
        Self {
            tries: 1,
            found: Some(cause),
            as_it_is: false,
        }
    }
}

/// All that the search works with.
struct Scene<'a> {
    request: &'a Request,
    reading: &'a Reading,
    known: &'a Known<'a>,
    pairs: Pairs<'a>,
    /// The request as it came.
    base: Draft,
}

/// Compares drafts until one fits or there were enough.
struct Trial<'a> {
    secret: &'a Secret,
    signature: &'a str,
    tries: usize,
    found: Option<Cause>,
}

impl Trial<'_> {
    /// Tries a draft. `told` says what differs and what to do.
    fn attempt(&mut self, kind: Kind, draft: &Draft, told: impl FnOnce() -> (String, String)) {
        if self.is_over() || !self.fits(draft, self.secret) {
            return;
        }
        let (what, fix) = told();
        self.found = Some(Cause {
            kind,
            proven: true,
            what,
            fix,
        });
    }

    /// Tries the request as it came, signed by another secret.
    fn attempt_secret(
        &mut self,
        (kind, secret): (Kind, &Secret),
        draft: &Draft,
        told: impl FnOnce() -> (String, String),
    ) {
        if self.is_over() || !self.fits(draft, secret) {
            return;
        }
        let (what, fix) = told();
        self.found = Some(Cause {
            kind,
            proven: true,
            what,
            fix,
        });
    }

    const fn is_over(&self) -> bool {
        self.found.is_some() || self.tries >= TRIES_MAX
    }

    fn fits(&mut self, draft: &Draft, secret: &Secret) -> bool {
        self.tries += 1;
        let ours = draft.signature(secret);
        // Of a refused request only the beginning was kept: eight digits are enough to tell.
        let ours = ours.get(..self.signature.len());
        ours.is_some_and(|ours| sigv4::same(ours, self.signature))
    }
}

/// What is there of a signature.
fn kept(signature: &str) -> &str {
    signature.split(super::CUT).next().unwrap_or_default()
}

/// Looks for the difference.
pub(super) fn run(
    reading: &Reading,
    request: &Request,
    known: &Known<'_>,
    method: &Method,
) -> Search {
    let signature = kept(&reading.signature);
    if signature.len() < super::SIGNATURE_DIGITS {
        return Search::default();
    }
    let pairs = canonical::pairs(&request.raw_query);
    let scene = Scene {
        base: Draft::of(request, reading, &pairs, method),
        request,
        reading,
        known,
        pairs,
    };
    let key = key(reading, known);
    let nobody = Secret::new("nobody");
    let mut trial = Trial {
        secret: key.as_ref().map_or(&nobody, |key| &key.secret),
        signature,
        tries: 0,
        found: None,
    };
    let as_it_is = key.is_some() && trial.fits(&scene.base, trial.secret);
    if !as_it_is && key.is_some() {
        if request.method.is_some() {
            scene.methods(&mut trial);
        }
        scene.hosts(&mut trial);
        scene.parameters(&mut trial);
        scene.encodings(&mut trial);
        scene.headers(&mut trial);
        scene.scopes(&mut trial);
    }
    if !as_it_is {
        scene.secrets(key.as_deref(), &mut trial);
    }
    Search {
        tries: trial.tries,
        found: trial.found,
        as_it_is,
    }
}

/// Whether the signature is right as it is, for a method that is told or any.
pub(super) fn is_right(reading: &Reading, request: &Request, known: &Known<'_>) -> bool {
    let told = request.method.clone().map(|method| vec![method]);
    let signature = kept(&reading.signature);
    let Some(key) = key(reading, known).filter(|_| signature.len() >= super::SIGNATURE_DIGITS)
    else {
        return false;
    };
    let mut trial = Trial {
        secret: &key.secret,
        signature,
        tries: 0,
        found: None,
    };
    let pairs = canonical::pairs(&request.raw_query);
    let methods = told.unwrap_or_else(|| super::METHODS.to_vec());
    methods.iter().any(|method| {
        let draft = Draft::of(request, reading, &pairs, method);
        trial.fits(&draft, &key.secret)
    })
}

/// The key that the request names, switched off or not.
fn key(reading: &Reading, known: &Known<'_>) -> Option<Arc<AccessKey>> {
    let (name, token) = (&reading.credential.access_key, reading.token.as_deref());
    let temporary = || session::find(known.keys, name, token, known.now).ok()?;
    known.keys.find(name).or_else(temporary)
}

impl Scene<'_> {
    fn methods(&self, trial: &mut Trial<'_>) {
        for method in ["GET", "PUT", "HEAD", "POST", "DELETE"] {
            let draft = Draft {
                method: method.to_owned(),
                ..self.base.clone()
            };
            trial.attempt(Kind::Method, &draft, || {
                let sent = &self.base.method;
                (
                    format!("It was signed for {method} and sent as {sent}."),
                    format!("Send it as {method}, or sign it for {sent}."),
                )
            });
        }
    }
}
