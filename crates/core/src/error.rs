//! Why a document could not be read: where, and what was expected. Never holds the document itself.

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::message::{message, number};

/// One step of the way to a value.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Segment {
    /// A member of an object.
    Member(&'static str),
    /// An element of an array, counted from 0.
    Index(usize),
    /// Something that has no name here.
    Other,
}

/// What was wrong with a document.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fault {
    /// Not JSON ([RFC 8259](https://www.rfc-editor.org/rfc/rfc8259)) at this byte.
    Syntax {
        /// What was expected there.
        expected: &'static str,
    },
    /// Nested deeper than [`crate::MAX_DEPTH`].
    TooDeep,
    /// JSON, but not of this type.
    Type {
        /// What was expected, such as `an array`.
        expected: &'static str,
        /// What was found, such as `a string`.
        found: &'static str,
    },
    /// A key that is read stands there twice: readers disagree on which one counts.
    Duplicate,
    /// More of something than the bounds of this software allow.
    TooMany {
        /// What there is too much of.
        what: &'static str,
        /// How many are allowed.
        limit: usize,
    },
    /// Something that has to be there is not.
    Missing {
        /// What is missing.
        what: &'static str,
    },
}

/// A document could not be read. It is handed on in a box, so that what is read is not moved about with room for it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ReadError {
    /// What was wrong.
    pub fault: Fault,
    /// The byte at which it was noticed.
    pub at: usize,
    /// The way to it, outermost first.
    pub path: Vec<Segment>,
}

impl ReadError {
    #[cold]
    pub(crate) fn new(fault: Fault) -> Box<Self> {
        Box::new(Self { fault, at: 0, path: Vec::new() })
    }
}

impl ReadError {
    /// Where it was, and what was expected.
    #[must_use]
    pub fn message(&self) -> String {
        let mut out = String::new();
        for segment in &self.path {
            match segment {
                Segment::Member(name) => {
                    if !out.is_empty() {
                        out.push('.');
                    }
                    out.push_str(name);
                }
                Segment::Index(index) => out.push_str(&message("[{=}]", &[&number(*index as u64)])),
                Segment::Other => {}
            }
        }
        if !out.is_empty() {
            out = message("`{=}`: ", &[&out]);
        }
        let at = number(self.at as u64);
        out.push_str(&match self.fault {
            Fault::Syntax { expected } => message("not JSON at byte {=}: expected {=}", &[&at, expected]),
            Fault::TooDeep => {
                message("nested too deep: expected at most {=} levels", &[&number(crate::MAX_DEPTH as u64)])
            }
            Fault::Type { expected, found } => message("expected {=}, found {=}", &[expected, found]),
            Fault::Duplicate => "a key stands there twice, expected once".to_owned(),
            Fault::TooMany { what, limit } => {
                message("too many {=}: expected at most {=}", &[what, &number(limit as u64)])
            }
            Fault::Missing { what } => message("expected {=}, found none", &[what]),
        });
        out
    }
}

impl core::error::Error for ReadError {}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message())
    }
}
