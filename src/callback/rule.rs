//! Decides which endpoints hear of an event.

use super::config::{CallbackConfig, CallbackError, RuleConfig};
use super::event::Event;
use crate::config::Wait;
use crate::store::hook::{CallbackChoice, CallbackMode, EventName, covers};

const NAME_BYTES_MAX: usize = 128;
/// What an uploader may wait for: nobody waits for the others.
const UPLOADS: &str = "s3:ObjectCreated:";

/// Every rule, judged.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    rules: Vec<RuleConfig>,
    /// The endpoints, and how uploaders wait whose request chose one.
    endpoints: Vec<(String, Wait)>,
}

/// A receiver that hears of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listener<'a> {
    /// Its endpoint's name.
    pub endpoint: &'a str,
    /// What the request's signer wants it to be told.
    pub vars: Option<&'a [(String, String)]>,
}

/// Who hears of an event.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan<'a> {
    /// The one whose answer the uploader gets, and how it waits: never more than one.
    pub waits: Option<(Listener<'a>, Wait)>,
    /// The others, each once.
    pub told: Vec<Listener<'a>>,
}

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
            let mut events = rule.events.iter();
            if rule.sync.is_some() && !events.all(|event| event.starts_with(UPLOADS)) {
                return Err(CallbackError::NotAnUpload(rule.endpoint.clone()));
            }
        }
        let named = |name: &str| config.endpoints.iter().any(|e| e.name == name);
        if let Some(check) = config.checks.iter().find(|check| !named(&check.endpoint)) {
            return Err(CallbackError::UnknownChecker(check.endpoint.clone()));
        }
        let endpoints = config.endpoints.iter();
        Ok(Self {
            rules: config.rules.clone(),
            endpoints: endpoints.map(|e| (e.name.clone(), e.wait)).collect(),
        })
    }

    /// Who hears of `event` (without `s3:`): by a rule, or because the request's signer chose it.
    /// Each endpoint hears once, however many rules match. The signer's choice is waited for before
    /// any rule's, and rules in their order; whoever else would be waited for is told.
    ///
    /// A chosen endpoint that is not configured hears nothing: its queue would only grow.
    pub fn plan<'a>(
        &'a self,
        bucket: &str,
        key: &str,
        event: &str,
        chosen: Option<&'a CallbackChoice>,
    ) -> Plan<'a> {
        let mut found: Vec<(&str, Option<Wait>)> = Vec::new();
        let named = |chosen: &&CallbackChoice| self.wait_of(&chosen.endpoint).is_some();
        let chosen = chosen.filter(named);
        if let Some(chosen) = chosen {
            let waits = chosen.mode == CallbackMode::Sync;
            let wait = self.wait_of(&chosen.endpoint).filter(|_wait| waits);
            found.push((&chosen.endpoint, wait));
        }
        for rule in &self.rules {
            let matches = (rule.bucket == "*" || rule.bucket == bucket)
                && key.starts_with(&rule.prefix)
                && key.ends_with(&rule.suffix)
                && rule.events.iter().any(|pattern| covers(pattern, event));
            if !matches {
                continue;
            }
            match found.iter_mut().find(|(name, _)| *name == rule.endpoint) {
                Some((_name, wait)) => *wait = wait.or(rule.sync),
                None => found.push((&rule.endpoint, rule.sync)),
            }
        }
        let vars_for = |name: &str| chosen.filter(|chosen| chosen.endpoint == name);
        let mut plan = Plan::default();
        for (endpoint, wait) in found {
            let vars = vars_for(endpoint).map(|chosen| chosen.vars.as_slice());
            let listener = Listener { endpoint, vars };
            match wait {
                Some(wait) if plan.waits.is_none() => plan.waits = Some((listener, wait)),
                _ => plan.told.push(listener),
            }
        }
        plan
    }

    /// [`Self::plan`] for an event as it is told.
    pub fn of<'a>(&'a self, event: &Event, chosen: Option<&'a CallbackChoice>) -> Plan<'a> {
        self.plan(&event.bucket, &event.key, &event.name, chosen)
    }

    /// How uploaders wait whose request chose that endpoint; none where there is no such endpoint.
    fn wait_of(&self, endpoint: &str) -> Option<Wait> {
        let mut named = self.endpoints.iter().filter(|(name, _)| name == endpoint);
        named.next().map(|(_name, wait)| *wait)
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
        let told = |event| rules.plan("b", "in/a.png", event, None).told;
        let app = Listener {
            endpoint: "app",
            vars: None,
        };
        assert_eq!(told("ObjectCreated:Put"), [app]);
        assert_eq!(told("ObjectRemoved:Delete"), []);
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
                rules.plan(bucket, key, event, None).told.len(),
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

    /// The endpoints `a`, `b` and `c` in this order of rules, those in capitals synchronous.
    fn rules(order: &str) -> Rules {
        let endpoints = r#"[{"name":"a","url":"http://a/","secrets":[]},
            {"name":"b","url":"http://b/","secrets":[]},{"name":"c","url":"http://c/","secrets":[]}]"#;
        let mut config: CallbackConfig =
            serde_json::from_str(&format!(r#"{{"endpoints":{endpoints}}}"#)).unwrap();
        for one in order.chars() {
            config.rules.push(RuleConfig {
                endpoint: one.to_lowercase().to_string(),
                bucket: "*".into(),
                events: vec!["s3:ObjectCreated:*".into()],
                prefix: String::new(),
                suffix: String::new(),
                sync: one.is_uppercase().then(Wait::default),
            });
        }
        Rules::parse(&config).unwrap()
    }

    #[test]
    fn at_most_one_receiver_is_waited_for_and_the_others_are_told() {
        for (order, chosen, mode, waits, told) in [
            ("ab", "", CallbackMode::Async, "", "ab"),
            ("aB", "", CallbackMode::Async, "b", "a"),
            ("BA", "", CallbackMode::Async, "b", "a"),
            ("aA", "", CallbackMode::Async, "a", ""),
            ("aB", "c", CallbackMode::Async, "b", "ca"),
            ("aB", "c", CallbackMode::Sync, "c", "ab"),
            ("aB", "a", CallbackMode::Sync, "a", "b"),
            ("aB", "b", CallbackMode::Async, "b", "a"),
            ("a", "no", CallbackMode::Sync, "", "a"),
        ] {
            let rules = rules(order);
            let choice = CallbackChoice {
                endpoint: chosen.into(),
                vars: vec![("user".into(), "7".into())],
                mode,
            };
            let choice = (!chosen.is_empty()).then_some(&choice);
            let plan = rules.plan("b", "k", "ObjectCreated:Put", choice);
            let asked = plan.waits.map_or("", |(listener, _wait)| listener.endpoint);
            let heard: Vec<_> = plan.told.iter().map(|listener| listener.endpoint).collect();
            let all = plan
                .told
                .iter()
                .chain(plan.waits.as_ref().map(|(one, _wait)| one));
            for listener in all {
                assert_eq!(listener.vars.is_some(), listener.endpoint == chosen);
            }
            assert_eq!(
                (asked, heard.concat().as_str()),
                (waits, told),
                "{order} {chosen}"
            );
        }
    }

    #[test]
    fn nobody_waits_for_what_is_no_upload() {
        let mut config = config(
            r#"[{"endpoint":"app","bucket":"*","events":["s3:ObjectCreated:Put","s3:ObjectRemoved:*"]}]"#,
        );
        assert!(Rules::parse(&config).is_ok());
        for rule in &mut config.rules {
            rule.sync = Some(Wait::default());
        }
        let error = Rules::parse(&config).unwrap_err();
        assert_eq!(error, CallbackError::NotAnUpload("app".into()));
    }
}
