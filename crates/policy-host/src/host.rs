//! Loading a policy, settings, and requests.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{
    cluster::Cluster,
    error::Error,
    field_mask::FieldMasks,
    host_call::Capabilities,
    instance::{Guest, GuestAnswer},
    metadata::{Metadata, ResourceKind},
    request::Request,
    response::{self, AdmissionResponse, Answered},
};

/// How a policy is loaded and run.
#[derive(Clone, Debug)]
pub struct Options {
    /// How long initialization, and then the call, may take.
    pub deadline: Duration,
    /// Counts fuel. The module is compiled differently for it, so times with and without do not compare.
    pub count_fuel: bool,
    /// What field masks do.
    pub field_masks: FieldMasks,
    /// The kinds of objects that the policy may read. None: those that its metadata name, as if the cluster's
    /// administrator had granted what the policy asks for.
    pub context_aware_resources: Option<BTreeSet<ResourceKind>>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(2),
            count_fuel: false,
            field_masks: FieldMasks::default(),
            context_aware_resources: None,
        }
    }
}

/// A compiled policy.
pub struct PolicyHost {
    guest: Guest,
    metadata: Option<Metadata>,
    context_aware_resources: Arc<BTreeSet<ResourceKind>>,
    field_masks: FieldMasks,
}

/// A policy with its settings.
pub struct Policy<'a> {
    host: &'a PolicyHost,
    settings: Vec<u8>,
}

/// The answer to `validate`.
#[derive(Clone, Debug)]
pub struct Evaluation {
    /// What policy-server answers.
    pub response: AdmissionResponse,
    /// The JSON Patch in the response, as JSON.
    pub patch: Option<Value>,
    /// The object that the guest returned, if it did.
    pub mutated_object: Option<Value>,
    /// What the guest itself did. Its `outcome` tells a rejection from a trap or a time-out.
    pub guest: GuestAnswer,
}

/// The answer to `validate_settings`.
#[derive(Clone, Debug)]
pub struct SettingsAnswer {
    /// Whether the policy takes the settings.
    pub valid: bool,
    /// What it says about them. Set by the host, as by policy-server, if the guest did not answer properly.
    pub message: Option<String>,
    /// What the guest itself did.
    pub guest: GuestAnswer,
}

#[derive(Deserialize)]
struct SettingsValidationResponse {
    valid: bool,
    message: Option<String>,
}

impl PolicyHost {
    /// Compiles a policy.
    pub fn load(wasm: &[u8], options: Options) -> Result<Self, Error> {
        let Options { deadline, count_fuel, field_masks, context_aware_resources } = options;
        let guest = Guest::compile(wasm, deadline, count_fuel)?;
        let metadata = Metadata::read(wasm)?;
        let context_aware_resources = match (context_aware_resources, &metadata) {
            (Some(resources), _) => resources,
            (None, Some(metadata)) => metadata.context_aware_resources()?,
            (None, None) => BTreeSet::new(),
        };
        Ok(Self { guest, metadata, context_aware_resources: Arc::new(context_aware_resources), field_masks })
    }

    /// The policy's metadata, if it is annotated.
    pub fn metadata(&self) -> Option<&Metadata> {
        self.metadata.as_ref()
    }

    /// How long it took to compile the module.
    pub fn compile_time(&self) -> Duration {
        self.guest.compile_time()
    }

    /// Calls any guest function with any bytes.
    pub fn call(&self, operation: &str, payload: &[u8], cluster: &Cluster) -> Result<GuestAnswer, Error> {
        let allowed = Arc::clone(&self.context_aware_resources);
        self.guest.call(operation, payload, Capabilities::new(cluster.clone(), allowed, self.field_masks))
    }

    /// Asks the policy for the version of the protocol that it speaks: `v1`.
    pub fn protocol_version(&self) -> Result<String, Error> {
        let answer = self
            .call("protocol_version", &[], &Cluster::default())?
            .outcome
            .map_err(Error::ProtocolVersionCall)?;
        match serde_json::from_slice::<String>(&answer) {
            Ok(version) if version == "v1" || version == "Unknown" => Ok(version),
            _ => Err(Error::ProtocolVersion(String::from_utf8_lossy(&answer).into_owned())),
        }
    }

    /// Asks the policy what it thinks of settings.
    pub fn validate_settings(&self, settings: &Value) -> Result<SettingsAnswer, Error> {
        let guest = self.call("validate_settings", &print_settings(settings)?, &Cluster::default())?;
        let (valid, message) = match &guest.outcome {
            Ok(answer) => match serde_json::from_slice(answer) {
                Ok(SettingsValidationResponse { valid, message }) => (valid, message),
                Err(error) => (false, Some(format!("error: InvalidResponseWithError({error:?})"))),
            },
            Err(failure) => {
                let text = failure.text();
                (
                    false,
                    Some(format!("Error invoking settings validation callback: GuestCallFailure({text:?})")),
                )
            }
        };
        Ok(SettingsAnswer { valid, message, guest })
    }

    /// Gives the policy its settings, if it takes them.
    pub fn with_settings(&self, settings: Value) -> Result<Policy<'_>, Error> {
        let SettingsAnswer { valid, message, .. } = self.validate_settings(&settings)?;
        if !valid {
            let message = message.unwrap_or_else(|| "no message".to_owned());
            return Err(Error::SettingsRefused { message });
        }
        self.with_unchecked_settings(settings)
    }

    /// Gives the policy settings without asking it. policy-server never does.
    pub fn with_unchecked_settings(&self, settings: Value) -> Result<Policy<'_>, Error> {
        Ok(Policy { host: self, settings: print_settings(&settings)? })
    }
}

impl Policy<'_> {
    /// Evaluates an `AdmissionReview`, or the request inside of one.
    pub fn validate(&self, review: &Value, cluster: &Cluster) -> Result<Evaluation, Error> {
        self.evaluate(&Request::from_json(review)?, cluster)
    }

    /// Evaluates a request that was read before.
    pub fn evaluate(&self, request: &Request, cluster: &Cluster) -> Result<Evaluation, Error> {
        let guest = self.host.call("validate", &self.payload(request)?, cluster)?;
        let Answered { response, patch, mutated_object } = response::respond(request, &guest.outcome);
        Ok(Evaluation { response, patch, mutated_object, guest })
    }

    /// The bytes that `validate` is called with, for [`PolicyHost::call`].
    pub fn payload(&self, request: &Request) -> Result<Vec<u8>, Error> {
        request.envelope(&self.settings)
    }
}

/// Settings are an object for policy-server. Null stands for an empty one.
fn print_settings(settings: &Value) -> Result<Vec<u8>, Error> {
    let empty = Map::new();
    let fields = match settings {
        Value::Object(fields) => fields,
        Value::Null => &empty,
        Value::Bool(_) => return Err(Error::SettingsNotAnObject("a boolean")),
        Value::Number(_) => return Err(Error::SettingsNotAnObject("a number")),
        Value::String(_) => return Err(Error::SettingsNotAnObject("a string")),
        Value::Array(_) => return Err(Error::SettingsNotAnObject("an array")),
    };
    serde_json::to_vec(fields).map_err(Error::Json)
}
