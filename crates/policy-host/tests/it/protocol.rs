//! The protocol, settings, deadlines, fuel.

use std::{collections::BTreeSet, time::Duration};

use policy_host::{Cluster, GuestFailure, Options, PolicyHost, ResourceKind};
use serde_json::{Value, json};

use crate::guest::{Guest, request};

const ECHO: &str = "
    (call $guest_request (i32.const 65000) (i32.const 65536))
    (call $answer (i32.const 65536) (local.get $length))
    i32.const 1";

#[track_caller]
fn check_call(guest: &Guest, expected: Result<&str, GuestFailure>) {
    let answer = guest.load().call("validate", b"payload", &Cluster::default()).unwrap();
    assert_eq!(answer.outcome, expected.map(|text| text.as_bytes().to_vec()));
}

fn reported(text: &str) -> Result<&str, GuestFailure> {
    Err(GuestFailure::Reported(text.to_owned()))
}

#[test]
fn the_payload_reaches_the_guest_as_it_is() {
    let host = Guest::new(ECHO).load();
    for payload in [&b""[..], b"{", b"\xff\x00\xfe"] {
        let answer = host.call("validate", payload, &Cluster::default()).unwrap();
        assert_eq!(
            (answer.outcome, answer.host_calls, answer.memory),
            (Ok(payload.to_vec()), vec![], 3 * 65536)
        );
    }
}

#[test]
fn the_operation_reaches_the_guest_as_it_is() {
    let body = "
        (call $guest_request (i32.const 65000) (i32.const 65536))
        (call $answer (i32.const 65000) (local.get $operation_length))
        i32.const 1";
    check_call(&Guest::new(body), Ok("validate"));
}

#[test]
fn validate_gets_a_compact_envelope_with_sorted_keys() {
    let host = Guest::new(ECHO).load();
    let policy = host.with_settings(json!({"z": 1, "a": [true, null]})).unwrap();
    let evaluation = policy.validate(&request(&json!({"z": 1, "a": {}})), &Cluster::default()).unwrap();
    let expected = concat!(
        r#"{"request":{"kind":{"group":"","kind":"Pod","version":"v1"},"object":{"a":{},"z":1},"#,
        r#""operation":"CREATE","resource":{"group":"","resource":"pods","version":"v1"},"#,
        r#""uid":"u-1","userInfo":{"username":"admin"}},"settings":{"a":[true,null],"z":1}}"#
    );
    assert_eq!(evaluation.guest.outcome, Ok(expected.as_bytes().to_vec()));
}

#[test]
fn a_guest_can_fail_in_its_own_words() {
    let guest = Guest {
        texts: vec!["no such thing".to_owned()],
        ..Guest::new("(call $fail (call $text (i32.const 0))) i32.const 0")
    };
    check_call(&guest, reported("no such thing"));
}

#[test]
fn a_guest_can_forget_to_say_anything() {
    check_call(&Guest::new("i32.const 0"), reported("No error message set for call failure"));
    check_call(&Guest::new("i32.const 1"), reported("No error message OR response set for call success"));
}

#[test]
fn a_failing_status_wins_over_an_answer() {
    let guest = Guest {
        texts: vec!["{}".to_owned()],
        ..Guest::new("(call $answer (call $text (i32.const 0))) i32.const 0")
    };
    check_call(&guest, reported("No error message set for call failure"));
}

#[track_caller]
fn check_trap(body: &'static str, expected: &str) {
    let answer = Guest::new(body).load().call("validate", b"payload", &Cluster::default()).unwrap();
    match answer.outcome {
        Err(GuestFailure::Trapped { reason, .. }) => assert_eq!(reason, expected),
        outcome => panic!("expected a trap, found {outcome:?}"),
    }
}

#[test]
fn traps_are_told_with_their_reason() {
    check_trap("unreachable", "wasm trap: wasm `unreachable` instruction executed");
    check_trap(
        "(call $answer (i32.const -1) (i32.const 2)) i32.const 1",
        "expected 2 bytes at -1 to lie inside of the guest's memory",
    );
    check_trap(
        "(call $guest_request (i32.const 0) (i32.const 196605)) i32.const 1",
        "expected room for 7 bytes at 196605 in the guest's memory",
    );
}

#[test]
fn an_endless_guest_is_stopped() {
    let options = Options { deadline: Duration::from_millis(40), ..Options::default() };
    let endless = Guest::new("(loop $again (br $again)) unreachable").load_with(options.clone()).unwrap();
    let answer = endless.call("validate", b"payload", &Cluster::default()).unwrap();
    assert_eq!(answer.outcome, Err(GuestFailure::DeadlineExceeded));

    let endless_start = Guest {
        fields: "(func (export \"wapc_init\") (loop $again (br $again)))",
        ..Guest::answering_text("{}")
    };
    let answer =
        endless_start.load_with(options).unwrap().call("validate", b"", &Cluster::default()).unwrap();
    assert_eq!(answer.outcome, Err(GuestFailure::DeadlineExceeded));
}

#[test]
fn a_guest_that_cannot_start_is_an_error() {
    let guest =
        Guest { fields: "(func (export \"wapc_init\") (unreachable))", ..Guest::answering_text("{}") };
    let host = guest.load();
    match host.call("validate", b"", &Cluster::default()) {
        Err(policy_host::Error::Initialization { function, .. }) => assert_eq!(function, "wapc_init"),
        result => panic!("expected an error, found {result:?}"),
    }
}

#[test]
fn every_call_gets_a_new_instance() {
    let guest = Guest {
        fields: "(global $count (mut i32) (i32.const 48))",
        ..Guest::new(
            "(global.set $count (i32.add (global.get $count) (i32.const 1)))
             (i32.store8 (i32.const 0) (global.get $count))
             (call $answer (i32.const 0) (i32.const 1))
             i32.const 1",
        )
    };
    let host = guest.load();
    for _ in 0..2 {
        let answer = host.call("validate", b"", &Cluster::default()).unwrap();
        assert_eq!(answer.outcome, Ok(b"1".to_vec()));
    }
}

#[test]
fn initializers_run_first() {
    let guest = Guest {
        fields: "(global $state (mut i32) (i32.const 48))
                 (func (export \"wapc_init\") (global.set $state (i32.add (global.get $state) (i32.const 1))))
                 (func (export \"_start\") (global.set $state (i32.const 52)))",
        ..Guest::new(
            "(i32.store8 (i32.const 0) (global.get $state))
             (call $answer (i32.const 0) (i32.const 1))
             i32.const 1",
        )
    };
    check_call(&guest, Ok("5"));
}

#[test]
fn output_is_kept() {
    let guest = Guest {
        texts: vec!["logged".to_owned(), "printed\n".to_owned()],
        ..Guest::new(
            "(call $console_log (call $text (i32.const 0)))
             (i32.store (i32.const 0) (i32.const 1536))
             (i32.store (i32.const 4) (i32.const 8))
             (drop (call $fd_write (i32.const 2) (i32.const 0) (i32.const 1) (i32.const 512)))
             (call $answer (call $text (i32.const 0)))
             i32.const 1",
        )
    };
    let answer = guest.load().call("validate", b"", &Cluster::default()).unwrap();
    assert_eq!(answer.output, "printed\nlogged\n");
}

/// Loops as often as a random number says.
const RANDOM_WORK: &str = "
    (drop (call $random_get (i32.const 0) (i32.const 1)))
    (global.set $left (i32.add (i32.load8_u (i32.const 0)) (local.get $length)))
    (loop $again
        (global.set $left (i32.sub (global.get $left) (i32.const 1)))
        (br_if $again (i32.gt_s (global.get $left) (i32.const 0))))
    (call $answer (i32.const 8) (i32.const 4))
    i32.const 1";

#[test]
fn fuel_is_the_same_in_every_run() {
    let guest = Guest { fields: "(global $left (mut i32) (i32.const 0))", ..Guest::new(RANDOM_WORK) };
    let options = Options { count_fuel: true, ..Options::default() };
    let fuel = |payload: &[u8]| {
        let host = guest.load_with(options.clone()).unwrap();
        host.call("validate", payload, &Cluster::default()).unwrap().fuel.unwrap()
    };
    assert_eq!(fuel(b"payload"), fuel(b"payload"));
    assert!(fuel(b"payload") < fuel(b"a longer payload"));
}

#[test]
fn fuel_is_not_counted_unless_asked_for() {
    let answer = Guest::answering_text("{}").load().call("validate", b"", &Cluster::default()).unwrap();
    assert_eq!(answer.fuel, None);
}

#[test]
fn the_protocol_version_is_asked_for() {
    assert_eq!(Guest::answering_text("{}").load().protocol_version().unwrap(), "v1");
}

#[test]
fn refused_settings_have_a_message() {
    let guest = Guest {
        settings_answer: r#"{"valid":false,"message":"`a` is missing"}"#,
        ..Guest::answering_text("{}")
    };
    let host = guest.load();
    let error = host.with_settings(json!({})).err().unwrap();
    assert_eq!(error.to_string(), "policy settings are invalid: `a` is missing");
    host.with_unchecked_settings(json!({})).unwrap();
}

#[track_caller]
fn check_settings_message(settings_answer: &'static str, expected: (bool, Option<&str>)) {
    let host = Guest { settings_answer, ..Guest::answering_text("{}") }.load();
    let answer = host.validate_settings(&json!({})).unwrap();
    assert_eq!((answer.valid, answer.message.as_deref()), expected);
}

#[test]
fn answers_about_settings_are_read_as_by_policy_server() {
    check_settings_message(r#"{"valid":true,"message":null}"#, (true, None));
    check_settings_message(r#"{"valid":false}"#, (false, None));
    check_settings_message(
        "{}",
        (
            false,
            Some("error: InvalidResponseWithError(Error(\"missing field `valid`\", line: 1, column: 2))"),
        ),
    );
}

#[test]
fn settings_are_an_object_or_null() {
    let host = Guest::answering_text("{}").load();
    host.with_settings(Value::Null).unwrap();
    let error = host.with_settings(json!([])).err().unwrap();
    assert_eq!(error.to_string(), "cannot use the settings: expected a JSON object or null, found an array");
}

#[test]
fn the_metadata_are_read() {
    let host =
        Guest { metadata: Some(r#"{"mutating": true}"#.to_owned()), ..Guest::answering_text("{}") }.load();
    let metadata = host.metadata().unwrap();
    assert_eq!(metadata.bytes, br#"{"mutating": true}"#);
    assert_eq!(metadata.json, json!({"mutating": true}));
    assert_eq!(metadata.context_aware_resources().unwrap(), BTreeSet::new());

    let host = Guest::calling("", "", "", "").load();
    assert_eq!(
        host.metadata().unwrap().context_aware_resources().unwrap(),
        BTreeSet::from([ResourceKind::new("v1", "ConfigMap"), ResourceKind::new("v1", "Namespace")])
    );
    assert_eq!(Guest::answering_text("{}").load().metadata(), None);
}

#[test]
fn other_modules_are_refused() {
    let error = |wasm: &[u8]| PolicyHost::load(wasm, Options::default()).err().unwrap().to_string();
    assert_eq!(
        error(&wat::parse_str("(module)").unwrap()),
        "not a waPC policy: expected an exported function `__guest_call`"
    );
    let with_metadata = Guest { metadata: Some("{".to_owned()), ..Guest::answering_text("{}") };
    assert_eq!(
        error(&with_metadata.wasm()),
        "cannot read the custom section `io.kubewarden.metadata`: EOF while parsing an object at line 1 column 1"
    );
}
