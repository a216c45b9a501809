//! From start to the first right answer, for a pod whose ServiceAccount is listed last.

use crate::{
    cluster::LAST_NAMESPACE,
    context::Context,
    results::Record,
    webhook::{ApiServer, Webhook},
};

pub(crate) fn run(context: &mut Context, record: &mut Record) -> anyhow::Result<()> {
    let kubeconfig = context.large_cluster()?;
    let [pod, ..] = &context.pods;
    let pod = pod.in_namespace(LAST_NAMESPACE)?;
    for round in 0..context.effort.rounds {
        for subject in &context.webhooks {
            eprintln!("bench: startup: {}, round {} of {}", subject.name, round + 1, context.effort.rounds);
            let start = Webhook::start(context, subject, ApiServer::Kubeconfig(&kubeconfig), &[])
                .and_then(|mut webhook| webhook.first_right_answer(context, &pod));
            match start {
                Ok(start) => {
                    record.add("startup.seconds", subject.name, start.time.as_secs_f64());
                    record.add("startup.wrong", subject.name, f64::from(start.wrong));
                }
                Err(error) => record.fail(subject.name, &error),
            }
        }
    }
    Ok(())
}
