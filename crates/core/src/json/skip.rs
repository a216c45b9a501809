//! Passing over values. Every byte is looked at, none is kept.

use crate::error::Fault;

use super::spans::Spans;
use super::{MAX_DEPTH, Scanner, text};

impl<'a> Scanner<'a> {
    /// Skips a value, checking it, and gives its text.
    pub(crate) fn skip(&mut self) -> &'a str {
        self.skip_value(false)
    }

    /// As [`Self::skip`], for what is read later on: it notes where arrays and objects end, so that those that nobody
    /// reads are not looked at again.
    pub(crate) fn skip_first(&mut self) -> &'a str {
        self.skip_value(true)
    }

    fn skip_value(&mut self, note: bool) -> &'a str {
        let byte = self.peek();
        let start = self.at;
        let end = match byte {
            Some(b'{' | b'[') => self.known_end(),
            Some(b'"') => self.string_end(self.text.as_bytes(), start),
            _ => self.skip_scalar().then_some(self.at),
        };
        match end {
            Some(end) => self.at = end,
            // After an error nothing is left to skip.
            None if !self.skip_checked(note) => return "null",
            None => {}
        }
        self.text.get(start..self.at).unwrap_or_default()
    }

    /// The byte after the array or object that begins here, if it is known.
    fn known_end(&self) -> Option<usize> {
        #[cfg(not(target_arch = "wasm32"))]
        if let Some((outline, base)) = self.outline {
            return Some(outline.end(self.at + base)? - base);
        }
        let address = self.text.as_ptr().addr();
        Some(self.arena.spans.get()?.end(address + self.at)? - address)
    }

    /// Whether the value is well-formed.
    ///
    /// Where it stands is kept out of `self`, for most of a request is only ever skipped.
    // What an outline knows is passed over without its large frame.
    #[cfg_attr(not(target_arch = "wasm32"), inline(never))]
    fn skip_checked(&mut self, note: bool) -> bool {
        let bytes = self.text.as_bytes();
        let mut at = self.at;
        let mut depth = 0;
        // Where they begin.
        let mut open = [0; MAX_DEPTH];
        let mut spans = Spans::default();
        // One bit for each open level, the innermost lowest: 1 is an object.
        let mut objects = 0_u64;
        let expected = 'value: loop {
            if objects & 1 == 1 {
                if next(bytes, &mut at) != b'"' {
                    break "a key";
                }
                let Some(end) = self.string_end(bytes, at) else { return false };
                at = end;
                if next(bytes, &mut at) != b':' {
                    break "`:`";
                }
                at += 1;
            }
            match next(bytes, &mut at) {
                bracket @ (b'{' | b'[') => {
                    if self.depth + depth >= MAX_DEPTH {
                        self.at = at;
                        self.fail(Fault::TooDeep);
                        return false;
                    }
                    if let Some(open) = open.get_mut(depth) {
                        *open = at;
                    }
                    depth += 1;
                    objects = objects << 1 | u64::from(bracket == b'{');
                    at += 1;
                    // A closing bracket comes two after the opening one in ASCII.
                    if next(bytes, &mut at) != bracket + 2 {
                        continue 'value;
                    }
                }
                b'"' => match self.string_end(bytes, at) {
                    Some(end) => at = end,
                    None => return false,
                },
                _ => {
                    self.at = at;
                    if !self.skip_scalar() {
                        return false;
                    }
                    at = self.at;
                }
            }
            while depth > 0 {
                let object = objects & 1 == 1;
                match next(bytes, &mut at) {
                    b',' => {
                        at += 1;
                        continue 'value;
                    }
                    b'}' if object => {}
                    b']' if !object => {}
                    _ => break 'value if object { "`,` or `}`" } else { "`,` or `]`" },
                }
                at += 1;
                depth -= 1;
                objects >>= 1;
                if note && let Some(open) = open.get(depth) {
                    let address = bytes.as_ptr().addr();
                    spans.note(address + open, address + at);
                }
            }
            self.at = at;
            if note {
                // After the first value another one is read without.
                let _ = self.arena.spans.set(spans);
            }
            return true;
        };
        self.at = at;
        self.syntax(expected);
        false
    }

    /// The byte after the string that begins at a quote; `None` after an error.
    #[inline(always)]
    fn string_end(&mut self, bytes: &[u8], quote: usize) -> Option<usize> {
        let rest = bytes.get(quote + 1..).unwrap_or_default();
        let length = text::plain_length(rest);
        let end = quote + 1 + length;
        if rest.get(length) == Some(&b'"') {
            return Some(end + 1);
        }
        self.at = end;
        self.skip_escapes().then_some(self.at)
    }

    /// Skips the rest of a string from an escape sequence on.
    #[cold]
    pub(super) fn skip_escapes(&mut self) -> bool {
        loop {
            let Some(length) = self.escape_length() else { return false };
            self.at += length;
            self.at += text::plain_length(self.rest());
            if self.byte() == Some(b'"') {
                self.at += 1;
                return true;
            }
        }
    }

    /// The length of an escape sequence; an error when something else stands there.
    #[inline]
    fn escape_length(&mut self) -> Option<usize> {
        let expected = match self.rest() {
            [b'\\', b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', ..] => return Some(2),
            [b'\\', b'u', a, b, c, d, ..] if [a, b, c, d].into_iter().all(u8::is_ascii_hexdigit) => {
                return Some(6);
            }
            [b'\\', ..] => "an escape sequence",
            [_, ..] => "no control character in a string",
            [] => "the closing quote of a string",
        };
        self.syntax(expected);
        None
    }

    /// Skips a number or a literal.
    fn skip_scalar(&mut self) -> bool {
        match self.byte() {
            Some(b'-' | b'0'..=b'9') => self.skip_number(),
            Some(b't') => self.literal("true"),
            Some(b'f') => self.literal("false"),
            Some(b'n') => self.literal("null"),
            _ => {
                self.syntax("a value");
                false
            }
        }
    }

    /// Skips digits; whether there were any.
    fn digits(&mut self) -> bool {
        let start = self.at;
        while matches!(self.byte(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        let any = self.at > start;
        if !any {
            self.syntax("a digit");
        }
        any
    }

    fn skip_number(&mut self) -> bool {
        self.at += usize::from(self.byte() == Some(b'-'));
        if self.byte() == Some(b'0') {
            self.at += 1;
        } else if !self.digits() {
            return false;
        }
        if self.byte() == Some(b'.') {
            self.at += 1;
            if !self.digits() {
                return false;
            }
        }
        if matches!(self.byte(), Some(b'e' | b'E')) {
            self.at += 1;
            self.at += usize::from(matches!(self.byte(), Some(b'+' | b'-')));
            return self.digits();
        }
        true
    }

    /// Skips members of an object from the comma before them on, as many as are written without blanks, have a plain
    /// name that does not begin with `but`, and a string without escapes. Gives their number.
    ///
    /// Large settings consist of these, and a policy is handed them with each request.
    pub(crate) fn skip_texts(&mut self, but: &[u8]) -> usize {
        let mut rest = self.rest();
        let mut count = 0;
        while let [b',', b'"', name @ ..] = rest
            && !(name.first() == but.first() && name.starts_with(but))
            && let [b'"', b':', b'"', value @ ..] = text::after_name(name)
            && let [b'"', after @ ..] = text::after_plain(value)
        {
            rest = after;
            count += 1;
        }
        self.at = self.text.len() - rest.len();
        count
    }
}

/// The next byte that is not blank, after going to it; 0 at the end. Most documents have no blanks.
#[inline(always)]
fn next(bytes: &[u8], at: &mut usize) -> u8 {
    match bytes.get(*at) {
        Some(byte) if *byte > b' ' => *byte,
        _ => {
            *at = after_blanks(bytes, *at);
            bytes.get(*at).copied().unwrap_or_default()
        }
    }
}

#[cold]
#[inline(never)]
fn after_blanks(bytes: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\n' | b'\r' | b'\t') = bytes.get(at) {
        at += 1;
    }
    at
}
