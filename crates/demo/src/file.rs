//! Documents in files.

use std::{ffi::OsStr, fs, path::Path};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

/// Reads the one document of a file, JSON or YAML.
pub(crate) fn read(path: &Path) -> Result<Value> {
    convert(path, Ok)
}

/// Reads the one document of a file and makes something of it. Errors name the file.
pub(crate) fn convert<T>(path: &Path, make: impl FnOnce(Value) -> Result<T>) -> Result<T> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))?;
    let document = match path.extension().and_then(OsStr::to_str) {
        Some("json") => serde_json::from_str(&text).context("expected JSON"),
        _ => parse(&text),
    };
    document.and_then(make).with_context(|| format!("cannot use `{}`", path.display()))
}

/// Reads the one document of a text in YAML. Numbers that begin with a zero are octal, as they are for kubectl.
pub(crate) fn parse(text: &str) -> Result<Value> {
    let options = serde_saphyr::options! { legacy_octal_numbers: true };
    let mut documents: Vec<Value> =
        serde_saphyr::from_multiple_with_options(text, options).context("expected YAML")?;
    documents.retain(|document| !document.is_null());
    match documents.pop() {
        Some(document) if documents.is_empty() => Ok(document),
        Some(_) => bail!("expected one document, found {}", documents.len() + 1),
        None => bail!("expected a document, found nothing"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(text: &str, expect: Value) {
        let found = match parse(text) {
            Ok(document) => document,
            Err(error) => json!(error.to_string()),
        };
        assert_eq!(found, expect);
    }

    #[test]
    fn yaml_is_read_as_kubectl_reads_it() {
        check("mode: 0644", json!({"mode": 420}));
        check("mode: 0o644", json!({"mode": 420}));
        check("mode: '0644'", json!({"mode": "0644"}));
        check(
            "count: 10\nratio: 1.5\nnothing: ~\non: true",
            json!({"count": 10, "ratio": 1.5, "nothing": null, "on": true}),
        );
        check("a: &a {b: 1}\nc: *a", json!({"a": {"b": 1}, "c": {"b": 1}}));
    }

    #[test]
    fn there_is_one_document() {
        check("---\na: 1\n---\n", json!({"a": 1}));
        check("a: 1\n---\nb: 1\n", json!("expected one document, found 2"));
        check("# nothing\n", json!("expected a document, found nothing"));
        check("a: [", json!("expected YAML"));
    }
}
