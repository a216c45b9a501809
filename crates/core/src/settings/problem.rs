//! What is wrong with settings, and where.

use core::fmt;

use crate::account::Escaped;
use crate::json::Value;

/// One thing that is wrong.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Problem {
    /// Where, such as `mapping["pay/api"].roleArn`; empty for the whole document.
    pub path: String,
    /// What, with what was expected.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() { f.write_str(&self.message) } else { write!(f, "{}: {}", self.path, self.message) }
    }
}

/// All that is wrong.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    #[cold]
    pub(crate) fn add(&mut self, place: &Place<'_>, message: String) {
        let mut path = String::new();
        place.write(&mut path);
        self.0.push(Problem { path, message });
    }

    /// None was found.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many were found.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// One after the other, in the order in which they stand in the document.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("; ")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

/// Where in a document something stands.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place<'p> {
    Root,
    Member(&'p Place<'p>, &'p str),
    Index(&'p Place<'p>, usize),
}

impl<'p> Place<'p> {
    pub(crate) fn member(&'p self, name: &'p str) -> Self {
        Place::Member(self, name)
    }

    pub(crate) fn index(&'p self, index: usize) -> Self {
        Place::Index(self, index)
    }

    fn write(&self, out: &mut String) {
        match self {
            Place::Root => {}
            Place::Member(outer, name) => {
                outer.write(out);
                if name.starts_with(|c: char| c.is_ascii_alphabetic())
                    && name.bytes().all(|b| b.is_ascii_alphanumeric())
                {
                    if !out.is_empty() {
                        out.push('.');
                    }
                    out.push_str(name);
                } else {
                    out.push_str("[\"");
                    out.push_str(&Escaped(name).to_string());
                    out.push_str("\"]");
                }
            }
            Place::Index(outer, index) => {
                outer.write(out);
                out.push_str(&format!("[{index}]"));
            }
        }
    }
}

/// That something else was expected. Composite values are named by their kind only.
#[cold]
pub(crate) fn expected(what: &str, value: &Value<'_>) -> String {
    match value {
        Value::String(text) => format!("expected {what}, found `{}`", Escaped(text)),
        Value::Number(text) => format!("expected {what}, found the number `{}`", Escaped(text)),
        Value::Bool(value) => format!("expected {what}, found `{value}`"),
        value => format!("expected {what}, found {}", value.kind().name()),
    }
}

/// That a field is not known, with the one that was probably meant.
#[cold]
pub(super) fn unknown_field(name: &str, known: &[&str]) -> String {
    let plain = |name: &str| -> String {
        name.chars().filter(|c| !matches!(c, '_' | '-')).map(|c| c.to_ascii_lowercase()).collect()
    };
    let meant = known
        .iter()
        .map(|candidate| (strsim::levenshtein(&plain(name), &plain(candidate)), candidate))
        .min()
        .filter(|(distance, candidate)| name.len() <= 64 && *distance <= 1 + candidate.len() / 5);
    match meant {
        Some((_, candidate)) => format!("unknown field, did you mean `{candidate}`?"),
        None => {
            let mut text = "unknown field, expected one of".to_owned();
            for (i, name) in known.iter().enumerate() {
                text.push_str(if i == 0 { " `" } else { ", `" });
                text.push_str(name);
                text.push('`');
            }
            text
        }
    }
}
