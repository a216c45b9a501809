//! The lists of the settings, kept as text until they are needed.

use std::borrow::Cow;

use crate::error::ReadError;
use crate::glob::Glob;
use crate::json::{Scanner, Value};
use crate::values;

use super::{Place, Problems, Take, expected, object_fields};

/// Who is given container credentials: pairs of globs.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Identities<'a>(Option<&'a str>);

/// Which roles may be given in which namespaces.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct AllowedRoles<'a>(&'a str);

const IDENTITY_FIELDS: &[&str] = &["namespace", "serviceAccount"];
const RULE_FIELDS: &[&str] = &["namespaces", "roles"];

impl<'a> Identities<'a> {
    pub(super) fn new(array: Option<&'a str>) -> Self {
        Self(array)
    }

    /// Whether a service account is among them.
    ///
    /// # Errors
    ///
    /// When an entry is malformed.
    pub fn contain(&self, namespace: &str, service_account: &str) -> Result<bool, Problems> {
        let mut problems = Problems::default();
        let found = self.walk(&mut problems, &mut |ns, name| ns.matches(namespace) && name.matches(service_account));
        if problems.is_empty() { Ok(found) } else { Err(problems) }
    }

    pub(super) fn check(&self, problems: &mut Problems) {
        self.walk(problems, &mut |_, _| false);
    }

    /// Goes through the entries until one is wanted.
    fn walk(&self, problems: &mut Problems, wanted: &mut dyn FnMut(Glob<'_>, Glob<'_>) -> bool) -> bool {
        let Some(array) = self.0 else { return false };
        let outer = Place::Root.member("containerCredentials");
        let list = outer.member("identities");
        let mut found = false;
        each_element(array, &list, problems, &mut |value, place, problems| {
            let Some(object) = required_object(value, place, problems) else { return };
            let (mut namespace, mut name) = (None, None);
            object_fields(object, place, problems, IDENTITY_FIELDS, &mut |field, value, place, problems| {
                let text = Take { place, problems }.optional_text(value, |_| true, "a glob");
                *(if field == "namespace" { &mut namespace } else { &mut name }) = text;
            });
            let namespace = glob(namespace.as_deref(), &place.member("namespace"), problems);
            let name = glob(name.as_deref(), &place.member("serviceAccount"), problems);
            if let (Some(namespace), Some(name)) = (namespace, name) {
                found = found || wanted(namespace, name);
            }
        });
        found
    }
}

impl<'a> AllowedRoles<'a> {
    pub(super) fn new(array: &'a str) -> Self {
        Self(array)
    }

    /// Whether a role may be given in a namespace.
    ///
    /// # Errors
    ///
    /// When a rule is malformed.
    pub fn allow(&self, namespace: &str, role: &str) -> Result<bool, Problems> {
        let mut problems = Problems::default();
        let mut allowed = false;
        self.walk(&mut problems, &mut |namespaces, roles| {
            allowed = allowed || namespaces.iter().any(|n| n.matches(namespace)) && roles.iter().any(|r| r.matches(role));
        });
        if problems.is_empty() { Ok(allowed) } else { Err(problems) }
    }

    pub(super) fn check(&self, problems: &mut Problems) {
        self.walk(problems, &mut |_, _| {});
    }

    fn walk(&self, problems: &mut Problems, on_rule: &mut dyn FnMut(&[Glob<'_>], &[Glob<'_>])) {
        each_element(self.0, &Place::Root.member("allowedRoles"), problems, &mut |value, place, problems| {
            let Some(object) = required_object(value, place, problems) else { return };
            let (mut namespaces, mut roles) = (None, None);
            object_fields(object, place, problems, RULE_FIELDS, &mut |field, value, place, problems| {
                let array = Take { place, problems }.array(value);
                *(if field == "namespaces" { &mut namespaces } else { &mut roles }) = array;
            });
            let namespaces = texts(namespaces, &place.member("namespaces"), problems);
            let roles = texts(roles, &place.member("roles"), problems);
            on_rule(
                &globs(&namespaces, &place.member("namespaces"), problems),
                &globs(&roles, &place.member("roles"), problems),
            );
        });
    }
}

pub(super) fn audiences<'a>(array: &'a str, place: &Place<'_>, problems: &mut Problems) -> Vec<Cow<'a, str>> {
    let mut found = Vec::new();
    each_element(array, place, problems, &mut |value, place, problems| match value {
        Value::String(text) if values::is_audience(&text) => found.push(text),
        value => problems.add(place, expected(super::AUDIENCE, &value)),
    });
    found
}

fn texts<'a>(array: Option<&'a str>, place: &Place<'_>, problems: &mut Problems) -> Vec<Cow<'a, str>> {
    let mut found = Vec::new();
    match array {
        Some(array) => each_element(array, place, problems, &mut |value, place, problems| match value {
            Value::String(text) => found.push(text),
            value => problems.add(place, expected("a glob", &value)),
        }),
        None => problems.add(place, "expected a list of globs, found none".to_owned()),
    }
    found
}

fn globs<'t>(texts: &'t [Cow<'_, str>], place: &Place<'_>, problems: &mut Problems) -> Vec<Glob<'t>> {
    texts.iter().enumerate().filter_map(|(i, text)| glob(Some(text), &place.index(i), problems)).collect()
}

fn glob<'t>(text: Option<&'t str>, place: &Place<'_>, problems: &mut Problems) -> Option<Glob<'t>> {
    match text.map(Glob::parse) {
        Some(Ok(glob)) => Some(glob),
        Some(Err(error)) => {
            problems.add(place, error.to_string());
            None
        }
        None => {
            problems.add(place, "expected a glob, found none".to_owned());
            None
        }
    }
}

fn required_object<'a>(value: Value<'a>, place: &Place<'_>, problems: &mut Problems) -> Option<&'a str> {
    match value {
        Value::Object(text) => Some(text),
        value => {
            problems.add(place, expected("an object", &value));
            None
        }
    }
}

fn each_element<'a>(
    array: &'a str,
    place: &Place<'_>,
    problems: &mut Problems,
    on_element: &mut dyn FnMut(Value<'a>, &Place<'_>, &mut Problems),
) {
    let mut s = Scanner::new(array);
    let mut walk = || -> Result<(), ReadError> {
        if let Some(mut elements) = s.array()? {
            while elements.next(&mut s)? {
                let value = Value::read(&mut s)?;
                on_element(value, &place.index(elements.count() - 1), problems);
            }
        }
        Ok(())
    };
    if let Err(error) = walk() {
        problems.add(place, error.to_string());
    }
}
