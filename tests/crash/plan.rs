//! When the server dies: drawn from the seed before anything begins.

use std::time::Duration;

use consign::fail_point::POINTS;

use crate::support::Random;

/// One death.
#[derive(Debug, Clone)]
pub(crate) enum Kill {
    /// From outside, after so many answers and then so many microseconds, so that it falls between
    /// answers too.
    AtRandom { answers: u64, micros: u64 },
    /// By its own hand.
    At(Point),
    /// As [`Kill::At`], before it is ready again after the death before.
    AtStart(Point),
}

/// A fail point, reached so often.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Point {
    pub(crate) name: &'static str,
    pub(crate) nth: u64,
}

impl Kill {
    /// Whether it needs uploaders who wait for an app server.
    pub(crate) fn needs_askers(&self) -> bool {
        matches!(self, Self::At(point) if point.name.starts_with("ask.") || point.name.starts_with("keep."))
    }
}

/// What only a start does; the death before it leaves something to do.
const AT_START: [&str; 2] = ["sweep.begun", "sweep.deleted"];

/// What the deliverer does for an upload that died while its app server was asked, which it gives a
/// dozen seconds to be decided; the death before it leaves such an upload.
const AFTER_ASKED: &str = "ask.abandoned";

/// How long a storm goes on that does not reach its fail point: on a busy machine it takes longer.
const STORM_TIME: Duration = Duration::from_secs(4);
const STORM_TIME_AFTER_ASKED: Duration = Duration::from_secs(20);

impl Point {
    /// How long a storm may take to reach it.
    pub(crate) fn storm_time(self) -> Duration {
        if self.name == AFTER_ASKED {
            STORM_TIME_AFTER_ASKED
        } else {
            STORM_TIME
        }
    }
}

/// How often a storm of a second reaches a point, about.
fn often(name: &str) -> u64 {
    match name.split_once('.').map_or(name, |(group, _)| group) {
        "meta" | "change" => 60,
        "put" | "blob" | "deliver" => 25,
        "garbage" => 8,
        "link" | "delete" | "once" | "part" | "upload" => 4,
        "keep" | "rename" => 2,
        _ => 1,
    }
}

/// `count` deaths: two of three at fail points, each of which has its turn before any has another.
pub(crate) fn draw(count: usize, random: &mut Random) -> Vec<Kill> {
    let mut kills = Vec::new();
    let mut points: Vec<&'static str> = Vec::new();
    while kills.len() < count {
        if kills.len() % 3 == 2 {
            let (answers, micros) = (30 + random.below(200), random.below(20_000));
            kills.push(Kill::AtRandom { answers, micros });
            continue;
        }
        if points.is_empty() {
            points = shuffled(random);
        }
        let Some(name) = points.pop() else { break };
        let point = Point {
            name,
            nth: 1 + random.below(often(name)),
        };
        if AT_START.contains(&name) && kills.len() + 1 < count {
            // It leaves a blob that nothing names.
            kills.push(Kill::At(Point {
                name: "blob.published",
                nth: 1 + random.below(10),
            }));
            kills.push(Kill::AtStart(point));
            continue;
        }
        if name == AFTER_ASKED && kills.len() + 1 < count {
            kills.push(asked());
        }
        kills.push(Kill::At(point));
    }
    kills
}

/// A death that leaves an upload about which an app server is being asked.
const fn asked() -> Kill {
    Kill::At(Point {
        name: "ask.committed",
        nth: 1,
    })
}

/// `count` deaths at one point, for who looks for what it does.
pub(crate) fn all_at(name: &str, count: usize, random: &mut Random) -> Vec<Kill> {
    let known = POINTS.iter().copied().find(|point| *point == name);
    let name = known.unwrap_or_else(|| panic!("{name} is none of {POINTS:?}"));
    let mut point = || Point {
        name,
        nth: 1 + random.below(often(name)),
    };
    let at = |_| Kill::At(point());
    let kills = (0..count).map(at);
    if name == AFTER_ASKED {
        return kills.flat_map(|kill| [asked(), kill]).take(count).collect();
    }
    kills.collect()
}

fn shuffled(random: &mut Random) -> Vec<&'static str> {
    let mut points = POINTS.to_vec();
    for at in (1..points.len()).rev() {
        let other = usize::try_from(random.below(at as u64 + 1)).unwrap();
        points.swap(at, other);
    }
    points
}
