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
        let limits = [self.objects, self.bytes];
        limits
            .into_iter()
            .zip(held.into_iter().zip(growth))
            .all(|(limit, (held, growth))| match limit.map(i64::try_from) {
                Some(Ok(limit)) if growth > 0 => held.saturating_add(growth) <= limit,
                _ => true,
            })
    }
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
