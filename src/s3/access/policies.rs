//! Buckets' policies as they were last read: to read one costs more than to judge by it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::auth::policy::{Policy, PolicyFault};
use crate::name::BucketName;

/// Policies that are kept: the text of each is bounded, and so is their number.
const KEPT_MAX: usize = 128;

/// The policies of the buckets that are asked for.
///
/// What is kept can't be out of date: it is found by the text that the bucket's own record holds.
#[derive(Debug, Default)]
pub struct Policies(Mutex<HashMap<BucketName, Kept>>);

#[derive(Debug, Clone)]
struct Kept {
    text: String,
    policy: Arc<Policy>,
}

impl Policies {
    /// The policy of that text, which is that of the bucket of that name.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn read(&self, bucket: &BucketName, text: &str) -> Result<Arc<Policy>, PolicyFault> {
        let kept = |map: &HashMap<BucketName, Kept>| {
            let kept = map.get(bucket).filter(|kept| kept.text == text);
            kept.map(|kept| Arc::clone(&kept.policy))
        };
        if let Some(policy) = kept(&self.0.lock().unwrap_or_else(PoisonError::into_inner)) {
            return Ok(policy);
        }
        let policy = Arc::new(Policy::parse_bucket(text, bucket.as_str())?);
        let read = Kept {
            text: text.to_owned(),
            policy: Arc::clone(&policy),
        };
        let mut map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if map.len() >= KEPT_MAX && !map.contains_key(bucket) {
            // Any of them: to read it again is no more than what each request did before.
            let other = map.keys().next().cloned();
            other.and_then(|other| map.remove(&other));
        }
        map.insert(bucket.clone(), read);
        Ok(policy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bucket: &str, effect: &str) -> String {
        format!(
            r#"{{"Statement": {{"Effect": "{effect}", "Principal": "*", "Action": "s3:GetObject",
                "Resource": "arn:aws:s3:::{bucket}/*"}}}}"#
        )
    }

    #[test]
    fn a_policy_is_read_once_until_its_text_changes() {
        let policies = Policies::default();
        let bucket = BucketName::parse("abc").unwrap();
        let read = |effect: &str| policies.read(&bucket, &text("abc", effect)).unwrap();
        let first = read("Allow");
        assert!(Arc::ptr_eq(&first, &read("Allow")) && first.is_public());
        let second = read("Deny");
        assert!(!second.is_public() && Arc::ptr_eq(&second, &read("Deny")));
        assert!(read("Allow").is_public());
        // What is wrong takes no place.
        assert!(policies.read(&bucket, &text("other", "Allow")).is_err());
        assert!(read("Allow").is_public());
    }

    #[test]
    fn only_so_many_are_kept() {
        let policies = Policies::default();
        for number in 0..KEPT_MAX * 2 {
            let bucket = format!("bucket-{number}");
            let name = BucketName::parse(&bucket).unwrap();
            policies.read(&name, &text(&bucket, "Allow")).unwrap();
        }
        assert_eq!(policies.0.lock().unwrap().len(), KEPT_MAX);
    }
}
