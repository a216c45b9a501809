//! The lists of the settings, kept as text until they are needed.

use alloc::borrow::ToOwned;
use alloc::vec::Vec;

use crate::glob::Glob;
use crate::json::{Arena, Elements, Scanner, Value, members};
use crate::values;

use super::{Object, Place, Problems, Take, expected};

/// Who is given container credentials: pairs of globs.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Identities<'a>(Option<&'a str>);

/// Which roles may be given in which namespaces.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct AllowedRoles<'a>(&'a str);

members!(IdentityMember { Namespace: "namespace", ServiceAccount: "serviceAccount" });

members!(RuleMember { Namespaces: "namespaces", Roles: "roles" });

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
        let found = self.read(Some((namespace, service_account)), &mut problems, arena);
        if problems.is_empty() { Ok(found) } else { Err(problems) }
    }

    pub(super) fn check(&self, problems: &mut Problems, arena: &'a Arena) {
        self.read(None, problems, arena);
    }

    /// Reads every entry; whether one of them is about a namespace and a service account.
    fn read(&self, wanted: Option<(&str, &str)>, problems: &mut Problems, arena: &'a Arena) -> bool {
        const LIST: Place<'_> =
            Place::Member(&Place::Member(&Place::Root, "containerCredentials"), "identities");
        let Some(array) = self.0 else { return false };
        let mut found = false;
        let mut array = Array::new(array, &LIST, arena);
        while let Some((place, value)) = array.next() {
            let Some(object) = required_object(value, &place, problems) else { continue };
            let (mut namespace, mut name) = (Some(None), Some(None));
            let mut object = Object::new(object, arena);
            while let Some((i, place, value)) = object.next_known(IdentityMember::NAMES, &place, problems) {
                let before = problems.len();
                let text = Take { place: &place, problems }.optional_text(value, |_| true, "a glob");
                let text = (problems.len() == before).then_some(text);
                match IdentityMember::at(i) {
                    Some(IdentityMember::Namespace) => namespace = text,
                    _ => name = text,
                }
            }
            object.report(&place, problems);
            let namespace_place = place.member("namespace");
            let name_place = place.member("serviceAccount");
            let namespace = glob(namespace, &namespace_place, problems);
            let name = glob(name, &name_place, problems);
            for (place, valid) in [
                (&namespace_place, namespace.is_none_or(Glob::is_namespace)),
                (&name_place, name.is_none_or(Glob::is_service_account)),
            ] {
                if !valid {
                    problems.add(place, "expected a name, or a glob".to_owned());
                }
            }
            if let (Some(namespace), Some(name)) = (namespace, name) {
                found |= wanted.is_some_and(|wanted| namespace.matches(wanted.0) && name.matches(wanted.1));
            }
        }
        array.report(problems);
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
        let allowed = self.read(Some((namespace, role)), &mut problems, arena);
        if problems.is_empty() { Ok(allowed) } else { Err(problems) }
    }

    pub(super) fn check(&self, problems: &mut Problems, arena: &'a Arena) {
        self.read(None, problems, arena);
    }

    /// Reads every rule; whether one of them is about a namespace and a role.
    fn read(&self, wanted: Option<(&str, &str)>, problems: &mut Problems, arena: &'a Arena) -> bool {
        const LIST: Place<'_> = Place::Member(&Place::Root, "allowedRoles");
        let mut allowed = false;
        let mut array = Array::new(self.0, &LIST, arena);
        while let Some((place, value)) = array.next() {
            let Some(object) = required_object(value, &place, problems) else { continue };
            let (mut namespaces, mut roles) = (Some(None), Some(None));
            let mut object = Object::new(object, arena);
            while let Some((i, place, value)) = object.next_known(RuleMember::NAMES, &place, problems) {
                let before = problems.len();
                let array = Take { place: &place, problems }.array(value);
                let array = (problems.len() == before).then_some(array);
                match RuleMember::at(i) {
                    Some(RuleMember::Namespaces) => namespaces = array,
                    _ => roles = array,
                }
            }
            object.report(&place, problems);
            let (namespace, role) = wanted.unzip();
            let about_namespace =
                one_matches(namespaces, namespace, &place.member("namespaces"), problems, arena);
            let about_role = one_matches(roles, role, &place.member("roles"), problems, arena);
            allowed |= about_namespace && about_role;
        }
        array.report(problems);
        allowed
    }
}

pub(super) fn audiences<'a>(
    array: &'a str,
    place: &Place<'_>,
    problems: &mut Problems,
    arena: &'a Arena,
) -> Vec<&'a str> {
    let mut found = Vec::new();
    let mut array = Array::new(array, place, arena);
    while let Some((place, value)) = array.next() {
        match value {
            Value::String(text) if values::is_audience(text) => found.push(text),
            value => problems.add(&place, expected(values::AUDIENCE, &value)),
        }
    }
    array.report(problems);
    found
}

/// Whether one of the globs of a list matches. Reads all of them; `None` in place of the list was reported already.
fn one_matches<'a>(
    globs: Option<Option<&'a str>>,
    wanted: Option<&str>,
    place: &Place<'_>,
    problems: &mut Problems,
    arena: &'a Arena,
) -> bool {
    let Some(globs) = globs else { return false };
    let Some(globs) = globs else {
        problems.add(place, "expected a list of globs, found none".to_owned());
        return false;
    };
    let mut found = false;
    let mut array = Array::new(globs, place, arena);
    while let Some((place, value)) = array.next() {
        match value {
            Value::String(text) => {
                let glob = glob(Some(Some(text)), &place, problems);
                found |= glob.is_some_and(|glob| wanted.is_some_and(|wanted| glob.matches(wanted)));
            }
            value => problems.add(&place, expected("a glob", &value)),
        }
    }
    array.report(problems);
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

/// An array that was passed over, and is read element by element.
struct Array<'p, 'a> {
    s: Scanner<'a>,
    elements: Option<Elements>,
    place: &'p Place<'p>,
}

impl<'p, 'a> Array<'p, 'a> {
    fn new(text: &'a str, place: &'p Place<'p>, arena: &'a Arena) -> Self {
        let mut s = Scanner::new(text, arena);
        let elements = s.array();
        Self { s, elements, place }
    }

    /// The next element, and where it stands.
    fn next(&mut self) -> Option<(Place<'p>, Value<'a>)> {
        let elements = self.elements.as_mut()?;
        if !elements.next(&mut self.s) {
            return None;
        }
        Some((self.place.index(elements.count() - 1), Value::read(&mut self.s)))
    }

    /// Reports that the array cannot be read.
    fn report(self, problems: &mut Problems) {
        if let Err(error) = self.s.result(()) {
            problems.add(self.place, error.message());
        }
    }
}
