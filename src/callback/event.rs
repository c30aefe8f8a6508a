//! The body of a callback: the JSON of S3's own event messages.

use serde_json::{Map, Value, json};

use crate::clock::Timestamp;
use crate::id::{MessageId, host_id};

/// What happened to an object.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct Event {
    /// Such as `ObjectCreated:Put`.
    #[n(0)]
    pub name: String,
    /// When.
    #[n(1)]
    pub at: Timestamp,
    /// The bucket's name.
    #[n(2)]
    pub bucket: String,
    /// Whose it is.
    #[n(3)]
    pub bucket_owner: String,
    /// Where it is.
    #[n(4)]
    pub region: String,
    /// The object's key.
    #[n(5)]
    pub key: String,
    /// The object's bytes; none where it was removed.
    #[n(6)]
    pub size: Option<u64>,
    /// Its `ETag` without quotes; none where it was removed.
    #[n(7)]
    pub etag: Option<String>,
    /// Grows with each change of the key.
    #[n(8)]
    pub sequence: u64,
    /// Who did it.
    #[n(9)]
    pub principal: String,
    /// From where.
    #[n(10)]
    pub source_ip: Option<String>,
    /// By which request.
    #[n(11)]
    pub request_id: String,
    /// The version that came or went; none for the null version.
    #[n(12)]
    pub version: Option<String>,
    /// The bucket's own rule that asked for it; none where the server's configuration did.
    #[n(13)]
    pub rule: Option<String>,
    /// What its signer wants to be told with it; none where no signer chose the endpoint.
    #[n(14)]
    pub vars: Option<Vec<(String, String)>>,
    /// The message that told of an upload which was withdrawn.
    #[n(15)]
    pub withdraws: Option<MessageId>,
}

/// The event that tells a receiver that it will be told.
pub const TEST: &str = "TestEvent";
/// The event that tells a receiver that an upload, which it was asked about, did not happen.
pub const WITHDRAWN: &str = "ObjectRemoved:Withdrawn";

impl Event {
    /// An event of that name that nobody asked for, about nothing yet.
    pub(super) fn of_server(name: &str, at: Timestamp) -> Self {
        Self {
            name: name.to_owned(),
            at,
            bucket: String::new(),
            bucket_owner: String::new(),
            region: String::new(),
            key: String::new(),
            size: None,
            etag: None,
            sequence: 0,
            principal: String::new(),
            source_ip: None,
            request_id: String::new(),
            version: None,
            rule: None,
            vars: None,
            withdraws: None,
        }
    }

    /// The same, with what its receiver is to be told beside it.
    #[must_use]
    pub fn telling(&self, vars: Option<&[(String, String)]>) -> Self {
        Self {
            vars: vars.map(<[_]>::to_vec),
            ..self.clone()
        }
    }

    /// The message that S3 would send.
    ///
    /// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html>
    pub fn json(&self) -> Value {
        if self.name == TEST {
            return self.test();
        }
        let group = self.name.split_once(':').map_or("", |(group, _)| group);
        // What leaves the bytes as they are has no place in their order.
        let beside = matches!(group, "ObjectTagging" | "ObjectAcl");
        let later = beside || group == "LifecycleExpiration";
        let mut object = json!({"key": encode_key(&self.key)});
        if let Some(fields) = object.as_object_mut() {
            if !beside {
                let sequencer = format!("{:016X}", self.sequence);
                fields.insert("sequencer".to_owned(), sequencer.into());
                fields.extend(self.size.map(|size| ("size".to_owned(), size.into())));
            }
            let etag = self.etag.clone();
            fields.extend(etag.map(|etag| ("eTag".to_owned(), etag.into())));
            let version = self.version.clone();
            fields.extend(version.map(|version| ("versionId".to_owned(), version.into())));
        }
        let mut record = json!({
            "eventVersion": if later { "2.3" } else { "2.1" },
            "eventSource": "aws:s3",
            "awsRegion": self.region,
            "eventTime": self.at.iso8601_ms(),
            "eventName": self.name,
            "userIdentity": {"principalId": self.principal},
            "requestParameters": {"sourceIPAddress": self.source_ip.as_deref().unwrap_or("")},
            "responseElements": {"x-amz-request-id": self.request_id, "x-amz-id-2": host_id(&self.request_id)},
            "s3": {
                "s3SchemaVersion": "1.0",
                "configurationId": self.rule.as_deref().unwrap_or("consign"),
                "bucket": {
                    "name": self.bucket,
                    "ownerIdentity": {"principalId": self.bucket_owner},
                    "arn": format!("arn:aws:s3:::{}", self.bucket),
                },
                "object": object,
            },
        });
        let ours = self.ours();
        if let (false, Some(record)) = (ours.is_empty(), record.as_object_mut()) {
            record.insert("consign".to_owned(), ours.into());
        }
        json!({ "Records": [record] })
    }

    /// What is told beside S3's own.
    fn ours(&self) -> Map<String, Value> {
        let mut ours = Map::new();
        if let Some(vars) = &self.vars {
            let vars = vars.iter();
            let vars = vars.map(|(name, value)| (name.clone(), Value::from(value.clone())));
            ours.insert("vars".to_owned(), Value::Object(vars.collect()));
        }
        if let Some(id) = self.withdraws {
            ours.insert("withdraws".to_owned(), format!("msg_{id}").into());
        }
        ours
    }

    fn test(&self) -> Value {
        json!({
            "Service": "Amazon S3",
            "Event": "s3:TestEvent",
            "Time": self.at.iso8601_ms(),
            "Bucket": self.bucket,
            "RequestId": self.request_id,
            "HostId": host_id(&self.request_id),
        })
    }
}

/// Percent-encodes as S3 does in its messages: `+` for a space, `/` as it is.
fn encode_key(key: &str) -> String {
    let mut text = String::with_capacity(key.len());
    for byte in key.bytes() {
        match byte {
            b' ' => text.push('+'),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'*' | b'/' => {
                text.push(char::from(byte));
            }
            _ => {
                text.push('%');
                text.push_str(&hex::encode_upper([byte]));
            }
        }
    }
    text
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::callback) fn event(key: &str, sequence: u64) -> Event {
        Event {
            name: "ObjectCreated:Put".into(),
            at: Timestamp::from_unix_ms(1_369_353_600_007),
            bucket: "b".into(),
            bucket_owner: "me".into(),
            region: "us-east-1".into(),
            key: key.into(),
            size: Some(3),
            etag: Some("900150983cd24fb0d6963f7d28e17f72".into()),
            sequence,
            principal: "AK".into(),
            source_ip: None,
            request_id: "R".into(),
            version: None,
            rule: None,
            vars: None,
            withdraws: None,
        }
    }

    #[test]
    fn the_record_is_shaped_as_s3_does() {
        let json = event("a b/ü+.png", 255).json();
        let record = &json["Records"][0];
        assert_eq!(record["eventTime"], "2013-05-24T00:00:00.007Z");
        assert_eq!(record["eventName"], "ObjectCreated:Put");
        assert_eq!(record["s3"]["object"]["key"], "a+b/%C3%BC%2B.png");
        assert_eq!(record["s3"]["object"]["sequencer"], "00000000000000FF");
        assert_eq!(record["s3"]["object"]["size"], 3);
        assert_eq!(record["s3"]["bucket"]["arn"], "arn:aws:s3:::b");
    }

    #[test]
    fn what_a_signer_wants_told_stands_beside_s3s_own() {
        assert_eq!(event("k", 1).json()["Records"][0].get("consign"), None);
        let vars = Some(vec![("user".to_owned(), "\"é".to_owned())]);
        let told = Event {
            vars,
            ..event("k", 1)
        };
        let record = told.json()["Records"][0].clone();
        assert_eq!(record["consign"]["vars"]["user"], "\"é");
        assert_eq!(record["s3"]["object"]["key"], "k");
    }

    #[test]
    fn a_change_beside_the_bytes_tells_only_which_they_are() {
        for (name, version, fields) in [
            ("ObjectTagging:Put", "2.3", 2),
            ("ObjectAcl:Put", "2.3", 2),
            ("LifecycleExpiration:Delete", "2.3", 4),
            ("ObjectCreated:Copy", "2.1", 4),
        ] {
            let name = name.to_owned();
            let changed = Event {
                name,
                ..event("k", 1)
            };
            let record = changed.json()["Records"][0].clone();
            assert_eq!(record["eventVersion"], version);
            let object = record["s3"]["object"].as_object().unwrap();
            assert_eq!(object.len(), fields, "{object:?}");
        }
    }

    #[test]
    fn a_removed_object_has_no_size_and_no_etag() {
        let removed = Event {
            size: None,
            etag: None,
            ..event("k", 1)
        };
        let object = removed.json()["Records"][0]["s3"]["object"].clone();
        assert_eq!(object.get("size"), None);
        assert_eq!(object.get("eTag"), None);
    }
}
