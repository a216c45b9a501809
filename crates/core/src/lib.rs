//! Gives Kubernetes pods their AWS identity at admission: what to add, and why.
//!
//! The core asks nobody anything. A host reads a request ([`Request`]) and settings ([`Settings`]), fetches the
//! objects that [`Admission::next_lookup`] names, and is given a [`Decision`]: plain data, with the account of
//! how it was reached. [`edit`] turns it into a JSON Patch or into the changed object.
//!
//! No I/O, no clock, no randomness, no environment, no log; no input makes it panic.

// The policy's module is made without std: what would panic takes a third of it. Natively std tells what the processor can do.
#![cfg_attr(all(target_arch = "wasm32", not(test)), no_std)]

extern crate alloc;

pub mod account;
mod admission;
pub mod arn;
mod ascii;
pub mod edit;
mod error;
mod facts;
pub mod glob;
mod identity;
mod json;
pub mod mapping;
mod message;
pub mod names;
pub mod path;
mod plan;
mod pod;
mod refusal;
pub mod response;
mod review;
mod room;
mod service_account;
mod settings;
pub mod url;
pub mod values;
mod verify;

pub use account::Account;
pub use admission::{Admission, Decision, Outcome, Unchanged};
pub use error::{Fault, ReadError, Segment};
pub use facts::{ConfigMap, Facts, Found, Lookup, ServiceAccount, Unknown};
pub use identity::{Identity, Method, Role, Roles, Selection};
pub use json::{Arena, MAX_DEPTH, write_string};
pub use message::number;
pub use plan::{
    Addition, AnnotationChange, EnvValue, EnvVar, List, Plan, PodPlan, ServiceAccountPlan, Volume,
};
pub use refusal::{Refusal, RefusalReason};
pub use review::{Request, Review, Subject};
pub use settings::{
    AllowedRoles, ContainerCredentials, FIELDS, Identities, MappingConfigMap, Mode, OnError, OnUnverified,
    Problem, Problems, RoleSessionName, ServiceAccountLookup, Settings,
};
