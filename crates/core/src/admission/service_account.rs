//! Service accounts: their annotations are checked, and completed when that is asked for. Never refused.

use alloc::borrow::ToOwned;
use alloc::string::String;

use super::*;

use crate::identity::Missing;

use crate::error::Fault;
use crate::json::{Scanner, names};
use crate::pod::Slot;

#[derive(Debug)]
pub(super) struct ServiceAccountState<'a> {
    /// What is read of it, or why it is left as it is.
    metadata: Result<Metadata<'a>, String>,
    mapped: OnceCell<Result<Option<Box<Entry<'a>>>, Problems>>,
}

impl<'a> ServiceAccountState<'a> {
    pub(super) fn new(request: &'a Request<'a>, problems: &Problems) -> Self {
        let metadata = if problems.is_empty() {
            read(request.object.unwrap_or("null"), request.arena)
                .map_err(|error| message("the service account could not be read: {=}", &[&error.message()]))
        } else {
            Err(message("the settings are malformed: {=}", &[&problems.message()]))
        };
        Self { metadata, mapped: OnceCell::new() }
    }

    fn name(&self) -> &'a str {
        self.metadata.as_ref().ok().and_then(|metadata| metadata.name).unwrap_or_default()
    }

    fn mapped(
        &self,
        request: &Request<'a>,
        settings: &Settings<'a>,
    ) -> &Result<Option<Box<Entry<'a>>>, Problems> {
        let pair = Pair { namespace: request.namespace, service_account: self.name() };
        self.mapped.get_or_init(|| mapping::find_in_settings(settings, pair, request.arena))
    }

    /// Whether the mapping is to be written to it.
    fn completes(&self, request: &Request<'a>, settings: &Settings<'a>) -> bool {
        settings.annotate_service_accounts
            && settings.mode == Mode::Mutate
            && names::is_dns_label(request.namespace)
            && names::is_dns_subdomain(self.name())
    }

    pub(super) fn next_lookup<'l>(
        &'l self,
        request: &'l Request<'a>,
        settings: &'l Settings<'a>,
        facts: &Facts<'a>,
    ) -> Option<Lookup<'l>> {
        let config_map = settings.mapping_config_map.as_ref()?;
        let metadata = self.metadata.as_ref().ok()?;
        let undecided = facts.config_map.is_none()
            && self.completes(request, settings)
            && own_role(&metadata.annotations, settings, request.arena).is_none()
            && matches!(self.mapped(request, settings), Ok(None));
        undecided.then_some(Lookup::ConfigMap {
            namespace: config_map.namespace,
            name: config_map.name,
            key: config_map.key,
        })
    }

    pub(super) fn decide(
        self,
        request: &'a Request<'a>,
        settings: &'a Settings<'a>,
        facts: &'a Facts<'a>,
    ) -> Decision<'a> {
        let name = self.metadata.as_ref().ok().and_then(|metadata| metadata.name).unwrap_or_default();
        let mut account = Account {
            scope: Scope {
                prefix: settings.annotation_prefix,
                namespace: request.namespace,
                pod: "",
                service_account: name,
            },
            ..Account::default()
        };
        let outcome = match self.outcome(request, settings, facts, &mut account) {
            Ok(outcome) => outcome,
            Err(refusal) => {
                let reason = match refusal.reason {
                    RefusalReason::InvalidRole => Reason::InvalidRole,
                    RefusalReason::RoleNotAllowed => Reason::RoleNotAllowed,
                    RefusalReason::Settings => Reason::Settings,
                    _ => Reason::BadValue,
                };
                account.warn(reason, refusal.message);
                Outcome::Unchanged(Unchanged::Checked)
            }
        };
        Decision { outcome, identity: None, account }
    }

    fn outcome(
        &self,
        request: &'a Request<'a>,
        settings: &'a Settings<'a>,
        facts: &'a Facts<'a>,
        account: &mut Account<'a>,
    ) -> Result<Outcome<'a>, Refusal> {
        let metadata = match &self.metadata {
            Ok(metadata) => metadata,
            Err(why) => {
                account.warn(Reason::Settings, why.clone());
                return Ok(Outcome::Unchanged(Unchanged::Checked));
            }
        };
        let written = Annotations::read(&metadata.annotations, settings.annotation_prefix)
            .map_err(|error| Refusal::unreadable("the service account's annotations", &error))?;
        let own = written.clone().without_managed(settings.annotation_prefix, account, request.arena);
        let pair = Pair { namespace: request.namespace, service_account: self.name() };
        if settings.service_account_annotations {
            check(&own, request, settings, pair, account);
        }
        if !self.completes(request, settings) {
            return Ok(Outcome::Unchanged(Unchanged::Checked));
        }
        let entry = if own_role(&metadata.annotations, settings, request.arena).is_some() {
            None
        } else {
            let mut resolver =
                Resolver { settings, pair, account, arena: request.arena, containers: &Names::default() };
            match resolver.mapped(&|| self.mapped(request, settings), facts)? {
                Ok(Some((entry, source))) => self.allowed(entry, source, &mut resolver)?,
                Ok(None) => None,
                Err(unknown) => {
                    let text = resolver.unknown_text(&Missing::ConfigMap, &unknown);
                    account.warn(
                        Reason::LookupUnknown,
                        "the service account is left as it is: ".to_owned() + &text,
                    );
                    return Ok(Outcome::Unchanged(Unchanged::Checked));
                }
            }
        };
        let prefix = settings.annotation_prefix;
        Ok(match written.complete(&metadata.annotations, entry.as_deref(), prefix, account, request.arena) {
            Some(plan) => {
                let object = request.object.unwrap_or_default();
                let edits = service_account_edits(object, &metadata.slot, &metadata.annotations, &plan);
                Outcome::Changed(Plan::ServiceAccount(plan), Change::new(object, edits))
            }
            None => Outcome::Unchanged(Unchanged::Checked),
        })
    }

    /// An entry whose role may be written: a malformed one, or one that is not allowed, would only mislead.
    fn allowed(
        &self,
        entry: Box<Entry<'a>>,
        source: Source<'a>,
        resolver: &mut Resolver<'_, 'a>,
    ) -> Result<Option<Box<Entry<'a>>>, Refusal> {
        let Some(arn) = entry.role else { return Ok(None) };
        let well_formed = arn::check_role_arn(arn).is_ok();
        match resolver.check_role(&Role { arn, source }) {
            Ok(()) => Ok(well_formed.then_some(entry)),
            Err(refusal) if refusal.reason == RefusalReason::Settings => Err(refusal),
            Err(refusal) => {
                resolver.account.warn(Reason::RoleNotAllowed, refusal.message);
                Ok(None)
            }
        }
    }
}

/// Checks annotations as those of a pod's service account are, by the same code.
fn check<'a>(
    own: &Annotations<'a>,
    request: &Request<'a>,
    settings: &'a Settings<'a>,
    pair: Pair<'_>,
    account: &mut Account<'a>,
) {
    let mut resolver =
        Resolver { settings, pair, account, arena: request.arena, containers: &Names::default() };
    let general = resolver.annotated_role(own).map(|arn| Role { arn, source: Source::ServiceAccount });
    let containers = own.container_roles.iter().filter_map(|(container, role)| {
        let arn = settings.role(role, request.arena);
        let source = Source::ServiceAccountContainer(container);
        (!arn.is_empty()).then_some(Role { arn, source })
    });
    for role in general.into_iter().chain(containers) {
        if let Err(refusal) = resolver.check_role(&role) {
            resolver.account.warn(Reason::InvalidRole, refusal.message);
        }
    }
    let identity = resolver.values(Method::WebIdentity(Roles::default()), &NO_ANNOTATIONS, own, None);
    if identity.selection.serves_none() {
        warn_of_none_included(Source::ServiceAccount, account);
    }
}

fn read<'a>(object: &'a str, arena: &'a Arena) -> Result<Metadata<'a>, Box<ReadError>> {
    let mut s = Scanner::new(object, arena);
    let mut metadata = Metadata::default();
    if let Some(mut members) = s.object(names!["metadata"]) {
        while members.next(&mut s).is_some() {
            metadata = Metadata::read(&mut s);
        }
    }
    if matches!(metadata.slot, Slot::Absent) {
        s.fail(Fault::Missing { what: "an object with metadata" });
    }
    s.result(metadata)
}
