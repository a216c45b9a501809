//! What can go wrong outside of the guest.

use crate::instance::GuestFailure;

/// Why the host could not do what it was asked to. What a guest does wrong while it answers is a
/// [`GuestFailure`] and part of the answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The bytes are no WebAssembly module that this host can run.
    #[error("cannot compile the module: {0:#}")]
    Compile(#[source] wasmtime::Error),
    /// The module is fine as such, but speaks another protocol.
    #[error("not a waPC policy: {0}")]
    NotWapc(String),
    /// The custom section with the metadata is there but unreadable.
    #[error("cannot read the custom section `{section}`: {message}")]
    Metadata {
        /// Name of the section.
        section: &'static str,
        /// What is wrong with it.
        message: String,
    },
    /// Wasmtime refused something that does not depend on the policy.
    #[error("cannot set up wasmtime: {0:#}")]
    Engine(#[source] wasmtime::Error),
    /// The guest failed before it could be asked anything. policy-server answers this with HTTP 500 and no admission
    /// response.
    #[error("cannot initialize the guest: `{function}` failed: {message}")]
    Initialization {
        /// The exported function that failed, or `instantiate`.
        function: &'static str,
        /// What Wasmtime says about it.
        message: String,
    },
    /// The settings are neither null nor an object.
    #[error("cannot use the settings: expected a JSON object or null, found {0}")]
    SettingsNotAnObject(&'static str),
    /// The policy says that the settings are not valid, or could not say anything.
    #[error("policy settings are invalid: {message}")]
    SettingsRefused {
        /// The message policy-server would show after `Policy settings are invalid: `.
        message: String,
    },
    /// The request does not have the shape of an admission request. policy-server does not call the policy then.
    #[error("cannot read the admission request: {0}")]
    Request(#[source] serde_json::Error),
    /// The answer to `protocol_version` is missing.
    #[error("cannot ask for the protocol version: {0}")]
    ProtocolVersionCall(GuestFailure),
    /// The answer to `protocol_version` is not one that policy-server knows.
    #[error("cannot read the protocol version: expected `\"v1\"`, found `{0}`")]
    ProtocolVersion(String),
    /// The table of cluster objects has an entry that cannot be used.
    #[error("cannot use the cluster table: {0}")]
    Cluster(String),
    /// Something of the host's own could not be printed as JSON.
    #[error("cannot print JSON: {0}")]
    Json(#[source] serde_json::Error),
}
