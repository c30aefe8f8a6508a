//! A line of the log in JSON, as `tracing-subscriber` has it, written by `serde_json` into one piece of memory:
//! the library's own format hands on each of a line's eighty pieces by itself, and checks each of them for
//! UTF-8. A request's line took 22,000 instructions so, a ninth of a HEAD.

use std::fmt;

use serde::ser::{SerializeMap as _, Serializer as _};
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
        let mut line = Vec::with_capacity(LINE_BYTES);
        write_line(&mut line, event).map_err(|_no_json| fmt::Error)?;
        line.push(b'\n');
        let line = std::str::from_utf8(&line).map_err(|_no_text| fmt::Error)?;
        writer.write_str(line)
    }
}

fn write_line(line: &mut Vec<u8>, event: &Event<'_>) -> serde_json::Result<()> {
    let about = event.metadata();
    let mut serializer = serde_json::Serializer::new(line);
    let mut object = serializer.serialize_map(None)?;
    object.serialize_entry("timestamp", &SystemClock.now().iso8601_ms())?;
    object.serialize_entry("level", about.level().as_str())?;
    let mut fields = tracing_serde::SerdeMapVisitor::new(object);
    event.record(&mut fields);
    let mut object = fields.take_serializer()?;
    object.serialize_entry("target", about.target())?;
    object.end()
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
