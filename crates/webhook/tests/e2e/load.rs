//! Pods in quick succession, each accounted for.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde_json::Value;
use tokio::{task::JoinSet, time::sleep};

use crate::pod::identity;

/// Between two pods of one worker: enough of them, and something left of the machine for others.
const PAUSE: Duration = Duration::from_millis(10);

/// Workers that let pods be admitted, one after the other, until they are stopped.
pub(crate) struct Load {
    stopped: Arc<AtomicBool>,
    workers: JoinSet<Tally>,
}

/// What became of the pods.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Admitted with the identity that was expected.
    pub(crate) right: usize,
    /// Not admitted, or with another identity: why.
    pub(crate) wrong: Vec<String>,
}

impl Load {
    /// `admit` gives a pod as it was admitted.
    pub(crate) fn start<A>(
        workers: usize,
        expected: &Value,
        admit: impl Fn() -> A + Clone + Send + Sync + 'static,
    ) -> Load
    where
        A: Future<Output = Result<Value, String>> + Send,
    {
        let stopped = Arc::new(AtomicBool::new(false));
        let mut load = Load { stopped: Arc::clone(&stopped), workers: JoinSet::new() };
        for _ in 0..workers {
            let (stopped, expected, admit) = (Arc::clone(&stopped), expected.clone(), admit.clone());
            load.workers.spawn(async move {
                let mut tally = Tally::default();
                while !stopped.load(Ordering::Relaxed) {
                    tally.count(admit().await, &expected);
                    sleep(PAUSE).await;
                }
                tally
            });
        }
        load
    }

    /// Stops the workers and adds up.
    pub(crate) async fn finish(self) -> Tally {
        self.stopped.store(true, Ordering::Relaxed);
        self.workers.join_all().await.into_iter().sum()
    }
}

impl Tally {
    /// Takes one pod into account.
    pub(crate) fn count(&mut self, admitted: Result<Value, String>, expected: &Value) {
        match admitted.map(|pod| identity(&pod)) {
            Ok(identity) if identity == *expected => self.right += 1,
            Ok(identity) => self.wrong.push(format!("another identity: {identity}")),
            Err(error) => self.wrong.push(error),
        }
    }

    /// Panics unless there were pods and all were right; gives their number.
    pub(crate) fn assert_right(&self) -> usize {
        let some: Vec<_> = self.wrong.iter().take(5).collect();
        assert!(self.wrong.is_empty(), "{} right, {} wrong: {some:#?}", self.right, self.wrong.len());
        assert!(self.right > 0, "no pod was admitted at all");
        self.right
    }
}

impl std::iter::Sum for Tally {
    fn sum<I: Iterator<Item = Tally>>(tallies: I) -> Tally {
        tallies.fold(Tally::default(), |mut sum, tally| {
            sum.right += tally.right;
            sum.wrong.extend(tally.wrong);
            sum
        })
    }
}
