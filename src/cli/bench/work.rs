//! What is measured: an operation, and how much of it at a time.

use std::fmt;

use http::Method;

use crate::cli::size;

/// How a run is written, for who wrote it otherwise.
const USAGE: &str = "put:4KiB:16 (operation, size, connections; also get, head, delete), \
    list:10000:1 (keys, connections; also listdir), multipart:256MiB:8MiB:4 (size, size of a part, \
    connections), complete:10000 (parts) or copy:5GiB (size)";
/// Connections that send the parts of an upload where none are named.
const UPLOAD_CONNECTIONS: usize = 4;
/// The parts that an upload may have.
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html>
const PARTS_MAX: usize = 10_000;

/// An operation on one object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// `PutObject` to a key of its own.
    Put,
    /// `GetObject`, compared with what was put.
    Get,
    /// `HeadObject`, whose length is compared.
    Head,
    /// `DeleteObject` of an object that was put before.
    Delete,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Put, Self::Get, Self::Head, Self::Delete];

    /// Its HTTP method.
    pub(super) const fn method(self) -> Method {
        match self {
            Self::Put => Method::PUT,
            Self::Get => Method::GET,
            Self::Head => Method::HEAD,
            Self::Delete => Method::DELETE,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Put => "put",
            Self::Get => "get",
            Self::Head => "head",
            Self::Delete => "delete",
        }
    }
}

/// What a `ListObjectsV2` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Listing {
    /// A page of 1,000 keys, each time another one.
    Page,
    /// The 100 prefixes that all keys are under, by a delimiter.
    Prefixes,
}

/// One measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Run {
    /// An operation on objects of one size.
    Object {
        /// The operation.
        kind: Kind,
        /// The object's length in bytes.
        bytes: usize,
        /// Requests under way at a time, each on a connection of its own.
        connections: usize,
    },
    /// `ListObjectsV2` in a bucket of so many keys.
    List {
        /// What is asked for.
        listing: Listing,
        /// Keys in the bucket.
        keys: usize,
        /// Requests under way at a time.
        connections: usize,
    },
    /// A whole multipart upload.
    Multipart {
        /// The object's length in bytes.
        bytes: usize,
        /// A part's length; the last one may be shorter.
        part_bytes: usize,
        /// Parts under way at a time.
        connections: usize,
    },
    /// `CompleteMultipartUpload` of so many parts of 5 MiB, themselves copied from one object.
    Complete {
        /// The parts.
        parts: usize,
    },
    /// `CopyObject` of an object that was uploaded in parts.
    Copy {
        /// The object's length in bytes.
        bytes: usize,
    },
}

/// A size in the largest unit that tells it whole.
struct Size(usize);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
        let whole = |(shift, _): &(u32, &str)| self.0 > 0 && self.0.trailing_zeros() >= *shift;
        match units.into_iter().find(whole) {
            Some((shift, unit)) => write!(f, "{}{unit}", self.0 >> shift),
            None => write!(f, "{}B", self.0),
        }
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Object {
                kind,
                bytes,
                connections,
            } => write!(f, "{}:{}:{connections}", kind.name(), Size(bytes)),
            Self::List {
                listing: Listing::Page,
                keys,
                connections,
            } => write!(f, "list:{keys}:{connections}"),
            Self::List {
                listing: Listing::Prefixes,
                keys,
                connections,
            } => write!(f, "listdir:{keys}:{connections}"),
            Self::Multipart {
                bytes,
                part_bytes,
                connections,
            } => {
                let (size, part) = (Size(bytes), Size(part_bytes));
                write!(f, "multipart:{size}:{part}:{connections}")
            }
            Self::Complete { parts } => write!(f, "complete:{parts}"),
            Self::Copy { bytes } => write!(f, "copy:{}", Size(bytes)),
        }
    }
}

fn positive(text: &str) -> Option<usize> {
    text.parse().ok().filter(|count| *count > 0)
}

fn bytes_of(text: &str) -> Option<usize> {
    usize::try_from(size::parse(text).ok()?).ok()
}

/// Reads `put:4KiB:16` and its like.
pub(super) fn parse_run(text: &str) -> Result<Run, String> {
    let fields: Vec<_> = text.split(':').collect();
    read(&fields).ok_or_else(|| format!("{text:?} is no run, such as {USAGE}"))
}

fn read(fields: &[&str]) -> Option<Run> {
    match *fields {
        [name @ ("list" | "listdir"), keys, connections] => Some(Run::List {
            listing: if name == "list" {
                Listing::Page
            } else {
                Listing::Prefixes
            },
            keys: positive(keys)?,
            connections: positive(connections)?,
        }),
        ["multipart", size, part] => upload(size, part, UPLOAD_CONNECTIONS),
        ["multipart", size, part, connections] => upload(size, part, positive(connections)?),
        ["complete", parts] => Some(Run::Complete {
            parts: positive(parts).filter(|parts| *parts <= PARTS_MAX)?,
        }),
        ["copy", size] => Some(Run::Copy {
            bytes: bytes_of(size).filter(|bytes| *bytes > 0)?,
        }),
        [name, size, connections] => Some(Run::Object {
            kind: Kind::ALL.into_iter().find(|kind| kind.name() == name)?,
            bytes: bytes_of(size)?,
            connections: positive(connections)?,
        }),
        _ => None,
    }
}

fn upload(size: &str, part: &str, connections: usize) -> Option<Run> {
    let (bytes, part_bytes) = (bytes_of(size)?, bytes_of(part)?);
    let parts = bytes
        .checked_add(part_bytes)?
        .checked_sub(1)?
        .checked_div(part_bytes)?;
    (1..=PARTS_MAX).contains(&parts).then_some(Run::Multipart {
        bytes,
        part_bytes,
        connections,
    })
}

/// The table that is measured when no run is named.
pub(super) fn default_runs() -> Vec<Run> {
    const KIB: usize = 1 << 10;
    const MIB: usize = 1 << 20;
    let row = |kind, bytes, connections: &[usize]| {
        let runs = connections.iter().map(move |connections| Run::Object {
            kind,
            bytes,
            connections: *connections,
        });
        runs.collect::<Vec<_>>()
    };
    let list = |listing| Run::List {
        listing,
        keys: 10_000,
        connections: 1,
    };
    [
        row(Kind::Put, 4 * KIB, &[1, 16, 64]),
        row(Kind::Put, MIB, &[16]),
        row(Kind::Put, 16 * MIB, &[1, 16, 64]),
        row(Kind::Delete, 4 * KIB, &[16]),
        row(Kind::Get, 4 * KIB, &[1, 16, 64]),
        row(Kind::Get, MIB, &[16]),
        row(Kind::Get, 16 * MIB, &[1, 16, 64]),
        row(Kind::Get, 64 * MIB, &[1, 16, 64]),
        row(Kind::Head, 4 * KIB, &[16]),
        vec![
            list(Listing::Page),
            list(Listing::Prefixes),
            Run::Multipart {
                bytes: 256 * MIB,
                part_bytes: 8 * MIB,
                connections: UPLOAD_CONNECTIONS,
            },
            Run::Complete { parts: 1000 },
            Run::Copy { bytes: 1 << 30 },
        ],
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
        for (text, full) in [
            ("put:4097B:1", "put:4097B:1"),
            ("get:0B:2", "get:0B:2"),
            ("multipart:9MiB:8MiB", "multipart:9MiB:8MiB:4"),
            ("listdir:7:3", "listdir:7:3"),
            ("copy:5120MiB", "copy:5GiB"),
        ] {
            assert_eq!(parse_run(text).map(|run| run.to_string()), Ok(full.into()));
        }
    }

    #[test]
    fn what_is_no_run_is_refused() {
        for bad in [
            "",
            "put",
            "put:4KiB",
            "put:4kb:1",
            "get:1B:0",
            "cut:1B:1",
            "put:x:1:2",
            "list:0:1",
            "list:10KiB:1",
            "multipart:1GiB",
            "multipart:1GiB:0:1",
            "multipart:0:1MiB:1",
            "multipart:10001B:1B:1",
            "complete:10001",
            "complete:0",
            "copy:0",
            "copy:1:1",
        ] {
            assert!(parse_run(bad).is_err(), "{bad}");
        }
    }
}
