//! Tasks that go on for as long as the webhook does.

use std::collections::HashMap;
use std::future::Future;

use anyhow::anyhow;
use tokio::task::{Id, JoinSet};

/// What runs beside the servers, by name. None of it outlives this.
#[derive(Debug, Default)]
pub(super) struct Tasks {
    running: JoinSet<anyhow::Result<()>>,
    names: HashMap<Id, &'static str>,
}

impl Tasks {
    /// Starts a task that never ends.
    pub(super) fn start(
        &mut self,
        name: &'static str,
        task: impl Future<Output = anyhow::Result<()>> + Send + 'static,
    ) {
        self.names.insert(self.running.spawn(task).id(), name);
    }

    /// Waits until one of them ends all the same, and says which, and why: whatever it kept up to date is so no
    /// longer, and a webhook that nobody hears of is worse than one that starts anew.
    pub(super) async fn unexpected_end(&mut self) -> anyhow::Error {
        let (id, reason) = match self.running.join_next_with_id().await {
            Some(Ok((id, Ok(())))) => (id, anyhow!("it was done")),
            Some(Ok((id, Err(error)))) => (id, error),
            // The hook has said where. What was said there is shown nowhere.
            Some(Err(error)) => (error.id(), anyhow!("it panicked, which is a bug of this software")),
            None => return std::future::pending().await,
        };
        let name = self.names.get(&id).copied().unwrap_or("unknown");
        reason.context(format!("the task `{name}` ended"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn message(task: impl Future<Output = anyhow::Result<()>> + Send + 'static) -> String {
        let mut tasks = Tasks::default();
        tasks.start("other", std::future::pending());
        tasks.start("watch", task);
        format!("{:#}", tasks.unexpected_end().await)
    }

    #[tokio::test]
    async fn a_task_that_ends_is_named() {
        assert_eq!(message(async { Ok(()) }).await, "the task `watch` ended: it was done");
        assert_eq!(message(async { Err(anyhow!("no right")) }).await, "the task `watch` ended: no right");
    }

    #[tokio::test]
    #[allow(clippy::panic, reason = "that is what is tested")]
    async fn a_task_that_panics_is_named() {
        let message = message(async { panic!("a secret") }).await;
        assert_eq!(message, "the task `watch` ended: it panicked, which is a bug of this software");
    }
}
