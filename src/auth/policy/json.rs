//! JSON as a policy needs it: members in their order, and none lost that is there twice.

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use super::fault::PolicyFault;

/// A JSON value. Its depth is bounded by `serde_json`, at 128.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Json {
    Null,
    Bool(bool),
    /// As its shortest text.
    Number(String),
    Text(String),
    List(Vec<Json>),
    Map(Vec<(String, Json)>),
}

impl Json {
    /// Reads the whole of `text`.
    pub(super) fn parse(text: &str) -> Result<Self, PolicyFault> {
        if !text.starts_with('{') {
            return Err(PolicyFault::NotJson);
        }
        let json: Self = serde_json::from_str(text).map_err(|_bad| PolicyFault::InvalidJson)?;
        json.refuse_twins()?;
        Ok(json)
    }

    fn refuse_twins(&self) -> Result<(), PolicyFault> {
        match self {
            Self::List(items) => items.iter().try_for_each(Self::refuse_twins),
            Self::Map(members) => {
                let mut seen = std::collections::HashSet::new();
                members.iter().try_for_each(|(name, value)| {
                    if !seen.insert(name) {
                        let field = name.clone();
                        return Err(PolicyFault::Twice { field });
                    }
                    value.refuse_twins()
                })
            }
            _ => Ok(()),
        }
    }

    /// How many bytes it has without blanks between its parts.
    pub(super) fn normalized_len(&self) -> usize {
        let quoted = |text: &str| serde_json::to_string(text).map_or(0, |text| text.len());
        match self {
            Self::Null | Self::Bool(true) => 4,
            Self::Bool(false) => 5,
            Self::Number(text) => text.len(),
            Self::Text(text) => quoted(text),
            Self::List(items) => {
                let inner: usize = items.iter().map(Self::normalized_len).sum();
                inner + items.len().max(1) + 1
            }
            Self::Map(members) => {
                let pair =
                    |(name, value): &(String, Self)| quoted(name) + 1 + value.normalized_len();
                members.iter().map(pair).sum::<usize>() + members.len().max(1) + 1
            }
        }
    }

    /// A text, or a list of texts: brackets around a single one are optional.
    pub(super) fn texts(&self) -> Result<Vec<&str>, PolicyFault> {
        match self {
            Self::Text(text) => Ok(vec![text]),
            Self::List(items) => items.iter().map(Self::text).collect(),
            _ => Err(PolicyFault::Syntax),
        }
    }

    /// A text.
    pub(super) fn text(&self) -> Result<&str, PolicyFault> {
        match self {
            Self::Text(text) => Ok(text),
            _ => Err(PolicyFault::Syntax),
        }
    }

    /// The values of a condition: as [`Json::texts`], but numbers and booleans count as their text.
    pub(super) fn scalars(&self) -> Result<Vec<String>, PolicyFault> {
        match self {
            Self::List(items) => items.iter().map(Self::scalar).collect(),
            one => Ok(vec![one.scalar()?]),
        }
    }

    fn scalar(&self) -> Result<String, PolicyFault> {
        match self {
            Self::Text(text) | Self::Number(text) => Ok(text.clone()),
            Self::Bool(flag) => Ok(flag.to_string()),
            _ => Err(PolicyFault::Syntax),
        }
    }

    /// The members of an object.
    pub(super) fn members(&self) -> Result<&[(String, Self)], PolicyFault> {
        match self {
            Self::Map(members) => Ok(members),
            _ => Err(PolicyFault::Syntax),
        }
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Json;

    fn expecting(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Json, E> {
        Ok(Json::Bool(flag))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Json, E> {
        Ok(Json::Number(number.to_string()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Json, E> {
        Ok(Json::Number(number.to_string()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Json, E> {
        Ok(Json::Number(number.to_string()))
    }

    fn visit_str<E>(self, text: &str) -> Result<Json, E> {
        Ok(Json::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Json, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = from.next_element()? {
            items.push(item);
        }
        Ok(Json::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Json, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = from.next_entry()? {
            members.push(member);
        }
        Ok(Json::Map(members))
    }
}
