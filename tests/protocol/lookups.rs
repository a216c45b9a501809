//! What the host is asked, and what comes of its answers.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

use policy_host::{Cluster, FieldMasks, HostCallOutcome, HostCallPayload, ObjectKey, Options};
use serde_json::{Value, json};

use super::*;

#[test]
fn what_the_host_is_asked() {
    for (settings, fresh) in [
        (json!({}), true),
        (json!({"serviceAccountLookup": "fresh"}), true),
        (json!({"serviceAccountLookup": "cached"}), false),
    ] {
        let (_, guest) = validate(envelope(&request(&pod()), &settings).as_bytes(), &with_role());
        let asked: Vec<_> = guest
            .host_calls
            .iter()
            .map(|call| {
                (call.binding.as_str(), call.namespace.as_str(), call.operation.as_str(), &call.payload)
            })
            .collect();
        let payload = HostCallPayload::Json(json!({
            "api_version": "v1", "kind": "ServiceAccount", "namespace": "pay", "name": "api", "disable_cache": fresh,
            "field_masks": ["apiVersion", "kind", "metadata.annotations", "metadata.name", "metadata.namespace"],
        }));
        assert_eq!(asked, [("kubewarden", "kubernetes", "get_resource", &payload)]);
    }
    let settings = json!({"serviceAccountAnnotations": false, "mappingConfigMap": {"namespace": "eks"}});
    let (_, guest) = validate(envelope(&request(&pod()), &settings).as_bytes(), &Cluster::default());
    let asked: Vec<_> = guest.host_calls.iter().map(|call| &call.payload).collect();
    let payload = HostCallPayload::Json(json!({
        "api_version": "v1", "kind": "ConfigMap", "namespace": "eks", "name": "pod-identity-webhook", "disable_cache": false, "field_masks": ["data"],
    }));
    assert_eq!(asked, [&payload]);
}

#[test]
fn field_masks_make_no_difference() {
    let account =
        service_account(&json!({"eks.amazonaws.com/audience": "x", "eks.amazonaws.com/region": "eu-west-1"}));
    let config_map = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "pod-identity-webhook", "namespace": "eks", "labels": {"a": "b"}},
        "data": {"config": json!({"pay/api": {"RoleARN": ROLE}}).to_string(), "other": "x"}, "immutable": true,
    });
    let cluster = cluster(&[account, config_map]);
    let payload = envelope(&request(&pod()), &json!({"mappingConfigMap": {"namespace": "eks"}}));
    let mut answers =
        [FieldMasks::AsPolicyServer, FieldMasks::Literal, FieldMasks::Ignored].map(|field_masks| {
            let guest = load(Options { field_masks, ..Options::default() })
                .call("validate", payload.as_bytes(), &cluster)
                .unwrap();
            assert_eq!(guest.host_calls.len(), 2);
            answer(&guest)
        });
    answers.sort_by_key(Value::to_string);
    assert_eq!(answers[0], answers[2]);
    assert_eq!(
        answers[0]["audit_annotations"],
        json!({"identity": "web-identity", "role-arn": ROLE, "source": "configmap"})
    );
}

const FULL: &str = "Error sending request over callback channel: Full";

/// The answer when the service account could not be looked up.
fn unknown(why: &str, remedy: &str) -> Value {
    json!({"accepted": true, "warnings": [format!("no identity is added: {}", not_read(why, remedy))]})
}

fn not_read(why: &str, remedy: &str) -> String {
    let colon = if why.is_empty() { "" } else { ": " };
    format!("service account `pay/api` could not be read, {remedy}{colon}{why}")
}

const GRANT: &str =
    "grant the policy `v1/ServiceAccount` in `contextAwareResources`, and policy-server by RBAC";

#[test]
fn lookups_that_fail() {
    let payload = envelope(&request(&pod()), &json!({}));
    let key = ObjectKey {
        api_version: "v1".into(),
        kind: "ServiceAccount".into(),
        namespace: Some("pay".into()),
        name: "api".into(),
    };
    for (text, shown) in [
        (
            "Callback evaluation failure: ApiError: unauthorized",
            "Callback evaluation failure: ApiError: unauthorized",
        ),
        (
            "Callback evaluation failure: \u{1b}[31mtimed out\n",
            "Callback evaluation failure: \\u{1b}[31mtimed out\\n",
        ),
        ("", ""),
    ] {
        let mut cluster = Cluster::default();
        cluster.insert_error(key.clone(), text).unwrap();
        let (found, guest) = validate(payload.as_bytes(), &cluster);
        assert_eq!(found, unknown(shown, GRANT));
        assert_eq!(guest.host_calls.len(), 1);
        let strict = envelope(&request(&pod()), &json!({"onLookupError": "reject"}));
        let expected = json!({"accepted": false, "code": 500, "message": not_read(shown, GRANT)});
        assert_eq!(validate(strict.as_bytes(), &cluster).0, expected);
    }

    let mut cluster = Cluster::default();
    cluster.insert_error(key, FULL).unwrap();
    let (found, guest) = validate(payload.as_bytes(), &cluster);
    assert_eq!(found, unknown(FULL, GRANT));
    let outcomes: Vec<_> = guest.host_calls.iter().map(|call| &call.outcome).collect();
    let full = HostCallOutcome::Failed(FULL.to_owned());
    assert_eq!(outcomes, [&full, &full]);
}

#[test]
fn a_service_account_that_is_not_there_has_no_role() {
    let (found, guest) = validate(envelope(&request(&pod()), &json!({})).as_bytes(), &Cluster::default());
    assert_eq!(found, json!({"accepted": true}));
    assert_eq!(guest.host_calls.len(), 1);
    // The mapping counts all the same.
    let (found, guest) = validate(
        envelope(&request(&pod()), &json!({"mapping": {"pay/api": ROLE}})).as_bytes(),
        &Cluster::default(),
    );
    let mut expected = mutated();
    expected["audit_annotations"]["source"] = json!("mapping");
    assert_eq!(found, expected);
    assert_eq!(guest.host_calls.len(), 1);
}

#[test]
fn a_capability_that_was_not_granted() {
    let host = load(Options { context_aware_resources: Some(BTreeSet::new()), ..Options::default() });
    let guest =
        host.call("validate", envelope(&request(&pod()), &json!({})).as_bytes(), &with_role()).unwrap();
    // A warning has 256 bytes.
    let why =
        "Policy has not been granted access to Kubernetes v1/ServiceAccount resources. The violation ha...";
    assert_eq!(answer(&guest), unknown(why, GRANT));
}

/// Answers that policy-host cannot be made to give. The module's code is the same.
fn native(settings: &Value, answers: &[Result<String, String>]) -> (Value, usize) {
    let calls = Rc::new(RefCell::new(0));
    let (count, answers) = (Rc::clone(&calls), answers.to_vec());
    let host_call = move |operation: &str, _: &str| {
        assert_eq!(operation, "get_resource");
        *count.borrow_mut() += 1;
        answers[*count.borrow() - 1].clone()
    };
    let answer = pod_identity_policy::validate(envelope(&request(&pod()), settings).as_bytes(), &host_call);
    let calls = *calls.borrow();
    (serde_json::from_str(&answer).unwrap(), calls)
}

#[test]
fn a_full_queue_is_asked_once_more() {
    let found = service_account(&json!({"eks.amazonaws.com/role-arn": ROLE})).to_string();
    let full = || Err(FULL.to_owned());
    assert_eq!(native(&json!({}), &[Ok(found.clone())]), (mutated(), 1));
    assert_eq!(native(&json!({}), &[full(), Ok(found.clone())]), (mutated(), 2));
    assert_eq!(native(&json!({}), &[full(), full(), Ok(found)]), (unknown(FULL, GRANT), 2));
    let not_there = Err("Callback evaluation failure: Cannot find v1/ServiceAccount named 'api' inside of namespace 'Some(\"pay\")'".to_owned());
    assert_eq!(native(&json!({}), &[full(), not_there]), (json!({"accepted": true}), 2));
    let other = Err("Callback evaluation failure: timed out".to_owned());
    assert_eq!(
        native(&json!({}), &[full(), other]),
        (unknown("Callback evaluation failure: timed out", GRANT), 2)
    );
}

#[test]
fn an_answer_that_is_not_what_was_asked_for() {
    let annotations = json!({"eks.amazonaws.com/role-arn": ROLE});
    let other = |pointer: &str, value: Value| {
        let mut object = service_account(&annotations);
        *object.pointer_mut(pointer).unwrap() = value;
        object.to_string()
    };
    let remedy = "the host's answer has to be the object that was asked for";
    let another = "expected the service account that was asked for, found none";
    for (text, why) in [
        (other("/kind", json!("Secret")), another),
        (other("/kind", Value::Null), another),
        (other("/metadata/name", json!("api2")), another),
        (other("/metadata/namespace", json!("pay2")), another),
        (other("/metadata", Value::Null), another),
        ("null".to_owned(), another),
        ("{}".to_owned(), another),
        (String::new(), "not JSON at byte 0: expected a value"),
        ("oops".to_owned(), "not JSON at byte 0: expected a value"),
        ("[]".to_owned(), "expected an object, found an array"),
        (
            other("/metadata/annotations", json!([])),
            "`metadata.annotations`: expected an object, found an array",
        ),
        (
            other("/metadata/annotations", json!({"x": 1})),
            "`metadata.annotations`: expected a string, found a number",
        ),
    ] {
        assert_eq!(native(&json!({}), &[Ok(text.clone())]), (unknown(why, remedy), 1), "{text}");
    }
}

#[test]
fn a_pod_that_is_left_alone_costs_no_host_call() {
    let settings = json!({"mappingConfigMap": {"namespace": "eks"}, "mapping": {"*/*": ROLE}});
    for (place, value) in [
        ("/object/metadata/annotations", json!({"kubernetes.io/config.mirror": "x"})),
        ("/object/metadata/labels", json!({"eks.amazonaws.com/skip-pod-identity-webhook": ""})),
        ("/object/metadata/labels", json!({"eks.amazonaws.com/skip-pod-identity-webhook": "false"})),
        ("/object/spec/serviceAccountName", json!("")),
        ("/object/spec/serviceAccountName", Value::Null),
        ("/object/spec/containers", json!([])),
        ("/object/metadata/annotations", json!({"eks.amazonaws.com/skip-containers": "app"})),
        (
            "/object/metadata/annotations",
            json!({"eks.amazonaws.com/include-containers": "app", "eks.amazonaws.com/skip-containers": "app"}),
        ),
        ("/operation", json!("UPDATE")),
        ("/operation", json!("DELETE")),
        ("/subResource", json!("binding")),
        ("/subResource", json!("status")),
        ("/resource/group", json!("apps")),
        ("/resource/resource", json!("deployments")),
    ] {
        let mut request = request(&pod());
        request["subResource"] = Value::Null;
        for key in ["annotations", "labels"] {
            request["object"]["metadata"][key] = json!({});
        }
        *request.pointer_mut(place).unwrap() = value;
        check_validate(envelope(&request, &settings).as_bytes(), &json!({"accepted": true}));
    }
}
