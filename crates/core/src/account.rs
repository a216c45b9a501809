//! How a decision was reached: each source that was looked at, in order, and what it said.
//!
//! Warnings, audit annotations, metrics and explanations all read this one account.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;

use crate::message::{message, number};

/// A value that is resolved by itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Field {
    /// Which method gives the pod its identity, and which role.
    Role,
    /// The audience of the token.
    Audience,
    /// How long the token is valid.
    TokenExpiration,
    /// The region for the SDKs.
    Region,
    /// Whether to use regional STS endpoints.
    StsRegionalEndpoints,
    /// Another STS endpoint.
    StsEndpointUrl,
    /// Containers that are not served.
    SkipContainers,
    /// The only containers that are served.
    IncludeContainers,
}

impl Field {
    /// The name of the annotation, without its prefix.
    #[must_use]
    pub fn annotation(self) -> &'static str {
        match self {
            Self::Role => "role-arn",
            Self::Audience => "audience",
            Self::TokenExpiration => "token-expiration",
            Self::Region => "region",
            Self::StsRegionalEndpoints => "sts-regional-endpoints",
            Self::StsEndpointUrl => "sts-endpoint-url",
            Self::SkipContainers => "skip-containers",
            Self::IncludeContainers => "include-containers",
        }
    }
}

/// Where a value can come from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Source<'a> {
    /// The identities for container credentials.
    ContainerCredentials,
    /// An annotation of the pod.
    Pod,
    /// An annotation of the service account.
    ServiceAccount,
    /// The annotation of the service account for one container.
    ServiceAccountContainer(&'a str),
    /// An entry of the settings' mapping; the key, when one matched.
    Mapping(Option<&'a str>),
    /// An entry of the config map's mapping; the key, when one matched.
    ConfigMap(Option<&'a str>),
    /// The settings.
    Settings,
    /// What holds when nobody says anything.
    Default,
}

impl Source<'_> {
    /// One word for each kind, for audit annotations and metrics.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::ContainerCredentials => "container-credentials",
            Self::Pod => "pod-annotation",
            Self::ServiceAccount | Self::ServiceAccountContainer(_) => "annotation",
            Self::Mapping(_) => "mapping",
            Self::ConfigMap(_) => "configmap",
            Self::Settings => "settings",
            Self::Default => "default",
        }
    }
}

/// A value as it can be shown.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Shown<'a> {
    /// A text.
    Text(&'a str),
    /// A number, such as seconds.
    Number(u64),
    /// A truth value.
    Bool(bool),
}

/// What a source said.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Said<'a> {
    /// Nothing.
    Nothing,
    /// That there is deliberately no role.
    OptOut,
    /// Nothing, for the object is not there.
    NotThere,
    /// Nobody knows.
    Unknown,
    /// This, and it counts.
    Value(Shown<'a>),
    /// This, and it counts after it was brought into its bounds.
    Clamped {
        /// As it is written.
        text: &'a str,
        /// What is used.
        used: u64,
    },
    /// Something that is no such value, so that the next source decides.
    Bad {
        /// As it is written.
        text: &'a str,
        /// What it is not.
        expected: &'static str,
    },
}

/// One source that was looked at.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Look<'a> {
    /// What was looked for.
    pub field: Field,
    /// Where.
    pub source: Source<'a>,
    /// What was found.
    pub said: Said<'a>,
}

/// Why somebody is warned.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Reason {
    /// A value of an annotation, a mapping entry or the settings is bad.
    BadValue,
    /// A role is malformed.
    InvalidRole,
    /// A role is not allowed.
    RoleNotAllowed,
    /// A look-up gave no answer.
    LookupUnknown,
    /// The pod itself is in the way: mounts, variables, labels, names.
    Conflict,
    /// A pod does not carry what it should, or that could not be checked.
    Unverified,
    /// The settings are malformed.
    Settings,
}

/// Something that somebody should know.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Warning {
    /// Why, from a closed set.
    pub reason: Reason,
    /// What, ready to be shown.
    pub text: String,
}

/// Whose annotations the account speaks of.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Scope<'a> {
    /// What stands before the `/` of annotations.
    pub prefix: &'a str,
    /// The namespace of the request.
    pub namespace: &'a str,
    /// The pod's name, or the beginning of it.
    pub pod: &'a str,
    /// The service account's name.
    pub service_account: &'a str,
}

/// How a decision was reached.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Account<'a> {
    /// Whose annotations it speaks of.
    pub scope: Scope<'a>,
    /// Every source that was looked at, in order of precedence for each field.
    pub looks: Vec<Look<'a>>,
    /// What else somebody should know.
    pub warnings: Vec<Warning>,
}

impl<'a> Account<'a> {
    pub(crate) fn look(&mut self, field: Field, source: Source<'a>, said: Said<'a>) {
        self.looks.push(Look { field, source, said });
    }

    #[cold]
    pub(crate) fn warn(&mut self, reason: Reason, text: String) {
        self.warnings.push(Warning { reason, text });
    }

    /// All warnings, those about single values first.
    pub fn all_warnings(&self) -> impl Iterator<Item = Warning> {
        self.looks.iter().filter_map(|look| self.value_warning(look)).chain(self.warnings.iter().cloned())
    }

    #[cfg_attr(not(target_arch = "wasm32"), inline(always))]
    fn value_warning(&self, look: &Look<'a>) -> Option<Warning> {
        if !matches!(look.said, Said::Bad { .. } | Said::Clamped { .. }) {
            return None;
        }
        self.faulty_value_warning(look)
    }

    #[cfg_attr(target_arch = "wasm32", inline(always))]
    #[cfg_attr(not(target_arch = "wasm32"), cold)]
    fn faulty_value_warning(&self, look: &Look<'a>) -> Option<Warning> {
        let place = self.place(look.field, &look.source);
        let text = match &look.said {
            Said::Bad { text: "", expected } => message("{=} is empty: expected {=}", &[&place, expected]),
            Said::Bad { text, expected } => message("{=}: `{}` is not {=}", &[&place, text, expected]),
            Said::Clamped { text, used } => message("{=}: {=}", &[&place, &out_of_bounds(text, *used)]),
            _ => return None,
        };
        Some(Warning { reason: Reason::BadValue, text })
    }

    /// Where a value stands, for messages.
    #[must_use]
    pub fn place(&self, field: Field, source: &Source<'_>) -> String {
        let Scope { prefix, namespace, pod, service_account } = &self.scope;
        let name = field.annotation();
        match source {
            Source::Pod => message("annotation `{=}/{=}` of pod `{}/{}`", &[prefix, name, namespace, pod]),
            Source::ServiceAccount => message(
                "annotation `{=}/{=}` of service account `{=}/{=}`",
                &[prefix, name, namespace, service_account],
            ),
            Source::ServiceAccountContainer(container) => message(
                "annotation `{=}/{=}.{}` of service account `{=}/{=}`",
                &[prefix, name, container, namespace, service_account],
            ),
            Source::Mapping(key) => message("mapping entry `{}`", &[key.unwrap_or_default()]),
            Source::ConfigMap(key) => message("config map entry `{}`", &[key.unwrap_or_default()]),
            Source::ContainerCredentials | Source::Settings | Source::Default => "settings".to_owned(),
        }
    }
}

/// That a number of seconds was brought into its bounds.
pub(crate) fn out_of_bounds(text: &str, used: u64) -> String {
    message("`{}` is out of bounds: expected 600 to 4294967296 seconds, {=} is used", &[text, &number(used)])
}
