//! From the guest's answer to the admission response.

use std::{collections::BTreeMap, time::Duration};

use policy_host::{AdmissionResponse, Cluster, Evaluation, GuestFailure, Options, Status};
use serde_json::{Value, json};

use crate::guest::{Guest, request};

fn evaluate(guest: &Guest, request: &Value) -> Evaluation {
    evaluate_with(guest, Options::default(), request)
}

fn evaluate_with(guest: &Guest, options: Options, request: &Value) -> Evaluation {
    let host = guest.load_with(options).unwrap();
    host.with_settings(Value::Null).unwrap().validate(request, &Cluster::default()).unwrap()
}

fn pod() -> Value {
    json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "a"}]}})
}

fn accepted() -> AdmissionResponse {
    AdmissionResponse { uid: "u-1".to_owned(), allowed: true, ..AdmissionResponse::default() }
}

fn rejected(message: &str, code: Option<u16>) -> AdmissionResponse {
    let status = Some(Status { message: Some(message.to_owned()), code });
    AdmissionResponse { allowed: false, status, ..accepted() }
}

#[test]
fn a_pod_is_accepted() {
    let evaluation = evaluate(&Guest::answering(&json!({"accepted": true})), &request(&pod()));
    assert_eq!((evaluation.response, evaluation.patch, evaluation.mutated_object), (accepted(), None, None));
    assert_eq!(evaluation.guest.outcome, Ok(br#"{"accepted":true}"#.to_vec()));
}

#[test]
fn a_pod_is_rejected() {
    let answer = json!({
        "accepted": false,
        "message": "no",
        "code": 403,
        "warnings": ["careful"],
        "audit_annotations": {"key": "value"},
    });
    let evaluation = evaluate(&Guest::answering(&answer), &request(&pod()));
    let expected = AdmissionResponse {
        warnings: Some(vec!["careful".to_owned()]),
        audit_annotations: Some(BTreeMap::from([("key".to_owned(), "value".to_owned())])),
        ..rejected("no", Some(403))
    };
    assert_eq!(evaluation.response, expected);
}

#[test]
fn an_unchanged_object_gives_no_patch() {
    let answer = json!({"accepted": true, "mutated_object": pod()});
    let evaluation = evaluate(&Guest::answering(&answer), &request(&pod()));
    assert_eq!(
        (evaluation.response, evaluation.patch, evaluation.mutated_object),
        (accepted(), None, Some(pod()))
    );
}

#[test]
fn a_changed_object_gives_a_patch() {
    let mutated = json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "a"}, {"name": "b"}]}});
    let answer = json!({"accepted": true, "mutated_object": mutated});
    let evaluation = evaluate(&Guest::answering(&answer), &request(&pod()));
    let patch = "W3sib3AiOiJhZGQiLCJwYXRoIjoiL3NwZWMvY29udGFpbmVycy8xIiwidmFsdWUiOnsibmFtZSI6ImIifX1d";
    let expected = AdmissionResponse {
        patch_type: Some("JSONPatch".to_owned()),
        patch: Some(patch.to_owned()),
        ..accepted()
    };
    assert_eq!(evaluation.response, expected);
    let patch = json!([{"op": "add", "path": "/spec/containers/1", "value": {"name": "b"}}]);
    assert_eq!((evaluation.patch, evaluation.mutated_object), (Some(patch), Some(mutated)));
}

#[test]
fn a_rejection_can_have_a_patch() {
    let answer = json!({"accepted": false, "mutated_object": {"metadata": {"name": "p"}}});
    let evaluation = evaluate(&Guest::answering(&answer), &request(&pod()));
    assert_eq!(
        (evaluation.response.allowed, evaluation.patch),
        (false, Some(json!([{"op": "remove", "path": "/spec"}])))
    );
}

#[test]
fn what_is_deleted_is_not_mutated() {
    let answer = json!({"accepted": true, "mutated_object": {}});
    let evaluation = evaluate(&Guest::answering(&answer), &request(&Value::Null));
    let message = "Incoming object is null, which happens only with DELETE operations, but the policy is \
                   attempting a mutation. This is not allowed";
    assert_eq!((evaluation.response, evaluation.patch), (rejected(message, None), None));
}

#[test]
fn an_unreadable_answer_is_an_internal_error() {
    let evaluation = evaluate(&Guest::answering_text("{"), &request(&pod()));
    let message =
        "internal server error: invalid response from policy: EOF while parsing an object at line 1 column 1";
    assert_eq!(evaluation.response, rejected(message, Some(500)));
}

#[test]
fn a_guest_error_is_an_internal_error() {
    let guest = Guest {
        texts: vec!["no such thing".to_owned()],
        ..Guest::new("(call $fail (call $text (i32.const 0))) i32.const 0")
    };
    let evaluation = evaluate(&guest, &request(&pod()));
    let message = "internal server error: Guest call failure: no such thing";
    assert_eq!(evaluation.response, rejected(message, Some(500)));
}

#[test]
fn a_trap_is_an_internal_error() {
    let evaluation = evaluate(&Guest::new("unreachable"), &request(&pod()));
    match evaluation.guest.outcome {
        Err(GuestFailure::Trapped { message, .. }) => {
            let message = format!("internal server error: Guest call failure: {message}");
            assert_eq!(evaluation.response, rejected(&message, Some(500)));
        }
        outcome => panic!("expected a trap, found {outcome:?}"),
    }
}

#[test]
fn a_time_out_has_a_text_of_its_own() {
    let options = Options { deadline: Duration::from_millis(40), ..Options::default() };
    let evaluation =
        evaluate_with(&Guest::new("(loop $again (br $again)) unreachable"), options, &request(&pod()));
    let message = "Policy execution interrupted because it exceeded the allowed execution time";
    assert_eq!(evaluation.response, rejected(message, Some(500)));
    assert_eq!(evaluation.guest.outcome, Err(GuestFailure::DeadlineExceeded));
}

#[test]
fn responses_are_printed_as_by_policy_server() {
    let response = serde_json::to_value(rejected("no", Some(403))).unwrap();
    let expected = json!({
        "uid": "u-1",
        "allowed": false,
        "status": {"message": "no", "code": 403},
        "auditAnnotations": null,
        "warnings": null,
    });
    assert_eq!(response, expected);
}
