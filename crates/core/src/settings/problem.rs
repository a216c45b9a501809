//! What is wrong with settings, and where.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;

use crate::json::{Name, Value};
use crate::message::{escape_into, message, number};

/// One thing that is wrong.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Problem {
    /// Where, such as `mapping["pay/api"].roleArn`; empty for the whole document.
    pub path: String,
    /// What, with what was expected.
    pub message: String,
}

impl Problem {
    /// Where and what.
    #[must_use]
    pub fn message(&self) -> String {
        if self.path.is_empty() {
            self.message.clone()
        } else {
            message("{=}: {=}", &[&self.path, &self.message])
        }
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

    /// All of them in one text.
    #[must_use]
    pub fn message(&self) -> String {
        let mut out = String::new();
        for problem in self.iter() {
            if !out.is_empty() {
                out.push_str("; ");
            }
            out.push_str(&problem.message());
        }
        out
    }

    /// One after the other: the scalar settings first, then the large ones, each in the order of the document.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter()
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
                if name.bytes().next().is_some_and(|b| b.is_ascii_alphabetic())
                    && name.bytes().all(|b| b.is_ascii_alphanumeric())
                {
                    if !out.is_empty() {
                        out.push('.');
                    }
                    out.push_str(name);
                } else {
                    out.push_str("[\"");
                    escape_into(out, name, 200);
                    out.push_str("\"]");
                }
            }
            Place::Index(outer, index) => {
                outer.write(out);
                out.push_str(&message("[{=}]", &[&number(*index as u64)]));
            }
        }
    }
}

/// That something else was expected. Composite values are named by their kind only.
#[cold]
pub(crate) fn expected(what: &str, value: &Value<'_>) -> String {
    match value {
        Value::String(text) => message("expected {=}, found `{}`", &[what, text]),
        Value::Number(text) => message("expected {=}, found the number `{}`", &[what, text]),
        Value::Bool(value) => {
            message("expected {=}, found `{=}`", &[what, if *value { "true" } else { "false" }])
        }
        value => message("expected {=}, found {=}", &[what, value.kind().name()]),
    }
}

/// That a field is not known, with the one that was probably meant.
#[cold]
pub(super) fn unknown_field(name: &str, known: &[Name]) -> String {
    let mut meant = None;
    // A longer one is meant for none of them, and to find that out would take long.
    if name.len() <= 64 {
        let name = plain(name);
        for candidate in known.iter().map(|field| field.text) {
            let found = (distance(&name, &plain(candidate)), candidate);
            if meant.is_none_or(|best| found < best) {
                meant = Some(found);
            }
        }
    }
    match meant {
        Some((distance, candidate)) if distance <= 1 + candidate.len() / 5 => {
            message("unknown field, did you mean `{=}`?", &[candidate])
        }
        _ => "unknown field".to_owned(),
    }
}

/// A name in lower case, without what stands between words.
fn plain(name: &str) -> Vec<u8> {
    let mut plain = Vec::new();
    for b in name.bytes() {
        if !matches!(b, b'_' | b'-') {
            plain.push(b.to_ascii_lowercase());
        }
    }
    plain
}

/// How many bytes to add, leave out or replace (Levenshtein's distance), of short texts.
fn distance(from: &[u8], to: &[u8]) -> usize {
    // The distances of what was read of `from` to all beginnings of `to`.
    let mut row = Vec::new();
    for i in 0..=to.len() {
        row.push(i);
    }
    for (i, a) in from.iter().enumerate() {
        let (mut diagonal, mut left) = (i, i + 1);
        for (b, cell) in to.iter().zip(row.iter_mut().skip(1)) {
            left = (diagonal + usize::from(a != b)).min(left + 1).min(*cell + 1);
            diagonal = core::mem::replace(cell, left);
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}
