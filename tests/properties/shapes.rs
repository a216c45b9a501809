//! Payloads that grow.

use std::fmt::Write as _;

use policy_host::{Cluster, ObjectKey};
use serde_json::{Value, json};

const ROLE: &str = "arn:aws:iam::111122223333:role/api";

/// A payload that grows with `n`, and what is answered, so that the shape is known to reach what it is about.
pub(super) struct Shape {
    pub(super) name: &'static str,
    pub(super) n: usize,
    pub(super) input: fn(usize) -> Input,
}

pub(super) struct Input {
    pub(super) operation: &'static str,
    pub(super) payload: String,
    pub(super) cluster: Cluster,
    /// `accepted` or `valid`, whichever the operation answers.
    pub(super) accepted: bool,
    /// Whether the pod is changed.
    pub(super) changed: bool,
}

impl Input {
    fn refused(mut self) -> Self {
        (self.accepted, self.changed) = (false, false);
        self
    }

    fn unchanged(mut self) -> Self {
        self.changed = false;
        self
    }

    fn cluster(mut self, annotations: &Value) -> Self {
        self.cluster = Cluster::from_json(&json!({"objects": [{
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": "api", "namespace": "pay", "annotations": annotations},
        }]}))
        .unwrap();
        self
    }
}

/// A pod, written member by member. What is not said is ordinary.
#[derive(Default)]
struct Pod {
    annotations: String,
    labels: String,
    spec: String,
    init_containers: Option<String>,
    containers: Option<String>,
    volumes: String,
}

impl Pod {
    fn text(&self) -> String {
        let Self { annotations, labels, spec, init_containers, containers, volumes } = self;
        let containers = containers.as_deref().unwrap_or(r#"{"name":"app"}"#);
        let init =
            init_containers.as_ref().map_or(String::new(), |list| format!(r#","initContainers":[{list}]"#));
        let comma = if spec.is_empty() { "" } else { "," };
        format!(
            r#"{{"apiVersion":"v1","kind":"Pod","metadata":{{"annotations":{{{annotations}}},"labels":{{{labels}}},"name":"api-0","namespace":"pay"}},"spec":{{"containers":[{containers}]{init},"serviceAccountName":"api"{comma}{spec},"volumes":[{volumes}]}}}}"#
        )
    }

    /// Admitted by a service account with a role.
    fn create(&self) -> Input {
        self.create_with("{}").cluster(&json!({"eks.amazonaws.com/role-arn": ROLE}))
    }

    fn create_with(&self, settings: &str) -> Input {
        validate(
            &format!(
                r#""operation":"CREATE","resource":{{"group":"","version":"v1","resource":"pods"}},"object":{}"#,
                self.text()
            ),
            settings,
        )
    }
}

fn validate(request: &str, settings: &str) -> Input {
    Input {
        operation: "validate",
        payload: format!(r#"{{"request":{{"uid":"u","namespace":"pay",{request}}},"settings":{settings}}}"#),
        cluster: Cluster::default(),
        accepted: true,
        changed: true,
    }
}

fn settings(text: String, valid: bool) -> Input {
    Input {
        operation: "validate_settings",
        payload: text,
        cluster: Cluster::default(),
        accepted: valid,
        changed: false,
    }
}

/// `n` parts with commas between them.
fn list(n: usize, mut part: impl FnMut(usize) -> String) -> String {
    let mut out = String::new();
    for i in 0..n {
        if i > 0 {
            out.push(',');
        }
        out.push_str(&part(i));
    }
    out
}

fn containers(n: usize) -> String {
    list(n, |i| {
        format!(
            r#"{{"name":"c{i}","image":"registry.example.com/team/service:{i}","resources":{{"limits":{{"cpu":"1","memory":"1Gi"}}}}}}"#
        )
    })
}

pub(super) const SHAPES: &[Shape] = &[
    Shape {
        name: "arrays nested up to the limit",
        n: 8_000,
        input: |n| {
            let nested = "[".repeat(55) + &"]".repeat(55);
            Pod { spec: format!(r#""x":[{}]"#, list(n, |_| nested.clone())), ..Pod::default() }.create()
        },
    },
    Shape {
        name: "objects nested up to the limit",
        n: 3_000,
        input: |n| {
            let nested = r#"{"a":"#.repeat(55) + "1" + &"}".repeat(55);
            Pod { spec: format!(r#""x":[{}]"#, list(n, |_| nested.clone())), ..Pod::default() }.create()
        },
    },
    Shape {
        name: "a long string of escapes",
        n: 150_000,
        input: |n| {
            Pod { annotations: format!(r#""x":"{}""#, r#"\u00e9\n"#.repeat(n)), ..Pod::default() }.create()
        },
    },
    Shape {
        name: "a long string of surrogate pairs in a list that is read",
        n: 100_000,
        input: |n| {
            let list = r"\ud83d\ude00,".repeat(n);
            Pod { annotations: format!(r#""eks.amazonaws.com/skip-containers":"{list}""#), ..Pod::default() }
                .create()
        },
    },
    Shape {
        name: "many short strings with escapes",
        n: 50_000,
        input: |n| {
            Pod { annotations: list(n, |i| format!(r#""\u0061{i}":"\u0062""#)), ..Pod::default() }.create()
        },
    },
    Shape {
        name: "variables",
        n: 20_000,
        input: |n| {
            let env = list(n, |i| format!(r#"{{"name":"V{i}","value":"$(V)"}}"#));
            Pod { containers: Some(format!(r#"{{"name":"app","env":[{env}]}}"#)), ..Pod::default() }.create()
        },
    },
    Shape {
        name: "the same variable of ours again and again",
        n: 20_000,
        input: |n| {
            let env = list(n, |i| format!(r#"{{"name":"AWS_ROLE_ARN","value":"{i}"}}"#));
            Pod { containers: Some(format!(r#"{{"name":"app","env":[{env}]}}"#)), ..Pod::default() }.create()
        },
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
        input: |n| {
            let sources = list(n, |i| {
                format!(r#"{{"serviceAccountToken":{{"path":"t{i}","audience":"sts.amazonaws.com"}}}}"#)
            });
            Pod {
                volumes: format!(r#"{{"name":"v","projected":{{"sources":[{sources}]}}}}"#),
                ..Pod::default()
            }
            .create()
        },
    },
    Shape {
        name: "mounts",
        n: 20_000,
        input: |n| {
            let mounts = list(n, |i| format!(r#"{{"name":"v","mountPath":"/m/{i}"}}"#));
            Pod {
                containers: Some(format!(r#"{{"name":"app","volumeMounts":[{mounts}]}}"#)),
                ..Pod::default()
            }
            .create()
        },
    },
    Shape {
        name: "mounts at our path, and as many volumes",
        n: 4_000,
        input: |n| {
            let mounts = list(n, |i| {
                format!(
                    r#"{{"name":"v{i}","mountPath":"/var/run/secrets/eks.amazonaws.com/serviceaccount"}}"#
                )
            });
            let volumes = list(n, |i| format!(r#"{{"name":"v{i}","emptyDir":{{}}}}"#));
            Pod {
                containers: Some(format!(r#"{{"name":"app","volumeMounts":[{mounts}]}}"#)),
                volumes,
                ..Pod::default()
            }
            .create()
            .unchanged()
        },
    },
    Shape {
        name: "mounts at our path of one volume with as many sources",
        n: 2_000,
        input: |n| {
            let mounts = list(n, |_| {
                r#"{"name":"v","mountPath":"/var/run/secrets/eks.amazonaws.com/serviceaccount"}"#.to_owned()
            });
            let sources = list(n, |i| {
                format!(r#"{{"serviceAccountToken":{{"path":"t{i}","audience":"sts.amazonaws.com"}}}}"#)
            });
            Pod {
                containers: Some(format!(r#"{{"name":"app","volumeMounts":[{mounts}]}}"#)),
                volumes: format!(r#"{{"name":"v","projected":{{"sources":[{sources}]}}}}"#),
                ..Pod::default()
            }
            .create()
            .unchanged()
        },
    },
    Shape {
        name: "containers that mount one volume with as many sources at our path",
        n: 500,
        input: |n| {
            let mount = r#"{"name":"v","mountPath":"/var/run/secrets/eks.amazonaws.com/serviceaccount"}"#;
            let containers = list(n, |i| format!(r#"{{"name":"c{i}","volumeMounts":[{mount}]}}"#));
            let sources = list(n, |i| {
                format!(r#"{{"serviceAccountToken":{{"path":"t{i}","audience":"sts.amazonaws.com"}}}}"#)
            });
            let volumes = format!(r#"{{"name":"v","projected":{{"sources":[{sources}]}}}}"#);
            Pod { containers: Some(containers), volumes, ..Pod::default() }.create().unchanged()
        },
    },
    Shape {
        name: "a mount path of many parts",
        n: 100_000,
        input: |n| {
            let path = "/a/bb/..".repeat(n);
            Pod {
                containers: Some(format!(
                    r#"{{"name":"app","volumeMounts":[{{"name":"v","mountPath":"{path}"}}]}}"#
                )),
                ..Pod::default()
            }
            .create()
        },
    },
    Shape {
        name: "a mount path up and down",
        n: 100_000,
        input: |n| {
            let path = "/a".repeat(n) + &"/..".repeat(n);
            Pod {
                containers: Some(format!(
                    r#"{{"name":"app","volumeMounts":[{{"name":"v","mountPath":"{path}"}}]}}"#
                )),
                ..Pod::default()
            }
            .create()
        },
    },
    Shape {
        name: "annotations",
        n: 40_000,
        input: |n| {
            Pod { annotations: list(n, |i| format!(r#""example.com/a{i}":"{i}""#)), ..Pod::default() }
                .create()
        },
    },
    Shape {
        name: "annotations with our prefix",
        n: 40_000,
        input: |n| {
            Pod { annotations: list(n, |i| format!(r#""eks.amazonaws.com/a{i}":"{i}""#)), ..Pod::default() }
                .create()
        },
    },
    Shape {
        name: "labels",
        n: 40_000,
        input: |n| {
            let input = Pod { labels: list(n, |i| format!(r#""example.com/a{i}":"{i}""#)), ..Pod::default() };
            input.create_with(
                r#"{"containerCredentials":{"identities":[{"namespace":"*","serviceAccount":"*"}]}}"#,
            )
        },
    },
    Shape {
        name: "an unknown key again and again",
        n: 60_000,
        input: |n| Pod { spec: list(n, |_| r#""x":1"#.to_owned()), ..Pod::default() }.create(),
    },
    Shape {
        name: "a known key twice, behind everything",
        n: 60_000,
        input: |n| {
            Pod { spec: list(n, |i| format!(r#""x{i}":1"#)) + r#","containers":[]"#, ..Pod::default() }
                .create()
                .refused()
        },
    },
    Shape {
        name: "unknown keys",
        n: 60_000,
        input: |n| Pod { spec: list(n, |i| format!(r#""x{i}":1"#)), ..Pod::default() }.create(),
    },
    Shape {
        name: "a key as long as can be",
        n: 500_000,
        input: |n| Pod { spec: format!(r#""{}":1"#, "k".repeat(n)), ..Pod::default() }.create(),
    },
    Shape {
        name: "a huge number",
        n: 500_000,
        input: |n| Pod { spec: format!(r#""x":-{0}.{0}e+{0}"#, "9".repeat(n)), ..Pod::default() }.create(),
    },
    Shape {
        name: "a huge expiration in an annotation",
        n: 500_000,
        input: |n| {
            Pod {
                annotations: format!(r#""eks.amazonaws.com/token-expiration":"{}""#, "9".repeat(n)),
                ..Pod::default()
            }
            .create()
        },
    },
    Shape {
        name: "a huge expiration in the settings",
        n: 500_000,
        input: |n| settings(format!(r#"{{"tokenExpiration":{}}}"#, "9".repeat(n)), false),
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
        name: "containers and mapping entries",
        n: 500,
        input: |n| {
            let mapping = list(n * 20, |i| format!(r#""n{i}/s":"{ROLE}""#));
            Pod { containers: Some(containers(n)), ..Pod::default() }.create_with(&format!(
                r#"{{"serviceAccountAnnotations":false,"mapping":{{{mapping},"pay/api":"{ROLE}"}}}}"#
            ))
        },
    },
    Shape {
        name: "a skip list with a name for each container",
        n: 500,
        input: |n| {
            let names = list(n, |i| format!("c{i}"));
            Pod {
                containers: Some(containers(n)),
                annotations: format!(r#""eks.amazonaws.com/skip-containers":"{names}""#),
                ..Pod::default()
            }
            .create()
            .unchanged()
        },
    },
    Shape {
        name: "a long skip list, in reverse, and as many containers",
        n: 500,
        input: |n| {
            let names = list(n * 10, |i| format!("c{}", n * 10 - 1 - i));
            Pod {
                containers: Some(containers(n)),
                annotations: format!(r#""eks.amazonaws.com/skip-containers":"{names}""#),
                ..Pod::default()
            }
            .create()
            .unchanged()
        },
    },
    Shape {
        name: "a skip list of unknown names and a few containers",
        n: 40_000,
        input: |n| {
            let names = list(n, |i| format!("x{i}"));
            Pod {
                containers: Some(containers(4)),
                annotations: format!(r#""eks.amazonaws.com/skip-containers":"{names}""#),
                ..Pod::default()
            }
            .create()
        },
    },
    Shape {
        name: "an include list with a name for each container",
        n: 500,
        input: |n| {
            let names = list(n, |i| format!("c{i}"));
            Pod {
                containers: Some(containers(n)),
                annotations: format!(r#""eks.amazonaws.com/include-containers":"{names}""#),
                ..Pod::default()
            }
            .create()
        },
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
        name: "roles for containers in a mapping entry",
        n: 5_000,
        input: |n| {
            let roles = list(n, |i| format!(r#""c{i}":"{ROLE}""#));
            Pod { containers: Some(containers(4)), ..Pod::default() }.create_with(&format!(r#"{{"serviceAccountAnnotations":false,"mapping":{{"pay/api":{{"containers":{{{roles}}}}}}}}}"#))
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
        name: "mapping keys",
        n: 10_000,
        input: |n| {
            let mapping = list(n, |i| format!(r#""n{i}/s{i}":"{ROLE}""#));
            Pod::default().create_with(&format!(r#"{{"mapping":{{{mapping},"*/*":"{ROLE}"}}}}"#))
        },
    },
    Shape {
        name: "mapping keys that are globs",
        n: 10_000,
        input: |n| {
            let mapping = list(n, |i| format!(r#""*a*a*a*b/*p*i{i}":"{ROLE}""#));
            Pod::default().create_with(&format!(r#"{{"mapping":{{{mapping},"*/*":"{ROLE}"}}}}"#))
        },
    },
    Shape {
        name: "mapping keys that all match",
        n: 3_200,
        input: |n| {
            // Up to two `*` in each of eight places.
            let stars = |i: usize, place: u32| "*".repeat(i / 3_usize.pow(place) % 3);
            let mapping = list(n, |i| {
                let key: String = ["", "p", "a", "y", "/", "a", "p", "i"]
                    .iter()
                    .zip([7, 0, 1, 2, 3, 4, 5, 6])
                    .map(|(c, place)| format!("{c}{}", stars(i, place)))
                    .collect();
                format!(r#""{key}":{{"roleArn":"{ROLE}","region":"eu-west-1"}}"#)
            });
            Pod::default().create_with(&format!(r#"{{"mapping":{{{mapping}}}}}"#))
        },
    },
    Shape {
        name: "the worst glob against the longest names",
        n: 300,
        input: |n| {
            let glob = "*".to_owned() + &"a".repeat(120) + "*" + &"a".repeat(120) + "b";
            let mapping = list(n * 10, |_| format!(r#""*/{glob}":"{ROLE}""#));
            let name = "a".repeat(253);
            let pod = Pod::default()
                .text()
                .replace(r#""serviceAccountName":"api""#, &format!(r#""serviceAccountName":"{name}""#));
            let request = format!(
                r#""operation":"CREATE","resource":{{"group":"","version":"v1","resource":"pods"}},"object":{pod}"#
            );
            validate(&request, &format!(r#"{{"serviceAccountAnnotations":false,"mapping":{{{mapping}}}}}"#))
                .unchanged()
        },
    },
    Shape {
        name: "mapping keys that are malformed",
        n: 10_000,
        input: |n| {
            let mapping = list(n, |i| format!(r#""n{i}":"{ROLE}""#));
            settings(format!(r#"{{"mapping":{{{mapping}}}}}"#), false)
        },
    },
    Shape {
        name: "mapping keys that are malformed globs",
        n: 10_000,
        input: |n| {
            let mapping = list(n, |i| format!(r#""*{i}":"{ROLE}""#));
            Pod::default().create_with(&format!(r#"{{"mapping":{{{mapping}}}}}"#)).unchanged()
        },
    },
    Shape {
        name: "a mapping that is checked",
        n: 10_000,
        input: |n| {
            settings(
                format!(
                    r#"{{"mapping":{{{}}}}}"#,
                    list(n, |i| format!(
                        r#""n{i}/s{i}":{{"roleArn":"{ROLE}","audience":"a","tokenExpiration":3600}}"#
                    ))
                ),
                true,
            )
        },
    },
    Shape {
        name: "a mapping with the same key again and again",
        n: 10_000,
        input: |n| {
            settings(format!(r#"{{"mapping":{{{}}}}}"#, list(n, |_| format!(r#""n/s":"{ROLE}""#))), false)
        },
    },
    Shape {
        name: "entries with an audience each, and as many allowed ones",
        n: 3_000,
        input: |n| {
            let mapping = list(n, |i| format!(r#""n{i}/s{i}":{{"roleArn":"{ROLE}","audience":"a{i}"}}"#));
            let audiences = list(n, |i| format!(r#""a{i}""#));
            settings(format!(r#"{{"mapping":{{{mapping}}},"allowedAudiences":[{audiences}]}}"#), true)
        },
    },
    Shape {
        name: "variables, and a template that names them all",
        n: 1_000,
        input: |n| {
            let variables = list(n, |i| format!(r#""v{i}":"""#));
            let template = (0..n).fold(String::new(), |mut out, i| {
                write!(out, "{{v{i}}}").unwrap();
                out
            });
            Pod::default().create_with(&format!(
                r#"{{"variables":{{{variables}}},"mapping":{{"pay/api":"{ROLE}{template}"}}}}"#
            ))
        },
    },
    Shape {
        name: "variables, and as many templates",
        n: 1_000,
        input: |n| {
            let variables = list(n, |i| format!(r#""v{i}":"x""#));
            let mapping = list(n, |i| format!(r#""n{i}/s":"{ROLE}{{v{i}}}""#));
            settings(format!(r#"{{"variables":{{{variables}}},"mapping":{{{mapping}}}}}"#), true)
        },
    },
    Shape {
        name: "unknown fields in the settings",
        n: 3_000,
        input: |n| settings(format!("{{{}}}", list(n, |i| format!(r#""tokenAudienc{i}":1"#))), false),
    },
    Shape {
        name: "an unknown field with a long name in the settings",
        n: 300_000,
        input: |n| settings(format!(r#"{{"{}":1}}"#, "k".repeat(n)), false),
    },
    Shape {
        name: "identities",
        n: 10_000,
        input: |n| {
            let identities = list(n, |i| format!(r#"{{"namespace":"n{i}","serviceAccount":"*a*a*a*b"}}"#));
            Pod::default().create_with(&format!(r#"{{"containerCredentials":{{"identities":[{identities},{{"namespace":"pay","serviceAccount":"api"}}]}}}}"#))
        },
    },
    Shape {
        name: "rules for roles",
        n: 10_000,
        input: |n| {
            let rules = list(n, |i| {
                format!(r#"{{"namespaces":["n{i}","*a*a*b"],"roles":["arn:aws:iam::*:role/x*"]}}"#)
            });
            Pod::default()
                .create_with(&format!(r#"{{"allowedRoles":[{rules},{{"namespaces":["*"],"roles":["*"]}}]}}"#))
                .cluster(&json!({"eks.amazonaws.com/role-arn": ROLE}))
        },
    },
    Shape {
        name: "globs in one rule",
        n: 20_000,
        input: |n| {
            let globs = list(n, |i| format!(r#""n{i}*""#));
            Pod::default()
                .create_with(&format!(
                    r#"{{"allowedRoles":[{{"namespaces":[{globs},"*"],"roles":[{globs},"*"]}}]}}"#
                ))
                .cluster(&json!({"eks.amazonaws.com/role-arn": ROLE}))
        },
    },
    Shape {
        name: "rules for roles, and a role of its own for each container",
        n: 250,
        input: |n| {
            let rules = list(n, |i| format!(r#"{{"namespaces":["n{i}"],"roles":["*"]}}"#));
            let annotations = (0..n)
                .map(|i| (format!("eks.amazonaws.com/role-arn.c{i}"), Value::from(format!("{ROLE}-{i}"))));
            Pod { containers: Some(containers(n)), ..Pod::default() }
                .create_with(&format!(r#"{{"allowedRoles":[{rules},{{"namespaces":["*"],"roles":["*"]}}]}}"#))
                .cluster(&Value::Object(annotations.collect()))
        },
    },
    Shape {
        name: "rules for roles, and containers that bring roles to be verified",
        n: 250,
        input: |n| {
            let rules = list(n, |i| format!(r#"{{"namespaces":["n{i}"],"roles":["*"]}}"#));
            let containers = list(n, |i| {
                format!(r#"{{"name":"c{i}","env":[{{"name":"AWS_ROLE_ARN","value":"{ROLE}-{i}"}}]}}"#)
            });
            Pod { containers: Some(containers), ..Pod::default() }
                .create_with(&format!(
                    r#"{{"mode":"verify","onUnverified":"warn","allowedRoles":[{rules}]}}"#
                ))
                .cluster(&json!({}))
                .unchanged()
        },
    },
    Shape {
        name: "containers to be verified, and as many volumes",
        n: 500,
        input: |n| {
            let env = format!(
                r#"[{{"name":"AWS_ROLE_ARN","value":"{ROLE}"}},{{"name":"AWS_WEB_IDENTITY_TOKEN_FILE","value":"/var/run/secrets/eks.amazonaws.com/serviceaccount/token"}}]"#
            );
            let mount = |i| {
                format!(
                    r#"{{"name":"v{i}","mountPath":"/var/run/secrets/eks.amazonaws.com/serviceaccount"}}"#
                )
            };
            let containers =
                list(n, |i| format!(r#"{{"name":"c{i}","env":{env},"volumeMounts":[{}]}}"#, mount(i)));
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
        name: "required node selector terms",
        n: 10_000,
        input: |n| {
            let terms = list(n, |_| {
                r#"{"matchExpressions":[{"key":"kubernetes.io/os","operator":"In","values":["windows"]}]}"#
                    .to_owned()
            });
            let affinity = format!(
                r#""affinity":{{"nodeAffinity":{{"requiredDuringSchedulingIgnoredDuringExecution":{{"nodeSelectorTerms":[{terms}]}}}}}}"#
            );
            Pod { spec: affinity, ..Pod::default() }.create()
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
    Shape {
        name: "blanks",
        n: 500_000,
        input: |n| Pod { spec: format!("{}\"x\":1", " \n".repeat(n)), ..Pod::default() }.create(),
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
