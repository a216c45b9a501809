//! The webhooks' handlers in process: the bytes of a review in, the bytes of an answer out.
//!
//! Each side is a program of its own that calls its handler again and again and prints the processor time of a call:
//! ours is this one with `--in-process`, the Go webhook's is `benches/go-handler`.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, ensure};
use tokio::runtime::{Builder, Runtime};
use webhook::{
    admission::{Admission, Task},
    configuration::Configuration,
    facts::{Facts, LiveReads},
    kubernetes,
    log::{self, Format},
    metrics::Metrics,
};

use crate::{
    context::{self, Context},
    inputs::{self, Input},
    machine::GO_WEBHOOK,
    process::scheduled,
    results::{GO, OURS, Record},
};

/// Between two looks at the time, which takes as long as a call or two.
const CALLS: u32 = 500;

/// Whether a pod is logged, as it is unless somebody says otherwise.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
pub(crate) enum Logging {
    Default,
    None,
}

pub(crate) fn run(context: &mut Context, record: &mut Record) -> anyhow::Result<()> {
    let ours = |logging: &str| {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(format!("--in-process={logging}"));
        anyhow::Ok(command)
    };
    let mut sides =
        vec![("handler.process", OURS, ours("default")?), ("handler.unlogged", OURS, ours("none")?)];
    match build_go_handler(context) {
        Ok(program) => sides.push(("handler.process", GO, Command::new(program))),
        Err(error) => record.fail(GO, &error),
    }
    let milliseconds = context.effort.handler_milliseconds.to_string();
    for (_, whose, command) in &mut sides {
        if *whose == GO {
            command.arg(&milliseconds).args(context.pods.iter().map(|pod| &pod.file));
            record.command(format!("go-handler {milliseconds} pod-4kb.json pod-20kb.json pod-200kb.json"));
        } else {
            command.args(["--milliseconds", &milliseconds]);
            record.command(format!("bench --in-process=default --milliseconds {milliseconds}"));
        }
    }
    for round in 0..context.effort.load_rounds {
        eprintln!("bench: handler: round {} of {}", round + 1, context.effort.load_rounds);
        sides.reverse();
        for (id, whose, command) in &mut sides {
            match times(context, command) {
                Ok(times) => {
                    for (pod, time) in context.pods.iter().zip(times) {
                        record.add(&format!("{id}.{}", pod.size), whose, time);
                    }
                }
                Err(error) => record.fail(whose, &error),
            }
        }
    }
    Ok(())
}

/// Runs one side, its log in a file. Gives a time for each pod.
fn times(context: &Context, command: &mut Command) -> anyhow::Result<Vec<f64>> {
    let log = context.work.join("handler.log");
    let output = command.stderr(File::create(&log)?).output()?;
    ensure!(output.status.success(), "{}", fs::read_to_string(&log)?.lines().last().unwrap_or_default());
    let text = String::from_utf8(output.stdout)?;
    let times: Vec<f64> = text.lines().map(str::parse).collect::<Result<_, _>>()?;
    ensure!(times.len() == context.pods.len(), "expected {} times, got `{text}`", context.pods.len());
    Ok(times)
}

/// Builds it with the Go webhook's source at the commit that its go.mod names, or as `GO_WEBHOOK_SOURCE` has it.
fn build_go_handler(context: &Context) -> anyhow::Result<PathBuf> {
    eprintln!("bench: building the Go webhook's handler");
    let (source, program) = (context.root.join("benches/go-handler"), context.work.join("go-handler"));
    let mut command = Command::new("go");
    command.current_dir(&source).args(["build", "-o"]).arg(&program);
    if let Some(peer) = std::env::var_os("GO_WEBHOOK_SOURCE").filter(|folder| !folder.is_empty()) {
        let peer = fs::canonicalize(peer).context("cannot read `GO_WEBHOOK_SOURCE`")?;
        let module = fs::read_to_string(source.join("go.mod"))?;
        let (module_file, sums) = (context.work.join("go-handler.mod"), context.work.join("go-handler.sum"));
        fs::write(&module_file, with_checkout(&module, &peer))?;
        fs::copy(source.join("go.sum"), sums)?;
        // It may want other versions of other modules than the commit that is named.
        command.arg("-mod=mod").arg(format!("-modfile={}", module_file.display()));
    }
    let output = command.output().context("cannot run `go` (https://go.dev/doc/install)")?;
    ensure!(
        output.status.success(),
        "its handler cannot be built (without the module proxy: GO_WEBHOOK_SOURCE=…, a checkout of it): {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(program)
}

/// Our `go.mod`, with a checkout in the place of the Go webhook's module. Nobody is asked for a module that is replaced, as
/// somebody is for one in a workspace (<https://go.dev/ref/mod#go-mod-file-replace>).
fn with_checkout(module: &str, peer: &Path) -> String {
    format!("{module}\nreplace {GO_WEBHOOK} => {peer:?}\n")
}

/// Prints the processor time of a call of our handler for each pod, in microseconds.
pub(crate) fn in_process(logging: Logging, milliseconds: u64) -> anyhow::Result<()> {
    let _flush = match logging {
        Logging::Default => Some(log::init(Format::Human, 0)?),
        Logging::None => None,
    };
    let root = context::root();
    let pods = inputs::pods(&root, &context::target(&root).join("bench"))?;
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let admission = admission(&runtime, &pods)?;
    for pod in &pods {
        let body = fs::read(&pod.file)?;
        let limit = Duration::from_millis(milliseconds);
        println!("{}", runtime.block_on(cpu_time(&admission, pod, &body, limit))?);
    }
    Ok(())
}

/// One that finds its roles in the settings, so that nobody has to be asked.
pub(crate) fn admission(runtime: &Runtime, pods: &[Input]) -> anyhow::Result<Admission> {
    let settings = inputs::settings(0, pods).to_string();
    let configuration = Configuration::read(settings)
        .map_err(|problems| anyhow::anyhow!("our settings are refused: {}", problems.message()))?;
    let live = LiveReads { grace_period: Duration::ZERO, limit: 0 };
    let client = runtime.block_on(kubernetes::client(None, Some("http://127.0.0.1:1")))?;
    let metrics = Metrics::default();
    let facts = Facts::new(client, "eks.amazonaws.com", live, metrics.clone());
    Ok(Admission::new(Arc::new(Arc::new(configuration).into()), facts, metrics))
}

/// For one call, in microseconds, after some that do not count.
async fn cpu_time(admission: &Admission, pod: &Input, body: &[u8], limit: Duration) -> anyhow::Result<f64> {
    let answer = admission.review(body, Task::Mutate, None).await.ok().context("our handler failed")?;
    let answer = serde_json::from_slice(&answer).context("our handler answered no JSON")?;
    ensure!(crate::webhook::gives(&answer, &pod.role()), "our handler gave no role");
    call_for(admission, body, limit / 2).await?;
    let (used, calls) = call_for(admission, body, limit).await?;
    Ok(used.as_secs_f64() * 1e6 / f64::from(calls))
}

/// Calls until so much processor time is used. Gives the time and the number of calls.
async fn call_for(admission: &Admission, body: &[u8], limit: Duration) -> anyhow::Result<(Duration, u32)> {
    let start = scheduled("self")?.running;
    let mut calls = 0;
    loop {
        for _ in 0..CALLS {
            std::hint::black_box(admission.review(std::hint::black_box(body), Task::Mutate, None).await.ok());
        }
        calls += CALLS;
        let used = scheduled("self")?.running.saturating_sub(start);
        if used >= limit {
            return Ok((used, calls));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkout_takes_the_place_of_the_module() {
        assert_eq!(
            with_checkout("module go-handler\n", Path::new("/b c")),
            "module go-handler\n\nreplace github.com/aws/amazon-eks-pod-identity-webhook => \"/b c\"\n"
        );
    }
}
