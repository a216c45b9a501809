//! `pod-identity-webhook`: see the library.

use std::process::ExitCode;

use webhook::args::Command;
use webhook::{log, panic_hook, run};

fn main() -> ExitCode {
    let Command::Serve(args) = match Command::parse(std::env::args_os()) {
        Ok(command) => command,
        Err(error) => error.exit(),
    };
    let flush = match log::init(args.logging.log_format, args.logging.v) {
        Ok(flush) => flush,
        Err(error) => {
            eprintln!("cannot log: {error}");
            return ExitCode::FAILURE;
        }
    };
    panic_hook::install(flush.clone());
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

/// tokio needs this one function of the C library's mathematics, to average over time. With it here, `libm.so.6` is not
/// loaded, which would take 0.6 MiB of memory.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code, reason = "it is the function that C says it is, so whoever calls it by this name may")]
#[unsafe(no_mangle)]
extern "C" fn pow(base: f64, exponent: f64) -> f64 {
    libm::pow(base, exponent)
}
