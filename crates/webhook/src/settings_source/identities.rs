//! The file that says who is given container credentials, as the Go webhook reads it
//! (`--watch-container-credentials-config`).

use std::collections::HashMap;
use std::io;

use crate::document::{DocumentError, Position, Value};
use crate::files::Content;

use super::{read_document, unreadable};

/// What is read of an identity.
const FIELDS: [&str; 2] = ["namespace", "serviceAccount"];

/// The identities of a file.
pub(super) struct Identities {
    /// For the settings.
    pub(super) list: Value,
    /// Where they stand.
    pub(super) positions: HashMap<String, Position>,
}

impl Default for Identities {
    fn default() -> Self {
        Self { list: Value::List(Vec::new()), positions: HashMap::new() }
    }
}

/// Reads a file. One that is empty or not there holds none; fields that are not known are left out. The entries
/// themselves are for the core to check.
pub(super) fn read(content: &Content) -> Result<Identities, DocumentError> {
    let document = match content {
        Err(io::ErrorKind::NotFound) => return Ok(Identities::default()),
        Err(kind) => return Err(unreadable(*kind)),
        content => read_document(content)?,
    };
    let positions = document.positions();
    let wrong = |path: &str, message: &str| DocumentError {
        position: positions.get(path).copied(),
        message: message.to_owned(),
    };
    let members = match document.root() {
        Value::Null => return Ok(Identities::default()),
        Value::Map(members) => members,
        _ => return Err(wrong("", "expected an object with `identities`")),
    };
    let mut found = members.iter().filter(|member| member.name == "identities");
    let value = found.next().map(|member| member.value.clone());
    if found.next().is_some() {
        return Err(wrong("identities", "`identities` stands there twice, expected once"));
    }
    let mut list = match value {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::List(nodes)) => nodes,
        Some(_) => return Err(wrong("identities", "expected a list of identities")),
    };
    for node in &mut list {
        if let Value::Map(members) = &mut node.value {
            members.retain(|member| FIELDS.contains(&member.name.as_str()));
        }
    }
    Ok(Identities { list: Value::List(list), positions })
}
