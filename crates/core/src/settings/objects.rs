//! The settings that are objects of a few fields.

use alloc::borrow::ToOwned;

use crate::arn::{self, ComposeRoleArn};
use crate::json::{Arena, Value};
use crate::names;
use crate::path;
use crate::url::PlainHttp;
use crate::values;

use super::{Identities, Place, Problems, Take, fields, is_default};

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

const MAPPING_CONFIG_MAP_FIELDS: &[&str] = &["namespace", "name", "key"];
const CONTAINER_CREDENTIALS_FIELDS: &[&str] =
    &["identities", "audience", "mountPath", "volumeName", "tokenPath", "fullUri"];
const COMPOSE_ROLE_ARN_FIELDS: &[&str] = &["accountId", "partition"];

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
    fields(object, place, problems, MAPPING_CONFIG_MAP_FIELDS, arena, &mut |name, value, place, problems| {
        any |= !is_default(&value);
        let mut take = Take { place, problems };
        match name {
            "namespace" => {
                take.text(&mut found.namespace, value, names::is_dns_label, "the name of a namespace");
            }
            "name" => take.text(&mut found.name, value, names::is_dns_subdomain, "the name of a config map"),
            _ => take.text(&mut found.key, value, values::is_config_map_key, "a key of a config map's data"),
        }
    });
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
    fields(
        object,
        place,
        problems,
        CONTAINER_CREDENTIALS_FIELDS,
        arena,
        &mut |name, value, place, problems| {
            let mut take = Take { place, problems };
            match name {
                "identities" => found.identities = Identities::new(take.array(value)),
                "audience" => take.text(&mut found.audience, value, values::is_audience, values::AUDIENCE),
                "mountPath" => take.text(&mut found.mount_path, value, path::is_mount_path, MOUNT_PATH),
                "volumeName" => take.text(&mut found.volume_name, value, names::is_dns_label, VOLUME_NAME),
                "tokenPath" => {
                    take.text(
                        &mut found.token_path,
                        value,
                        path::is_relative_path,
                        "a relative path without `..`",
                    );
                }
                _ => {
                    if let Some(uri) = take.endpoint(value, PlainHttp::LoopbackOrAgent) {
                        found.full_uri = uri;
                    }
                }
            }
        },
    );
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
    fields(object, place, problems, COMPOSE_ROLE_ARN_FIELDS, arena, &mut |name, value, place, problems| {
        any |= !is_default(&value);
        // YAML reads an account id without quotes as a number.
        let value = match value {
            Value::Number(digits) => Value::String(digits),
            value => value,
        };
        let mut take = Take { place, problems };
        match name {
            "accountId" => {
                take.text(&mut found.account_id, value, arn::is_account_id, "an account id of 12 digits")
            }
            _ => take.text(
                &mut found.partition,
                value,
                arn::is_partition,
                "a partition such as `aws` or `aws-cn`",
            ),
        }
    });
    if any && found.account_id.is_empty() && problems.len() == before {
        problems
            .add(&place.member("accountId"), "expected an account id of 12 digits, found none".to_owned());
    }
    (!found.account_id.is_empty()).then_some(found)
}
