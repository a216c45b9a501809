//! The metadata that `kwctl annotate` writes into a policy.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use wasmparser::{Parser, Payload};

use crate::error::Error;

const SECTION: &str = "io.kubewarden.metadata";

/// The contents of the custom section `io.kubewarden.metadata`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Metadata {
    /// The section as it is in the module.
    pub bytes: Vec<u8>,
    /// The same, parsed.
    pub json: Value,
}

/// A kind of Kubernetes objects, as in `contextAwareResources`.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ResourceKind {
    /// `v1`, `apps/v1`.
    pub api_version: String,
    /// `ServiceAccount`.
    pub kind: String,
}

impl ResourceKind {
    /// A kind by its API version and name.
    pub fn new(api_version: impl Into<String>, kind: impl Into<String>) -> Self {
        Self { api_version: api_version.into(), kind: kind.into() }
    }
}

impl Metadata {
    /// Finds the section. Like policy-server, this takes the first one when there are several.
    pub(crate) fn read(wasm: &[u8]) -> Result<Option<Self>, Error> {
        for payload in Parser::new(0).parse_all(wasm) {
            let payload = payload.map_err(|error| metadata_error(&error))?;
            if let Payload::CustomSection(section) = payload
                && section.name() == SECTION
            {
                let bytes = section.data().to_vec();
                let json = serde_json::from_slice(&bytes).map_err(|error| metadata_error(&error))?;
                return Ok(Some(Self { bytes, json }));
            }
        }
        Ok(None)
    }

    /// The kinds of objects the policy says it reads.
    pub fn context_aware_resources(&self) -> Result<BTreeSet<ResourceKind>, Error> {
        match self.json.get("contextAwareResources") {
            None | Some(Value::Null) => Ok(BTreeSet::new()),
            Some(resources) => BTreeSet::deserialize(resources).map_err(|error| metadata_error(&error)),
        }
    }
}

fn metadata_error(error: &dyn std::error::Error) -> Error {
    Error::Metadata { section: SECTION, message: error.to_string() }
}
