//! A container: its name, its variables as far as they are ours, its mounts.

use alloc::vec::Vec;

use crate::error::Fault;
use crate::json::{Scanner, members, names};
use crate::room;

use super::{Bracket, MAX_CONTAINERS, Slot};

/// A variable that this software may add
/// (<https://docs.aws.amazon.com/sdkref/latest/guide/settings-reference.html>).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Variable {
    StsRegionalEndpoints,
    DefaultRegion,
    Region,
    EndpointUrlSts,
    RoleArn,
    WebIdentityTokenFile,
    RoleSessionName,
    ContainerCredentialsFullUri,
    ContainerAuthorizationTokenFile,
}

impl Variable {
    const ALL: [Self; 9] = [
        Self::StsRegionalEndpoints,
        Self::DefaultRegion,
        Self::Region,
        Self::EndpointUrlSts,
        Self::RoleArn,
        Self::WebIdentityTokenFile,
        Self::RoleSessionName,
        Self::ContainerCredentialsFullUri,
        Self::ContainerAuthorizationTokenFile,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::StsRegionalEndpoints => "AWS_STS_REGIONAL_ENDPOINTS",
            Self::DefaultRegion => "AWS_DEFAULT_REGION",
            Self::Region => "AWS_REGION",
            Self::EndpointUrlSts => "AWS_ENDPOINT_URL_STS",
            Self::RoleArn => "AWS_ROLE_ARN",
            Self::WebIdentityTokenFile => "AWS_WEB_IDENTITY_TOKEN_FILE",
            Self::RoleSessionName => "AWS_ROLE_SESSION_NAME",
            Self::ContainerCredentialsFullUri => "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            Self::ContainerAuthorizationTokenFile => "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
        }
    }
}

/// How a container defines a variable.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum EnvState<'a> {
    /// Not at all.
    #[default]
    Absent,
    /// By a text.
    Literal(&'a str),
    /// By `valueFrom`, or by a text that refers to other variables: only known when it runs.
    Reference,
}

/// A volume mounted into a container.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mount<'a> {
    pub(crate) volume: &'a str,
    pub(crate) path: &'a str,
    /// What part of the volume is mounted.
    pub(crate) sub_path: Option<&'a str>,
    /// The part depends on the container's variables.
    pub(crate) sub_path_expr: bool,
}

/// What is read of a container.
#[derive(Clone, Debug, Default)]
pub(crate) struct Container<'a> {
    pub(crate) name: &'a str,
    env: [EnvState<'a>; Variable::ALL.len()],
    pub(crate) env_slot: Slot,
    pub(crate) mounts: Vec<Mount<'a>>,
    pub(crate) mounts_slot: Slot,
    /// The paths at which block devices appear.
    pub(crate) devices: Vec<&'a str>,
    pub(crate) bracket: Bracket,
}

members!(Member { Name: "name", Env: "env", VolumeMounts: "volumeMounts", VolumeDevices: "volumeDevices" });

impl<'a> Container<'a> {
    pub(super) fn read_all(s: &mut Scanner<'a>, count: &mut usize) -> Vec<Self> {
        let mut containers = room::of(2);
        if let Some(mut elements) = s.array() {
            while elements.next(s) {
                *count += 1;
                if *count > MAX_CONTAINERS {
                    s.fail(Fault::TooMany { what: "containers of all kinds", limit: MAX_CONTAINERS });
                }
                containers.push(Self::read(s));
            }
        }
        containers
    }

    fn read(s: &mut Scanner<'a>) -> Self {
        let mut container = Self::default();
        let Some(mut members) = s.object(Member::NAMES) else {
            s.fail(Fault::Type { expected: "an object", found: "null" });
            return container;
        };
        while let Some(member) = members.next(s).and_then(Member::at) {
            match member {
                Member::Name => container.name = s.text(),
                Member::Env => container.read_env(s),
                Member::VolumeMounts => container.read_mounts(s),
                Member::VolumeDevices => container.read_devices(s),
            }
        }
        container.bracket = Bracket::closed(s, members.is_empty());
        container
    }

    fn read_env(&mut self, s: &mut Scanner<'a>) {
        let Some(mut elements) = s.array() else {
            self.env_slot = Slot::null(s);
            return;
        };
        while elements.next(s) {
            let (name, value, from) = read_variable(s);
            // The last of several definitions is the one that counts in Kubernetes.
            if name.starts_with("AWS_")
                && let Some(i) = Variable::ALL.iter().position(|variable| variable.name() == name)
                && let Some(slot) = self.env.get_mut(i)
            {
                // `$(NAME)` is replaced by the kubelet.
                let refers = value.as_bytes().windows(2).any(|pair| pair == b"$(");
                *slot = if from || refers { EnvState::Reference } else { EnvState::Literal(value) };
            }
        }
        self.env_slot = Slot::present(s, elements.count() == 0);
    }

    fn read_mounts(&mut self, s: &mut Scanner<'a>) {
        let Some(mut elements) = s.array() else {
            self.mounts_slot = Slot::null(s);
            return;
        };
        self.mounts = room::of(4);
        while elements.next(s) {
            self.mounts.push(read_mount(s));
        }
        self.mounts_slot = Slot::present(s, elements.count() == 0);
    }

    fn read_devices(&mut self, s: &mut Scanner<'a>) {
        let Some(mut elements) = s.array() else { return };
        while elements.next(s) {
            let Some(mut members) = s.object(names!["devicePath"]) else { continue };
            while members.next(s).is_some() {
                self.devices.extend(s.optional_string());
            }
        }
    }

    /// How it defines a variable.
    pub(crate) fn env(&self, variable: Variable) -> EnvState<'a> {
        self.env.get(variable as usize).copied().unwrap_or_default()
    }

    /// Whether it defines a variable, in whatever way.
    pub(crate) fn defines(&self, variable: Variable) -> bool {
        self.env(variable) != EnvState::Absent
    }
}

members!(VariableMember { Name: "name", Value: "value", ValueFrom: "valueFrom" });

/// The name of a variable, its value, and whether it comes from somewhere else.
fn read_variable<'a>(s: &mut Scanner<'a>) -> (&'a str, &'a str, bool) {
    let (mut name, mut value, mut from) = ("", "", false);
    if let Some(mut members) = s.object(VariableMember::NAMES) {
        while let Some(member) = members.next(s).and_then(VariableMember::at) {
            match member {
                VariableMember::Name => name = s.text(),
                VariableMember::Value => value = s.text(),
                VariableMember::ValueFrom => from = s.skip() != "null",
            }
        }
    }
    (name, value, from)
}

members!(MountMember {
    Name: "name",
    MountPath: "mountPath",
    SubPath: "subPath",
    SubPathExpr: "subPathExpr",
});

fn read_mount<'a>(s: &mut Scanner<'a>) -> Mount<'a> {
    let mut mount = Mount::default();
    if let Some(mut members) = s.object(MountMember::NAMES) {
        while let Some(member) = members.next(s).and_then(MountMember::at) {
            match member {
                MountMember::Name => mount.volume = s.text(),
                MountMember::MountPath => mount.path = s.text(),
                MountMember::SubPath => mount.sub_path = super::name(s),
                MountMember::SubPathExpr => mount.sub_path_expr = super::name(s).is_some(),
            }
        }
    }
    mount
}
