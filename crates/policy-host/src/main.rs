//! Runs a Kubewarden policy from the command line.

mod bench;
mod show;

use std::{
    error::Error,
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use clap::{Args, Parser, Subcommand, ValueEnum};
use policy_host::{Cluster, FieldMasks, Options, PolicyHost, Request, ResourceKind};
use serde_json::Value;

/// Runs a Kubewarden waPC policy as policy-server does, without a cluster
#[derive(Parser)]
#[command(name = "policy-host", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Evaluates one request and shows the response
    Run {
        #[command(flatten)]
        input: Input,
        /// Count the fuel that the guest uses
        #[arg(long)]
        fuel: bool,
        /// How to print the result
        #[arg(short, long, value_enum, default_value_t)]
        output: Output,
    },
    /// Shows what a policy says about itself
    Inspect {
        /// The policy
        policy: PathBuf,
        /// How to print the result
        #[arg(short, long, value_enum, default_value_t)]
        output: Output,
    },
    /// Evaluates one request many times, in a new instance each time, and shows how long the guest takes
    Bench {
        #[command(flatten)]
        input: Input,
        /// How many times
        #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
        iterations: u32,
        /// Count the fuel in one more call, which does not change the times
        #[arg(long)]
        fuel: bool,
        /// How to print the result
        #[arg(short, long, value_enum, default_value_t)]
        output: Output,
    },
}

#[derive(Args)]
struct Input {
    /// The policy
    policy: PathBuf,
    /// An AdmissionReview, or the request inside of one, as JSON
    #[arg(long, value_name = "REVIEW.json")]
    request: PathBuf,
    /// The policy's settings, as JSON [default: none]
    #[arg(long, value_name = "SETTINGS.json")]
    settings: Option<PathBuf>,
    /// The objects that the policy finds, as JSON: {"objects": […], "errors": […]} [default: none]
    #[arg(long, value_name = "CLUSTER.json")]
    cluster: Option<PathBuf>,
    /// A kind of objects that the policy may read, as `v1/Pod`; can be repeated [default: those in its metadata]
    #[arg(long, value_name = "API_VERSION/KIND", value_parser = resource_kind)]
    allow: Vec<ResourceKind>,
    /// What field masks do
    #[arg(long, value_enum, default_value_t)]
    field_masks: FieldMasksArgument,
    /// How long a call may take, in milliseconds
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 2000)]
    deadline: u64,
}

#[derive(Clone, Copy, Default, ValueEnum)]
enum Output {
    #[default]
    Text,
    Json,
}

#[derive(Clone, Copy, Default, ValueEnum)]
enum FieldMasksArgument {
    #[default]
    AsPolicyServer,
    Literal,
    Ignored,
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(text) => {
            println!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<String, Box<dyn Error>> {
    match command {
        Command::Run { input, fuel, output } => {
            let Loaded { wasm, options, request, settings, cluster } = Loaded::read(input)?;
            let host = PolicyHost::load(&wasm, Options { count_fuel: fuel, ..options })?;
            let evaluation = host.with_settings(settings)?.evaluate(&request, &cluster)?;
            Ok(match output {
                Output::Text => show::evaluation_as_text(&evaluation, host.compile_time()),
                Output::Json => format!("{:#}", show::evaluation_as_json(&evaluation, host.compile_time())),
            })
        }
        Command::Inspect { policy, output } => {
            let wasm = read(&policy)?;
            let host = PolicyHost::load(&wasm, Options::default())?;
            let report = show::policy_as_json(&host, wasm.len());
            Ok(match output {
                Output::Text => show::policy_as_text(&report),
                Output::Json => format!("{report:#}"),
            })
        }
        Command::Bench { input, iterations, fuel, output } => {
            let Loaded { wasm, options, request, settings, cluster } = Loaded::read(input)?;
            let host = PolicyHost::load(&wasm, options.clone())?;
            let payload = host.with_settings(settings)?.payload(&request)?;
            let fuel = match fuel {
                true => {
                    let counting = PolicyHost::load(&wasm, Options { count_fuel: true, ..options })?;
                    counting.call("validate", &payload, &cluster)?.fuel
                }
                false => None,
            };
            let report = bench::Report::measure(&host, &payload, &cluster, iterations)?;
            Ok(match output {
                Output::Text => report.to_text(fuel),
                Output::Json => format!("{:#}", report.to_json(fuel)),
            })
        }
    }
}

/// The files that [`Input`] names.
struct Loaded {
    wasm: Vec<u8>,
    options: Options,
    request: Request,
    settings: Value,
    cluster: Cluster,
}

impl Loaded {
    fn read(input: Input) -> Result<Self, Box<dyn Error>> {
        let Input { policy, request, settings, cluster, allow, field_masks, deadline } = input;
        Ok(Self {
            wasm: read(&policy)?,
            options: Options {
                deadline: Duration::from_millis(deadline),
                field_masks: match field_masks {
                    FieldMasksArgument::AsPolicyServer => FieldMasks::AsPolicyServer,
                    FieldMasksArgument::Literal => FieldMasks::Literal,
                    FieldMasksArgument::Ignored => FieldMasks::Ignored,
                },
                context_aware_resources: (!allow.is_empty()).then(|| allow.into_iter().collect()),
                ..Options::default()
            },
            request: Request::from_json(&read_json(&request)?)?,
            settings: settings.as_deref().map_or(Ok(Value::Null), read_json)?,
            cluster: match cluster {
                Some(path) => Cluster::from_json(&read_json(&path)?)?,
                None => Cluster::default(),
            },
        })
    }
}

fn resource_kind(text: &str) -> Result<ResourceKind, String> {
    match text.rsplit_once('/') {
        Some((api_version, kind)) => Ok(ResourceKind::new(api_version, kind)),
        None => Err("expected an API version and a kind, as in `v1/Pod` or `apps/v1/Deployment`".to_owned()),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|error| format!("cannot read `{}`: {error}", path.display()))
}

fn read_json(path: &Path) -> Result<Value, String> {
    serde_json::from_slice(&read(path)?)
        .map_err(|error| format!("cannot read `{}`: expected JSON: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }
}
