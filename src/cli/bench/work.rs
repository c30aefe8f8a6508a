//! What is measured: an operation, a size, a number of connections.

use std::fmt;

/// An operation of S3 that is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// `PutObject` to a key of its own.
    Put,
    /// `GetObject`, compared with what was put.
    Get,
    /// `HeadObject`.
    Head,
    /// `DeleteObject` of an object that was put before.
    Delete,
}

impl Kind {
    /// Its HTTP method.
    pub(super) const fn method(self) -> &'static str {
        match self {
            Self::Put => "PUT",
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Delete => "DELETE",
        }
    }
}

/// One measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    /// The operation.
    pub(super) kind: Kind,
    /// The object's length in bytes.
    pub(super) bytes: usize,
    /// Requests under way at a time, each on a connection of its own.
    pub(super) connections: usize,
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (size, unit) = match self.bytes {
            bytes if bytes >= 1 << 20 => (bytes >> 20, "MiB"),
            bytes if bytes >= 1 << 10 => (bytes >> 10, "KiB"),
            bytes => (bytes, "B"),
        };
        let method = self.kind.method().to_ascii_lowercase();
        write!(f, "{method}:{size}{unit}:{}", self.connections)
    }
}

/// Reads `put:4KiB:16`.
pub(super) fn parse_run(text: &str) -> Result<Run, String> {
    let usage = || format!("{text:?} is not OPERATION:SIZE:CONNECTIONS, such as put:4KiB:16");
    let mut fields = text.split(':');
    let (Some(kind), Some(size), Some(connections), None) =
        (fields.next(), fields.next(), fields.next(), fields.next())
    else {
        return Err(usage());
    };
    let kind = match kind {
        "put" => Kind::Put,
        "get" => Kind::Get,
        "head" => Kind::Head,
        "delete" => Kind::Delete,
        _ => return Err(usage()),
    };
    let digits = size.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let scale = match size.strip_prefix(digits) {
        Some("" | "B") => 1,
        Some("KiB") => 1 << 10,
        Some("MiB") => 1 << 20,
        _ => return Err(usage()),
    };
    let bytes: Option<usize> = digits.parse().ok();
    let bytes = bytes.and_then(|count| count.checked_mul(scale));
    let connections = connections.parse().ok().filter(|count| *count > 0);
    match (bytes, connections) {
        (Some(bytes), Some(connections)) => Ok(Run {
            kind,
            bytes,
            connections,
        }),
        _ => Err(usage()),
    }
}

/// The table that is measured when no run is named.
pub(super) fn default_runs() -> Vec<Run> {
    const KIB: usize = 1 << 10;
    const MIB: usize = 1 << 20;
    let row = |kind, bytes, connections: &[usize]| {
        let runs = connections.iter().map(move |connections| Run {
            kind,
            bytes,
            connections: *connections,
        });
        runs.collect::<Vec<_>>()
    };
    [
        row(Kind::Put, 4 * KIB, &[1, 16, 64]),
        row(Kind::Put, MIB, &[16]),
        row(Kind::Put, 16 * MIB, &[1, 16, 64]),
        row(Kind::Put, 64 * MIB, &[1]),
        row(Kind::Delete, 4 * KIB, &[16]),
        row(Kind::Get, 4 * KIB, &[1, 16, 64]),
        row(Kind::Get, MIB, &[16]),
        row(Kind::Get, 16 * MIB, &[1, 16, 64]),
        row(Kind::Get, 64 * MIB, &[1, 16]),
        row(Kind::Head, 4 * KIB, &[16]),
    ]
    .concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_read_as_they_are_written() {
        for run in default_runs() {
            assert_eq!(parse_run(&run.to_string()), Ok(run));
        }
        for bad in [
            "",
            "put",
            "put:4KiB",
            "put:4KB:1",
            "get:1B:0",
            "cut:1B:1",
            "put:x:1:2",
        ] {
            assert!(parse_run(bad).is_err(), "{bad}");
        }
    }
}
