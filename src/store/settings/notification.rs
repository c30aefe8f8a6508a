//! Who is told of what happens to a bucket's objects.

/// What kind of receiver a rule's ARN names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub enum ReceiverKind {
    /// A topic of SNS.
    #[default]
    #[n(0)]
    Topic,
    /// A queue of SQS.
    #[n(1)]
    Queue,
    /// A function of Lambda.
    #[n(2)]
    Function,
}

/// A rule: what is told to whom.
#[derive(Debug, Clone, Default, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct NotificationRule {
    /// Its name, at most 255 characters.
    #[n(0)]
    pub id: String,
    /// What kind of receiver.
    #[n(1)]
    pub kind: ReceiverKind,
    /// The receiver's ARN, whose last part names a callback endpoint.
    #[n(2)]
    pub arn: String,
    /// Events as they were given, such as `s3:ObjectCreated:*`.
    #[n(3)]
    pub events: Vec<String>,
    /// Whether there is a filter: an empty one is told as it was given.
    #[n(4)]
    pub filtered: bool,
    /// What keys must begin with.
    #[n(5)]
    pub prefix: Option<String>,
    /// What keys must end with.
    #[n(6)]
    pub suffix: Option<String>,
}

impl NotificationRule {
    /// The callback endpoint that the ARN names.
    pub fn endpoint(&self) -> &str {
        self.arn.rsplit(':').next().unwrap_or(&self.arn)
    }

    /// Whether it tells of `event` (without `s3:`) for `key`.
    pub fn tells(&self, event: &str, key: &str) -> bool {
        key.starts_with(self.prefix.as_deref().unwrap_or_default())
            && key.ends_with(self.suffix.as_deref().unwrap_or_default())
            && self.events.iter().any(|pattern| covers(pattern, event))
    }
}

/// Whether a pattern such as `s3:ObjectCreated:*` means `event`, which has no `s3:`.
pub fn covers(pattern: &str, event: &str) -> bool {
    let Some(pattern) = pattern.strip_prefix("s3:") else {
        return false;
    };
    match pattern.strip_suffix(":*") {
        Some(group) => event.split_once(':').is_some_and(|(of, _)| of == group),
        None => pattern == event,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_tells_of_its_events_for_its_keys() {
        let rule = NotificationRule {
            arn: "arn:aws:sns:us-east-1:123456789012:app".into(),
            events: vec![
                "s3:ObjectCreated:*".into(),
                "s3:ObjectRemoved:Delete".into(),
            ],
            prefix: Some("in/".into()),
            suffix: Some(".png".into()),
            ..NotificationRule::default()
        };
        assert_eq!(rule.endpoint(), "app");
        for (event, key, tells) in [
            ("ObjectCreated:Put", "in/a.png", true),
            ("ObjectRemoved:Delete", "in/a.png", true),
            ("ObjectRemoved:DeleteMarkerCreated", "in/a.png", false),
            ("ObjectTagging:Put", "in/a.png", false),
            ("ObjectCreated:Put", "a.png", false),
            ("ObjectCreated:Put", "in/a.jpg", false),
        ] {
            assert_eq!(rule.tells(event, key), tells, "{event} {key}");
        }
    }
}
