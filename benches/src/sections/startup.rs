//! From start to the first right answer, for a pod whose ServiceAccount is listed last.

use crate::{
    cluster::LAST_NAMESPACE,
    context::Context,
    results::Record,
    webhook::{ApiServer, Start, Webhook},
};

pub(crate) fn run(context: &mut Context, record: &mut Record) -> anyhow::Result<()> {
    let kubeconfig = context.large_cluster()?;
    let [pod, ..] = &context.pods;
    let pod = pod.in_namespace(LAST_NAMESPACE)?;
    for round in 0..context.effort.rounds {
        for subject in &context.webhooks {
            eprintln!("bench: startup: {}, round {} of {}", subject.name, round + 1, context.effort.rounds);
            let start = Webhook::start(context, subject, ApiServer::Kubeconfig(&kubeconfig), &[]).and_then(
                |mut webhook| Ok((webhook.first_right_answer(context, &pod)?, webhook.ready(context)?)),
            );
            match start {
                Ok((Start { time, wrong }, ready)) => {
                    record.add("startup.seconds", subject.name, time.as_secs_f64());
                    record.add("startup.wrong", subject.name, f64::from(wrong));
                    if let Some(ready) = ready {
                        record.add("startup.ready", subject.name, ready.as_secs_f64());
                    }
                }
                Err(error) => record.fail(subject.name, &error),
            }
        }
    }
    Ok(())
}
