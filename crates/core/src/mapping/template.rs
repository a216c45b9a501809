//! Roles with `{namespace}`, `{serviceAccount}` and the settings' variables in them.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;

use crate::ascii::{cut, holds};
use crate::json::{Arena, Value};
use crate::message::message;
use crate::settings::{Object, Place, Problems, expected};
use crate::values;

use super::Pair;

/// The variables of the settings, kept as text.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Variables<'a>(Option<&'a str>);

impl<'a> Variables<'a> {
    pub(crate) fn new(object: Option<&'a str>) -> Self {
        Self(object)
    }

    fn value(&self, wanted: &str, arena: &'a Arena) -> Option<&'a str> {
        let mut found = None;
        if let Some(object) = self.0 {
            let mut object = Object::new(object, arena);
            while let Some((name, value)) = object.next() {
                if name == wanted {
                    found = text(value);
                }
            }
            object.names().ok()?;
        }
        found
    }

    pub(crate) fn check(&self, problems: &mut Problems, arena: &'a Arena) {
        let Some(object) = self.0 else { return };
        const VARIABLES: Place<'_> = Place::Member(&Place::Root, "variables");
        let mut object = Object::new(object, arena);
        while let Some((name, value)) = object.next() {
            let place = VARIABLES.member(name);
            if !values::is_variable_name(name) {
                problems.add(
                    &place,
                    "expected a name of letters and digits that begins with a letter".to_owned(),
                );
            } else if matches!(name, "namespace" | "serviceAccount") {
                problems.add(&place, "expected another name: this one stands for the pod's own".to_owned());
            } else if text(value).is_none() {
                problems.add(&place, expected("a string", &value));
            }
        }
        object.report(&VARIABLES, problems);
    }
}

/// An account id that YAML reads as a number is meant as it is written.
fn text(value: Value<'_>) -> Option<&str> {
    match value {
        Value::String(text) | Value::Number(text) => Some(text),
        _ => None,
    }
}

/// Why a template has no value.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum TemplateError {
    /// A name that nothing stands for.
    Unknown(String),
    /// A brace without its other half.
    Brace,
}

impl TemplateError {
    pub(crate) fn message(&self) -> String {
        match self {
            Self::Unknown(name) => {
                let expected = "expected `{namespace}`, `{serviceAccount}` or a name from `variables`";
                message("{=}, found `{{}}`", &[expected, name])
            }
            Self::Brace => "expected a name between `{` and `}`".to_owned(),
        }
    }
}

/// Puts values in place of names.
pub(crate) fn expand<'t>(
    template: &'t str,
    variables: &Variables<'t>,
    pair: Pair<'_>,
    arena: &'t Arena,
) -> Result<&'t str, TemplateError> {
    if !holds(template, b"{}") {
        return Ok(template);
    }
    let mut out = String::with_capacity(template.len() + 32);
    let mut rest = template;
    while let Some((before, after)) = cut(rest, b'{') {
        let (name, behind) = cut(after, b'}').ok_or(TemplateError::Brace)?;
        if holds(before, b"}") || holds(name, b"{") {
            return Err(TemplateError::Brace);
        }
        out.push_str(before);
        match name {
            "namespace" => out.push_str(pair.namespace),
            "serviceAccount" => out.push_str(pair.service_account),
            name => {
                out.push_str(
                    variables.value(name, arena).ok_or_else(|| TemplateError::Unknown(name.to_owned()))?,
                );
            }
        }
        rest = behind;
    }
    if holds(rest, b"}") {
        return Err(TemplateError::Brace);
    }
    out.push_str(rest);
    Ok(arena.keep(&out))
}

/// Whether two different pairs can give the same role, although both names are in the template: nothing but
/// characters that both kinds of names may hold is between them. A dot is enough to tell them apart, for no
/// namespace holds one.
pub(super) fn is_ambiguous(template: &str) -> bool {
    let mut parts = Vec::new();
    let mut rest = template;
    while let Some((before, after)) = cut(rest, b'{') {
        let Some((name, behind)) = cut(after, b'}') else { return false };
        parts.push((before, name));
        rest = behind;
    }
    let is_name = |name: &str| matches!(name, "namespace" | "serviceAccount");
    let separable = |between: &str| !between.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'));
    let both =
        ["namespace", "serviceAccount"].iter().all(|wanted| parts.iter().any(|(_, name)| name == wanted));
    let mut ambiguous = false;
    let mut previous: Option<&str> = None;
    for (between, name) in parts {
        if let Some(previous) = previous
            && is_name(previous)
            && is_name(name)
            && previous != name
        {
            if separable(between) {
                return false;
            }
            ambiguous = true;
        }
        previous = Some(name);
    }
    both && ambiguous
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAIR: Pair<'static> = Pair { namespace: "pay", service_account: "api" };

    #[test]
    fn templates() {
        let arena = Arena::default();
        let variables = Variables(Some(r#"{"cluster":"prod-1","account":111122223333}"#));
        for (template, expected) in [
            ("plain", Ok("plain")),
            ("{namespace}-{serviceAccount}", Ok("pay-api")),
            ("{cluster}/{account}", Ok("prod-1/111122223333")),
            ("{nope}", Err(TemplateError::Unknown("nope".into()))),
            ("{}", Err(TemplateError::Unknown(String::new()))),
            ("{namespace", Err(TemplateError::Brace)),
            ("namespace}", Err(TemplateError::Brace)),
            ("{{namespace}}", Err(TemplateError::Brace)),
            ("}{namespace}", Err(TemplateError::Brace)),
        ] {
            assert_eq!(expand(template, &variables, PAIR, &arena), expected, "{template}");
        }
    }

    #[test]
    fn ambiguity() {
        for (template, expected) in [
            ("{namespace}-{serviceAccount}", true),
            ("{serviceAccount}-{namespace}", true),
            ("{namespace}{serviceAccount}", true),
            ("{namespace}-sa-{serviceAccount}", true),
            ("{namespace}_{serviceAccount}", false),
            ("{namespace}/{serviceAccount}", false),
            ("{namespace}.{serviceAccount}", false),
            ("{serviceAccount}.{namespace}", false),
            ("{namespace}", false),
            ("{serviceAccount}", false),
            ("fixed", false),
        ] {
            assert_eq!(is_ambiguous(template), expected, "{template}");
        }
    }
}
