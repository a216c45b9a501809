//! What is seen of a panic. In a process of its own, as the hook is for all of it.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that panics has failed, which is what it is for"
)]

use std::process::{self, Command};
use std::{env, panic};

use serde_json::Value;
use webhook::log::{self, Format};
use webhook::panic_hook;

/// Set in the process that panics.
const PANICS: &str = "WEBHOOK_TEST_PANICS";

#[test]
fn a_panic_shows_its_place_and_nothing_else() {
    if env::var_os(PANICS).is_some() {
        let flush = log::init(Format::Json, 0).unwrap();
        panic_hook::install(flush.clone());
        panic::catch_unwind(|| panic!("of {}", "a secret")).unwrap_err();
        // Without another look at what was logged.
        process::exit(0);
    }
    let mut itself = Command::new(env::current_exe().unwrap());
    itself.args(["--exact", "a_panic_shows_its_place_and_nothing_else", "--nocapture"]);
    let output = itself.env(PANICS, "1").env("RUST_BACKTRACE", "1").output().unwrap();
    let (shown, said) =
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(output.status.success(), "{shown}{said}");
    assert!(!said.contains("secret"), "{said}");
    let event: Value = serde_json::from_str(&said).unwrap();
    let place = event.get("place").and_then(Value::as_str).unwrap().rsplit_once(".rs:").unwrap();
    assert!(place.0.ends_with("tests/panic"), "{said}");
    assert_eq!(place.1.split(':').filter(|number| number.parse::<u32>().is_ok()).count(), 2, "{said}");
    assert_eq!(event.get("level"), Some(&"ERROR".into()));
    assert_eq!(event.get("message"), Some(&"something panicked, which is a bug of this software".into()));
    assert_eq!(event.as_object().unwrap().len(), 5, "{said}");
}
