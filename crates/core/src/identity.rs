//! Who a pod is: which method and role, and every other value, each from the most specific source.

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use crate::account::{Account, Field, Reason, Said, Shown, Source};
use crate::arn;
use crate::facts::{Facts, Found, Unknown};
use crate::json::Arena;
use crate::mapping::{self, Entry, Notices, Pair};
use crate::message::{escape_into, message};
use crate::names::Names;
use crate::plan::Target;
use crate::refusal::{Refusal, RefusalReason};
use crate::service_account::{Annotations, NO_ANNOTATIONS};
use crate::settings::{ContainerCredentials, OnError, Problems, Settings};
use crate::values::{AUDIENCE, Region, TokenExpiration, container_names, is_audience, parse_bool};

mod pick;
use pick::{Parsed, Pick, parse_expiration, parse_region};

/// A role and where it came from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Role<'a> {
    /// The ARN, or what stands in its place when it is malformed and given all the same.
    pub arn: &'a str,
    /// Who said so.
    pub source: Source<'a>,
}

/// The roles of web identity (IRSA).
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Roles<'a> {
    /// For every container without one of its own.
    pub general: Option<Role<'a>>,
    /// For single containers, in the order of their names.
    pub containers: Vec<(&'a str, Role<'a>)>,
}

impl<'a> Roles<'a> {
    /// Gives a container a role, unless it has one.
    fn add(&mut self, container: &'a str, role: Role<'a>) {
        if let Err(place) = self.find(container) {
            self.containers.insert(place, (container, role));
        }
    }

    /// Leaves out the roles that no container is given.
    pub(crate) fn keep_those_of(&mut self, targets: &[Target<'_, 'a>]) {
        if self.containers.is_empty() {
            return;
        }
        let names = Names::of(targets.iter().map(|target| target.container.name));
        self.containers.retain(|(name, _)| names.contain(name));
        if targets.iter().all(|target| self.find(target.container.name).is_ok()) {
            self.general = None;
        }
    }

    /// The role for a container.
    #[must_use]
    pub fn of(&self, container: &str) -> Option<&Role<'a>> {
        match self.find(container) {
            Ok(place) => self.containers.get(place).map(|(_, role)| role),
            Err(_) => self.general.as_ref(),
        }
    }

    /// Where a container's own role is, or would be.
    fn find(&self, container: &str) -> Result<usize, usize> {
        self.containers.binary_search_by(|(name, _)| (*name).cmp(container))
    }
}

/// How a pod gets its credentials.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Method<'a> {
    /// `AssumeRoleWithWebIdentity` (IRSA).
    WebIdentity(Roles<'a>),
    /// EKS Pod Identity.
    ContainerCredentials(&'a ContainerCredentials<'a>),
}

/// Who a pod is, and everything that its credentials depend on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Identity<'a> {
    /// How it gets its credentials.
    pub method: Method<'a>,
    /// The audience of its token.
    pub audience: &'a str,
    /// How long its token is valid, when somebody said so.
    pub token_expiration: Option<TokenExpiration>,
    /// The region for the SDKs.
    pub region: Option<&'a str>,
    /// Whether to use regional STS endpoints.
    pub sts_regional_endpoints: bool,
    /// Another STS endpoint.
    pub sts_endpoint_url: Option<&'a str>,
    /// Which containers are served.
    pub selection: Selection<'a>,
}

/// Which containers are served.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Selection<'a> {
    skip: Names<'a>,
    include: Option<Names<'a>>,
}

impl<'a> Selection<'a> {
    /// From the lists of the pod and of the service account.
    pub(crate) fn new(pod: &Annotations<'a>, service_account: &Annotations<'a>) -> Self {
        let mut skip = Vec::new();
        for list in [pod.skip, service_account.skip].into_iter().flatten() {
            for name in container_names(list) {
                skip.push(name);
            }
        }
        let include = pod.include.or(service_account.include);
        Self { skip: Names::new(skip), include: include.map(|list| Names::of(container_names(list))) }
    }

    /// Whether a container is served. Ephemeral ones are not subject to the list of those that are included.
    pub(crate) fn serves(&self, container: &str, ephemeral: bool) -> bool {
        !self.skip.contain(container)
            && (ephemeral || self.include.as_ref().is_none_or(|names| names.contain(container)))
    }

    /// The list of included containers is there, and empty.
    pub(crate) fn serves_none(&self) -> bool {
        self.include.as_ref().is_some_and(Names::is_empty)
    }
}

/// What came of the attempt.
pub(crate) enum Resolved<'a> {
    Identity(Box<Identity<'a>>),
    None,
    /// A look-up gave no answer, and the pod is admitted all the same.
    Unknown,
}

/// Passes over the settings' mapping, which is only done when nothing else decides.
pub(crate) type Mapped<'m, 'a> = &'m dyn Fn() -> &'m Result<Option<Box<Entry<'a>>>, Problems>;

/// The lookups that a resolution needs, and what it reads.
pub(crate) struct Resolver<'r, 'a> {
    pub(crate) settings: &'a Settings<'a>,
    pub(crate) pair: Pair<'r>,
    pub(crate) account: &'r mut Account<'a>,
    pub(crate) arena: &'a Arena,
    /// The pod's containers: roles for others do not count.
    pub(crate) containers: &'r Names<'a>,
}

impl<'a> Resolver<'_, 'a> {
    /// Finds out who a pod is.
    pub(crate) fn resolve(
        &mut self,
        pod: &Annotations<'a>,
        mapped: Mapped<'_, 'a>,
        credentials: Option<&'a ContainerCredentials<'a>>,
        facts: &'a Facts<'a>,
    ) -> Result<Resolved<'a>, Refusal> {
        let written;
        let service_account = match &facts.service_account {
            Some(Found::There(found)) => {
                written = Annotations::read(&found.annotations, self.settings.annotation_prefix)
                    .map_err(|error| Refusal::unreadable("the service account's annotations", &error))?
                    .without_managed(self.settings.annotation_prefix, self.account, self.arena);
                &written
            }
            Some(Found::Unknown(unknown)) => match credentials {
                None => {
                    self.account.look(Field::Role, Source::ServiceAccount, Said::Unknown);
                    return self.unknown(&Missing::ServiceAccount, unknown);
                }
                Some(_) => {
                    let text = self.unknown_text(&Missing::ServiceAccount, unknown);
                    self.account.warn(
                        Reason::LookupUnknown,
                        "container credentials are given with their defaults: ".to_owned() + &text,
                    );
                    &NO_ANNOTATIONS
                }
            },
            Some(Found::NotThere) => {
                self.account.look(Field::Role, Source::ServiceAccount, Said::NotThere);
                &NO_ANNOTATIONS
            }
            None => &NO_ANNOTATIONS,
        };
        if let Some(credentials) = credentials {
            let method = Method::ContainerCredentials(credentials);
            let said = Said::Value(Shown::Text("container credentials"));
            self.account.look(Field::Role, Source::ContainerCredentials, said);
            return Ok(Resolved::Identity(Box::new(self.values(method, pod, service_account, None))));
        }
        let (roles, entry) = match self.roles(service_account, mapped, facts)? {
            Ok(found) => found,
            Err(unknown) => {
                self.account.look(Field::Role, Source::ConfigMap(None), Said::Unknown);
                return self.unknown(&Missing::ConfigMap, &unknown);
            }
        };
        if roles == Roles::default() {
            return Ok(Resolved::None);
        }
        let method = Method::WebIdentity(roles);
        Ok(Resolved::Identity(Box::new(self.values(method, pod, service_account, entry.as_deref()))))
    }

    /// A service account's roles, and the entry of the mapping that supplied them.
    #[allow(clippy::type_complexity, reason = "an answer that may be refused, or unknown")]
    fn roles(
        &mut self,
        service_account: &Annotations<'a>,
        mapped: Mapped<'_, 'a>,
        facts: &'a Facts<'a>,
    ) -> Result<Result<(Roles<'a>, Option<Box<Entry<'a>>>), Unknown>, Refusal> {
        let mut roles = Roles::default();
        for (container, role) in &service_account.container_roles {
            if !self.containers.contain(container) {
                continue;
            }
            let role = self.settings.role(role, self.arena);
            if !role.is_empty() {
                let source = Source::ServiceAccountContainer(container);
                self.account.look(Field::Role, source, Said::Value(Shown::Text(role)));
                roles.add(container, Role { arn: role, source });
            }
        }
        if let Some(role) = self.annotated_role(service_account) {
            roles.general = Some(Role { arn: role, source: Source::ServiceAccount });
            return Ok(Ok((roles, None)));
        }
        let entry = match self.mapped(mapped, facts)? {
            Ok(entry) => entry,
            Err(unknown) => return Ok(Err(unknown)),
        };
        let Some((entry, source)) = entry else { return Ok(Ok((roles, None))) };
        roles.general = entry.role.map(|arn| Role { arn, source });
        for (container, arn) in entry.containers.iter().copied() {
            if self.containers.contain(container) {
                roles.add(container, Role { arn, source });
            }
        }
        let supplied = entry.role.is_some() || !entry.containers.is_empty();
        Ok(Ok((roles, supplied.then_some(entry))))
    }

    /// The role that the service account itself names.
    pub(crate) fn annotated_role(&mut self, service_account: &Annotations<'a>) -> Option<&'a str> {
        if !self.settings.service_account_annotations {
            return None;
        }
        let role = service_account
            .role
            .map(|role| self.settings.role(role, self.arena))
            .filter(|role| !role.is_empty());
        let said = role.map_or(Said::Nothing, |role| Said::Value(Shown::Text(role)));
        self.account.look(Field::Role, Source::ServiceAccount, said);
        role
    }

    /// The entry of the settings' mapping, else of the config map's, and which it was.
    #[allow(clippy::type_complexity, reason = "an answer that may be refused, or unknown")]
    pub(crate) fn mapped(
        &mut self,
        mapped: Mapped<'_, 'a>,
        facts: &'a Facts<'a>,
    ) -> Result<Result<Option<(Box<Entry<'a>>, Source<'a>)>, Unknown>, Refusal> {
        let entry = mapped().as_ref().map_err(Refusal::settings)?;
        if let Some(entry) = entry.clone() {
            let source = Source::Mapping(Some(entry.key));
            self.look_at_entry(&entry, source);
            return Ok(Ok(Some((entry, source))));
        }
        if self.settings.mapping.is_some() {
            self.account.look(Field::Role, Source::Mapping(None), Said::Nothing);
        }
        let config_map = match &facts.config_map {
            Some(Found::There(config_map)) => config_map,
            Some(Found::NotThere) => {
                self.account.look(Field::Role, Source::ConfigMap(None), Said::NotThere);
                return Ok(Ok(None));
            }
            Some(Found::Unknown(unknown)) => return Ok(Err(unknown.clone())),
            None => return Ok(Ok(None)),
        };
        let mut notices = Notices::default();
        let found = mapping::find_in_config_map(
            config_map.document,
            self.settings,
            self.pair,
            &mut notices,
            self.arena,
        );
        for notice in notices.0 {
            let text = message("{=}: {=}", &[&self.config_map(), &notice]);
            self.account.warn(Reason::BadValue, text);
        }
        let found = match found {
            Ok(found) => found,
            Err(error) => {
                let reason = error.message();
                return Ok(Err(Unknown { reason, remedy: "write the mapping as a JSON object of entries" }));
            }
        };
        Ok(Ok(match found {
            Some(entry) => {
                let source = Source::ConfigMap(Some(entry.key));
                self.look_at_entry(&entry, source);
                Some((entry, source))
            }
            None => {
                self.account.look(Field::Role, Source::ConfigMap(None), Said::Nothing);
                None
            }
        }))
    }

    fn look_at_entry(&mut self, entry: &Entry<'a>, source: Source<'a>) {
        let said = match (&entry.role, entry.containers.first()) {
            (Some(role), _) | (None, Some((_, role))) => Said::Value(Shown::Text(role)),
            (None, None) => Said::OptOut,
        };
        self.account.look(Field::Role, source, said);
    }

    fn config_map(&self) -> String {
        match &self.settings.mapping_config_map {
            Some(place) => message("config map `{=}/{=}`", &[place.namespace, place.name]),
            None => "config map".to_owned(),
        }
    }

    /// What to do comes before what others said, which may be long.
    pub(crate) fn unknown_text(&self, missing: &Missing, unknown: &Unknown) -> String {
        let crate::account::Scope { namespace, service_account, .. } = &self.account.scope;
        let what = match missing {
            Missing::ServiceAccount => message("service account `{=}/{=}`", &[namespace, service_account]),
            Missing::ConfigMap => self.config_map(),
        };
        let mut text = message("{=} could not be read, {=}", &[&what, unknown.remedy]);
        if !unknown.reason.is_empty() {
            text.push_str(": ");
            escape_into(&mut text, &unknown.reason, 200);
        }
        text
    }

    fn unknown(&mut self, missing: &Missing, unknown: &Unknown) -> Result<Resolved<'a>, Refusal> {
        let text = self.unknown_text(missing, unknown);
        match self.settings.on_lookup_error {
            OnError::Reject => {
                Err(Refusal { code: 500, reason: RefusalReason::LookupUnknown, message: text })
            }
            OnError::Admit => {
                self.account.warn(Reason::LookupUnknown, "no identity is added: ".to_owned() + &text);
                Ok(Resolved::Unknown)
            }
        }
    }

    /// Every value but the role.
    pub(crate) fn values(
        &mut self,
        method: Method<'a>,
        pod: &Annotations<'a>,
        service_account: &Annotations<'a>,
        entry: Option<&Entry<'a>>,
    ) -> Identity<'a> {
        let settings = self.settings;
        let (entry, source) = match (entry, &method) {
            (Some(entry), Method::WebIdentity(roles)) => {
                let supplied =
                    |role: &&Role<'a>| matches!(role.source, Source::Mapping(_) | Source::ConfigMap(_));
                let role =
                    roles.general.as_ref().into_iter().chain(roles.containers.iter().map(|(_, role)| role));
                let source = role.into_iter().find(supplied).map_or(Source::Settings, |role| role.source);
                (Some(entry), source)
            }
            _ => (None, Source::Settings),
        };

        let mut pick = Pick::new(self.account, Field::TokenExpiration);
        pick.annotation(Source::Pod, pod.token_expiration, parse_expiration);
        pick.annotation(Source::ServiceAccount, service_account.token_expiration, parse_expiration);
        pick.given(source, entry.and_then(|entry| entry.token_expiration));
        pick.given(Source::Settings, settings.token_expiration);
        let token_expiration = pick.value;

        let mut pick = Pick::new(self.account, Field::Region);
        pick.annotation(Source::Pod, pod.region, parse_region);
        pick.annotation(Source::ServiceAccount, service_account.region, parse_region);
        pick.given(source, entry.and_then(|entry| entry.region));
        pick.given(Source::Settings, settings.aws_default_region);
        let region = match pick.value {
            Some(Region::Named(name)) => Some(name),
            Some(Region::None) | None => None,
        };

        let audience = match &method {
            Method::ContainerCredentials(credentials) => credentials.audience,
            Method::WebIdentity(_) => {
                let mut pick = Pick::new(self.account, Field::Audience);
                pick.annotation(Source::ServiceAccount, service_account.audience, |text| {
                    let audience = text.trim();
                    if !is_audience(audience) {
                        Parsed::Bad(AUDIENCE)
                    } else if settings.allows_audience(audience) {
                        Parsed::Good(audience)
                    } else {
                        Parsed::Bad("one of `allowedAudiences`")
                    }
                });
                pick.given(source, entry.and_then(|entry| entry.audience));
                pick.given(Source::Settings, Some(settings.token_audience));
                pick.value.unwrap_or_default()
            }
        };

        let mut pick = Pick::new(self.account, Field::StsRegionalEndpoints);
        pick.annotation(Source::ServiceAccount, service_account.sts_regional_endpoints, |text| {
            parse_bool(text).map_or(Parsed::Bad("`true` or `false`"), Parsed::Good)
        });
        pick.given(source, entry.and_then(|entry| entry.sts_regional_endpoints));
        pick.given(Source::Settings, Some(settings.sts_regional_endpoints));
        let sts_regional_endpoints = pick.value.unwrap_or_default();

        let sts_endpoint_url = match &method {
            Method::ContainerCredentials(_) => None,
            Method::WebIdentity(_) => {
                let mut pick = Pick::new(self.account, Field::StsEndpointUrl);
                pick.given(source, entry.and_then(|entry| entry.sts_endpoint_url));
                pick.given(Source::Settings, settings.sts_endpoint_url);
                pick.value
            }
        };

        for (field, source, list) in [
            (Field::SkipContainers, Source::Pod, pod.skip),
            (Field::SkipContainers, Source::ServiceAccount, service_account.skip),
            (Field::IncludeContainers, Source::Pod, pod.include),
            (Field::IncludeContainers, Source::ServiceAccount, service_account.include),
        ] {
            if let Some(list) = list {
                self.account.look(field, source, Said::Value(Shown::Text(list)));
            }
        }
        let selection = Selection::new(pod, service_account);
        Identity {
            method,
            audience,
            token_expiration,
            region,
            sts_regional_endpoints,
            sts_endpoint_url,
            selection,
        }
    }

    /// Whether a role may be given: well-formed, or given all the same; and allowed in the namespace.
    pub(crate) fn check_role(&mut self, role: &Role<'a>) -> Result<(), Refusal> {
        let place = |account: &Account<'a>| account.place(Field::Role, &role.source);
        if let Err(error) = arn::check_role_arn(role.arn) {
            let text = message(
                "{=}: `{}` is not a role ARN: {=}",
                &[&place(self.account), role.arn, error.expected()],
            );
            match self.settings.on_invalid_identity {
                OnError::Admit => self.account.warn(Reason::InvalidRole, text),
                OnError::Reject => {
                    return Err(Refusal { code: 400, reason: RefusalReason::InvalidRole, message: text });
                }
            }
        }
        let Some(allowed) = &self.settings.allowed_roles else { return Ok(()) };
        if allowed
            .allow(self.pair.namespace, role.arn, self.arena)
            .map_err(|problems| Refusal::settings(&problems))?
        {
            return Ok(());
        }
        let message = message(
            "{=}: `{}` is not allowed in namespace `{=}`: expected a role that a rule of `allowedRoles` allows",
            &[&place(self.account), role.arn, self.pair.namespace],
        );
        Err(Refusal { code: 403, reason: RefusalReason::RoleNotAllowed, message })
    }
}

/// What could not be looked up.
pub(crate) enum Missing {
    ServiceAccount,
    ConfigMap,
}
