//! An index of a mapping answers as the text that it was made of.

use pod_identity_core::mapping::{Index, MAX_ENTRIES, Mapping};
use pod_identity_core::{
    Admission, Arena, ConfigMap, Decision, Facts, Found, Lookup, Problems, Review, Settings,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::check;

const REQUEST: &str = r#"{"request":{"uid":"1","operation":"CREATE","namespace":"pay","resource":{"group":"","version":"v1","resource":"pods"},"object":{"apiVersion":"v1","kind":"Pod","metadata":{"name":"api-0"},"spec":{"serviceAccountName":"api","containers":[{"name":"app"},{"name":"side"}]}}}}"#;

const SETTINGS: &str = r#"{"serviceAccountAnnotations":false,"mappingConfigMap":{"namespace":"eks"},"variables":{"account":"111122223333"},"allowedAudiences":["sts.amazonaws.com"]}"#;

/// As they are written: the pod's own, others, globs, names that nothing has, with and without escapes.
const NAMESPACES: &[&str] =
    &["pay", "pay", "*", "p*", "?ay", "pay2", "other", "PAY", "pa y", "p\\u0061y", "p*********y", "é", ""];
const NAMES: &[&str] = &[
    "api",
    "api",
    "*",
    "a*",
    "ap?",
    "api2",
    "other",
    "API",
    "api ",
    "\\u0061pi",
    "api/x",
    "\\ud83d\\ude00",
    "",
];

/// `%` stands for a number, so that it is seen which entry was taken.
const VALUES: &[&str] = &[
    r#""arn:aws:iam::111122223333:role/r%""#,
    r#""arn:aws:iam::111122223333:role/r%""#,
    r#""arn:aws:iam::{account}:role/{namespace}-%""#,
    r#""{nobody}%""#,
    r#""not a role %""#,
    r#""""#,
    r#""\ud800""#,
    "null",
    "%",
    "[%]",
    "{}",
    r#"{"roleArn":"arn:aws:iam::111122223333:role/r%","tokenExpiration":"%"}"#,
    r#"{"roleArn":"arn:aws:iam::111122223333:role/r%","audience":"a%"}"#,
    r#"{"roleArn":"a","RoleARN":"b","x%":1}"#,
    r#"{"containers":{"app":"arn:aws:iam::111122223333:role/r%"},"x%":{}}"#,
    r#"{"roleArn":%}"#,
];

/// Mostly objects; some are not JSON, or end early.
fn document() -> impl Strategy<Value = String> {
    let key = (select(NAMESPACES), prop::bool::weighted(0.95), select(NAMES));
    let key = key.prop_map(
        |(namespace, slash, name)| {
            if slash { format!("{namespace}/{name}") } else { format!("{namespace}{name}") }
        },
    );
    let entries = vec((key, select(VALUES)), 0..12);
    let colon = select(vec![":", ":", " : "]);
    let damage =
        prop::option::weighted(0.3, (any::<prop::sample::Index>(), select(vec!["", "\"", "}", "\\", "x"])));
    (entries, colon, damage).prop_map(|(entries, colon, damage)| {
        let entries: Vec<String> = entries
            .iter()
            .enumerate()
            .map(|(i, (key, value))| format!("\"{key}\"{colon}{}", value.replace('%', &i.to_string())))
            .collect();
        let mut text = format!("{{{}}}", entries.join(","));
        if let Some((at, with)) = damage {
            let at = (0..=at.index(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap();
            if with.is_empty() { text.truncate(at) } else { text.insert_str(at, with) }
        }
        text
    })
}

/// Calls back with the decision.
fn decide(
    mapping: Option<Mapping<'_>>,
    config_map: Option<Mapping<'_>>,
    on_decision: &mut dyn FnMut(&Decision<'_>),
) {
    let arena = Arena::default();
    let request = Review::read(REQUEST, &arena).unwrap().request.unwrap();
    let (settings, problems) = Settings::read(SETTINGS, &arena);
    assert_eq!(problems, Problems::default());
    let settings = Settings { mapping, ..settings };
    let admission = Admission::new(&request, &settings, &problems);
    let mut facts = Facts::default();
    while let Some(lookup) = admission.next_lookup(&facts) {
        assert!(matches!(lookup, Lookup::ConfigMap { .. }));
        facts.config_map =
            Some(config_map.map_or(Found::NotThere, |mapping| Found::There(ConfigMap::from(mapping))));
    }
    on_decision(&admission.decide(&facts));
}

fn assert_same(document: &str) {
    let index = Index::new(document);
    assert_eq!(index.text(), document);
    for (text, index) in [
        ((Some(Mapping::Text(document)), None), (Some(Mapping::Index(&index)), None)),
        ((None, Some(Mapping::Text(document))), (None, Some(Mapping::Index(&index)))),
    ] {
        decide(text.0, text.1, &mut |expected| {
            decide(index.0, index.1, &mut |found| assert_eq!(found, expected, "{document}"));
        });
    }
}

#[test]
fn an_index_answers_as_its_text() {
    check(document(), |document| assert_same(&document));
}

#[test]
fn an_index_of_too_much_answers_as_its_text() {
    let entries: Vec<String> = (0..=MAX_ENTRIES).map(|i| format!("\"n{i}/a\":\"\"")).collect();
    let own = "\"pay/api\":\"arn:aws:iam::111122223333:role/api\"";
    for document in [
        format!("{{{own},{}}}", entries[2..].join(",")),
        format!("{{{own},{}}}", entries[1..].join(",")),
        format!("{{{own},{}}}", entries.join(",")),
        format!("{{{own},{},\"*/api*\":7,{own}}}", entries[2..].join(",")),
        format!("{{\"pay/api/\":7,{},\"*/api*\":7,{own}}}", entries[1..].join(",")),
        format!("{{{own},{},x}}", entries.join(",")),
    ] {
        assert_same(&document);
    }
}

#[test]
fn an_index_is_shared_between_threads() {
    fn is_shared<T: Send + Sync + 'static>() {}
    is_shared::<Index<'static>>();
}
