//! Whatever arrives, there is an answer, and it is one that policy-server reads.

use std::path::Path;

use proptest::collection::vec;
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::check;
use crate::generate::{anything, pod};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "what is read is known to be there")]
struct Answer {
    accepted: bool,
    code: Option<u16>,
    message: Option<String>,
    mutated_object: Option<Value>,
    audit_annotations: Option<std::collections::BTreeMap<String, String>>,
    warnings: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SettingsAnswer {
    valid: bool,
    message: Option<String>,
}

const SERVICE_ACCOUNT: &str = r#"{"apiVersion":"v1","kind":"ServiceAccount","metadata":{"name":"orders-api","namespace":"shop","annotations":{"eks.amazonaws.com/role-arn":"arn:aws:iam::111122223333:role/api"}}}"#;

fn validate(payload: &[u8], service_account: &str) -> Answer {
    let service_account = service_account.to_owned();
    let answer = pod_identity_policy::validate(payload, &move |_, _| Ok(service_account.clone()));
    let answer: Answer = serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{error}: {answer}"));
    match (answer.accepted, answer.code) {
        (true, None) => assert_eq!(answer.message, None),
        (false, Some(400 | 403 | 500)) => {
            let message = answer.message.as_deref().unwrap();
            assert!(message.bytes().all(|b| (b' '..=b'~').contains(&b)), "{message:?}");
            assert!(answer.mutated_object.is_none());
        }
        (accepted, code) => panic!("accepted {accepted}, code {code:?}"),
    }
    answer
}

fn validate_settings(payload: &[u8]) -> SettingsAnswer {
    let answer = pod_identity_policy::validate_settings(payload);
    let answer: SettingsAnswer =
        serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{error}: {answer}"));
    assert_eq!(answer.valid, answer.message.is_none());
    let printable = |text: &str| text.bytes().all(|b| (b' '..=b'~').contains(&b));
    assert!(answer.message.as_deref().is_none_or(printable), "{:?}", answer.message);
    answer
}

/// The review of 20 KB, as policy-server hands it on.
fn real() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/reviews/pod-20kb.json");
    let review: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    json!({"request": review["request"], "settings": settings()})
}

fn settings() -> Value {
    json!({
        "mapping": {"shop/*": {"roleArn": "arn:aws:iam::111122223333:role/{namespace}-{cluster}", "containers": {"app": "arn:aws:iam::111122223333:role/x"}}},
        "variables": {"cluster": "prod-1"},
        "containerCredentials": {"identities": [{"namespace": "x", "serviceAccount": "y"}]},
        "allowedRoles": [{"namespaces": ["*"], "roles": ["*"]}],
        "allowedAudiences": ["sts.amazonaws.com"],
        "mappingConfigMap": {"namespace": "eks"},
        "composeRoleArn": {"accountId": "111122223333"},
    })
}

#[test]
fn any_bytes() {
    check(vec(any::<u8>(), 0..200), |bytes| {
        validate(&bytes, SERVICE_ACCOUNT);
        validate_settings(&bytes);
        validate(real().to_string().as_bytes(), &String::from_utf8_lossy(&bytes));
    });
}

#[test]
fn any_json_syntax() {
    check("[\\[\\]{}\",:0-9eE+.\\-\\\\untrfalsd8 ]{0,80}", |text| {
        let ours = pod_identity_policy::validate_settings(text.as_bytes());
        // serde_json is the judge of what JSON is, but for halves of surrogate pairs, which it skips.
        let json = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
        let valid = ours == r#"{"valid":true}"#;
        assert!(json || !valid, "{text} is no JSON: {ours}");
        assert!(!json || !ours.contains("not JSON") || ours.contains("surrogates"), "{text} is JSON: {ours}");
        validate(text.as_bytes(), &text);
    });
}

#[test]
fn any_json_in_any_place() {
    let places = prop::sample::select(vec![
        "",
        "/request",
        "/request/object",
        "/request/object/metadata",
        "/request/object/spec",
        "/request/object/spec/containers",
        "/request/object/spec/containers/0",
        "/request/object/spec/volumes",
        "/request/object/spec/affinity",
        "/settings",
        "/settings/mapping",
        "/settings/mapping/shop~1*",
        "/settings/containerCredentials",
        "/settings/allowedRoles",
        "/settings/variables",
    ]);
    check((places, anything()), |(place, value)| {
        let mut review = real();
        *review.pointer_mut(place).unwrap() = value.clone();
        validate(review.to_string().as_bytes(), SERVICE_ACCOUNT);
        validate(real().to_string().as_bytes(), &value.to_string());
        validate_settings(review["settings"].to_string().as_bytes());
    });
}

/// Each value of a real request, replaced by one of each type.
#[test]
fn wrong_types_everywhere() {
    let review = real();
    let mut pointers = Vec::new();
    collect(&review, String::new(), &mut pointers);
    assert!(pointers.len() > 500, "{} places", pointers.len());
    for pointer in &pointers {
        for value in [
            json!(null),
            json!(true),
            json!(-1.5e300),
            json!("\u{1b}x"),
            json!([]),
            json!([null]),
            json!({}),
            json!({"x": 1}),
        ] {
            let mut review = review.clone();
            *review.pointer_mut(pointer).unwrap() = value;
            validate(review.to_string().as_bytes(), SERVICE_ACCOUNT);
            if pointer.starts_with("/settings") {
                validate_settings(review["settings"].to_string().as_bytes());
            }
        }
    }
}

fn collect(value: &Value, pointer: String, pointers: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (key, value) in members {
                collect(value, format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1")), pointers);
            }
        }
        Value::Array(elements) => {
            for (i, value) in elements.iter().enumerate() {
                collect(value, format!("{pointer}/{i}"), pointers);
            }
        }
        _ => {}
    }
    pointers.push(pointer);
}

#[test]
fn a_real_request_cut_off_anywhere() {
    let review = real().to_string();
    assert!(validate(review.as_bytes(), SERVICE_ACCOUNT).mutated_object.is_some());
    for length in 0..review.len() {
        let answer = validate(&review.as_bytes()[..length], SERVICE_ACCOUNT);
        assert_eq!(answer.code, Some(400), "cut off at {length}");
    }
    let settings = settings().to_string();
    assert!(validate_settings(settings.as_bytes()).valid);
    for length in 0..settings.len() {
        assert!(!validate_settings(&settings.as_bytes()[..length]).valid, "cut off at {length}");
    }
    for length in 0..SERVICE_ACCOUNT.len() {
        let answer = validate(review.as_bytes(), &SERVICE_ACCOUNT[..length]);
        assert!(answer.accepted && answer.mutated_object.is_none(), "cut off at {length}");
    }
}

/// A byte changed anywhere in a small request.
#[test]
fn a_real_request_with_a_byte_changed() {
    let request = json!({"uid": "u", "operation": "CREATE", "namespace": "shop", "resource": {"group": "", "version": "v1", "resource": "pods"}});
    check((pod(), any::<prop::sample::Index>(), any::<u8>()), |(pod, place, byte)| {
        let mut request = request.clone();
        request["object"] = pod;
        let mut payload = json!({"request": request, "settings": settings()}).to_string().into_bytes();
        let at = place.index(payload.len());
        payload[at] = byte;
        validate(&payload, SERVICE_ACCOUNT);
    });
}
