//! Pods that the API server could send.

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::values::{anything, list, object, one_of, only_texts, or_weird, texts, weird};
use super::{CREDENTIALS_PATH, NAMES, ROLE, SECRET, WEB_PATH};

const OURS: &[&str] = &[
    "AWS_STS_REGIONAL_ENDPOINTS",
    "AWS_DEFAULT_REGION",
    "AWS_REGION",
    "AWS_ENDPOINT_URL_STS",
    "AWS_ROLE_ARN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_ROLE_SESSION_NAME",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
];

fn variable() -> BoxedStrategy<Value> {
    let value = texts(&[
        "",
        "$(OTHER)",
        "regional",
        ROLE,
        "arn:aws:iam::111122223333:role/other",
        "/elsewhere/token",
        "/var/run/secrets/eks.amazonaws.com/serviceaccount/token",
        "/var/run/secrets/eks.amazonaws.com/serviceaccount//token",
    ]);
    let from = one_of(&[
        json!({"fieldRef": {"fieldPath": "metadata.name"}}),
        json!({"secretKeyRef": {"name": "s", "key": "k", "new": 1}}),
        Value::Null,
    ]);
    prop_oneof![
        object(vec![("name", 1.0, texts(OURS)), ("value", 0.8, value)]),
        object(vec![("name", 1.0, texts(OURS)), ("valueFrom", 1.0, from)]),
        object(vec![
            ("name", 1.0, texts(&["PATH", "HOME", "aws_role_arn", "AWS_ROLE_ARN_"])),
            ("value", 0.8, texts(&[SECRET, "x"]))
        ]),
    ]
    .boxed()
}

fn mount() -> BoxedStrategy<Value> {
    let path = texts(&[
        "/data",
        "/",
        WEB_PATH,
        CREDENTIALS_PATH,
        "/var/run/secrets/eks.amazonaws.com/serviceaccount/",
        "/var/run//secrets/eks.amazonaws.com/./serviceaccount",
        "/var/run/secrets/eks.amazonaws.com",
        "/var/run/secrets/eks.amazonaws.com/serviceaccount/sub",
        "/VAR/run/secrets/EKS.amazonaws.com/serviceaccount",
        "C:\\var\\run\\secrets\\eks.amazonaws.com\\serviceaccount",
        "/token",
    ]);
    object(vec![
        ("name", 1.0, texts(&["data", "aws-iam-token", "aws-iam-token-2", "eks-pod-identity-token", "mine"])),
        ("mountPath", 1.0, path),
        ("subPath", 0.1, texts(&["", "token", "sub/path"])),
        ("subPathExpr", 0.05, texts(&["$(POD)", ""])),
        ("readOnly", 0.5, any::<bool>().prop_map(Value::from).boxed()),
    ])
}

fn container() -> BoxedStrategy<Value> {
    object(vec![
        ("name", 1.0, prop_oneof![20 => texts(NAMES), 1 => weird()].boxed()),
        ("image", 0.9, texts(&["registry.example.com/app:1.4"])),
        ("env", 0.6, list(variable(), 3)),
        ("envFrom", 0.1, one_of(&[json!([{"configMapRef": {"name": "c"}}])])),
        ("volumeMounts", 0.6, list(mount(), 3)),
        ("restartPolicy", 0.1, texts(&["Always"])),
        ("resources", 0.4, one_of(&[json!({}), json!({"limits": {"cpu": "1"}, "futureClaims": [null]})])),
    ])
}

fn source() -> BoxedStrategy<Value> {
    let token = object(vec![
        (
            "audience",
            0.9,
            texts(&["sts.amazonaws.com", "pods.eks.amazonaws.com", "sts.amazonaws.com.cn", ""]),
        ),
        ("path", 1.0, texts(&["token", "eks-pod-identity-token", "other", "./token"])),
        ("expirationSeconds", 0.7, one_of(&[json!(3607), json!(86400)])),
    ]);
    prop_oneof![
        3 => object(vec![("serviceAccountToken", 1.0, token)]),
        1 => one_of(&[
            json!({"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}}),
            json!({"secret": {"name": "s", "items": [{"key": "k", "path": "token"}]}}),
            json!({"secret": {"name": "s"}}),
            json!({"downwardAPI": {"items": [{"path": "token", "fieldRef": {"fieldPath": "metadata.namespace"}}]}}),
            json!({"clusterTrustBundle": {"name": "b", "path": "token"}}),
            json!({"futureSource": {"path": "token"}}),
        ]),
    ]
    .boxed()
}

fn volume() -> BoxedStrategy<Value> {
    let name = texts(&["data", "aws-iam-token", "aws-iam-token-2", "eks-pod-identity-token", "mine"]);
    let projected =
        object(vec![("sources", 0.95, list(source(), 2)), ("defaultMode", 0.4, one_of(&[json!(420)]))]);
    prop_oneof![
        2 => object(vec![("name", 1.0, name.clone()), ("projected", 1.0, projected)]),
        1 => object(vec![("name", 1.0, name.clone()), ("emptyDir", 1.0, one_of(&[json!({}), json!({"medium": "Memory"})]))]),
        1 => object(vec![("name", 1.0, name), ("futureVolume", 1.0, anything())]),
    ]
    .boxed()
}

fn pod_annotations() -> BoxedStrategy<Value> {
    let names = or_weird(texts(&[
        "app",
        "log",
        "app,log",
        " \"sidecar\" , db",
        "nobody",
        ",",
        "app,sidecar,log,db,debugger",
    ]));
    prop_oneof![
        1 => Just(Value::Null),
        9 => object(vec![
            ("eks.amazonaws.com/skip-containers", 0.15, names.clone()),
            ("eks.amazonaws.com/include-containers", 0.15, names),
            ("eks.amazonaws.com/token-expiration", 0.15, or_weird(texts(&["3600", "+3600", "1", "99999999999999999999", "-1", "x"]))),
            ("eks.amazonaws.com/region", 0.15, or_weird(texts(&["eu-west-1", "none", "EU-WEST-1", "cn-north-1"]))),
            ("eks.amazonaws.com/role-arn", 0.05, or_weird(texts(&[ROLE]))),
            ("kubernetes.io/config.mirror", 0.02, texts(&["x"])),
            ("example.com/a", 0.3, weird()),
        ])
        .prop_map(only_texts),
    ]
    .boxed()
}

fn labels() -> BoxedStrategy<Value> {
    prop_oneof![
        1 => Just(Value::Null),
        9 => object(vec![
            ("app", 0.7, texts(&["api"])),
            ("eks.amazonaws.com/pod-identity", 0.1, or_weird(texts(&["enabled", "disabled", ""]))),
            ("eks.amazonaws.com/skip-pod-identity-webhook", 0.03, texts(&["", "false"])),
        ])
        .prop_map(only_texts),
    ]
    .boxed()
}

/// A pod that the API server could send.
pub(crate) fn pod() -> BoxedStrategy<Value> {
    let metadata = object(vec![
        (
            "name",
            0.8,
            prop_oneof![9 => Just("api-0".to_owned()), 1 => Just("a".repeat(100))]
                .prop_map(Value::from)
                .boxed(),
        ),
        ("generateName", 0.4, texts(&["api-"])),
        ("namespace", 0.8, prop_oneof![40 => texts(&["pay"]), 1 => texts(&["", "other"])].boxed()),
        ("labels", 0.6, labels()),
        ("annotations", 0.6, pod_annotations()),
        ("creationTimestamp", 0.5, Just(Value::Null).boxed()),
    ]);
    let os = prop_oneof![3 => texts(&["linux"]), 1 => texts(&["windows"])];
    let selector = object(vec![
        ("kubernetes.io/os", 0.5, texts(&["linux", "windows"])),
        ("beta.kubernetes.io/os", 0.2, texts(&["linux", "windows"])),
        ("zone", 0.3, texts(&["a"])),
    ])
    .prop_map(only_texts)
    .boxed();
    let term = |value: &str| json!({"matchExpressions": [{"key": "kubernetes.io/os", "operator": "In", "values": [value]}]});
    let affinity = one_of(&[
        json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term("windows")]}}}),
        json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term("windows"), term("linux")]}, "new": {}}}),
        json!({"podAffinity": {}}),
        Value::Null,
    ]);
    let spec = object(vec![
        (
            "serviceAccountName",
            0.98,
            prop_oneof![60 => texts(&["api"]), 1 => Just(Value::Null), 1 => texts(&["", "../x"])].boxed(),
        ),
        ("serviceAccount", 0.3, texts(&["api"])),
        (
            "containers",
            0.99,
            prop_oneof![1 => list(container(), 0), 15 => vec(container(), 1..=3).prop_map(Value::from)]
                .boxed(),
        ),
        ("initContainers", 0.4, list(container(), 2)),
        ("ephemeralContainers", 0.5, list(container(), 3)),
        ("volumes", 0.7, list(volume(), 3)),
        ("os", 0.1, object(vec![("name", 1.0, os.boxed())])),
        ("nodeSelector", 0.15, selector),
        ("affinity", 0.1, affinity),
        ("restartPolicy", 0.3, texts(&["Always"])),
    ]);
    object(vec![
        ("apiVersion", 1.0, texts(&["v1"])),
        ("kind", 1.0, texts(&["Pod"])),
        ("metadata", 0.97, metadata),
        ("spec", 0.99, spec),
        ("status", 0.3, one_of(&[json!({}), json!({"phase": "Pending"})])),
    ])
}
