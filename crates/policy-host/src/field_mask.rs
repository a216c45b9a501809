//! Field masks: which parts of an object a guest asked for.

use std::collections::BTreeMap;

use serde_json::Value;

/// What the host does with the `field_masks` of a request.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum FieldMasks {
    /// As policy-server does: `apiVersion`, `kind` and `metadata` always come whole, because it keeps them apart
    /// from the value that it prunes. Everything else is pruned.
    #[default]
    AsPolicyServer,
    /// The mask decides about everything, `metadata` included. A guest that works with this asks for all that it reads.
    Literal,
    /// Whole objects, as from a policy-server that is too old to know the field.
    Ignored,
}

/// Dotted paths as a tree. A node without children stands for everything below it.
#[derive(Debug, Default)]
pub(crate) struct Mask<'a> {
    children: BTreeMap<&'a str, Mask<'a>>,
}

impl<'a> Mask<'a> {
    pub(crate) fn new(paths: impl IntoIterator<Item = &'a String>) -> Self {
        let mut root = Self::default();
        for path in paths {
            let mut node = &mut root;
            for part in path.split('.') {
                node = node.children.entry(part).or_default();
            }
        }
        root
    }

    /// Removes what the mask does not name. Arrays are looked through, as if their elements stood in their place.
    ///
    /// Longer paths win: `metadata` beside `metadata.name` keeps the name only. That is what policy-server's tree
    /// does, too.
    pub(crate) fn prune(&self, value: &mut Value) {
        if self.children.is_empty() {
            return;
        }
        match value {
            Value::Object(fields) => fields.retain(|name, field| {
                let child = self.children.get(name.as_str());
                if let Some(child) = child {
                    child.prune(field);
                }
                child.is_some()
            }),
            Value::Array(elements) => elements.iter_mut().for_each(|element| self.prune(element)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(mask: &[&str], mut value: Value, expected: Value) {
        let paths: Vec<String> = mask.iter().map(|path| (*path).to_owned()).collect();
        Mask::new(&paths).prune(&mut value);
        assert_eq!(value, expected);
    }

    #[test]
    fn an_empty_mask_keeps_everything() {
        check(&[], json!({"a": {"b": 1}}), json!({"a": {"b": 1}}));
    }

    #[test]
    fn a_path_keeps_everything_below_it() {
        check(&["a"], json!({"a": {"b": 1, "c": [2]}, "d": 3}), json!({"a": {"b": 1, "c": [2]}}));
    }

    #[test]
    fn arrays_are_looked_through() {
        check(
            &["list.name"],
            json!({"list": [{"name": "x", "age": 1}, {"age": 2}, 3]}),
            json!({"list": [{"name": "x"}, {}, 3]}),
        );
    }

    #[test]
    fn longer_paths_win() {
        check(&["a", "a.b"], json!({"a": {"b": 1, "c": 2}}), json!({"a": {"b": 1}}));
    }

    #[test]
    fn a_path_into_a_scalar_keeps_the_scalar() {
        check(&["a.b"], json!({"a": "text"}), json!({"a": "text"}));
    }
}
