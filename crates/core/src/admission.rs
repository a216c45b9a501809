//! From a request to a decision: which objects are needed, and what comes of them.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::cell::OnceCell;

use crate::account::{Account, Field, Reason, Scope, Source};
use crate::arn;
use crate::edit::{Change, pod_edits, service_account_edits};
use crate::error::ReadError;
use crate::facts::{Facts, Found, Lookup};
use crate::identity::{Identity, Method, Resolved, Resolver, Role, Roles, Selection};
use crate::json::Arena;
use crate::mapping::{self, Entry, Pair};
use crate::message::message;
use crate::names::{self, Names};
use crate::plan::{Plan, Plans, Target, Token, has_all, targets};
use crate::pod::{Metadata, Pod};
use crate::refusal::{Refusal, RefusalReason};
use crate::review::{Request, Subject};
use crate::room;
use crate::service_account::{Annotations, NO_ANNOTATIONS};
use crate::settings::{ContainerCredentials, Mode, Problems, Settings};
use crate::values::container_names;
use crate::verify::Verification;

mod service_account;

/// Mirror pods stand for static ones; the API server refuses them with a token volume
/// (<https://kubernetes.io/docs/reference/labels-annotations-taints/#kubernetes-io-config-mirror>).
const MIRROR: &str = "kubernetes.io/config.mirror";
/// After the prefix of annotations.
const SKIP_LABEL: &str = "/skip-pod-identity-webhook";

/// Why an object stays as it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Unchanged {
    /// The request is about something else.
    NotServed,
    /// The pod is a mirror pod.
    MirrorPod,
    /// The pod has the label that excuses it.
    SkipLabel,
    /// The pod names no service account.
    NoServiceAccount,
    /// The namespace or the service account has no valid name.
    InvalidName,
    /// Nobody gives the pod an identity.
    NoIdentity,
    /// No container is served.
    NoContainer,
    /// Nothing is missing, or nothing can be added.
    Complete,
    /// A look-up gave no answer.
    LookupUnknown,
    /// It was only checked.
    Checked,
}

/// What becomes of an object.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Outcome<'a> {
    /// It stays as it is.
    Unchanged(Unchanged),
    /// It is changed.
    Changed(Plan<'a>, Change<'a>),
    /// It was checked and carries what it should, or lacks something and is admitted with warnings.
    Verified {
        /// Nothing was found wanting.
        sound: bool,
    },
    /// It is refused.
    Refused(Refusal),
}

/// What becomes of an object, and why.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Decision<'a> {
    /// What becomes of it.
    pub outcome: Outcome<'a>,
    /// Who the pod is, when that was found out.
    pub identity: Option<Identity<'a>>,
    /// How it was reached.
    pub account: Account<'a>,
}

/// A request that is being decided.
#[derive(Debug)]
pub struct Admission<'a> {
    request: &'a Request<'a>,
    settings: &'a Settings<'a>,
    state: State<'a>,
}

#[derive(Debug)]
enum State<'a> {
    Done(Outcome<'a>),
    Pod(Box<PodState<'a>>),
    ServiceAccount(Box<service_account::ServiceAccountState<'a>>),
}

#[derive(Debug)]
struct PodState<'a> {
    pod: Pod<'a>,
    /// The names of its containers, whatever their kind.
    containers: Names<'a>,
    annotations: Annotations<'a>,
    /// Why the pod is left alone, if it is.
    left_alone: Option<Unchanged>,
    service_account: &'a str,
    /// For an update of ephemeral containers, those that were there before.
    old_ephemeral: Option<Names<'a>>,
    credentials: Option<&'a ContainerCredentials<'a>>,
    mapped: OnceCell<Result<Option<Box<Entry<'a>>>, Problems>>,
}

impl<'a> Admission<'a> {
    /// Reads the object. `problems` are those of the settings.
    #[must_use]
    pub fn new(request: &'a Request<'a>, settings: &'a Settings<'a>, problems: &Problems) -> Self {
        let state = match request.subject {
            Subject::Other => State::Done(Outcome::Unchanged(Unchanged::NotServed)),
            Subject::ServiceAccount => {
                State::ServiceAccount(Box::new(service_account::ServiceAccountState::new(request, problems)))
            }
            Subject::Pod | Subject::EphemeralContainers if !problems.is_empty() => {
                State::Done(Outcome::Refused(Refusal::settings(problems)))
            }
            Subject::Pod | Subject::EphemeralContainers => match PodState::new(request, settings) {
                Ok(state) => State::Pod(Box::new(state)),
                Err(refusal) => State::Done(Outcome::Refused(refusal)),
            },
        };
        Self { request, settings, state }
    }

    /// The object that is needed next, given those that were found so far.
    #[must_use]
    pub fn next_lookup<'l>(&'l self, facts: &Facts<'a>) -> Option<Lookup<'l>> {
        match &self.state {
            State::Done(_) => None,
            State::Pod(state) => state.next_lookup(self.request, self.settings, facts),
            State::ServiceAccount(state) => state.next_lookup(self.request, self.settings, facts),
        }
    }

    /// Decides. Every object that [`Self::next_lookup`] names has to be among the facts.
    #[must_use]
    pub fn decide(self, facts: &'a Facts<'a>) -> Decision<'a> {
        match self.state {
            State::Done(outcome) => Decision { outcome, identity: None, account: Account::default() },
            State::Pod(state) => state.decide(self.request, self.settings, facts),
            State::ServiceAccount(state) => (*state).decide(self.request, self.settings, facts),
        }
    }
}

impl<'a> PodState<'a> {
    fn new(request: &'a Request<'a>, settings: &'a Settings<'a>) -> Result<Self, Refusal> {
        let unreadable = |error: Box<ReadError>| Refusal::unreadable("the pod", &error);
        let pod = Pod::read(request.object.unwrap_or("null"), request.arena).map_err(unreadable)?;
        let containers = Names::of(pod.all_containers().map(|container| container.name));
        let annotations =
            Annotations::read(&pod.metadata.annotations, settings.annotation_prefix).map_err(unreadable)?;
        let old_ephemeral = match (request.subject, request.old_object) {
            (Subject::EphemeralContainers, Some(old)) => {
                let old = Pod::read(old, request.arena)
                    .map_err(|error| Refusal::unreadable("the old pod", &error))?;
                Some(Names::of(old.ephemeral_containers.iter().map(|container| container.name)))
            }
            (Subject::EphemeralContainers, None) => Some(Names::default()),
            _ => None,
        };
        let labelled =
            pod.metadata.labels.get(settings.annotation_prefix, SKIP_LABEL).map_err(unreadable)?.is_some();
        let mirrored = pod.metadata.annotations.get("", MIRROR).map_err(unreadable)?.is_some();
        let service_account = pod.service_account().unwrap_or_default();
        let left_alone = if mirrored {
            Some(Unchanged::MirrorPod)
        } else if labelled {
            Some(Unchanged::SkipLabel)
        } else if service_account.is_empty() {
            Some(Unchanged::NoServiceAccount)
        } else if !names::is_dns_label(request.namespace) || !names::is_dns_subdomain(service_account) {
            Some(Unchanged::InvalidName)
        } else {
            None
        };
        if left_alone.is_none()
            && let Some(namespace) = pod.metadata.namespace
            && namespace != request.namespace
        {
            let message = message(
                "the pod's namespace is `{}`, expected that of the request, `{=}`",
                &[namespace, request.namespace],
            );
            return Err(Refusal { code: 400, reason: RefusalReason::NamespaceMismatch, message });
        }
        let credentials = match &settings.container_credentials {
            Some(credentials) if left_alone.is_none() => credentials
                .identities
                .contain(request.namespace, service_account, request.arena)
                .map_err(|problems| Refusal::settings(&problems))?
                .then_some(credentials),
            _ => None,
        };
        Ok(Self {
            pod,
            containers,
            annotations,
            left_alone,
            service_account,
            old_ephemeral,
            credentials,
            mapped: OnceCell::new(),
        })
    }

    fn pair<'p>(&'p self, request: &'p Request<'a>) -> Pair<'p> {
        Pair { namespace: request.namespace, service_account: self.service_account }
    }

    /// The entry of the settings' mapping. Looked up once, and only when it matters.
    fn mapped(
        &self,
        request: &Request<'a>,
        settings: &Settings<'a>,
    ) -> &Result<Option<Box<Entry<'a>>>, Problems> {
        self.mapped.get_or_init(|| mapping::find_in_settings(settings, self.pair(request), request.arena))
    }

    fn next_lookup<'l>(
        &'l self,
        request: &'l Request<'a>,
        settings: &'a Settings<'a>,
        facts: &Facts<'a>,
    ) -> Option<Lookup<'l>> {
        if self.left_alone.is_some() || !self.can_matter(settings, request.arena) {
            return None;
        }
        if settings.service_account_annotations && facts.service_account.is_none() {
            return Some(Lookup::ServiceAccount { namespace: request.namespace, name: self.service_account });
        }
        let config_map = settings.mapping_config_map.as_ref()?;
        let undecided = self.credentials.is_none()
            && facts.config_map.is_none()
            && !has_role(settings, facts, request.arena)
            && matches!(self.mapped(request, settings), Ok(None));
        undecided.then_some(Lookup::ConfigMap {
            namespace: config_map.namespace,
            name: config_map.name,
            key: config_map.key,
        })
    }

    /// Whether anything that is looked up can change the answer: some container could be given something.
    fn can_matter(&self, settings: &'a Settings<'a>, arena: &'a Arena) -> bool {
        let selection = Selection::new(&self.annotations, &NO_ANNOTATIONS);
        let targets = targets(&self.pod, self.old_ephemeral.as_ref(), &|container| {
            selection.serves(container.name, self.old_ephemeral.is_some())
        });
        match self.credentials {
            Some(credentials) if settings.mode == Mode::Mutate => {
                let identity = Identity {
                    method: Method::ContainerCredentials(credentials),
                    audience: credentials.audience,
                    token_expiration: None,
                    region: None,
                    sts_regional_endpoints: false,
                    sts_endpoint_url: None,
                    selection: Selection::default(),
                };
                let token = Token::new(&identity, settings, &self.pod, arena);
                targets.iter().any(|target| !has_all(target.container, &token))
            }
            _ => !targets.is_empty(),
        }
    }

    fn decide(
        &self,
        request: &'a Request<'a>,
        settings: &'a Settings<'a>,
        facts: &'a Facts<'a>,
    ) -> Decision<'a> {
        let metadata = &self.pod.metadata;
        let mut account = Account {
            scope: Scope {
                prefix: settings.annotation_prefix,
                namespace: request.namespace,
                pod: metadata.name.or(metadata.generate_name).unwrap_or_default(),
                service_account: self.service_account,
            },
            looks: room::of(24),
            warnings: Vec::new(),
        };
        let mut identity = None;
        let outcome = match self.outcome(request, settings, facts, &mut account, &mut identity) {
            Ok(outcome) => outcome,
            Err(refusal) => Outcome::Refused(refusal),
        };
        Decision { outcome, identity, account }
    }

    fn outcome(
        &self,
        request: &'a Request<'a>,
        settings: &'a Settings<'a>,
        facts: &'a Facts<'a>,
        account: &mut Account<'a>,
        found: &mut Option<Identity<'a>>,
    ) -> Result<Outcome<'a>, Refusal> {
        if let Some(reason) = self.left_alone {
            return self.unserved(request, settings, account, reason);
        }
        self.warn_about_lists(account);
        let pair = self.pair(request);
        let mut resolver =
            Resolver { settings, pair, account, arena: request.arena, containers: &self.containers };
        let mut identity = match resolver.resolve(
            &self.annotations,
            &|| self.mapped(request, settings),
            self.credentials,
            facts,
        )? {
            Resolved::Identity(identity) => *identity,
            Resolved::None => return self.unserved(request, settings, account, Unchanged::NoIdentity),
            Resolved::Unknown => return self.unserved(request, settings, account, Unchanged::LookupUnknown),
        };
        let targets = targets(&self.pod, self.old_ephemeral.as_ref(), &|container| {
            let has_role = match &identity.method {
                Method::WebIdentity(roles) => roles.of(container.name).is_some(),
                Method::ContainerCredentials(_) => true,
            };
            has_role && identity.selection.serves(container.name, self.old_ephemeral.is_some())
        });
        if self.annotations.include.is_none()
            && identity.selection.serves_none()
            && self.old_ephemeral.is_none()
        {
            warn_of_none_included(Source::ServiceAccount, account);
        }
        if targets.is_empty() {
            return self.unserved(request, settings, account, Unchanged::NoContainer);
        }
        if let Method::WebIdentity(roles) = &mut identity.method {
            roles.keep_those_of(&targets);
        }
        let identity = &*found.insert(identity);
        if let Method::WebIdentity(roles) = &identity.method {
            let mut resolver =
                Resolver { settings, pair, account, arena: request.arena, containers: &self.containers };
            for role in roles.general.iter().chain(roles.containers.iter().map(|(_, role)| role)) {
                resolver.check_role(role)?;
            }
        }
        if settings.mode == Mode::Verify {
            return self.verified(request, settings, account, Some((identity, &targets)));
        }
        let name = self.pod.metadata.name.unwrap_or(request.uid);
        let plans = Plans {
            pod: &self.pod,
            identity,
            settings,
            spread_by: (request.namespace, name),
            arena: request.arena,
        };
        Ok(match plans.plan(&targets, account) {
            Some(plan) => {
                let change = Change::new(request.object.unwrap_or_default(), pod_edits(&self.pod, &plan));
                Outcome::Changed(Plan::Pod(plan), change)
            }
            None => Outcome::Unchanged(Unchanged::Complete),
        })
    }

    /// What becomes of a pod that is given nothing: roles that it brings are checked all the same.
    fn unserved(
        &self,
        request: &'a Request<'a>,
        settings: &'a Settings<'a>,
        account: &mut Account<'a>,
        reason: Unchanged,
    ) -> Result<Outcome<'a>, Refusal> {
        let checked = settings.mode == Mode::Verify
            && settings.allowed_roles.is_some()
            && !matches!(reason, Unchanged::MirrorPod | Unchanged::InvalidName);
        if !checked {
            return Ok(Outcome::Unchanged(reason));
        }
        self.verified(request, settings, account, None)
    }

    /// Checks the roles that the pod brings, and the containers that are served.
    fn verified(
        &self,
        request: &'a Request<'a>,
        settings: &'a Settings<'a>,
        account: &mut Account<'a>,
        served: Option<(&Identity<'a>, &[Target<'_, 'a>])>,
    ) -> Result<Outcome<'a>, Refusal> {
        let mut verification = Verification {
            pod: &self.pod,
            settings,
            namespace: request.namespace,
            account,
            failures: Vec::new(),
            arena: request.arena,
        };
        verification.literal_roles()?;
        if let Some((identity, targets)) = served {
            verification.containers(identity, targets)?;
        }
        Ok(Outcome::Verified { sound: verification.conclude()? })
    }

    /// Names in the pod's own lists that are no containers of it, and a list that includes none.
    fn warn_about_lists(&self, account: &mut Account<'a>) {
        let Scope { prefix, namespace, pod, .. } = &account.scope;
        let mut texts = Vec::new();
        for (field, list) in [
            (Field::SkipContainers, self.annotations.skip),
            (Field::IncludeContainers, self.annotations.include),
        ] {
            for name in container_names(list.unwrap_or_default()) {
                if !self.containers.contain(name) {
                    texts.push(message(
                        "annotation `{=}/{=}` of pod `{}/{}`: `{}` is no container of the pod",
                        &[prefix, field.annotation(), namespace, pod, name],
                    ));
                }
            }
        }
        for text in texts {
            account.warn(Reason::BadValue, text);
        }
        if self.old_ephemeral.is_none() && Selection::new(&self.annotations, &NO_ANNOTATIONS).serves_none() {
            warn_of_none_included(Source::Pod, account);
        }
    }
}

fn warn_of_none_included(source: Source<'_>, account: &mut Account<'_>) {
    let place = account.place(Field::IncludeContainers, &source);
    account.warn(Reason::BadValue, place + " is empty: no container is served");
}

/// Whether the service account decides the matter: it names a role, or nobody knows what it names.
fn has_role<'a>(settings: &Settings<'a>, facts: &Facts<'a>, arena: &'a Arena) -> bool {
    match &facts.service_account {
        Some(Found::There(found)) => own_role(&found.annotations, settings, arena).is_some(),
        Some(Found::Unknown(_)) => true,
        Some(Found::NotThere) | None => false,
    }
}

/// The role that a service account names by itself, as it is written. Annotations that cannot be read count as
/// one: whoever reads them next says what is wrong.
fn own_role<'a>(
    annotations: &crate::pod::StringMap<'a>,
    settings: &Settings<'a>,
    arena: &'a Arena,
) -> Option<&'a str> {
    match Annotations::read(annotations, settings.annotation_prefix) {
        Ok(found) => found
            .without_managed(settings.annotation_prefix, &mut Account::default(), arena)
            .role
            .filter(|role| !role.trim().is_empty()),
        Err(_) => Some(""),
    }
}
