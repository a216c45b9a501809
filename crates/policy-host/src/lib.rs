//! Runs a Kubewarden policy built for waPC the way policy-server does, without policy-server, a cluster or a network.
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use policy_host::{Cluster, Options, PolicyHost};
//!
//! let host = PolicyHost::load(&std::fs::read("policy.wasm")?, Options::default())?;
//! let policy = host.with_settings(serde_json::json!({}))?;
//! let review = serde_json::from_slice(&std::fs::read("review.json")?)?;
//! let evaluation = policy.validate(&review, &Cluster::default())?;
//! println!("{}", evaluation.response.allowed);
//! # Ok(())
//! # }
//! ```
//!
//! What is the same as in policy-server: the module is compiled once and gets a new store and instance for every call,
//! epoch interruption is on, the request goes through policy-server's own request type before it is printed,
//! host calls fail with policy-server's texts, and the answer is turned into an admission response by diffing.
//!
//! What is different: Kubernetes objects come from a [`Cluster`] table, the guest's output is kept instead of
//! printed, and with [`Options::count_fuel`] the guest's clocks and random numbers are fixed, so that the fuel is
//! the same in every run.
//!
//! Calls block. Code that runs inside of a Tokio runtime calls from `spawn_blocking`.

mod cluster;
mod error;
mod field_mask;
mod host;
mod host_call;
mod instance;
mod metadata;
mod request;
mod response;
mod wapc;

pub use cluster::{Cluster, ObjectKey};
pub use error::Error;
pub use field_mask::FieldMasks;
pub use host::{Evaluation, Options, Policy, PolicyHost, SettingsAnswer};
pub use host_call::{HostCall, HostCallOutcome, HostCallPayload};
pub use instance::{GuestAnswer, GuestFailure};
pub use metadata::{Metadata, ResourceKind};
pub use request::Request;
pub use response::{AdmissionResponse, Status};
