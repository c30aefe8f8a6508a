//! Spans as OpenTelemetry's protocol carries them, in its JSON form.
//!
//! <https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding>

use serde_json::{Value as Json, json};

use super::{Finished, Kind, Value};

/// The body of a request that exports these spans of the service of that name.
pub fn encode(service: &str, spans: &[Finished]) -> String {
    let spans: Vec<_> = spans.iter().map(span).collect();
    let version = env!("CARGO_PKG_VERSION");
    let resource = [
        text("service.name", service),
        text("service.version", version),
    ];
    json!({"resourceSpans": [{
        "resource": {"attributes": resource},
        "scopeSpans": [{
            "scope": {"name": "consign", "version": version},
            "spans": spans,
        }],
    }]})
    .to_string()
}

fn span(span: &Finished) -> Json {
    let kind = match span.kind {
        Kind::Internal => 1,
        Kind::Server => 2,
        Kind::Client => 3,
    };
    let attributes: Vec<_> = span.attributes.iter().map(attribute).collect();
    let mut told = json!({
        "traceId": hex::encode(span.trace),
        "spanId": hex::encode(span.id),
        "name": span.name,
        "kind": kind,
        // Numbers of 64 bits are texts there.
        "startTimeUnixNano": span.start_ns.to_string(),
        "endTimeUnixNano": span.end_ns.to_string(),
        "attributes": attributes,
        "status": if span.failed { json!({"code": 2}) } else { json!({}) },
    });
    if let (Some(parent), Some(fields)) = (span.parent, told.as_object_mut()) {
        fields.insert("parentSpanId".to_owned(), hex::encode(parent).into());
    }
    told
}

fn attribute((name, value): &(&'static str, Value)) -> Json {
    match value {
        Value::Text(value) => text(name, value),
        Value::Number(number) => json!({"key": name, "value": {"intValue": number.to_string()}}),
    }
}

fn text(name: &str, value: &str) -> Json {
    json!({"key": name, "value": {"stringValue": value}})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_has_the_names_and_forms_of_the_protocol() {
        let told = encode(
            "files",
            &[Finished {
                trace: [1; 16],
                id: [2; 8],
                parent: Some([3; 8]),
                name: "PutObject".into(),
                kind: Kind::Server,
                start_ns: 1_700_000_000_000_000_001,
                end_ns: 1_700_000_000_000_000_002,
                attributes: vec![
                    ("http.response.status_code", Value::Number(200)),
                    ("aws.s3.bucket", Value::Text("b".into())),
                ],
                failed: true,
            }],
        );
        let told: Json = serde_json::from_str(&told).unwrap();
        let resource = &told["resourceSpans"][0];
        assert_eq!(
            resource["resource"]["attributes"][0],
            text("service.name", "files")
        );
        let span = &resource["scopeSpans"][0]["spans"][0];
        let number = json!({"key": "http.response.status_code", "value": {"intValue": "200"}});
        assert_eq!(
            *span,
            json!({
                "traceId": "01".repeat(16), "spanId": "02".repeat(8), "parentSpanId": "03".repeat(8),
                "name": "PutObject", "kind": 2, "status": {"code": 2},
                "startTimeUnixNano": "1700000000000000001", "endTimeUnixNano": "1700000000000000002",
                "attributes": [number, text("aws.s3.bucket", "b")],
            })
        );
    }
}
