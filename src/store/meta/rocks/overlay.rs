//! What the batches of a group have changed, of which nothing is written yet.

use std::collections::BTreeMap;
use std::ops::Range;

use bytes::Bytes;

use super::Lookup;
use crate::store::meta::{KeyRange, Space};

/// Changed rows: where one is not here, what is stored counts, unless all around it was taken away.
#[derive(Debug, Default)]
pub(super) struct Overlay {
    rows: BTreeMap<(Space, Bytes), Option<Bytes>>,
    emptied: Vec<(Space, Range<Bytes>)>,
}

impl Overlay {
    /// The key's value, if it was changed.
    pub(super) fn value(&self, space: Space, key: &Bytes) -> Lookup {
        match self.rows.get(&(space, key.clone())) {
            Some(changed) => Lookup::Known(changed.clone()),
            None if self.is_emptied(space, key) => Lookup::Known(None),
            None => Lookup::OnDisk,
        }
    }

    /// Whether a stored row of that key is gone, if it was not changed by itself.
    pub(super) fn is_emptied(&self, space: Space, key: &[u8]) -> bool {
        let holds = |(of, keys): &(Space, Range<Bytes>)| {
            *of == space && keys.start.as_ref() <= key && key < keys.end.as_ref()
        };
        self.emptied.iter().any(holds)
    }

    /// The rows of `range` that were changed by themselves, in order.
    pub(super) fn rows<'a>(
        &'a self,
        space: Space,
        range: &'a KeyRange,
    ) -> impl Iterator<Item = (&'a Bytes, &'a Option<Bytes>)> {
        let rows = self.rows.range((space, range.start.clone())..);
        let rows = rows.map(|((of, key), value)| (*of, key, value));
        let inside = move |of: Space, key: &Bytes| {
            of == space && range.end.as_ref().is_none_or(|end| key < end)
        };
        let rows = rows.take_while(move |(of, key, _value)| inside(*of, key));
        rows.map(|(_space, key, value)| (key, value))
    }

    /// All rows that were changed by themselves.
    pub(super) fn changed(&self) -> impl Iterator<Item = (Space, &Bytes)> {
        self.rows.keys().map(|(space, key)| (*space, key))
    }

    /// The spaces of which ranges were taken away.
    pub(super) fn empties(&self) -> impl Iterator<Item = Space> {
        self.emptied.iter().map(|(space, _keys)| *space)
    }

    /// The key has this value.
    pub(super) fn put(&mut self, space: Space, key: Bytes, value: Bytes) {
        self.rows.insert((space, key), Some(value));
    }

    /// The key has none.
    pub(super) fn delete(&mut self, space: Space, key: Bytes) {
        self.rows.insert((space, key), None);
    }

    /// None of the keys has one.
    pub(super) fn empty(&mut self, space: Space, keys: Range<Bytes>) {
        let (first, behind) = ((space, keys.start.clone()), (space, keys.end.clone()));
        // An empty range is none to a map.
        if first < behind {
            for (_key, value) in self.rows.range_mut(first..behind) {
                *value = None;
            }
        }
        self.emptied.push((space, keys));
    }
}
