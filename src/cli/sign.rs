//! Signs as a client does, with the same canonical text that the server verifies.

use http::Method;

use crate::auth::canonical::{self, Parts};
use crate::auth::sigv4::{self, ALGORITHM, Credential, Scope};
use crate::clock::Timestamp;
use crate::config::RootKey;

/// Who signs, where and when.
#[derive(Debug)]
pub(super) struct Signer<'a> {
    pub(super) key: &'a RootKey,
    pub(super) region: &'a str,
    pub(super) now: Timestamp,
}

/// What is signed.
#[derive(Debug)]
pub(super) struct Target<'a> {
    pub(super) method: &'a Method,
    /// `http://127.0.0.1:9000`, without a slash at its end.
    pub(super) endpoint: &'a str,
    /// The path as it goes over the wire.
    pub(super) path: &'a str,
    /// The query's names and values, decoded.
    pub(super) query: &'a [(String, String)],
    /// Lower-case names and values of headers to sign, without `host`.
    pub(super) headers: &'a [(String, String)],
}

impl Signer<'_> {
    fn credential(&self) -> Credential {
        let scope = Scope {
            day: self.now.scope_day(),
            region: self.region.to_owned(),
            service: sigv4::SERVICE.to_owned(),
        };
        Credential {
            access_key: self.key.access_key.clone(),
            scope,
        }
    }

    /// The name of the key and the scope, as forms carry it.
    pub(super) fn credential_text(&self) -> String {
        self.credential().text()
    }

    /// Signs a text that is no request: a form's policy.
    pub(super) fn sign_text(&self, text: &str) -> String {
        let key = sigv4::derive_key(&self.key.secret_key, &self.credential().scope);
        sigv4::sign(&key, text)
    }

    /// A URL that may be used for `seconds`.
    pub(super) fn presign(&self, target: &Target<'_>, seconds: u64) -> String {
        let headers = all_headers(target, &[]);
        let mut query = target.query.to_vec();
        let own = [
            ("X-Amz-Algorithm", ALGORITHM.to_owned()),
            ("X-Amz-Credential", self.credential_text()),
            ("X-Amz-Date", self.now.amz_date()),
            ("X-Amz-Expires", seconds.to_string()),
            ("X-Amz-SignedHeaders", names(&headers)),
        ];
        query.extend(
            own.into_iter()
                .map(|(name, value)| (name.to_owned(), value)),
        );
        let query = canonical_query(&query);
        let signature = self.sign(target, &query, &headers, "UNSIGNED-PAYLOAD");
        format!(
            "{}{}?{query}&X-Amz-Signature={signature}",
            target.endpoint, target.path
        )
    }

    /// The headers that sign `target` with `body`: to be sent as they are.
    pub(super) fn headers(&self, target: &Target<'_>, body: &[u8]) -> Vec<(String, String)> {
        let digest = sigv4::sha256_hex(body);
        let own = [
            ("x-amz-content-sha256".to_owned(), digest.clone()),
            ("x-amz-date".to_owned(), self.now.amz_date()),
        ];
        let headers = all_headers(target, &own);
        let query = canonical_query(target.query);
        let signature = self.sign(target, &query, &headers, &digest);
        let credential = self.credential_text();
        let authorization = format!(
            "{ALGORITHM} Credential={credential}, SignedHeaders={}, Signature={signature}",
            names(&headers)
        );
        let sent = target.headers.iter().cloned().chain(own);
        sent.chain([("authorization".to_owned(), authorization)])
            .collect()
    }

    fn sign(
        &self,
        target: &Target<'_>,
        query: &str,
        headers: &[(String, String)],
        payload: &str,
    ) -> String {
        let request = Parts {
            method: target.method.as_str(),
            path: &canonical::path(target.path),
            query,
            headers,
            signed: &names(headers),
            payload,
        };
        let scope = self.credential().scope;
        self.sign_text(&sigv4::string_to_sign(
            &self.now.amz_date(),
            &scope,
            &request.text(),
        ))
    }
}

/// `/bucket/key` as it goes over the wire.
pub(super) fn path(bucket: &str, key: &str) -> String {
    format!("/{bucket}/{}", canonical::encode(key.as_bytes(), true))
}

fn canonical_query(query: &[(String, String)]) -> String {
    let pairs: canonical::Pairs = query
        .iter()
        .map(|(name, value)| (name.clone().into_bytes(), value.clone().into_bytes()))
        .collect();
    canonical::query(pairs.iter())
}

fn all_headers(target: &Target<'_>, own: &[(String, String)]) -> Vec<(String, String)> {
    let host = target
        .endpoint
        .split_once("://")
        .map_or(target.endpoint, |(_, host)| host);
    let host = [("host".to_owned(), host.to_owned())];
    let mut all: Vec<_> = target
        .headers
        .iter()
        .chain(own)
        .chain(&host)
        .cloned()
        .collect();
    for (_, value) in &mut all {
        *value = value.split_whitespace().collect::<Vec<_>>().join(" ");
    }
    all.sort();
    all
}

fn names(headers: &[(String, String)]) -> String {
    headers
        .iter()
        .map(|(name, _)| name.as_str())
        .collect::<Vec<_>>()
        .join(";")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html>
    #[test]
    fn aws_own_presigned_example() {
        let key = RootKey {
            access_key: "AKIAIOSFODNN7EXAMPLE".to_owned(),
            secret_key: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".to_owned(),
        };
        let now = Timestamp::parse_amz_date("20130524T000000Z").unwrap();
        let signer = Signer {
            key: &key,
            region: "us-east-1",
            now,
        };
        let target = Target {
            method: &Method::GET,
            endpoint: "https://examplebucket.s3.amazonaws.com",
            path: "/test.txt",
            query: &[],
            headers: &[],
        };
        let url = signer.presign(&target, 86_400);
        let signature = "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404";
        assert!(url.ends_with(signature), "{url}");
    }
}
