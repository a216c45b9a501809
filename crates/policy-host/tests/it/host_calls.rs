//! What guests get when they ask the host.

use std::collections::BTreeSet;

use policy_host::{
    Cluster, FieldMasks, GuestFailure, HostCall, HostCallOutcome, HostCallPayload, Options, ResourceKind,
};
use serde_json::{Value, json};

use crate::guest::Guest;

fn cluster() -> Cluster {
    Cluster::from_json(&json!({
        "objects": [{
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "a", "namespace": "ns", "labels": {"l": "1"}, "annotations": {"n": "2"}},
            "data": {"x": "1", "y": "2"},
            "immutable": true,
        }],
        "errors": [{
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "namespace": "ns",
            "name": "broken",
            "message": "Error sending request over callback channel: Full",
        }],
    }))
    .unwrap()
}

fn get_resource(name: &str, field_masks: Option<&[&str]>) -> Value {
    json!({
        "api_version": "v1",
        "kind": "ConfigMap",
        "name": name,
        "namespace": "ns",
        "disable_cache": true,
        "field_masks": field_masks,
    })
}

/// Checks what the guest got and what was recorded.
#[track_caller]
fn check(
    options: Options,
    target: (&str, &str, &str),
    payload: &str,
    expected: HostCallOutcome,
    bytes: &str,
) {
    let (binding, namespace, operation) = target;
    let host = Guest::calling(binding, namespace, operation, payload).load_with(options).unwrap();
    let answer = host.call("validate", b"", &cluster()).unwrap();
    let expected_outcome = match &expected {
        HostCallOutcome::Answered(_) | HostCallOutcome::Logged => Ok(bytes.as_bytes().to_vec()),
        HostCallOutcome::Failed(_) | HostCallOutcome::Unexpected(_) => {
            Err(GuestFailure::Reported(bytes.to_owned()))
        }
    };
    assert_eq!(answer.outcome, expected_outcome);
    let expected_call = HostCall {
        binding: binding.to_owned(),
        namespace: namespace.to_owned(),
        operation: operation.to_owned(),
        payload: serde_json::from_str(payload)
            .map_or_else(|_| HostCallPayload::Bytes(payload.as_bytes().to_vec()), HostCallPayload::Json),
        outcome: expected,
    };
    assert_eq!(answer.host_calls, [expected_call]);
}

const GET_RESOURCE: (&str, &str, &str) = ("kubewarden", "kubernetes", "get_resource");

#[track_caller]
fn check_object(field_masks: FieldMasks, mask: Option<&[&str]>, expected: &str) {
    let options = Options { field_masks, ..Options::default() };
    let object = serde_json::from_str(expected).unwrap();
    let payload = get_resource("a", mask).to_string();
    check(options, GET_RESOURCE, &payload, HostCallOutcome::Answered(object), expected);
}

#[track_caller]
fn check_failure(payload: &str, expected: &str) {
    check(Options::default(), GET_RESOURCE, payload, HostCallOutcome::Failed(expected.to_owned()), expected);
}

#[track_caller]
fn check_unexpected(target: (&str, &str, &str), expected: &str) {
    check(Options::default(), target, "payload", HostCallOutcome::Unexpected(expected.to_owned()), expected);
}

const METADATA: &str = r#""apiVersion":"v1","kind":"ConfigMap","metadata":{"annotations":{"n":"2"},"labels":{"l":"1"},"name":"a","namespace":"ns"}"#;
const DATA: &str = r#""data":{"x":"1","y":"2"},"immutable":true"#;

#[test]
fn an_object_is_found() {
    check_object(FieldMasks::AsPolicyServer, None, &format!("{{{METADATA},{DATA}}}"));
}

#[test]
fn an_empty_mask_is_none() {
    for mode in [FieldMasks::AsPolicyServer, FieldMasks::Literal, FieldMasks::Ignored] {
        check_object(mode, Some(&[]), &format!("{{{METADATA},{DATA}}}"));
    }
}

#[test]
fn masks_of_policy_server_leave_the_metadata_alone() {
    let mask: &[&str] = &["metadata.name"];
    check_object(FieldMasks::AsPolicyServer, Some(mask), &format!("{{{METADATA}}}"));
    check_object(FieldMasks::Literal, Some(mask), r#"{"metadata":{"name":"a"}}"#);
    check_object(FieldMasks::Ignored, Some(mask), &format!("{{{METADATA},{DATA}}}"));
}

#[test]
fn masks_prune_the_rest() {
    let mask: &[&str] = &["apiVersion", "data.x"];
    check_object(FieldMasks::AsPolicyServer, Some(mask), &format!(r#"{{{METADATA},"data":{{"x":"1"}}}}"#));
    check_object(FieldMasks::Literal, Some(mask), r#"{"apiVersion":"v1","data":{"x":"1"}}"#);
}

#[test]
fn an_object_is_not_found() {
    check_failure(
        &get_resource("b", None).to_string(),
        "Callback evaluation failure: Cannot find v1/ConfigMap named 'b' inside of namespace 'Some(\"ns\")'",
    );
}

#[test]
fn a_lookup_fails() {
    check_failure(
        &get_resource("broken", None).to_string(),
        "Error sending request over callback channel: Full",
    );
}

#[test]
fn a_kind_that_is_not_in_the_metadata_is_refused() {
    check_failure(
        r#"{"api_version":"v1","kind":"Secret","name":"a","namespace":"ns","disable_cache":false}"#,
        "Policy has not been granted access to Kubernetes v1/Secret resources. The violation has been reported.",
    );
}

#[test]
fn the_kinds_can_be_given() {
    let secret = r#"{"api_version":"v1","kind":"Secret","name":"a","namespace":null,"disable_cache":false}"#;
    let text = "Callback evaluation failure: Cannot find v1/Secret named 'a' inside of namespace 'None'";
    let options = Options {
        context_aware_resources: Some(BTreeSet::from([ResourceKind::new("v1", "Secret")])),
        ..Options::default()
    };
    check(options, GET_RESOURCE, secret, HostCallOutcome::Failed(text.to_owned()), text);
}

#[test]
fn malformed_payloads_are_refused() {
    check_failure(
        r#"{"api_version":"v1","kind":"ConfigMap","name":"a"}"#,
        "missing field `disable_cache` at line 1 column 50",
    );
    check_failure("payload", "expected value at line 1 column 1");
}

#[test]
fn what_this_host_does_not_have_is_unexpected() {
    check_unexpected(("other", "kubernetes", "get_resource"), "unknown binding: other");
    check_unexpected(("kubewarden", "other", "get_resource"), "unknown namespace: other");
    check_unexpected(("kubewarden", "kubernetes", "other"), "unknown operation: other");
    check_unexpected(("kubewarden", "tracing", "other"), "unknown operation: other");
    check_unexpected(
        ("kubewarden", "kubernetes", "list_resources_all"),
        "policy-host does not answer `kubewarden/kubernetes/list_resources_all`",
    );
    check_unexpected(
        ("kubewarden", "oci", "v2/verify"),
        "policy-host does not answer `kubewarden/oci/v2/verify`",
    );
}

#[test]
fn logging_is_allowed() {
    check(Options::default(), ("kubewarden", "tracing", "log"), r#"{"m":1}"#, HostCallOutcome::Logged, "");
}

#[test]
fn whether_the_cache_was_disabled_is_recorded() {
    let payload = get_resource("a", None).to_string();
    let host = Guest::calling("kubewarden", "kubernetes", "get_resource", &payload).load();
    let answer = host.call("validate", b"", &cluster()).unwrap();
    assert_eq!(answer.host_calls.iter().map(HostCall::disable_cache).collect::<Vec<_>>(), [Some(true)]);
}
