//! How a bucket is served as a website.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/WebsiteHosting.html>

/// How a bucket is served as a website.
#[derive(Debug, Clone, Default, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct Website {
    /// What is appended to a folder's key.
    #[n(0)]
    pub index: Option<String>,
    /// The object that is sent with an error.
    #[n(1)]
    pub error: Option<String>,
    /// Where every request is sent instead: a host and, where it is given, a protocol.
    #[n(2)]
    pub redirect_all: Option<(String, Option<String>)>,
    /// Where some requests are sent, in the order in which they are tried.
    #[n(3)]
    pub rules: Vec<RoutingRule>,
}

/// Where some requests are sent.
#[derive(Debug, Clone, Default, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct RoutingRule {
    /// What the key begins with.
    #[n(0)]
    pub prefix: Option<String>,
    /// The status that the request would be answered with.
    #[n(1)]
    pub status: Option<u16>,
    /// `http` or `https`; else as the request.
    #[n(2)]
    pub protocol: Option<String>,
    /// Another host.
    #[n(3)]
    pub host: Option<String>,
    /// What takes the place of the prefix.
    #[n(4)]
    pub replace_prefix: Option<String>,
    /// What takes the place of the whole key.
    #[n(5)]
    pub replace_key: Option<String>,
    /// The status of the redirect, 301 where none is given.
    #[n(6)]
    pub code: Option<u16>,
}

impl RoutingRule {
    /// Whether it is for `key`, before it was looked for (`failed` none) or after that failed.
    pub fn is_for(&self, key: &str, failed: Option<u16>) -> bool {
        key.starts_with(self.prefix.as_deref().unwrap_or_default()) && self.status == failed
    }

    /// The key that takes the place of `key`.
    pub fn new_key(&self, key: &str) -> String {
        match (&self.replace_key, &self.replace_prefix) {
            (Some(new), _) => new.clone(),
            (None, Some(new)) => {
                let prefix = self.prefix.as_deref().unwrap_or_default();
                format!("{new}{}", key.strip_prefix(prefix).unwrap_or(key))
            }
            (None, None) => key.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_for_its_keys_and_its_failures() {
        let rule = RoutingRule {
            prefix: Some("docs/".into()),
            replace_prefix: Some("documents/".into()),
            ..RoutingRule::default()
        };
        assert!(rule.is_for("docs/a", None));
        assert!(!rule.is_for("docs/a", Some(404)) && !rule.is_for("a", None));
        assert_eq!(rule.new_key("docs/a"), "documents/a");
        let lost = RoutingRule {
            status: Some(404),
            replace_key: Some("lost.html".into()),
            ..RoutingRule::default()
        };
        assert!(lost.is_for("a", Some(404)) && !lost.is_for("a", Some(403)));
        assert!(!lost.is_for("a", None));
        assert_eq!(lost.new_key("a"), "lost.html");
    }
}
