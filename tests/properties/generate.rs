//! Pods, settings and clusters. Ordinary ones mostly, so that something is injected, with everything about them that
//! could be in the way.

use proptest::collection::vec;
use proptest::option::weighted;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Map, Value, json};

use crate::json::write;

/// A text that must not be found in any answer but the object's own.
pub(crate) const SECRET: &str = "s3cr3t-of-somebody-else";

const ROLE: &str = "arn:aws:iam::111122223333:role/api";
const WEB_PATH: &str = "/var/run/secrets/eks.amazonaws.com/serviceaccount";
const CREDENTIALS_PATH: &str = "/var/run/secrets/pods.eks.amazonaws.com/serviceaccount";
const NAMES: &[&str] = &["app", "sidecar", "log", "db", "debugger"];

/// One request with all that it meets.
#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    pub(crate) pod: Value,
    /// For an update of ephemeral containers, the pod as it was.
    pub(crate) old_pod: Option<Value>,
    pub(crate) settings: Value,
    pub(crate) service_account: Answer,
    pub(crate) config_map: Answer,
    /// How the pod is written.
    pub(crate) style: u64,
}

/// What the cluster says when it is asked for an object.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    There(Value),
    NotThere,
    Failed(&'static str),
    /// Another object than the one that was asked for.
    Text(&'static str),
}

impl Scenario {
    /// As the API server sent it.
    pub(crate) fn object(&self) -> String {
        write(&self.pod, self.style)
    }

    /// The request around an object.
    pub(crate) fn payload(&self, object: &str) -> String {
        let (operation, more) = match &self.old_pod {
            None => ("CREATE", String::new()),
            Some(old) => (
                "UPDATE",
                format!(r#""subResource":"ephemeralcontainers","oldObject":{},"#, write(old, self.style / 2)),
            ),
        };
        format!(
            r#"{{"request":{{"uid":"7f0b2891-916f-4ed6-b7cd-27bff1815a8c","operation":"{operation}",{more}"resource":{{"group":"","version":"v1","resource":"pods"}},"namespace":"pay","object":{object}}},"settings":{}}}"#,
            self.settings
        )
    }

    /// The host's answers.
    pub(crate) fn host_call(&self, request: &str) -> Result<String, String> {
        let request: Value = serde_json::from_str(request).unwrap();
        let kind = request["kind"].as_str().unwrap();
        let answer = if kind == "ServiceAccount" { &self.service_account } else { &self.config_map };
        match answer {
            Answer::There(object) => Ok(object.to_string()),
            Answer::NotThere => Err(format!(
                "Callback evaluation failure: Cannot find v1/{kind} named {} inside of namespace {}",
                request["name"], request["namespace"]
            )),
            Answer::Failed(text) => Err((*text).to_owned()),
            Answer::Text(text) => Ok((*text).to_owned()),
        }
    }
}

pub(crate) fn scenario() -> impl Strategy<Value = Scenario> {
    (pod(), settings(), service_account(), config_map(), any::<u64>(), weighted(0.2, 0_usize..3)).prop_map(
        |(mut pod, settings, service_account, config_map, style, update)| {
            // Most pods that run were given their volume when they were made.
            if update.is_some() && style % 4 != 0
                && let Some(spec) = pod["spec"].as_object_mut()
            {
                let volumes = spec.entry("volumes").or_insert_with(|| json!([]));
                let ours = json!({"name": "ours", "projected": {"sources": [{"serviceAccountToken": {"audience": "sts.amazonaws.com", "path": "token"}}]}});
                if let Some(volumes) = volumes.as_array_mut() {
                    volumes.push(ours);
                }
            }
            let old_pod = update.map(|kept| {
                let mut old = pod.clone();
                if let Some(list) = old.pointer_mut("/spec/ephemeralContainers").and_then(Value::as_array_mut) {
                    list.truncate(kept);
                }
                old
            });
            Scenario { pod, old_pod, settings, service_account, config_map, style }
        },
    )
}

/// An object with some of its members, and some that nobody knows.
fn object(members: Vec<(&'static str, f64, BoxedStrategy<Value>)>) -> BoxedStrategy<Value> {
    let known: Vec<_> = members.into_iter().map(|(name, often, value)| member(name, often, value)).collect();
    (
        known,
        weighted(0.2, (select(&["futureField", "Name", "ENV", "x/y~z", "é", "", "\"q\"\\"][..]), anything())),
    )
        .prop_map(|(known, unknown)| {
            let mut members: Map<String, Value> = known.into_iter().flatten().collect();
            if let Some((name, value)) = unknown {
                members.insert(name.to_owned(), value);
            }
            Value::Object(members)
        })
        .boxed()
}

/// A member that is there so often; 1 is always.
fn member(
    name: &'static str,
    often: f64,
    value: BoxedStrategy<Value>,
) -> BoxedStrategy<Option<(String, Value)>> {
    let member = value.prop_map(move |value| (name.to_owned(), value));
    if often < 1.0 { weighted(often, member).boxed() } else { member.prop_map(Some).boxed() }
}

fn one_of(values: &[Value]) -> BoxedStrategy<Value> {
    select(values.to_vec()).boxed()
}

fn texts(values: &'static [&'static str]) -> BoxedStrategy<Value> {
    select(values).prop_map(Value::from).boxed()
}

/// A list, empty and `null` ones included.
fn list(element: BoxedStrategy<Value>, most: usize) -> BoxedStrategy<Value> {
    prop_oneof![1 => Just(Value::Null), 9 => vec(element, 0..=most).prop_map(Value::from)].boxed()
}

/// Any JSON, small.
pub(crate) fn anything() -> BoxedStrategy<Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-8_000..8_000).prop_map(|n| Value::from(f64::from(n) / 8.0)),
        select(
            &[
                "",
                "x",
                SECRET,
                "\u{1b}[31m",
                "\u{e9}\u{1f600}\u{2028}",
                "quote \" backslash \\",
                "null",
                "$(A)"
            ][..]
        )
        .prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec((select(&["a", "name", "env", "metadata", "spec", "k\u{e9}y", ""][..]), inner), 0..4)
                .prop_map(|members| Value::Object(
                    members.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()
                )),
        ]
    })
    .boxed()
}

/// A text for which nothing was prepared.
fn weird() -> BoxedStrategy<Value> {
    prop_oneof![
        Just("\u{1b}]0;x\u{7}\r\n".to_owned()),
        Just("x".repeat(400)),
        Just("\u{e9}".repeat(300)),
        Just(String::new()),
        Just(" , ,\"app\", 'log' ,x\u{2028}y".to_owned()),
        ".{0,40}",
    ]
    .prop_map(Value::from)
    .boxed()
}

/// Mostly this, sometimes what nothing was prepared for.
fn or_weird(good: BoxedStrategy<Value>) -> BoxedStrategy<Value> {
    prop_oneof![6 => good, 1 => weird()].boxed()
}

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

/// Values of labels and annotations are texts.
fn only_texts(mut value: Value) -> Value {
    if let Some(members) = value.as_object_mut() {
        members.retain(|_, value| value.is_string());
    }
    value
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

const AUDIENCES: &[&str] = &["sts.amazonaws.com", "sts.amazonaws.com.cn", "x"];

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

/// An object of known members only.
fn select_object(members: Vec<(&'static str, f64, BoxedStrategy<Value>)>) -> BoxedStrategy<Value> {
    let members: Vec<_> =
        members.into_iter().map(|(name, often, value)| member(name, often, value)).collect();
    members.prop_map(|members| Value::Object(members.into_iter().flatten().collect())).boxed()
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

/// The annotations of a service account.
pub(crate) fn account_annotations() -> BoxedStrategy<Value> {
    let roles = texts(&[
        ROLE,
        ROLE,
        ROLE,
        ROLE,
        ROLE,
        "  arn:aws:iam::111122223333:role/blanks\n",
        "team/api",
        "",
        "arn:aws:iam::1:role/x",
    ]);
    let record = one_of(&[
        json!(format!(r#"{{"eks.amazonaws.com/role-arn":"{ROLE}"}}"#)),
        json!(r#"{"eks.amazonaws.com/audience":"x","eks.amazonaws.com/token-expiration":"3600"}"#),
        json!("{"),
        json!(r#"{"eks.amazonaws.com/role-arn":1}"#),
        json!("{}"),
    ]);
    object(vec![
        ("eks.amazonaws.com/role-arn", 0.9, or_weird(roles.clone())),
        ("eks.amazonaws.com/role-arn.app", 0.15, or_weird(roles)),
        ("eks.amazonaws.com/audience", 0.2, or_weird(texts(AUDIENCES))),
        ("eks.amazonaws.com/sts-regional-endpoints", 0.2, or_weird(texts(&["true", "0", "yes"]))),
        ("eks.amazonaws.com/token-expiration", 0.2, or_weird(texts(&["3600", "1", "+86400"]))),
        ("eks.amazonaws.com/region", 0.2, or_weird(texts(&["eu-west-1", "none"]))),
        ("eks.amazonaws.com/skip-containers", 0.1, or_weird(texts(&["app", "log,db"]))),
        ("eks.amazonaws.com/include-containers", 0.05, or_weird(texts(&["app", ""]))),
        ("eks.amazonaws.com/managed-annotations", 0.15, record),
        ("example.com/role-arn", 0.2, texts(&[ROLE])),
        ("kubectl.kubernetes.io/last-applied-configuration", 0.1, texts(&["{\"a\":1}\n"])),
    ])
    .prop_map(only_texts)
    .boxed()
}

const FULL: &str = "Error sending request over callback channel: Full";
const NOT_GRANTED: &str = "Policy has not been granted access to Kubernetes v1/ServiceAccount resources. The violation has been reported.";
const API_ERROR: &str = "Callback evaluation failure: failed to find resource: ApiError: \u{1b}[1m timed out";

fn service_account() -> BoxedStrategy<Answer> {
    prop_oneof![
        16 => weighted(0.95, account_annotations()).prop_map(|annotations| Answer::There(json!({
            "apiVersion": "v1", "kind": "ServiceAccount",
            "metadata": {"name": "api", "namespace": "pay", "annotations": annotations.unwrap_or_default()},
        }))),
        2 => Just(Answer::NotThere),
        2 => select(&[FULL, NOT_GRANTED, API_ERROR, ""][..]).prop_map(Answer::Failed),
        1 => select(&[
            "", "null", "[]", "not JSON",
            r#"{"kind":"ServiceAccount","metadata":{"name":"api","namespace":"other"}}"#,
            r#"{"kind":"Secret","metadata":{"name":"api","namespace":"pay","annotations":{"eks.amazonaws.com/role-arn":"arn:aws:iam::111122223333:role/stolen"}}}"#,
        ][..]).prop_map(Answer::Text),
    ]
    .boxed()
}

fn config_map() -> BoxedStrategy<Answer> {
    let kops = one_of(&[
        json!({"pay/api": {"RoleARN": ROLE, "Audience": "amazonaws.com", "UseRegionalSTS": true, "TokenExpiration": 0}}),
        json!({"*/api": ROLE, "pay/ap": 1, "x": {}, "*x": "y"}),
        json!({"pay/api": {"RoleARN": ROLE, "roleArn": ROLE}, "*/*": {"roleArn": ROLE, "stsEndpointUrl": "https://evil.example.com", "unknown": 1}}),
        json!({"pay/api": {}}),
        json!({}),
    ]);
    prop_oneof![
        6 => kops.prop_map(|document| Answer::There(json!({"data": {"config": document.to_string()}}))),
        1 => Just(Answer::There(json!({"data": {"config": "not JSON"}}))),
        1 => Just(Answer::There(json!({"data": {"other": ""}}))),
        2 => Just(Answer::NotThere),
        1 => select(&[FULL, API_ERROR][..]).prop_map(Answer::Failed),
        1 => select(&["null", r#"{"kind":"Secret","data":{"config":"{}"}}"#][..]).prop_map(Answer::Text),
    ]
    .boxed()
}
