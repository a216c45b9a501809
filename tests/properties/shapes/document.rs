//! What the document holds, whatever it says.

use super::{Pod, Shape, list};

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
        name: "blanks",
        n: 500_000,
        input: |n| Pod { spec: format!("{}\"x\":1", " \n".repeat(n)), ..Pod::default() }.create(),
    },
];
