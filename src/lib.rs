//! The Kubewarden policy: waPC guest functions around the core.
//!
//! Nothing survives a call: policy-server makes a new instance for each request.

#![cfg_attr(target_arch = "wasm32", no_std)]

extern crate alloc;

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::string::String;
use core::cell::OnceCell;

use pod_identity_core::{
    Admission, Arena, ConfigMap, Facts, Found, Lookup, Review, ServiceAccount, Settings,
};

#[cfg(target_arch = "wasm32")]
mod guest;
mod host;
pub mod response;

pub use host::remedy;

/// What `kwctl annotate` would write from `metadata.yml`; made by `build.rs`. Public, for then the compiler keeps the
/// section; with `#[used]` it would keep a second copy among the data.
#[cfg(target_arch = "wasm32")]
#[allow(unsafe_code, reason = "a section of a name of its own clashes with nothing")]
#[unsafe(link_section = "io.kubewarden.metadata")]
pub static METADATA: [u8; include_bytes!(concat!(env!("OUT_DIR"), "/metadata.json")).len()] =
    *include_bytes!(concat!(env!("OUT_DIR"), "/metadata.json"));

/// Asks the host for something: an operation of its `kubernetes` capability, and the request as JSON. The error
/// is the host's text.
pub type HostCall<'h> = dyn Fn(&str, &str) -> Result<String, String> + 'h;

/// Decides a request; both the request and the answer are JSON as policy-server writes and reads it.
#[must_use]
pub fn validate(payload: &[u8], host_call: &HostCall<'_>) -> String {
    let arena = Arena::default();
    let Ok(text) = core::str::from_utf8(payload) else { return unreadable("expected UTF-8") };
    let (request, settings) = match Review::read(text, &arena) {
        Ok(Review { request: Some(request), settings, .. }) => (request, settings),
        Ok(_) => return unreadable("expected `request`, found none"),
        Err(error) => return unreadable(&error.message()),
    };
    let settings = settings.unwrap_or_else(|| Box::new(Settings::read("null", &arena)));
    let (settings, problems) = &*settings;
    let admission = Admission::new(&request, settings, problems);
    let (service_account, config_map) = (OnceCell::new(), OnceCell::new());
    let mut facts = Facts::default();
    while let Some(lookup) = admission.next_lookup(&facts) {
        let found = host::get(&lookup, settings.service_account_lookup, host_call);
        match lookup {
            Lookup::ServiceAccount { namespace, name } => {
                let found = host::held(found, &service_account, |text| {
                    ServiceAccount::read(text, namespace, name, &arena).map(Some)
                });
                facts.service_account = Some(found);
            }
            Lookup::ConfigMap { namespace, name, key } => {
                let found = host::held(found, &config_map, |text| {
                    ConfigMap::read(text, namespace, name, key, &arena)
                });
                facts.config_map = Some(found);
            }
        }
    }
    response::of(&admission.decide(&facts))
}

fn unreadable(why: &str) -> String {
    response::refused(400, &("the request could not be read: ".to_owned() + why))
}

/// Checks settings; the document is JSON as the user wrote it.
#[must_use]
pub fn validate_settings(payload: &[u8]) -> String {
    let arena = Arena::default();
    let Ok(text) = core::str::from_utf8(payload) else { return response::settings(Some("expected UTF-8")) };
    let (settings, mut problems) = Settings::read(text, &arena);
    settings.check(&mut problems, &arena);
    response::settings((!problems.is_empty()).then(|| problems.message()).as_deref())
}

/// A look-up's answer, for the modules of this crate.
type Answer = Found<String>;
