//! The real module, asked everything that policy-server could ask it, and what it never should.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a test that panics has failed, which is what it is for"
)]

use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use policy_host::{Cluster, GuestAnswer, Options, PolicyHost};
use serde_json::{Value, json};

#[path = "protocol/lookups.rs"]
mod lookups;
#[path = "protocol/names.rs"]
mod names;

const ROLE: &str = "arn:aws:iam::111122223333:role/api";
const MIB: usize = 1 << 20;

fn load(options: Options) -> PolicyHost {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("annotated-policy.wasm");
    let module = std::fs::read(path).expect("annotated-policy.wasm is there: `make annotated-policy.wasm`");
    PolicyHost::load(&module, options).unwrap()
}

fn host() -> &'static PolicyHost {
    static HOST: OnceLock<PolicyHost> = OnceLock::new();
    HOST.get_or_init(|| load(Options { deadline: Duration::from_secs(30), ..Options::default() }))
}

/// What the guest answers, and that it did so without a word on standard output or error.
#[track_caller]
fn answer(guest: &GuestAnswer) -> Value {
    assert_eq!(guest.output, "");
    serde_json::from_slice(guest.outcome.as_ref().unwrap()).unwrap()
}

#[track_caller]
fn validate(payload: &[u8], cluster: &Cluster) -> (Value, GuestAnswer) {
    let guest = host().call("validate", payload, cluster).unwrap();
    (answer(&guest), guest)
}

#[track_caller]
fn check_validate(payload: &[u8], expected: &Value) {
    let (found, guest) = validate(payload, &Cluster::default());
    assert_eq!(found, *expected, "{}", String::from_utf8_lossy(payload.get(..200).unwrap_or(payload)));
    assert_eq!(guest.host_calls, []);
}

fn unreadable(why: &str) -> Value {
    json!({"accepted": false, "code": 400, "message": format!("the request could not be read: {why}")})
}

#[track_caller]
fn check_settings(payload: &[u8], problems: Option<&str>) {
    let guest = host().call("validate_settings", payload, &Cluster::default()).unwrap();
    let expected = match problems {
        None => json!({"valid": true}),
        Some(problems) => json!({"valid": false, "message": problems}),
    };
    assert_eq!(answer(&guest), expected);
    assert_eq!(guest.host_calls, []);
}

fn pod() -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "api-0", "namespace": "pay"},
        "spec": {"serviceAccountName": "api", "containers": [{"name": "app"}]},
    })
}

fn request(object: &Value) -> Value {
    json!({
        "uid": "7f0b2891-916f-4ed6-b7cd-27bff1815a8c",
        "operation": "CREATE",
        "resource": {"group": "", "version": "v1", "resource": "pods"},
        "namespace": "pay",
        "object": object,
    })
}

fn envelope(request: &Value, settings: &Value) -> String {
    json!({"request": request, "settings": settings}).to_string()
}

fn service_account(annotations: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "api", "namespace": "pay", "annotations": annotations}})
}

fn cluster(objects: &[Value]) -> Cluster {
    Cluster::from_json(&json!({"objects": objects})).unwrap()
}

fn with_role() -> Cluster {
    cluster(&[service_account(&json!({"eks.amazonaws.com/role-arn": ROLE}))])
}

/// The ordinary pod with what the role of its service account gives it.
fn mutated() -> Value {
    json!({
        "accepted": true,
        "audit_annotations": {"identity": "web-identity", "role-arn": ROLE, "source": "annotation"},
        "mutated_object": {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "api-0", "namespace": "pay"},
            "spec": {
                "serviceAccountName": "api",
                "containers": [{
                    "name": "app",
                    "env": [
                        {"name": "AWS_ROLE_ARN", "value": ROLE},
                        {"name": "AWS_WEB_IDENTITY_TOKEN_FILE", "value": "/var/run/secrets/eks.amazonaws.com/serviceaccount/token"},
                    ],
                    "volumeMounts": [{"name": "aws-iam-token", "readOnly": true, "mountPath": "/var/run/secrets/eks.amazonaws.com/serviceaccount"}],
                }],
                "volumes": [{"name": "aws-iam-token", "projected": {"sources": [{"serviceAccountToken": {
                    "audience": "sts.amazonaws.com", "expirationSeconds": 86400, "path": "token",
                }}]}}],
            },
        },
    })
}

#[test]
fn the_protocol_version() {
    assert_eq!(host().protocol_version().unwrap(), "v1");
    for payload in [&b""[..], b"null", b"\xff"] {
        let guest = host().call("protocol_version", payload, &Cluster::default()).unwrap();
        assert_eq!(guest.outcome, Ok(b"\"v1\"".to_vec()));
    }
}

#[test]
fn settings_that_are_no_document() {
    for (payload, problems) in [
        (&b"null"[..], None),
        (b"{}", None),
        (b" {\n} ", None),
        (b"", Some("not JSON at byte 0: expected a value")),
        (b"  ", Some("not JSON at byte 2: expected a value")),
        (b"\xff\xfe{}", Some("expected UTF-8")),
        (b"{\"mode\":\"\xc3(\"}", Some("expected UTF-8")),
        (b"{\"mode\":\"ver", Some("not JSON at byte 12: expected the closing quote of a string")),
        (b"{\"mode\":", Some("not JSON at byte 8: expected a value")),
        (b"{\"mode\"", Some("not JSON at byte 7: expected `:`")),
        (b"{", Some("not JSON at byte 1: expected a key")),
        (b"{} {}", Some("not JSON at byte 3: expected the end of the document")),
        (b"[]", Some("expected an object, found an array")),
        (b"\"\"", Some("expected an object, found a string")),
        (b"1", Some("expected an object, found a number")),
        (b"true", Some("expected an object, found a boolean")),
    ] {
        check_settings(payload, problems);
    }
}

#[test]
fn every_field_may_be_null_or_empty() {
    for (name, _) in pod_identity_core::FIELDS {
        check_settings(json!({*name: null}).to_string().as_bytes(), None);
        check_settings(json!({*name: ""}).to_string().as_bytes(), None);
    }
}

#[test]
fn all_problems_of_the_settings_at_once() {
    let settings = r#"{
        "mode": "audit",
        "tokenExpiration": 599,
        "tokenFileMode": 288,
        "tokenAudiance": "x",
        "mapping": {
            "pay ments/api": "arn:aws:iam::111122223333:role/x",
            "pay/api": {"roleArn": "arn:aws:iam::123:role/x", "region": "EU", "containers": {"App": "x"}},
            "pay": "x"
        },
        "mappingConfigMap": {"name": "x"},
        "containerCredentials": {"identities": [{"namespace": "*"}, 1], "fullUri": "http://example.com"},
        "allowedRoles": [{"namespaces": ["*?*?*?*?*"], "roles": "x"}],
        "allowedAudiences": [""],
        "stsEndpointUrl": "http://169.254.169.254/",
        "variables": {"namespace": "x", "1": "y"},
        "stsRegionalEndpoints": "true",
        "awsDefaultRegion": "eu west",
        "mode": "mutate"
    }"#;
    let problems = [
        r#"mode: expected `mutate` or `verify`, found `audit`"#,
        r#"tokenExpiration: expected a whole number of seconds from 600 to 4294967296, found the number `599`"#,
        r#"tokenFileMode: expected an octal mode in quotes, such as `"0440"` (without them, YAML reads `0440` as 288), found the number `288`"#,
        r#"tokenAudiance: unknown field, did you mean `tokenAudience`?"#,
        r#"mappingConfigMap.namespace: expected the name of a namespace, found none"#,
        r#"containerCredentials.fullUri: expected a URL with `https`, or with `http` to a loopback address, `169.254.170.2`, `169.254.170.23` or `[fd00:ec2::23]`, found `http://example.com`"#,
        r#"allowedAudiences[0]: expected an audience in printable ASCII without blanks, found ``"#,
        r#"stsEndpointUrl: expected a URL with `https`, or with `http` to a loopback address or a host that ends in `.svc` or `.cluster.local`, found `http://169.254.169.254/`"#,
        r#"stsRegionalEndpoints: expected `true` or `false` without quotes, found `true`"#,
        r#"awsDefaultRegion: expected a region (at most 32 of `a-z`, `0-9` and `-`) or `none`, found `eu west`"#,
        r#"mode: stands there twice, expected once"#,
        r#"variables.namespace: expected another name: this one stands for the pod's own"#,
        r#"variables["1"]: expected a name of letters and digits that begins with a letter"#,
        r#"mapping["pay ments/api"]: expected the name of a namespace, or a glob, before the `/`"#,
        r#"mapping["pay/api"].roleArn: `arn:aws:iam::123:role/x` is not a role ARN: the account must have 12 digits"#,
        r#"mapping["pay/api"].region: expected a region (at most 32 of `a-z`, `0-9` and `-`) or `none`, found `EU`"#,
        r#"mapping["pay/api"].containers.App: expected the name of a container"#,
        r#"mapping.pay: expected a key `namespace/serviceaccount`"#,
        r#"containerCredentials.identities[0].serviceAccount: expected a glob, found none"#,
        r#"containerCredentials.identities[1]: expected an object, found the number `1`"#,
        r#"allowedRoles[0].roles: expected a list, found `x`"#,
        r#"allowedRoles[0].namespaces[0]: a glob has too many wildcards: expected at most 8 of `*` and `?`"#,
    ];
    check_settings(settings.as_bytes(), Some(&problems.join("; ")));
}

#[test]
fn payloads_that_are_no_request() {
    for (payload, why) in [
        (&b""[..], "not JSON at byte 0: expected a value"),
        (b"null", "expected an object, found null"),
        (b"[]", "expected an object, found an array"),
        (b"{}", "expected `request`, found none"),
        (b"{\"request\":null}", "expected `request`, found none"),
        (b"{\"settings\":{}}", "expected `request`, found none"),
        (b"{\"request\":{}} x", "not JSON at byte 15: expected the end of the document"),
        (b"{\"request\":{},\"request\":{}}", "`request`: a key stands there twice, expected once"),
        (
            b"{\"request\":{\"uid\":\"\\ud800\"}}",
            "`request.uid`: not JSON at byte 26: expected paired surrogates",
        ),
        (
            b"{\"request\":{\"uid\":\"\n\"}}",
            "`request.uid`: not JSON at byte 19: expected no control character in a string",
        ),
        (b"{\"request\":{\"uid\":01}}", "`request.uid`: expected a string, found a number"),
        (b"{\"request\":{\"x\":01}}", "`request`: not JSON at byte 17: expected `,` or `}`"),
        (b"\xef\xbb\xbf{}", "not JSON at byte 0: expected a value"),
        (b"garbage", "not JSON at byte 0: expected a value"),
    ] {
        check_validate(payload, &unreadable(why));
    }
    let expected =
        json!({"accepted": false, "code": 400, "message": "the request could not be read: expected UTF-8"});
    check_validate(b"{\"request\":\xff}", &expected);
    check_validate(b"\x00\x01\x02", &unreadable("not JSON at byte 0: expected a value"));
}

#[test]
fn a_request_cut_off() {
    let review: Value = serde_json::from_str(include_str!("../testdata/reviews/pod-20kb.json")).unwrap();
    let payload = envelope(&review["request"], &json!({"tokenAudience": "x"}));
    for length in (0..payload.len()).step_by(97).chain(payload.len() - 40..payload.len()) {
        let (found, guest) = validate(&payload.as_bytes()[..length], &Cluster::default());
        assert_eq!((&found["accepted"], &found["code"]), (&json!(false), &json!(400)), "cut off at {length}");
        let message = found["message"].as_str().unwrap();
        let native = pod_identity_policy::validate(&payload.as_bytes()[..length], &|_, _| Err(String::new()));
        assert_eq!(found, serde_json::from_str::<Value>(&native).unwrap());
        assert!(message.starts_with("the request could not be read: "), "{message}");
        assert_eq!(guest.host_calls, []);
    }
}

#[test]
fn wrong_types_for_every_field_of_the_request() {
    let kinds = [
        (json!(1), "a number"),
        (json!(true), "a boolean"),
        (json!("x"), "a string"),
        (json!([]), "an array"),
        (json!({}), "an object"),
    ];
    for (place, expected) in [
        ("/request", "an object"),
        ("/request/uid", "a string"),
        ("/request/namespace", "a string"),
        ("/request/operation", "a string"),
        ("/request/resource", "an object"),
        ("/request/resource/group", "a string"),
        ("/request/resource/resource", "a string"),
        ("/request/subResource", "a string"),
    ] {
        for (value, found) in kinds.iter().filter(|(_, found)| *found != expected) {
            let mut document = json!({"request": request(&pod()), "settings": {}});
            document["request"]["subResource"] = Value::Null;
            *document.pointer_mut(place).unwrap() = value.clone();
            let path = place.trim_start_matches('/').replace('/', ".");
            check_validate(
                document.to_string().as_bytes(),
                &unreadable(&format!("`{path}`: expected {expected}, found {found}")),
            );
        }
    }
    for (place, expected) in [("/request/object", "the pod"), ("/request/oldObject", "the old pod")] {
        for (value, found) in kinds.iter().filter(|(_, found)| *found != "an object") {
            let mut request = request(&pod());
            request["oldObject"] = Value::Null;
            request["operation"] = json!("UPDATE");
            request["subResource"] = json!("ephemeralcontainers");
            let mut document = json!({"request": request, "settings": {}});
            *document.pointer_mut(place).unwrap() = value.clone();
            let message = format!("{expected} could not be read: expected an object, found {found}");
            check_validate(
                document.to_string().as_bytes(),
                &json!({"accepted": false, "code": 400, "message": message}),
            );
        }
    }
    let message = "the pod could not be read: expected an object, found null";
    for object in [
        json!({"request": {"uid": "u", "operation": "CREATE", "resource": {"group": "", "resource": "pods"}}}),
        json!({"request": request(&Value::Null)}),
    ] {
        check_validate(
            object.to_string().as_bytes(),
            &json!({"accepted": false, "code": 400, "message": message}),
        );
    }
    for (value, found) in kinds.iter().filter(|(_, found)| *found != "an object") {
        let message = format!("the settings are malformed: expected an object, found {found}");
        check_validate(
            envelope(&request(&pod()), value).as_bytes(),
            &json!({"accepted": false, "code": 500, "message": message}),
        );
    }
}

#[test]
fn settings_may_be_null_or_absent_in_a_request() {
    for payload in [
        envelope(&request(&pod()), &Value::Null),
        envelope(&request(&pod()), &json!({})),
        json!({"request": request(&pod())}).to_string(),
    ] {
        assert_eq!(validate(payload.as_bytes(), &with_role()).0, mutated());
    }
}

/// Levels are counted from the root of the document: the object of a request begins at the third.
#[test]
fn nesting_up_to_the_limit() {
    let nested = |levels: usize| {
        let mut pod = pod();
        pod["spec"]["x"] = json!("NESTED");
        let arrays = "[".repeat(levels - 4) + &"]".repeat(levels - 4);
        envelope(&request(&pod), &json!({})).replace("\"NESTED\"", &arrays)
    };
    let (found, _) = validate(nested(64).as_bytes(), &with_role());
    assert_eq!((&found["accepted"], found["mutated_object"].is_object()), (&json!(true), true));
    check_validate(
        nested(65).as_bytes(),
        &unreadable("`request.object`: nested too deep: expected at most 64 levels"),
    );
    check_validate(
        nested(100_000).as_bytes(),
        &unreadable("`request.object`: nested too deep: expected at most 64 levels"),
    );
}

#[test]
fn as_large_as_a_request_can_be() {
    let mut pod = pod();
    pod["metadata"]["annotations"] = json!({"example.com/large": "x".repeat(8 * MIB - 1024)});
    let payload = envelope(&request(&pod), &json!({}));
    let (found, guest) = validate(payload.as_bytes(), &with_role());
    let mut expected = mutated();
    expected["mutated_object"]["metadata"] = pod["metadata"].clone();
    assert_eq!(found, expected);
    // What comes in and what goes out are there at the same time.
    assert!(guest.memory <= 2 * payload.len() + 4 * MIB, "{} bytes for {}", guest.memory, payload.len());

    pod["metadata"]["labels"] = json!({"eks.amazonaws.com/skip-pod-identity-webhook": ""});
    let payload = envelope(&request(&pod), &json!({}));
    let (found, guest) = validate(payload.as_bytes(), &with_role());
    assert_eq!(found, json!({"accepted": true}));
    assert!(guest.memory <= payload.len() + 4 * MIB, "{} bytes for {}", guest.memory, payload.len());
}

/// Nothing can be kept between calls, so the whole document comes with every request: it must not be built up each time.
#[test]
fn a_mapping_of_ten_thousand_entries_is_not_materialised() {
    let mapping: serde_json::Map<String, Value> = (0..10_000)
        .map(|i| {
            (
                format!("team-{i}/service-{i}"),
                json!({"roleArn": format!("{ROLE}-{i}"), "audience": "sts.amazonaws.com"}),
            )
        })
        .chain([("pay/api".to_owned(), json!(ROLE))])
        .collect();
    let settings = json!({"mapping": mapping, "serviceAccountAnnotations": false});
    let payload = envelope(&request(&pod()), &settings);
    let (found, guest) = validate(payload.as_bytes(), &Cluster::default());
    let mut expected = mutated();
    expected["audit_annotations"]["source"] = json!("mapping");
    assert_eq!(found, expected);
    assert!(guest.memory <= payload.len() + 4 * MIB, "{} bytes for {}", guest.memory, payload.len());

    let settings = settings.to_string();
    let guest = host().call("validate_settings", settings.as_bytes(), &Cluster::default()).unwrap();
    assert_eq!(answer(&guest), json!({"valid": true}));
    assert!(guest.memory <= settings.len() + 4 * MIB, "{} bytes for {}", guest.memory, settings.len());
}

#[test]
fn an_unknown_operation_is_an_error_and_no_trap() {
    let guest = host().call("validate_setings", b"{}", &Cluster::default()).unwrap();
    let failure = guest.outcome.unwrap_err();
    assert_eq!(failure.text(), "No handler registered for function validate_setings");
}
