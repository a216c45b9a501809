//! Our handler in process: the bytes of a review in, the bytes of an answer out.

use std::{fs, sync::Arc, time::Duration};

use anyhow::{Context as _, ensure};
use tokio::runtime::{Builder, Runtime};
use webhook::{
    admission::{Admission, Task},
    configuration::Configuration,
    facts::{Facts, LiveReads},
    kubernetes,
    metrics::Metrics,
};

use crate::{
    context::Context,
    inputs::{self, Input},
    process::thread_cpu_time,
    results::{OURS, Record},
};

/// How long each pod is decided again and again, in each round.
const TIME: Duration = Duration::from_secs(1);
/// Between two looks at the time.
const CALLS: u32 = 100;

pub(crate) fn run(context: &mut Context, record: &mut Record) -> anyhow::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let admission = admission(&runtime, &context.pods)?;
    for _ in 0..context.effort.rounds {
        for pod in &context.pods {
            let body = fs::read(&pod.file)?;
            let time = runtime.block_on(cpu_time(&admission, pod, &body))?;
            record.add(&format!("handler.process.{}", pod.size), OURS, time);
        }
    }
    Ok(())
}

/// One that finds its roles in the settings, so that nobody has to be asked.
fn admission(runtime: &Runtime, pods: &[Input]) -> anyhow::Result<Admission> {
    let settings = inputs::settings(0, pods).to_string();
    let configuration = Configuration::read(settings)
        .map_err(|problems| anyhow::anyhow!("our settings are refused: {}", problems.message()))?;
    let live = LiveReads { grace_period: Duration::ZERO, limit: 0 };
    let client = runtime.block_on(kubernetes::client(None, Some("http://127.0.0.1:1")))?;
    let metrics = Metrics::default();
    let facts = Facts::new(client, "eks.amazonaws.com", live, metrics.clone());
    Ok(Admission::new(Arc::new(Arc::new(configuration).into()), facts, metrics))
}

/// For one call, in microseconds.
async fn cpu_time(admission: &Admission, pod: &Input, body: &[u8]) -> anyhow::Result<f64> {
    let answer = admission.review(body, Task::Mutate, None).await.ok().context("our handler failed")?;
    let answer = serde_json::from_slice(&answer).context("our handler answered no JSON")?;
    ensure!(crate::webhook::gives(&answer, &pod.role()), "our handler gave no role");
    let start = thread_cpu_time()?;
    let mut calls = 0;
    loop {
        for _ in 0..CALLS {
            std::hint::black_box(admission.review(std::hint::black_box(body), Task::Mutate, None).await.ok());
        }
        calls += CALLS;
        let used = thread_cpu_time()?.saturating_sub(start);
        if used >= TIME {
            return Ok(used.as_secs_f64() * 1e6 / f64::from(calls));
        }
    }
}
