//! `pod-identity-webhook`: see the library.

use std::process::ExitCode;

use webhook::args::Command;
use webhook::{log, run};

fn main() -> ExitCode {
    let Command::Serve(args) = match Command::parse(std::env::args_os()) {
        Ok(command) => command,
        Err(error) => error.exit(),
    };
    let _flush = match log::init(args.logging.log_format, args.logging.v) {
        Ok(flush) => flush,
        Err(error) => {
            eprintln!("cannot log: {error}");
            return ExitCode::FAILURE;
        }
    };
    let served = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(run::run(*args)));
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
