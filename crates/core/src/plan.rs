//! What to add to a pod: plain data.

use alloc::string::String;
use alloc::vec::Vec;

use crate::account::{Account, Reason};
use crate::identity::{Identity, Method, Role};
use crate::json::Arena;
use crate::message::{message, number};
use crate::names::Names;
use crate::pod::{Container, Pod, Variable};
use crate::room;
use crate::settings::{RoleSessionName, Settings};
use crate::values::TokenExpiration;

mod token;
use token::AtPath;
pub(crate) use token::{Token, has_all};

/// Says that a pod uses EKS Pod Identity, whatever the annotations' prefix.
pub(crate) const POD_IDENTITY_LABEL: &str = "eks.amazonaws.com/pod-identity";
/// The longest name of a role's session that STS takes
/// (<https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html>).
const MAX_SESSION_NAME: usize = 64;

/// What to change.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Plan<'a> {
    /// Additions to a pod.
    Pod(PodPlan<'a>),
    /// Annotations of a service account.
    ServiceAccount(ServiceAccountPlan),
}

/// What to add to a pod. Never empty.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct PodPlan<'a> {
    /// For each container that is given something.
    pub additions: Vec<Addition<'a>>,
    /// The token's volume, unless the pod has one that serves.
    pub volume: Option<Volume<'a>>,
    /// Whether the pod is labelled as one that uses EKS Pod Identity.
    pub label: bool,
}

/// A list of containers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum List {
    /// Init containers, native sidecars included.
    Init,
    /// Containers.
    Main,
    /// Ephemeral containers.
    Ephemeral,
}

/// What to add to a container.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Addition<'a> {
    /// The list that the container is in.
    pub list: List,
    /// Its place in the list.
    pub index: usize,
    /// Variables, in order.
    pub env: Vec<EnvVar<'a>>,
    /// The mount of the token's volume: the volume's name and where.
    pub mount: Option<(&'a str, &'a str)>,
}

/// A variable.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct EnvVar<'a> {
    /// Its name.
    pub name: &'static str,
    /// Its value.
    pub value: EnvValue<'a>,
}

/// The value of a variable.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum EnvValue<'a> {
    /// A text.
    Text(&'a str),
    /// The pod's name, from the field `metadata.name`.
    PodName,
}

/// A projected volume with a service account's token.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Volume<'a> {
    /// Its name.
    pub name: &'a str,
    /// The token's audience.
    pub audience: &'a str,
    /// How long the token is valid.
    pub expiration: TokenExpiration,
    /// The token's path in the volume.
    pub path: &'a str,
    /// The permission bits of the token file.
    pub file_mode: Option<u16>,
}

/// Annotations of a service account that change. Never empty.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ServiceAccountPlan {
    /// One after the other.
    pub annotations: Vec<AnnotationChange>,
}

/// An annotation that changes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AnnotationChange {
    /// Its key.
    pub key: String,
    /// Whether it is there.
    pub present: bool,
    /// What it becomes; nothing when it is removed.
    pub value: Option<String>,
}

/// A container that is served.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target<'p, 'a> {
    pub(crate) list: List,
    pub(crate) index: usize,
    pub(crate) container: &'p Container<'a>,
}

/// The containers of an admission that are wanted: of all of a new pod, or of the new ephemeral ones.
pub(crate) fn targets<'p, 'a>(
    pod: &'p Pod<'a>,
    old_ephemeral: Option<&Names<'_>>,
    wanted: &dyn Fn(&Container<'a>) -> bool,
) -> Vec<Target<'p, 'a>> {
    let mut found = room::of(pod.init_containers.len() + pod.containers.len());
    let mut add = |list, containers: &'p [Container<'a>]| {
        for (index, container) in containers.iter().enumerate() {
            let is_old = old_ephemeral.is_some_and(|old| old.contain(container.name));
            if !is_old && wanted(container) {
                found.push(Target { list, index, container });
            }
        }
    };
    if old_ephemeral.is_none() {
        add(List::Init, &pod.init_containers);
        add(List::Main, &pod.containers);
    } else {
        add(List::Ephemeral, &pod.ephemeral_containers);
    }
    found
}

/// Who is asked for, as far as a plan needs to know.
pub(crate) struct Plans<'p, 'a> {
    pub(crate) pod: &'p Pod<'a>,
    pub(crate) identity: &'p Identity<'a>,
    pub(crate) settings: &'a Settings<'a>,
    /// The namespace and the name, or what stands in its place, by which expirations are spread.
    pub(crate) spread_by: (&'p str, &'p str),
    pub(crate) arena: &'a Arena,
}

impl<'a> Plans<'_, 'a> {
    /// What to add for the containers that are served; `None` when nothing is missing.
    pub(crate) fn plan(&self, targets: &[Target<'_, 'a>], account: &mut Account<'a>) -> Option<PodPlan<'a>> {
        let token = Token::new(self.identity, self.settings, self.pod, self.arena);
        let (volume_name, volume_there) = token.volume(self.pod, self.arena);
        if !volume_there && let Some(target) = targets.iter().find(|target| target.list == List::Ephemeral) {
            let name = target.container.name;
            let text = message(
                "ephemeral container `{}` gets no identity: the pod has no volume with a token for `{}`, and volumes cannot be added to a running pod",
                &[name, token.audience],
            );
            account.warn(Reason::Conflict, text);
            return None;
        }
        let session_name = self.session_name(account);
        let mut plan = PodPlan { additions: room::of(targets.len()), ..PodPlan::default() };
        let mut labelled = false;
        for target in targets {
            let Some(addition) = self.addition(target, &token, volume_name, session_name, account) else {
                continue;
            };
            labelled |= addition.env.iter().any(|variable| {
                variable.name == Variable::ContainerCredentialsFullUri.name()
                    || variable.name == Variable::ContainerAuthorizationTokenFile.name()
            });
            plan.additions.push(addition);
        }
        if plan.additions.is_empty() {
            return None;
        }
        if !volume_there && plan.additions.iter().any(|addition| addition.mount.is_some()) {
            plan.volume = Some(Volume {
                name: volume_name,
                audience: token.audience,
                expiration: self.expiration(),
                path: token.path,
                file_mode: self.settings.token_file_mode,
            });
        }
        let ephemeral = plan.additions.iter().any(|addition| addition.list == List::Ephemeral);
        plan.label = labelled && !ephemeral && self.lacks_label(account);
        Some(plan)
    }

    fn expiration(&self) -> TokenExpiration {
        self.identity.token_expiration.unwrap_or_else(|| match self.identity.method {
            Method::WebIdentity(_) => TokenExpiration::DEFAULT,
            Method::ContainerCredentials(_) => TokenExpiration::spread(self.spread_by.0, self.spread_by.1),
        })
    }

    /// Whether the pod's name is to name the session, and can.
    fn session_name(&self, account: &mut Account<'a>) -> bool {
        if self.settings.role_session_name != RoleSessionName::PodName
            || !matches!(self.identity.method, Method::WebIdentity(_))
        {
            return false;
        }
        match self.pod.metadata.name {
            Some(name) if name.len() > MAX_SESSION_NAME => {
                let text = message(
                    "`{=}` is not set: the pod's name has {=} characters, a session's has at most {=}",
                    &[
                        Variable::RoleSessionName.name(),
                        &number(name.len() as u64),
                        &number(MAX_SESSION_NAME as u64),
                    ],
                );
                account.warn(Reason::Conflict, text);
                false
            }
            _ => true,
        }
    }

    fn lacks_label(&self, account: &mut Account<'a>) -> bool {
        let value = self
            .pod
            .metadata
            .labels
            .iter()
            .find(|(key, _)| *key == POD_IDENTITY_LABEL)
            .map(|(_, value)| value);
        if let Some(value) = value
            && value != "enabled"
        {
            let text = message(
                "label `{=}`: expected `enabled`, found `{}`, which is left",
                &[POD_IDENTITY_LABEL, value],
            );
            account.warn(Reason::Conflict, text);
        }
        value.is_none()
    }

    fn addition(
        &self,
        target: &Target<'_, 'a>,
        token: &Token<'a>,
        volume_name: &'a str,
        session_name: bool,
        account: &mut Account<'a>,
    ) -> Option<Addition<'a>> {
        let container = target.container;
        let role = match &self.identity.method {
            Method::WebIdentity(roles) => Some(roles.of(container.name)?),
            Method::ContainerCredentials(_) => None,
        };
        let at_path = token.at_mount_path(container);
        let elsewhere = token.is_elsewhere(container);
        self.warn_about(container, token, at_path, elsewhere, account);
        let env = self.env(container, role, token, at_path != AtPath::Taken, session_name);
        let mount = (at_path == AtPath::Free && !elsewhere).then_some((volume_name, token.mount_path));
        (!env.is_empty() || mount.is_some()).then_some(Addition {
            list: target.list,
            index: target.index,
            env,
            mount,
        })
    }

    fn warn_about(
        &self,
        container: &Container<'a>,
        token: &Token<'a>,
        at_path: AtPath,
        elsewhere: bool,
        account: &mut Account<'a>,
    ) {
        let name = container.name;
        if at_path == AtPath::Taken
            && !(self.identity_variables().iter().all(|variable| container.defines(*variable)))
        {
            let text = message(
                "container `{}` gets no identity: something else is mounted at `{}`",
                &[name, token.mount_path],
            );
            account.warn(Reason::Conflict, text);
        } else if at_path != AtPath::Taken
            && !elsewhere
            && let Some(mount) = token.nested_mount(container)
        {
            let text = message(
                "container `{}`: the mount at `{}` and that of the token at `{}` are nested, one may hide the other",
                &[name, mount.path, token.mount_path],
            );
            account.warn(Reason::Conflict, text);
        }
        if matches!(self.identity.method, Method::ContainerCredentials(_))
            && (container.defines(Variable::RoleArn) || container.defines(Variable::WebIdentityTokenFile))
        {
            let text = message(
                "container `{}` has variables for web identity: the SDKs prefer them to container credentials",
                &[name],
            );
            account.warn(Reason::Conflict, text);
        }
    }

    /// The variables without which a container has no identity.
    fn identity_variables(&self) -> [Variable; 2] {
        match self.identity.method {
            Method::WebIdentity(_) => [Variable::RoleArn, Variable::WebIdentityTokenFile],
            Method::ContainerCredentials(_) => {
                [Variable::ContainerCredentialsFullUri, Variable::ContainerAuthorizationTokenFile]
            }
        }
    }

    /// The variables that are missing, in the order in which they are appended.
    fn env(
        &self,
        container: &Container<'a>,
        role: Option<&Role<'a>>,
        token: &Token<'a>,
        identity: bool,
        session_name: bool,
    ) -> Vec<EnvVar<'a>> {
        let mut env = room::of(4);
        let mut add = |variable: Variable, value: EnvValue<'a>| {
            if !container.defines(variable) {
                env.push(EnvVar { name: variable.name(), value });
            }
        };
        if self.identity.sts_regional_endpoints {
            add(Variable::StsRegionalEndpoints, EnvValue::Text("regional"));
        }
        if let Some(region) = self.identity.region
            && !container.defines(Variable::DefaultRegion)
            && !container.defines(Variable::Region)
        {
            add(Variable::DefaultRegion, EnvValue::Text(region));
            add(Variable::Region, EnvValue::Text(region));
        }
        if !identity {
            return env;
        }
        match (&self.identity.method, role) {
            (Method::WebIdentity(_), Some(role)) => {
                if let Some(url) = self.identity.sts_endpoint_url {
                    add(Variable::EndpointUrlSts, EnvValue::Text(url));
                }
                add(Variable::RoleArn, EnvValue::Text(role.arn));
                add(Variable::WebIdentityTokenFile, EnvValue::Text(token.file));
                if session_name {
                    add(Variable::RoleSessionName, EnvValue::PodName);
                }
            }
            (Method::ContainerCredentials(credentials), _) => {
                add(Variable::ContainerCredentialsFullUri, EnvValue::Text(credentials.full_uri));
                add(Variable::ContainerAuthorizationTokenFile, EnvValue::Text(token.file));
            }
            (Method::WebIdentity(_), None) => {}
        }
        env
    }
}
