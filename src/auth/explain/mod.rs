//! A signature that explains itself: what each part of a request means, whether it holds now, and which
//! single difference would make it valid.
//!
//! The verdict is that of [`authenticate`], never one of this module's own. The search only draws up what
//! else may have been signed, one difference at a time, and compares: it is bounded, and shows no secret.

mod claim;
mod parts;
mod repair;
mod request;
mod said;
mod search;
#[cfg(test)]
mod tests;

use http::Method;
use serde::{Deserialize, Serialize};

use self::claim::Reading;
use self::search::Search;
use super::{AuthError, AuthSettings, Elsewhere, KeyRing, SignedHead, authenticate, session};
use crate::clock::Timestamp;

pub use request::{InvalidRequest, Request};

/// What is known beside the request.
#[derive(Clone, Copy)]
#[expect(missing_debug_implementations, reason = "it holds keys")]
pub struct Known<'a> {
    /// The keys, or the one whose secret was given.
    pub keys: &'a dyn KeyRing,
    /// The region and the service.
    pub settings: &'a AuthSettings,
    /// Where else the operator declared that it may be sent.
    pub elsewhere: Option<&'a dyn Elsewhere>,
    /// The bucket and the key that it is about, each as far as it is told.
    pub target: (Option<&'a str>, Option<&'a str>),
    /// The bucket where the host names it, and the path without a public URL's prefix.
    pub resource: (Option<&'a str>, &'a str),
    /// Where the server listens: a host with its port.
    pub own: &'a str,
    /// Prefixes of public URLs.
    pub prefixes: &'a [String],
    /// The time.
    pub now: Timestamp,
}

/// What a request means and why it is refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// It would be let in now, as far as its signature goes.
    pub valid: bool,
    /// S3's code for the fault; none where it is valid.
    pub code: Option<String>,
    /// What the server says of it.
    pub message: String,
    /// For which method it is good, where a URL alone does not tell.
    pub method: Option<String>,
    /// What it is made of.
    pub parts: Vec<Part>,
    /// Why it is refused, the most likely first; empty where it is valid or nothing was found.
    pub causes: Vec<Cause>,
    /// How many other requests the signature was compared with.
    pub tries: usize,
}

/// One part of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// What it is.
    pub name: String,
    /// Its text, without secrets.
    pub value: String,
    /// What it means.
    pub meaning: String,
    /// Whether it holds now; none where nothing is to be judged.
    pub holds: Option<bool>,
}

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// Which difference: a word for programs.
    pub kind: Kind,
    /// Whether the signature was found to fit with this difference; otherwise the request says so itself.
    pub proven: bool,
    /// What is different.
    pub what: String,
    /// What to do.
    pub fix: String,
}

/// The differences that are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Signed for another host.
    Host,
    /// The port was told or left out.
    Port,
    /// A path before the bucket's was added or taken off.
    Prefix,
    /// Signed for another method.
    Method,
    /// A `+` where the signer meant a space, or the other way round.
    Plus,
    /// Encoded twice, or decoded once too often.
    DoubleEncoding,
    /// Encoded by other rules than S3's.
    Encoding,
    /// `//`, `.` or `..` was folded.
    Normalisation,
    /// A slash at the end came or went.
    TrailingSlash,
    /// A query parameter came after signing.
    ParameterAdded,
    /// A query parameter that was signed did not come.
    ParameterRemoved,
    /// The query was signed in another order or form.
    QueryForm,
    /// The names of query parameters were changed to another case.
    QueryCase,
    /// A signed header did not come.
    HeaderMissing,
    /// A signed header came with another value.
    HeaderChanged,
    /// A header that must be signed was not.
    HeaderUnsigned,
    /// The checksum of nothing that a JavaScript SDK signs into a URL.
    EmptyChecksum,
    /// The body's hash that was signed is another one.
    ContentSha256,
    /// `x-amz-content-sha256` did not come.
    ContentSha256Missing,
    /// The day of the scope is not that of the date.
    Day,
    /// Signed with another date.
    Date,
    /// The clocks differ.
    Clock,
    /// Its time is over.
    Expired,
    /// Another region.
    Region,
    /// Another service.
    Service,
    /// The secret with something before or after it, or encoded.
    SecretSpoiled,
    /// The access key and the secret were exchanged.
    SwappedKeys,
    /// Another key's secret.
    OtherKeysSecret,
    /// Nobody has that key.
    UnknownKey,
    /// The key was switched off.
    DisabledKey,
    /// A temporary key without its token.
    TokenMissing,
    /// A token that is over.
    TokenExpired,
    /// A token that is not this key's.
    TokenInvalid,
    /// The token came after signing.
    TokenUnsigned,
    /// The URL was written into HTML and not read out again.
    HtmlEscaped,
    /// The URL as a whole was encoded once more.
    UrlEncoded,
    /// Something stands before or behind the URL.
    UrlSurrounded,
    /// The URL was cut off, or lacks a part.
    Incomplete,
    /// Two ways of signing at once.
    ManyMechanisms,
    /// Nobody signed it.
    Unsigned,
    /// Another kind of signature.
    OtherAlgorithm,
}

/// What stands behind a text of which only the beginning was kept.
const CUT: &str = "...";
/// How much of a signature is kept of a refused request: enough to tell it from every other, too little
/// to use it.
const SIGNATURE_DIGITS: usize = 8;

/// What a URL may be for, the usual first.
const METHODS: [Method; 5] = [
    Method::GET,
    Method::PUT,
    Method::HEAD,
    Method::DELETE,
    Method::POST,
];

/// Explains `request`.
pub fn explain(request: &Request, known: &Known<'_>) -> Explanation {
    let (method, judged) = judge(request, known);
    let mut told = told(request, known, &method, &judged);
    if judged.is_err() {
        look(&mut told, request, known, &method);
    } else if let Some(cause) = said::of_body(request) {
        // The head would be let in, and then its body refused.
        told.valid = false;
        told.code = Some("XAmzContentSHA256Mismatch".to_owned());
        told.message.clone_from(&cause.what);
        told.causes.push(cause);
    }
    told
}

/// Explains a request that was refused with this code and message at [`Known::now`], and of which no more
/// than [`Request::redacted`] leaves was kept. Who kept only the beginning of a signature cannot judge it:
/// what the server said counts.
pub fn explain_refused(
    request: &Request,
    (code, message): (&str, &str),
    known: &Known<'_>,
) -> Explanation {
    let method = request.method.clone().unwrap_or(Method::GET);
    let mut told = told(request, known, &method, &Ok(()));
    told.valid = false;
    told.code = Some(code.to_owned());
    message.clone_into(&mut told.message);
    look(&mut told, request, known, &method);
    told
}

/// Looks for the causes: what the request says of itself, and the one difference. A URL that tells no
/// method is searched for with each.
fn look(told: &mut Explanation, request: &Request, known: &Known<'_>, method: &Method) {
    let others = METHODS.iter().filter(|other| *other != method);
    let others = others.filter(|_| request.method.is_none());
    let mut found = Search::default();
    let mut tries = 0;
    for method in std::iter::once(method).chain(others) {
        found = find(request, known, method);
        tries += found.tries;
        if found.found.is_some() || found.as_it_is {
            told.method = request.method.is_none().then(|| method.to_string());
            break;
        }
    }
    told.tries = tries;
    let mut said = said::of(request, known);
    if let [only] = said.as_mut_slice() {
        only.proven = found.as_it_is;
    }
    let kind = found.found.as_ref().map(|cause| cause.kind);
    said.retain(|cause| Some(cause.kind) != kind);
    told.causes = found.found.into_iter().chain(said).collect();
}

fn told(
    request: &Request,
    known: &Known<'_>,
    method: &Method,
    judged: &Result<(), AuthError>,
) -> Explanation {
    Explanation {
        valid: judged.is_ok(),
        code: judged.as_ref().err().map(|error| error.code().to_owned()),
        message: match judged {
            Ok(()) => "The signature holds.".to_owned(),
            Err(error) => error.to_string(),
        },
        method: request.method.is_none().then(|| method.to_string()),
        parts: parts::of(request, known),
        causes: Vec::new(),
        tries: 0,
    }
}

/// The server's own judgement. A URL that tells no method is judged for the one that fits.
fn judge(request: &Request, known: &Known<'_>) -> (Method, Result<(), AuthError>) {
    let judged = |method: Method| {
        let outcome = verify(request, &method, known);
        (method, outcome)
    };
    if let Some(method) = &request.method {
        return judged(method.clone());
    }
    let mut all = METHODS.into_iter().map(judged);
    let fits = |(_, outcome): &(Method, Result<(), AuthError>)| {
        !matches!(outcome, Err(AuthError::Mismatch(_)))
    };
    let first = all.next();
    match first {
        Some(first) if fits(&first) => first,
        first => all
            .find(fits)
            .or(first)
            .unwrap_or((Method::GET, Err(AuthError::MissingDate))),
    }
}

fn verify(request: &Request, method: &Method, known: &Known<'_>) -> Result<(), AuthError> {
    let grant = authenticate(
        &request.head(method, known),
        known.keys,
        known.settings,
        known.now,
    )?;
    match grant.who().key() {
        Some(_key) => Ok(()),
        None => Err(AuthError::FormUnsigned),
    }
}

/// Looks for the one difference.
fn find(request: &Request, known: &Known<'_>, method: &Method) -> Search {
    if let Some(cause) = repair::of(request, known) {
        return Search::found(cause);
    }
    let reading = Reading::of(request);
    reading.map_or_else(Search::default, |reading| {
        search::run(&reading, request, known, method)
    })
}
