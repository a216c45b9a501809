//! Every case of the corpus, through the core and through the real module.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that panics has failed, which is what it is for"
)]

use std::cell::OnceCell;
use std::path::Path;
use std::sync::OnceLock;

use corpus::{Answer, Case, Host};
use pod_identity_core::{
    Admission, Arena, ConfigMap, Facts, Found, Lookup, Outcome, Review, ServiceAccount, Settings, Unknown,
    response,
};
use policy_host::{Cluster, HostCallOutcome, HostCallPayload, Options, PolicyHost};
use serde_json::{Value, json};

fn cases() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/cases"))
}

fn assert_no_differences(differences: &[String]) {
    assert!(differences.is_empty(), "{} cases differ\n\n{}", differences.len(), differences.join("\n"));
}

#[test]
fn the_core_answers_as_expected() {
    assert_no_differences(&corpus::differences(cases(), Host::Policy, core_answer).unwrap());
}

fn core_answer(case: &Case) -> Answer {
    let arena = Arena::default();
    let (settings, mut problems) = Settings::read(&case.settings, &arena);
    let at_admission = problems.clone();
    settings.check(&mut problems, &arena);
    let mut answer =
        Answer { settings_message: (!problems.is_empty()).then(|| problems.message()), ..Answer::default() };
    let Some(review) = &case.review else { return answer };
    let text = review.to_string();
    let review = match Review::read(&text, &arena) {
        Ok(review) => review,
        Err(error) => {
            return Answer {
                allowed: Some(false),
                code: Some(400),
                message: Some(format!("the request could not be read: {error}")),
                ..answer
            };
        }
    };
    let request = review.request.unwrap();
    let admission = Admission::new(&request, &settings, &at_admission);
    let texts = [OnceCell::new(), OnceCell::new()];
    let mut facts = Facts::default();
    while let Some(lookup) = admission.next_lookup(&facts) {
        match lookup {
            Lookup::ServiceAccount { namespace, name } => {
                answer.lookups.push(format!("v1/ServiceAccount {namespace}/{name}"));
                facts.service_account =
                    Some(found(case, &lookup, "ServiceAccount", namespace, name, &texts[0], |text| {
                        Some(ServiceAccount::read(text, namespace, name, &arena).unwrap())
                    }));
            }
            Lookup::ConfigMap { namespace, name, key } => {
                answer.lookups.push(format!("v1/ConfigMap {namespace}/{name}"));
                facts.config_map =
                    Some(found(case, &lookup, "ConfigMap", namespace, name, &texts[1], |text| {
                        ConfigMap::read(text, namespace, name, key, &arena).unwrap()
                    }));
            }
        }
    }
    let decision = admission.decide(&facts);
    answer.allowed = Some(!matches!(decision.outcome, Outcome::Refused(_)));
    match &decision.outcome {
        Outcome::Refused(refusal) => {
            answer.code = Some(refusal.code);
            answer.message = Some(refusal.message.clone());
        }
        Outcome::Changed(_, change) => {
            let (mut patch, mut object) = (String::new(), String::new());
            change.write_patch(&mut patch);
            change.write_object(&mut object);
            let patch: Value = serde_json::from_str(&patch).unwrap();
            let object: Value = serde_json::from_str(&object).unwrap();
            assert_eq!(case.patched(&patch), Ok(object), "{}: the patch and the object disagree", case.name);
            answer.patch = Some(patch);
        }
        Outcome::Unchanged(_) | Outcome::Verified { .. } => {}
    }
    answer.warnings = response::warnings(&decision);
    answer.audit_annotations = response::audit_annotations(&decision)
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value.into_owned()))
        .collect();
    answer
}

fn found<'a, T>(
    case: &Case,
    lookup: &Lookup<'_>,
    kind: &str,
    namespace: &str,
    name: &str,
    cell: &'a OnceCell<String>,
    read: impl FnOnce(&'a str) -> Option<T>,
) -> Found<T> {
    match case.look_up(kind, namespace, name) {
        Ok(Some(text)) => read(cell.get_or_init(|| text)).map_or(Found::NotThere, Found::There),
        Ok(None) => Found::NotThere,
        Err(reason) => Found::Unknown(Unknown { reason, remedy: pod_identity_policy::remedy(lookup) }),
    }
}

/// The module as `make annotated-policy.wasm` builds it.
fn host() -> &'static PolicyHost {
    static HOST: OnceLock<PolicyHost> = OnceLock::new();
    HOST.get_or_init(|| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("annotated-policy.wasm");
        let module =
            std::fs::read(&path).expect("annotated-policy.wasm is there: `make annotated-policy.wasm`");
        PolicyHost::load(&module, Options { count_fuel: true, ..Options::default() }).unwrap()
    })
}

#[test]
fn the_module_answers_as_expected() {
    assert_no_differences(&corpus::differences(cases(), Host::Policy, module_answer).unwrap());
}

fn module_answer(case: &Case) -> Answer {
    // The text as it is, for a host's own reading would lose what is wrong with it.
    let checked = host().call("validate_settings", case.settings.as_bytes(), &Cluster::default()).unwrap();
    let checked: Value = serde_json::from_slice(&checked.outcome.unwrap()).unwrap();
    let message = checked["message"].as_str().map(str::to_owned);
    assert_eq!(checked["valid"], message.is_none(), "{}", case.name);
    let mut answer = Answer { settings_message: message, ..Answer::default() };
    let Some(review) = &case.review else { return answer };
    let settings: Value = serde_json::from_str(&case.settings).unwrap();
    let cluster = match &case.cluster {
        Value::Null => json!({}),
        cluster => cluster.clone(),
    };
    let cluster = Cluster::from_json(&cluster).unwrap();
    let policy = host().with_unchecked_settings(settings).unwrap();
    let evaluation = policy.validate(review, &cluster).unwrap();
    answer.lookups = evaluation
        .guest
        .host_calls
        .iter()
        .map(|call| {
            assert!(!matches!(call.outcome, HostCallOutcome::Unexpected(_)), "{}: {call:?}", case.name);
            let HostCallPayload::Json(payload) = &call.payload else { panic!("{}: {call:?}", case.name) };
            let text = |key: &str| payload[key].as_str().unwrap().to_owned();
            format!("{}/{} {}/{}", text("api_version"), text("kind"), text("namespace"), text("name"))
        })
        .collect();
    answer.allowed = Some(evaluation.response.allowed);
    if let Some(status) = evaluation.response.status {
        answer.code = status.code;
        answer.message = status.message;
    }
    // policy-server makes the patch itself, so what has to be equal is what comes of it.
    let expected = &case.expected["patch"];
    answer.patch = match evaluation.mutated_object {
        Some(object) if case.patched(expected).as_ref() == Ok(&object) => Some(expected.clone()),
        Some(_) => evaluation.patch,
        None => None,
    };
    answer.warnings = evaluation.response.warnings.unwrap_or_default();
    answer.audit_annotations =
        evaluation.response.audit_annotations.unwrap_or_default().into_iter().collect();
    answer
}
