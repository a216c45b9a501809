//! The request as it reaches the guest.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::Error;

/// An admission request in the shape that policy-server hands on: fields that it does not know are dropped, nulls
/// count as absent, and what is absent is left out.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    uid: String,
    json: Value,
}

/// The fields policy-server knows.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct AdmissionRequest {
    uid: String,
    kind: GroupVersionKind,
    resource: GroupVersionResource,
    #[serde(skip_serializing_if = "Option::is_none")]
    sub_resource: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_kind: Option<GroupVersionKind>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_resource: Option<GroupVersionResource>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_sub_resource: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
    operation: String,
    user_info: UserInfo,
    #[serde(skip_serializing_if = "Option::is_none")]
    object: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    old_object: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dry_run: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    options: Option<Value>,
}

#[derive(Deserialize, Serialize)]
struct GroupVersionKind {
    group: String,
    version: String,
    kind: String,
}

#[derive(Deserialize, Serialize)]
struct GroupVersionResource {
    group: String,
    version: String,
    resource: String,
}

/// Required as a whole, though each of its fields may be absent.
#[derive(Deserialize, Serialize)]
struct UserInfo {
    #[serde(skip_serializing_if = "Option::is_none")]
    extra: Option<BTreeMap<String, Vec<String>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    groups: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<String>,
}

impl Request {
    /// Reads a request, or the request inside of a whole `AdmissionReview`.
    pub fn from_json(document: &Value) -> Result<Self, Error> {
        let request = document.get("request").unwrap_or(document);
        let request = AdmissionRequest::deserialize(request).map_err(Error::Request)?;
        let json = serde_json::to_value(&request).map_err(Error::Json)?;
        Ok(Self { uid: request.uid, json })
    }

    /// The request's `uid`, which the response repeats.
    pub fn uid(&self) -> &str {
        &self.uid
    }

    /// What the guest sees.
    pub fn as_json(&self) -> &Value {
        &self.json
    }

    /// The object to mutate. Absent when something is deleted.
    pub fn object(&self) -> Option<&Value> {
        self.json.get("object")
    }

    /// The payload of `validate`: compact, keys sorted. The settings are printed once per policy and not once per
    /// request, which gives the same bytes, as `request` sorts before `settings`.
    pub(crate) fn envelope(&self, settings: &[u8]) -> Result<Vec<u8>, Error> {
        let mut payload = br#"{"request":"#.to_vec();
        serde_json::to_writer(&mut payload, &self.json).map_err(Error::Json)?;
        payload.extend_from_slice(br#","settings":"#);
        payload.extend_from_slice(settings);
        payload.push(b'}');
        Ok(payload)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn minimal() -> Value {
        json!({
            "uid": "u",
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "operation": "CREATE",
            "userInfo": {},
        })
    }

    #[test]
    fn unknown_fields_and_nulls_are_dropped() {
        let document = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
            "uid": "u",
            "kind": {"group": "", "version": "v1", "kind": "Pod", "extra": 1},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "subResource": null,
            "operation": "CREATE",
            "userInfo": {"username": "admin", "groups": null, "uid": "", "extra": {"k": ["v"]}, "new": 1},
            "object": {"unknown": null, "z": 1, "a": 1.0},
            "oldObject": null,
            "dryRun": false,
            "options": {},
            "unknown": 1,
        }});
        let request = Request::from_json(&document).unwrap();
        assert_eq!(
            String::from_utf8(request.envelope(br#"{"a":1}"#).unwrap()).unwrap(),
            concat!(
                r#"{"request":{"dryRun":false,"kind":{"group":"","kind":"Pod","version":"v1"},"#,
                r#""object":{"a":1.0,"unknown":null,"z":1},"operation":"CREATE","options":{},"#,
                r#""resource":{"group":"","resource":"pods","version":"v1"},"uid":"u","#,
                r#""userInfo":{"extra":{"k":["v"]},"uid":"","username":"admin"}},"settings":{"a":1}}"#
            )
        );
    }

    #[test]
    fn a_bare_request_is_the_same_as_one_in_a_review() {
        let bare = Request::from_json(&minimal()).unwrap();
        let review = Request::from_json(&json!({"request": minimal()})).unwrap();
        assert_eq!((bare.as_json(), bare.uid(), bare.object()), (&minimal(), "u", None));
        assert_eq!(bare, review);
    }

    #[test]
    fn what_is_required_is_named() {
        let mut document = minimal();
        document.as_object_mut().unwrap().remove("userInfo");
        let error = Request::from_json(&document).unwrap_err();
        assert_eq!(error.to_string(), "cannot read the admission request: missing field `userInfo`");
    }
}
