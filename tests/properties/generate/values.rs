//! JSON of which generated objects consist.

use proptest::collection::vec;
use proptest::option::weighted;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value};

use super::SECRET;

/// An object with some of its members, and some that nobody knows.
pub(super) fn object(members: Vec<(&'static str, f64, BoxedStrategy<Value>)>) -> BoxedStrategy<Value> {
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

pub(super) fn one_of(values: &[Value]) -> BoxedStrategy<Value> {
    select(values.to_vec()).boxed()
}

pub(super) fn texts(values: &'static [&'static str]) -> BoxedStrategy<Value> {
    select(values).prop_map(Value::from).boxed()
}

/// A list, empty and `null` ones included.
pub(super) fn list(element: BoxedStrategy<Value>, most: usize) -> BoxedStrategy<Value> {
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
pub(super) fn weird() -> BoxedStrategy<Value> {
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
pub(super) fn or_weird(good: BoxedStrategy<Value>) -> BoxedStrategy<Value> {
    prop_oneof![6 => good, 1 => weird()].boxed()
}

/// An object of known members only.
pub(super) fn select_object(members: Vec<(&'static str, f64, BoxedStrategy<Value>)>) -> BoxedStrategy<Value> {
    let members: Vec<_> =
        members.into_iter().map(|(name, often, value)| member(name, often, value)).collect();
    members.prop_map(|members| Value::Object(members.into_iter().flatten().collect())).boxed()
}

/// Values of labels and annotations are texts.
pub(super) fn only_texts(mut value: Value) -> Value {
    if let Some(members) = value.as_object_mut() {
        members.retain(|_, value| value.is_string());
    }
    value
}
