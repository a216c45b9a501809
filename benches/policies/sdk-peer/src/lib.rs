//! The mutation of web identity from the mapping in the settings, as the documentation of kubewarden-policy-sdk
//! shows how policies are written: a typed request, a typed pod, and the pod given back.

mod mutation;
mod settings;

use k8s_openapi::api::core::v1::Pod;
use kubewarden_policy_sdk::{
    accept_request, mutate_pod_spec_from_request, protocol_version_guest, reject_request,
    request::ValidationRequest, validate_settings,
};
use wapc_guest::{CallResult, register_function};

use crate::settings::Settings;

/// policy-server asks for it. In this form it is what `kwctl annotate` would write.
#[used]
#[unsafe(link_section = "io.kubewarden.metadata")]
static METADATA: [u8; include_bytes!("../../metadata.json").len()] = *include_bytes!("../../metadata.json");

/// Called by the host before anything else, for every request.
#[unsafe(no_mangle)]
pub extern "C" fn wapc_init() {
    register_function("validate", validate);
    register_function("validate_settings", validate_settings::<Settings>);
    register_function("protocol_version", protocol_version_guest);
}

fn validate(payload: &[u8]) -> CallResult {
    let request: ValidationRequest<Settings> = ValidationRequest::new(payload)?;
    let pod = match serde_json::from_value::<Pod>(request.request.object.clone()) {
        Ok(pod) => pod,
        Err(error) => return reject_request(Some(error.to_string()), Some(400), None, None),
    };
    let Some(mut spec) = pod.spec else { return accept_request() };
    let service_account = spec.service_account_name.as_deref().unwrap_or("default");
    let key = format!("{}/{service_account}", request.request.namespace);
    let Some(role) = request.settings.mapping.get(&key) else { return accept_request() };
    mutation::add_web_identity(&mut spec, role, &request.settings);
    mutate_pod_spec_from_request(request, spec)
}
