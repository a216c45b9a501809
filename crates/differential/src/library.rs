//! The core, called directly.

use std::cell::OnceCell;

use anyhow::{Result, anyhow, bail};
use pod_identity_core::{
    Admission, Arena, ConfigMap, Facts, Found, Lookup, Outcome, ReadError, Review, ServiceAccount, Settings,
};
use serde_json::{Value, json};

use crate::compare::Reply;
use crate::scene::Scene;

/// The core's answer.
pub(crate) fn review(scene: &Scene<'_>) -> Result<Reply> {
    let arena = Arena::default();
    let settings = scene.flags.settings(&Value::Array(scene.cluster.identities.clone())).to_string();
    let (settings, mut problems) = Settings::read(&settings, &arena);
    settings.check(&mut problems, &arena);
    if !problems.is_empty() {
        bail!("the settings are refused: {}", problems.message());
    }
    let review = scene.review.text();
    // What cannot be read is refused by every host.
    let Ok(review) = Review::read(&review, &arena) else {
        return Ok(Reply { allowed: false, patch: None });
    };
    let Some(request) = review.request else { bail!("no request in the review") };
    let admission = Admission::new(&request, &settings, &problems);
    let (account, mapping) = (OnceCell::new(), OnceCell::new());
    let mut facts = Facts::default();
    while let Some(lookup) = admission.next_lookup(&facts) {
        match lookup {
            Lookup::ServiceAccount { namespace, name } => {
                let object = scene.cluster.account(namespace, name);
                facts.service_account = Some(found(object, &account, |text| {
                    ServiceAccount::read(text, namespace, name, &arena).map(Some)
                })?);
            }
            Lookup::ConfigMap { namespace, name, key } => {
                let object = scene.cluster.mapping(namespace).map(|mapping| {
                    let metadata = json!({"namespace": namespace, "name": name});
                    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {key: mapping}})
                });
                facts.config_map = Some(found(object, &mapping, |text| {
                    ConfigMap::read(text, namespace, name, key, &arena)
                })?);
            }
        }
    }
    let decision = admission.decide(&facts);
    Ok(match &decision.outcome {
        Outcome::Refused(_) => Reply { allowed: false, patch: None },
        Outcome::Changed(_, change) => {
            let mut patch = String::new();
            change.write_patch(&mut patch);
            Reply { allowed: true, patch: Some(serde_json::from_str(&patch)?) }
        }
        Outcome::Unchanged(_) | Outcome::Verified { .. } => Reply { allowed: true, patch: None },
    })
}

fn found<'a, T>(
    object: Option<Value>,
    cell: &'a OnceCell<String>,
    read: impl FnOnce(&'a str) -> Result<Option<T>, Box<ReadError>>,
) -> Result<Found<T>> {
    let Some(object) = object else { return Ok(Found::NotThere) };
    let text = cell.get_or_init(|| object.to_string());
    let found = read(text).map_err(|error| anyhow!(error.message()))?;
    Ok(found.map_or(Found::NotThere, Found::There))
}
