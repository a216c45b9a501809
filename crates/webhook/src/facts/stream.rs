//! Lists and watches, cut into objects as they come, so that no more than one is held.

/// One object, at most: etcd takes no more than 1.5 MiB, which is more as JSON.
pub(super) const MAX_OBJECT: usize = 4 << 20;

/// Memory that is kept from one object to the next.
const KEPT: usize = 64 << 10;

/// What was found.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Part<'p> {
    /// An item of a list.
    Item(&'p [u8]),
    /// The list's own metadata.
    Metadata(&'p [u8]),
    /// A line of a watch.
    Line(&'p [u8]),
    /// Something larger than [`MAX_OBJECT`].
    TooLarge,
}

/// The text is no list.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Malformed;

/// Cuts the JSON of a list into its items and its metadata; the rest is passed over.
#[derive(Debug, Default)]
pub(super) struct List {
    place: Place,
    depth: usize,
    in_string: bool,
    escaped: bool,
    part: Buffer,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Place {
    #[default]
    Before,
    Key,
    Metadata,
    /// Between `items` and its bracket.
    Items,
    Item,
    /// In a value that is passed over.
    Other,
    After,
}

impl List {
    /// Takes what has come.
    pub(super) fn feed(&mut self, chunk: &[u8], found: &mut dyn FnMut(Part<'_>)) -> Result<(), Malformed> {
        // Where what belongs to the part begins, and how far the text is read.
        let (mut start, mut at) = (0, 0);
        while let Some((&byte, rest)) = chunk.get(at..).and_then(<[u8]>::split_first) {
            at += 1;
            if self.in_string {
                if self.escaped {
                    self.escaped = false;
                } else if byte == b'\\' {
                    self.escaped = true;
                } else if byte == b'"' {
                    self.in_string = false;
                } else {
                    at += rest.iter().position(|byte| matches!(byte, b'"' | b'\\')).unwrap_or(rest.len());
                }
            } else if byte == b'"' {
                self.in_string = true;
            } else if matches!(byte, b'{' | b'}' | b'[' | b']' | b',' | b':') {
                let part = chunk.get(start..at - 1).unwrap_or_default();
                if self.structure(byte, part, found)? {
                    start = at;
                }
            } else if matches!(self.place, Place::Before | Place::After) && !byte.is_ascii_whitespace() {
                return Err(Malformed);
            }
        }
        if matches!(self.place, Place::Key | Place::Metadata | Place::Item) {
            self.part.push(chunk.get(start..).unwrap_or_default());
        }
        Ok(())
    }

    /// The list has ended.
    pub(super) fn finish(self) -> Result<(), Malformed> {
        if self.place == Place::After { Ok(()) } else { Err(Malformed) }
    }

    /// Whether something else begins after this.
    fn structure(
        &mut self,
        byte: u8,
        part: &[u8],
        found: &mut dyn FnMut(Part<'_>),
    ) -> Result<bool, Malformed> {
        let outermost = if self.place == Place::Item { 2 } else { 1 };
        match (byte, self.place) {
            (b'{', Place::Before) => {
                self.depth = 1;
                self.place = Place::Key;
            }
            (_, Place::Before | Place::After) => return Err(Malformed),
            (b':', Place::Key) => {
                let mut place = Place::Other;
                self.part.finish(part, &mut |key| {
                    place = match key.map(<[u8]>::trim_ascii) {
                        Some(b"\"items\"") => Place::Items,
                        Some(b"\"metadata\"") => Place::Metadata,
                        _ => Place::Other,
                    };
                });
                self.place = place;
            }
            (b'[', Place::Items) => {
                self.depth = 2;
                self.place = Place::Item;
            }
            (b'{', Place::Items) | (b'{' | b'[' | b',' | b']', Place::Key) => return Err(Malformed),
            (b'{' | b'[', _) => {
                self.depth += 1;
                return Ok(false);
            }
            (b'}' | b']', _) if self.depth > outermost => {
                self.depth -= 1;
                return Ok(false);
            }
            (b',', _) if self.depth > outermost => return Ok(false),
            (b',' | b']', Place::Item) => {
                // `[]` has no item.
                if byte == b',' || !self.part.is_blank(part) {
                    self.part.finish(part, &mut |part| found(part.map_or(Part::TooLarge, Part::Item)));
                }
                if byte == b']' {
                    self.depth = 1;
                    self.place = Place::Other;
                }
            }
            (b',' | b'}', Place::Key | Place::Metadata | Place::Items | Place::Other) => {
                if self.place == Place::Metadata {
                    self.part.finish(part, &mut |part| found(part.map_or(Part::TooLarge, Part::Metadata)));
                }
                self.part = Buffer::default();
                self.place = if byte == b',' { Place::Key } else { Place::After };
            }
            (b'}' | b']', _) => return Err(Malformed),
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// Cuts a watch into its lines.
#[derive(Debug, Default)]
pub(super) struct Lines(Buffer);

impl Lines {
    /// Takes what has come.
    pub(super) fn feed(&mut self, mut chunk: &[u8], found: &mut dyn FnMut(Part<'_>)) {
        while let Some(end) = chunk.iter().position(|byte| *byte == b'\n') {
            let (line, rest) = chunk.split_at_checked(end).unwrap_or_default();
            if !self.0.is_blank(line) {
                self.0.finish(line, &mut |line| found(line.map_or(Part::TooLarge, Part::Line)));
            }
            chunk = rest.get(1..).unwrap_or_default();
        }
        self.0.push(chunk);
    }
}

/// What has come of a part so far.
#[derive(Debug, Default)]
struct Buffer {
    bytes: Vec<u8>,
    too_large: bool,
}

impl Buffer {
    fn push(&mut self, piece: &[u8]) {
        self.too_large |= self.bytes.len() + piece.len() > MAX_OBJECT;
        if self.too_large {
            self.bytes = Vec::new();
        } else {
            self.bytes.extend_from_slice(piece);
        }
    }

    fn is_blank(&self, piece: &[u8]) -> bool {
        !self.too_large && self.bytes.trim_ascii().is_empty() && piece.trim_ascii().is_empty()
    }

    /// Hands out the part that ends with this piece; `None` when it is too large.
    fn finish(&mut self, piece: &[u8], found: &mut dyn FnMut(Option<&[u8]>)) {
        if self.bytes.is_empty() && !self.too_large && piece.len() <= MAX_OBJECT {
            found(Some(piece));
            return;
        }
        self.push(piece);
        found((!self.too_large).then_some(&self.bytes));
        self.too_large = false;
        self.bytes.clear();
        self.bytes.shrink_to(KEPT);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn show(part: Part<'_>) -> String {
        match part {
            Part::Item(json) => format!("item {}", String::from_utf8_lossy(json)),
            Part::Metadata(json) => format!("metadata {}", String::from_utf8_lossy(json)),
            Part::Line(line) => format!("line {}", String::from_utf8_lossy(line)),
            Part::TooLarge => "too large".to_owned(),
        }
    }

    /// What a list is cut into when it comes in pieces.
    fn cut(json: &str, size: usize) -> Result<Vec<String>, Malformed> {
        let mut list = List::default();
        let mut found = Vec::new();
        for chunk in json.as_bytes().chunks(size) {
            list.feed(chunk, &mut |part| found.push(show(part)))?;
        }
        list.finish().map(|()| found)
    }

    #[test]
    fn cuts_lists_however_they_come() {
        let large = format!(r#"{{"items":["{}",{{}}]}}"#, "x".repeat(MAX_OBJECT));
        let cases: [(&str, Result<&[&str], Malformed>); 17] = [
            ("{}", Ok(&[])),
            (r#"{"items":[]}"#, Ok(&[])),
            (r#"{"items":[ ] , "kind":"L"}"#, Ok(&[])),
            (r#"{"items":null,"metadata":{}}"#, Ok(&["metadata {}"])),
            (
                r#"{"kind":"List","metadata":{"continue":"a,]}\"{"},"items":[{"a":[1,{}]}, null ,"x,y"]}"#,
                Ok(&[
                    r#"metadata {"continue":"a,]}\"{"}"#,
                    r#"item {"a":[1,{}]}"#,
                    "item  null ",
                    r#"item "x,y""#,
                ]),
            ),
            (
                " {\n \"items\" : [ {\"k\\\\\":\"}\"} ] ,\"metadata\": {} }\n",
                Ok(&[r#"item  {"k\\":"}"} "#, "metadata  {} "]),
            ),
            (r#"{"x":{"items":[1],"metadata":2},"items":[3]}"#, Ok(&["item 3"])),
            (large.as_str(), Ok(&["too large", "item {}"])),
            ("", Err(Malformed)),
            ("<html>", Err(Malformed)),
            ("[]", Err(Malformed)),
            (r#"{"items":[{}"#, Err(Malformed)),
            (r#"{"items":[{}]"#, Err(Malformed)),
            (r#"{"items":{}}"#, Err(Malformed)),
            (r#"{"items":[1}}"#, Err(Malformed)),
            (r#"{"items":[]} x"#, Err(Malformed)),
            (r#"{"items":[]}{}"#, Err(Malformed)),
        ];
        for (json, expected) in cases {
            let expected =
                expected.map(|parts| parts.iter().map(|part| (*part).to_owned()).collect::<Vec<_>>());
            for size in [1, 2, 3, 7, usize::MAX] {
                if json.len() < 1000 || size > 3 {
                    assert_eq!(cut(json, size), expected, "{:.100} in pieces of {size}", json);
                }
            }
        }
    }

    #[test]
    fn cuts_watches_into_lines() {
        let large = "x".repeat(MAX_OBJECT + 1);
        let text = format!("a\n\n {{}} \n{large}\nb\r\nhalf");
        for size in [1, 5, usize::MAX] {
            let mut lines = Lines::default();
            let mut found = Vec::new();
            for chunk in text.as_bytes().chunks(size) {
                lines.feed(chunk, &mut |part| found.push(show(part)));
            }
            assert_eq!(found, ["line a", "line  {} ", "too large", "line b\r"]);
        }
    }

    proptest! {
        #[test]
        fn gives_what_serde_reads(
            items in prop::collection::vec(any::<Vec<String>>(), 0..5),
            other in any::<Vec<String>>(),
            size in 1_usize..50,
        ) {
            let list = serde_json::json!({"a": other, "items": items, "metadata": {"continue": other}, "z": [{}]});
            let mut expected: Vec<String> =
                items.iter().map(|item| format!("item {}", serde_json::json!(item))).collect();
            expected.push(format!("metadata {}", serde_json::json!({"continue": other})));
            prop_assert_eq!(cut(&list.to_string(), size).unwrap(), expected);
        }

        #[test]
        fn survives_anything(text in r#"[{}\[\]",:\\a ]{0,40}"#, size in 1_usize..9) {
            let whole = cut(&text, usize::MAX);
            prop_assert_eq!(cut(&text, size), whole.clone());
            if serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(&text).is_ok() {
                prop_assert!(whole.is_ok() || text.contains("items"));
            }
        }
    }
}
