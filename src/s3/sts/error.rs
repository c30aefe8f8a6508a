//! STS's errors, in its own form.
//!
//! <https://docs.aws.amazon.com/STS/latest/APIReference/CommonErrors.html>

use std::borrow::Cow;

use http::StatusCode;

use super::NAMESPACE;
use crate::auth::AuthError;
use crate::id::RequestId;
use crate::s3::error::S3Error;
use crate::s3::reply::Reply;
use crate::s3::xml::XmlWriter;

/// A refusal of STS.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct StsError {
    code: &'static str,
    status: StatusCode,
    message: Cow<'static, str>,
}

impl StsError {
    /// 400.
    pub(super) fn bad(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            status: StatusCode::BAD_REQUEST,
            message: message.into(),
        }
    }

    /// 403.
    pub(super) fn forbidden(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status: StatusCode::FORBIDDEN,
            ..Self::bad(code, message)
        }
    }

    /// A value that breaks a rule of the service's model.
    pub(super) fn invalid(field: &str, value: &str, rule: &str) -> Self {
        Self::bad(
            "ValidationError",
            format!(
                "1 validation error detected: Value '{value}' at '{field}' failed to satisfy \
                 constraint: {rule}"
            ),
        )
    }

    /// What STS has and Consign has not.
    pub(super) fn unsupported(what: &str) -> Self {
        Self {
            status: StatusCode::NOT_IMPLEMENTED,
            ..Self::bad(
                "NotImplemented",
                format!("Consign does not implement {what}."),
            )
        }
    }

    /// The answer.
    pub(super) fn reply(&self, id: RequestId) -> Reply {
        let kind = if self.status.is_client_error() {
            "Sender"
        } else {
            "Receiver"
        };
        tracing::debug!(%id, code = self.code, "sts refused");
        let mut document = XmlWriter::within(NAMESPACE, "ErrorResponse");
        document.element("Error", |document| {
            document.text("Type", kind);
            document.text("Code", self.code);
            document.text("Message", &self.message);
        });
        document.text("RequestId", &id.to_string());
        Reply::full("text/xml", document.finish()).with_status(self.status)
    }
}

impl From<AuthError> for StsError {
    fn from(error: AuthError) -> Self {
        let text = error.to_string();
        match error {
            AuthError::UnknownKey { .. } | AuthError::InvalidToken => Self::forbidden(
                "InvalidClientTokenId",
                "The security token included in the request is invalid.",
            ),
            AuthError::ExpiredToken => Self::forbidden(
                "ExpiredToken",
                "The security token included in the request is expired",
            ),
            AuthError::Mismatch(_)
            | AuthError::TimeTooSkewed { .. }
            | AuthError::Expired { .. }
            | AuthError::NotYetValid { .. }
            | AuthError::HeadersNotSigned(_)
            | AuthError::MalformedHeader {
                region: Some(_), ..
            }
            | AuthError::MalformedQuery {
                region: Some(_), ..
            } => Self::forbidden("SignatureDoesNotMatch", text),
            _ => Self::bad("IncompleteSignature", text),
        }
    }
}

/// What goes wrong with a body before STS has looked into it.
impl From<S3Error> for StsError {
    fn from(error: S3Error) -> Self {
        let (code, status) = error.code().wire();
        Self {
            code,
            status,
            message: error.message().to_owned().into(),
        }
    }
}
