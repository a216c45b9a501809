//! From the guest's answer to the admission response.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{instance::GuestFailure, request::Request};

/// What policy-server answers, before a policy mode or a custom rejection message changes it.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AdmissionResponse {
    /// The request's `uid`.
    pub uid: String,
    /// Whether the object may pass.
    pub allowed: bool,
    /// `JSONPatch` if there is a patch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patch_type: Option<String>,
    /// The JSON Patch, in base64. [`crate::Evaluation::patch`] has it decoded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patch: Option<String>,
    /// Why, if the policy says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    /// For the audit log.
    pub audit_annotations: Option<BTreeMap<String, String>>,
    /// For the user.
    pub warnings: Option<Vec<String>>,
}

/// The part of a Kubernetes `Status` that policies can set.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Status {
    /// For people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// An HTTP status code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<u16>,
}

/// What a guest's `validate` answers.
#[derive(Deserialize)]
struct ValidationResponse {
    accepted: bool,
    message: Option<String>,
    code: Option<u16>,
    mutated_object: Option<Value>,
    audit_annotations: Option<BTreeMap<String, String>>,
    warnings: Option<Vec<String>>,
}

/// A response with what went into it.
#[derive(Debug, Default)]
pub(crate) struct Answered {
    pub(crate) response: AdmissionResponse,
    pub(crate) patch: Option<Value>,
    pub(crate) mutated_object: Option<Value>,
}

/// Builds the response, as policy-server would.
pub(crate) fn respond(request: &Request, outcome: &Result<Vec<u8>, GuestFailure>) -> Answered {
    let uid = request.uid().to_owned();
    let rejected = |response| Answered { response, ..Answered::default() };
    let answer = match outcome {
        Ok(answer) => answer,
        Err(GuestFailure::DeadlineExceeded) => {
            let message = "Policy execution interrupted because it exceeded the allowed execution time";
            return rejected(AdmissionResponse::reject(uid, message.to_owned(), Some(500)));
        }
        Err(failure) => return rejected(AdmissionResponse::internal_error(uid, &failure.to_string())),
    };
    match serde_json::from_slice::<ValidationResponse>(answer) {
        Ok(answer) => build(uid, request.object(), answer),
        Err(error) => {
            let message = format!("invalid response from policy: {error}");
            rejected(AdmissionResponse::internal_error(uid, &message))
        }
    }
}

fn build(uid: String, object: Option<&Value>, answer: ValidationResponse) -> Answered {
    let ValidationResponse { accepted, message, code, mutated_object, audit_annotations, warnings } = answer;
    let patch = match (object, &mutated_object) {
        (None, Some(_)) => {
            let message = "Incoming object is null, which happens only with DELETE operations, but the policy is \
                           attempting a mutation. This is not allowed";
            let response = AdmissionResponse::reject(uid, message.to_owned(), None);
            return Answered { response, patch: None, mutated_object };
        }
        (Some(object), Some(mutated)) => {
            Some(json_patch::diff(object, mutated)).filter(|patch| !patch.is_empty())
        }
        (_, None) => None,
    };
    let patch = patch.and_then(|patch| serde_json::to_value(patch).ok());
    let response = AdmissionResponse {
        uid,
        allowed: accepted,
        patch_type: patch.as_ref().map(|_| "JSONPatch".to_owned()),
        patch: patch.as_ref().map(|patch| STANDARD.encode(patch.to_string())),
        status: (message.is_some() || code.is_some()).then_some(Status { message, code }),
        audit_annotations,
        warnings,
    };
    Answered { response, patch, mutated_object }
}

impl AdmissionResponse {
    fn reject(uid: String, message: String, code: Option<u16>) -> Self {
        Self { uid, status: Some(Status { message: Some(message), code }), ..Self::default() }
    }

    fn internal_error(uid: String, message: &str) -> Self {
        Self::reject(uid, format!("internal server error: {message}"), Some(500))
    }
}
