//! Which pages of other origins may use a bucket from a browser.

/// A rule: who may ask what, and what a page may see of the answer.
#[derive(Debug, Clone, Default, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct CorsRule {
    /// Its name, at most 255 characters.
    #[n(0)]
    pub id: Option<String>,
    /// Origins, each with at most one `*`.
    #[n(1)]
    pub allowed_origins: Vec<String>,
    /// HTTP methods.
    #[n(2)]
    pub allowed_methods: Vec<String>,
    /// Names of request headers, each with at most one `*`.
    #[n(3)]
    pub allowed_headers: Vec<String>,
    /// Names of response headers that a page may read.
    #[n(4)]
    pub expose_headers: Vec<String>,
    /// Seconds for which a browser may remember the rule.
    #[n(5)]
    pub max_age_seconds: Option<u32>,
}

impl CorsRule {
    /// Whether a page of `origin` may ask with `method` and these `headers`.
    pub fn allows<'h>(
        &self,
        origin: &str,
        method: &str,
        mut headers: impl Iterator<Item = &'h str>,
    ) -> bool {
        let any =
            |patterns: &[String], text: &str| patterns.iter().any(|pattern| fits(pattern, text));
        self.allowed_methods.iter().any(|allowed| allowed == method)
            && any(&self.allowed_origins, origin)
            && headers.all(|name| {
                let mut allowed = self.allowed_headers.iter();
                allowed.any(|pattern| fits_any_case(pattern, name))
            })
    }

    /// Whether `origin` may ask because every origin may.
    pub fn allows_every_origin(&self) -> bool {
        self.allowed_origins.iter().any(|origin| origin == "*")
    }
}

/// [`fits`] without regard to the case of ASCII letters. A page may name thousands of headers, and a rule
/// too: none is copied for it.
fn fits_any_case(pattern: &str, text: &str) -> bool {
    let same = |one: Option<&str>, two: &str| one.is_some_and(|one| one.eq_ignore_ascii_case(two));
    match pattern.split_once('*') {
        None => pattern.eq_ignore_ascii_case(text),
        Some((front, back)) => {
            let most = text.len().checked_sub(back.len());
            most.is_some_and(|at| at >= front.len() && same(text.get(at..), back))
                && same(text.get(..front.len()), front)
        }
    }
}

/// Whether `text` is `pattern`, where one `*` stands for any run of characters.
fn fits(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((front, back)) => {
            let middle = text.strip_prefix(front);
            middle.is_some_and(|rest| rest.ends_with(back))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_allows_what_fits_its_patterns() {
        let rule = CorsRule {
            allowed_origins: vec!["https://*.example.com".into()],
            allowed_methods: vec!["PUT".into()],
            allowed_headers: vec!["x-amz-*".into(), "Content-Type".into()],
            ..CorsRule::default()
        };
        let allows = |origin: &str, method: &str, headers: &[&str]| {
            rule.allows(origin, method, headers.iter().copied())
        };
        assert!(allows(
            "https://app.example.com",
            "PUT",
            &["X-Amz-Date", "content-type"]
        ));
        assert!(allows("https://.example.com", "PUT", &[]));
        assert!(!allows("http://app.example.com", "PUT", &[]));
        assert!(!allows("https://app.example.com", "GET", &[]));
        assert!(!allows(
            "https://app.example.com",
            "PUT",
            &["authorization"]
        ));
        // The two ends must not share characters.
        assert!(!fits("ab*ba", "aba"));
    }
}
