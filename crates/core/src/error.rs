//! Why a document could not be read: where, and what was expected. Never holds the document itself.

use core::fmt;

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

/// A document could not be read.
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
    pub(crate) fn new(fault: Fault) -> Self {
        Self { fault, at: 0, path: Vec::new() }
    }
}

impl core::error::Error for ReadError {}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut written = false;
        for segment in &self.path {
            let opening = if written { "" } else { "`" };
            match segment {
                Segment::Member(name) => write!(f, "{opening}{}{name}", if written { "." } else { "" })?,
                Segment::Index(index) => write!(f, "{opening}[{index}]")?,
                Segment::Other => continue,
            }
            written = true;
        }
        if written {
            f.write_str("`: ")?;
        }
        match self.fault {
            Fault::Syntax { expected } => write!(f, "not JSON at byte {}: expected {expected}", self.at),
            Fault::TooDeep => {
                write!(f, "nested too deep at byte {}: expected at most {} levels", self.at, crate::MAX_DEPTH)
            }
            Fault::Type { expected, found } => write!(f, "expected {expected}, found {found}"),
            Fault::Duplicate => f.write_str("a key stands there twice, expected once"),
            Fault::TooMany { what, limit } => write!(f, "too many {what}: expected at most {limit}"),
            Fault::Missing { what } => write!(f, "expected {what}, found none"),
        }
    }
}
