//! What becomes of objects with time.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lifecycle-mgmt.html>

use std::time::Duration;

use crate::clock::Timestamp;
use crate::store::ObjectRecord;

const DAY_MS: i64 = 24 * 3600 * 1000;

/// A rule.
#[derive(Debug, Clone, Default, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct LifecycleRule {
    /// Its name.
    #[n(0)]
    pub id: String,
    /// Whether it is heeded.
    #[n(1)]
    pub enabled: bool,
    /// What it is about.
    #[cbor(n(2), default)]
    pub filter: LifecycleFilter,
    /// When current versions go.
    #[n(3)]
    pub expiration: Option<Expiration>,
    /// When noncurrent versions go.
    #[n(4)]
    pub noncurrent: Option<NoncurrentExpiration>,
    /// Days after which an upload that was begun is given up.
    #[n(5)]
    pub abort_days: Option<u32>,
}

/// What a rule is about.
#[derive(Debug, Clone, Default, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct LifecycleFilter {
    /// Keys that begin so.
    #[n(0)]
    pub prefix: Option<String>,
    /// Objects with all of these tags.
    #[cbor(n(1), default)]
    pub tags: Vec<(String, String)>,
    /// Objects of more bytes.
    #[n(2)]
    pub larger_than: Option<u64>,
    /// Objects of fewer bytes.
    #[n(3)]
    pub smaller_than: Option<u64>,
    /// How it was written, which is how it is told.
    #[cbor(n(4), default)]
    pub form: FilterForm,
}

/// The three ways in which S3 lets a filter be written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
#[cbor(index_only)]
pub enum FilterForm {
    /// A `Filter` of at most one condition.
    #[n(0)]
    #[default]
    Single,
    /// A `Filter` with an `And`.
    #[n(1)]
    And,
    /// A `Prefix` of the rule itself, the oldest way.
    #[n(2)]
    Prefix,
}

/// When current versions go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub enum Expiration {
    /// So many days after they were written.
    #[n(0)]
    Days(#[n(0)] u32),
    /// At this time.
    #[n(1)]
    Date(#[n(0)] Timestamp),
    /// Delete markers, once nothing is left behind them.
    #[n(2)]
    DeleteMarkers,
}

/// When noncurrent versions go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct NoncurrentExpiration {
    /// So many days after a newer one took their place.
    #[n(0)]
    pub days: u32,
    /// Save so many of the newest.
    #[n(1)]
    pub newer: Option<u32>,
}

/// The least size of objects that a transition moves. There is one storage class, so that it is kept
/// and told only.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
#[cbor(index_only)]
pub enum TransitionSize {
    /// 128 KiB for each class.
    #[n(0)]
    #[default]
    AllStorageClasses128K,
    /// None for the archives, 128 KiB for the other classes.
    #[n(1)]
    VariesByStorageClass,
}

impl TransitionSize {
    /// Each of them.
    pub const ALL: [Self; 2] = [Self::AllStorageClasses128K, Self::VariesByStorageClass];

    /// S3's name for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AllStorageClasses128K => "all_storage_classes_128K",
            Self::VariesByStorageClass => "varies_by_storage_class",
        }
    }
}

/// How long a day is: shorter in tests, and then nothing waits for midnight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DayLength(pub Duration);

impl Default for DayLength {
    fn default() -> Self {
        Self(Duration::from_secs(24 * 3600))
    }
}

impl DayLength {
    /// When `days` after `from` have passed: with days of a day, the midnight after that.
    pub fn after(self, from: Timestamp, days: u32) -> Timestamp {
        let due = from.plus(self.0.saturating_mul(days));
        if self != Self::default() {
            return due;
        }
        let ms = due.unix_ms();
        let over = ms.rem_euclid(DAY_MS);
        if over == 0 {
            return due;
        }
        Timestamp::from_unix_ms(ms.saturating_sub(over).saturating_add(DAY_MS))
    }
}

impl LifecycleFilter {
    /// Whether an object is one that it is about.
    pub fn takes(&self, key: &str, record: &ObjectRecord) -> bool {
        let tags = record.extras.tags.as_deref().unwrap_or_default();
        self.takes_key(key)
            && self.tags.iter().all(|tag| tags.contains(tag))
            && self.larger_than.is_none_or(|bytes| record.len > bytes)
            && self.smaller_than.is_none_or(|bytes| record.len < bytes)
    }

    /// Whether a key is one that it is about.
    pub fn takes_key(&self, key: &str) -> bool {
        self.prefix
            .as_deref()
            .is_none_or(|prefix| key.starts_with(prefix))
    }
}

impl LifecycleRule {
    /// When the rule lets a current version go; none where it never does.
    pub fn expires(&self, key: &str, record: &ObjectRecord, day: DayLength) -> Option<Timestamp> {
        if !self.enabled || !self.filter.takes(key, record) {
            return None;
        }
        match self.expiration? {
            Expiration::Days(days) => Some(day.after(record.modified, days)),
            Expiration::Date(date) => Some(date),
            Expiration::DeleteMarkers => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{ETag, Extras};

    #[test]
    fn a_day_ends_at_the_next_midnight() {
        let at = Timestamp::parse_iso8601;
        let due = DayLength::default().after(at("2024-02-28T10:00:00Z").unwrap(), 1);
        assert_eq!(due, at("2024-03-01T00:00:00Z").unwrap());
        let short = DayLength(Duration::from_secs(10));
        let from = Timestamp::from_unix_s(5);
        assert_eq!(short.after(from, 3), Timestamp::from_unix_s(35));
    }

    #[test]
    fn a_filter_takes_what_fits_all_of_it() {
        let record = ObjectRecord {
            extras: Extras {
                tags: Some(vec![("a".into(), "1".into()), ("b".into(), "2".into())]),
                ..Extras::default()
            },
            ..ObjectRecord::new(
                "o".into(),
                Timestamp::from_unix_s(0),
                1,
                ETag::md5([0; 16]),
                (100, Vec::new()),
            )
        };
        let filter = LifecycleFilter {
            prefix: Some("logs/".into()),
            tags: vec![("a".into(), "1".into())],
            larger_than: Some(99),
            smaller_than: Some(101),
            form: FilterForm::And,
        };
        assert!(filter.takes("logs/x", &record));
        assert!(!filter.takes("log", &record));
        let other = LifecycleFilter {
            tags: vec![("a".into(), "2".into())],
            ..filter.clone()
        };
        assert!(!other.takes("logs/x", &record));
        let exact = LifecycleFilter {
            larger_than: Some(100),
            ..filter
        };
        assert!(!exact.takes("logs/x", &record));
    }
}
