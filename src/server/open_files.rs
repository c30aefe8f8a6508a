//! Files that the system lets this process have open: sockets are files too.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files that no connection needs: RocksDB's (`max_open_files` and its logs), reads and writes under
/// way for others, callbacks.
const OWN_FILES: usize = 768;

/// A connection's socket, and the blob that its request reads or writes.
const FILES_OF_CONNECTION: usize = 2;

/// Raises the process's limit of open files to what the system allows, and gives back how many of
/// `connections` it is enough for.
pub(super) fn afford(connections: usize) -> usize {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::debug!(%error, "can't raise the limit of open files");
    }
    let allowed = getrlimit(Resource::Nofile).current;
    let allowed = allowed.and_then(|files| usize::try_from(files).ok());
    let affordable = enough_for(allowed.unwrap_or(usize::MAX)).min(connections);
    if affordable < connections {
        tracing::warn!(
            allowed,
            connections,
            affordable,
            "the system allows too few open files for limits.connections"
        );
    }
    affordable
}

fn enough_for(files: usize) -> usize {
    (files.saturating_sub(OWN_FILES) / FILES_OF_CONNECTION).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_counted_with_the_file_that_it_reads() {
        assert_eq!(enough_for(OWN_FILES + 20), 10);
        assert_eq!(enough_for(3), 1);
        assert_eq!(afford(5), 5);
    }
}
