//! Reads JSON without a tree: one pass over borrowed text, with the offsets that lossless edits need.
//!
//! Everything that is skipped is checked all the same, so that what is handed on is JSON. Nothing recurses,
//! and no input costs more than linear time.

use std::borrow::Cow;

use crate::error::{Fault, Inside, ReadError};

mod text;
pub use text::write_string;

/// Levels of arrays and objects, counted from the root of a document, that are read.
///
/// Kubernetes objects need about fifteen; the bound keeps what hands the document on (and recurses) safe.
pub const MAX_DEPTH: usize = 64;

/// What kind of value comes next.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    Object,
    Array,
    String,
    Number,
    Bool,
    Null,
}

impl Kind {
    /// With its article, for messages.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Object => "an object",
            Self::Array => "an array",
            Self::String => "a string",
            Self::Number => "a number",
            Self::Bool => "a boolean",
            Self::Null => "null",
        }
    }
}

/// A reading position in a JSON text.
#[derive(Clone, Debug)]
pub(crate) struct Scanner<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl<'a> Scanner<'a> {
    /// At the start of a text.
    #[must_use]
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, at: 0, depth: 0 }
    }

    /// The byte at which reading goes on.
    pub(crate) fn position(&self) -> usize {
        self.at
    }

    /// Checks that nothing but blanks follows.
    ///
    /// # Errors
    ///
    /// When something follows.
    pub(crate) fn finish(mut self) -> Result<(), ReadError> {
        if self.peek().is_some() { Err(self.syntax("the end of the document")) } else { Ok(()) }
    }

    #[cold]
    fn syntax(&self, expected: &'static str) -> ReadError {
        ReadError::new(Fault::Syntax { expected }, self.at)
    }

    /// A value of another type than expected stands here.
    #[cold]
    pub(crate) fn unexpected(&mut self, expected: &'static str) -> ReadError {
        match self.kind() {
            Ok(kind) => ReadError::new(Fault::Type { expected, found: kind.name() }, self.at),
            Err(error) => error,
        }
    }

    #[inline]
    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// The next byte that is not blank.
    #[inline]
    fn peek(&mut self) -> Option<u8> {
        loop {
            match self.byte() {
                Some(b' ' | b'\n' | b'\r' | b'\t') => self.at += 1,
                other => return other,
            }
        }
    }

    #[inline]
    fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// What kind of value comes next.
    pub(crate) fn kind(&mut self) -> Result<Kind, ReadError> {
        Ok(match self.peek() {
            Some(b'{') => Kind::Object,
            Some(b'[') => Kind::Array,
            Some(b'"') => Kind::String,
            Some(b'-' | b'0'..=b'9') => Kind::Number,
            Some(b't' | b'f') => Kind::Bool,
            Some(b'n') => Kind::Null,
            _ => return Err(self.syntax("a value")),
        })
    }

    fn descend(&mut self) -> Result<(), ReadError> {
        if self.depth >= MAX_DEPTH {
            return Err(ReadError::new(Fault::TooDeep, self.at));
        }
        self.at += 1;
        self.depth += 1;
        Ok(())
    }

    fn ascend(&mut self) {
        self.at += 1;
        self.depth -= 1;
    }

    /// Takes `null`, if that is what comes next.
    pub(crate) fn null(&mut self) -> Result<bool, ReadError> {
        if self.peek() != Some(b'n') {
            return Ok(false);
        }
        self.literal("null")?;
        Ok(true)
    }

    fn literal(&mut self, literal: &'static str) -> Result<(), ReadError> {
        if self.text.as_bytes().get(self.at..).is_some_and(|rest| rest.starts_with(literal.as_bytes())) {
            self.at += literal.len();
            Ok(())
        } else {
            Err(self.syntax("a value"))
        }
    }

    /// A string, with its escapes resolved.
    pub(crate) fn string(&mut self) -> Result<Cow<'a, str>, ReadError> {
        if self.peek() != Some(b'"') {
            return Err(self.unexpected("a string"));
        }
        let start = self.at + 1;
        let escaped = self.skip_string()?;
        let raw = self.text.get(start..self.at - 1).unwrap_or_default();
        if escaped {
            text::unescape(raw)
                .map(Cow::Owned)
                .ok_or_else(|| ReadError::new(Fault::Syntax { expected: "paired surrogates" }, start))
        } else {
            Ok(Cow::Borrowed(raw))
        }
    }

    /// A string that may be `null`, which counts as absent.
    pub(crate) fn optional_string(&mut self) -> Result<Option<Cow<'a, str>>, ReadError> {
        if self.null()? { Ok(None) } else { self.string().map(Some) }
    }

    /// Skips a string from its opening quote; says whether it holds escapes.
    fn skip_string(&mut self) -> Result<bool, ReadError> {
        self.at += 1;
        let mut escaped = false;
        loop {
            let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
            self.at += text::plain_length(rest);
            match self.byte() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(escaped);
                }
                Some(b'\\') => {
                    escaped = true;
                    self.at += match self.text.as_bytes().get(self.at + 1) {
                        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => 2,
                        Some(b'u')
                            if self
                                .text
                                .as_bytes()
                                .get(self.at + 2..self.at + 6)
                                .is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit)) =>
                        {
                            6
                        }
                        _ => return Err(self.syntax("an escape sequence")),
                    };
                }
                Some(_) => return Err(self.syntax("no control character in a string")),
                None => return Err(self.syntax("the closing quote of a string")),
            }
        }
    }

    fn digits(&mut self) -> Result<(), ReadError> {
        let start = self.at;
        while matches!(self.byte(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at == start { Err(self.syntax("a digit")) } else { Ok(()) }
    }

    fn skip_number(&mut self) -> Result<(), ReadError> {
        self.at += usize::from(self.byte() == Some(b'-'));
        if self.byte() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.byte() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.byte(), Some(b'e' | b'E')) {
            self.at += 1;
            self.at += usize::from(matches!(self.byte(), Some(b'+' | b'-')));
            self.digits()?;
        }
        Ok(())
    }

    fn skip_key(&mut self) -> Result<(), ReadError> {
        if self.peek() != Some(b'"') {
            return Err(self.syntax("a key"));
        }
        self.skip_string()?;
        if self.eat(b':') { Ok(()) } else { Err(self.syntax("`:`")) }
    }

    /// Skips a value, checking it, and gives its text.
    ///
    /// # Errors
    ///
    /// When it is not JSON, or nested too deep.
    pub(crate) fn skip(&mut self) -> Result<&'a str, ReadError> {
        self.peek();
        let start = self.at;
        let outside = self.depth;
        // One bit for each open level, the innermost lowest: 1 is an object.
        let mut objects = 0_u64;
        'value: loop {
            match self.peek() {
                Some(b'{') => {
                    self.descend()?;
                    objects = objects << 1 | 1;
                    if self.peek() != Some(b'}') {
                        self.skip_key()?;
                        continue 'value;
                    }
                }
                Some(b'[') => {
                    self.descend()?;
                    objects <<= 1;
                    if self.peek() != Some(b']') {
                        continue 'value;
                    }
                }
                Some(b'"') => {
                    self.skip_string()?;
                }
                Some(b'-' | b'0'..=b'9') => self.skip_number()?,
                Some(b't') => self.literal("true")?,
                Some(b'f') => self.literal("false")?,
                Some(b'n') => self.literal("null")?,
                _ => return Err(self.syntax("a value")),
            }
            while self.depth > outside {
                let object = objects & 1 == 1;
                match self.peek() {
                    Some(b',') => {
                        self.at += 1;
                        if object {
                            self.skip_key()?;
                        }
                        continue 'value;
                    }
                    Some(b'}') if object => {}
                    Some(b']') if !object => {}
                    _ => return Err(self.syntax(if object { "`,` or `}`" } else { "`,` or `]`" })),
                }
                self.ascend();
                objects >>= 1;
            }
            return Ok(self.text.get(start..self.at).unwrap_or_default());
        }
    }

    /// Skips a value that is a document of its own: its depth is counted from its own root.
    pub(crate) fn skip_document(&mut self) -> Result<&'a str, ReadError> {
        let depth = core::mem::take(&mut self.depth);
        let text = self.skip()?;
        self.depth = depth;
        Ok(text)
    }

    /// Enters an object of which the named members are read; `None` for `null`.
    pub(crate) fn object(
        &mut self,
        known: &'static [&'static str],
    ) -> Result<Option<Members>, ReadError> {
        match self.peek() {
            Some(b'{') => {
                self.descend()?;
                Ok(Some(Members { known, seen: 0, empty: true }))
            }
            _ if self.null()? => Ok(None),
            _ => Err(self.unexpected("an object")),
        }
    }

    /// Enters an array; `None` for `null`.
    pub(crate) fn array(&mut self) -> Result<Option<Elements>, ReadError> {
        match self.peek() {
            Some(b'[') => {
                self.descend()?;
                Ok(Some(Elements { count: 0 }))
            }
            _ if self.null()? => Ok(None),
            _ => Err(self.unexpected("an array")),
        }
    }
}

/// The members of an object that is being read.
pub(crate) struct Members {
    known: &'static [&'static str],
    /// A bit for each name in `known`.
    seen: u64,
    empty: bool,
}

impl Members {
    /// The name of the next member, whatever it is; its value comes next. `None` after the last one: the
    /// closing brace is the byte before the scanner's position.
    pub(crate) fn next_any<'a>(&mut self, s: &mut Scanner<'a>) -> Result<Option<Cow<'a, str>>, ReadError> {
        Ok(self.next_any_at(s)?.map(|(key, _)| key))
    }

    /// As [`Self::next_any`], with the byte at which the name begins.
    pub(crate) fn next_any_at<'a>(
        &mut self,
        s: &mut Scanner<'a>,
    ) -> Result<Option<(Cow<'a, str>, usize)>, ReadError> {
        if s.peek() == Some(b'}') {
            s.ascend();
            return Ok(None);
        }
        if !self.empty && !s.eat(b',') {
            return Err(s.syntax("`,` or `}`"));
        }
        self.empty = false;
        if s.peek() != Some(b'"') {
            return Err(s.syntax("a key"));
        }
        let start = s.at;
        let key = s.string()?;
        if s.eat(b':') { Ok(Some((key, start))) } else { Err(s.syntax("`:`")) }
    }

    /// The next member that was asked for; the others are skipped.
    pub(crate) fn next(&mut self, s: &mut Scanner<'_>) -> Result<Option<&'static str>, ReadError> {
        while let Some(key) = self.next_any(s)? {
            let Some((i, name)) = self.known.iter().enumerate().find(|(_, name)| **name == key) else {
                s.skip()?;
                continue;
            };
            if self.seen & 1 << i != 0 {
                return Err(ReadError::new(Fault::Duplicate, s.at)).inside(name);
            }
            self.seen |= 1 << i;
            return Ok(Some(name));
        }
        Ok(None)
    }

    /// No member so far.
    pub(crate) fn is_empty(&self) -> bool {
        self.empty
    }
}

/// The elements of an array that is being read.
pub(crate) struct Elements {
    count: usize,
}

impl Elements {
    /// Whether another element comes next. When not, the closing bracket is the byte before the scanner's
    /// position.
    pub(crate) fn next(&mut self, s: &mut Scanner<'_>) -> Result<bool, ReadError> {
        if s.peek() == Some(b']') {
            s.ascend();
            return Ok(false);
        }
        if self.count > 0 && !s.eat(b',') {
            return Err(s.syntax("`,` or `]`"));
        }
        self.count += 1;
        Ok(true)
    }

    /// The number of elements so far.
    pub(crate) fn count(&self) -> usize {
        self.count
    }
}

/// A value that was read as a whole. Composite ones stay text.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Value<'a> {
    Object(&'a str),
    Array(&'a str),
    String(Cow<'a, str>),
    /// As it is written.
    Number(&'a str),
    Bool(bool),
    Null,
}

impl<'a> Value<'a> {
    /// Takes the next value.
    pub(crate) fn read(s: &mut Scanner<'a>) -> Result<Self, ReadError> {
        Ok(match s.kind()? {
            Kind::String => Self::String(s.string()?),
            Kind::Object => Self::Object(s.skip()?),
            Kind::Array => Self::Array(s.skip()?),
            Kind::Number => Self::Number(s.skip()?),
            Kind::Bool => Self::Bool(s.skip()? == "true"),
            Kind::Null => {
                s.skip()?;
                Self::Null
            }
        })
    }

    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Object(_) => Kind::Object,
            Self::Array(_) => Kind::Array,
            Self::String(_) => Kind::String,
            Self::Number(_) => Kind::Number,
            Self::Bool(_) => Kind::Bool,
            Self::Null => Kind::Null,
        }
    }
}
