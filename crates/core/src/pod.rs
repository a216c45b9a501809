//! A borrowed view of a pod: the dozen fields that matter, and where in the text additions go.

use std::borrow::Cow;
use std::ops::Range;

use crate::error::{Fault, Inside, ReadError};
use crate::json::Scanner;
use crate::path::Os;

mod container;
mod scheduling;
mod volume;
pub(crate) use container::{Container, EnvState, Mount, Variable};
pub(crate) use volume::Volume;

/// Containers of all kinds that a pod may have.
pub(crate) const MAX_CONTAINERS: usize = 1000;

/// Where an object or an array stands in the text that is edited.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) enum Slot {
    /// There is none.
    #[default]
    Absent,
    /// There is a `null`, which counts as absent.
    Null(Range<usize>),
    /// There is one.
    Present(Bracket),
}

/// The closing bracket of an object or an array.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Bracket {
    /// The byte at which the closing bracket stands.
    pub(crate) close: usize,
    /// Nothing is inside, so that no comma is due.
    pub(crate) empty: bool,
}

impl Slot {
    pub(crate) fn null(s: &Scanner<'_>) -> Self {
        Self::Null(s.position() - "null".len()..s.position())
    }

    pub(crate) fn present(s: &Scanner<'_>, empty: bool) -> Self {
        Self::Present(Bracket { close: s.position() - 1, empty })
    }
}

/// Labels or annotations.
#[derive(Clone, Debug, Default)]
pub(crate) struct StringMap<'a> {
    entries: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    /// Where each entry stands, from the key's opening quote to the end of the value.
    spans: Vec<Range<usize>>,
    /// The byte of the opening brace.
    pub(crate) open: usize,
    pub(crate) slot: Slot,
}

impl<'a> StringMap<'a> {
    pub(crate) fn read(s: &mut Scanner<'a>) -> Result<Self, ReadError> {
        let mut map = Self::default();
        let Some(mut members) = s.object(&[])? else {
            map.slot = Slot::null(s);
            return Ok(map);
        };
        map.open = s.position() - 1;
        while let Some((key, start)) = members.next_any_at(s)? {
            // `null` is an empty string to Kubernetes.
            let value = s.optional_string()?.unwrap_or_default();
            map.entries.push((key, value));
            map.spans.push(start..s.position());
        }
        map.slot = Slot::present(s, members.is_empty());
        Ok(map)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &(Cow<'a, str>, Cow<'a, str>)> {
        self.entries.iter()
    }

    /// Each key with where its entry stands.
    pub(crate) fn spans(&self) -> impl Iterator<Item = (&str, &Range<usize>)> {
        self.entries.iter().map(|(key, _)| &**key).zip(&self.spans)
    }

    /// The value of a key.
    ///
    /// # Errors
    ///
    /// When the key is there twice.
    pub(crate) fn get(&self, key: &str) -> Result<Option<&Cow<'a, str>>, ReadError> {
        let mut values = self.entries.iter().filter(|(k, _)| k == key).map(|(_, value)| value);
        let value = values.next();
        match values.next() {
            Some(_) => Err(ReadError::new(Fault::Duplicate, 0)),
            None => Ok(value),
        }
    }
}

/// The metadata of an object.
#[derive(Clone, Debug, Default)]
pub(crate) struct Metadata<'a> {
    pub(crate) name: Option<Cow<'a, str>>,
    pub(crate) generate_name: Option<Cow<'a, str>>,
    pub(crate) namespace: Option<Cow<'a, str>>,
    pub(crate) labels: StringMap<'a>,
    pub(crate) annotations: StringMap<'a>,
    pub(crate) slot: Slot,
}

impl<'a> Metadata<'a> {
    pub(crate) fn read(s: &mut Scanner<'a>) -> Result<Self, ReadError> {
        let mut metadata = Self::default();
        let Some(mut members) = s.object(&["name", "generateName", "namespace", "labels", "annotations"])? else {
            metadata.slot = Slot::null(s);
            return Ok(metadata);
        };
        while let Some(field) = members.next(s)? {
            match field {
                "name" => metadata.name = name(s, field)?,
                "generateName" => metadata.generate_name = name(s, field)?,
                "namespace" => metadata.namespace = name(s, field)?,
                "labels" => metadata.labels = StringMap::read(s).inside(field)?,
                _ => metadata.annotations = StringMap::read(s).inside(field)?,
            }
        }
        metadata.slot = Slot::present(s, members.is_empty());
        Ok(metadata)
    }
}

/// A name; an empty one counts as absent.
pub(crate) fn name<'a>(s: &mut Scanner<'a>, field: &'static str) -> Result<Option<Cow<'a, str>>, ReadError> {
    Ok(s.optional_string().inside(field)?.filter(|name| !name.is_empty()))
}

/// What is read of a pod.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pod<'a> {
    pub(crate) metadata: Metadata<'a>,
    service_account_name: Option<Cow<'a, str>>,
    /// Deprecated, and still read by Kubernetes when the other is not there.
    service_account: Option<Cow<'a, str>>,
    scheduling: scheduling::Scheduling<'a>,
    pub(crate) init_containers: Vec<Container<'a>>,
    pub(crate) containers: Vec<Container<'a>>,
    pub(crate) ephemeral_containers: Vec<Container<'a>>,
    pub(crate) volumes: Vec<Volume<'a>>,
    pub(crate) volumes_slot: Slot,
    pub(crate) spec: Bracket,
    pub(crate) root: Bracket,
}

const SPEC: &[&str] = &[
    "serviceAccountName",
    "serviceAccount",
    "nodeSelector",
    "os",
    "affinity",
    "initContainers",
    "containers",
    "ephemeralContainers",
    "volumes",
];

impl<'a> Pod<'a> {
    /// Reads a pod. Offsets are bytes in `text`.
    pub(crate) fn read(text: &'a str) -> Result<Self, ReadError> {
        let mut s = Scanner::new(text);
        let mut pod = Self::default();
        let Some(mut members) = s.object(&["metadata", "spec"])? else {
            return Err(Scanner::new(text).unexpected("an object"));
        };
        while let Some(field) = members.next(&mut s)? {
            match field {
                "metadata" => pod.metadata = Metadata::read(&mut s).inside(field)?,
                _ => pod.read_spec(&mut s).inside(field)?,
            }
        }
        pod.root = Bracket { close: s.position() - 1, empty: members.is_empty() };
        Ok(pod)
    }

    fn read_spec(&mut self, s: &mut Scanner<'a>) -> Result<(), ReadError> {
        let Some(mut members) = s.object(SPEC)? else { return Ok(()) };
        let mut count = 0;
        while let Some(field) = members.next(s)? {
            match field {
                "serviceAccountName" => self.service_account_name = name(s, field)?,
                "serviceAccount" => self.service_account = name(s, field)?,
                "nodeSelector" => self.scheduling.read_node_selector(s).inside(field)?,
                "os" => self.scheduling.read_os(s).inside(field)?,
                "affinity" => self.scheduling.read_affinity(s).inside(field)?,
                "initContainers" => self.init_containers = Container::read_all(s, &mut count).inside(field)?,
                "containers" => self.containers = Container::read_all(s, &mut count).inside(field)?,
                "ephemeralContainers" => {
                    self.ephemeral_containers = Container::read_all(s, &mut count).inside(field)?;
                }
                _ => (self.volumes, self.volumes_slot) = Volume::read_all(s).inside(field)?,
            }
        }
        self.spec = Bracket { close: s.position() - 1, empty: members.is_empty() };
        Ok(())
    }

    /// The service account as which the pod runs, if it names one.
    pub(crate) fn service_account(&self) -> Option<&Cow<'a, str>> {
        self.service_account_name.as_ref().or(self.service_account.as_ref())
    }

    /// The operating system on which it will run, as far as it says.
    pub(crate) fn os(&self) -> Os {
        self.scheduling.os()
    }

    /// Every container, whatever its kind.
    pub(crate) fn all_containers(&self) -> impl Iterator<Item = &Container<'a>> {
        self.init_containers.iter().chain(&self.containers).chain(&self.ephemeral_containers)
    }
}
