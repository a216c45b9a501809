//! The fast reader and the plain one agree, whatever is read.
//!
//! The core takes a document without blanks sixteen bytes and more at a time, and any other byte by byte. A member that it
//! expects next it only finds where no blank is before it. So a document is read four times: as it is; with a blank
//! before it; with one behind each opening brace and comma; and as the second one of its arena, of which no outline is
//! kept. All that comes of it has to be the same, down to the byte at which an error was noticed.

use std::cell::Cell;
use std::path::Path;

use pod_identity_core::{Arena, ReadError, Review, Subject};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Value, json};

use crate::check;
use crate::decide::{Decided, Kind, decide_request};
use crate::generate::scenario;

/// Everything that comes of a document.
#[derive(Debug, PartialEq)]
struct Read {
    api_version: Option<String>,
    kind: Option<String>,
    request: Option<Request>,
    /// What is wrong with the settings in it.
    problems: Option<String>,
}

#[derive(Debug, PartialEq)]
struct Request {
    uid: String,
    namespace: String,
    subject: Subject,
    object: Option<String>,
    old_object: Option<String>,
    decided: Decided,
}

type HostCall<'h> = &'h dyn Fn(&str) -> Result<String, String>;

fn read(text: &str, settings: &str, host_call: HostCall<'_>, arena: &Arena) -> Result<Read, Box<ReadError>> {
    let review = Review::read(text, arena)?;
    Ok(Read {
        api_version: review.api_version.map(str::to_owned),
        kind: review.kind.map(str::to_owned),
        request: review.request.map(|request| Request {
            uid: request.uid.to_owned(),
            namespace: request.namespace.to_owned(),
            subject: request.subject,
            object: request.object.map(str::to_owned),
            old_object: request.old_object.map(str::to_owned),
            decided: decide_request(&request, settings, host_call, arena),
        }),
        problems: review.settings.map(|settings| settings.1.message()),
    })
}

impl Read {
    /// The same without blanks in its objects, which stay text, and without the bytes at which these are wrong.
    fn without_blanks(mut self) -> Self {
        if let Some(request) = &mut self.request {
            let mut changed = None;
            match &mut request.decided.outcome {
                Kind::Changed(change) => changed = Some(&mut change.object),
                Kind::Refused { message, .. } => *message = without_bytes(message),
                _ => {}
            }
            for object in [&mut request.object, &mut request.old_object].into_iter().flatten().chain(changed)
            {
                let inside = in_strings(object);
                let kept = object.char_indices().filter(|(at, char)| inside[*at] || *char != ' ');
                *object = kept.map(|(_, char)| char).collect();
            }
        }
        self.problems = self.problems.as_deref().map(without_bytes);
        self
    }
}

/// A message without the numbers of bytes.
fn without_bytes(message: &str) -> String {
    const AT: &str = " at byte ";
    let mut parts = message.split(AT);
    let first = parts.next().map(str::to_owned).into_iter();
    let rest = parts.map(|part| AT.to_owned() + part.trim_start_matches(|char: char| char.is_ascii_digit()));
    first.chain(rest).collect()
}

/// Whether each byte of a text stands in a string, quotes counted in.
fn in_strings(text: &str) -> Vec<bool> {
    let (mut inside, mut escaped) = (false, false);
    let bytes = text.bytes().map(|byte| {
        let was_inside = inside;
        inside ^= byte == b'"' && !escaped;
        escaped = was_inside && byte == b'\\' && !escaped;
        was_inside || inside
    });
    bytes.collect()
}

/// The text with a blank behind each opening brace and comma, and where these blanks are.
fn spaced(text: &str) -> (String, Vec<usize>) {
    let (mut spaced, mut blanks) = (String::new(), Vec::new());
    let inside = in_strings(text);
    for (at, char) in text.char_indices() {
        spaced.push(char);
        if !inside[at] && matches!(char, '{' | ',') {
            blanks.push(spaced.len());
            spaced.push(' ');
        }
    }
    (spaced, blanks)
}

/// Reads in all four ways. Gives whether the document can be read.
#[track_caller]
fn agree(text: &str, settings: &str, host_call: HostCall<'_>) -> bool {
    let fast = read(text, settings, host_call, &Arena::default());

    let arena = Arena::default();
    // It has to be one of which there is an outline.
    Review::read(r#"{"kind":"AdmissionReview"}"#, &arena).unwrap();
    assert_eq!(fast, read(text, settings, host_call, &arena), "as a second document: {text}");

    let plain = read(&format!(" {text}"), settings, host_call, &Arena::default());
    let plain = plain.map_err(|error| Box::new(ReadError { at: error.at - 1, ..*error }));
    assert_eq!(fast, plain, "with a blank before it: {text}");

    let (spaced, blanks) = spaced(text);
    let spaced = read(&spaced, settings, host_call, &Arena::default()).map(Read::without_blanks);
    let spaced = spaced.map_err(|error| {
        let before = blanks.partition_point(|blank| *blank < error.at);
        Box::new(ReadError { at: error.at - before, ..*error })
    });
    let is_read = fast.is_ok();
    assert!(!is_read || !blanks.is_empty(), "there is no blank to be read: {text}");
    assert_eq!(fast.map(Read::without_blanks), spaced, "with blanks before its members: {text}");
    is_read
}

/// What is done to a document. Places are chosen among the bytes that matter more often than among all.
#[derive(Clone, Debug)]
enum Mutation {
    Flip(Place, u8),
    Delete(Place, usize),
    Insert(Place, &'static str),
    /// A member, so that the document stays well-formed.
    Member(Index, String),
    Truncate(Place),
    /// Some bytes once more, elsewhere.
    Copy(Place, usize, Place),
}

#[derive(Clone, Debug)]
struct Place {
    among_all: bool,
    index: Index,
}

const MATTERING: &[u8] = b"{}[],:\"\\";

/// Brackets, quotes, escapes, control characters, numbers in odd forms.
#[rustfmt::skip]
const FRAGMENTS: &[&str] = &[
    "{", "}", "[", "]", ",", ":", "\"", "\\", "\\\"", "\\\\", "{}", "[]", "[{}]", "\"\"", "\"a\":", "{]", "[}", "},{", "\",\"",
    "\\u0041", "\\u00g0", "\\u12", "\\x", "\\ud800", "\\udc00", "\\ud83d\\ude00", "\\udc00\\ud800", "\\/", "\\n", "\\u0000",
    "\0", "\u{1}", "\u{1f}", "\u{7f}", "\t", "\n", " ", "\r\n", "\u{a0}", "\u{feff}", "\u{2028}", "é", "\u{1f600}",
    "0", "-", "-0", "01", "1.", ".5", "+1", "1e", "1e+", "1E400", "1.5e-7", "0x1", "NaN", "Infinity", "1_0",
    "true", "tru", "False", "null", "nulll", "//", "/**/", "'", "#",
];

#[rustfmt::skip]
const MEMBERS: &[&str] = &[
    "\"a\":1", "\"\":{}", "\"name\":\"x\"", "\"name\":null", "\"spec\":{}", "\"metadata\":[]", "\"request\":{}", "\"uid\":\"1\"",
    "\"object\":null", "\"n\\u0061me\":\"x\"", "\"env\":[{\"name\":\"AWS_REGION\"}]", "\"t\":\"\\ud800\"", "\"t\":\"\\ud83d\\ude00\\\\\\\"\"",
    "\"n\":[-0,1.5E+3,0.0e0,1e400]", "\"e\":[[],{},[{}],[[]],\"\"]", "\"volumes\":[{\"name\":\"aws-iam-token\"}]",
];

fn place() -> impl Strategy<Value = Place> {
    (prop::bool::weighted(0.3), any::<Index>()).prop_map(|(among_all, index)| Place { among_all, index })
}

fn mutation() -> impl Strategy<Value = Mutation> {
    // Around the depth that is read, and around blocks' ends.
    let deep = (40_usize..80, prop::bool::ANY, 0_usize..80).prop_map(|(depth, object, padding)| {
        let (open, close) = if object { ("{\"a\":", "}") } else { ("[", "]") };
        format!("\"{}\":{}1{}", "p".repeat(padding), open.repeat(depth), close.repeat(depth))
    });
    let member = prop_oneof![3 => select(MEMBERS).prop_map(str::to_owned), 1 => deep];
    prop_oneof![
        2 => (place(), 0_u8..8).prop_map(|(at, bit)| Mutation::Flip(at, bit)),
        2 => (place(), 1_usize..4).prop_map(|(at, length)| Mutation::Delete(at, length)),
        4 => (place(), select(FRAGMENTS)).prop_map(|(at, fragment)| Mutation::Insert(at, fragment)),
        4 => (any::<Index>(), member).prop_map(|(at, member)| Mutation::Member(at, member)),
        1 => place().prop_map(Mutation::Truncate),
        1 => (place(), 1_usize..80, place()).prop_map(|(from, length, to)| Mutation::Copy(from, length, to)),
    ]
}

impl Place {
    fn of(&self, text: &[u8]) -> usize {
        let mattering: Vec<usize> =
            (0..text.len()).filter(|at| self.among_all || MATTERING.contains(&text[*at])).collect();
        if mattering.is_empty() { 0 } else { mattering[self.index.index(mattering.len())] }
    }
}

fn mutate(text: &mut Vec<u8>, mutation: &Mutation) {
    if text.is_empty() {
        return;
    }
    match mutation {
        Mutation::Flip(at, bit) => {
            let at = at.of(text);
            text[at] ^= 1 << bit;
        }
        Mutation::Delete(at, length) => {
            let at = at.of(text);
            text.drain(at..(at + length).min(text.len()));
        }
        Mutation::Insert(at, fragment) => {
            let at = at.of(text);
            text.splice(at..at, fragment.bytes());
        }
        Mutation::Member(index, member) => {
            let objects: Vec<usize> = (0..text.len()).filter(|at| text[*at] == b'{').collect();
            if !objects.is_empty() {
                let at = objects[index.index(objects.len())] + 1;
                let comma = if text.get(at) == Some(&b'}') { "" } else { "," };
                text.splice(at..at, format!("{member}{comma}").into_bytes());
            }
        }
        Mutation::Truncate(at) => text.truncate(at.of(text)),
        Mutation::Copy(from, length, to) => {
            let from = from.of(text);
            let part = text[from..(from + length).min(text.len())].to_vec();
            let to = to.of(text);
            text.splice(to..to, part);
        }
    }
}

fn mutated(text: &str, mutations: &[Mutation]) -> String {
    let mut bytes = text.as_bytes().to_vec();
    mutations.iter().for_each(|mutation| mutate(&mut bytes, mutation));
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Of those that were tried, how many could be read and how many could not.
#[derive(Default)]
struct Seen {
    read: Cell<u32>,
    refused: Cell<u32>,
}

impl Seen {
    fn count(&self, is_read: bool) {
        let count = if is_read { &self.read } else { &self.refused };
        count.set(count.get() + 1);
    }

    #[track_caller]
    fn both(&self) {
        let (read, refused) = (self.read.get(), self.refused.get());
        assert!(read > 20 && refused > 20, "{read} documents were read and {refused} were not");
    }
}

const SETTINGS: &str = r#"{"mapping":{"pay/*":"arn:aws:iam::111122223333:role/pay"},"roleSessionName":"pod","region":"eu-west-1"}"#;

fn nothing_there(request: &str) -> Result<String, String> {
    Err(format!("Cannot find {request}"))
}

#[test]
fn generated_reviews() {
    let seen = Seen::default();
    check((scenario(), vec(vec(mutation(), 0..4), 4)), |(scenario, mutants)| {
        let settings = scenario.settings.to_string();
        for object in [scenario.object(), scenario.pod.to_string()] {
            for mutations in &mutants {
                let text = mutated(&scenario.payload(&object), mutations);
                seen.count(agree(&text, &settings, &|request| scenario.host_call(request)));
            }
        }
    });
    seen.both();
}

#[test]
fn recorded_reviews() {
    let reviews = recorded();
    let readable = reviews.iter().filter(|review| agree(review, SETTINGS, &nothing_there)).count();
    assert!(readable > 500, "{readable} of {} can be read", reviews.len());
    let seen = Seen::default();
    check((any::<Index>(), vec(vec(mutation(), 1..4), 8)), |(review, mutants)| {
        for mutations in &mutants {
            let text = mutated(&reviews[review.index(reviews.len())], mutations);
            seen.count(agree(&text, SETTINGS, &nothing_there));
        }
    });
    seen.both();
}

/// Each byte of a small review away, and another in its place, so that every one stands at the end of a block once.
#[test]
fn every_byte_of_a_review() {
    let review = json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": {
        "uid": "é\u{1f600}", "operation": "CREATE", "namespace": "pay", "dryRun": false,
        "resource": {"group": "", "version": "v1", "resource": "pods"},
        "object": {"metadata": {"labels": {}, "annotations": {"a": "b\\\"\n{[,:]}"}}, "spec": {
            "serviceAccountName": "api", "priority": -1.5e3, "containers": [{"name": "app", "env": [], "stdin": true}], "x": [[null], 0],
        }},
    }});
    let text = review.to_string();
    assert!(agree(&text, SETTINGS, &nothing_there));
    let seen = Seen::default();
    for at in 0..text.len() {
        let try_bytes = |bytes: Vec<u8>| {
            seen.count(agree(&String::from_utf8_lossy(&bytes), SETTINGS, &nothing_there));
        };
        let bytes = text.as_bytes();
        try_bytes(bytes[..at].to_vec());
        try_bytes([&bytes[..at], &bytes[at + 1..]].concat());
        for byte in [b'"', b'\\', b'}', b'[', b',', b'0', b' ', 1] {
            try_bytes([&bytes[..at], &[byte], &bytes[at + 1..]].concat());
        }
    }
    seen.both();
}

/// The reviews of 4 KB and 20 KB, and the corpus', without blanks, as the API server sends them.
fn recorded() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata");
    let sizes = ["4kb", "20kb"].map(|size| root.join(format!("reviews/pod-{size}.json")));
    let sizes = sizes.map(|path| std::fs::read_to_string(path).unwrap());
    let cases = corpus::cases(&root.join("cases")).unwrap();
    let of_cases = cases.iter().filter_map(|case| case.review.as_ref()).map(Value::to_string);
    sizes.into_iter().chain(of_cases).collect()
}
