//! Settings without a problem.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::subsequence;
use serde_json::{Value, json};

use super::values::{one_of, select_object, texts};
use super::{AUDIENCES, CREDENTIALS_PATH, ROLE, WEB_PATH};

fn entry() -> BoxedStrategy<Value> {
    let role = texts(&[
        ROLE,
        "arn:aws:iam::111122223333:role/{namespace}/{serviceAccount}",
        "arn:aws-cn:iam::{account}:role/{cluster}-x",
        " arn:aws:iam::111122223333:role/blanks ",
    ]);
    prop_oneof![
        role.clone(),
        select_object(vec![
            ("roleArn", 0.85, role.clone()),
            ("audience", 0.3, texts(AUDIENCES)),
            ("stsRegionalEndpoints", 0.3, any::<bool>().prop_map(Value::from).boxed()),
            ("tokenExpiration", 0.3, one_of(&[json!(3600), json!("7200")])),
            ("region", 0.3, texts(&["us-east-1", "none"])),
            ("stsEndpointUrl", 0.2, texts(&["https://sts.example.com"])),
            (
                "containers",
                0.2,
                one_of(&[
                    json!({"app": "arn:aws:iam::111122223333:role/app"}),
                    json!({"log": ROLE, "nobody": ROLE})
                ])
            ),
        ]),
    ]
    .boxed()
}

fn mapping() -> BoxedStrategy<Value> {
    let keys = subsequence(vec!["pay/api", "pay/*", "*/api", "*/*", "p?y/a*", "other/api", "pay/ap"], 0..=4);
    (keys, vec(entry(), 7))
        .prop_map(|(keys, entries)| Value::Object(keys.into_iter().map(str::to_owned).zip(entries).collect()))
        .boxed()
}

/// Settings without a problem, with every field.
pub(crate) fn settings() -> BoxedStrategy<Value> {
    let identities = one_of(&[
        json!([{"namespace": "pay", "serviceAccount": "api"}]),
        json!([{"namespace": "p*", "serviceAccount": "*"}, {"namespace": "x", "serviceAccount": "y"}]),
        json!([{"namespace": "other", "serviceAccount": "api"}]),
        json!([]),
    ]);
    let credentials = select_object(vec![
        ("identities", 0.95, identities),
        ("audience", 0.1, texts(&["agent.example.com"])),
        ("mountPath", 0.2, texts(&[CREDENTIALS_PATH, WEB_PATH, "/token/"])),
        ("volumeName", 0.2, texts(&["eks-pod-identity-token", "aws-iam-token", "data"])),
        ("tokenPath", 0.2, texts(&["eks-pod-identity-token", "a/b/token"])),
        (
            "fullUri",
            0.2,
            texts(&["http://169.254.170.23/v1/credentials", "http://[fd00:ec2::23]/v1/credentials"]),
        ),
    ]);
    let rules = one_of(&[
        json!([{"namespaces": ["*"], "roles": ["*"]}]),
        json!([{"namespaces": ["pay"], "roles": ["arn:aws:iam::111122223333:role/api"]}]),
        json!([]),
    ]);
    let long_name = Box::leak("v".repeat(63).into_boxed_str());
    select_object(vec![
        ("mode", 0.15, texts(&["mutate", "verify", ""])),
        ("onUnverified", 0.5, texts(&["reject", "warn"])),
        ("annotationPrefix", 0.1, texts(&["eks.amazonaws.com", "example.com"])),
        ("serviceAccountAnnotations", 0.1, any::<bool>().prop_map(Value::from).boxed()),
        ("serviceAccountLookup", 0.2, texts(&["fresh", "cached"])),
        ("mapping", 0.5, mapping()),
        (
            "mappingConfigMap",
            0.3,
            one_of(&[json!({"namespace": "eks"}), json!({"namespace": "eks", "name": "m", "key": "config"})]),
        ),
        (
            "variables",
            1.0,
            one_of(&[
                json!({"cluster": "prod-1", "account": "444455556666"}),
                json!({"cluster": "", "account": 444_455_556_666_u64}),
            ]),
        ),
        ("containerCredentials", 0.3, credentials),
        ("tokenAudience", 0.2, texts(AUDIENCES)),
        (
            "tokenExpiration",
            0.2,
            one_of(&[json!(3600), json!("86400"), json!(600), json!(4_294_967_296_u64), Value::Null]),
        ),
        ("tokenMountPath", 0.2, texts(&[WEB_PATH, "/token", "/token/", "C:\\secrets\\token"])),
        (
            "tokenVolumeName",
            0.2,
            prop_oneof![texts(&["aws-iam-token", "data", "mine"]), Just(Value::from(&*long_name))].boxed(),
        ),
        ("tokenFileMode", 0.2, texts(&["0440", "400"])),
        ("awsDefaultRegion", 0.4, texts(&["eu-west-1", "cn-north-1", "none"])),
        ("stsRegionalEndpoints", 0.4, any::<bool>().prop_map(Value::from).boxed()),
        ("stsEndpointUrl", 0.15, texts(&["https://sts.example.com:8443/x", "http://localhost:4566"])),
        ("roleSessionName", 0.3, texts(&["none", "podName"])),
        (
            "composeRoleArn",
            0.2,
            one_of(&[
                json!({"accountId": "111122223333"}),
                json!({"accountId": "111122223333", "partition": "aws-cn"}),
            ]),
        ),
        ("allowedRoles", 0.1, rules),
        ("allowedAudiences", 0.15, Just(json!(AUDIENCES)).boxed()),
        ("annotateServiceAccounts", 0.3, any::<bool>().prop_map(Value::from).boxed()),
        ("onInvalidIdentity", 0.2, texts(&["warn", "warn", "warn", "reject"])),
        ("onLookupError", 0.2, texts(&["allow", "reject"])),
    ])
}
