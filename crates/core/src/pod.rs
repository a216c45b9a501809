//! A borrowed view of a pod: the dozen fields that matter, and where in the text additions go.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ops::Range;

use crate::error::{Fault, ReadError};
use crate::json::{Arena, Scanner, members};
use crate::path::Os;
use crate::room;

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
        Self::Null(s.position().saturating_sub("null".len())..s.position())
    }

    pub(crate) fn present(s: &Scanner<'_>, empty: bool) -> Self {
        Self::Present(Bracket::closed(s, empty))
    }
}

impl Bracket {
    /// The bracket that was just read.
    fn closed(s: &Scanner<'_>, empty: bool) -> Self {
        Self { close: s.position().saturating_sub(1), empty }
    }
}

/// Labels or annotations.
#[derive(Clone, Debug, Default)]
pub(crate) struct StringMap<'a> {
    /// Keys and values, and where each of them stands, from the key's opening quote to the end of the value.
    entries: Vec<(&'a str, &'a str, Range<usize>)>,
    /// The byte of the opening brace.
    pub(crate) open: usize,
    pub(crate) slot: Slot,
}

impl<'a> FromIterator<(&'a str, &'a str)> for StringMap<'a> {
    /// A map that stands in no text.
    fn from_iter<I: IntoIterator<Item = (&'a str, &'a str)>>(entries: I) -> Self {
        let entries = entries.into_iter().map(|(key, value)| (key, value, 0..0)).collect();
        Self { entries, ..Self::default() }
    }
}

impl<'a> StringMap<'a> {
    pub(crate) fn read(s: &mut Scanner<'a>) -> Self {
        let mut map = Self::default();
        let Some(mut members) = s.object(&[]) else {
            map.slot = Slot::null(s);
            return map;
        };
        map.open = s.position().saturating_sub(1);
        map.entries = room::of(8);
        while let Some((key, start)) = members.next_any_at(s) {
            // `null` is an empty string to Kubernetes.
            let value = s.text();
            map.entries.push((key, value, start..s.position()));
        }
        map.slot = Slot::present(s, members.is_empty());
        map
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.entries.iter().map(|(key, value, _)| (*key, *value))
    }

    /// Each key with where its entry stands.
    pub(crate) fn spans(&self) -> impl Iterator<Item = (&str, &Range<usize>)> {
        self.entries.iter().map(|(key, _, span)| (*key, span))
    }

    /// The value of the key that two texts are together.
    ///
    /// # Errors
    ///
    /// When the key is there twice.
    pub(crate) fn get(&self, prefix: &str, rest: &str) -> Result<Option<&'a str>, Box<ReadError>> {
        let mut values =
            self.iter().filter(|(key, _)| key.strip_prefix(prefix) == Some(rest)).map(|(_, value)| value);
        let value = values.next();
        match values.next() {
            Some(_) => Err(ReadError::new(Fault::Duplicate)),
            None => Ok(value),
        }
    }
}

/// The metadata of an object.
#[derive(Clone, Debug, Default)]
pub(crate) struct Metadata<'a> {
    pub(crate) name: Option<&'a str>,
    pub(crate) generate_name: Option<&'a str>,
    pub(crate) namespace: Option<&'a str>,
    pub(crate) labels: StringMap<'a>,
    pub(crate) annotations: StringMap<'a>,
    pub(crate) slot: Slot,
}

members!(MetadataMember {
    Name: "name",
    GenerateName: "generateName",
    Namespace: "namespace",
    Labels: "labels",
    Annotations: "annotations",
});

impl<'a> Metadata<'a> {
    pub(crate) fn read(s: &mut Scanner<'a>) -> Self {
        let mut metadata = Self::default();
        let Some(mut members) = s.object(MetadataMember::NAMES) else {
            metadata.slot = Slot::null(s);
            return metadata;
        };
        while let Some(member) = members.next(s).and_then(MetadataMember::at) {
            match member {
                MetadataMember::Name => metadata.name = name(s),
                MetadataMember::GenerateName => metadata.generate_name = name(s),
                MetadataMember::Namespace => metadata.namespace = name(s),
                MetadataMember::Labels => metadata.labels = StringMap::read(s),
                MetadataMember::Annotations => metadata.annotations = StringMap::read(s),
            }
        }
        metadata.slot = Slot::present(s, members.is_empty());
        metadata
    }
}

/// A name; an empty one counts as absent.
pub(crate) fn name<'a>(s: &mut Scanner<'a>) -> Option<&'a str> {
    s.optional_string().filter(|name| !name.is_empty())
}

/// What is read of a pod.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pod<'a> {
    pub(crate) metadata: Metadata<'a>,
    service_account_name: Option<&'a str>,
    /// Deprecated, and still read by Kubernetes when the other is not there.
    service_account: Option<&'a str>,
    scheduling: scheduling::Scheduling<'a>,
    pub(crate) init_containers: Vec<Container<'a>>,
    pub(crate) containers: Vec<Container<'a>>,
    pub(crate) ephemeral_containers: Vec<Container<'a>>,
    pub(crate) volumes: Vec<Volume<'a>>,
    pub(crate) volumes_slot: Slot,
    pub(crate) spec: Bracket,
    pub(crate) root: Bracket,
}

members!(PodMember { Metadata: "metadata", Spec: "spec" });

members!(SpecMember {
    Volumes: "volumes",
    InitContainers: "initContainers",
    Containers: "containers",
    EphemeralContainers: "ephemeralContainers",
    NodeSelector: "nodeSelector",
    ServiceAccountName: "serviceAccountName",
    ServiceAccount: "serviceAccount",
    Affinity: "affinity",
    Os: "os",
});

impl<'a> Pod<'a> {
    /// Reads a pod. Offsets are bytes in `text`.
    pub(crate) fn read(text: &'a str, arena: &'a Arena) -> Result<Self, Box<ReadError>> {
        let mut s = Scanner::new(text, arena);
        let mut pod = Self::default();
        let Some(mut members) = s.object(PodMember::NAMES) else {
            s.fail(Fault::Type { expected: "an object", found: "null" });
            return s.result(pod);
        };
        while let Some(member) = members.next(&mut s).and_then(PodMember::at) {
            match member {
                PodMember::Metadata => pod.metadata = Metadata::read(&mut s),
                PodMember::Spec => pod.read_spec(&mut s),
            }
        }
        pod.root = Bracket::closed(&s, members.is_empty());
        s.result(pod)
    }

    fn read_spec(&mut self, s: &mut Scanner<'a>) {
        let Some(mut members) = s.object(SpecMember::NAMES) else { return };
        let mut count = 0;
        while let Some(member) = members.next(s).and_then(SpecMember::at) {
            match member {
                SpecMember::ServiceAccountName => self.service_account_name = name(s),
                SpecMember::ServiceAccount => self.service_account = name(s),
                SpecMember::NodeSelector => self.scheduling.read_node_selector(s),
                SpecMember::Os => self.scheduling.read_os(s),
                SpecMember::Affinity => self.scheduling.read_affinity(s),
                SpecMember::InitContainers => self.init_containers = Container::read_all(s, &mut count),
                SpecMember::Containers => self.containers = Container::read_all(s, &mut count),
                SpecMember::EphemeralContainers => {
                    self.ephemeral_containers = Container::read_all(s, &mut count)
                }
                SpecMember::Volumes => (self.volumes, self.volumes_slot) = Volume::read_all(s),
            }
        }
        self.spec = Bracket::closed(s, members.is_empty());
    }

    /// The service account as which the pod runs, if it names one.
    pub(crate) fn service_account(&self) -> Option<&'a str> {
        self.service_account_name.or(self.service_account)
    }

    /// The operating system on which it will run, as far as it says.
    pub(crate) fn os(&self) -> Os {
        self.scheduling.os()
    }

    /// Every container, whatever its kind.
    pub(crate) fn all_containers(&self) -> impl Iterator<Item = &Container<'a>> {
        [&self.init_containers, &self.containers, &self.ephemeral_containers].into_iter().flatten()
    }
}
