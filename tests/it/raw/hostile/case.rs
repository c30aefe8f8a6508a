//! The corpus as it stands in `data/hostile`, and what its templates mean.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

/// One file of the corpus: cases that share a server.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Family {
    /// The server's configuration.
    #[serde(default)]
    pub(super) configuration: String,
    #[serde(rename = "case")]
    cases: Vec<Case>,
}

/// One request, or one for each row of `each`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub(super) struct Case {
    pub(super) name: String,
    /// Rows of `{{each}}`, or of `{{each}}` and an answer of its own.
    pub(super) each: Vec<Row>,
    /// Method and target as they go over the wire.
    pub(super) ask: String,
    /// The host; empty: no such header.
    pub(super) host: Option<String>,
    /// `query`, `both`, `v2`, `header`, and `header` with what stands for the body's digest.
    pub(super) sign: String,
    /// Who signs.
    #[serde(rename = "as")]
    pub(super) signer: String,
    /// When it was signed.
    pub(super) seconds_ago: i64,
    pub(super) expires: Option<String>,
    /// Another scope than the signer's: `day/region/service/end`.
    pub(super) scope: Option<String>,
    /// Headers, before it is signed,
    pub(super) headers: Vec<String>,
    /// and after that.
    pub(super) added: Vec<String>,
    /// What is put behind the query after it is signed.
    pub(super) added_query: String,
    /// What stands in the sent bytes in another's place. A text that is not there is a fault.
    pub(super) replace: Vec<(String, String)>,
    pub(super) body: String,
    pub(super) form: Option<Form>,
    pub(super) chunks: Option<Chunks>,
    /// The whole request, where nothing is made for it.
    pub(super) raw: Option<String>,
    pub(super) pace: Pace,
    /// Status and, for a document of S3's, its code; `closed`: no answer at all; `any`: whatever is no
    /// secret and changes nothing.
    pub(super) expect: String,
    /// What the answer holds,
    pub(super) says: Vec<String>,
    /// and what it must not hold.
    pub(super) hides: Vec<String>,
    /// What the root key asks for afterwards: nothing of the client's own may stand in that answer
    /// either.
    pub(super) then: String,
    /// It may be good: then `{{key}}` is stored.
    pub(super) stores: bool,
    /// How many answers come, where it is not one.
    pub(super) answers: Option<usize>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(super) enum Row {
    Value(String),
    Answer(String, String),
}

/// How the bytes go out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Pace {
    /// At once.
    #[default]
    Whole,
    /// One by one.
    Bytes,
    /// At once, and then our half is closed.
    Cut,
    /// At once, and then nothing more.
    Still,
}

/// A browser's form.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub(super) struct Form {
    /// Conditions beside those of the signature's own fields, each as JSON.
    pub(super) policy: Vec<String>,
    /// The whole policy, where it is to be another.
    pub(super) policy_text: Option<String>,
    pub(super) expires_in: Option<i64>,
    /// Fields, `name: value`, before those of the signature,
    pub(super) fields: Vec<String>,
    /// after them,
    pub(super) added: Vec<String>,
    /// behind the file,
    pub(super) after: Vec<String>,
    /// and those of the signature that are left out,
    pub(super) without: Vec<String>,
    /// or have another value.
    pub(super) instead: BTreeMap<String, String>,
    pub(super) file: Option<String>,
    pub(super) no_file: bool,
}

/// A body in `aws-chunked`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub(super) struct Chunks {
    /// `signed`, `signed-trailer` or `unsigned-trailer`.
    pub(super) kind: String,
    pub(super) parts: Vec<String>,
    /// The trailer's line, where it has one.
    pub(super) trailer: String,
    /// What `x-amz-decoded-content-length` says, where it is not the truth.
    pub(super) decoded: Option<String>,
    /// Which chunks are sent, the last and empty one included; all where it is not said.
    pub(super) order: Option<Vec<usize>>,
}

pub(super) fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("data/hostile")
}

impl Family {
    pub(super) fn read(name: &str) -> Self {
        let file = folder().join(name).with_extension("toml");
        let text = std::fs::read_to_string(&file).unwrap();
        toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
    }

    /// Each request, its rows in their place.
    pub(super) fn cases(&self) -> Vec<Case> {
        self.cases.iter().flat_map(Case::rows).collect()
    }
}

impl Case {
    /// What is asked for afterwards.
    pub(super) fn afterwards(&self) -> Self {
        Self {
            ask: self.then.clone(),
            sign: "header".to_owned(),
            ..Self::default()
        }
    }

    fn rows(&self) -> Vec<Self> {
        if self.each.is_empty() {
            return vec![self.clone()];
        }
        let rows = self.each.iter().map(|row| {
            let (value, expect) = match row {
                Row::Value(value) => (value, &self.expect),
                Row::Answer(value, expect) => (value, expect),
            };
            let mut case = Self {
                name: format!("{} [{}]", self.name, value.escape_debug()),
                each: Vec::new(),
                expect: expect.clone(),
                ..self.clone()
            };
            case.name.truncate(case.name.floor_char_boundary(400));
            case.put_in(value);
            case
        });
        rows.collect()
    }

    /// Puts `value` where the case says `{{each}}`.
    fn put_in(&mut self, value: &str) {
        let one = |text: &mut String| *text = text.replace("{{each}}", value);
        let all = |texts: &mut Vec<String>| texts.iter_mut().for_each(one);
        [
            &mut self.ask,
            &mut self.body,
            &mut self.added_query,
            &mut self.signer,
        ]
        .into_iter()
        .chain([&mut self.sign])
        .chain(&mut self.host)
        .chain(&mut self.expires)
        .chain(&mut self.scope)
        .chain(&mut self.raw)
        .for_each(one);
        for (old, new) in &mut self.replace {
            one(old);
            one(new);
        }
        let lists = [
            &mut self.headers,
            &mut self.added,
            &mut self.says,
            &mut self.hides,
        ];
        lists.into_iter().for_each(all);
        if let Some(form) = &mut self.form {
            form.policy_text
                .iter_mut()
                .chain(&mut form.file)
                .for_each(one);
            form.instead.values_mut().for_each(one);
            let lists = [&mut form.policy, &mut form.fields, &mut form.added];
            let lists = lists
                .into_iter()
                .chain([&mut form.after, &mut form.without]);
            lists.for_each(all);
        }
        if let Some(chunks) = &mut self.chunks {
            all(&mut chunks.parts);
            one(&mut chunks.trailer);
            chunks.decoded.iter_mut().for_each(one);
        }
    }
}

/// Texts by the names that templates call them.
#[derive(Debug, Clone, Default)]
pub(super) struct Values(BTreeMap<String, String>);

impl Values {
    pub(super) fn set(&mut self, name: &str, value: impl Into<String>) {
        self.0.insert(name.to_owned(), value.into());
    }

    /// What `template` means: `{{name}}` is that value, `{{byte ff}}` that byte, `{{300 text}}` that
    /// many of that text, in which `#` is its number.
    pub(super) fn fill(&self, template: &str) -> Vec<u8> {
        let mut out = Vec::new();
        let mut rest = template;
        while let Some((before, after)) = rest.split_once("{{") {
            out.extend_from_slice(before.as_bytes());
            let (word, after) = after.split_once("}}").expect("{{ without }}");
            out.extend_from_slice(&self.word(word));
            rest = after;
        }
        out.extend_from_slice(rest.as_bytes());
        out
    }

    /// [`Values::fill`] where the bytes are a text.
    pub(super) fn text(&self, template: &str) -> String {
        String::from_utf8(self.fill(template)).expect("a text")
    }

    fn word(&self, word: &str) -> Vec<u8> {
        if let Some(value) = self.0.get(word) {
            return value.clone().into_bytes();
        }
        let (first, text) = word
            .split_once(' ')
            .unwrap_or_else(|| panic!("no value {word}"));
        if first == "byte" {
            return hex::decode(text).unwrap();
        }
        let times: usize = first.parse().unwrap_or_else(|_| panic!("no value {word}"));
        if text.contains('#') {
            let numbered = (0..times).map(|number| text.replace('#', &number.to_string()));
            return numbered.collect::<String>().into_bytes();
        }
        text.repeat(times).into_bytes()
    }
}
