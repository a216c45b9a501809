use super::*;

/// Scalars, and what kubectl makes of them as JSON (recorded from sigs.k8s.io/yaml v1.6.0; empty where it refuses
/// them).
const SCALARS: &[(&str, &str)] = &[
    ("0", "0"),
    ("00", "0"),
    ("1", "1"),
    ("+1", "1"),
    ("-1", "-1"),
    ("-0", "0"),
    ("0644", "420"),
    ("0o644", "420"),
    ("0O644", "420"),
    ("0x1F", "31"),
    ("0X1F", "31"),
    ("0b11", "3"),
    ("1_000", "1000"),
    ("_1", r#""_1""#),
    ("1_", "1"),
    ("1__0", "10"),
    ("08", "8"),
    ("0_7", "7"),
    ("012345678901", "12345678901"),
    ("000000000123", "83"),
    ("18446744073709551615", "18446744073709551615"),
    ("18446744073709551616", "18446744073709552000"),
    ("-9223372036854775808", "-9223372036854775808"),
    ("-9223372036854775809", "-9223372036854776000"),
    ("1e3", "1000"),
    ("1E3", "1000"),
    ("1.0", "1"),
    ("1.5", "1.5"),
    (".5", "0.5"),
    ("1.", "1"),
    ("-.5", "-0.5"),
    ("+.5", "0.5"),
    ("1e999", r#""1e999""#),
    (".inf", ""),
    ("-.Inf", ""),
    (".nan", ""),
    (".NaN", ""),
    ("NaN", r#""NaN""#),
    ("inf", r#""inf""#),
    ("true", "true"),
    ("True", "true"),
    ("TRUE", "true"),
    ("tRue", r#""tRue""#),
    ("false", "false"),
    ("False", "false"),
    ("FALSE", "false"),
    ("yes", "true"),
    ("Yes", "true"),
    ("YES", "true"),
    ("yEs", r#""yEs""#),
    ("no", "false"),
    ("No", "false"),
    ("NO", "false"),
    ("on", "true"),
    ("On", "true"),
    ("ON", "true"),
    ("oN", r#""oN""#),
    ("off", "false"),
    ("Off", "false"),
    ("OFF", "false"),
    ("y", "true"),
    ("Y", "true"),
    ("n", "false"),
    ("N", "false"),
    ("~", "null"),
    ("null", "null"),
    ("Null", "null"),
    ("NULL", "null"),
    ("nUll", r#""nUll""#),
    ("'yes'", r#""yes""#),
    (r#""0644""#, r#""0644""#),
    ("1:30", r#""1:30""#),
    ("190:20:30", r#""190:20:30""#),
    ("2001-01-01", r#""2001-01-01""#),
    ("2001-01-01T00:00:00Z", r#""2001-01-01T00:00:00Z""#),
    ("0.1.2", r#""0.1.2""#),
    ("1,000", r#""1,000""#),
    ("0x", r#""0x""#),
    ("0xg", r#""0xg""#),
    ("1e", r#""1e""#),
    ("123456789012", "123456789012"),
    ("!!str 2", r#""2""#),
    ("!!int '3'", "3"),
    ("!!binary aGk=", r#""hi""#),
    ("!!float 1", "1"),
    ("=", r#""=""#),
    ("<<", r#""<<""#),
    ("none", r#""none""#),
];

#[test]
fn scalars_are_read_as_kubectl_reads_them() {
    let ours = [
        // Changed in silence there; refused here.
        ("08", ""),
        ("012345678901", ""),
        ("18446744073709551616", ""),
        ("-9223372036854775809", ""),
        // The YAML reader's own ways, none of which makes a wrong setting a right one.
        ("1_", "\"1_\""),
        ("1__0", "\"1__0\""),
        ("1e999", ""),
        ("!!float 1", ""),
    ];
    for (scalar, kubectl) in SCALARS {
        let expected =
            ours.iter().find(|(ours, _)| ours == scalar).map_or(*kubectl, |(_, expected)| expected);
        let found = match Document::read(format!("a: {scalar}\n").as_bytes()) {
            Ok(document) => document.json().unwrap(),
            Err(_) => String::new(),
        };
        let expected = if expected.is_empty() { String::new() } else { format!("{{\"a\":{expected}}}") };
        assert_eq!(found, expected, "{scalar}");
    }
}

#[track_caller]
fn check(text: &str, expected: &str) {
    let found = match Document::read(text.as_bytes()) {
        Ok(document) => document.json().unwrap(),
        Err(error) => format!("{} {}", error.position.unwrap(), error.message),
    };
    assert_eq!(found, expected, "{text}");
}

#[test]
fn documents() {
    for nothing in ["", "# nothing\n", "---\n", "null", "~"] {
        check(nothing, "null");
    }
    check("{\n\t\"a\": [1,\n\t\"\\ud83d\\ude00\\/\"]\n}", "{\"a\":[1,\"\u{1f600}/\"]}");
    check("\u{feff}a: |\n  x\n  y\n", r#"{"a":"x\ny\n"}"#);
    check("x: &x {b: 1, c: 2}\nm: {<<: *x, b: 3}", r#"{"x":{"b":1,"c":2},"m":{"b":3,"c":2}}"#);
    check("a: 1\nb: 2\na: 3", r#"{"a":1,"b":2,"a":3}"#);
    check("true: 1\n1: 2", r#"{"true":1,"1":2}"#);
}

#[test]
fn errors_have_a_position() {
    check("a: 1\n---\nb: 2", "3:1 expected one document, found another after it");
    check("a: [", "1:4 unclosed bracket '['");
    check("a: 1\nb: c: d", "2:5 mapping values are not allowed in this context");
    check("a: *b", "1:4 reference to unknown value");
    check(
        "a:\n  - 18446744073709551616",
        "2:5 the number `18446744073709551616` cannot be held as it is: expected quotes around it",
    );
    check(
        "accountId: 012345678901",
        "1:12 the number `012345678901` cannot be held as it is: expected quotes around it",
    );
    assert_eq!(
        Document::read(b"a: \xff"),
        Err(DocumentError { position: None, message: "expected UTF-8, which byte 4 is not".to_owned() })
    );
}

#[test]
fn aliases_and_depth_are_bounded() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for i in 1..9 {
        bomb += &format!("a{i}: &a{i} [{}]\n", vec![format!("*a{}", i - 1); 10].join(", "));
    }
    assert!(Document::read(bomb.as_bytes()).is_err());
    let deep = |n: usize| Document::read(format!("{}{}", "[".repeat(n), "]".repeat(n)).as_bytes());
    assert!(deep(16).is_ok());
    for n in [17, 64, 65, 100_000] {
        assert!(deep(n).is_err(), "{n}");
    }
    assert!(Document::read("- ".repeat(100_000).as_bytes()).is_err());
}

/// More than the YAML reader takes when nothing is said.
#[test]
fn a_large_mapping_is_read() {
    let mut text = "mapping:\n".to_owned();
    for i in 0..65_000 {
        text += &format!("  ns/sa-{i}: {{roleArn: 'arn:aws:iam::111122223333:role/{i}'}}\n");
    }
    assert!(Document::read(text.as_bytes()).is_ok());
}

#[test]
fn positions_are_known_by_paths() {
    let document = Document::read(b"a:\n  b c: 1\n  d: [x,\n    {e: 2}]\n").unwrap();
    let mut found: Vec<(String, String)> =
        document.positions().into_iter().map(|(path, position)| (path, position.to_string())).collect();
    found.sort();
    let expected = [
        ("", "1:1"),
        ("a", "1:1"),
        ("a.d", "3:3"),
        ("a.d[0]", "3:7"),
        ("a.d[1]", "4:5"),
        ("a.d[1].e", "4:6"),
        ("a[\"b c\"]", "2:3"),
    ];
    assert_eq!(found, expected.map(|(path, position)| (path.to_owned(), position.to_owned())));
}

#[test]
fn values_are_put_at_paths() {
    #[track_caller]
    fn check(text: &str, path: &[&str], expected: &str) {
        let mut document = Document::read(text.as_bytes()).unwrap();
        document.set(path, Value::Bool(true));
        assert_eq!(document.json().unwrap(), expected);
    }
    check("", &["a"], r#"{"a":true}"#);
    check("a: 1\nb: 2", &["a"], r#"{"a":true,"b":2}"#);
    check("a: ''", &["a", "b"], r#"{"a":{"b":true}}"#);
    check("a: {c: 1}", &["a", "b"], r#"{"a":{"c":1,"b":true}}"#);
    check("a: 5", &["a", "b"], r#"{"a":5}"#);
    check("[]", &["a"], "[]");
}

proptest::proptest! {
    /// What is read is written as JSON that holds the same.
    #[test]
    fn no_text_makes_it_panic(text in "([a-c:{}\\[\\],&*!|>'\"#\\-? \n0-9.~<]|yes|null|\\PC){0,40}") {
        if let Ok(document) = Document::read(text.as_bytes()) {
            let json = document.json().unwrap();
            let again = Document::read(json.as_bytes()).unwrap();
            proptest::prop_assert_eq!(again.json().unwrap(), json);
            document.positions();
        }
    }
}
