//! A failed call, as the API server reads it: a `Status`
//! (<https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/>).
//!
//! Any HTTP status but 200 means that the call failed, and the failure policy decides what becomes of the object.

use hyper::StatusCode;
use pod_identity_core::{number, write_string};

/// Why a call failed. The texts hold nothing that a caller sent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Failure {
    /// The HTTP status.
    pub code: StatusCode,
    /// What was wrong, and what was expected.
    pub message: &'static str,
}

impl Failure {
    /// A failure with its HTTP status.
    #[must_use]
    pub fn new(code: StatusCode, message: &'static str) -> Self {
        Self { code, message }
    }

    /// As JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut out =
            String::from("{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},\"status\":\"Failure\"");
        out.push_str(",\"message\":");
        write_string(&mut out, self.message);
        out.push_str(",\"reason\":\"");
        out.push_str(reason(self.code.as_u16()));
        out.push_str("\",\"code\":");
        out.push_str(&number(self.code.as_u16().into()));
        out.push('}');
        out
    }
}

/// The word for a code
/// (<https://github.com/kubernetes/apimachinery/blob/master/pkg/apis/meta/v1/types.go>, `StatusReason`).
#[must_use]
pub fn reason(code: u16) -> &'static str {
    match code {
        400 => "BadRequest",
        403 => "Forbidden",
        404 => "NotFound",
        405 => "MethodNotAllowed",
        408 | 504 => "Timeout",
        413 => "RequestEntityTooLarge",
        415 => "UnsupportedMediaType",
        429 => "TooManyRequests",
        503 => "ServiceUnavailable",
        _ => "InternalError",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_a_status() {
        assert_eq!(
            Failure::new(StatusCode::BAD_REQUEST, "expected `uid`").to_json(),
            r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"expected `uid`","reason":"BadRequest","code":400}"#
        );
    }
}
