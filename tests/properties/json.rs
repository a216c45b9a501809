//! Where in a JSON text its values stand, and the same value written in other ways. Small, slow, and nothing like
//! the reader that is tested with it.

use std::ops::Range;

use serde_json::Value;

/// A value and where it stands.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) span: Range<usize>,
    pub(crate) kind: Kind,
}

#[derive(Debug)]
pub(crate) enum Kind {
    /// Each with the byte at which its key begins.
    Object(Vec<(String, usize, Node)>),
    Array(Vec<Node>),
    Scalar,
}

impl Node {
    /// Reads a text that is known to be JSON.
    pub(crate) fn read(text: &str) -> Self {
        read_value(text, blanks(text, 0))
    }

    /// What a JSON Pointer names: where it begins (with its key, if it has one), and its place among its siblings.
    pub(crate) fn find(&self, pointer: &str) -> Option<Found<'_>> {
        let mut found = Found { node: self, start: self.span.start, index: 0 };
        for part in pointer.split('/').skip(1) {
            let part = part.replace("~1", "/").replace("~0", "~");
            found = match &found.node.kind {
                Kind::Object(members) => {
                    let index = members.iter().position(|(key, ..)| *key == part)?;
                    let (_, start, node) = members.get(index)?;
                    Found { node, start: *start, index }
                }
                Kind::Array(elements) => {
                    let index = part.parse().ok()?;
                    let node = elements.get(index)?;
                    Found { node, start: node.span.start, index }
                }
                Kind::Scalar => return None,
            };
        }
        Some(found)
    }

    /// The number of elements.
    pub(crate) fn len(&self) -> usize {
        match &self.kind {
            Kind::Array(elements) => elements.len(),
            Kind::Object(members) => members.len(),
            Kind::Scalar => 0,
        }
    }
}

pub(crate) struct Found<'n> {
    pub(crate) node: &'n Node,
    pub(crate) start: usize,
    pub(crate) index: usize,
}

fn blanks(text: &str, at: usize) -> usize {
    at + text[at..].bytes().take_while(|b| b" \n\r\t".contains(b)).count()
}

fn string_end(text: &str, at: usize) -> usize {
    let mut escaped = false;
    for (i, b) in text[at + 1..].bytes().enumerate() {
        match b {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + i + 2,
            _ => {}
        }
    }
    panic!("a string without its end");
}

fn read_value(text: &str, start: usize) -> Node {
    let byte = |at: usize| text.as_bytes()[at];
    let mut at = start;
    match byte(start) {
        b'{' => {
            let mut members = Vec::new();
            at = blanks(text, at + 1);
            while byte(at) != b'}' {
                let end = string_end(text, at);
                let key = serde_json::from_str(&text[at..end]).unwrap();
                let colon = blanks(text, end);
                let value = read_value(text, blanks(text, colon + 1));
                let next = blanks(text, value.span.end);
                members.push((key, at, value));
                at = if byte(next) == b',' { blanks(text, next + 1) } else { next };
            }
            Node { span: start..at + 1, kind: Kind::Object(members) }
        }
        b'[' => {
            let mut elements = Vec::new();
            at = blanks(text, at + 1);
            while byte(at) != b']' {
                let value = read_value(text, at);
                let next = blanks(text, value.span.end);
                elements.push(value);
                at = if byte(next) == b',' { blanks(text, next + 1) } else { next };
            }
            Node { span: start..at + 1, kind: Kind::Array(elements) }
        }
        b'"' => Node { span: start..string_end(text, start), kind: Kind::Scalar },
        _ => {
            let length = text[start..].bytes().take_while(|b| !b" \n\r\t,]}".contains(b)).count();
            Node { span: start..start + length, kind: Kind::Scalar }
        }
    }
}

/// Writes a value in one of many ways: members in any order, blanks anywhere, characters escaped or not. 0 is the
/// plain one.
pub(crate) fn write(value: &Value, seed: u64) -> String {
    let mut out = String::new();
    let mut dice = Dice(seed | 1);
    if seed == 0 || dice.roll(4) == 0 {
        return value.to_string();
    }
    write_value(value, &mut dice, &mut out);
    out
}

/// Xorshift.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % sides
    }

    fn blank(&mut self, out: &mut String) {
        out.push_str(["", "", "", "", " ", "\n  ", "\t", "\r\n"][self.roll(8) as usize]);
    }
}

fn write_value(value: &Value, dice: &mut Dice, out: &mut String) {
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            for i in (1..members.len()).rev() {
                members.swap(i, dice.roll(i as u64 + 1) as usize);
            }
            out.push('{');
            dice.blank(out);
            for (i, (key, value)) in members.into_iter().enumerate() {
                if i > 0 {
                    out.push(',');
                    dice.blank(out);
                }
                write_text(key, dice, out);
                dice.blank(out);
                out.push(':');
                dice.blank(out);
                write_value(value, dice, out);
                dice.blank(out);
            }
            out.push('}');
        }
        Value::Array(elements) => {
            out.push('[');
            dice.blank(out);
            for (i, value) in elements.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                    dice.blank(out);
                }
                write_value(value, dice, out);
                dice.blank(out);
            }
            out.push(']');
        }
        Value::String(text) => write_text(text, dice, out),
        value => out.push_str(&value.to_string()),
    }
}

fn write_text(text: &str, dice: &mut Dice, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        if dice.roll(40) == 0 || c < ' ' || matches!(c, '"' | '\\') {
            for unit in c.encode_utf16(&mut [0; 2]) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            out.push(c);
        }
    }
    out.push('"');
}
