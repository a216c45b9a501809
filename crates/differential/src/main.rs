//! Compares decisions with those of the Go webhook, and explains every difference by name.
//!
//! Both are asked about generated reviews, with the same flags and the same ServiceAccounts of a real API server. What
//! the named differences (`differences.rs`) do not explain fails the run, with a small reproduction.

mod compare;
mod differences;
mod examples;
mod flags;
mod generate;
mod library;
mod model;
mod random;
mod report;
mod run;
mod scene;
mod shrink;
#[cfg(test)]
mod tests;
mod webhook;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use clap::Parser;

use crate::flags::{Flags, VARIANTS};
use crate::run::{Ours, Plan};

/// Compares decisions with those of the Go webhook
#[derive(Parser)]
struct Arguments {
    /// The binary of the Go webhook
    #[arg(long, env = "GO_WEBHOOK", value_name = "FILE")]
    go: Option<PathBuf>,
    /// What decides on this side: `core`, `webhook` (the binary that OUR_WEBHOOK names), or an address such as
    /// https://127.0.0.1:8443
    #[arg(long, default_value = "core", value_name = "WHAT")]
    ours: String,
    /// The binary for `--ours webhook`
    #[arg(long, env = "OUR_WEBHOOK", value_name = "FILE")]
    our_webhook: Option<PathBuf>,
    /// Where random numbers begin
    #[arg(long, default_value_t = 1, value_name = "NUMBER")]
    seed: u64,
    /// Reviews for each variant
    #[arg(long, default_value_t = 5000, value_name = "NUMBER")]
    reviews: u64,
    /// Print the named differences and end
    #[arg(long)]
    list: bool,
    /// One variant of the flags alone
    #[arg(long, value_name = "NAME")]
    variant: Option<String>,
    /// One review of it alone, by its number
    #[arg(long, value_name = "NUMBER", requires = "variant")]
    only: Option<u64>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.list {
        print!("{}", differences::document());
        return ExitCode::SUCCESS;
    }
    let Some(go) = arguments.go.clone().filter(|go| go.is_file()) else {
        match arguments.go {
            None => eprintln!("There is no Go webhook to compare with: set GO_WEBHOOK to its binary."),
            Some(go) => eprintln!("GO_WEBHOOK names no file: {}", go.display()),
        }
        eprintln!("It is built with Go: https://github.com/aws/amazon-eks-pod-identity-webhook");
        return ExitCode::from(2);
    };
    match compare(go, &arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether everything is explained.
fn compare(go: PathBuf, arguments: &Arguments) -> Result<bool> {
    let variants: Vec<&'static Flags> = VARIANTS
        .iter()
        .filter(|flags| arguments.variant.as_deref().is_none_or(|name| name == flags.variant))
        .collect();
    if variants.is_empty() {
        let names: Vec<&str> = VARIANTS.iter().map(|flags| flags.variant).collect();
        bail!("no such variant: expected one of {}", names.join(", "));
    }
    let plan = Plan {
        go: go.canonicalize()?,
        ours: ours(arguments)?,
        seed: arguments.seed,
        reviews: arguments.reviews,
        only: arguments.only,
        variants,
    };
    println!("seed {}", plan.seed);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let total = runtime.block_on(run::run(&plan, |flags, outcome, cluster| {
        print!("{}", report::variant(flags, outcome));
        if let Some(failure) = &outcome.failure {
            print!("{}", report::failure(failure, flags, cluster, plan.seed));
        }
    }))?;
    let is_whole = plan.variants.len() == VARIANTS.len() && plan.only.is_none();
    print!("{}", report::total(&total, is_whole));
    Ok(total.unexplained == 0)
}

fn ours(arguments: &Arguments) -> Result<Ours> {
    Ok(match arguments.ours.as_str() {
        "core" => Ours::Core,
        "webhook" => {
            let program = arguments.our_webhook.clone().context("set OUR_WEBHOOK to the webhook's binary")?;
            Ours::Program(program.canonicalize().with_context(|| program.display().to_string())?)
        }
        address => {
            let expected = "expected `core`, `webhook` or an address such as https://127.0.0.1:8443";
            let address = address.strip_prefix("https://").context(expected)?.trim_end_matches('/');
            Ours::At(address.parse::<SocketAddr>().context(expected)?)
        }
    })
}

#[cfg(test)]
mod command_line {
    use clap::CommandFactory;

    #[test]
    fn is_consistent() {
        super::Arguments::command().debug_assert();
    }
}
