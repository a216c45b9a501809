//! Containers, and what belongs to them.

use serde_json::{Value, json};

use super::{Pod, ROLE, Shape, containers, list, validate};

const OUR_PATH: &str = "/var/run/secrets/eks.amazonaws.com/serviceaccount";

pub(super) const SHAPES: &[Shape] = &[
    Shape {
        name: "variables",
        n: 20_000,
        input: |n| with("env", &list(n, |i| format!(r#"{{"name":"V{i}","value":"$(V)"}}"#))).create(),
    },
    Shape {
        name: "the same variable of ours again and again",
        n: 20_000,
        input: |n| with("env", &list(n, |i| format!(r#"{{"name":"AWS_ROLE_ARN","value":"{i}"}}"#))).create(),
    },
    Shape {
        name: "volumes",
        n: 20_000,
        input: |n| {
            Pod { volumes: list(n, |i| format!(r#"{{"name":"v{i}","emptyDir":{{}}}}"#)), ..Pod::default() }
                .create()
        },
    },
    Shape {
        name: "volumes that take our names",
        n: 10_000,
        input: |n| {
            let name =
                |i| if i == 0 { "aws-iam-token".to_owned() } else { format!("aws-iam-token-{}", i + 1) };
            Pod {
                volumes: list(n, |i| format!(r#"{{"name":"{}","emptyDir":{{}}}}"#, name(i))),
                ..Pod::default()
            }
            .create()
        },
    },
    Shape {
        name: "sources in one volume",
        n: 10_000,
        input: |n| Pod { volumes: volume_of_sources(n), ..Pod::default() }.create(),
    },
    Shape {
        name: "mounts",
        n: 20_000,
        input: |n| with("volumeMounts", &list(n, |i| mount("v", &format!("/m/{i}")))).create(),
    },
    Shape {
        name: "mounts at our path, and as many volumes",
        n: 4_000,
        input: |n| {
            let volumes = list(n, |i| format!(r#"{{"name":"v{i}","emptyDir":{{}}}}"#));
            let mounts = list(n, |i| mount(&format!("v{i}"), OUR_PATH));
            Pod { volumes, ..with("volumeMounts", &mounts) }.create().unchanged()
        },
    },
    Shape {
        name: "mounts at our path of one volume with as many sources",
        n: 2_000,
        input: |n| {
            let mounts = list(n, |_| mount("v", OUR_PATH));
            Pod { volumes: volume_of_sources(n), ..with("volumeMounts", &mounts) }.create().unchanged()
        },
    },
    Shape {
        name: "containers that mount one volume with as many sources at our path",
        n: 500,
        input: |n| {
            let mount = mount("v", OUR_PATH);
            let containers = list(n, |i| format!(r#"{{"name":"c{i}","volumeMounts":[{mount}]}}"#));
            let volumes = volume_of_sources(n);
            Pod { containers: Some(containers), volumes, ..Pod::default() }.create().unchanged()
        },
    },
    Shape {
        name: "a mount path of many parts",
        n: 100_000,
        input: |n| with("volumeMounts", &mount("v", &("/a/bb/..".repeat(n)))).create(),
    },
    Shape {
        name: "a mount path up and down",
        n: 100_000,
        input: |n| with("volumeMounts", &mount("v", &("/a".repeat(n) + &"/..".repeat(n)))).create(),
    },
    Shape {
        name: "containers",
        n: 500,
        input: |n| Pod { containers: Some(containers(n)), ..Pod::default() }.create(),
    },
    Shape {
        name: "containers of both kinds",
        n: 250,
        input: |n| {
            Pod { init_containers: Some(containers(n)), containers: Some(containers(n)), ..Pod::default() }
                .create()
        },
    },
    Shape {
        name: "a skip list with a name for each container",
        n: 500,
        input: |n| listed("skip-containers", &list(n, |i| format!("c{i}")), n).create().unchanged(),
    },
    Shape {
        name: "a long skip list, in reverse, and as many containers",
        n: 500,
        input: |n| {
            listed("skip-containers", &list(n * 10, |i| format!("c{}", n * 10 - 1 - i)), n)
                .create()
                .unchanged()
        },
    },
    Shape {
        name: "a skip list of unknown names and a few containers",
        n: 40_000,
        input: |n| listed("skip-containers", &list(n, |i| format!("x{i}")), 4).create(),
    },
    Shape {
        name: "an include list with a name for each container",
        n: 500,
        input: |n| listed("include-containers", &list(n, |i| format!("c{i}")), n).create(),
    },
    Shape {
        name: "a skip list of the service account for each container",
        n: 500,
        input: |n| {
            let names = list(n, |i| format!("c{i}"));
            Pod { containers: Some(containers(n)), ..Pod::default() }
                .create()
                .cluster(
                    &json!({"eks.amazonaws.com/role-arn": ROLE, "eks.amazonaws.com/skip-containers": names}),
                )
                .unchanged()
        },
    },
    Shape {
        name: "a role of its own for each container",
        n: 500,
        input: |n| {
            let annotations = (0..n)
                .map(|i| (format!("eks.amazonaws.com/role-arn.c{i}"), Value::from(format!("{ROLE}-{i}"))));
            Pod { containers: Some(containers(n)), ..Pod::default() }
                .create()
                .cluster(&Value::Object(annotations.collect()))
        },
    },
    Shape {
        name: "roles of their own for containers that are not there",
        n: 5_000,
        input: |n| {
            let annotations = (0..n)
                .map(|i| (format!("eks.amazonaws.com/role-arn.x{i}"), Value::from(ROLE)))
                .chain([("eks.amazonaws.com/role-arn".to_owned(), Value::from(ROLE))]);
            Pod::default().create().cluster(&Value::Object(annotations.collect()))
        },
    },
    Shape {
        name: "roles for containers on the pod's own annotations",
        n: 5_000,
        input: |n| {
            Pod {
                annotations: list(n, |i| format!(r#""eks.amazonaws.com/role-arn.x{i}":"{i}""#)),
                ..Pod::default()
            }
            .create()
        },
    },
    Shape {
        name: "containers to be verified, and as many volumes",
        n: 500,
        input: |n| {
            let env = format!(
                r#"[{{"name":"AWS_ROLE_ARN","value":"{ROLE}"}},{{"name":"AWS_WEB_IDENTITY_TOKEN_FILE","value":"/var/run/secrets/eks.amazonaws.com/serviceaccount/token"}}]"#
            );
            let containers = list(n, |i| {
                let mount = mount(&format!("v{i}"), OUR_PATH);
                format!(r#"{{"name":"c{i}","env":{env},"volumeMounts":[{mount}]}}"#)
            });
            let volumes = list(n, |i| {
                format!(
                    r#"{{"name":"v{i}","projected":{{"sources":[{{"serviceAccountToken":{{"path":"token","audience":"sts.amazonaws.com"}}}}]}}}}"#
                )
            });
            Pod { containers: Some(containers), volumes, ..Pod::default() }
                .create_with(r#"{"mode":"verify"}"#)
                .cluster(&json!({"eks.amazonaws.com/role-arn": ROLE}))
                .unchanged()
        },
    },
    Shape {
        name: "ephemeral containers, old and new",
        n: 240,
        input: |n| {
            let container =
                |i: usize| format!(r#"{{"name":"debugger-{i}","image":"registry.example.com/busybox"}}"#);
            let old = list(n, container);
            let new = list(2 * n, container);
            let volume = r#"{"name":"aws-iam-token","projected":{"sources":[{"serviceAccountToken":{"path":"token","audience":"sts.amazonaws.com"}}]}}"#;
            let pod = |list: &str| {
                Pod {
                    spec: format!(r#""ephemeralContainers":[{list}]"#),
                    volumes: volume.to_owned(),
                    ..Pod::default()
                }
                .text()
            };
            let request = format!(
                r#""operation":"UPDATE","resource":{{"group":"","version":"v1","resource":"pods"}},"subResource":"ephemeralcontainers","object":{},"oldObject":{}"#,
                pod(&new),
                pod(&old)
            );
            validate(&request, "{}").cluster(&json!({"eks.amazonaws.com/role-arn": ROLE}))
        },
    },
];

/// With one container, which has a list.
fn with(field: &str, list: &str) -> Pod {
    Pod { containers: Some(format!(r#"{{"name":"app","{field}":[{list}]}}"#)), ..Pod::default() }
}

fn mount(volume: &str, path: &str) -> String {
    format!(r#"{{"name":"{volume}","mountPath":"{path}"}}"#)
}

/// A volume of so many sources.
fn volume_of_sources(n: usize) -> String {
    let sources =
        list(n, |i| format!(r#"{{"serviceAccountToken":{{"path":"t{i}","audience":"sts.amazonaws.com"}}}}"#));
    format!(r#"{{"name":"v","projected":{{"sources":[{sources}]}}}}"#)
}

/// With so many containers, and an annotation that lists names.
fn listed(annotation: &str, names: &str, n: usize) -> Pod {
    Pod {
        containers: Some(containers(n)),
        annotations: format!(r#""eks.amazonaws.com/{annotation}":"{names}""#),
        ..Pod::default()
    }
}
