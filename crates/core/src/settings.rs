//! The settings: one document for the policy and the webhook.
//!
//! [`Settings::read`] reads what every request needs and keeps the large parts (mapping, identities, allowed
//! roles) as text, for a policy is handed the whole document with each request. [`Settings::check`] reads all.

use alloc::vec::Vec;

use crate::arn::{self, ComposeRoleArn};
use crate::json::{Arena, Kind, Scanner, Value, members};
use crate::mapping::{self, Mapping, Variables};
use crate::message::message;
use crate::names;
use crate::path;
use crate::url::PlainHttp;
use crate::values::{self, Region, TokenExpiration};

mod fields;
mod lists;
mod objects;
mod problem;
pub(crate) use fields::{Object, Take, is_default, repeated};
use fields::{place_among, report_repeated};
pub use lists::{AllowedRoles, Identities};
pub use objects::{ContainerCredentials, MappingConfigMap};
use objects::{MOUNT_PATH, VOLUME_NAME, compose_role_arn, config_map, container_credentials};
pub(crate) use problem::{Place, expected};
pub use problem::{Problem, Problems};

/// What the software does with a pod.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Mode {
    /// Adds what is missing.
    #[default]
    Mutate,
    /// Checks that it is there.
    Verify,
}

/// What happens to a pod that does not carry what it should, in [`Mode::Verify`].
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum OnUnverified {
    /// It is refused.
    #[default]
    Reject,
    /// It is admitted with a warning.
    Warn,
}

/// Whether a pod is admitted although its identity is malformed or could not be looked up.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum OnError {
    /// Admitted, with a warning.
    Admit,
    /// Refused.
    Reject,
}

/// How fresh a service account must be that the host of a policy looks up.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum ServiceAccountLookup {
    /// Asked of the API server.
    #[default]
    Fresh,
    /// The host's answer of up to five seconds ago is good enough.
    Cached,
}

/// What `AWS_ROLE_SESSION_NAME` is set to.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum RoleSessionName {
    /// It is left to the SDK.
    #[default]
    None,
    /// The name of the pod.
    PodName,
}

/// The settings, with their defaults.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Settings<'a> {
    /// What is done with a pod.
    pub mode: Mode,
    /// What happens to a pod that [`Mode::Verify`] finds wanting.
    pub on_unverified: OnUnverified,
    /// What stands before the `/` of the annotations and the label.
    pub annotation_prefix: &'a str,
    /// Whether service accounts are looked up for their annotations.
    pub service_account_annotations: bool,
    /// How fresh they must be.
    pub service_account_lookup: ServiceAccountLookup,
    /// Which service account gets which role.
    pub mapping: Option<Mapping<'a>>,
    /// Where more of the mapping is.
    pub mapping_config_map: Option<MappingConfigMap<'a>>,
    /// What templates may name.
    pub variables: Variables<'a>,
    /// EKS Pod Identity.
    pub container_credentials: Option<ContainerCredentials<'a>>,
    /// The audience of web identity tokens.
    pub token_audience: &'a str,
    /// How long tokens are valid, when it was set.
    pub token_expiration: Option<TokenExpiration>,
    /// Where the web identity token's volume is mounted.
    pub token_mount_path: &'a str,
    /// The name of the web identity token's volume.
    pub token_volume_name: &'a str,
    /// The mode of the token file.
    pub token_file_mode: Option<u16>,
    /// The region that pods are given.
    pub aws_default_region: Option<Region<'a>>,
    /// Whether pods are told to use regional STS endpoints.
    pub sts_regional_endpoints: bool,
    /// Another STS endpoint.
    pub sts_endpoint_url: Option<&'a str>,
    /// The name of the role's session.
    pub role_session_name: RoleSessionName,
    /// What completes a bare role name.
    pub compose_role_arn: Option<ComposeRoleArn<'a>>,
    /// The roles that may be given.
    pub allowed_roles: Option<AllowedRoles<'a>>,
    /// The audiences that annotations and config map entries may ask for.
    pub allowed_audiences: Option<Vec<&'a str>>,
    /// Whether mapped roles are written to service accounts.
    pub annotate_service_accounts: bool,
    /// What happens to a pod whose role is malformed.
    pub on_invalid_identity: OnError,
    /// What happens to a pod whose identity could not be looked up.
    pub on_lookup_error: OnError,
}

/// The name of every field and its default as the documentation shows it, in the documentation's order.
pub const FIELDS: &[(&str, &str)] = &[
    ("mode", "mutate"),
    ("onUnverified", "reject"),
    ("annotationPrefix", "eks.amazonaws.com"),
    ("serviceAccountAnnotations", "true"),
    ("serviceAccountLookup", "fresh"),
    ("mapping", "{}"),
    ("mappingConfigMap", "none"),
    ("variables", "{}"),
    ("containerCredentials", "none"),
    ("tokenAudience", "sts.amazonaws.com"),
    ("tokenExpiration", "86400"),
    ("tokenMountPath", "/var/run/secrets/eks.amazonaws.com/serviceaccount"),
    ("tokenVolumeName", "aws-iam-token"),
    ("tokenFileMode", "none"),
    ("awsDefaultRegion", "none"),
    ("stsRegionalEndpoints", "false"),
    ("stsEndpointUrl", "none"),
    ("roleSessionName", "none"),
    ("composeRoleArn", "none"),
    ("allowedRoles", "none"),
    ("allowedAudiences", "none"),
    ("annotateServiceAccounts", "false"),
    ("onInvalidIdentity", "warn"),
    ("onLookupError", "allow"),
];

members!(Member {
    Mode: "mode",
    OnUnverified: "onUnverified",
    AnnotationPrefix: "annotationPrefix",
    ServiceAccountAnnotations: "serviceAccountAnnotations",
    ServiceAccountLookup: "serviceAccountLookup",
    Mapping: "mapping",
    MappingConfigMap: "mappingConfigMap",
    Variables: "variables",
    ContainerCredentials: "containerCredentials",
    TokenAudience: "tokenAudience",
    TokenExpiration: "tokenExpiration",
    TokenMountPath: "tokenMountPath",
    TokenVolumeName: "tokenVolumeName",
    TokenFileMode: "tokenFileMode",
    AwsDefaultRegion: "awsDefaultRegion",
    StsRegionalEndpoints: "stsRegionalEndpoints",
    StsEndpointUrl: "stsEndpointUrl",
    RoleSessionName: "roleSessionName",
    ComposeRoleArn: "composeRoleArn",
    AllowedRoles: "allowedRoles",
    AllowedAudiences: "allowedAudiences",
    AnnotateServiceAccounts: "annotateServiceAccounts",
    OnInvalidIdentity: "onInvalidIdentity",
    OnLookupError: "onLookupError",
});

impl Default for Settings<'_> {
    fn default() -> Self {
        Self {
            mode: Mode::Mutate,
            on_unverified: OnUnverified::Reject,
            annotation_prefix: "eks.amazonaws.com",
            service_account_annotations: true,
            service_account_lookup: ServiceAccountLookup::Fresh,
            mapping: None,
            mapping_config_map: None,
            variables: Variables::default(),
            container_credentials: None,
            token_audience: "sts.amazonaws.com",
            token_expiration: None,
            token_mount_path: "/var/run/secrets/eks.amazonaws.com/serviceaccount",
            token_volume_name: "aws-iam-token",
            token_file_mode: None,
            aws_default_region: None,
            sts_regional_endpoints: false,
            sts_endpoint_url: None,
            role_session_name: RoleSessionName::None,
            compose_role_arn: None,
            allowed_roles: None,
            allowed_audiences: None,
            annotate_service_accounts: false,
            on_invalid_identity: OnError::Admit,
            on_lookup_error: OnError::Admit,
        }
    }
}

impl<'a> Settings<'a> {
    /// Reads a document. What is wrong is left at its default and reported, all of it at once.
    #[must_use]
    pub fn read(text: &'a str, arena: &'a Arena) -> (Self, Problems) {
        let mut s = Scanner::new(text, arena);
        let (settings, mut problems) = Self::read_from(&mut s, arena);
        if let Err(error) = s.result(()) {
            problems.add(&Place::Root, error.message());
        }
        (settings, problems)
    }

    /// As [`Settings::read`], in the middle of a text: an error of syntax stays with the scanner.
    pub(crate) fn read_from(s: &mut Scanner<'a>, arena: &'a Arena) -> (Self, Problems) {
        let mut settings = Self::default();
        let mut problems = Problems::default();
        if let Some(kind) = s.kind()
            && !matches!(kind, Kind::Object | Kind::Null)
        {
            problems.add(&Place::Root, message("expected an object, found {=}", &[kind.name()]));
            s.skip();
            return (settings, problems);
        }
        let mut names = Vec::new();
        if let Some(mut members) = s.object(&[]) {
            while let Some(name) = members.next_any(s) {
                names.push(name);
                let value = Value::read(s);
                let place = place_among(Member::NAMES, name, &Place::Root, &mut problems);
                if let Some(member) = place.and_then(Member::at) {
                    settings.set(member, value, &Place::Root.member(name), &mut problems, arena);
                }
            }
        }
        report_repeated(names, &Place::Root, &mut problems);
        settings.complete();
        (settings, problems)
    }

    /// Reads what [`Settings::read`] has kept as text: mapping, identities, allowed roles, variables.
    pub fn check(&self, problems: &mut Problems, arena: &'a Arena) {
        self.variables.check(problems, arena);
        if let Some(mapping) = self.mapping {
            mapping::check(mapping.text(), self, problems, arena);
        }
        if let Some(credentials) = &self.container_credentials {
            credentials.identities.check(problems, arena);
        }
        if let Some(allowed) = &self.allowed_roles {
            allowed.check(problems, arena);
        }
    }

    fn set(
        &mut self,
        member: Member,
        value: Value<'a>,
        place: &Place<'_>,
        problems: &mut Problems,
        arena: &'a Arena,
    ) {
        let mut take = Take { place, problems };
        match member {
            Member::Mode => {
                self.mode = if take.second(value, "mutate", "verify") { Mode::Verify } else { Mode::Mutate };
            }
            Member::OnUnverified => {
                let warns = take.second(value, "reject", "warn");
                self.on_unverified = if warns { OnUnverified::Warn } else { OnUnverified::Reject };
            }
            Member::AnnotationPrefix => take.text(
                &mut self.annotation_prefix,
                value,
                values::is_annotation_prefix,
                "a DNS name such as `eks.amazonaws.com`",
            ),
            Member::ServiceAccountAnnotations => take.bool(&mut self.service_account_annotations, value),
            Member::ServiceAccountLookup => {
                let cached = take.second(value, "fresh", "cached");
                self.service_account_lookup =
                    if cached { ServiceAccountLookup::Cached } else { ServiceAccountLookup::Fresh };
            }
            Member::Mapping => self.mapping = take.object(value).map(Mapping::Text),
            Member::MappingConfigMap => {
                if let Some(object) = take.object(value) {
                    self.mapping_config_map = config_map(object, place, problems, arena);
                }
            }
            Member::Variables => self.variables = Variables::new(take.object(value)),
            Member::ContainerCredentials => {
                if let Some(object) = take.object(value) {
                    self.container_credentials = Some(container_credentials(object, place, problems, arena));
                }
            }
            Member::TokenAudience => {
                take.text(&mut self.token_audience, value, values::is_audience, values::AUDIENCE)
            }
            Member::TokenExpiration => self.token_expiration = take.expiration(value),
            Member::TokenMountPath => {
                take.text(&mut self.token_mount_path, value, path::is_mount_path, MOUNT_PATH)
            }
            Member::TokenVolumeName => {
                take.text(&mut self.token_volume_name, value, names::is_dns_label, VOLUME_NAME)
            }
            Member::TokenFileMode => self.token_file_mode = take.file_mode(value),
            Member::AwsDefaultRegion => self.aws_default_region = take.region(value),
            Member::StsRegionalEndpoints => take.bool(&mut self.sts_regional_endpoints, value),
            Member::StsEndpointUrl => {
                self.sts_endpoint_url = take.endpoint(value, PlainHttp::LoopbackOrCluster)
            }
            Member::RoleSessionName => {
                let named = take.second(value, "none", "podName");
                self.role_session_name = if named { RoleSessionName::PodName } else { RoleSessionName::None };
            }
            Member::ComposeRoleArn => {
                if let Some(object) = take.object(value) {
                    self.compose_role_arn = compose_role_arn(object, place, problems, arena);
                }
            }
            Member::AllowedRoles => self.allowed_roles = take.array(value).map(AllowedRoles::new),
            Member::AllowedAudiences => {
                if let Some(array) = take.array(value) {
                    self.allowed_audiences = Some(lists::audiences(array, place, problems, arena));
                }
            }
            Member::AnnotateServiceAccounts => take.bool(&mut self.annotate_service_accounts, value),
            Member::OnInvalidIdentity => {
                let rejects = take.second(value, "warn", "reject");
                self.on_invalid_identity = if rejects { OnError::Reject } else { OnError::Admit };
            }
            Member::OnLookupError => {
                let rejects = take.second(value, "allow", "reject");
                self.on_lookup_error = if rejects { OnError::Reject } else { OnError::Admit };
            }
        }
    }

    /// Fills in what depends on another field.
    fn complete(&mut self) {
        if let Some(compose) = &mut self.compose_role_arn
            && compose.partition.is_empty()
        {
            let region = self.aws_default_region.as_ref().map_or("", Region::text);
            compose.partition = arn::partition_of_region(region);
        }
    }

    /// Whether annotations and config map entries may ask for an audience.
    pub(crate) fn allows_audience(&self, audience: &str) -> bool {
        self.allowed_audiences.as_ref().is_none_or(|allowed| allowed.contains(&audience))
    }

    /// The role that a mapping or an annotation means: trimmed, and completed when it is a bare name.
    pub(crate) fn role<'r>(&self, text: &'r str, arena: &'r Arena) -> &'r str {
        let text = text.trim();
        match &self.compose_role_arn {
            Some(compose) if !text.is_empty() => compose.complete(text, arena),
            _ => text,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_documented() {
        let mut read: Vec<&str> = Member::NAMES.iter().map(|field| field.text).collect();
        let mut documented: Vec<&str> = FIELDS.iter().map(|(name, _)| *name).collect();
        read.sort_unstable();
        documented.sort_unstable();
        assert_eq!(read, documented);
    }
}
