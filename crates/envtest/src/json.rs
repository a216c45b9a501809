//! JSON as it was written: keys keep their order, numbers and strings their spelling.
//!
//! serde_json's `preserve_order` would do, but features unify across a workspace and everything else here relies
//! on it being off.

use std::fmt::Write;

/// A JSON value that remembers its spelling.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Text {
    /// Members in the order in which they were written; a key is as it stood between its quotes.
    Object(Vec<(String, Text)>),
    /// Elements.
    Array(Vec<Text>),
    /// What stood between the quotes, escapes and all.
    String(String),
    /// A number, `true`, `false` or `null`.
    Literal(String),
}

impl Text {
    /// Reads one JSON document.
    ///
    /// # Errors
    ///
    /// A sentence with the offset, if it is not JSON or nested too deeply.
    pub fn parse(source: &str) -> Result<Text, String> {
        // serde_json checks what the reader below takes for granted: escapes, numbers, no control characters.
        serde_json::from_str::<serde_json::Value>(source).map_err(|error| error.to_string())?;
        let mut reader = Reader { rest: source, length: source.len() };
        let value = reader.value()?;
        reader.blanks();
        if reader.rest.is_empty() { Ok(value) } else { Err(reader.error("trailing characters")) }
    }

    /// The member of an object with that key.
    pub fn get(&self, key: &str) -> Option<&Text> {
        match self {
            Text::Object(members) => members.iter().find(|(name, _)| name == key).map(|(_, value)| value),
            Text::Array(_) | Text::String(_) | Text::Literal(_) => None,
        }
    }

    /// The member of an object with that key, to be changed.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Text> {
        match self {
            Text::Object(members) => members.iter_mut().find(|(name, _)| name == key).map(|(_, value)| value),
            Text::Array(_) | Text::String(_) | Text::Literal(_) => None,
        }
    }

    /// What a path of keys leads to.
    pub fn at(&self, path: &[&str]) -> Option<&Text> {
        path.iter().try_fold(self, |value, key| value.get(key))
    }

    /// What a path of keys leads to, to be changed.
    pub fn at_mut(&mut self, path: &[&str]) -> Option<&mut Text> {
        path.iter().try_fold(self, |value, key| value.get_mut(key))
    }

    /// A string's characters as they were written.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Text::String(text) => Some(text),
            Text::Object(_) | Text::Array(_) | Text::Literal(_) => None,
        }
    }

    /// An array's elements; nothing for any other value.
    pub fn elements(&self) -> &[Text] {
        match self {
            Text::Array(elements) => elements,
            Text::Object(_) | Text::String(_) | Text::Literal(_) => &[],
        }
    }

    /// An array's elements, to be changed; nothing for any other value.
    pub fn elements_mut(&mut self) -> &mut [Text] {
        match self {
            Text::Array(elements) => elements,
            Text::Object(_) | Text::String(_) | Text::Literal(_) => &mut [],
        }
    }

    /// Applies `change` to each string and each key, however deep.
    pub fn for_each_string(&mut self, change: &mut impl FnMut(&mut String)) {
        match self {
            Text::Object(members) => {
                for (key, value) in members {
                    change(key);
                    value.for_each_string(change);
                }
            }
            Text::Array(elements) => elements.iter_mut().for_each(|element| element.for_each_string(change)),
            Text::String(text) => change(text),
            Text::Literal(_) => {}
        }
    }

    /// On one line, without blanks.
    pub fn compact(&self) -> String {
        let mut out = String::new();
        self.write(&mut out, None);
        out
    }

    /// Indented by two spaces, as serde_json's and `jq`'s pretty form.
    pub fn pretty(&self) -> String {
        let mut out = String::new();
        self.write(&mut out, Some(0));
        out
    }

    fn write(&self, out: &mut String, indent: Option<usize>) {
        match self {
            Text::Object(members) => {
                write_list(out, indent, ('{', '}'), members, |out, (key, value), indent| {
                    let _ = write!(out, "\"{key}\":{}", if indent.is_some() { " " } else { "" });
                    value.write(out, indent);
                })
            }
            Text::Array(elements) => {
                write_list(out, indent, ('[', ']'), elements, |out, element, indent| {
                    element.write(out, indent)
                });
            }
            Text::String(text) => {
                let _ = write!(out, "\"{text}\"");
            }
            Text::Literal(text) => out.push_str(text),
        }
    }
}

fn write_list<T>(
    out: &mut String,
    indent: Option<usize>,
    (open, close): (char, char),
    items: &[T],
    write_item: impl Fn(&mut String, &T, Option<usize>),
) {
    let new_line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.extend(std::iter::repeat_n("  ", depth));
    };
    out.push(open);
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        if let Some(depth) = indent {
            new_line(out, depth + 1);
        }
        write_item(out, item, indent.map(|depth| depth + 1));
    }
    if let (Some(depth), false) = (indent, items.is_empty()) {
        new_line(out, depth);
    }
    out.push(close);
}

struct Reader<'a> {
    rest: &'a str,
    length: usize,
}

impl<'a> Reader<'a> {
    /// Recursion is as deep as serde_json allows, 128.
    fn value(&mut self) -> Result<Text, String> {
        self.blanks();
        if self.eat('{') {
            let mut members = Vec::new();
            while !self.ends('}', members.is_empty())? {
                self.blanks();
                let key = self.string()?;
                self.blanks();
                if !self.eat(':') {
                    return Err(self.error("expected `:`"));
                }
                members.push((key, self.value()?));
            }
            Ok(Text::Object(members))
        } else if self.eat('[') {
            let mut elements = Vec::new();
            while !self.ends(']', elements.is_empty())? {
                elements.push(self.value()?);
            }
            Ok(Text::Array(elements))
        } else if self.rest.starts_with('"') {
            Ok(Text::String(self.string()?))
        } else {
            let end = self.rest.find([',', '}', ']', ' ', '\t', '\n', '\r']).unwrap_or(self.rest.len());
            match self.take(end) {
                "" => Err(self.error("expected a value")),
                literal => Ok(Text::Literal(literal.to_owned())),
            }
        }
    }

    /// Whether the list ends here; otherwise steps over the comma.
    fn ends(&mut self, close: char, first: bool) -> Result<bool, String> {
        self.blanks();
        if self.eat(close) {
            return Ok(true);
        }
        if first || self.eat(',') { Ok(false) } else { Err(self.error("expected `,`")) }
    }

    fn string(&mut self) -> Result<String, String> {
        if !self.eat('"') {
            return Err(self.error("expected a string"));
        }
        let mut escaped = false;
        let end = self.rest.find(|character| {
            let ends = character == '"' && !escaped;
            escaped = character == '\\' && !escaped;
            ends
        });
        let text = self.take(end.ok_or_else(|| self.error("a string does not end"))?).to_owned();
        self.eat('"');
        Ok(text)
    }

    fn take(&mut self, length: usize) -> &'a str {
        let (text, rest) = self.rest.split_at_checked(length).unwrap_or((self.rest, ""));
        self.rest = rest;
        text
    }

    fn eat(&mut self, character: char) -> bool {
        match self.rest.strip_prefix(character) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn blanks(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
    }

    fn error(&self, what: &str) -> String {
        format!("{what} at offset {}", self.length - self.rest.len())
    }
}

#[cfg(test)]
mod tests {
    use super::Text;

    #[test]
    fn keeps_order_and_spelling() {
        let source = r#"{"z":1.50,"a":["\u003c\\\"",{},[],null,-0e1],"z2":{"b":true,"a":"é\n"},"":"}{,:"}"#;
        let text = Text::parse(source).unwrap();
        assert_eq!(text.compact(), source);
        assert_eq!(Text::parse(&text.pretty()).unwrap(), text);
    }

    #[test]
    fn indents_as_serde_json_does() {
        let source = r#"{"a":[1,{"b":[]},{}],"c":"x"}"#;
        let value: serde_json::Value = serde_json::from_str(source).unwrap();
        assert_eq!(Text::parse(source).unwrap().pretty(), serde_json::to_string_pretty(&value).unwrap());
    }

    #[test]
    fn refuses_what_is_not_json() {
        for source in ["", "{", "[1,]", "{\"a\" 1}", "\"", "1 2", "{\"a\":1,}", "nul", &"[".repeat(100_000)] {
            assert!(Text::parse(source).is_err(), "{source:.20}");
        }
    }
}
