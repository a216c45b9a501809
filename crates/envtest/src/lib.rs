//! A real kube-apiserver and etcd for tests, as controller-runtime's envtest gives them to Go programs.
//!
//! [`Environment::start`] finds or builds the two programs ([`Binaries`]), starts them on loopback with
//! certificates of its own and stops them when it is dropped. [`Client`] speaks plain JSON to the API server.
//! [`record`] is what the command `record-reviews` does: it turns Kubernetes objects written in YAML into the
//! AdmissionReviews that a kube-apiserver sends for them.
//!
//! No controller manager, scheduler or kubelet runs: nothing creates `default` ServiceAccounts
//! ([`Environment::create_namespace`] does), finishes the deletion of namespaces or runs pods.

mod binaries;
mod certificates;
mod client;
mod environment;
mod error;
pub mod json;
mod process;
pub mod record;

pub use binaries::{Binaries, ETCD_VERSION, KUBERNETES_VERSION, kubectl};
pub use certificates::{Authority, KeyPairPem};
pub use client::{Client, Identity, Request, Response};
pub use environment::{Environment, Options};
pub use error::{Error, Result};
pub use process::Processes;
