//! The body of a callback: a template with `${variables}` of the system and `${x:variables}` of the
//! uploader.

use std::collections::BTreeMap;

use crate::auth::canonical;

/// What `callbackBodyType` may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BodyType {
    Form,
    Json,
}

impl BodyType {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Form => "application/x-www-form-urlencoded",
            Self::Json => "application/json",
        }
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        [Self::Form, Self::Json]
            .into_iter()
            .find(|kind| kind.name().eq_ignore_ascii_case(name))
    }
}

/// A variable's value. JSON tells numbers from texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Text(String),
    Number(u64),
}

/// The variables of the system, by OSS's names.
pub(super) const SYSTEM: &[&str] = &[
    "bucket",
    "clientIp",
    "contentMd5",
    "crc64",
    "etag",
    "imageInfo.format",
    "imageInfo.height",
    "imageInfo.width",
    "mimeType",
    "object",
    "operation",
    "reqId",
    "size",
    "vpcId",
];

/// A template, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template {
    kind: BodyType,
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Constant(String),
    Variable {
        name: String,
        /// Whether it stands within the quotes of a JSON text.
        quoted: bool,
    },
}

impl Template {
    /// Reads `text`.
    ///
    /// # Errors
    /// The name of a variable that there is not, or what is no variable.
    pub(super) fn read(text: &str, kind: BodyType) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let (mut rest, mut quoted) = (text, false);
        while let Some((constant, after)) = rest.split_once("${") {
            let (name, after) = after.split_once('}').ok_or_else(|| after.to_owned())?;
            if !SYSTEM.contains(&name) && !is_custom(name) {
                return Err(name.to_owned());
            }
            quoted = ends_quoted(constant, quoted);
            pieces.push(Piece::Constant(constant.to_owned()));
            pieces.push(Piece::Variable {
                name: name.to_owned(),
                quoted,
            });
            rest = after;
        }
        pieces.push(Piece::Constant(rest.to_owned()));
        Ok(Self { kind, pieces })
    }

    pub(super) const fn kind(&self) -> BodyType {
        self.kind
    }

    /// Whether some variable's name begins so.
    pub(super) fn names(&self, start: &str) -> bool {
        let named = |piece: &Piece| matches!(piece, Piece::Variable { name, .. } if name.starts_with(start));
        self.pieces.iter().any(named)
    }

    /// The body, with each variable's value as its type writes it. A variable without a value is
    /// empty. Nothing where it would be longer than `most` bytes.
    pub(super) fn expand(&self, values: &BTreeMap<String, Value>, most: usize) -> Option<String> {
        let mut body = String::new();
        let empty = Value::Text(String::new());
        for piece in &self.pieces {
            match piece {
                Piece::Constant(text) => body.push_str(text),
                Piece::Variable { name, quoted } => {
                    let value = values.get(name).unwrap_or(&empty);
                    body.push_str(&self.written(value, *quoted));
                }
            }
            if body.len() > most {
                return None;
            }
        }
        Some(body)
    }

    fn written(&self, value: &Value, quoted: bool) -> String {
        match (self.kind, value) {
            (_, Value::Number(number)) => number.to_string(),
            (BodyType::Form, Value::Text(text)) => canonical::encode(text.as_bytes(), false),
            (BodyType::Json, Value::Text(text)) => {
                let json = serde_json::Value::from(text.as_str()).to_string();
                if quoted {
                    let inner = json
                        .strip_prefix('"')
                        .and_then(|rest| rest.strip_suffix('"'));
                    inner.unwrap_or_default().to_owned()
                } else {
                    json
                }
            }
        }
    }
}

/// Whether a name is one that the uploader may give: `x:` and something in lower case.
pub(super) fn is_custom(name: &str) -> bool {
    let rest = name.strip_prefix("x:");
    rest.is_some_and(|rest| !rest.is_empty() && !rest.bytes().any(|b| b.is_ascii_uppercase()))
}

/// Whether a JSON text is open behind `constant`, if one was (not) before it.
fn ends_quoted(constant: &str, mut quoted: bool) -> bool {
    let mut escaped = false;
    for byte in constant.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ => {}
        }
    }
    quoted
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn values() -> BTreeMap<String, Value> {
        let text = |text: &str| Value::Text(text.to_owned());
        BTreeMap::from([
            ("object".to_owned(), text("a \"b\"/&=ü")),
            ("size".to_owned(), Value::Number(7)),
            ("x:id".to_owned(), text("1\n2")),
        ])
    }

    fn body(template: &str, kind: BodyType) -> String {
        let template = Template::read(template, kind).unwrap();
        template.expand(&values(), 1000).unwrap()
    }

    #[test]
    fn a_form_is_encoded() {
        assert_eq!(
            body(
                "f=${object}&s=${size}&i=${x:id}&n=${x:none}&v=${vpcId}",
                BodyType::Form
            ),
            "f=a%20%22b%22%2F%26%3D%C3%BC&s=7&i=1%0A2&n=&v="
        );
    }

    #[test]
    fn json_is_valid_whether_the_template_quotes_or_not() {
        let template = r#"{"a":${object},"b":"x ${object} y","c":${size},"d":"${size}",
            "e":"\"${x:id}","f":${x:none},"g":${vpcId}}"#;
        let json: serde_json::Value =
            serde_json::from_str(&body(template, BodyType::Json)).unwrap();
        let object = "a \"b\"/&=ü";
        assert_eq!(json["a"], object);
        assert_eq!(json["b"], format!("x {object} y"));
        assert_eq!((&json["c"], &json["d"]), (&7.into(), &"7".into()));
        assert_eq!(json["e"], "\"1\n2");
        assert_eq!((&json["f"], &json["g"]), (&"".into(), &"".into()));
    }

    #[test]
    fn what_is_no_variable_is_refused() {
        for bad in [
            "${}",
            "${objekt}",
            "${x:}",
            "${x:Id}",
            "${X:id}",
            "a ${object",
        ] {
            assert!(Template::read(bad, BodyType::Form).is_err(), "{bad}");
        }
        let all: Vec<String> = SYSTEM.iter().map(|name| format!("${{{name}}}")).collect();
        assert!(Template::read(&all.join(""), BodyType::Form).is_ok());
        let dollars = "$ {object} $$ }{";
        assert_eq!(body(dollars, BodyType::Form), dollars);
    }

    #[test]
    fn a_body_has_its_bound() {
        let template = Template::read("${object}${object}", BodyType::Json).unwrap();
        let len = template.expand(&values(), 1000).unwrap().len();
        assert!(template.expand(&values(), len).is_some());
        assert!(template.expand(&values(), len - 1).is_none());
    }

    proptest! {
        #[test]
        fn no_value_breaks_out_of_its_place(value: String) {
            let values = BTreeMap::from([("x:v".to_owned(), Value::Text(value.clone()))]);
            let read = |kind, text| Template::read(text, kind).unwrap().expand(&values, 1 << 20);
            let json = read(BodyType::Json, r#"{"a":${x:v},"b":"${x:v}"}"#).unwrap();
            let json: serde_json::Value = serde_json::from_str(&json).unwrap();
            prop_assert_eq!(&json["a"], &value);
            prop_assert_eq!(&json["b"], &value);
            let form = read(BodyType::Form, "a=${x:v}&b=1").unwrap();
            prop_assert_eq!(form.matches(['&', '=']).count(), 3);
        }
    }
}
