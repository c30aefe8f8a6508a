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
fn wrong_certificates_say_what_they_need() {
    for (text, part) in [
        (
            "[tls]\ncertificate = \"a.pem\"\n",
            "tls.certificate needs a tls.key for each",
        ),
        (
            "[admin.tls]\ncertificate = \"a.pem\"\nkey = \"a.key\"\n",
            "admin.tls needs admin.listen",
        ),
        (
            "[admin]\nlisten = \":1\"\n[admin.tls]\nclient_ca = \"ca.pem\"\n",
            "needs a certificate",
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

/// Settings that a reload is tried with, each otherwise than by default.
const CHANGES: &[(&str, &str)] = &[
    ("domains", "a.test"),
    ("website_domains", "a.test"),
    ("public_urls", "https://a.test"),
    ("trusted_proxies", "10.0.0.0/8"),
    ("presign_seconds_max", "7"),
    ("signature_v2", "true"),
    ("dialects", "oss"),
    ("encryption.kms_keys", "a"),
    ("logging.seconds", "7"),
    ("lifecycle.day_seconds", "7"),
    ("limits.head_bytes", "8192"),
    ("limits.head_seconds", "7"),
    ("limits.idle_seconds", "7"),
    ("limits.body_idle_seconds", "7"),
    ("limits.shutdown_seconds", "7"),
    ("log.level", "warn"),
    ("callback.networks", "10.0.0.0/8"),
    ("guard.failures_per_minute_key", "7"),
    ("guard.failures_per_minute_address", "7"),
    ("guard.requests_per_second_key", "7"),
    ("guard.requests_per_second_address", "7"),
    ("guard.bytes_per_second_key", "7"),
    ("guard.bytes_per_second_address", "7"),
    ("guard.exempt", "10.0.0.0/8"),
    ("scrub.bytes_per_second", "7"),
    ("scrub.every_days", "7"),
    ("active_content", "allow"),
    ("audit.file_bytes", "7"),
    ("audit.enabled", "false"),
    ("access_log.format", "json"),
    ("access_log.rotate_bytes", "7"),
    ("access_log.rotate_seconds", "7"),
    ("access_log.keep", "7"),
    ("access_log.file", "a.log"),
    ("telemetry.sampling_ratio", "0.5"),
    ("telemetry.honour_traceparent", "true"),
    ("telemetry.keys", "true"),
    ("telemetry.service_name", "other"),
    ("listen", "127.0.0.1:7"),
    ("data_dir", "other"),
    ("region", "eu-west-1"),
    ("durability", "none"),
    ("inline_bytes_max", "7"),
    ("limits.connections", "7"),
    ("limits.requests", "7"),
    ("limits.free_bytes_min", "7"),
    ("log.format", "json"),
    ("admin.listen", "127.0.0.1:7"),
];

#[test]
fn what_the_table_calls_live_is_what_a_reload_takes() {
    let start = load("", &[], &[]).unwrap();
    let (pair, apart) = (
        "[tls]\ncertificate = \"a\"\nkey = \"a\"\n",
        "[admin]\nlisten = \":1\"\n[admin.tls]\ncertificate = \"a\"\nkey = \"a\"\n",
    );
    for &(name, text) in CHANGES {
        let new = load("", &[], &[(name, text)]).unwrap();
        let setting = setting::SETTINGS.iter().find(|one| one.name == name);
        let live = setting.unwrap().live;
        let (as_text, next) = (format!("{start:?}"), format!("{:?}", start.reloaded(&new)));
        assert_eq!(as_text != next, live, "{name}");
        assert_eq!(start.waiting(&new), if live { vec![] } else { vec![name] });
    }
    for setting in setting::SETTINGS.iter().filter(|setting| setting.live) {
        let other = ["oss.callback_urls"].contains(&setting.name) || setting.name.contains("tls.");
        let covered = CHANGES.iter().any(|(name, _)| *name == setting.name);
        assert!(covered || other, "{} is not tried here", setting.name);
    }
    // Another certificate is taken; TLS is not begun or ended under way.
    let with = load(pair, &[], &[]).unwrap();
    assert_eq!(start.reloaded(&with).tls, start.tls);
    assert_eq!(start.waiting(&with), ["tls.certificate", "tls.key"]);
    let changed = load("", &[], &[("tls.certificate", "c"), ("tls.key", "c")]).unwrap();
    assert_eq!(with.reloaded(&changed).tls, changed.tls);
    assert!(with.waiting(&changed).is_empty());
    let both = load(apart, &[], &[]).unwrap();
    let more = load(&format!("{pair}{apart}"), &[], &[]).unwrap();
    assert_eq!(both.waiting(&more), ["tls.certificate", "tls.key"]);
}
