//! An orderly end, when a signal asks for one.

use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinHandle;

use crate::shutdown::{Phase, Shutdown};

/// Waits for signals, from when it is made.
#[derive(Debug)]
pub(super) struct Termination {
    terminate: Signal,
    interrupt: Signal,
}

impl Termination {
    pub(super) fn new() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        Ok(Self { terminate: listen(SignalKind::terminate())?, interrupt: listen(SignalKind::interrupt())? })
    }

    /// Waits for a signal, serves for as long as callers may not have heard of it, and lets the servers finish what is in flight.
    ///
    /// # Errors
    ///
    /// When a second signal wants it at once, or a server has ended without being asked.
    pub(super) async fn follow(
        mut self,
        shutdown: Shutdown,
        drain_period: Duration,
        servers: Vec<JoinHandle<()>>,
    ) -> anyhow::Result<()> {
        let mut all = futures::future::join_all(servers);
        tokio::select! {
            () = self.signalled() => {}
            _ = &mut all => bail!("the servers ended"),
        }
        tracing::info!("asked to end: serving for another {drain_period:?}");
        shutdown.enter(Phase::Draining);
        let finish = async {
            tokio::time::sleep(drain_period).await;
            shutdown.enter(Phase::Stopping);
            all.await
        };
        let ended = tokio::select! {
            ended = finish => ended,
            () = self.signalled() => bail!("asked to end a second time"),
        };
        for server in ended {
            server.context("a server ended before it was done")?;
        }
        tracing::info!("everything that was begun is answered");
        Ok(())
    }

    async fn signalled(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
