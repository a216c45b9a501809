//! Settings.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::{Pod, ROLE, Shape, containers, list, settings, validate};

pub(super) const SHAPES: &[Shape] = &[
    Shape {
        name: "a huge expiration in the settings",
        n: 500_000,
        input: |n| settings(format!(r#"{{"tokenExpiration":{}}}"#, "9".repeat(n)), false),
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
        name: "roles for containers in a mapping entry",
        n: 5_000,
        input: |n| {
            let roles = list(n, |i| format!(r#""c{i}":"{ROLE}""#));
            Pod { containers: Some(containers(4)), ..Pod::default() }.create_with(&format!(r#"{{"serviceAccountAnnotations":false,"mapping":{{"pay/api":{{"containers":{{{roles}}}}}}}}}"#))
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
];
