//! The hottest pieces of work, each ready to be done again and again: what `tests/bench` times, and whose
//! instructions `scripts/bench-instructions` counts.
//!
//! It lives in the crate, where it sees what it measures, and is no part of the server: the feature `micro`
//! and the tests alone compile it. Whatever a case does is checked each time, since work that fails is
//! often quick.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a measurement ends where its work fails, and is no part of the server"
)]

mod pure;
mod requests;

/// A piece of work.
pub struct Case {
    /// Its name.
    pub name: &'static str,
    /// How often it is done for its instructions to be counted: so often that they are a hundred times what
    /// differs between two runs of the same, since maps are seeded at random.
    pub times: u32,
    /// Prepares it; what comes of that does it once.
    pub prepare: Box<dyn FnOnce() -> Work>,
}

/// Does a piece of work once.
pub type Work = Box<dyn FnMut()>;

impl std::fmt::Debug for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

fn case<W: FnMut() + 'static>(
    name: &'static str,
    times: u32,
    prepare: impl FnOnce() -> W + 'static,
) -> Case {
    let prepare = Box::new(|| Box::new(prepare()) as Work);
    Case {
        name,
        times,
        prepare,
    }
}

/// All of them.
pub fn cases() -> Vec<Case> {
    let mut cases = pure::cases();
    cases.extend(requests::cases());
    cases
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_case_does_its_work_again_and_again() {
        for case in super::cases() {
            let mut work = (case.prepare)();
            work();
            work();
        }
    }
}
