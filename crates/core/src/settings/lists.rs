//! The lists of the settings, kept as text until they are needed.

use alloc::borrow::ToOwned;
use alloc::vec::Vec;

use crate::glob::Glob;
use crate::json::{Arena, Scanner, Value};
use crate::values;

use super::{Place, Problems, Take, expected, fields};

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
    pub fn contain(
        &self,
        namespace: &str,
        service_account: &str,
        arena: &'a Arena,
    ) -> Result<bool, Problems> {
        let mut problems = Problems::default();
        let found = self.walk(&mut problems, arena, &mut |ns, name| {
            ns.matches(namespace) && name.matches(service_account)
        });
        if problems.is_empty() { Ok(found) } else { Err(problems) }
    }

    pub(super) fn check(&self, problems: &mut Problems, arena: &'a Arena) {
        self.walk(problems, arena, &mut |_, _| false);
    }

    /// Goes through the entries until one is wanted.
    fn walk(
        &self,
        problems: &mut Problems,
        arena: &'a Arena,
        wanted: &mut dyn FnMut(Glob<'_>, Glob<'_>) -> bool,
    ) -> bool {
        let Some(array) = self.0 else { return false };
        let outer = Place::Root.member("containerCredentials");
        let list = outer.member("identities");
        let mut found = false;
        each_element(array, &list, problems, arena, &mut |value, place, problems| {
            let Some(object) = required_object(value, place, problems) else { return };
            let (mut namespace, mut name) = (Some(None), Some(None));
            fields(object, place, problems, IDENTITY_FIELDS, arena, &mut |field, value, place, problems| {
                let before = problems.len();
                let text = Take { place, problems }.optional_text(value, |_| true, "a glob");
                let reported = problems.len() > before;
                *(if field == "namespace" { &mut namespace } else { &mut name }) =
                    (!reported).then_some(text);
            });
            let namespace = glob(namespace, &place.member("namespace"), problems);
            let name = glob(name, &place.member("serviceAccount"), problems);
            for (field, valid) in [
                ("namespace", namespace.is_none_or(Glob::is_namespace)),
                ("serviceAccount", name.is_none_or(Glob::is_service_account)),
            ] {
                if !valid {
                    problems.add(&place.member(field), "expected a name, or a glob".to_owned());
                }
            }
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
    pub fn allow(&self, namespace: &str, role: &str, arena: &'a Arena) -> Result<bool, Problems> {
        let mut problems = Problems::default();
        let mut allowed = false;
        self.walk(&mut problems, arena, &mut |namespaces, roles| {
            allowed = allowed
                || namespaces.iter().any(|n| n.matches(namespace)) && roles.iter().any(|r| r.matches(role));
        });
        if problems.is_empty() { Ok(allowed) } else { Err(problems) }
    }

    pub(super) fn check(&self, problems: &mut Problems, arena: &'a Arena) {
        self.walk(problems, arena, &mut |_, _| {});
    }

    fn walk(
        &self,
        problems: &mut Problems,
        arena: &'a Arena,
        on_rule: &mut dyn FnMut(&[Glob<'_>], &[Glob<'_>]),
    ) {
        each_element(
            self.0,
            &Place::Root.member("allowedRoles"),
            problems,
            arena,
            &mut |value, place, problems| {
                let Some(object) = required_object(value, place, problems) else { return };
                let (mut namespaces, mut roles) = (Some(None), Some(None));
                fields(object, place, problems, RULE_FIELDS, arena, &mut |field, value, place, problems| {
                    let before = problems.len();
                    let array = Take { place, problems }.array(value);
                    let reported = problems.len() > before;
                    *(if field == "namespaces" { &mut namespaces } else { &mut roles }) =
                        (!reported).then_some(array);
                });
                let namespaces = texts(namespaces, &place.member("namespaces"), problems, arena);
                let roles = texts(roles, &place.member("roles"), problems, arena);
                on_rule(
                    &globs(&namespaces, &place.member("namespaces"), problems),
                    &globs(&roles, &place.member("roles"), problems),
                );
            },
        );
    }
}

pub(super) fn audiences<'a>(
    array: &'a str,
    place: &Place<'_>,
    problems: &mut Problems,
    arena: &'a Arena,
) -> Vec<&'a str> {
    let mut found = Vec::new();
    each_element(array, place, problems, arena, &mut |value, place, problems| match value {
        Value::String(text) if values::is_audience(text) => found.push(text),
        value => problems.add(place, expected(values::AUDIENCE, &value)),
    });
    found
}

fn texts<'a>(
    array: Option<Option<&'a str>>,
    place: &Place<'_>,
    problems: &mut Problems,
    arena: &'a Arena,
) -> Vec<&'a str> {
    let mut found = Vec::new();
    match array {
        // Reported already.
        None => {}
        Some(Some(array)) => {
            each_element(array, place, problems, arena, &mut |value, place, problems| match value {
                Value::String(text) => found.push(text),
                value => problems.add(place, expected("a glob", &value)),
            })
        }
        Some(None) => problems.add(place, "expected a list of globs, found none".to_owned()),
    }
    found
}

fn globs<'t>(texts: &'t [&str], place: &Place<'_>, problems: &mut Problems) -> Vec<Glob<'t>> {
    let mut found = Vec::new();
    for (i, text) in texts.iter().enumerate() {
        found.extend(glob(Some(Some(text)), &place.index(i), problems));
    }
    found
}

/// `None` was reported already; `Some(None)` is absent.
fn glob<'t>(text: Option<Option<&'t str>>, place: &Place<'_>, problems: &mut Problems) -> Option<Glob<'t>> {
    match text?.map(Glob::parse) {
        Some(Ok(glob)) => Some(glob),
        Some(Err(error)) => {
            problems.add(place, error.message().to_owned());
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
    arena: &'a Arena,
    on_element: &mut dyn FnMut(Value<'a>, &Place<'_>, &mut Problems),
) {
    let mut s = Scanner::new(array, arena);
    if let Some(mut elements) = s.array() {
        while elements.next(&mut s) {
            let value = Value::read(&mut s);
            on_element(value, &place.index(elements.count() - 1), problems);
        }
    }
    if let Err(error) = s.result(()) {
        problems.add(place, error.message());
    }
}
