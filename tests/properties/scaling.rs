//! Work grows with the size of what arrives, whatever its shape: twice as much costs at most 2.2 times as much.
//!
//! Counted in fuel, which is the same on every machine and in every run.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use policy_host::{Options, PolicyHost};
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::load;

mod shapes;

use shapes::{Shape, shapes};

/// What `fuel(2n) / fuel(n)` may be at most. Sorting is allowed its logarithm.
const MOST: f64 = 2.2;

fn host() -> &'static PolicyHost {
    static HOST: OnceLock<PolicyHost> = OnceLock::new();
    HOST.get_or_init(|| {
        load(Options { count_fuel: true, deadline: Duration::from_secs(120), ..Options::default() })
    })
}

/// What is read of an answer. The object is not, for it may hold numbers that no type holds.
#[derive(Deserialize)]
struct Answer {
    accepted: Option<bool>,
    valid: Option<bool>,
    mutated_object: Option<IgnoredAny>,
}

struct Cost {
    fuel: u64,
    time: Duration,
    payload: usize,
}

fn cost(shape: &Shape, n: usize) -> Cost {
    let input = (shape.input)(n);
    let start = Instant::now();
    let answer = host().call(input.operation, input.payload.as_bytes(), &input.cluster).unwrap();
    let time = start.elapsed();
    let text = answer
        .outcome
        .unwrap_or_else(|failure| panic!("{}, n = {n}: {failure}\n{}", shape.name, answer.output));
    let shown = String::from_utf8_lossy(text.get(..400).unwrap_or(&text));
    let answer_read: Answer = serde_json::from_slice(&text).unwrap();
    let accepted = answer_read.accepted.or(answer_read.valid);
    assert_eq!(accepted, Some(input.accepted), "{}, n = {n}: {shown}", shape.name);
    assert_eq!(answer_read.mutated_object.is_some(), input.changed, "{}, n = {n}: {shown}", shape.name);
    Cost { fuel: answer.fuel.unwrap(), time, payload: input.payload.len() }
}

/// What is bounded may be quadratic, and no more.
const MOST_IF_BOUNDED: f64 = 4.2;

/// What is not linear, and what bounds it.
const BOUNDED: &[(&str, &str)] = &[
    ("entries with an audience each, and as many allowed ones", "settings, when they are validated"),
    ("variables, and a template that names them all", "settings"),
    ("variables, and as many templates", "settings, when they are validated"),
    ("rules for roles, and a role of its own for each container", "settings times at most 1,000 containers"),
    (
        "rules for roles, and containers that bring roles to be verified",
        "settings times at most 1,000 containers",
    ),
    ("containers to be verified, and as many volumes", "at most 1,000 containers"),
];

#[test]
fn twice_as_much_costs_twice_as_much() {
    let only = std::env::var("SHAPES").unwrap_or_default();
    let mut steep = Vec::new();
    let bounded = |name: &str| BOUNDED.iter().any(|(bounded, _)| *bounded == name);
    for (name, bound) in BOUNDED {
        println!("not linear: {name}: {bound}");
    }
    for shape in shapes().filter(|shape| shape.name.contains(&only)) {
        let most = if bounded(shape.name) { MOST_IF_BOUNDED } else { MOST };
        let (once, twice) = (cost(shape, shape.n), cost(shape, 2 * shape.n));
        let ratio = twice.fuel as f64 / once.fuel as f64;
        let line = format!(
            "{ratio:.2} {}: {} bytes, {:.1} million fuel, {:?} at twice {}",
            shape.name,
            twice.payload,
            twice.fuel as f64 / 1e6,
            twice.time,
            shape.n
        );
        println!("{line}");
        if ratio > most {
            steep.push(line);
        }
    }
    assert!(
        steep.is_empty(),
        "these cost more than {MOST} times as much for twice as much ({MOST_IF_BOUNDED} where bounded):\n{}",
        steep.join("\n")
    );
}
