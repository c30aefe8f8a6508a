//! What is known of a request, by the names that conditions and variables use.

use std::collections::HashMap;

/// What is known of a request: condition keys, each with one or several values. Keys do not
/// regard case, save what follows the `/` of S3's own tag keys: two tags may differ in case only.
#[derive(Debug, Clone, Default)]
pub struct Context {
    values: HashMap<String, Vec<String>>,
}

impl Context {
    /// Nothing is known yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts one value in the place of all that the key has.
    pub fn set(&mut self, key: &str, value: impl Into<String>) {
        self.values.insert(canonical(key), vec![value.into()]);
    }

    /// [`Context::set`] where there is a value.
    pub fn set_if(&mut self, key: &str, value: Option<impl Into<String>>) {
        if let Some(value) = value {
            self.set(key, value);
        }
    }

    /// Adds a value to a key that may have several, as `s3:RequestObjectTagKeys`.
    pub fn add(&mut self, key: &str, value: impl Into<String>) {
        let values = self.values.entry(canonical(key)).or_default();
        values.push(value.into());
    }

    /// The values of the key; none at all where it is not there.
    pub fn get(&self, key: &str) -> &[String] {
        self.lookup(&canonical(key))
    }

    /// [`Context::get`] of a key that is in its canonical form.
    pub(super) fn lookup(&self, canonical: &str) -> &[String] {
        self.values.get(canonical).map_or(&[], Vec::as_slice)
    }
}

/// The one spelling of a condition key.
pub(super) fn canonical(key: &str) -> String {
    match key.split_once('/') {
        Some((family, tag)) if family.to_ascii_lowercase().starts_with("s3:") => {
            format!("{}/{tag}", family.to_ascii_lowercase())
        }
        _ => key.to_ascii_lowercase(),
    }
}
