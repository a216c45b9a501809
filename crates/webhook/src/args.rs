//! The command line: the Go webhook's flags under their names, and a few more.
//!
//! Go's flags are read by two packages with rules of their own
//! (<https://pkg.go.dev/github.com/spf13/pflag>, <https://pkg.go.dev/k8s.io/klog/v2>). `pflag` brings what they
//! accept into one form; clap reads that, and writes the help and the errors.

use std::ffi::OsString;

use clap::parser::ValueSource;
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

mod flags;
mod pflag;
mod values;

pub use flags::{
    CompatibilityFlags, ContainerCredentialsFlags, IdentityFlags, KubernetesFlags, LoggingFlags,
    ServingFlags, TlsFlags,
};
pub use values::CommaSeparated;

/// The name of the program.
const NAME: &str = "pod-identity-webhook";

/// What the program is asked to do.
#[derive(Debug)]
pub enum Command {
    /// To answer the API server.
    Serve(Box<Args>),
}

/// Everything that the webhook is told by flags.
///
/// Take it apart where it is used, group by group and without `..`: a flag that was forgotten does not compile.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// What is listened on, and for how long.
    #[command(flatten)]
    pub serving: ServingFlags,
    /// Certificates.
    #[command(flatten)]
    pub tls: TlsFlags,
    /// What pods are given.
    #[command(flatten)]
    pub identity: IdentityFlags,
    /// What pods are given of EKS Pod Identity.
    #[command(flatten)]
    pub container_credentials: ContainerCredentialsFlags,
    /// How the API server is asked.
    #[command(flatten)]
    pub kubernetes: KubernetesFlags,
    /// What is logged, and how.
    #[command(flatten)]
    pub logging: LoggingFlags,
    /// What is accepted and does nothing.
    #[command(flatten)]
    pub compatibility: CompatibilityFlags,
    /// To be logged as warnings at the start: what has no effect, and what was changed.
    #[arg(skip)]
    pub notices: Vec<String>,
}

#[derive(Debug, Parser)]
#[command(
    name = NAME,
    version,
    propagate_version = true,
    about = "Gives Kubernetes pods their AWS identity at admission time",
    long_about = None,
    after_help = "Without a command it serves. A switch takes its value after `=`, as in --in-cluster=false. \
                  An empty text counts as not given. A flag outranks the --config file, and that the \
                  default.",
    args_conflicts_with_subcommands = true,
    args_override_self = true,
    max_term_width = 80,
    next_line_help = true,
    disable_help_subcommand = true,
    override_usage = "pod-identity-webhook [serve] [OPTIONS]"
)]
struct CommandLine {
    #[command(subcommand)]
    command: Option<Subcommands>,
    #[command(flatten)]
    serve: Args,
}

#[derive(Debug, Subcommand)]
enum Subcommands {
    /// Answers the API server; the same as no command
    #[command(
        args_override_self = true,
        next_line_help = true,
        max_term_width = 80,
        override_usage = "pod-identity-webhook serve [OPTIONS]"
    )]
    Serve(Box<Args>),
}

impl Command {
    /// Reads a command line, the program's name first.
    ///
    /// # Errors
    ///
    /// What is to be printed in place of doing something: what is wrong, the help, the version.
    /// [`clap::Error::exit`] prints it, and exits with 2 or 0, as the Go webhook does.
    pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        let mut command = CommandLine::command();
        command.build();
        let normal = pflag::normalize(arguments, &command);
        let matches = command.clone().try_get_matches_from(normal.arguments)?;
        let given = given_flags(matches.subcommand().map_or(&matches, |(_, matches)| matches));
        let CommandLine { command: subcommand, serve } = CommandLine::from_arg_matches(&matches)?;
        let mut args = match subcommand {
            None => Box::new(serve),
            Some(Subcommands::Serve(args)) => args,
        };
        args.notices = normal.notices;
        args.notice(&given);
        Ok(Self::Serve(args))
    }

    /// How clap knows the command line, for documents that are made from it.
    #[must_use]
    pub fn definition() -> clap::Command {
        CommandLine::command()
    }
}

impl Args {
    /// Adds what is to be said about the flags that were given.
    fn notice(&mut self, given: &[String]) {
        let without_effect: Vec<&str> =
            given.iter().map(String::as_str).filter(|name| CompatibilityFlags::has(name)).collect();
        self.notices.extend(without_effect.into_iter().map(|name| match name {
            "resync-period" => "`--resync-period` has no effect: watches need no resync".to_owned(),
            name => format!("`--{name}` has no effect: logs go to stderr, see `--v` and `--log-format`"),
        }));
        if self.tls.in_cluster {
            let files = given.iter().filter(|name| matches!(name.as_str(), "tls-cert" | "tls-key"));
            self.notices.extend(files.map(|name| {
                format!("`--{name}` has no effect: files are read with `--in-cluster=false` only")
            }));
        }
        self.kubernetes.clamp(&mut self.notices);
    }
}

/// The names of the flags that stand on the command line, without duplicates.
fn given_flags(matches: &clap::ArgMatches) -> Vec<String> {
    let mut names: Vec<String> = CommandLine::command()
        .get_arguments()
        .filter(|flag| {
            matches.try_contains_id(flag.get_id().as_str()).is_ok()
                && matches.value_source(flag.get_id().as_str()) == Some(ValueSource::CommandLine)
        })
        .filter_map(|flag| flag.get_long().map(str::to_owned))
        .collect();
    names.dedup();
    names
}

#[cfg(test)]
mod tests;
