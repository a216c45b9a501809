//! The mapping from service accounts to roles: keys, which of them wins, and entries.
//!
//! The document stays text. A look-up passes over it once, or asks an [`Index`] where to look, and reads only the
//! entries that match.

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::cmp::Reverse;

use crate::ascii;
use crate::error::{Fault, ReadError};
use crate::glob::{Glob, GlobError};
use crate::json::{Arena, Scanner, Value, holds_wildcard};
use crate::message::{message, number};
use crate::settings::{Object, Place, Problems, Settings, repeated};

mod entry;
// A guest lives for one call: the index would take longer than the look-up, and kilobytes of the module.
#[cfg(not(target_arch = "wasm32"))]
mod index;
mod template;
pub use entry::Entry;
pub(crate) use entry::Notices;
#[cfg(not(target_arch = "wasm32"))]
pub use index::Index;
pub use template::Variables;

/// Entries that a mapping may have.
pub const MAX_ENTRIES: usize = 100_000;
/// Where the settings' mapping stands.
const MAPPING: Place<'_> = Place::Member(&Place::Root, "mapping");
const TOO_MANY: Fault = Fault::TooMany { what: "entries", limit: MAX_ENTRIES };

/// A document with entries.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mapping<'a> {
    /// To be passed over for each look-up.
    Text(&'a str),
    /// For many look-ups.
    #[cfg(not(target_arch = "wasm32"))]
    Index(&'a Index<'a>),
}

impl<'a> Mapping<'a> {
    /// The document, an object in JSON.
    #[must_use]
    pub fn text(self) -> &'a str {
        match self {
            Self::Text(text) => text,
            #[cfg(not(target_arch = "wasm32"))]
            Self::Index(index) => index.text(),
        }
    }
}

/// A key: a glob for the namespace and one for the service account.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Key<'k> {
    text: &'k str,
    namespace: Glob<'k>,
    service_account: Glob<'k>,
}

/// Why a key is none.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum KeyError {
    /// There is not exactly one `/`.
    Slash,
    /// One of the sides is no glob.
    Glob(GlobError),
    /// The namespace could never match: it holds what no name of a namespace holds.
    Namespace,
    /// The service account could never match.
    ServiceAccount,
}

impl KeyError {
    /// What was expected.
    #[must_use]
    pub fn message(self) -> &'static str {
        match self {
            Self::Slash => "expected a key `namespace/serviceaccount`",
            Self::Glob(error) => error.message(),
            Self::Namespace => "expected the name of a namespace, or a glob, before the `/`",
            Self::ServiceAccount => "expected the name of a service account, or a glob, after the `/`",
        }
    }
}

impl<'k> Key<'k> {
    /// Reads `namespace/serviceaccount`.
    ///
    /// # Errors
    ///
    /// When it is malformed, or could never match.
    pub fn parse(text: &'k str) -> Result<Self, KeyError> {
        let (namespace, service_account) = ascii::cut(text, b'/').ok_or(KeyError::Slash)?;
        if ascii::holds(service_account, b"/") {
            return Err(KeyError::Slash);
        }
        let key = Self {
            text,
            namespace: Glob::parse(namespace).map_err(KeyError::Glob)?,
            service_account: Glob::parse(service_account).map_err(KeyError::Glob)?,
        };
        if !key.namespace.is_namespace() {
            return Err(KeyError::Namespace);
        }
        if !key.service_account.is_service_account() {
            return Err(KeyError::ServiceAccount);
        }
        Ok(key)
    }

    fn matches(&self, namespace: &str, service_account: &str) -> bool {
        self.namespace.matches(namespace) && self.service_account.matches(service_account)
    }

    /// A pair that it matches, to fill templates with.
    fn pair(&self) -> Pair<'k> {
        let or = |glob: Glob<'k>, name| if glob.is_exact() { glob.text() } else { name };
        Pair { namespace: or(self.namespace, "n"), service_account: or(self.service_account, "s") }
    }

    /// The smaller, the better: class, then more literal characters, then the smaller text.
    fn rank(&self) -> (u8, Reverse<usize>, &'k str) {
        let class = match (self.namespace.is_exact(), self.service_account.is_exact()) {
            (true, true) => 0,
            (true, false) => 1,
            (false, true) => 2,
            (false, false) => 3,
        };
        (class, Reverse(self.namespace.literal_length() + self.service_account.literal_length()), self.text)
    }
}

/// Who an entry is looked up for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Pair<'p> {
    pub(crate) namespace: &'p str,
    pub(crate) service_account: &'p str,
}

impl Pair<'_> {
    /// The key that is about it alone.
    fn own_key(&self) -> String {
        message("{=}/{=}", &[self.namespace, self.service_account])
    }
}

/// The entry of the settings' mapping that a service account is served by.
///
/// # Errors
///
/// When an entry that matches is malformed.
pub(crate) fn find_in_settings<'a>(
    settings: &Settings<'a>,
    pair: Pair<'_>,
    arena: &'a Arena,
) -> Result<Option<Box<Entry<'a>>>, Problems> {
    let Some(document) = settings.mapping else { return Ok(None) };
    let mut problems = Problems::default();
    let found = best(document, pair, arena, &mut |key, value| match value {
        Ok(value) => {
            Entry::read_settings(key, value, settings, pair, &MAPPING.member(key), &mut problems, arena)
        }
        // It matches nothing. Whoever validates the settings says so.
        Err(_) => None,
    });
    match found {
        Ok(found) if problems.is_empty() => Ok(found),
        Ok(_) => Err(problems),
        Err(error) => {
            problems.add(&MAPPING, error.message());
            Err(problems)
        }
    }
}

/// The entry of a config map's mapping that a service account is served by. Malformed entries are left out, and
/// that is noted, as is what is ignored in the others.
///
/// # Errors
///
/// When the document as a whole is malformed.
pub(crate) fn find_in_config_map<'a>(
    document: Mapping<'a>,
    settings: &Settings<'a>,
    pair: Pair<'_>,
    notices: &mut Notices,
    arena: &'a Arena,
) -> Result<Option<Box<Entry<'a>>>, Box<ReadError>> {
    // An empty document is an empty mapping: that is how a config map starts its life.
    if document.text().trim().is_empty() {
        return Ok(None);
    }
    best(document, pair, arena, &mut |key, value| match value {
        Ok(value) => Entry::read_config_map(key, value, settings, pair, notices, arena),
        Err(error) => {
            notices.left_out(key, error.message());
            None
        }
    })
}

/// What is made of a key that matches, or that is malformed.
type OnMatch<'f, 'a> = &'f mut dyn FnMut(&'a str, Result<Value<'a>, KeyError>) -> Option<Box<Entry<'a>>>;

fn best<'a>(
    mapping: Mapping<'a>,
    pair: Pair<'_>,
    arena: &'a Arena,
    on_match: OnMatch<'_, 'a>,
) -> Result<Option<Box<Entry<'a>>>, Box<ReadError>> {
    let best = Best { pair, entry: None };
    match mapping {
        Mapping::Text(text) => best.in_text(text, arena, on_match),
        #[cfg(not(target_arch = "wasm32"))]
        Mapping::Index(index) => best.in_index(index, arena, on_match),
    }
}

/// The best of the entries so far.
struct Best<'p, 'a> {
    pair: Pair<'p>,
    entry: Option<Box<Entry<'a>>>,
}

impl<'a> Best<'_, 'a> {
    fn in_text(
        mut self,
        object: &'a str,
        arena: &'a Arena,
        on_match: OnMatch<'_, 'a>,
    ) -> Result<Option<Box<Entry<'a>>>, Box<ReadError>> {
        let mut s = Scanner::new(object, arena);
        let mut count = 0;
        let Some(mut members) = s.object(&[]) else { return s.result(None) };
        let own = self.pair.own_key();
        while let Some(key) = members.next_any(&mut s) {
            count += 1;
            // Most keys have no wildcard and are about another pair. What begins like the pair's own key is parsed,
            // so that somebody is told when it is malformed.
            let about_another = !holds_wildcard(key) && !key.starts_with(&own);
            if about_another && count <= MAX_ENTRIES {
                s.skip();
                count += s.skip_texts(own.as_bytes());
            }
            if count > MAX_ENTRIES {
                s.fail(TOO_MANY);
                break;
            }
            if !about_another {
                self.consider(key, &mut s, on_match);
            }
        }
        s.result(self.entry)
    }

    /// Takes an entry that matches and is better. The scanner stands before its value.
    fn consider(&mut self, key: &'a str, s: &mut Scanner<'a>, on_match: OnMatch<'_, 'a>) {
        let value = Value::read(s);
        match Key::parse(key) {
            Ok(parsed) if parsed.matches(self.pair.namespace, self.pair.service_account) => {
                let wins = match &self.entry {
                    Some(best) if best.key == key => {
                        s.fail(Fault::Duplicate);
                        false
                    }
                    Some(best) => Key::parse(best.key).map_or(true, |best| parsed.rank() < best.rank()),
                    None => true,
                };
                // Read even when it does not win, so that what is reported does not depend on the order.
                let entry = on_match(key, Ok(value));
                if wins && entry.is_some() {
                    self.entry = entry;
                }
            }
            Ok(_) => {}
            Err(error) => {
                on_match(key, Err(error));
            }
        }
    }
}

/// Reads every entry of the settings' mapping.
pub(crate) fn check<'a>(
    document: &'a str,
    settings: &Settings<'a>,
    problems: &mut Problems,
    arena: &'a Arena,
) {
    let mut entries = Object::new(document, arena);
    let mut count = 0;
    while let Some((key, value)) = entries.next() {
        count += 1;
        let place = MAPPING.member(key);
        match Key::parse(key) {
            Ok(parsed) => {
                let pair = parsed.pair();
                Entry::read_settings(key, value, settings, pair, &place, problems, arena);
            }
            Err(error) => problems.add(&place, error.message().to_owned()),
        }
    }
    if count > MAX_ENTRIES {
        problems
            .add(&MAPPING, message("too many entries: expected at most {=}", &[&number(MAX_ENTRIES as u64)]));
    }
    entries.report(&MAPPING, problems);
}

/// What there is to say of a config map's mapping, whoever is looked up in it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ConfigMapCheck {
    /// How many entries it has, those that are left out included.
    pub entries: usize,
    /// How many problems there are: entries that are left out, fields that are ignored.
    pub problems: usize,
    /// The first of them, ready to be shown.
    pub notices: Vec<String>,
}

impl ConfigMapCheck {
    /// Problems that are told of.
    pub const NOTICES: usize = 100;
}

/// Reads every entry of a config map's mapping, as a decision would read those that match.
///
/// # Errors
///
/// When the document as a whole is malformed.
pub fn check_config_map<'a>(
    document: &'a str,
    settings: &Settings<'a>,
    arena: &'a Arena,
) -> Result<ConfigMapCheck, String> {
    let mut check = ConfigMapCheck::default();
    if document.trim().is_empty() {
        return Ok(check);
    }
    let mut entries = Object::new(document, arena);
    while let Some((key, value)) = entries.next() {
        let mut notices = Notices::default();
        match Key::parse(key) {
            Ok(parsed) => {
                Entry::read_config_map(key, value, settings, parsed.pair(), &mut notices, arena);
            }
            Err(error) => notices.left_out(key, error.message()),
        }
        check.problems += notices.0.len();
        let room = ConfigMapCheck::NOTICES.saturating_sub(check.notices.len());
        check.notices.extend(notices.0.into_iter().take(room));
    }
    let keys = entries.names().map_err(|error| error.message())?;
    check.entries = keys.len();
    if check.entries > MAX_ENTRIES {
        return Err(ReadError::new(Fault::TooMany { what: "entries", limit: MAX_ENTRIES }).message());
    }
    match repeated(keys).first() {
        Some(key) => Err(message("entry `{}` stands there twice, expected once", &[key])),
        None => Ok(check),
    }
}

/// Templates of the settings' mapping in which two different pairs can give the same role, each with what is
/// ambiguous about it.
#[must_use]
pub fn ambiguous_templates<'a>(settings: &Settings<'a>, arena: &'a Arena) -> Problems {
    let mut found = Problems::default();
    if let Some(document) = settings.mapping {
        let mut entries = Object::new(document.text(), arena);
        while let Some((key, value)) = entries.next() {
            let Ok(parsed) = Key::parse(key) else { continue };
            if parsed.namespace.is_exact() || parsed.service_account.is_exact() {
                continue;
            }
            entry::each_role(value, arena, &mut |role| {
                if template::is_ambiguous(role) {
                    found.add(
                        &MAPPING.member(key),
                        "two service accounts can be given the same role: put a character that no name holds, such as `_` or `/`, between `{namespace}` and `{serviceAccount}`".to_owned(),
                    );
                }
            });
        }
    }
    found
}
