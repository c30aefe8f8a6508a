//! Reads a TOML file into flat entries that remember their line.

use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{ConfigError, Place};

/// One `name = value`.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// The name, with its tables' names and dots before it.
    pub(super) name: String,
    /// One value, or a list's values.
    pub(super) values: Vec<String>,
    pub(super) place: Place,
}

/// One `[[name]]` table.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) table: String,
    pub(super) entries: Vec<Entry>,
    pub(super) place: Place,
}

/// What a file holds.
#[derive(Debug, Default)]
pub(super) struct Parsed {
    pub(super) entries: Vec<Entry>,
    pub(super) rows: Vec<Row>,
}

/// Reads the file at `path`.
pub(super) fn read(path: &Path) -> Result<Parsed, ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
        path: path.to_owned(),
        source,
    })?;
    parse(path, &text)
}

/// Reads `text`, which `path` holds.
pub(super) fn parse(path: &Path, text: &str) -> Result<Parsed, ConfigError> {
    let reader = Reader { path, text };
    let root = DeTable::parse(text).map_err(|error| ConfigError::Syntax {
        place: reader.place(&error.span().unwrap_or(0..0)),
        message: error.message().to_owned(),
    })?;
    let mut parsed = Parsed::default();
    reader.table("", root.get_ref(), &mut parsed)?;
    Ok(parsed)
}

struct Reader<'a> {
    path: &'a Path,
    text: &'a str,
}

impl Reader<'_> {
    fn place(&self, span: &Range<usize>) -> Place {
        let before = self.text.get(..span.start).unwrap_or_default();
        let line = 1 + before.matches('\n').count();
        Place::File {
            path: self.path.to_owned(),
            line,
        }
    }

    fn table(
        &self,
        prefix: &str,
        table: &DeTable<'_>,
        into: &mut Parsed,
    ) -> Result<(), ConfigError> {
        for (key, value) in table {
            let name = join(prefix, key.get_ref());
            match value.get_ref() {
                DeValue::Table(inner) => self.table(&name, inner, into)?,
                DeValue::Array(items) if items.iter().any(|item| item.get_ref().is_table()) => {
                    for item in items {
                        into.rows.push(self.row(&name, item)?);
                    }
                }
                _ => into.entries.push(self.entry(name, &key.span(), value)?),
            }
        }
        Ok(())
    }

    fn row(&self, name: &str, item: &Spanned<DeValue<'_>>) -> Result<Row, ConfigError> {
        let place = self.place(&item.span());
        let Some(table) = item.get_ref().as_table() else {
            return Err(value_error(
                place,
                name,
                "holds a value where a table must be",
            ));
        };
        let mut inner = Parsed::default();
        self.table("", table, &mut inner)?;
        match inner.rows.into_iter().next() {
            Some(row) => Err(value_error(row.place, &row.table, "can't hold tables")),
            None => Ok(Row {
                table: name.to_owned(),
                entries: inner.entries,
                place,
            }),
        }
    }

    fn entry(
        &self,
        name: String,
        span: &Range<usize>,
        value: &Spanned<DeValue<'_>>,
    ) -> Result<Entry, ConfigError> {
        let place = self.place(span);
        let values = match value.get_ref() {
            DeValue::Array(items) => items.iter().map(|item| scalar(item.get_ref())).collect(),
            single => scalar(single).map(|text| vec![text]),
        };
        match values {
            Some(values) => Ok(Entry {
                name,
                values,
                place,
            }),
            None => Err(value_error(
                place,
                &name,
                "must be a text, a number or a list of texts",
            )),
        }
    }
}

fn join(prefix: &str, key: &str) -> String {
    if prefix.is_empty() {
        key.to_owned()
    } else {
        format!("{prefix}.{key}")
    }
}

fn scalar(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => Some(number.as_str().replace('_', "")),
        DeValue::Float(number) => Some(number.as_str().replace('_', "")),
        DeValue::Boolean(truth) => Some(truth.to_string()),
        _ => None,
    }
}

fn value_error(place: Place, name: &str, message: &str) -> ConfigError {
    ConfigError::Value {
        place,
        name: name.to_owned(),
        message: message.to_owned(),
    }
}
