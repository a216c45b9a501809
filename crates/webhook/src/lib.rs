//! The webhook: the core behind TLS, with what it holds of the cluster.
//!
//! [`admission`] turns the bytes of a review into the bytes of an answer. It reads what others hold and publish: the
//! [`configuration`], the [`facts`] about the cluster, the [`tls`] configuration. [`server`] is between it and the
//! network, and [`run`] names every task.

pub mod admission;
pub mod args;
pub mod certificates;
pub mod configuration;
pub mod debug;
mod document;
pub mod facts;
pub mod files;
pub mod health;
pub mod heap;
pub mod instance_metadata;
pub mod kubernetes;
pub mod log;
pub mod metrics;
pub mod panic_hook;
pub mod process;
pub mod readiness;
pub mod router;
pub mod run;
pub mod server;
pub mod settings_source;
pub mod shutdown;
pub mod status;
pub mod tls;
