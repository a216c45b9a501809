//! What is measured, part by part.

pub(crate) mod guest;
pub(crate) mod handler;
pub(crate) mod https;
pub(crate) mod memory;
pub(crate) mod parts;
pub(crate) mod policy_server;
pub(crate) mod profile;
pub(crate) mod scale;
pub(crate) mod startup;

use clap::ValueEnum;

use crate::{context::Context, results::Record};

/// In the order in which they run: those that need the same cluster are neighbours.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Section {
    /// Handlers in process, without TLS and HTTP
    Handler,
    /// Guests in Wasmtime: a new instance for every call, epoch interruption on, and their fuel
    Guest,
    /// policy-server's processor time for a request, policy by policy
    PolicyServer,
    /// What a policy adds to policy-server's start
    PolicyServerStart,
    /// Webhooks under load over HTTPS
    Https,
    /// Where our webhook's processor time goes, by `perf`
    Profile,
    /// How cost grows with ServiceAccounts, mapping entries and connections
    Scale,
    /// From start to the first right answer, with 100,000 ServiceAccounts
    Startup,
    /// Resident memory with them and without, and the size of the programs
    Memory,
}

impl Section {
    pub(crate) const ALL: [Self; 9] = [
        Self::Handler,
        Self::Guest,
        Self::PolicyServer,
        Self::PolicyServerStart,
        Self::Https,
        Self::Profile,
        Self::Scale,
        Self::Startup,
        Self::Memory,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Handler => "handler",
            Self::Guest => "guest",
            Self::PolicyServer => "policy-server",
            Self::PolicyServerStart => "policy-server-start",
            Self::Https => "https",
            Self::Profile => "profile",
            Self::Scale => "scale",
            Self::Startup => "startup",
            Self::Memory => "memory",
        }
    }

    /// Measures. What is in the record counts even if this fails.
    pub(crate) fn run(self, context: &mut Context, record: &mut Record) -> anyhow::Result<()> {
        match self {
            Self::Handler => handler::run(context, record),
            Self::Guest => guest::run(context, record),
            Self::PolicyServer => policy_server::run(context, record),
            Self::PolicyServerStart => policy_server::start::run(context, record),
            Self::Https => https::run(context, record),
            Self::Profile => profile::run(context, record),
            Self::Scale => scale::run(context, record),
            Self::Startup => startup::run(context, record),
            Self::Memory => memory::run(context, record),
        }
    }
}
