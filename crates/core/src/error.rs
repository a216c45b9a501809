//! Why a document could not be read: where, and what was expected. Never holds the document itself.

use core::fmt;

/// One step of the way to a value, outermost first when printed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Segment {
    /// A member of an object.
    Member(&'static str),
    /// An element of an array, counted from 0.
    Index(usize),
}

/// What was wrong with a document.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fault {
    /// Not JSON ([RFC 8259](https://www.rfc-editor.org/rfc/rfc8259)) at this byte.
    Syntax {
        /// What was expected there.
        expected: &'static str,
    },
    /// Nested deeper than [`crate::json::MAX_DEPTH`].
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
pub struct ReadError(Box<Inner>);

#[derive(Clone, Debug, Eq, PartialEq)]
struct Inner {
    fault: Fault,
    /// Byte in the text that was being read.
    at: usize,
    /// Innermost first: segments are added while the error travels outwards.
    path: Vec<Segment>,
}

impl ReadError {
    #[cold]
    pub(crate) fn new(fault: Fault, at: usize) -> Self {
        Self(Box::new(Inner { fault, at, path: Vec::new() }))
    }

    /// What was wrong.
    #[must_use]
    pub fn fault(&self) -> Fault {
        self.0.fault
    }

    #[cold]
    fn inside(mut self, segment: Segment) -> Self {
        self.0.path.push(segment);
        self
    }
}

impl core::error::Error for ReadError {}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.0.path.is_empty() {
            f.write_str("`")?;
            for (i, segment) in self.0.path.iter().rev().enumerate() {
                match segment {
                    Segment::Member(name) if i == 0 => f.write_str(name)?,
                    Segment::Member(name) => write!(f, ".{name}")?,
                    Segment::Index(index) => write!(f, "[{index}]")?,
                }
            }
            f.write_str("`: ")?;
        }
        match self.0.fault {
            Fault::Syntax { expected } => write!(f, "not JSON at byte {}: expected {expected}", self.0.at),
            Fault::TooDeep => write!(
                f,
                "nested too deep at byte {}: expected at most {} levels",
                self.0.at,
                crate::json::MAX_DEPTH
            ),
            Fault::Type { expected, found } => write!(f, "expected {expected}, found {found}"),
            Fault::Duplicate => f.write_str("the key stands there twice, expected once"),
            Fault::TooMany { what, limit } => write!(f, "too many {what}: expected at most {limit}"),
            Fault::Missing { what } => write!(f, "expected {what}, found none"),
        }
    }
}

/// Says where an error happened.
pub(crate) trait Inside<T> {
    /// The error happened in this member.
    fn inside(self, name: &'static str) -> Result<T, ReadError>;
    /// The error happened in this element.
    fn inside_index(self, index: usize) -> Result<T, ReadError>;
}

impl<T> Inside<T> for Result<T, ReadError> {
    fn inside(self, name: &'static str) -> Self {
        self.map_err(|error| error.inside(Segment::Member(name)))
    }

    fn inside_index(self, index: usize) -> Self {
        self.map_err(|error| error.inside(Segment::Index(index)))
    }
}
