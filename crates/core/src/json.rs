//! Reads JSON without a tree: one pass over borrowed text, with the offsets that lossless edits need.
//!
//! Everything that is skipped is checked all the same, so that what is handed on is JSON. Nothing recurses,
//! and no input costs more than linear time.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::error::{Fault, ReadError, Segment};
use crate::room;

mod members;
#[cfg(not(target_arch = "wasm32"))]
mod outline;
mod skip;
mod spans;
mod text;
pub(crate) use members::{Elements, Members, Name, members, names};
pub(crate) use text::holds_wildcard;
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

/// What is kept for one document: texts that are not in it as they are, with their escapes resolved, filled in, put
/// together; and its outline, or where parts of it end.
#[derive(Debug, Default)]
pub struct Arena {
    #[cfg(not(target_arch = "wasm32"))]
    texts: bumpalo::Bump,
    #[cfg(not(target_arch = "wasm32"))]
    outline: core::cell::OnceCell<(core::ops::Range<usize>, outline::Outline)>,
    spans: core::cell::OnceCell<spans::Spans>,
}

impl Arena {
    /// Keeps a copy of a text.
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn keep(&self, text: &str) -> &str {
        self.texts.alloc_str(text)
    }

    /// Keeps a copy of a text: in the policy nothing is given back before the instance is.
    #[cfg(target_arch = "wasm32")]
    pub(crate) fn keep(&self, text: &str) -> &str {
        alloc::string::String::from(text).leak()
    }

    /// Outlines the document, so that what is skipped in it need not be looked at again. In the policy, whose size counts, it
    /// is left to [`Scanner::skip_first`].
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn outline(&self, document: &str) {
        if let Some(outline) = outline::Outline::of(document) {
            // A second document of the same arena is read without.
            let _ = self.outline.set((addresses(document), outline));
        }
    }
}

/// The bytes that a text takes in memory.
#[cfg(not(target_arch = "wasm32"))]
fn addresses(text: &str) -> core::ops::Range<usize> {
    let start = text.as_ptr().addr();
    start..start + text.len()
}

/// A reading position in a JSON text.
///
/// The first error stays: from then on there is nothing more to read, and whoever started reading asks
/// [`Scanner::result`] in the end. So the code that reads an object is about the object.
pub(crate) struct Scanner<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
    arena: &'a Arena,
    path: Vec<Segment>,
    error: Option<Box<ReadError>>,
    /// The outline of the document that the text is a part of, and where in it the text begins.
    #[cfg(not(target_arch = "wasm32"))]
    outline: Option<(&'a outline::Outline, usize)>,
}

impl<'a> Scanner<'a> {
    /// At the start of a text.
    #[cfg_attr(target_arch = "wasm32", inline(never))]
    pub(crate) fn new(text: &'a str, arena: &'a Arena) -> Self {
        Self {
            text,
            at: 0,
            depth: 0,
            arena,
            path: room::of(16),
            error: None,
            #[cfg(not(target_arch = "wasm32"))]
            outline: arena.outline.get().and_then(|(document, outline)| {
                let text = addresses(text);
                let base = text.start.checked_sub(document.start)?;
                (text.end <= document.end).then_some((outline, base))
            }),
        }
    }

    /// The byte at which reading goes on.
    pub(crate) fn position(&self) -> usize {
        self.at
    }

    /// What was read, unless there was an error, or something follows it.
    #[cfg_attr(not(target_arch = "wasm32"), inline(always))]
    pub(crate) fn result<T>(mut self, read: T) -> Result<T, Box<ReadError>> {
        self.finish().map_or(Ok(read), Err)
    }

    fn finish(&mut self) -> Option<Box<ReadError>> {
        if self.error.is_none() && self.peek().is_some() {
            self.syntax("the end of the document");
        }
        self.error.take()
    }

    /// Ends reading.
    #[cold]
    pub(crate) fn fail(&mut self, fault: Fault) {
        if self.error.is_none() {
            let path = core::mem::take(&mut self.path);
            self.error = Some(Box::new(ReadError { fault, at: self.at, path }));
        }
        // Nothing more to read, whatever the caller expects.
        self.at = self.text.len();
    }

    #[cold]
    fn syntax(&mut self, expected: &'static str) {
        self.fail(Fault::Syntax { expected });
    }

    /// A value of another type than expected stands here.
    #[cold]
    pub(crate) fn unexpected(&mut self, expected: &'static str) {
        if let Some(kind) = self.kind() {
            self.fail(Fault::Type { expected, found: kind.name() });
        }
    }

    #[inline(always)]
    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// The next byte that is not blank. Most documents have no blanks.
    #[inline(always)]
    fn peek(&mut self) -> Option<u8> {
        match self.byte() {
            Some(byte) if byte > b' ' => Some(byte),
            _ => self.peek_after_blanks(),
        }
    }

    #[cold]
    #[inline(never)]
    fn peek_after_blanks(&mut self) -> Option<u8> {
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
    pub(crate) fn kind(&mut self) -> Option<Kind> {
        Some(match self.peek() {
            Some(b'{') => Kind::Object,
            Some(b'[') => Kind::Array,
            Some(b'"') => Kind::String,
            Some(b'-' | b'0'..=b'9') => Kind::Number,
            Some(b't' | b'f') => Kind::Bool,
            Some(b'n') => Kind::Null,
            _ => {
                self.syntax("a value");
                return None;
            }
        })
    }

    fn descend(&mut self) -> bool {
        if self.depth >= MAX_DEPTH {
            self.fail(Fault::TooDeep);
            return false;
        }
        self.at += 1;
        self.depth += 1;
        true
    }

    fn ascend(&mut self) {
        self.at += 1;
        self.depth -= 1;
    }

    /// Takes `null`, if that is what comes next.
    pub(crate) fn null(&mut self) -> bool {
        self.peek() == Some(b'n') && self.literal("null")
    }

    fn literal(&mut self, literal: &'static str) -> bool {
        let found = self.rest().starts_with(literal.as_bytes());
        if found {
            self.at += literal.len();
        } else {
            self.syntax("a value");
        }
        found
    }

    #[inline(always)]
    fn rest(&self) -> &'a [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    /// A string, with its escapes resolved.
    pub(crate) fn string(&mut self) -> &'a str {
        if self.peek() != Some(b'"') {
            self.unexpected("a string");
            return "";
        }
        self.quoted()
    }

    /// The string whose opening quote is the next byte.
    #[cfg_attr(not(target_arch = "wasm32"), inline(always))]
    fn quoted(&mut self) -> &'a str {
        #[cfg(not(target_arch = "wasm32"))]
        if let Some(rest) = self.text.get(self.at + 1..)
            && let Some(text) = text::short(rest)
        {
            self.at += text.len() + 2;
            return text;
        }
        self.long_string()
    }

    /// The same, of any length.
    #[cfg_attr(not(target_arch = "wasm32"), inline(never))]
    fn long_string(&mut self) -> &'a str {
        let start = self.at + 1;
        let rest = self.text.as_bytes().get(start..).unwrap_or_default();
        let length = text::plain_length(rest);
        self.at = start + length;
        if rest.get(length) == Some(&b'"') {
            self.at += 1;
            return self.text.get(start..start + length).unwrap_or_default();
        }
        self.escaped_string(start)
    }

    /// The string that begins at a byte, and holds an escape sequence where reading goes on.
    #[cold]
    fn escaped_string(&mut self, start: usize) -> &'a str {
        if !self.skip_escapes() {
            return "";
        }
        let raw = self.text.get(start..self.at - 1).unwrap_or_default();
        match text::unescape(raw) {
            Some(text) => self.arena.keep(&text),
            None => {
                self.syntax("paired surrogates");
                ""
            }
        }
    }

    /// A string that may be `null`, which counts as absent.
    pub(crate) fn optional_string(&mut self) -> Option<&'a str> {
        // Nearly always. In the policy, whose size counts, it is found out below.
        #[cfg(not(target_arch = "wasm32"))]
        if self.peek() == Some(b'"') {
            return Some(self.quoted());
        }
        if self.null() { None } else { Some(self.string()) }
    }

    /// A string; `null` is an empty one, as it is to Kubernetes.
    pub(crate) fn text(&mut self) -> &'a str {
        self.optional_string().unwrap_or_default()
    }

    fn colon(&mut self) -> bool {
        let found = self.eat(b':');
        if !found {
            self.syntax("`:`");
        }
        found
    }

    /// Reads a document of its own inside of this one: its depth is counted from its own root.
    pub(crate) fn document<T>(&mut self, read: impl FnOnce(&mut Self) -> T) -> T {
        let depth = core::mem::take(&mut self.depth);
        let found = read(self);
        self.depth = depth;
        found
    }

    /// Enters an object of which the named members are read; `None` for `null`.
    #[cfg_attr(not(target_arch = "wasm32"), inline(always))]
    pub(crate) fn object(&mut self, known: &'static [Name]) -> Option<Members> {
        if self.enter(b'{', "an object") { Some(Members::new(known)) } else { None }
    }

    /// Enters an array; `None` for `null`.
    pub(crate) fn array(&mut self) -> Option<Elements> {
        if self.enter(b'[', "an array") { Some(Elements::new()) } else { None }
    }

    fn enter(&mut self, bracket: u8, expected: &'static str) -> bool {
        if self.peek() == Some(bracket) {
            self.path.push(Segment::Other);
            return self.descend();
        }
        if !self.null() {
            self.unexpected(expected);
        }
        false
    }

    /// What is read now, for errors.
    fn at_segment(&mut self, segment: Segment) {
        if let Some(last) = self.path.last_mut() {
            *last = segment;
        }
    }

    fn leave(&mut self) {
        self.path.pop();
        self.ascend();
    }
}

/// For an index, which knows where in a text to read.
#[cfg(not(target_arch = "wasm32"))]
impl<'a> Scanner<'a> {
    /// Inside of the outermost object.
    pub(crate) fn inside(text: &'a str, arena: &'a Arena) -> Self {
        Self { depth: 1, path: vec![Segment::Other], ..Self::new(text, arena) }
    }

    /// Goes on before a value.
    pub(crate) fn go_to(&mut self, at: usize) {
        self.at = at;
    }

    /// What has ended reading.
    pub(crate) fn error(&self) -> Option<&ReadError> {
        self.error.as_deref()
    }
}

/// A value that was read as a whole. Composite ones stay text.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Value<'a> {
    Object(&'a str),
    Array(&'a str),
    String(&'a str),
    /// As it is written.
    Number(&'a str),
    Bool(bool),
    Null,
}

impl<'a> Value<'a> {
    /// Takes the next value.
    pub(crate) fn read(s: &mut Scanner<'a>) -> Self {
        match s.kind() {
            Some(Kind::String) => Self::String(s.string()),
            Some(Kind::Object) => Self::Object(s.skip()),
            Some(Kind::Array) => Self::Array(s.skip()),
            Some(Kind::Number) => Self::Number(s.skip()),
            Some(Kind::Bool) => Self::Bool(s.skip() == "true"),
            Some(Kind::Null) | None => {
                s.skip();
                Self::Null
            }
        }
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
