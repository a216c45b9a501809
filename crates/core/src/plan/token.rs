//! The token of a pod: the volume that holds it, and where it stands in a container.

use alloc::borrow::ToOwned;

use crate::identity::{Identity, Method};
use crate::json::Arena;
use crate::message::{message, number};
use crate::names::Names;
use crate::path::{NormalPath, Os, file_in};
use crate::pod::{Container, EnvState, Mount, Pod, Variable};
use crate::room;
use crate::settings::Settings;

/// The path of a web identity token in its volume, as in the Go webhook.
const WEB_IDENTITY_TOKEN: &str = "token";

/// What is the same for all containers of a pod.
pub(crate) struct Token<'a> {
    pub(crate) audience: &'a str,
    /// In the volume.
    pub(crate) path: &'a str,
    pub(super) mount_path: &'a str,
    /// The same, to be compared.
    place: NormalPath<'a>,
    volume_name: &'a str,
    /// As the process sees it.
    pub(super) file: &'a str,
    file_variable: Variable,
    os: Os,
    /// The volumes that hold the token.
    serving: Names<'a>,
}

impl<'a> Token<'a> {
    pub(crate) fn new(
        identity: &Identity<'a>,
        settings: &'a Settings<'a>,
        pod: &Pod<'a>,
        arena: &'a Arena,
    ) -> Self {
        let (mount_path, volume_name, path, file_variable) = match &identity.method {
            Method::WebIdentity(_) => (
                settings.token_mount_path,
                settings.token_volume_name,
                WEB_IDENTITY_TOKEN,
                Variable::WebIdentityTokenFile,
            ),
            Method::ContainerCredentials(credentials) => (
                credentials.mount_path,
                credentials.volume_name,
                credentials.token_path,
                Variable::ContainerAuthorizationTokenFile,
            ),
        };
        let os = pod.os();
        let serves = |volume: &&crate::pod::Volume<'a>| volume.serves(path, identity.audience, os);
        let serving = Names::of(pod.volumes.iter().filter(serves).map(|volume| volume.name));
        Self {
            serving,
            audience: identity.audience,
            path,
            mount_path,
            place: NormalPath::new(mount_path, os),
            volume_name,
            file: arena.keep(&file_in(mount_path, path, os)),
            file_variable,
            os,
        }
    }

    pub(crate) fn file_variable(&self) -> Variable {
        self.file_variable
    }

    /// The name of the volume that is mounted, and whether it is there already.
    pub(super) fn volume(&self, pod: &Pod<'a>, arena: &'a Arena) -> (&'a str, bool) {
        let mut serving =
            pod.volumes.iter().map(|volume| volume.name).filter(|name| self.serving.contain(name));
        if self.serving.contain(self.volume_name) {
            return (self.volume_name, true);
        }
        if let Some(name) = serving.next() {
            return (name, true);
        }
        // A mount may name a volume that is not there yet: a volume of that name would serve it.
        let mut taken = room::of(8);
        for volume in &pod.volumes {
            taken.push(volume.name);
        }
        for container in pod.all_containers() {
            for mount in &container.mounts {
                taken.push(mount.volume);
            }
        }
        if !taken.contains(&self.volume_name) {
            return (self.volume_name, false);
        }
        let taken = Names::new(taken);
        let mut name = self.volume_name;
        let mut i = 2;
        while taken.contain(name) {
            let suffix = message("-{=}", &[&number(i)]);
            // A volume's name has at most 63 characters.
            let kept =
                self.volume_name.get(..63_usize.saturating_sub(suffix.len())).unwrap_or(self.volume_name);
            name = arena.keep(&(kept.trim_end_matches('-').to_owned() + &suffix));
            i += 1;
        }
        (name, false)
    }

    /// What stands at the path of our mount.
    pub(super) fn at_mount_path(&self, container: &Container<'_>) -> AtPath {
        let mut found = AtPath::Free;
        if container.devices.iter().any(|path| NormalPath::new(path, self.os) == self.place) {
            // The API server refuses a mount where a device is.
            found = AtPath::Taken;
        }
        for mount in
            container.mounts.iter().filter(|mount| NormalPath::new(mount.path, self.os) == self.place)
        {
            if self.is_served_by(mount) {
                return AtPath::Served;
            }
            found = AtPath::Taken;
        }
        found
    }

    fn is_served_by(&self, mount: &Mount<'_>) -> bool {
        mount.sub_path.is_none() && !mount.sub_path_expr && self.serving.contain(mount.volume)
    }

    /// A mount that hides a part of ours, or that ours hides a part of.
    pub(super) fn nested_mount<'c>(&self, container: &'c Container<'a>) -> Option<&'c Mount<'a>> {
        container.mounts.iter().find(|mount| {
            let theirs = NormalPath::new(mount.path, self.os);
            theirs != self.place
                && (theirs.below(&self.place).is_some() || self.place.below(&theirs).is_some())
        })
    }

    /// Whether the container looks for the token somewhere else.
    pub(super) fn is_elsewhere(&self, container: &Container<'_>) -> bool {
        match container.env(self.file_variable) {
            EnvState::Literal(path) => NormalPath::new(path, self.os) != NormalPath::new(self.file, self.os),
            EnvState::Absent | EnvState::Reference => false,
        }
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum AtPath {
    Free,
    Served,
    Taken,
}

/// Whether nothing can be added to a container for container credentials, whatever its service account says.
pub(crate) fn has_all(container: &Container<'_>, token: &Token<'_>) -> bool {
    container.defines(Variable::StsRegionalEndpoints)
        && (container.defines(Variable::Region) || container.defines(Variable::DefaultRegion))
        && container.defines(Variable::ContainerCredentialsFullUri)
        && container.defines(Variable::ContainerAuthorizationTokenFile)
        && token.at_mount_path(container) == AtPath::Served
}
