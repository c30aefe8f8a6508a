//! What may be true: every operation with the time it was begun and the time it was answered, and
//! from them the states that a reader may see.
//!
//! A key is a register. What a read finds must be the effect of an operation that was begun before the
//! read ended, and that no other operation surely overwrote before the read began: one that was begun
//! after the first was answered, and answered itself. An operation that was never answered may have
//! happened at any moment up to the server's death, or not at all.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::beside::Once;
use crate::body::{Seen, Value};

/// A bucket and a key.
pub(crate) type Place = (&'static str, String);

/// What became of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Unknown,
    Done,
    /// Refused: it changed nothing.
    Nothing,
}

/// One change of a key.
#[derive(Debug, Clone)]
struct Change {
    /// None: the object is gone.
    effect: Option<Value>,
    begun: u64,
    /// When it was answered, or could happen no more.
    ended: u64,
    outcome: Outcome,
}

/// Names a change until the server is next checked.
#[derive(Debug, Clone)]
pub(crate) struct ChangeId {
    pub(crate) place: Place,
    number: usize,
}

/// A version that a client knows of.
#[derive(Debug, Clone)]
pub(crate) struct Version {
    pub(crate) id: String,
    /// None: a delete marker.
    pub(crate) what: Option<Value>,
    begun: u64,
    ended: u64,
    pub(crate) fate: Fate,
}

/// Whether somebody deleted a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Kept,
    /// Asked for, not answered.
    Doubtful,
    /// When that was answered.
    Gone(u64),
}

/// What is known of a key that keeps versions.
#[derive(Debug, Default)]
pub(crate) struct Versions {
    pub(crate) known: Vec<Version>,
    /// Versions that were asked for, whose ids no answer told; none once it did.
    pub(crate) unnamed: Vec<Option<(Option<Value>, u64)>>,
}

/// An upload that a client began.
#[derive(Debug, Clone, Default)]
pub(crate) struct Upload {
    pub(crate) key: String,
    pub(crate) parts: BTreeMap<i32, Value>,
    /// A part was sent that nobody answered.
    pub(crate) more: bool,
    pub(crate) end: Option<End>,
}

/// How an upload may have ended.
#[derive(Debug, Clone)]
pub(crate) enum End {
    Completed(ChangeId),
    Aborted,
}

/// A callback that must come, under one id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[expect(clippy::enum_variant_names, reason = "read as \"due of a request\"")]
pub(crate) enum Due {
    /// Of what that request did to the key: made an object, or removed one.
    OfRequest(String, String, &'static str),
    /// Of this key's object with that entity tag.
    OfObject(String, String),
    /// Of this key's version.
    OfVersion(String, String),
}

/// A rename that nobody answered.
#[derive(Debug)]
pub(crate) struct Rename {
    pub(crate) from: Place,
    pub(crate) to: Place,
    pub(crate) value: Value,
    pub(crate) before: Option<Value>,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    registers: BTreeMap<Place, Vec<Change>>,
    pub(crate) versions: BTreeMap<String, Versions>,
    pub(crate) uploads: BTreeMap<String, Upload>,
    /// Uploads that were asked for, whose ids no answer told.
    pub(crate) unnamed_uploads: usize,
    pub(crate) renames: Vec<Rename>,
    /// Uploads by signatures that are good for one use, since the last check.
    pub(crate) onces: Vec<Once>,
    pub(crate) dues: BTreeSet<Due>,
    /// Entity tags that an object of the key may have had.
    pub(crate) issued: BTreeSet<(Place, String)>,
    /// Buckets made and deleted again: whether it must be there, if that is known.
    pub(crate) buckets: BTreeMap<String, Option<bool>>,
    /// Objects that an app server was asked about, and that came to be.
    pub(crate) agreed: BTreeSet<String>,
    /// Objects that go by themselves.
    pub(crate) fleeting: BTreeMap<String, Value>,
    faults: Vec<String>,
}

/// What all clients know together.
#[derive(Debug, Default)]
pub(crate) struct Model {
    state: Mutex<State>,
    clock: AtomicU64,
    answers: AtomicU64,
    reads: AtomicU64,
}

impl Model {
    /// A moment: later than all before it.
    pub(crate) fn now(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::SeqCst) + 1
    }

    pub(crate) fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.state.lock().unwrap())
    }

    /// Something was answered as it should be.
    pub(crate) fn answered(&self) {
        self.answers.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn answers(&self) -> u64 {
        self.answers.load(Ordering::Relaxed)
    }

    pub(crate) fn reads(&self) -> u64 {
        self.reads.load(Ordering::Relaxed)
    }

    /// Something that must not be; the run ends with it.
    pub(crate) fn fault(&self, text: String) {
        self.with(|state| state.faults.push(text));
    }

    pub(crate) fn assert_no_faults(&self) {
        let faults = self.with(|state| state.faults.clone());
        assert!(faults.is_empty(), "{}", faults.join("\n"));
    }

    /// A change is asked for.
    pub(crate) fn begin(&self, place: &Place, effect: Option<Value>) -> ChangeId {
        let begun = self.now();
        self.with(|state| {
            if let Some(value) = &effect {
                state.issued.insert((place.clone(), value.etag.clone()));
            }
            let changes = state.register(place);
            changes.push(Change {
                effect,
                begun,
                ended: u64::MAX,
                outcome: Outcome::Unknown,
            });
            ChangeId {
                place: place.clone(),
                number: changes.len() - 1,
            }
        })
    }

    /// It was answered with success.
    pub(crate) fn done(&self, id: &ChangeId) {
        self.end(id, Outcome::Done);
        self.answered();
    }

    /// It was refused, as a race may explain: there is none for a key with one writer.
    pub(crate) fn refused(&self, id: &ChangeId) {
        self.end(id, Outcome::Nothing);
        if id.place.1.starts_with("own/") {
            self.fault(format!(
                "{:?}: a change was refused that nobody was in the way of",
                id.place
            ));
        }
    }

    /// What is found out after the server's death: whether it had happened.
    pub(crate) fn decide(&self, id: &ChangeId, happened: bool) {
        let outcome = if happened {
            Outcome::Done
        } else {
            Outcome::Nothing
        };
        self.with(|state| state.change(id).outcome = outcome);
    }

    fn end(&self, id: &ChangeId, outcome: Outcome) {
        let now = self.now();
        self.with(|state| {
            let change = state.change(id);
            (change.outcome, change.ended) = (outcome, now);
        });
    }

    /// The server is dead: nothing more happens of what was not answered.
    pub(crate) fn died(&self) {
        let now = self.now();
        self.with(|state| {
            for change in state.registers.values_mut().flatten() {
                change.ended = change.ended.min(now);
            }
        });
    }

    /// What its only writer left under the key.
    pub(crate) fn latest(&self, place: &Place) -> Option<Value> {
        self.with(|state| {
            let changes = state.register(place);
            let real = changes
                .iter()
                .rfind(|change| change.outcome == Outcome::Done);
            real.and_then(|change| change.effect.clone())
        })
    }

    /// Judges a read that was begun at `begun` and has just ended.
    pub(crate) fn saw(&self, place: &Place, begun: u64, seen: Option<&Seen>) {
        self.reads.fetch_add(1, Ordering::Relaxed);
        let ended = self.now();
        let fault = self.with(|state| {
            let changes = state.register(place);
            let fits = changes
                .iter()
                .any(|change| admits(changes, change, (begun, ended), seen));
            (!fits).then(|| {
                format!("{place:?}: a read from {begun} to {ended} saw {seen:?} of {changes:#?}")
            })
        });
        if let Some(fault) = fault {
            self.fault(fault);
        }
    }

    /// Takes what is found in a restarted server for the truth, if it may be.
    pub(crate) fn settle(&self, place: &Place, seen: Option<&Seen>) {
        let now = self.now();
        self.saw(place, now, seen);
        self.with(|state| {
            let changes = state.register(place);
            let real = changes
                .iter()
                .rfind(|change| admits(changes, change, (now, now), seen));
            let unanswered =
                real.is_some_and(|change| change.begun > 0 && change.outcome == Outcome::Unknown);
            let effect = real.and_then(|change| change.effect.clone());
            *changes = vec![Change {
                effect,
                begun: 0,
                ended: 0,
                outcome: Outcome::Done,
            }];
            if let (true, Some(value), "raw") = (unanswered, seen, place.0) {
                state
                    .dues
                    .insert(Due::OfObject(place.1.clone(), value.etag.clone()));
            }
        });
    }

    /// The keys of a bucket, whether anything was asked of them since the last check, and what the
    /// last check found.
    pub(crate) fn keys(&self, bucket: &str) -> BTreeMap<String, (bool, Option<Value>)> {
        self.with(|state| {
            let of_bucket = state.registers.iter().filter(|((of, _), _)| *of == bucket);
            let about = |changes: &Vec<Change>| (changes.len() > 1, changes[0].effect.clone());
            of_bucket
                .map(|((_, key), changes)| (key.clone(), about(changes)))
                .collect()
        })
    }

    /// A callback must come of it.
    pub(crate) fn due(&self, request: Option<&str>, key: &str, kind: &'static str) {
        let request = request.unwrap_or_default().to_owned();
        self.with(|state| {
            state
                .dues
                .insert(Due::OfRequest(request, key.to_owned(), kind))
        });
    }

    /// A version, or a delete marker, is asked for.
    pub(crate) fn begin_version(&self, key: &str, what: Option<Value>) -> usize {
        let begun = self.now();
        self.with(|state| {
            if let Some(value) = &what {
                state
                    .issued
                    .insert((("kept", key.to_owned()), value.etag.clone()));
            }
            let versions = state.versions.entry(key.to_owned()).or_default();
            versions.unnamed.push(Some((what, begun)));
            versions.unnamed.len() - 1
        })
    }

    /// It was made, under this id; or it was refused.
    pub(crate) fn version(&self, key: &str, number: usize, id: Option<&str>) {
        let ended = self.now();
        self.with(|state| {
            let versions = state.versions.entry(key.to_owned()).or_default();
            let asked = versions.unnamed[number].take();
            if let (Some(id), Some((what, begun))) = (id, asked) {
                let (id, fate) = (id.to_owned(), Fate::Kept);
                versions.known.push(Version {
                    id,
                    what,
                    begun,
                    ended,
                    fate,
                });
            }
        });
    }

    /// Somebody deletes a version, or has deleted it.
    pub(crate) fn fate(&self, key: &str, id: &str, fate: Fate) {
        self.with(|state| {
            let versions = state.versions.entry(key.to_owned()).or_default();
            let mut known = versions.known.iter_mut();
            if let Some(version) = known.find(|version| version.id == id)
                && !matches!(version.fate, Fate::Gone(_))
            {
                version.fate = fate;
            }
        });
    }
}

impl State {
    fn register(&mut self, place: &Place) -> &mut Vec<Change> {
        let nothing = || {
            vec![Change {
                effect: None,
                begun: 0,
                ended: 0,
                outcome: Outcome::Done,
            }]
        };
        self.registers.entry(place.clone()).or_insert_with(nothing)
    }

    fn change(&mut self, id: &ChangeId) -> &mut Change {
        &mut self.register(&id.place)[id.number]
    }
}

impl Versions {
    /// Judges a listing of the key after a restart, newest first, and takes it for the truth.
    /// Answers with the ids that no answer had told.
    pub(crate) fn settle(
        &mut self,
        now: u64,
        listed: &[(String, Option<Seen>)],
    ) -> Result<Vec<String>, String> {
        let mut found: Vec<Version> = Vec::new();
        let mut new = Vec::new();
        for (id, seen) in listed {
            let known = self.known.iter().find(|version| version.id == *id);
            let version = match known {
                Some(version) if matches!(version.fate, Fate::Gone(_)) => {
                    return Err(format!("version {id} is back"));
                }
                Some(version) => version.clone(),
                None => {
                    let fits = |asked: &Option<(Option<Value>, u64)>| {
                        asked
                            .as_ref()
                            .is_some_and(|(what, _)| same(what.as_ref(), seen.as_ref()))
                    };
                    let at = self.unnamed.iter().position(fits);
                    let at =
                        at.ok_or_else(|| format!("nobody asked for version {id}: {seen:?}"))?;
                    let (what, begun) = self.unnamed[at].take().ok_or("taken")?;
                    new.push(id.clone());
                    Version {
                        id: id.clone(),
                        what,
                        begun,
                        ended: now,
                        fate: Fate::Kept,
                    }
                }
            };
            if !same(version.what.as_ref(), seen.as_ref()) {
                return Err(format!(
                    "version {id} is {seen:?} instead of {:?}",
                    version.what
                ));
            }
            if let Some(newer) = found.iter().find(|newer| newer.ended < version.begun) {
                return Err(format!(
                    "version {} stands before {id}, which came later",
                    newer.id
                ));
            }
            found.push(Version {
                fate: Fate::Kept,
                ..version
            });
        }
        let lost = |version: &&Version| {
            version.fate == Fate::Kept && !found.iter().any(|there| there.id == version.id)
        };
        if let Some(lost) = self.known.iter().find(lost) {
            return Err(format!("version {} is lost: {lost:?}", lost.id));
        }
        found.reverse();
        *self = Self {
            known: found,
            unnamed: Vec::new(),
        };
        Ok(new)
    }
}

fn same(value: Option<&Value>, seen: Option<&Seen>) -> bool {
    match (value, seen) {
        (None, None) => true,
        (Some(value), Some(seen)) => value.shows(seen),
        _ => false,
    }
}

/// Whether a read over this time may have seen that change's effect, which is `seen`.
fn admits(
    all: &[Change],
    change: &Change,
    (begun, ended): (u64, u64),
    seen: Option<&Seen>,
) -> bool {
    let overwritten = |other: &Change| {
        other.outcome == Outcome::Done && other.begun > change.ended && other.ended < begun
    };
    change.outcome != Outcome::Nothing
        && change.begun < ended
        && same(change.effect.as_ref(), seen)
        && !all.iter().any(overwritten)
}
