//! Objects of the cluster, as they are looked up and as they are written.

use policy_host::{Cluster, ObjectKey};
use serde_json::json;

use super::{Input, Pod, ROLE, Shape, list, validate};

pub(super) const SHAPES: &[Shape] = &[
    Shape {
        name: "a record of many managed annotations",
        n: 10_000,
        input: |n| {
            let record = format!("{{{}}}", list(n, |i| format!(r#""eks.amazonaws.com/a{i}":"{i}""#)));
            Pod::default().create().cluster(
                &json!({"eks.amazonaws.com/role-arn": ROLE, "eks.amazonaws.com/managed-annotations": record}),
            )
        },
    },
    Shape {
        name: "annotations of a service account that is completed",
        n: 30_000,
        input: |n| {
            let annotations = list(n, |i| format!(r#""a{i}":"{i}""#));
            let object = format!(
                r#"{{"apiVersion":"v1","kind":"ServiceAccount","metadata":{{"name":"api","namespace":"pay","annotations":{{{annotations}}}}}}}"#
            );
            let request = format!(
                r#""operation":"CREATE","resource":{{"group":"","version":"v1","resource":"serviceaccounts"}},"object":{object}"#
            );
            validate(
                &request,
                &format!(r#"{{"annotateServiceAccounts":true,"mapping":{{"pay/api":"{ROLE}"}}}}"#),
            )
        },
    },
    Shape {
        name: "bad annotations of a service account",
        n: 5_000,
        input: |n| {
            let annotations =
                list(n, |i| format!(r#""eks.amazonaws.com/role-arn.c{i}":"arn:aws:iam::{i}:role/x""#));
            let object = format!(
                r#"{{"apiVersion":"v1","kind":"ServiceAccount","metadata":{{"name":"api","namespace":"pay","annotations":{{{annotations}}}}}}}"#
            );
            let request = format!(
                r#""operation":"CREATE","resource":{{"group":"","version":"v1","resource":"serviceaccounts"}},"object":{object}"#
            );
            validate(&request, "{}").unchanged()
        },
    },
    Shape {
        name: "entries of a config map that are left out",
        n: 5_000,
        input: |n| {
            let document = format!(r#"{{{}, "pay/api":"{ROLE}"}}"#, list(n, |i| format!(r#""*a{i}":{{}}"#)));
            config_map(&document)
        },
    },
    Shape {
        name: "unknown fields in an entry of a config map",
        n: 20_000,
        input: |n| {
            config_map(&format!(
                r#"{{"pay/api":{{{},"roleArn":"{ROLE}"}}}}"#,
                list(n, |i| format!(r#""x{i}":1"#))
            ))
        },
    },
    Shape {
        name: "an answer of the host that is an error as long as can be",
        n: 300_000,
        input: |n| {
            let mut input = Pod::default().create_with("{}").unchanged();
            let key = ObjectKey {
                api_version: "v1".into(),
                kind: "ServiceAccount".into(),
                namespace: Some("pay".into()),
                name: "api".into(),
            };
            input.cluster.insert_error(key, "Error sending ".repeat(n / 14)).unwrap();
            input.payload.push_str(&" ".repeat(n));
            input
        },
    },
];

fn config_map(document: &str) -> Input {
    let mut input = Pod::default()
        .create_with(r#"{"serviceAccountAnnotations":false,"mappingConfigMap":{"namespace":"eks"}}"#);
    input.cluster = Cluster::from_json(&json!({"objects": [{
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "pod-identity-webhook", "namespace": "eks"},
        "data": {"config": document},
    }]}))
    .unwrap();
    input
}
