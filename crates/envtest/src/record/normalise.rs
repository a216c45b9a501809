//! Replaces what differs from one recording to the next.

use std::fmt::Write;

use aws_lc_rs::digest::{SHA256, digest};

use crate::json::Text;

/// Stands for each time at which the API server did something.
const TIME: &str = "2026-01-15T09:30:00Z";
/// Stands for the first resource version; the next is one more.
const FIRST_RESOURCE_VERSION: usize = 1001;
/// What names that the API server generates end in, and how long the ending is.
const SUFFIX_ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
const SUFFIX_LENGTH: usize = 5;
const TOKEN_VOLUME_PREFIX: &str = "kube-api-access-";

/// Replaces, by values that depend on the case's name only: the review's uid, the uids, resource versions and
/// times that the API server gave to the object and the old object, and the random endings of generated names and of
/// `kube-api-access-` volumes. What stands in `input` is left as it is.
pub fn normalise(review: &mut Text, case: &str, input: &str) {
    if let Some(Text::String(uid)) = review.at_mut(&["request", "uid"]) {
        *uid = uuid(case, "review");
    }
    let mut replacements = Replacements { case, input, pairs: Vec::new() };
    let mut resource_versions = Vec::new();
    for side in ["object", "oldObject"] {
        let Some(object) = review.at(&["request", side]) else { continue };
        if let Some(uid) = object.at(&["metadata", "uid"]).and_then(Text::as_str) {
            replacements.uid(uid);
        }
        let metadata = |key| object.at(&["metadata", key]).and_then(Text::as_str);
        if let (Some(prefix), Some(name)) = (metadata("generateName"), metadata("name")) {
            replacements.generated(prefix, name);
        }
        for volume in object.at(&["spec", "volumes"]).into_iter().flat_map(Text::elements) {
            if let Some(name) = volume.get("name").and_then(Text::as_str) {
                replacements.generated(TOKEN_VOLUME_PREFIX, name);
            }
        }
    }
    let pairs = replacements.pairs;
    review.for_each_string(&mut |text| {
        for (random, fixed) in &pairs {
            if text.contains(random.as_str()) {
                *text = text.replace(random.as_str(), fixed);
            }
        }
    });
    // The old object first: its version is the older.
    for side in ["oldObject", "object"] {
        let Some(object) = review.at_mut(&["request", side]) else { continue };
        if let Some(Text::String(version)) = object.at_mut(&["metadata", "resourceVersion"]) {
            if !resource_versions.contains(version) {
                resource_versions.push(version.clone());
            }
            let index = resource_versions.iter().position(|known| known == version).unwrap_or_default();
            *version = (FIRST_RESOURCE_VERSION + index).to_string();
        }
        if let Some(metadata) = object.get_mut("metadata") {
            fix_times(metadata);
        }
        if let Some(status) = object.get_mut("status") {
            fix_times(status);
        }
    }
}

struct Replacements<'a> {
    case: &'a str,
    input: &'a str,
    pairs: Vec<(String, String)>,
}

impl Replacements<'_> {
    fn uid(&mut self, uid: &str) {
        let what = format!("object {}", self.pairs.len());
        self.add(uid, uuid(self.case, &what));
    }

    fn generated(&mut self, prefix: &str, name: &str) {
        let ending = name.strip_prefix(prefix).map(str::as_bytes).unwrap_or_default();
        if ending.len() == SUFFIX_LENGTH && ending.iter().all(|byte| SUFFIX_ALPHABET.contains(byte)) {
            let fixed = format!("{prefix}{}", suffix(self.case, prefix));
            self.add(name, fixed);
        }
    }

    fn add(&mut self, random: &str, fixed: String) {
        let known = self.pairs.iter().any(|(known, _)| known == random);
        if !known && !random.is_empty() && !self.input.contains(random) {
            self.pairs.push((random.to_owned(), fixed));
        }
    }
}

/// Every string member whose key says that it is a time.
fn fix_times(value: &mut Text) {
    match value {
        Text::Object(members) => {
            for (key, member) in members {
                match member {
                    Text::String(time) if is_time(key) => TIME.clone_into(time),
                    // Annotations and labels are the author's.
                    _ if key == "annotations" || key == "labels" => {}
                    _ => fix_times(member),
                }
            }
        }
        Text::Array(elements) => elements.iter_mut().for_each(fix_times),
        Text::String(_) | Text::Literal(_) => {}
    }
}

fn is_time(key: &str) -> bool {
    key == "time" || key.ends_with("Time") || key.ends_with("Timestamp")
}

/// A UUID that is made from names, in the form of version 5.
fn uuid(case: &str, what: &str) -> String {
    let mut hex = String::new();
    for (index, byte) in hash(case, what).into_iter().take(16).enumerate() {
        let byte = match index {
            6 => byte & 0x0f | 0x50,
            8 => byte & 0x3f | 0x80,
            _ => byte,
        };
        if matches!(index, 4 | 6 | 8 | 10) {
            hex.push('-');
        }
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}

fn suffix(case: &str, what: &str) -> String {
    let letter = |byte: u8| SUFFIX_ALPHABET.get(usize::from(byte) % SUFFIX_ALPHABET.len());
    hash(case, what)
        .into_iter()
        .take(SUFFIX_LENGTH)
        .filter_map(letter)
        .map(|&letter| char::from(letter))
        .collect()
}

fn hash(case: &str, what: &str) -> Vec<u8> {
    digest(&SHA256, format!("{case}\n{what}").as_bytes()).as_ref().to_vec()
}

#[cfg(test)]
mod tests {
    use super::normalise;
    use crate::json::Text;

    fn recording(uid: &str, version: u32, time: &str, suffix: &str) -> String {
        format!(
            r#"{{"request":{{"uid":"{uid}","object":{{"metadata":{{"name":"web-{suffix}","generateName":"web-",
            "uid":"{uid}1","resourceVersion":"{version}","creationTimestamp":"{time}",
            "annotations":{{"time":"{time}","pod":"web-{suffix}"}},"labels":{{"lastTime":"noon"}},
            "ownerReferences":[{{"uid":"6a1f"}}],
            "managedFields":[{{"time":"{time}","fieldsV1":{{"f:k:{{\"name\":\"kube-api-access-{suffix}\"}}":{{}}}}}}]}},
            "spec":{{"volumes":[{{"name":"kube-api-access-{suffix}"}},{{"name":"kube-api-access-own22"}}],
            "containers":[{{"volumeMounts":[{{"name":"kube-api-access-{suffix}"}}],"env":[{{"value":"{version}"}}]}}]}},
            "status":{{"conditions":[{{"lastTransitionTime":"{time}"}}],"startTime":null}}}},
            "oldObject":{{"metadata":{{"uid":"{uid}1","resourceVersion":"{version}"}}}}}}}}"#
        )
    }

    fn normalised(source: &str, case: &str) -> Text {
        let mut review = Text::parse(source).unwrap();
        normalise(&mut review, case, "volumes: [{name: kube-api-access-own22}], env: [{value: 17}]");
        review
    }

    #[test]
    fn two_recordings_are_the_same() {
        let one = normalised(&recording("aaaa", 17, "2026-11-21T14:00:00Z", "b2c4d"), "case");
        let two = normalised(&recording("bbbb", 17, "2027-01-01T00:00:00Z", "zzzzz"), "case");
        let expected_times = ["2026-11-21T14:00:00Z", "2027-01-01T00:00:00Z"];
        let (mut one, mut two) = (one.pretty(), two.pretty());
        // Annotations are the author's own: only they keep their times.
        for (text, time) in [(&mut one, expected_times[0]), (&mut two, expected_times[1])] {
            assert_eq!(text.matches(time).count(), 1, "{text}");
            *text = text.replace(time, "");
        }
        assert_eq!(one, two);
        assert_ne!(one, normalised(&recording("aaaa", 17, "", "b2c4d"), "other").pretty());
    }

    #[test]
    fn replaces_consistently_and_nothing_else() {
        let review = normalised(&recording("aaaa", 17, "2026-11-21T14:00:00Z", "b2c4d"), "case");
        let text = |path: &[&str]| review.at(path).and_then(Text::as_str).unwrap().to_owned();
        let object = review.at(&["request", "object"]).unwrap();
        let name = text(&["request", "object", "metadata", "name"]);
        assert!(name.starts_with("web-") && name != "web-b2c4d", "{name}");
        assert_eq!(text(&["request", "object", "metadata", "annotations", "pod"]), name);
        assert_eq!(
            text(&["request", "object", "metadata", "uid"]),
            text(&["request", "oldObject", "metadata", "uid"])
        );
        assert_eq!(text(&["request", "object", "metadata", "resourceVersion"]), "1001");
        assert_eq!(text(&["request", "object", "metadata", "labels", "lastTime"]), "noon");
        let compact = object.compact();
        assert!(!compact.contains("kube-api-access-b2c4d"), "{compact}");
        assert!(compact.contains(r#""kube-api-access-own22""#) && compact.contains(r#"{"value":"17"}"#));
        assert!(
            compact.contains(r#"{"uid":"6a1f"}"#) && compact.contains(r#""startTime":null"#),
            "{compact}"
        );
        let uid = text(&["request", "uid"]);
        assert_eq!((uid.len(), uid.as_bytes()[14], uid.matches('-').count()), (36, b'5', 4), "{uid}");
    }
}
