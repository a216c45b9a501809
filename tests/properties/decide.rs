//! Decides a scenario by the core, and takes along what properties speak of.

use std::cell::OnceCell;

use pod_identity_core::{
    Admission, Arena, ConfigMap, EnvValue, Facts, Found, List, Lookup, Outcome, Plan, Request, Review,
    ServiceAccount, Settings, Unchanged, Unknown, response,
};
use serde_json::Value;

use crate::generate::Scenario;

#[derive(Debug, PartialEq)]
pub(crate) struct Decided {
    pub(crate) outcome: Kind,
    pub(crate) warnings: Vec<String>,
    pub(crate) audit_annotations: Vec<(&'static str, String)>,
    /// The kinds of the objects that were asked for.
    pub(crate) lookups: Vec<&'static str>,
}

#[derive(Debug, PartialEq)]
pub(crate) enum Kind {
    Unchanged(Unchanged),
    Changed(Change),
    Verified { sound: bool },
    Refused { code: u16, message: String },
}

/// A change in all its forms.
#[derive(Debug, PartialEq)]
pub(crate) struct Change {
    pub(crate) plan: PodPlan,
    pub(crate) object: String,
    pub(crate) patch: Value,
}

/// As the core's, but owned.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct PodPlan {
    pub(crate) additions: Vec<Addition>,
    pub(crate) volume: Option<Volume>,
    pub(crate) label: bool,
}

#[derive(Debug, PartialEq)]
pub(crate) struct Addition {
    pub(crate) list: &'static str,
    pub(crate) index: usize,
    /// No value stands for the pod's name.
    pub(crate) env: Vec<(&'static str, Option<String>)>,
    pub(crate) mount: Option<(String, String)>,
}

#[derive(Debug, PartialEq)]
pub(crate) struct Volume {
    pub(crate) name: String,
    pub(crate) audience: String,
    pub(crate) expiration: u64,
    pub(crate) path: String,
    pub(crate) file_mode: Option<u16>,
}

impl Decided {
    pub(crate) fn change(&self) -> Option<&Change> {
        match &self.outcome {
            Kind::Changed(change) => Some(change),
            _ => None,
        }
    }
}

pub(crate) fn decide(scenario: &Scenario) -> Decided {
    decide_object(scenario, &scenario.object())
}

/// As if this had been the object.
pub(crate) fn decide_object(scenario: &Scenario, object: &str) -> Decided {
    decide_payload(&scenario.payload(object), &scenario.settings.to_string(), &|request| {
        scenario.host_call(request)
    })
}

pub(crate) fn decide_payload(
    payload: &str,
    settings: &str,
    host_call: &dyn Fn(&str) -> Result<String, String>,
) -> Decided {
    let arena = Arena::default();
    let request = Review::read(payload, &arena).unwrap().request.unwrap();
    decide_request(&request, settings, host_call, &arena)
}

pub(crate) fn decide_request(
    request: &Request<'_>,
    settings: &str,
    host_call: &dyn Fn(&str) -> Result<String, String>,
    arena: &Arena,
) -> Decided {
    let (settings, problems) = Settings::read(settings, arena);
    let admission = Admission::new(request, &settings, &problems);
    let (account, config_map) = (OnceCell::new(), OnceCell::new());
    let mut facts = Facts::default();
    let mut lookups = Vec::new();
    while let Some(lookup) = admission.next_lookup(&facts) {
        match lookup {
            Lookup::ServiceAccount { namespace, name } => {
                lookups.push("ServiceAccount");
                facts.service_account =
                    Some(found("ServiceAccount", namespace, name, host_call, &account, |text| {
                        ServiceAccount::read(text, namespace, name, arena).map(Some)
                    }));
            }
            Lookup::ConfigMap { namespace, name, key } => {
                lookups.push("ConfigMap");
                facts.config_map =
                    Some(found("ConfigMap", namespace, name, host_call, &config_map, |text| {
                        ConfigMap::read(text, namespace, name, key, arena)
                    }));
            }
        }
    }
    let decision = admission.decide(&facts);
    let outcome = match &decision.outcome {
        Outcome::Unchanged(why) => Kind::Unchanged(*why),
        Outcome::Verified { sound } => Kind::Verified { sound: *sound },
        Outcome::Refused(refusal) => Kind::Refused { code: refusal.code, message: refusal.message.clone() },
        Outcome::Changed(plan, change) => {
            let (mut object, mut patch) = (String::new(), String::new());
            change.write_object(&mut object);
            change.write_patch(&mut patch);
            let plan = match plan {
                Plan::Pod(plan) => owned(plan),
                _ => PodPlan::default(),
            };
            Kind::Changed(Change { plan, object, patch: serde_json::from_str(&patch).unwrap() })
        }
    };
    Decided {
        outcome,
        warnings: response::warnings(&decision),
        audit_annotations: response::audit_annotations(&decision)
            .into_iter()
            .map(|(key, value)| (key, value.into_owned()))
            .collect(),
        lookups,
    }
}

fn found<'a, T>(
    kind: &str,
    namespace: &str,
    name: &str,
    host_call: &dyn Fn(&str) -> Result<String, String>,
    cell: &'a OnceCell<String>,
    read: impl FnOnce(&'a str) -> Result<Option<T>, Box<pod_identity_core::ReadError>>,
) -> Found<T> {
    let unknown = |reason| Found::Unknown(Unknown { reason, remedy: "ask again" });
    match host_call(&serde_json::json!({"kind": kind, "namespace": namespace, "name": name}).to_string()) {
        Ok(text) => match read(cell.get_or_init(|| text)) {
            Ok(Some(object)) => Found::There(object),
            Ok(None) => Found::NotThere,
            Err(error) => unknown(error.to_string()),
        },
        Err(text) if text.contains("Cannot find") => Found::NotThere,
        Err(text) => unknown(text),
    }
}

fn owned(plan: &pod_identity_core::PodPlan<'_>) -> PodPlan {
    PodPlan {
        additions: plan
            .additions
            .iter()
            .map(|addition| Addition {
                list: match addition.list {
                    List::Init => "initContainers",
                    List::Main => "containers",
                    List::Ephemeral => "ephemeralContainers",
                },
                index: addition.index,
                env: addition
                    .env
                    .iter()
                    .map(|variable| match variable.value {
                        EnvValue::Text(text) => (variable.name, Some(text.to_owned())),
                        EnvValue::PodName => (variable.name, None),
                    })
                    .collect(),
                mount: addition.mount.map(|(name, path)| (name.to_owned(), path.to_owned())),
            })
            .collect(),
        volume: plan.volume.as_ref().map(|volume| Volume {
            name: volume.name.to_owned(),
            audience: volume.audience.to_owned(),
            expiration: volume.expiration.seconds(),
            path: volume.path.to_owned(),
            file_mode: volume.file_mode,
        }),
        label: plan.label,
    }
}
