//! Which operation of S3 a request asks for: a table, read from top to bottom.

use std::collections::HashSet;
use std::sync::LazyLock;

use http::Method;

mod operation;
mod options;
mod table;

use super::context::{FormHandler, Handler, OpenHandler};
use super::error::{Code, S3Error};
use super::head::Head;
use super::target::Level;
use crate::auth::Action;
use crate::auth::canonical::lacks;
use crate::auth::constraint::Constraint;
pub use operation::Operation;
use options::{COMMON, DEFAULTS, OPTIONS, refusal};
pub use table::ROUTES;

/// What tells an operation from others of the same method and level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// The query has this parameter.
    Query(&'static str),
    /// The query has this parameter with this value.
    Value(&'static str, &'static str),
    /// There is this header.
    Header(&'static str),
    /// The path is this.
    Path(&'static str),
}

/// How an operation is recognised.
#[derive(Debug, Clone)]
pub struct Route {
    /// The operation.
    pub operation: Operation,
    /// By this method,
    pub method: Method,
    /// on this,
    pub level: Level,
    /// with all of these.
    pub marks: &'static [Mark],
    /// What answers it; none where Consign refuses it by name.
    pub serve: Option<Serve>,
    /// What of a signer's demands it keeps; others are refused by name.
    pub heeds: &'static [Constraint],
}

/// What answers an operation. The permission stands beside the handler, so that no handler can
/// forget to ask for it.
#[derive(Debug, Clone, Copy)]
pub enum Serve {
    /// The proof of who is calling is in the head.
    Head {
        /// What the caller must be allowed to do.
        action: Action,
        /// The options of S3 that the handler heeds; others are refused by name.
        honours: &'static [&'static [&'static str]],
        /// The handler.
        run: Handler,
    },
    /// No proof is asked for: what it tells is no secret.
    Open {
        /// The handler.
        run: OpenHandler,
    },
    /// The proof is among the fields of the form that is the body.
    Form {
        /// The handler, which proves the form before it keeps a byte of its file.
        run: FormHandler,
    },
}

impl Route {
    /// This operation is answered by `run`, for who may do `action`.
    const fn serve(
        mut self,
        action: Action,
        honours: &'static [&'static [&'static str]],
        run: Handler,
    ) -> Self {
        self.serve = Some(Serve::Head {
            action,
            honours,
            run,
        });
        self
    }

    /// This operation keeps these demands of a signer's.
    const fn heeding(mut self, heeds: &'static [Constraint]) -> Self {
        self.heeds = heeds;
        self
    }

    /// This operation is a form, which `run` proves and answers.
    const fn serve_form(mut self, run: FormHandler) -> Self {
        self.serve = Some(Serve::Form { run });
        self
    }
}

impl Route {
    /// This operation is answered by `run`, whoever asks.
    const fn open(mut self, run: OpenHandler) -> Self {
        self.serve = Some(Serve::Open { run });
        self
    }
}

const fn row(operation: Operation, method: Method, level: Level, marks: &'static [Mark]) -> Route {
    Route {
        operation,
        method,
        level,
        marks,
        serve: None,
        heeds: &[],
    }
}

/// The parameters that turn a request for what lies at this level into one about something else. A request
/// asks whether its own few are among them: to look for each of them in every request took twice as long.
static SUB_RESOURCES: LazyLock<HashSet<(Level, &str)>> = LazyLock::new(|| {
    let marks = |route: &'static Route| route.marks.iter().map(|mark| (route.level, mark));
    let marks = ROUTES.iter().flat_map(marks);
    let turning = marks.filter(|(_level, mark)| mark.is_sub_resource());
    turning.map(|(level, mark)| (level, mark.name())).collect()
});

impl Route {
    /// The route of this request.
    ///
    /// # Errors
    /// `MethodNotAllowed` where S3 has no such operation.
    pub fn of(head: &Head) -> Result<&'static Self, S3Error> {
        let level = head.target.level();
        let here = |route: &&Self| route.level == level;
        let found = ROUTES.iter().filter(here).find(|route| {
            route.method == head.method && route.marks.iter().all(|mark| mark.is_in(head))
        });
        // A sub-resource that this method doesn't know must not fall through to the plain
        // operation: DELETE ?acl must never delete the bucket. A preflight is about any of them.
        let lost = head.method != Method::OPTIONS
            && head.query.options().any(|(name, _value)| {
                let is_it = |mark: &Mark| matches!(mark, Mark::Query(asked) if *asked == name);
                let is_of = |route: &Self| route.marks.iter().any(is_it);
                SUB_RESOURCES.contains(&(level, name)) && !found.is_some_and(is_of)
            });
        match found {
            Some(route) if !lost || !route.marks.is_empty() => Ok(route),
            _ => Err(S3Error::new(Code::MethodNotAllowed)
                .with("Method", head.method.as_str())
                .with("ResourceType", head.resource_type())),
        }
    }

    /// Refuses an option of S3 that is neither `honoured` by the operation nor asks for what is the
    /// case anyway.
    ///
    /// # Errors
    /// `NotImplemented` that names it; `InvalidStorageClass` for a class that S3 has not either.
    pub fn check_options(&self, head: &Head, honoured: &[&[&str]]) -> Result<(), S3Error> {
        let known = |name: &str| {
            OPTIONS.binary_search(&name).is_err()
                || COMMON.contains(&name)
                || honoured.iter().any(|list| list.contains(&name))
                || self.marks.iter().any(|mark| mark.name() == name)
        };
        for (name, value) in head.query.options() {
            if !known(name) && !DEFAULTS.contains(&(name, value)) {
                return Err(refusal(name, value));
            }
        }
        for (name, value) in &*head.headers {
            let text = value.to_str().unwrap_or_default();
            if !known(name.as_str()) && !DEFAULTS.contains(&(name.as_str(), text)) {
                return Err(refusal(name.as_str(), text));
            }
        }
        Ok(())
    }

    /// `NotImplemented` that names the operation.
    pub fn unsupported(&self) -> S3Error {
        let name = self.operation.name();
        let message = format!("Consign does not implement the operation {name}.");
        S3Error::because(Code::NotImplemented, message).with("Operation", name)
    }
}

impl Mark {
    fn is_in(&self, head: &Head) -> bool {
        match self {
            Self::Query(name) => head.query.has(name),
            Self::Value(name, value) => head.query.get(name) == Some(value),
            Self::Header(name) => !lacks(&head.headers, name),
            Self::Path(path) => head.arrival.path() == *path,
        }
    }

    const fn name(&self) -> &'static str {
        match self {
            Self::Query(name) | Self::Value(name, _) | Self::Header(name) | Self::Path(name) => {
                name
            }
        }
    }

    /// Whether it alone turns a request into one about something else than the object or bucket.
    const fn is_sub_resource(&self) -> bool {
        // `id` and `partNumber` are arguments: they only narrow down what a sub-resource is about.
        match self {
            Self::Query(name) => !matches!(name.as_bytes(), b"id" | b"partNumber"),
            Self::Value(..) | Self::Header(_) | Self::Path(_) => false,
        }
    }
}

impl Head {
    /// What S3's errors call that which the request is about.
    pub fn resource_type(&self) -> &'static str {
        let is = |name| self.query.has(name);
        match self.target.level() {
            Level::Service => "SERVICE",
            Level::Object if is("uploadId") || is("uploads") => "UPLOAD",
            Level::Object if is("acl") => "ACL",
            Level::Object => "OBJECT",
            Level::Bucket if is("policy") => "BUCKETPOLICY",
            Level::Bucket if is("acl") => "ACL",
            Level::Bucket => "BUCKET",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::query::PRESIGNED;
    use super::*;
    use crate::auth::sigv2::SUB_RESOURCES;

    #[test]
    fn a_presigned_urls_own_parameters_are_no_options() {
        let marks = ROUTES.iter().flat_map(|route| route.marks);
        let names = marks.map(Mark::name).chain(OPTIONS.iter().copied());
        for name in names {
            assert!(!name.starts_with(PRESIGNED), "{name}");
        }
    }

    fn head(method: &Method, uri: &str, headers: &[(&'static str, &str)]) -> Head {
        let mut request = http::Request::builder()
            .method(method)
            .uri(uri)
            .header("host", "h");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Head::parse(&request.body(()).unwrap().into_parts().0, &[]).unwrap()
    }

    #[test]
    fn options_are_sorted() {
        assert!(OPTIONS.is_sorted());
    }

    #[test]
    fn each_route_leads_to_its_own_operation() {
        for route in ROUTES {
            let path = match route.level {
                Level::Service => "/",
                Level::Bucket => "/abc",
                Level::Object => "/abc/d",
            };
            let (mut path, mut query, mut headers) = (path.to_owned(), Vec::new(), Vec::new());
            for mark in route.marks {
                match mark {
                    Mark::Query(name) => query.push((*name).to_owned()),
                    Mark::Value(name, value) => query.push(format!("{name}={value}")),
                    Mark::Header(name) => headers.push((*name, "/abc/e")),
                    Mark::Path(found) => path = (*found).to_owned(),
                }
            }
            let head = head(
                &route.method,
                &format!("{path}?{}", query.join("&")),
                &headers,
            );
            assert_eq!(
                Route::of(&head).unwrap().operation,
                route.operation,
                "{route:?}"
            );
        }
    }

    /// What the README says of operations.
    fn operations() -> String {
        let names = |served: bool| {
            let routes = ROUTES.iter().filter(|row| row.serve.is_some() == served);
            let names: BTreeSet<_> = routes.map(|row| row.operation.name()).collect();
            let text: Vec<_> = names.into_iter().collect();
            (text.len(), text.join(", "))
        };
        let ((served, yes), (refused, no)) = (names(true), names(false));
        format!(
            "**Answered ({served}):** {yes}.\n\n**Refused with `NotImplemented` ({refused}):** {no}.\n"
        )
    }

    #[test]
    fn the_readme_lists_every_operation() {
        let readme = include_str!("../../../README.md");
        let listed = readme.split_once("<!-- operations").unwrap().1;
        let listed = listed.split_once("-->\n").unwrap().1;
        let listed = listed.split_once("<!-- /operations -->").unwrap().0;
        assert!(listed == operations(), "{}", operations());
    }

    #[test]
    fn a_foreign_sub_resource_is_not_ignored() {
        for (method, uri) in [
            (Method::DELETE, "/abc?acl"),
            (Method::PUT, "/abc?versions"),
            (Method::DELETE, "/abc/d?acl"),
            (Method::PATCH, "/abc/d"),
            (Method::POST, "/"),
            (Method::POST, "/abc?policy"),
        ] {
            let error = Route::of(&head(&method, uri, &[])).unwrap_err();
            assert_eq!(error.code(), Code::MethodNotAllowed, "{method} {uri}");
        }
    }

    /// Who holds a URL that is signed by Version 2 must not turn it into another operation.
    #[test]
    fn signatures_of_version_2_cover_every_sub_resource() {
        let below = ROUTES.iter().filter(|row| row.level != Level::Service);
        let marks = below
            .flat_map(|row| row.marks)
            .filter(|mark| mark.is_sub_resource());
        for mark in marks.chain(&[Mark::Query("partNumber"), Mark::Query("versionId")]) {
            assert!(SUB_RESOURCES.contains(&mark.name()), "{mark:?}");
        }
    }

    #[test]
    fn an_option_that_is_not_honoured_is_refused_by_name() {
        let check = |uri: &str, headers: &[(&'static str, &str)]| {
            let head = head(&Method::PUT, uri, headers);
            let checked = Route::of(&head)
                .unwrap()
                .check_options(&head, &[&["x-amz-checksum-crc32"]]);
            checked.err().map(|error| error.detail().to_vec())
        };
        let refused = |name: &str| Some(vec![("Header".into(), name.to_owned())]);
        let sse = "x-amz-server-side-encryption";
        assert_eq!(check("/abc/d", &[(sse, "AES256")]), refused(sse));
        assert_eq!(
            check("/abc/d", &[("x-amz-acl", "public-read")]),
            refused("x-amz-acl")
        );
        let class = |class| check("/abc/d", &[("x-amz-storage-class", class)]);
        assert_eq!(class("STANDARD"), None);
        assert_eq!(class("GLACIER"), refused("x-amz-storage-class"));
        let unknown = ("StorageClassRequested".into(), "GOLD".to_owned());
        assert_eq!(class("GOLD"), Some(vec![unknown]));
        assert_eq!(check("/abc/d?versionId=1", &[]), refused("versionId"));
        assert_eq!(
            check("/abc/d?x-id=PutObject&unknown=1", &[("x-amz-meta-a", "b")]),
            None
        );
        assert_eq!(check("/abc/d", &[("x-amz-checksum-crc32", "")]), None);
    }
}
