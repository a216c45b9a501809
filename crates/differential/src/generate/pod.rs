//! Reviews of pods.

use serde_json::{Map, Value, json};

use super::{BOOLEANS, EXPIRATIONS, LISTS, NAMESPACES, REGIONS, any_account};
use crate::flags::Flags;
use crate::random::Random;
use crate::scene::Review;

const NAMES: [&str; 5] = ["app", "sidecar", "log", "db", "debugger"];
const VOLUMES: [&str; 6] =
    ["data", "aws-iam-token", "aws-iam-token-2", "eks-pod-identity-token", "pods-token", "mine"];
const VARIABLES: [&str; 7] = [
    "AWS_STS_REGIONAL_ENDPOINTS",
    "AWS_DEFAULT_REGION",
    "AWS_REGION",
    "AWS_ROLE_ARN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
];

/// A review that an API server could send, and now and then one that it would not.
pub(crate) fn review(random: &mut Random, flags: &Flags) -> Review {
    let namespace = random.one_of(&NAMESPACES);
    let pod = pod(random, flags, namespace);
    let uid = format!("00000000-0000-4000-8000-{:012}", random.below(1_000_000_000_000));
    let mut review = Review::of(pod, namespace, &uid);
    if random.percent(10) {
        put(&mut review.value, "apiVersion", json!("admission.k8s.io/v1beta1"));
    }
    review.repeats_account = random.percent(1);
    if random.percent(3) {
        update(random, &mut review);
    }
    review
}

/// Makes an update of a creation.
fn update(random: &mut Random, review: &mut Review) {
    let mut old = review.pod().clone();
    let is_ephemeral = random.percent(70);
    let container = container(random, "debugger", &Paths::default());
    if let Some(spec) = review.pod_mut().and_then(|pod| pod.get_mut("spec"))
        && is_ephemeral
    {
        put(spec, "ephemeralContainers", json!([container, {"name": "old", "image": "busybox"}]));
    }
    if let Some(spec) = old.get_mut("spec") {
        put(spec, "ephemeralContainers", json!([{"name": "old", "image": "busybox"}]));
    }
    if let Some(request) = review.value.get_mut("request") {
        put(request, "operation", json!("UPDATE"));
        put(request, "oldObject", old);
        if is_ephemeral {
            put(request, "subResource", json!("ephemeralcontainers"));
        }
    }
}

/// Where tokens are expected.
#[derive(Clone, Copy, Default)]
struct Paths {
    mounts: [&'static str; 2],
    tokens: [&'static str; 2],
    audiences: [&'static str; 2],
}

fn pod(random: &mut Random, flags: &Flags, namespace: &str) -> Value {
    let paths = Paths {
        mounts: [flags.mount_path(), flags.credentials_mount_path()],
        tokens: ["token", flags.credentials_token_path()],
        audiences: [flags.audience(), flags.credentials_audience()],
    };
    let mut pod = json!({"apiVersion": "v1", "kind": "Pod"});
    put(&mut pod, "metadata", metadata(random, flags, namespace));
    put(&mut pod, "spec", spec(random, &paths));
    if random.percent(10) {
        put(&mut pod, "status", json!({"phase": "Pending"}));
    }
    unknown(random, &mut pod);
    pod
}

fn metadata(random: &mut Random, flags: &Flags, namespace: &str) -> Value {
    let mut metadata = json!({"creationTimestamp": null});
    if random.percent(30) {
        put(&mut metadata, "generateName", json!("api-"));
    } else {
        put(&mut metadata, "name", json!("api-0"));
    }
    if random.percent(80) {
        let other = random.percent(2);
        put(&mut metadata, "namespace", json!(if other { "elsewhere" } else { namespace }));
    }
    let prefix = flags.prefix();
    let mut labels = Map::new();
    for (key, often, values) in [
        ("app".to_owned(), 70, &["api"][..]),
        ("eks.amazonaws.com/pod-identity".to_owned(), 8, &["enabled", "disabled", ""][..]),
        (format!("{prefix}/skip-pod-identity-webhook"), 2, &["true", "", "false"][..]),
        ("eks.amazonaws.com/skip-pod-identity-webhook".to_owned(), 1, &["true"][..]),
    ] {
        if random.percent(often) {
            labels.insert(key, random.one_of(values).into());
        }
    }
    let mut annotations = Map::new();
    for (key, often, values) in [
        (format!("{prefix}/skip-containers"), 15, &LISTS[..]),
        (format!("{prefix}/include-containers"), 5, &LISTS[..]),
        (format!("{prefix}/token-expiration"), 15, &EXPIRATIONS[..]),
        (format!("{prefix}/region"), 6, &REGIONS[..]),
        (format!("{prefix}/sts-regional-endpoints"), 3, &BOOLEANS[..]),
        (format!("{prefix}/role-arn"), 3, &["arn:aws:iam::111122223333:role/pod"][..]),
        ("other.example.com/skip-containers".to_owned(), 5, &LISTS[..]),
        ("kubernetes.io/config.mirror".to_owned(), 1, &["hash"][..]),
    ] {
        if random.percent(often) {
            let value = if random.percent(1) { Value::Null } else { random.one_of(values).into() };
            annotations.insert(key, value);
        }
    }
    for (key, map) in [("labels", labels), ("annotations", annotations)] {
        match random.below(20) {
            0 if map.is_empty() => put(&mut metadata, key, Value::Null),
            1..10 if map.is_empty() => {}
            _ => put(&mut metadata, key, Value::Object(map)),
        }
    }
    unknown(random, &mut metadata);
    metadata
}

fn spec(random: &mut Random, paths: &Paths) -> Value {
    let mut spec = json!({"restartPolicy": "Always", "terminationGracePeriodSeconds": 30});
    let account = any_account(random);
    match random.below(100) {
        0 => {}
        1 => put(&mut spec, "serviceAccount", json!(account)),
        2 => put(&mut spec, "ServiceAccountName", json!(account)),
        3 => put(&mut spec, "serviceAccountName", json!("")),
        _ => {
            put(&mut spec, "serviceAccountName", json!(account));
            put(&mut spec, "serviceAccount", json!(account));
        }
    }
    for (key, most) in [("initContainers", 2), ("containers", 3)] {
        let count = if key == "containers" { 1 + random.below(most) } else { random.below(most + 1) };
        let names = if key == "containers" { &NAMES[..] } else { &["init", "setup"][..] };
        let containers: Vec<Value> =
            names.iter().take(count).map(|name| container(random, name, paths)).collect();
        if !containers.is_empty() {
            put(&mut spec, key, containers.into());
        } else if random.percent(10) {
            put(&mut spec, key, random.one_of(&[Value::Null, json!([])]));
        }
    }
    if random.percent(1) {
        put(&mut spec, "containers", random.one_of(&[Value::Null, json!([])]));
    }
    if random.below(1000) == 0 {
        let many = (0..1001).map(|number| json!({"name": format!("app-{number}")}));
        put(&mut spec, "containers", many.collect());
    }
    let count = random.below(4);
    let mut volumes: Vec<Value> = Vec::new();
    for name in VOLUMES.into_iter().cycle().skip(random.below(VOLUMES.len())).take(count) {
        // The API server refuses two of the same name.
        volumes.push(volume(random, name, paths));
    }
    if !volumes.is_empty() {
        put(&mut spec, "volumes", volumes.into());
    } else if random.percent(20) {
        put(&mut spec, "volumes", random.one_of(&[Value::Null, json!([])]));
    }
    if random.percent(20) {
        prepare(random, &mut spec, paths);
    }
    if random.percent(1) {
        let deep = (0..70).fold(json!([]), |inner, _| json!([inner]));
        put(&mut spec, "futureDepth", deep);
    }
    scheduling(random, &mut spec);
    match random.below(200) {
        0 => put(&mut spec, "priority", json!("high")),
        1 => put(&mut spec, "hostNetwork", json!("yes")),
        _ => {}
    }
    unknown(random, &mut spec);
    spec
}

/// Brings the token and what belongs to it, or nearly so.
fn prepare(random: &mut Random, spec: &mut Value, paths: &Paths) {
    let kind = random.below(2);
    let (Some(mount), Some(token), Some(audience)) =
        (paths.mounts.get(kind), paths.tokens.get(kind), paths.audiences.get(kind))
    else {
        return;
    };
    let source =
        json!({"serviceAccountToken": {"path": token, "audience": audience, "expirationSeconds": 600}});
    let volume = |name: &str| json!({"name": name, "projected": {"sources": [source]}});
    let volumes: &[Value] = &[volume(random.one_of(&VOLUMES)), volume("another")];
    let names: Vec<Value> = volumes.iter().filter_map(|volume| volume.get("name")).cloned().collect();
    let count = 1 + random.below(volumes.len());
    put(spec, "volumes", volumes.iter().take(count).cloned().collect());
    let complete = random.percent(50);
    for container in spec.get_mut("containers").and_then(Value::as_array_mut).into_iter().flatten() {
        let path = if random.percent(80) { format!("{mount}/") } else { "/elsewhere".to_owned() };
        let path = if random.percent(70) { path.trim_end_matches('/').to_owned() } else { path };
        if random.percent(80) {
            put(container, "volumeMounts", json!([{"name": random.one_of(&names), "mountPath": path}]));
        }
        if complete {
            let file = format!("{}/{token}", mount.trim_end_matches('/'));
            let env = VARIABLES.map(|name| json!({"name": name, "value": file}));
            put(container, "env", env.into_iter().skip(random.below(4)).collect());
        }
    }
}

fn scheduling(random: &mut Random, spec: &mut Value) {
    let mut os = || if random.percent(70) { "windows" } else { "linux" };
    let (first, second) = (os(), os());
    if random.percent(6) {
        put(spec, "os", json!({"name": first}));
    }
    match random.below(30) {
        0 => put(spec, "nodeSelector", json!({"kubernetes.io/os": second})),
        1 => put(spec, "nodeSelector", json!({"beta.kubernetes.io/os": second})),
        2 => put(spec, "nodeSelector", json!({"kubernetes.io/os": second, "beta.kubernetes.io/os": first})),
        3 | 4 => {
            let term = |os: &str| json!({"matchExpressions": [{"key": "kubernetes.io/os", "operator": "In", "values": [os]}]});
            let terms = random.one_of(&[
                json!([term("windows")]),
                json!([term("windows"), term("linux")]),
                json!([]),
                json!([{"matchExpressions": [{"key": "kubernetes.io/os", "operator": "NotIn", "values": ["windows"]}]}]),
            ]);
            let required = "requiredDuringSchedulingIgnoredDuringExecution";
            put(spec, "affinity", json!({"nodeAffinity": {required: {"nodeSelectorTerms": terms}}}));
        }
        _ => {}
    }
}

fn container(random: &mut Random, name: &str, paths: &Paths) -> Value {
    let mut container = json!({"name": name, "image": "registry.example.com/app:1.4"});
    for (key, often, value) in [
        ("resources", 50, json!({"limits": {"cpu": "1", "memory": "64Mi"}})),
        ("resources", 20, json!({})),
        ("args", 30, json!(["--verbose", ""])),
        ("command", 10, json!([])),
        ("ports", 20, json!([{"containerPort": 8080, "protocol": "TCP"}])),
        ("livenessProbe", 10, json!({"httpGet": {"path": "/", "port": "http"}, "failureThreshold": 3})),
        ("livenessProbe", 5, json!({"grpc": {"port": 9000, "service": ""}})),
        ("securityContext", 20, json!({"runAsNonRoot": true, "capabilities": {"drop": ["ALL"]}})),
        ("restartPolicy", 10, json!("Always")),
        ("terminationMessagePath", 30, json!("/dev/termination-log")),
        ("envFrom", 10, json!([{"configMapRef": {"name": "settings"}}])),
        ("tty", 5, json!(false)),
        ("lifecycle", 5, json!({"preStop": {"sleep": {"seconds": 5}}})),
        ("volumeDevices", 3, json!([{"name": "raw", "devicePath": paths.mounts[0]}])),
    ] {
        if random.percent(often) {
            put(&mut container, key, value);
        }
    }
    let env: Vec<Value> = if random.percent(50) { env(random, paths) } else { Vec::new() };
    let count = if random.percent(50) { random.below(3) } else { 0 };
    let mounts: Vec<Value> = (0..count).map(|_| mount(random, paths)).collect();
    for (key, values) in [("env", env), ("volumeMounts", mounts)] {
        if !values.is_empty() {
            put(&mut container, key, values.into());
        } else if random.percent(10) {
            put(&mut container, key, random.one_of(&[Value::Null, json!([])]));
        }
    }
    unknown(random, &mut container);
    container
}

/// One variable, a few, or all of them.
fn env(random: &mut Random, paths: &Paths) -> Vec<Value> {
    let all = random.percent(20);
    let mut env: Vec<Value> = Vec::new();
    for name in VARIABLES {
        if all || random.percent(15) {
            env.push(variable(random, name, paths));
        }
    }
    if random.percent(60) {
        env.push(json!({"name": "HOME", "value": "/root"}));
    }
    if random.percent(3) {
        env.push(variable(random, "AWS_WEB_IDENTITY_TOKEN_FILE", paths));
    }
    env
}

fn variable(random: &mut Random, name: &str, paths: &Paths) -> Value {
    let files = paths.mounts.iter().zip(paths.tokens).map(|(mount, token)| format!("{mount}/{token}"));
    let windows = files.clone().map(|file| format!("C:{}", file.replace('/', "\\")));
    let values: Vec<String> = files
        .chain(windows)
        .chain(["/elsewhere/token", "", "$(OTHER)", "regional"].map(str::to_owned))
        .collect();
    let mut variable = match random.below(10) {
        0 => json!({"name": name, "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}),
        1 => json!({"name": name, "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}),
        2 => json!({"name": name}),
        3 => json!({"name": name, "value": "x", "valueFrom": null}),
        _ => json!({"name": name, "value": random.one_of(&values)}),
    };
    unknown(random, &mut variable);
    variable
}

fn mount(random: &mut Random, paths: &Paths) -> Value {
    let [web, credentials] = paths.mounts;
    let path = match random.below(12) {
        0 | 1 => web.to_owned(),
        2 => format!("{web}/"),
        3 => format!("{web}//./"),
        4 => format!("{web}/sub"),
        5 => credentials.to_owned(),
        6 => format!("{credentials}//"),
        7 => web.to_uppercase(),
        8 => format!("C:{}", web.replace('/', "\\")),
        9 => format!("/x/..{web}"),
        _ => "/data".to_owned(),
    };
    let mut mount = json!({"name": random.one_of(&VOLUMES), "mountPath": path});
    if random.percent(50) {
        put(&mut mount, "readOnly", random.percent(60).into());
    }
    match random.below(12) {
        0 => put(&mut mount, "subPath", json!("token")),
        1 => put(&mut mount, "subPath", json!("")),
        2 => put(&mut mount, "subPathExpr", json!("$(POD)")),
        _ => {}
    }
    unknown(random, &mut mount);
    mount
}

fn volume(random: &mut Random, name: &str, paths: &Paths) -> Value {
    let mut volume = json!({"name": name});
    match random.below(6) {
        0 => put(&mut volume, "emptyDir", json!({})),
        1 => put(&mut volume, "futureVolume", json!({"a": [1]})),
        _ => {
            let sources: Vec<Value> = (0..=random.below(2)).map(|_| source(random, paths)).collect();
            put(&mut volume, "projected", json!({"sources": sources, "defaultMode": 420}));
        }
    }
    unknown(random, &mut volume);
    volume
}

fn source(random: &mut Random, paths: &Paths) -> Value {
    let kind = random.below(2);
    let token = paths.tokens.get(kind).copied().unwrap_or_default();
    let audience = paths.audiences.get(kind).copied().unwrap_or_default();
    match random.below(10) {
        0 => {
            json!({"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}})
        }
        1 => json!({"secret": {"name": "s", "items": [{"key": "k", "path": token}]}}),
        2 => {
            json!({"downwardAPI": {"items": [{"path": token, "fieldRef": {"fieldPath": "metadata.namespace"}}]}})
        }
        3 => json!({"serviceAccountToken": {"path": token, "expirationSeconds": 3607}}),
        4 => json!({"serviceAccountToken": {"path": "other", "audience": audience}}),
        5 => json!({"futureSource": {"path": token}}),
        _ => {
            json!({"serviceAccountToken": {"path": token, "audience": audience, "expirationSeconds": 86_400}})
        }
    }
}

/// Adds a field that a later API server may know.
fn unknown(random: &mut Random, object: &mut Value) {
    if random.percent(4) {
        let value =
            random.one_of(&[json!("x"), json!({"a": [null, 1.5]}), Value::Null, json!([]), json!(true)]);
        put(object, "futureField", value);
    }
}

fn put(object: &mut Value, key: &str, value: Value) {
    if let Some(object) = object.as_object_mut() {
        object.insert(key.to_owned(), value);
    }
}
