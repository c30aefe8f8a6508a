use super::*;

fn load(text: &str, env: &[(&str, &str)], flags: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.toml");
    std::fs::write(&path, text).unwrap();
    let env = env
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
        .collect();
    let flag = |(k, v): &(&str, &str)| (format!("--{k}"), (*k).to_owned(), (*v).to_owned());
    Config::load(&Sources {
        file: Some(path),
        env,
        flags: flags.iter().map(flag).collect(),
    })
}

fn refusal(text: &str, env: &[(&str, &str)]) -> String {
    load(text, env, &[])
        .expect_err("this must be refused")
        .to_string()
}

#[test]
fn each_source_overrides_the_one_before() {
    let file = "region = \"file\"\nlisten = \"127.0.0.1:1\"\n[limits]\nconnections = 7\n";
    let env = [
        ("CONSIGN_REGION", "env"),
        ("CONSIGN_LISTEN", "127.0.0.1:2"),
        ("HOME", "/"),
    ];
    let config = load(file, &env, &[("listen", "127.0.0.1:3")]).unwrap();
    assert_eq!(config.listen.port(), 3);
    assert_eq!(config.region, "env");
    assert_eq!(config.limits.connections, 7);
}

#[test]
fn an_unknown_setting_names_its_line_and_the_nearest_one() {
    let message = refusal("region = \"x\"\nlisen = \"127.0.0.1:1\"\n", &[]);
    assert!(message.contains("line 2"), "{message}");
    assert!(message.contains("did you mean \"listen\"?"), "{message}");
    let message = refusal("[limits]\nconections = 1\n", &[]);
    assert!(
        message.contains("did you mean \"limits.connections\"?"),
        "{message}"
    );
    let message = refusal("", &[("CONSIGN_DATADIR", "x")]);
    assert!(
        message.contains("did you mean \"CONSIGN_DATA_DIR\"?"),
        "{message}"
    );
    if !cfg!(feature = "fail-points") {
        let message = refusal("", &[("CONSIGN_FAIL_POINT", "put.decided:1")]);
        assert!(message.contains("CONSIGN_FAIL_POINT"), "{message}");
    }
    let message = refusal("[[callback.rule]]\nendpiont = \"a\"\n", &[]);
    assert!(message.contains("did you mean \"endpoint\"?"), "{message}");
}

#[test]
fn wrong_values_say_what_they_must_be() {
    for (text, part) in [
        ("durability = \"maybe\"", "must be \"fsync\" or \"none\""),
        ("listen = \"nowhere\"", "ADDRESS:PORT"),
        ("region = [\"a\", \"b\"]", "takes one value"),
        ("root_access_key = \"a\"", "together"),
        ("presign_seconds_max = 604801", "between 1 and 604800"),
        ("region = ", "line 1"),
        (
            "[[callback.endpoint]]\nname = \"a\"\nurl = \"ftp://x\"\n",
            "http://",
        ),
        (
            "[[callback.endpoint]]\nname = \"a\"\nurl = \"http://x\"\nattempts = 0\n",
            "from 1 to 100",
        ),
        (
            // 16 bytes: fewer than the signer takes.
            "[[callback.endpoint]]\nsecrets = [\"whsec_AAAAAAAAAAAAAAAAAAAAAA==\"]\n",
            "24 to 64",
        ),
        (
            "[[callback.rule]]\nendpoint = \"a\"\n",
            "no [[callback.endpoint]]",
        ),
        (
            "[[callback.check]]\nendpoint = \"a\"\n",
            "no [[callback.endpoint]]",
        ),
        (
            "[[callback.rule]]\nendpoint = \"a\"\nmode = \"both\"\n",
            "must be \"sync\" or \"async\"",
        ),
        (
            "[[callback.rule]]\nendpoint = \"a\"\nanswer_seconds = 3\n",
            "must be \"sync\" for answer_seconds",
        ),
        (
            "[[callback.rule]]\nendpoint = \"a\"\nmode = \"sync\"\nanswer_seconds = 61\n",
            "from 1 to 60",
        ),
        (
            "[[callback.rule]]\nendpoint = \"a\"\nmode = \"sync\"\non_failure = \"drop\"\n",
            "must be \"keep\" or \"withdraw\"",
        ),
        (
            "[[callback.check]]\nendpoint = \"a\"\nwhen_down = \"maybe\"\n",
            "must be \"refuse\" or \"allow\"",
        ),
        (
            "[[callback.check]]\nendpoint = \"a\"\ncache_seconds = 301\n",
            "from 0 to 300",
        ),
        (
            "[[callback.check]]\nendpiont = \"a\"\n",
            "did you mean \"endpoint\"?",
        ),
    ] {
        let message = refusal(text, &[]);
        assert!(message.contains(part), "{text}: {message}");
    }
}

#[test]
fn secrets_are_masked() {
    let config = load(
        "root_access_key = \"a\"\nroot_secret_key = \"hush\"\n",
        &[],
        &[],
    )
    .unwrap();
    assert!(!format!("{config:?}").contains("hush"));
}

#[test]
fn the_sample_file_holds_every_setting_and_is_valid_when_uncommented() {
    let sample = include_str!("../../data/consign.toml");
    let uncomment = |line: &str| {
        line.strip_prefix("#")
            .filter(|rest| !rest.starts_with(' '))
            .unwrap_or(line)
            .to_owned()
    };
    let all: Vec<String> = sample.lines().map(uncomment).collect();
    load(sample, &[], &[]).unwrap();
    load(&all.join("\n"), &[], &[]).unwrap();
    for setting in setting::SETTINGS {
        let last = setting.name.rsplit('.').next().unwrap();
        assert!(
            all.iter()
                .any(|line| line.starts_with(&format!("{last} ="))),
            "{}",
            setting.name
        );
    }
}
