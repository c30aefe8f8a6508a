//! A line of the log in JSON, written straight into the line: each request has one.

use std::fmt::{self, Write as _};

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

/// What `tracing-subscriber` writes in JSON, in a third of the instructions: it takes the span's fields,
/// which are JSON already, as they are, where that reads them and writes them anew.
pub(super) struct JsonLine;

impl<S, N> FormatEvent<S, N> for JsonLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut line: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let about = event.metadata();
        line.write_str("{\"timestamp\":\"")?;
        SystemTime.format_time(&mut line.by_ref())?;
        line.write_str("\",\"level\":\"")?;
        line.write_str(about.level().as_str())?;
        line.write_char('"')?;
        let mut fields = Fields {
            line: line.by_ref(),
            outcome: Ok(()),
        };
        event.record(&mut fields);
        fields.outcome?;
        line.write_str(",\"target\":")?;
        text(&mut line, about.target())?;
        let span = event.parent().and_then(|id| context.span(id));
        if let Some(span) = span.or_else(|| context.lookup_current()) {
            let extensions = span.extensions();
            let fields = extensions.get::<FormattedFields<N>>();
            let fields = fields.map_or("{}", |fields| fields.as_str());
            line.write_str(",\"span\":")?;
            // An object: its end makes room for one field more.
            let open = fields.strip_suffix('}').unwrap_or("{");
            line.write_str(open)?;
            line.write_str(if open == "{" {
                "\"name\":"
            } else {
                ",\"name\":"
            })?;
            text(&mut line, span.name())?;
            line.write_char('}')?;
        }
        line.write_str("}\n")
    }
}

/// Writes an event's fields, each behind a comma.
struct Fields<'w> {
    line: Writer<'w>,
    outcome: fmt::Result,
}

impl Fields<'_> {
    fn field(&mut self, field: &Field, write: impl FnOnce(&mut Writer<'_>) -> fmt::Result) {
        if self.outcome.is_err() {
            return;
        }
        let line = &mut self.line;
        self.outcome = (|| {
            line.write_char(',')?;
            // A raw identifier's mark is no part of its name.
            text(line, field.name().trim_start_matches("r#"))?;
            line.write_char(':')?;
            write(line)
        })();
    }
}

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.field(field, |line| {
            line.write_char('"')?;
            write!(Escaped(line), "{value:?}")?;
            line.write_char('"')
        });
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.field(field, |line| text(line, value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.field(field, |line| write!(line, "{value}"));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.field(field, |line| write!(line, "{value}"));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.field(field, |line| write!(line, "{value}"));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.field(field, |line| match serde_json::Number::from_f64(value) {
            Some(number) => write!(line, "{number}"),
            None => line.write_str("null"),
        });
    }
}

fn text(line: &mut Writer<'_>, text: &str) -> fmt::Result {
    line.write_char('"')?;
    Escaped(line).write_str(text)?;
    line.write_char('"')
}

/// Escapes what can't stand in a string of JSON.
struct Escaped<'a, 'w>(&'a mut Writer<'w>);

impl fmt::Write for Escaped<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some(at) = rest.find(|c: char| c.is_ascii_control() || matches!(c, '"' | '\\')) {
            let (plain, behind) = rest.split_at(at);
            self.0.write_str(plain)?;
            let mut behind = behind.chars();
            match behind.next() {
                Some('\n') => self.0.write_str("\\n")?,
                Some(c) if c.is_ascii_control() => write!(self.0, "\\u{:04x}", u32::from(c))?,
                Some(c) => {
                    self.0.write_char('\\')?;
                    self.0.write_char(c)?;
                }
                None => {}
            }
            rest = behind.as_str();
        }
        self.0.write_str(rest)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use serde_json::{Value, json};
    use tracing_subscriber::fmt::format::JsonFields;

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn logged(ours: bool, work: impl Fn()) -> Vec<Value> {
        let kept = Kept::default();
        let writer = kept.clone();
        let builder = tracing_subscriber::fmt().with_writer(move || writer.clone());
        if ours {
            let builder = builder.fmt_fields(JsonFields::new()).event_format(JsonLine);
            tracing::subscriber::with_default(builder.finish(), work);
        } else {
            let builder = builder.json().flatten_event(true).with_span_list(false);
            tracing::subscriber::with_default(builder.finish(), work);
        }
        let bytes = kept.0.lock().unwrap().clone();
        let lines = String::from_utf8(bytes).unwrap();
        let lines = lines.lines().map(|line| {
            let mut line: Value = serde_json::from_str(line).unwrap();
            let time = line["timestamp"].take();
            assert!(
                time.as_str().is_some_and(|time| time.ends_with('Z')),
                "{time}"
            );
            line
        });
        lines.collect()
    }

    #[test]
    fn a_line_says_what_that_of_the_library_says() {
        let work = || {
            tracing::warn!(r#type = "x", none = Option::<u64>::None, "alone");
            let span = tracing::info_span!("request", id = %"A1\"", more = 7);
            let _entered = span.enter();
            let (wide, number, part, not) = (1_u128 << 90, -3_i64, 0.5, f64::NAN);
            let odd = "a\"b\\c\n\t\u{1}\u{7f}ü";
            tracing::info!(wide, number, part, not, yes = true, odd, debug = ?odd, "said {odd}");
            let empty = tracing::info_span!("empty");
            let _entered = empty.enter();
            tracing::error!(code = Some("c"), "within");
        };
        let ours = logged(true, work);
        assert_eq!(ours, logged(false, work));
        assert_eq!(
            ours[1]["span"],
            json!({ "id": "A1\"", "more": 7, "name": "request" })
        );
        assert_eq!(ours.len(), 3);
    }
}
