//! Object lock: versions that must not be lost before their time.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock.html>

use std::time::Duration;

use super::{ObjectRecord, Settings, StoreError};
use crate::clock::Timestamp;

const DAY: Duration = Duration::from_secs(24 * 3600);
/// Days of a year, as S3 counts them here.
const YEAR_DAYS: u32 = 365;

/// How strictly a version is retained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
#[cbor(index_only)]
pub enum LockMode {
    /// Who may bypass it can delete the version all the same.
    #[n(0)]
    Governance,
    /// Nobody can.
    #[n(1)]
    Compliance,
}

impl LockMode {
    /// `GOVERNANCE`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Governance => "GOVERNANCE",
            Self::Compliance => "COMPLIANCE",
        }
    }

    /// The mode of that name.
    pub fn named(name: &str) -> Option<Self> {
        let mut both = [Self::Governance, Self::Compliance].into_iter();
        both.find(|mode| mode.as_str() == name)
    }
}

/// Until when a version is retained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct Retention {
    /// How strictly.
    #[n(0)]
    pub mode: LockMode,
    /// Until when.
    #[n(1)]
    pub until: Timestamp,
}

impl Retention {
    /// Whether it may become `new` at `now`: it may always last longer.
    pub fn may_become(&self, new: Option<&Self>, now: Timestamp, bypass: bool) -> bool {
        if self.until <= now {
            return true;
        }
        let longer = new.is_some_and(|new| new.mode == self.mode && new.until >= self.until);
        longer || (bypass && self.mode == LockMode::Governance)
    }
}

/// How long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub enum Period {
    /// Days.
    #[n(0)]
    Days(#[n(0)] u32),
    /// Years.
    #[n(1)]
    Years(#[n(0)] u32),
}

/// What new versions of a bucket are given, where their writer says nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct DefaultRetention {
    /// How strictly.
    #[n(0)]
    pub mode: LockMode,
    /// For how long.
    #[n(1)]
    pub period: Period,
}

/// That a bucket locks objects.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct ObjectLock {
    /// What new versions are given.
    #[n(0)]
    pub default: Option<DefaultRetention>,
}

impl DefaultRetention {
    fn from(self, now: Timestamp) -> Retention {
        let days = match self.period {
            Period::Days(days) => days,
            Period::Years(years) => years.saturating_mul(YEAR_DAYS),
        };
        let until = now.plus(DAY.saturating_mul(days));
        let mode = self.mode;
        Retention { mode, until }
    }
}

/// Gives a new version the bucket's default, where its writer gave it nothing.
pub(super) fn apply_default(settings: &Settings, record: &mut ObjectRecord) {
    let default = settings.object_lock.and_then(|lock| lock.default);
    if let (Some(default), None, false) =
        (default, record.extras.retention, record.is_delete_marker())
    {
        record.extras.retention = Some(default.from(record.modified));
    }
}

/// Judges whether a version may be lost at `now`.
///
/// # Errors
/// [`StoreError::Locked`].
pub(super) fn check_may_go(
    record: &ObjectRecord,
    now: Timestamp,
    bypass: bool,
) -> Result<(), StoreError> {
    let held = record.extras.legal_hold == Some(true);
    let retained = record.extras.retention.is_some_and(|retention| {
        let bypassed = bypass && retention.mode == LockMode::Governance;
        retention.until > now && !bypassed
    });
    if held || retained {
        return Err(StoreError::Locked);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{ETag, Extras};

    #[test]
    fn retention_only_grows_unless_it_is_bypassed() {
        let (now, later, last) = (1, 10, 20);
        let at = |mode, s| Retention {
            mode,
            until: Timestamp::from_unix_s(s),
        };
        let (soft, hard) = (LockMode::Governance, LockMode::Compliance);
        for (old, new, bypass, may) in [
            (at(soft, later), Some(at(soft, last)), false, true),
            (at(soft, last), Some(at(soft, later)), false, false),
            (at(soft, last), Some(at(soft, later)), true, true),
            (at(soft, later), None, true, true),
            (at(soft, later), Some(at(hard, last)), false, false),
            (at(soft, later), Some(at(hard, last)), true, true),
            (at(hard, later), Some(at(soft, last)), true, false),
            (at(hard, later), None, true, false),
            (at(hard, now), None, false, true),
        ] {
            let became = old.may_become(new.as_ref(), Timestamp::from_unix_s(now), bypass);
            assert_eq!(became, may, "{old:?} {new:?} {bypass}");
        }
    }

    #[test]
    fn a_locked_version_may_not_go() {
        let now = Timestamp::from_unix_s(100);
        let record = |mode, until, legal_hold| ObjectRecord {
            extras: Extras {
                retention: Some(Retention {
                    mode,
                    until: Timestamp::from_unix_s(until),
                }),
                legal_hold,
                ..Extras::default()
            },
            ..ObjectRecord::new("o".into(), now, 1, ETag::md5([0; 16]), (0, Vec::new()))
        };
        let (soft, hard) = (LockMode::Governance, LockMode::Compliance);
        let goes = |record, bypass| check_may_go(&record, now, bypass).is_ok();
        assert!(goes(record(hard, 100, None), false));
        assert!(!goes(record(soft, 101, None), false));
        assert!(goes(record(soft, 101, None), true));
        assert!(!goes(record(hard, 101, None), true));
        assert!(!goes(record(hard, 1, Some(true)), true));
    }
}
