//! Certificates of one's own (`--in-cluster`).
//!
//! All replicas share one certificate authority, in a Secret that is shipped empty: whoever is first fills it, the
//! others take what is there. Each replica has a certificate of its own from it, in memory only. The authority is put
//! into the webhook configurations' `caBundle`. `plan` decides what to do from what was read; here it is read and
//! carried out, one step after the other.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::kubernetes::Client;
use anyhow::Context as _;
use futures::future::join_all;
use jiff::Timestamp;
use serde_json::Value;
use tracing::{error, info};

use crate::metrics::Metrics;
use crate::readiness::Pending;
use crate::tls::Publisher;

mod authority;
mod bundle;
mod cluster;
mod plan;

use authority::Authority;
use bundle::Service;
use cluster::{Answer, Cluster, Failure};
use plan::{Leaf, Object, Observed, Planner, Root, Seen, Step};
pub use plan::{Lifetimes, Seconds};

/// The label of what is counted and reported here.
const SOURCE: &str = "certificate";

/// Between two looks while something cannot be read; doubles up to [`Lifetimes::poll`].
const FIRST_RETRY: Duration = Duration::from_secs(1);

/// What is where.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Names {
    /// `--namespace`: of the service and the Secret.
    pub namespace: String,
    /// `--service-name`: the certificate is for it.
    pub service: String,
    /// `--tls-secret`: it holds the certificate authority.
    pub secret: String,
    /// `--webhook-configuration`: the MutatingWebhookConfiguration and, if there is one, the
    /// ValidatingWebhookConfiguration whose entries get the `caBundle`.
    pub configuration: String,
}

/// Keeps a certificate that the API server trusts.
pub struct Certificates {
    cluster: Cluster,
    service: Service,
    dns_names: Vec<String>,
    lifetimes: Lifetimes,
    planner: Planner,
    publisher: Publisher,
    pending: Option<Pending>,
    metrics: Metrics,
    /// What was last said to be wrong, by what it is about.
    problems: BTreeMap<String, String>,
}

/// What was read, with what is needed to write it back.
struct Look {
    seen: Observed,
    authorities: Vec<Authority>,
    objects: Vec<(Object, Seen<Value>)>,
}

impl Certificates {
    /// `pending` is ready once a certificate is served whose authority was read back from every entry that names the
    /// service. Where no entry does, there is nobody to wait for: it is ready with the certificate, and that is reported.
    #[must_use]
    pub fn new(
        client: Client,
        names: Names,
        lifetimes: Lifetimes,
        publisher: Publisher,
        pending: Pending,
        metrics: Metrics,
    ) -> Self {
        let Names { namespace, service, .. } = &names;
        let dns_names = vec![
            format!("{service}.{namespace}.svc"),
            format!("{service}.{namespace}.svc.cluster.local"),
            format!("{service}.{namespace}"),
        ];
        Self {
            service: Service { namespace: namespace.clone(), name: service.clone() },
            cluster: Cluster::new(client, names),
            dns_names,
            lifetimes,
            planner: Planner::new(lifetimes),
            publisher,
            pending: Some(pending),
            metrics,
            problems: BTreeMap::new(),
        }
    }

    /// Goes on for ever.
    ///
    /// # Errors
    ///
    /// When there is no randomness, or rustls does not take what was made: there is nothing to try again.
    pub async fn run(mut self) -> anyhow::Result<()> {
        let mut retry = FIRST_RETRY;
        loop {
            let look = self.look().await;
            let step = self.planner.next(&look.seen);
            match step {
                Step::Issue { authority, until } => self.issue(&look, &authority, until)?,
                Step::StoreAuthority { keep } => self.store_authority(&look, &keep).await?,
                Step::Register { object, bundles } => self.register(&look, object, &bundles).await?,
                Step::Wait(seconds) => {
                    self.report_state(&look.seen);
                    let mut wait = Duration::from_secs(seconds.unsigned_abs());
                    if look.is_whole() {
                        retry = FIRST_RETRY;
                    } else {
                        wait = wait.min(retry);
                        retry = (retry * 2).min(Duration::from_secs(self.lifetimes.poll.unsigned_abs()));
                    }
                    self.cluster.changed(&look.versions(), wait).await;
                    // Not all replicas at once, nor as fast as somebody can write.
                    tokio::time::sleep(up_to(500)?).await;
                }
            }
        }
    }

    async fn look(&mut self) -> Look {
        let answers = join_all(Object::ALL.map(|object| self.cluster.read(object))).await;
        let mut now = None;
        let mut objects = Vec::new();
        for (object, answer) in Object::ALL.into_iter().zip(answers) {
            let (content, problem) = match answer {
                Ok(answer) => {
                    now = now.max(answer.at);
                    (Seen::There(answer.object), None)
                }
                Err(Failure::NotThere) => (Seen::NotThere, None),
                Err(failure) => (Seen::Unknown, Some(failure.to_string())),
            };
            self.report(object, "cannot be read", problem);
            objects.push((object, content));
        }
        let bundles = |object| match objects.iter().find(|(found, _)| *found == object) {
            Some((_, content)) => content.map(|configuration| bundle::read(configuration, &self.service)),
            None => Seen::Unknown,
        };
        let (mutating, validating) = (bundles(Object::Mutating), bundles(Object::Validating));
        let (authorities, roots) = self.authorities(&objects);
        let now = now.unwrap_or_else(|| Timestamp::now().as_second());
        Look { seen: Observed { now, authorities: roots, mutating, validating }, authorities, objects }
    }

    fn authorities(&mut self, objects: &[(Object, Seen<Value>)]) -> (Vec<Authority>, Seen<Vec<Root>>) {
        let secret = objects.iter().find(|(object, _)| *object == Object::Secret);
        let (authorities, problem) = match secret {
            Some((_, Seen::There(secret))) => authority::read(secret),
            Some((_, Seen::NotThere)) => {
                let problem = "it is not there: create it, empty, for the webhook may not";
                (Vec::new(), Some(problem.to_owned()))
            }
            _ => (Vec::new(), None),
        };
        self.report(Object::Secret, "cannot be used as it is", problem);
        let roots = || authorities.iter().map(|authority| authority.root.clone()).collect();
        let roots = secret.map_or(Seen::Unknown, |(_, secret)| secret.map(|_| roots()));
        (authorities, roots)
    }

    fn issue(&mut self, look: &Look, root: &Root, until: Seconds) -> anyhow::Result<()> {
        let authority = look.authorities.iter().find(|authority| authority.root == *root);
        let authority =
            authority.context("a certificate was to be signed by an authority that was not read")?;
        let now = look.seen.now;
        let provider = self.publisher.protocol().provider();
        let key = authority.issue(&self.dns_names, now - self.lifetimes.backdate, until, provider)?;
        self.publisher.publish(key)?;
        self.planner.issued(Leaf { authority: root.clone(), from: now, until });
        self.metrics.certificate_expiry.get_or_create(&"serving".into()).set(until);
        self.metrics.certificate_expiry.get_or_create(&"authority".into()).set(root.until);
        self.metrics.reloads.get_or_create(&SOURCE.into()).inc();
        info!("serving a new certificate for `{}`, valid until {}", self.dns_names.join("`, `"), time(until));
        Ok(())
    }

    async fn store_authority(&mut self, look: &Look, keep: &[Root]) -> anyhow::Result<()> {
        let new = Authority::make(&self.lifetimes, look.seen.now)?;
        let kept = look.authorities.iter().filter(|authority| keep.contains(&authority.root));
        let secret = look.object(Object::Secret).cloned().unwrap_or_default();
        let secret = authority::write(secret, [&new].into_iter().chain(kept));
        let written = self.cluster.replace(Object::Secret, &secret).await;
        let what = format!("a new certificate authority, valid until {}", time(new.root.until));
        self.written(Object::Secret, look.seen.now, written, &what).await
    }

    async fn register(&mut self, look: &Look, object: Object, bundles: &[Vec<Root>]) -> anyhow::Result<()> {
        let configuration = look.object(object).cloned().unwrap_or_default();
        let patch = bundle::patch(&configuration, &self.service, bundles);
        let written = self.cluster.patch(object, &patch).await;
        self.written(object, look.seen.now, written, "`caBundle`, which lacked something").await
    }

    async fn written(
        &mut self,
        object: Object,
        now: Seconds,
        written: Result<Answer, Failure>,
        what: &str,
    ) -> anyhow::Result<()> {
        let problem = match written {
            Ok(_) => {
                info!("{}: wrote {what}", self.cluster.describe(object));
                self.metrics.registration_writes.inc();
                None
            }
            Err(Failure::Conflict) => {
                // What they wrote is read next.
                tokio::time::sleep(up_to(200)?).await;
                return Ok(());
            }
            Err(failure) => Some(failure.to_string()),
        };
        self.planner.wrote(object, now);
        self.report(object, "cannot be written", problem);
        Ok(())
    }

    /// Says how things are when there is nothing to do.
    fn report_state(&mut self, seen: &Observed) {
        let nobody = |bundles: &Seen<Vec<_>>| match bundles {
            Seen::There(bundles) => bundles.is_empty(),
            Seen::NotThere => true,
            Seen::Unknown => false,
        };
        let unregistered = (nobody(&seen.mutating) && nobody(&seen.validating)).then(|| {
            let Service { namespace, name } = &self.service;
            format!("no entry names the service `{namespace}/{name}`, so no API server calls it")
        });
        self.report(Object::Mutating, "is missing or names others", unregistered);
        let expired = self.planner.leaf().filter(|leaf| leaf.until <= seen.now).map(|leaf| {
            format!(
                "the certificate that is served has expired at {}, and no other can be had",
                time(leaf.until)
            )
        });
        self.report(Object::Secret, "gives no certificate", expired);
        if self.planner.is_ready(seen)
            && let Some(pending) = self.pending.take()
        {
            pending.ready();
        }
    }

    /// Says what is wrong, once, and when it no longer is.
    fn report(&mut self, object: Object, what: &'static str, problem: Option<String>) {
        let about = format!("{} {what}", self.cluster.describe(object));
        match problem {
            Some(problem) if self.problems.get(&about) != Some(&problem) => {
                error!("{about}: {problem}");
                self.problems.insert(about, problem);
            }
            None if self.problems.remove(&about).is_some() => info!("no longer so: {about}"),
            _ => return,
        }
        let problems = i64::try_from(self.problems.len()).unwrap_or(i64::MAX);
        self.metrics.configuration_problems.get_or_create(&SOURCE.into()).set(problems);
    }
}

impl Look {
    fn object(&self, object: Object) -> Option<&Value> {
        self.objects.iter().find_map(|(found, content)| match content {
            Seen::There(value) if *found == object => Some(value),
            _ => None,
        })
    }

    fn is_whole(&self) -> bool {
        self.objects.iter().all(|(_, content)| *content != Seen::Unknown)
    }

    /// What to watch from.
    fn versions(&self) -> Vec<(Object, Option<String>)> {
        let version = |object| {
            let version = self.object(object)?.pointer("/metadata/resourceVersion")?.as_str()?;
            Some(version.to_owned())
        };
        Object::ALL.into_iter().map(|object| (object, version(object))).collect()
    }
}

fn time(seconds: Seconds) -> String {
    Timestamp::from_second(seconds).map_or_else(|_| seconds.to_string(), |time| time.to_string())
}

/// Replicas that start together are not to stay together.
fn up_to(milliseconds: u16) -> anyhow::Result<Duration> {
    let mut random = [0; 2];
    aws_lc_rs::rand::fill(&mut random).context("there is no randomness")?;
    Ok(Duration::from_millis(u64::from(u16::from_le_bytes(random) % milliseconds)))
}
