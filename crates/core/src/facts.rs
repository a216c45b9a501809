//! What a host looked up.

use alloc::boxed::Box;
use alloc::string::String;

use crate::error::{Fault, ReadError};
use crate::json::{Arena, Scanner, members};
use crate::mapping::Mapping;
use crate::pod::{Metadata, StringMap};

/// An object that a decision needs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Lookup<'l> {
    /// A service account.
    ServiceAccount {
        /// A valid name.
        namespace: &'l str,
        /// A valid name.
        name: &'l str,
    },
    /// The config map that holds the mapping.
    ConfigMap {
        /// A valid name.
        namespace: &'l str,
        /// A valid name.
        name: &'l str,
        /// The key of its data that holds the mapping.
        key: &'l str,
    },
}

/// What a look-up gave.
#[derive(Clone, Debug)]
pub enum Found<T> {
    /// The object.
    There(T),
    /// The object is not there: the API server said so.
    NotThere,
    /// Nobody knows.
    Unknown(Unknown),
}

/// Why a look-up gave nothing.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Unknown {
    /// What went wrong, as the host was told.
    pub reason: String,
    /// What to do about it, such as which right to grant.
    pub remedy: &'static str,
}

/// What the host has found so far.
#[derive(Clone, Debug, Default)]
pub struct Facts<'a> {
    /// The pod's service account.
    pub service_account: Option<Found<ServiceAccount<'a>>>,
    /// The mapping's config map.
    pub config_map: Option<Found<ConfigMap<'a>>>,
}

/// What is read of a service account.
#[derive(Clone, Debug)]
pub struct ServiceAccount<'a> {
    pub(crate) annotations: StringMap<'a>,
}

impl<'a> ServiceAccount<'a> {
    /// A service account of which a host holds the annotations, each key once.
    pub fn from_annotations(annotations: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        Self { annotations: annotations.collect() }
    }

    /// Reads a service account that was looked up.
    ///
    /// # Errors
    ///
    /// When it is not the one that was asked for.
    pub fn read(
        text: &'a str,
        namespace: &str,
        name: &str,
        arena: &'a Arena,
    ) -> Result<Self, Box<ReadError>> {
        let (kind, metadata, _) = read_object(text, "", arena)?;
        if kind == Some("ServiceAccount")
            && metadata.namespace == Some(namespace)
            && metadata.name == Some(name)
        {
            Ok(Self { annotations: metadata.annotations })
        } else {
            Err(ReadError::new(Fault::Missing { what: "the service account that was asked for" }))
        }
    }
}

/// The mapping in a config map.
#[derive(Clone, Debug)]
pub struct ConfigMap<'a> {
    /// What is under the key.
    pub(crate) document: Mapping<'a>,
}

impl<'a> From<Mapping<'a>> for ConfigMap<'a> {
    /// For a host that keeps what is under the key.
    fn from(document: Mapping<'a>) -> Self {
        Self { document }
    }
}

impl<'a> ConfigMap<'a> {
    /// Reads a config map that was looked up; `None` when it does not have the key. A host that was asked for
    /// the data alone may leave out which config map it is.
    ///
    /// # Errors
    ///
    /// When it is not the one that was asked for.
    pub fn read(
        text: &'a str,
        namespace: &str,
        name: &str,
        key: &str,
        arena: &'a Arena,
    ) -> Result<Option<Self>, Box<ReadError>> {
        let (kind, metadata, document) = read_object(text, key, arena)?;
        let is = |found: Option<&str>, wanted: &str| found.is_none_or(|found| found == wanted);
        if is(kind, "ConfigMap") && is(metadata.namespace, namespace) && is(metadata.name, name) {
            Ok(document.map(|document| Self { document: Mapping::Text(document) }))
        } else {
            Err(ReadError::new(Fault::Missing { what: "the config map that was asked for" }))
        }
    }
}

members!(ObjectMember { Kind: "kind", Metadata: "metadata", Data: "data" });

/// Its kind, its metadata, and what its data holds under a key.
type Object<'a> = (Option<&'a str>, Metadata<'a>, Option<&'a str>);

fn read_object<'a>(text: &'a str, key: &str, arena: &'a Arena) -> Result<Object<'a>, Box<ReadError>> {
    let mut s = Scanner::new(text, arena);
    let (mut kind, mut metadata, mut document) = (None, Metadata::default(), None);
    if let Some(mut members) = s.object(ObjectMember::NAMES) {
        while let Some(member) = members.next(&mut s).and_then(ObjectMember::at) {
            match member {
                ObjectMember::Kind => kind = s.optional_string(),
                ObjectMember::Metadata => metadata = Metadata::read(&mut s),
                ObjectMember::Data => document = read_data(&mut s, key),
            }
        }
    }
    s.result((kind, metadata, document))
}

fn read_data<'a>(s: &mut Scanner<'a>, wanted: &str) -> Option<&'a str> {
    let mut document = None;
    let mut members = s.object(&[])?;
    while let Some(key) = members.next_any(s) {
        if key != wanted {
            s.skip();
        } else if document.is_some() {
            s.fail(Fault::Duplicate);
        } else {
            document = Some(s.text());
        }
    }
    document
}
