//! Commands whose reader is gone.

use std::process::{Command, Stdio};

#[test]
fn a_reader_that_is_gone_ends_a_command_quietly() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().to_str().unwrap();
    for command in [
        "config check",
        "presign put uploads/a --access-key AK --secret-key SK --endpoint http://h",
        "presign put uploads/a --access-key AK --secret-key SK --endpoint http://h --json",
        "completion bash",
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let run = Command::new(env!("CARGO_BIN_EXE_consign"))
            .args(command.split(' '))
            .env("CONSIGN_DATA_DIR", folder)
            .stdout(writer)
            .stderr(Stdio::piped())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&run.stderr);
        assert_eq!((run.status.code(), &*said), (Some(0), ""), "{command}");
    }
}
