//! Documents that people write, in YAML or JSON, with the place of everything in them.
//!
//! YAML is read as kubectl reads it, so that a document means the same in a policy's settings. What a reader of YAML
//! would change without a word is refused: whole numbers beyond 64 bits, and digits with a zero in front that are no
//! octal number.

use std::collections::HashMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap as _, Serializer};
use serde_saphyr::Spanned;

/// A document.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Document(Node);

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    pub(crate) value: Value,
    /// None when it stands in no file.
    pub(crate) position: Option<Position>,
}

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Number(serde_json::Number),
    String(String),
    List(Vec<Node>),
    Map(Vec<Member>),
}

/// A member of a map. Names that are there twice are both kept: whoever reads the map reports them.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Member {
    pub(crate) name: String,
    /// Where its name stands.
    pub(crate) position: Option<Position>,
    pub(crate) value: Value,
}

/// Line and column, from 1.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Position {
    line: u64,
    column: u64,
}

/// Why a text is no document.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct DocumentError {
    pub(crate) position: Option<Position>,
    pub(crate) message: String,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

impl Document {
    /// Reads the one document of a text; nothing at all is null.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, DocumentError> {
        let text = std::str::from_utf8(bytes).map_err(|error| DocumentError {
            position: None,
            message: format!("expected UTF-8, which byte {} is not", error.valid_up_to() + 1),
        })?;
        // As large as a mapping may be. Settings are five deep; the reader takes 50 KB of stack for each level in
        // a debug build.
        let options = serde_saphyr::options! {
            legacy_octal_numbers: true,
            duplicate_keys: serde_saphyr::options::DuplicateKeyPolicy::PassThrough,
            with_snippet: false,
            alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: 100_000 },
            budget: serde_saphyr::budget! { max_nodes: 4_000_000, max_events: 8_000_000, max_depth: 16 },
        };
        let read: Result<Spanned<Raw>, _> = serde_saphyr::from_str_with_options(text, options);
        let raw = read.map_err(|error| DocumentError {
            position: error.location().map(Position::from),
            message: syntax_error(&error),
        })?;
        Ok(Self(Node { position: Some(raw.referenced.into()), value: settle(raw, text)? }))
    }

    /// A document that holds nothing.
    pub(crate) fn empty() -> Self {
        Self(Node { value: Value::Null, position: None })
    }

    /// What it holds.
    pub(crate) fn root(&self) -> &Value {
        &self.0.value
    }

    /// Puts a value in place of what stands at a path, with the maps on the way to it. Something else on the way is
    /// left: whoever reads the document reports it.
    pub(crate) fn set(&mut self, path: &[&str], value: Value) {
        let mut place = &mut self.0.value;
        for name in path {
            if matches!(place, Value::Null) || matches!(place, Value::String(text) if text.is_empty()) {
                *place = Value::Map(Vec::new());
            }
            let Value::Map(members) = place else { return };
            let index = members.iter().rposition(|member| member.name == *name).unwrap_or_else(|| {
                members.push(Member { name: (*name).to_owned(), position: None, value: Value::Null });
                members.len() - 1
            });
            let Some(member) = members.get_mut(index) else { return };
            place = &mut member.value;
        }
        *place = value;
    }

    /// The document as JSON.
    pub(crate) fn json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(&self.0.value)
    }

    /// Where everything stands, by paths as [`pod_identity_core::Problem`] writes them.
    pub(crate) fn positions(&self) -> HashMap<String, Position> {
        let mut found = HashMap::new();
        collect(&self.0.value, self.0.position, &mut String::new(), &mut found);
        found
    }
}

/// What is wrong, without the position that the YAML reader adds in words.
fn syntax_error(error: &serde_saphyr::Error) -> String {
    if let serde_saphyr::Error::MultipleDocuments { .. } = error.without_snippet() {
        return "expected one document, found another after it".to_owned();
    }
    let text = error.render_with_formatter(&serde_saphyr::UserMessageFormatter);
    text.split(" at line ").next().unwrap_or_default().to_owned()
}

fn collect(
    value: &Value,
    position: Option<Position>,
    path: &mut String,
    found: &mut HashMap<String, Position>,
) {
    if let Some(position) = position {
        found.entry(path.clone()).or_insert(position);
    }
    let length = path.len();
    match value {
        Value::Map(members) => {
            for member in members {
                let name = &member.name;
                if name.starts_with(|c: char| c.is_ascii_alphabetic())
                    && name.bytes().all(|b| b.is_ascii_alphanumeric())
                {
                    if length > 0 {
                        path.push('.');
                    }
                    path.push_str(name);
                } else {
                    path.push_str("[\"");
                    path.push_str(name);
                    path.push_str("\"]");
                }
                collect(&member.value, member.position, path, found);
                path.truncate(length);
            }
        }
        Value::List(nodes) => {
            for (index, node) in nodes.iter().enumerate() {
                path.push_str(&format!("[{index}]"));
                collect(&node.value, node.position, path, found);
                path.truncate(length);
            }
        }
        _ => {}
    }
}

impl From<serde_saphyr::Location> for Position {
    fn from(location: serde_saphyr::Location) -> Self {
        Self { line: location.line(), column: location.column() }
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Number(number) => number.serialize(serializer),
            Self::String(text) => serializer.serialize_str(text),
            Self::List(nodes) => serializer.collect_seq(nodes.iter().map(|node| &node.value)),
            Self::Map(members) => {
                let mut map = serializer.serialize_map(Some(members.len()))?;
                for member in members {
                    map.serialize_entry(&member.name, &member.value)?;
                }
                map.end()
            }
        }
    }
}

/// A value as the YAML reader understands it.
enum Raw {
    Null,
    Bool(bool),
    Integer(serde_json::Number),
    Float(f64),
    String(String),
    List(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<String>, Spanned<Raw>)>),
}

/// Looks at the text of what YAML readers disagree about.
fn settle(raw: Spanned<Raw>, text: &str) -> Result<Value, DocumentError> {
    let span = raw.defined.span();
    let written = || {
        let start = usize::try_from(span.byte_offset()?).ok()?;
        text.get(start..start.checked_add(usize::try_from(span.byte_len()?).ok()?)?)
    };
    Ok(match raw.value {
        Raw::Null => Value::Null,
        // The reader takes any case; kubectl does not.
        Raw::Bool(value) => match written() {
            Some(word) if !is_one_case(word) => Value::String(word.to_owned()),
            _ => Value::Bool(value),
        },
        Raw::Integer(number) => Value::Number(number),
        Raw::Float(value) => {
            let digits = written().unwrap_or_default().trim_start_matches(['+', '-']);
            match number(value) {
                Some(number) if !digits.bytes().all(|b| b.is_ascii_digit() || b == b'_') => {
                    Value::Number(number)
                }
                _ => {
                    return Err(DocumentError {
                        position: Some(raw.defined.into()),
                        message: format!(
                            "the number `{}` cannot be held as it is: expected quotes around it",
                            written().unwrap_or_default()
                        ),
                    });
                }
            }
        }
        Raw::String(text) => Value::String(text),
        Raw::List(nodes) => Value::List(
            nodes
                .into_iter()
                .map(|node| Ok(Node { position: Some(node.referenced.into()), value: settle(node, text)? }))
                .collect::<Result<_, _>>()?,
        ),
        Raw::Map(members) => Value::Map(
            members
                .into_iter()
                .map(|(name, value)| {
                    Ok(Member {
                        position: Some(name.referenced.into()),
                        name: name.value,
                        value: settle(value, text)?,
                    })
                })
                .collect::<Result<_, _>>()?,
        ),
    })
}

/// `1e3` is a whole number, as it is for kubectl.
#[allow(clippy::cast_possible_truncation, reason = "it is checked that nothing is cut off")]
fn number(value: f64) -> Option<serde_json::Number> {
    // Up to here every whole number is exact.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if value.fract() == 0.0 && value.abs() <= EXACT {
        Some((value as i64).into())
    } else {
        serde_json::Number::from_f64(value)
    }
}

/// `true`, `True` or `TRUE`.
fn is_one_case(word: &str) -> bool {
    let rest = word.get(1..).unwrap_or_default();
    let lower = |text: &str| text.bytes().all(|b| b.is_ascii_lowercase());
    lower(rest) || word.bytes().all(|b| b.is_ascii_uppercase())
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;

        impl<'de> Visitor<'de> for Any {
            type Value = Raw;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a document")
            }

            fn visit_unit<E>(self) -> Result<Raw, E> {
                Ok(Raw::Null)
            }

            fn visit_bool<E>(self, value: bool) -> Result<Raw, E> {
                Ok(Raw::Bool(value))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Raw, E> {
                Ok(Raw::Integer(value.into()))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Raw, E> {
                Ok(Raw::Integer(value.into()))
            }

            fn visit_f64<E>(self, value: f64) -> Result<Raw, E> {
                Ok(Raw::Float(value))
            }

            fn visit_str<E>(self, text: &str) -> Result<Raw, E> {
                Ok(Raw::String(text.to_owned()))
            }

            fn visit_string<E>(self, text: String) -> Result<Raw, E> {
                Ok(Raw::String(text))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Raw, A::Error> {
                let mut nodes = Vec::new();
                while let Some(node) = list.next_element()? {
                    nodes.push(node);
                }
                Ok(Raw::List(nodes))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Raw, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Raw::Map(members))
            }
        }

        deserializer.deserialize_any(Any)
    }
}

#[cfg(test)]
mod tests;
