//! Reads objects field by field, and reports what is wrong with the fields.

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::error::ReadError;
use crate::json::{Arena, Members, Name, Scanner, Value};
use crate::message::message;
use crate::names::Names;
use crate::url::{self, PlainHttp};
use crate::values::{self, Region, TokenExpiration};

use super::problem::{self, Place, Problems, expected};

/// An object that was passed over, and is read member by member.
pub(crate) struct Object<'a> {
    s: Scanner<'a>,
    members: Option<Members>,
    names: Vec<&'a str>,
}

impl<'a> Object<'a> {
    pub(crate) fn new(text: &'a str, arena: &'a Arena) -> Self {
        let mut s = Scanner::new(text, arena);
        let members = s.object(&[]);
        Self { s, members, names: Vec::new() }
    }

    /// The next member.
    pub(crate) fn next(&mut self) -> Option<(&'a str, Value<'a>)> {
        let name = self.members.as_mut()?.next_any(&mut self.s)?;
        self.names.push(name);
        Some((name, Value::read(&mut self.s)))
    }

    /// The next field that is known, by its place among those, and where it stands. The others are problems.
    pub(crate) fn next_known<'p>(
        &mut self,
        known: &'static [Name],
        outer: &'p Place<'p>,
        problems: &mut Problems,
    ) -> Option<(usize, Place<'p>, Value<'a>)> {
        loop {
            let (name, value) = self.next()?;
            if let Some(i) = place_among(known, name, outer, problems) {
                return Some((i, outer.member(known.get(i)?.text), value));
            }
        }
    }

    /// The names of all members.
    ///
    /// # Errors
    ///
    /// When the object cannot be read.
    pub(crate) fn names(self) -> Result<Vec<&'a str>, Box<ReadError>> {
        self.s.result(self.names)
    }

    /// Reports names that are there more than once, or that the object cannot be read.
    pub(crate) fn report(self, place: &Place<'_>, problems: &mut Problems) {
        match self.names() {
            Ok(names) => report_repeated(names, place, problems),
            Err(error) => problems.add(place, error.message()),
        }
    }
}

/// The place of a field among those that are known; another one is a problem.
pub(super) fn place_among(
    known: &[Name],
    name: &str,
    outer: &Place<'_>,
    problems: &mut Problems,
) -> Option<usize> {
    let found = known.iter().position(|field| field.text == name);
    if found.is_none() {
        problems.add(&outer.member(name), problem::unknown_field(name, known));
    }
    found
}

/// Reports names that are there more than once.
pub(super) fn report_repeated(names: Vec<&str>, place: &Place<'_>, problems: &mut Problems) {
    for name in repeated(names) {
        problems.add(&place.member(name), "stands there twice, expected once".to_owned());
    }
}

/// The names that are there more than once.
pub(crate) fn repeated(names: Vec<&str>) -> Vec<&str> {
    Names::new(names).repeated()
}

/// Takes a value, or reports what was expected. `null` and `""` mean the default.
pub(crate) struct Take<'t, 'p> {
    pub(crate) place: &'t Place<'p>,
    pub(crate) problems: &'t mut Problems,
}

impl Take<'_, '_> {
    fn wrong(&mut self, value: &Value<'_>, what: &str) {
        self.problems.add(self.place, expected(what, value));
    }

    /// Whether the second of two choices was made; the first is the default.
    pub(super) fn second(&mut self, value: Value<'_>, first: &str, second: &str) -> bool {
        match value {
            Value::String(text) if text == second => return true,
            Value::String(text) if text == first => {}
            value if is_default(&value) => {}
            value => self.wrong(&value, &message("`{=}` or `{=}`", &[first, second])),
        }
        false
    }

    pub(crate) fn optional_bool(&mut self, value: Value<'_>) -> Option<bool> {
        match value {
            Value::Bool(value) => Some(value),
            value => {
                if !is_default(&value) {
                    self.wrong(&value, "`true` or `false` without quotes");
                }
                None
            }
        }
    }

    pub(super) fn bool(&mut self, slot: &mut bool, value: Value<'_>) {
        if let Some(value) = self.optional_bool(value) {
            *slot = value;
        }
    }

    pub(crate) fn optional_text<'a>(
        &mut self,
        value: Value<'a>,
        valid: fn(&str) -> bool,
        what: &str,
    ) -> Option<&'a str> {
        if is_default(&value) {
            return None;
        }
        match value {
            Value::String(text) if valid(text) => Some(text),
            value => {
                self.wrong(&value, what);
                None
            }
        }
    }

    pub(super) fn text<'a>(
        &mut self,
        slot: &mut &'a str,
        value: Value<'a>,
        valid: fn(&str) -> bool,
        what: &str,
    ) {
        if let Some(text) = self.optional_text(value, valid, what) {
            *slot = text;
        }
    }

    pub(crate) fn object<'a>(&mut self, value: Value<'a>) -> Option<&'a str> {
        match value {
            Value::Object(text) => Some(text),
            value => {
                if !is_default(&value) {
                    self.wrong(&value, "an object");
                }
                None
            }
        }
    }

    pub(crate) fn array<'a>(&mut self, value: Value<'a>) -> Option<&'a str> {
        match value {
            Value::Array(text) => Some(text),
            value => {
                if !is_default(&value) {
                    self.wrong(&value, "a list");
                }
                None
            }
        }
    }

    pub(crate) fn expiration(&mut self, value: Value<'_>) -> Option<TokenExpiration> {
        if is_default(&value) {
            return None;
        }
        let text = match &value {
            Value::Number(text) => Some(*text),
            Value::String(text) => Some(*text),
            _ => None,
        };
        match text.and_then(TokenExpiration::clamped) {
            Some(found) if !found.clamped => Some(found.value),
            _ => {
                self.wrong(&value, "a whole number of seconds from 600 to 4294967296");
                None
            }
        }
    }

    pub(super) fn file_mode(&mut self, value: Value<'_>) -> Option<u16> {
        if is_default(&value) {
            return None;
        }
        match &value {
            Value::String(text) => match values::parse_file_mode(text) {
                Ok(mode) => return Some(mode),
                Err(what) => self.wrong(&value, what),
            },
            Value::Number(_) => self.wrong(
                &value,
                "an octal mode in quotes, such as `\"0440\"` (without them, YAML reads `0440` as 288)",
            ),
            _ => self.wrong(&value, "an octal mode as text, such as `\"0440\"`"),
        }
        None
    }

    pub(crate) fn region<'a>(&mut self, value: Value<'a>) -> Option<Region<'a>> {
        let text = self.optional_text(value, |text| Region::parse(text).is_some(), Region::EXPECTED)?;
        Region::parse(text)
    }

    pub(crate) fn endpoint<'a>(&mut self, value: Value<'a>, plain: PlainHttp) -> Option<&'a str> {
        let url = self.optional_text(value, |_| true, plain.expected())?;
        if url::is_endpoint(url, plain) {
            Some(url)
        } else {
            self.wrong(&Value::String(url), plain.expected());
            None
        }
    }
}

/// `null` and `""` mean the default, as if the field were absent.
pub(crate) fn is_default(value: &Value<'_>) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        _ => false,
    }
}
