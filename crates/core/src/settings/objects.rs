//! The settings that are objects of a few fields.

use alloc::borrow::ToOwned;

use crate::arn::{self, ComposeRoleArn};
use crate::json::{Arena, Value, members};
use crate::names;
use crate::path;
use crate::url::PlainHttp;
use crate::values;

use super::{Identities, Object, Place, Problems, Take, is_default};

/// Where the mapping's config map is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MappingConfigMap<'a> {
    /// Its namespace.
    pub namespace: &'a str,
    /// Its name.
    pub name: &'a str,
    /// The key of its data that holds the mapping.
    pub key: &'a str,
}

/// EKS Pod Identity (<https://docs.aws.amazon.com/eks/latest/userguide/pod-identities.html>).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ContainerCredentials<'a> {
    /// Who is given container credentials.
    pub identities: Identities<'a>,
    /// The audience of the token.
    pub audience: &'a str,
    /// Where the token's volume is mounted.
    pub mount_path: &'a str,
    /// The name of the token's volume.
    pub volume_name: &'a str,
    /// The token's path in the volume.
    pub token_path: &'a str,
    /// Where the SDK asks for credentials.
    pub full_uri: &'a str,
}

members!(ConfigMapMember { Namespace: "namespace", Name: "name", Key: "key" });

members!(CredentialsMember {
    Identities: "identities",
    Audience: "audience",
    MountPath: "mountPath",
    VolumeName: "volumeName",
    TokenPath: "tokenPath",
    FullUri: "fullUri",
});

members!(ComposeMember { AccountId: "accountId", Partition: "partition" });

pub(super) const MOUNT_PATH: &str = "an absolute path below the root, without `..`";
pub(super) const VOLUME_NAME: &str = "a DNS label of at most 63 characters";

impl Default for ContainerCredentials<'_> {
    fn default() -> Self {
        Self {
            identities: Identities::default(),
            audience: "pods.eks.amazonaws.com",
            mount_path: "/var/run/secrets/pods.eks.amazonaws.com/serviceaccount",
            volume_name: "eks-pod-identity-token",
            token_path: "eks-pod-identity-token",
            full_uri: "http://169.254.170.23/v1/credentials",
        }
    }
}

/// Forms send objects of which nothing is filled in: those count as absent.
pub(super) fn config_map<'a>(
    object: &'a str,
    place: &Place<'_>,
    problems: &mut Problems,
    arena: &'a Arena,
) -> Option<MappingConfigMap<'a>> {
    let mut found = MappingConfigMap { namespace: "", name: "pod-identity-webhook", key: "config" };
    let before = problems.len();
    let mut any = false;
    let mut object = Object::new(object, arena);
    while let Some((i, place, value)) = object.next_known(ConfigMapMember::NAMES, place, problems) {
        any |= !is_default(&value);
        let Some(member) = ConfigMapMember::at(i) else { continue };
        let (slot, valid, what): (_, fn(&str) -> bool, _) = match member {
            ConfigMapMember::Namespace => {
                (&mut found.namespace, names::is_dns_label, "the name of a namespace")
            }
            ConfigMapMember::Name => (&mut found.name, names::is_dns_subdomain, "the name of a config map"),
            ConfigMapMember::Key => {
                (&mut found.key, values::is_config_map_key, "a key of a config map's data")
            }
        };
        Take { place: &place, problems }.text(slot, value, valid, what);
    }
    object.report(place, problems);
    if any && found.namespace.is_empty() && problems.len() == before {
        problems.add(&place.member("namespace"), "expected the name of a namespace, found none".to_owned());
    }
    (!found.namespace.is_empty()).then_some(found)
}

pub(super) fn container_credentials<'a>(
    object: &'a str,
    place: &Place<'_>,
    problems: &mut Problems,
    arena: &'a Arena,
) -> ContainerCredentials<'a> {
    let mut found = ContainerCredentials::default();
    let mut object = Object::new(object, arena);
    while let Some((i, place, value)) = object.next_known(CredentialsMember::NAMES, place, problems) {
        let mut take = Take { place: &place, problems };
        let Some(member) = CredentialsMember::at(i) else { continue };
        let (slot, valid, what): (_, fn(&str) -> bool, _) = match member {
            CredentialsMember::Identities => {
                found.identities = Identities::new(take.array(value));
                continue;
            }
            CredentialsMember::FullUri => {
                if let Some(uri) = take.endpoint(value, PlainHttp::LoopbackOrAgent) {
                    found.full_uri = uri;
                }
                continue;
            }
            CredentialsMember::Audience => (&mut found.audience, values::is_audience, values::AUDIENCE),
            CredentialsMember::MountPath => (&mut found.mount_path, path::is_mount_path, MOUNT_PATH),
            CredentialsMember::VolumeName => (&mut found.volume_name, names::is_dns_label, VOLUME_NAME),
            CredentialsMember::TokenPath => {
                (&mut found.token_path, path::is_relative_path, "a relative path without `..`")
            }
        };
        take.text(slot, value, valid, what);
    }
    object.report(place, problems);
    found
}

pub(super) fn compose_role_arn<'a>(
    object: &'a str,
    place: &Place<'_>,
    problems: &mut Problems,
    arena: &'a Arena,
) -> Option<ComposeRoleArn<'a>> {
    let mut found = ComposeRoleArn { account_id: "", partition: "" };
    let before = problems.len();
    let mut any = false;
    let mut object = Object::new(object, arena);
    while let Some((i, place, value)) = object.next_known(ComposeMember::NAMES, place, problems) {
        any |= !is_default(&value);
        // YAML reads an account id without quotes as a number.
        let value = match value {
            Value::Number(digits) => Value::String(digits),
            value => value,
        };
        let Some(member) = ComposeMember::at(i) else { continue };
        let (slot, valid, what): (_, fn(&str) -> bool, _) = match member {
            ComposeMember::AccountId => {
                (&mut found.account_id, arn::is_account_id, "an account id of 12 digits")
            }
            ComposeMember::Partition => {
                (&mut found.partition, arn::is_partition, "a partition such as `aws` or `aws-cn`")
            }
        };
        Take { place: &place, problems }.text(slot, value, valid, what);
    }
    object.report(place, problems);
    if any && found.account_id.is_empty() && problems.len() == before {
        problems
            .add(&place.member("accountId"), "expected an account id of 12 digits, found none".to_owned());
    }
    (!found.account_id.is_empty()).then_some(found)
}
