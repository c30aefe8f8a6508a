//! Another secret: the right one spoiled, the two halves exchanged, or somebody else's. What is found is
//! told without a letter of it.

use super::super::super::canonical::{decode, encode};
use super::super::super::{AccessKey, Secret};
use super::{Kind, Scene, Trial};

/// Keys whose secrets are tried.
const KEYS_MAX: usize = 1000;

impl Scene<'_> {
    pub(super) fn secrets(&self, key: Option<&AccessKey>, trial: &mut Trial<'_>) {
        let named = &self.reading.credential.access_key;
        if let Some(key) = key {
            let public = Secret::new(key.access_key.as_str());
            trial.attempt_secret((Kind::SwappedKeys, &public), &self.base, || {
                (
                    "It was signed with the access key in the place of the secret.".to_owned(),
                    "Exchange the two in the client's configuration.".to_owned(),
                )
            });
            for (spoiled, how) in spoiled(key.secret.expose()) {
                let secret = Secret::new(spoiled);
                trial.attempt_secret((Kind::SecretSpoiled, &secret), &self.base, || {
                    (
                        format!("It was signed with the right secret, {how}."),
                        "Look how the secret is read: from a file, a variable or a shell."
                            .to_owned(),
                    )
                });
            }
        }
        for other in self.known.keys.all().iter().take(KEYS_MAX) {
            if other.access_key == *named {
                continue;
            }
            let (name, access_key) = (&other.name, &other.access_key);
            trial.attempt_secret((Kind::OtherKeysSecret, &other.secret), &self.base, || {
                (
                    format!("It was signed with the secret of another key, {access_key} (\"{name}\")."),
                    format!("Let the credential name {access_key}, or sign with the secret of the key that it names."),
                )
            });
        }
    }
}

fn spoiled(secret: &str) -> Vec<(String, &'static str)> {
    let text = |text: &str| text.to_owned();
    let decoded = |plus| String::from_utf8_lossy(&decode(secret, plus)).into_owned();
    let mut forms = vec![
        (format!("{secret}\n"), "with a line break behind it"),
        (format!("{secret}\r\n"), "with a line break behind it"),
        (format!("{secret}\r"), "with a line break behind it"),
        (format!("{secret} "), "with a space behind it"),
        (format!(" {secret}"), "with a space before it"),
        (format!("\n{secret}"), "with a line break before it"),
        (format!("\t{secret}"), "with a tab before it"),
        (format!("{secret}\t"), "with a tab behind it"),
        (format!("\"{secret}\""), "in quotes"),
        (format!("'{secret}'"), "in quotes"),
        (
            format!("\u{feff}{secret}"),
            "with a byte order mark before it",
        ),
        (encode(secret.as_bytes(), false), "percent-encoded"),
        (encode(secret.as_bytes(), true), "percent-encoded"),
        (decoded(false), "percent-decoded"),
        (decoded(true), "with its + turned into a space"),
        (secret.replace('+', "%2B"), "with its + percent-encoded"),
        (secret.replace('/', "%2F"), "with its / percent-encoded"),
        (
            secret.replace('/', "\\/"),
            "with its / escaped, as JSON may have it",
        ),
        (secret.to_lowercase(), "in small letters"),
        (secret.to_uppercase(), "in capitals"),
        (
            format!("AWS4{secret}"),
            "with AWS4 before it, which the algorithm adds itself",
        ),
        (text(secret.trim()), "without the blanks around it"),
        (
            text(secret.trim_end_matches('=')),
            "without the = at its end",
        ),
        (String::new(), "left empty"),
    ];
    let cut = secret
        .char_indices()
        .next_back()
        .and_then(|(at, _)| secret.get(..at));
    forms.extend(cut.map(|cut| (text(cut), "without its last letter")));
    let cut = secret
        .char_indices()
        .nth(1)
        .and_then(|(at, _)| secret.get(at..));
    forms.extend(cut.map(|cut| (text(cut), "without its first letter")));
    forms.retain(|(form, _)| form != secret);
    forms
}
