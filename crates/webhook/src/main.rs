//! `pod-identity-webhook`: see the library.

use std::process::ExitCode;
use std::time::Duration;

use webhook::args::{Args, Command};
use webhook::{heap, log, panic_hook, run};

#[global_allocator]
static HEAP: heap::Heap = heap::Heap;

/// How long the end waits for what cannot be cancelled.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    heap::keep();
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
    match serve(*args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn serve(args: Args) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let served = runtime.block_on(run::run(args));
    // What blocks, such as a look-up of a name, is not waited for.
    runtime.shutdown_timeout(SHUTDOWN_TIMEOUT);
    served
}

/// tokio needs this one function of the C library's mathematics, to average over time. With it here, `libm.so.6` is not
/// loaded, which would take 0.6 MiB of memory.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code, reason = "it is the function that C says it is, so whoever calls it by this name may")]
#[unsafe(no_mangle)]
extern "C" fn pow(base: f64, exponent: f64) -> f64 {
    libm::pow(base, exponent)
}
