//! How much a bucket may hold.

/// How much a bucket may hold: all versions of all objects, without the parts of open uploads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct Quota {
    /// Bytes of objects.
    #[n(0)]
    pub bytes: Option<u64>,
    /// Objects, each version for itself.
    #[n(1)]
    pub objects: Option<u64>,
}

impl Quota {
    /// Whether a bucket that holds `held` and grows by `growth` (objects and bytes) stays within. What
    /// does not grow is never refused: a full bucket can be emptied.
    pub fn admits(self, held: [i64; 2], growth: [i64; 2]) -> bool {
        let ([objects, bytes], [more_objects, more_bytes]) = (held, growth);
        stays_within(self.objects, objects, more_objects)
            && stays_within(self.bytes, bytes, more_bytes)
    }
}

fn stays_within(limit: Option<u64>, held: i64, growth: i64) -> bool {
    let Some(limit) = limit.filter(|_limit| growth > 0) else {
        return true;
    };
    // A bucket that holds less than nothing holds nothing.
    u64::try_from(held.saturating_add(growth)).unwrap_or(0) <= limit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_bounds_growth_alone() {
        let quota = Quota {
            bytes: Some(10),
            objects: Some(2),
        };
        for (held, growth, admitted) in [
            ([0, 0], [1, 10], true),
            ([0, 0], [1, 11], false),
            ([1, 5], [1, 5], true),
            ([2, 5], [1, 0], false),
            ([2, 10], [0, 0], true),
            ([9, 99], [-1, -5], true),
            ([9, 9], [0, 1], true),
            ([1, 99], [1, -5], true),
        ] {
            assert_eq!(quota.admits(held, growth), admitted, "{held:?} {growth:?}");
        }
        assert!(Quota::default().admits([i64::MAX, i64::MAX], [1, 1]));
    }
}
