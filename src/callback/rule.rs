//! Decides which endpoints hear of an event.

use super::config::{CallbackConfig, CallbackError, RuleConfig};
use crate::store::hook::{EventName, covers};

const NAME_BYTES_MAX: usize = 128;

/// Every rule, judged.
#[derive(Debug, Clone, Default)]
pub struct Rules(Vec<RuleConfig>);

impl Rules {
    /// Judges names and events, so that a rule that can never match is refused at start.
    ///
    /// # Errors
    /// [`CallbackError`] says which one is wrong.
    pub fn parse(config: &CallbackConfig) -> Result<Self, CallbackError> {
        for (at, endpoint) in config.endpoints.iter().enumerate() {
            let name = &endpoint.name;
            if !is_name(name) {
                return Err(CallbackError::BadName(name.clone()));
            }
            if config
                .endpoints
                .iter()
                .skip(at + 1)
                .any(|e| e.name == *name)
            {
                return Err(CallbackError::DuplicateEndpoint(name.clone()));
            }
        }
        for rule in &config.rules {
            if !config.endpoints.iter().any(|e| e.name == rule.endpoint) {
                return Err(CallbackError::UnknownEndpoint(rule.endpoint.clone()));
            }
            if rule.events.is_empty() {
                return Err(CallbackError::NoEvent(rule.endpoint.clone()));
            }
            let unknown = rule
                .events
                .iter()
                .find(|p| !EventName::ALL.iter().any(|e| covers(p, e.as_str())));
            if let Some(event) = unknown {
                return Err(CallbackError::UnknownEvent(event.clone()));
            }
        }
        Ok(Self(config.rules.clone()))
    }

    /// The endpoints that hear of `event` (without `s3:`), each once, however many rules match.
    pub fn endpoints(&self, bucket: &str, key: &str, event: &str) -> Vec<&str> {
        let mut found: Vec<&str> = Vec::new();
        for rule in &self.0 {
            let matches = (rule.bucket == "*" || rule.bucket == bucket)
                && key.starts_with(&rule.prefix)
                && key.ends_with(&rule.suffix)
                && rule.events.iter().any(|pattern| covers(pattern, event));
            if matches && !found.contains(&rule.endpoint.as_str()) {
                found.push(&rule.endpoint);
            }
        }
        found
    }
}

fn is_name(name: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(rules: &str) -> CallbackConfig {
        let endpoints = r#"[{"name":"app","url":"http://a/","secrets":[]}]"#;
        serde_json::from_str(&format!(r#"{{"endpoints":{endpoints},"rules":{rules}}}"#)).unwrap()
    }

    #[test]
    fn an_endpoint_hears_once_of_what_several_rules_match() {
        let rules = config(
            r#"[{"endpoint":"app","bucket":"*","events":["s3:ObjectCreated:*"]},
            {"endpoint":"app","bucket":"b","events":["s3:ObjectCreated:Put"],"prefix":"in/","suffix":".png"}]"#,
        );
        let rules = Rules::parse(&rules).unwrap();
        assert_eq!(
            rules.endpoints("b", "in/a.png", "ObjectCreated:Put"),
            ["app"]
        );
        assert!(
            rules
                .endpoints("b", "in/a.png", "ObjectRemoved:Delete")
                .is_empty()
        );
    }

    #[test]
    fn bucket_prefix_and_suffix_must_all_match() {
        let rules = config(
            r#"[{"endpoint":"app","bucket":"b","events":["s3:ObjectCreated:Put"],"prefix":"in/","suffix":".png"}]"#,
        );
        let rules = Rules::parse(&rules).unwrap();
        for (bucket, key, event, heard) in [
            ("b", "in/a.png", "ObjectCreated:Put", 1),
            ("c", "in/a.png", "ObjectCreated:Put", 0),
            ("b", "a.png", "ObjectCreated:Put", 0),
            ("b", "in/a.jpg", "ObjectCreated:Put", 0),
            ("b", "in/a.png", "ObjectCreated:Post", 0),
        ] {
            assert_eq!(
                rules.endpoints(bucket, key, event).len(),
                heard,
                "{bucket} {key} {event}"
            );
        }
    }

    #[test]
    fn unknown_names_are_refused() {
        let event = config(r#"[{"endpoint":"app","bucket":"*","events":["s3:ObjectMade:*"]}]"#);
        let event = Rules::parse(&event).unwrap_err();
        assert_eq!(event, CallbackError::UnknownEvent("s3:ObjectMade:*".into()));
        let endpoint =
            config(r#"[{"endpoint":"no","bucket":"*","events":["s3:ObjectCreated:*"]}]"#);
        let endpoint = Rules::parse(&endpoint).unwrap_err();
        assert_eq!(endpoint, CallbackError::UnknownEndpoint("no".into()));
    }
}
