//! A line of the log in JSON, as `tracing-subscriber` has it, written into one piece of memory: the library's own
//! format hands on each of a line's eighty pieces by itself, and checks each of them for UTF-8. A request's line took
//! 22,000 instructions so, a ninth of a HEAD; 9,400 by `serde_json`'s own maps, which ask of each byte whether it
//! must be escaped. Here all bytes of a text are asked at once, and `serde_json` writes those of which one must.

use std::fmt::{self, Write as _};

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::clock::{Clock as _, SystemClock};

/// Bytes that a line has room in without growing.
const LINE_BYTES: usize = 512;

/// Writes events. There are no spans: a line names the request that it is about.
pub(super) struct JsonLine;

impl<S, N> FormatEvent<S, N> for JsonLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = Line::new();
        let about = event.metadata();
        line.entry("timestamp", &SystemClock.now().iso8601_ms());
        line.entry("level", about.level().as_str());
        event.record(&mut line);
        line.entry("target", about.target());
        writer.write_str(&line.ended())
    }
}

/// An object that is being written.
struct Line(String);

impl Line {
    fn new() -> Self {
        Self(String::with_capacity(LINE_BYTES))
    }

    fn entry(&mut self, name: &str, text: &str) {
        self.name(name);
        self.text(text);
    }

    fn name(&mut self, name: &str) {
        self.0.push(if self.0.is_empty() { '{' } else { ',' });
        self.text(name);
        self.0.push(':');
    }

    fn text(&mut self, text: &str) {
        if is_plain(text) {
            self.0.push('"');
            self.0.push_str(text);
            self.0.push('"');
        } else {
            // A text is always JSON.
            self.0
                .push_str(&serde_json::to_string(text).unwrap_or_default());
        }
    }

    fn number(&mut self, field: &Field, number: impl itoa::Integer) {
        self.name(field.name());
        self.0.push_str(itoa::Buffer::new().format(number));
    }

    fn ended(mut self) -> String {
        self.0.push_str("}\n");
        self.0
    }
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, text: &str) {
        self.entry(field.name(), text);
    }

    fn record_u64(&mut self, field: &Field, number: u64) {
        self.number(field, number);
    }

    fn record_i64(&mut self, field: &Field, number: i64) {
        self.number(field, number);
    }

    fn record_u128(&mut self, field: &Field, number: u128) {
        self.number(field, number);
    }

    fn record_i128(&mut self, field: &Field, number: i128) {
        self.number(field, number);
    }

    fn record_f64(&mut self, field: &Field, number: f64) {
        self.name(field.name());
        // Those that JSON has no number for are `null`.
        self.0
            .push_str(&serde_json::to_string(&number).unwrap_or_default());
    }

    fn record_bool(&mut self, field: &Field, is: bool) {
        self.name(field.name());
        self.0.push_str(if is { "true" } else { "false" });
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.name(field.name());
        // Where it stands, and once more where it can't.
        self.0.push('"');
        let begin = self.0.len();
        let _infallible = write!(self.0, "{value:?}");
        if self.0.get(begin..).is_some_and(is_plain) {
            self.0.push('"');
        } else {
            let text = self.0.split_off(begin);
            let _quote = self.0.pop();
            self.text(&text);
        }
    }
}

/// Whether a text stands in JSON as it is. All bytes are looked at, since the compiler looks at sixteen at once where
/// it needn't stop.
fn is_plain(text: &str) -> bool {
    let escaped = |byte: u8| byte < b' ' || byte == b'"' || byte == b'\\';
    !text.bytes().fold(false, |any, byte| any | escaped(byte))
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[test]
    fn a_line_is_an_object_of_its_own_whatever_it_says() {
        let written = Arc::new(Mutex::new(Vec::new()));
        let to = Arc::clone(&written);
        let writer = move || Shared(Arc::clone(&to));
        let log = tracing_subscriber::fmt().with_writer(writer);
        let log = log.event_format(JsonLine).finish();
        tracing::subscriber::with_default(log, || {
            let absent: Option<&str> = None;
            tracing::warn!(path = "/a \"b\"\n\u{1}ä", ms = 7_u64, ok = true, absent, id = %"X", "said");
        });
        let text = String::from_utf8(written.lock().unwrap().clone()).unwrap();
        assert_eq!(text.matches('\n').count(), 1, "{text}");
        let mut line: serde_json::Value = serde_json::from_str(&text).unwrap();
        let at = line.as_object_mut().unwrap().remove("timestamp").unwrap();
        assert_eq!(at.as_str().unwrap().len(), "2026-11-26T13:26:24.371Z".len());
        let target = "consign::cli::logging::json::tests";
        assert_eq!(
            line,
            serde_json::json!({
                "level": "WARN", "message": "said", "path": "/a \"b\"\n\u{1}ä", "ms": 7, "ok": true, "id": "X",
                "target": target,
            })
        );
    }

    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
}
