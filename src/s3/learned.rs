//! What is learned of a request on its way, for who counts and records it.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use http::request::Parts;

use super::audit::Deed;
use super::reach::Arrival;
use super::route::{Operation, ROUTES};
use crate::auth::AccessKey;
use crate::id::RequestId;
use crate::metrics::Requests;
use crate::name::BucketName;
use crate::store::Bucket;

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Asked {
    /// Nothing that there is, or that came so far.
    #[default]
    Unknown,
    /// A page of a website.
    Website,
    /// Temporary credentials.
    Sts,
    /// The server's health, its numbers, its public key.
    Server,
    /// The administration's work.
    Administration,
    /// An operation of S3, in its words or in OSS's.
    Operation(Operation),
}

/// Those that are no operation of S3, in the order of their indices.
const OTHERS: [(Asked, &str); 5] = [
    (Asked::Unknown, "Unknown"),
    (Asked::Website, "Website"),
    (Asked::Sts, "Sts"),
    (Asked::Server, "Server"),
    (Asked::Administration, "Administration"),
];

impl Asked {
    /// Its name: S3's, where it has one.
    pub fn name(self) -> String {
        if let Self::Operation(operation) = self {
            return operation.name();
        }
        let found = OTHERS.iter().find(|(asked, _)| *asked == self);
        found.map_or_else(String::new, |(_, name)| (*name).to_owned())
    }

    /// Its place among those that are counted.
    pub const fn index(self) -> usize {
        match self {
            Self::Unknown => 0,
            Self::Website => 1,
            Self::Sts => 2,
            Self::Server => 3,
            Self::Administration => 4,
            Self::Operation(operation) => OTHERS.len().saturating_add(operation as usize),
        }
    }

    /// What requests are counted into, each by its index.
    pub fn counters() -> Arc<Requests> {
        let operations = ROUTES.iter().map(|route| Self::Operation(route.operation));
        let all = OTHERS.iter().map(|(asked, _)| *asked).chain(operations);
        let mut names = Vec::new();
        for asked in all {
            let index = asked.index();
            if names.len() <= index {
                names.resize(index.saturating_add(1), String::new());
            }
            if let Some(name) = names.get_mut(index) {
                *name = asked.name();
            }
        }
        Requests::new(names)
    }
}

/// Notes that a request carries as its one extension of ours: each takes several pieces of memory. What is noted
/// first stays.
#[derive(Debug, Clone, Default)]
pub struct Learned(Arc<Notes>);

#[derive(Debug, Default)]
struct Notes {
    id: Option<RequestId>,
    arrival: Option<Arrival>,
    asked: OnceLock<Asked>,
    by: OnceLock<Arc<AccessKey>>,
    deed: OnceLock<Deed>,
    bucket: Mutex<Option<Bucket>>,
}

impl Learned {
    /// Of a request of that name, which reached us so: none where nobody can tell.
    pub(super) fn of(id: RequestId, arrival: Option<Arrival>) -> Self {
        Self(Arc::new(Notes {
            id: Some(id),
            arrival,
            ..Notes::default()
        }))
    }

    /// The name of the request of `parts`.
    pub(super) fn id(parts: &Parts) -> Option<RequestId> {
        parts.extensions.get().and_then(|Self(notes)| notes.id)
    }

    /// How the request of `parts` reached us, where that was seen.
    pub(super) fn arrival(parts: &Parts) -> Option<&Arrival> {
        let learned = parts.extensions.get::<Self>();
        learned.and_then(|Self(notes)| notes.arrival.as_ref())
    }

    /// Notes what the request of `parts` asks for.
    pub(super) fn asked_for(parts: &Parts, asked: Asked) {
        if let Some(Self(notes)) = parts.extensions.get() {
            // A form that turns out to be OSS's is the same operation.
            let _first = notes.asked.set(asked);
        }
    }

    /// Notes who sent it, as a signature proved.
    pub(super) fn proved(&self, key: &Arc<AccessKey>) {
        // Who is proved twice is proved the same.
        let _first = self.0.by.set(Arc::clone(key));
    }

    /// Notes what it changes that belongs into the audit log, before it does.
    pub(super) fn does(&self, deed: Deed) {
        // One request does one thing.
        let _first = self.0.deed.set(deed);
    }

    /// Keeps the bucket that it was judged by.
    pub(super) fn saw(&self, bucket: Bucket) {
        *self.bucket_seen() = Some(bucket);
    }

    /// The bucket of that name as it was judged by, once: who asks again asks for how it is by then.
    pub(super) fn seen(&self, name: &BucketName) -> Option<Bucket> {
        self.bucket_seen().take_if(|bucket| bucket.name == *name)
    }

    fn bucket_seen(&self) -> MutexGuard<'_, Option<Bucket>> {
        self.0.bucket.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What it changes that belongs into the audit log.
    pub(super) fn deed(&self) -> Option<&Deed> {
        self.0.deed.get()
    }

    /// What it asks for, as far as is known.
    pub(super) fn asked(&self) -> Asked {
        self.0.asked.get().copied().unwrap_or_default()
    }

    /// Whose key signed it.
    pub(super) fn by(&self) -> Option<&AccessKey> {
        self.0.by.get().map(Arc::as_ref)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::metrics::{Answered, Format, Metrics};

    #[test]
    fn everything_that_can_be_asked_for_is_counted_by_a_name_of_its_own() {
        let requests = Asked::counters();
        let operations = ROUTES.iter().map(|route| Asked::Operation(route.operation));
        let all: Vec<_> = OTHERS
            .iter()
            .map(|(asked, _)| *asked)
            .chain(operations)
            .collect();
        for (index, (asked, _)) in OTHERS.iter().enumerate() {
            assert_eq!(asked.index(), index);
        }
        for asked in &all {
            requests.begin().answered(&Answered {
                operation: asked.index(),
                status: 200,
                code: None,
                received: 0,
                due: 0,
            });
        }
        let text = Metrics::of(&[&*requests]).text(Format::Text, Vec::new());
        let names: BTreeSet<_> = all.iter().map(|asked| asked.name()).collect();
        for name in &names {
            let line = format!("requests_total{{operation=\"{name}\",outcome=\"success\"}} ");
            assert_eq!(text.matches(&line).count(), 1, "{name}: {text}");
        }
        let told = text.matches("outcome=\"success\"").count();
        assert_eq!(told, names.len());
    }
}
