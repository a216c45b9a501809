use std::{collections::BTreeMap, env, fs, path::Path, time::Duration};

use anstream::adapter::strip_str;
use policy_host::{AdmissionResponse, GuestAnswer, GuestFailure};
use serde_json::json;

use super::*;

/// Compares with `expected/NAME.txt`, which `UPDATE_EXPECTATIONS=1` writes anew.
#[track_caller]
fn check(expected: &str, found: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("expected").join(expected).with_extension("txt");
    let found = strip_str(found).to_string();
    if env::var("UPDATE_EXPECTATIONS").is_ok_and(|value| value == "1") {
        fs::write(&path, &found).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    let diff = similar::TextDiff::from_lines(&expected, &found);
    assert!(found == expected, "{}\n{}", path.display(), diff.unified_diff());
}

fn pod() -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "api", "namespace": "pay"}, "spec": {
        "containers": [{"name": "app", "args": ["yes", "012", "two\nlines"], "image": "app\u{1b}[2J"}],
        "serviceAccountName": "api",
    }})
}

fn service_account() -> Value {
    json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "api", "namespace": "pay"}})
}

fn scene() -> Scene {
    Scene {
        title: "A title".to_owned(),
        review: json!({"request": {
            "operation": "CREATE",
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "namespace": "pay",
            "object": pod(),
        }}),
        settings: json!({}),
        objects: vec![service_account()],
        is_service_account_assumed: true,
    }
}

fn lookup(outcome: HostCallOutcome) -> HostCall {
    HostCall {
        binding: "kubewarden".to_owned(),
        namespace: "kubernetes".to_owned(),
        operation: "get_resource".to_owned(),
        payload: HostCallPayload::Json(json!({"kind": "ServiceAccount", "namespace": "pay", "name": "api"})),
        outcome,
    }
}

fn evaluated(response: AdmissionResponse, mutated_object: Option<Value>, guest: GuestAnswer) -> Outcome {
    let patch = mutated_object.as_ref().map(|_| json!([]));
    let cost = Cost {
        calls: 200,
        time: Duration::from_micros(183),
        instance: Duration::from_micros(37),
        fuel: 524_847,
    };
    Outcome::Evaluated(Box::new(Evaluation { response, patch, mutated_object, guest }), cost)
}

fn guest(host_calls: Vec<HostCall>) -> GuestAnswer {
    GuestAnswer {
        outcome: Ok(Vec::new()),
        host_calls,
        fuel: None,
        time: Duration::ZERO,
        memory: 0,
        output: String::new(),
    }
}

fn refusal(message: &str, code: u16) -> AdmissionResponse {
    let status = Some(Status { message: Some(message.to_owned()), code: Some(code) });
    AdmissionResponse { status, ..AdmissionResponse::default() }
}

#[test]
fn a_changed_pod_is_shown_as_a_diff() {
    let mut service_account = service_account();
    service_account["metadata"]["annotations"] = json!({"eks.amazonaws.com/role-arn": "r"});
    let scene = Scene {
        settings: json!({"awsDefaultRegion": "eu-west-1"}),
        objects: vec![service_account.clone()],
        is_service_account_assumed: false,
        ..scene()
    };
    let mut changed = pod();
    changed["spec"]["containers"][0]["env"] = json!([{"name": "AWS_ROLE_ARN", "value": "r"}]);
    let response = AdmissionResponse {
        allowed: true,
        audit_annotations: Some(BTreeMap::from([("source".to_owned(), "annotation".to_owned())])),
        warnings: Some(vec![
            "a warning that is as long as a warning has to be for it to be shown on more than one line"
                .to_owned(),
        ]),
        ..AdmissionResponse::default()
    };
    let guest = guest(vec![lookup(HostCallOutcome::Answered(service_account))]);
    check("changed", &run(Some(1), &scene, &evaluated(response, Some(changed), guest)).unwrap());
}

#[test]
fn an_unchanged_pod_has_no_diff() {
    let response = AdmissionResponse { allowed: true, ..AdmissionResponse::default() };
    let guest = guest(vec![lookup(HostCallOutcome::Failed("no connection".to_owned()))]);
    check("unchanged", &run(None, &scene(), &evaluated(response, None, guest)).unwrap());
}

#[test]
fn a_refusal_says_why_and_an_object_nobody_asked_for_is_noted() {
    let scene = Scene { is_service_account_assumed: false, ..scene() };
    let outcome = evaluated(refusal("the role is not allowed", 403), None, guest(Vec::new()));
    check("refused", &run(None, &scene, &outcome).unwrap());
}

#[test]
fn a_failure_of_the_policy_is_no_refusal() {
    let outcome = Err(GuestFailure::Reported("out of memory".to_owned()));
    let guest = GuestAnswer { outcome, ..guest(Vec::new()) };
    let outcome = evaluated(refusal("internal server error: out of memory", 500), None, guest);
    check("failed", &run(None, &scene(), &outcome).unwrap());
}

#[test]
fn refused_settings_are_shown_with_every_problem() {
    let outcome = Outcome::SettingsRefused("`a`: expected a string\n`b`: unknown".to_owned());
    check("settings-refused", &run(None, &scene(), &outcome).unwrap());
}

#[test]
fn an_error_has_its_causes() {
    let found = error(&anyhow::anyhow!("expected \u{1b}YAML").context("cannot use `pod.yaml`"));
    assert_eq!(strip_str(&found).to_string(), "error: cannot use `pod.yaml`: expected \\u{1b}YAML");
}
