//! A Service as kube-proxy makes it of endpoints: each new connection goes to the next one, and an open connection
//! stays where it is when its endpoint is taken out.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::{
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
};

/// Passes connections on until it is dropped.
pub(crate) struct Balancer {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct State {
    endpoints: Vec<SocketAddr>,
    passed_on: usize,
}

impl Balancer {
    /// Without endpoints it closes what comes.
    pub(crate) async fn start() -> Balancer {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::default();
        let task = tokio::spawn(accept(listener, Arc::clone(&state)));
        Balancer { address, state, task }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Puts an endpoint in.
    pub(crate) fn add(&self, endpoint: SocketAddr) {
        lock(&self.state).endpoints.push(endpoint);
    }

    /// Takes an endpoint out.
    pub(crate) fn remove(&self, endpoint: SocketAddr) {
        lock(&self.state).endpoints.retain(|other| *other != endpoint);
    }

    /// How many connections went to an endpoint so far.
    pub(crate) fn passed_on(&self) -> usize {
        lock(&self.state).passed_on
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, state: Arc<Mutex<State>>) {
    // Ends with this task.
    let mut connections = JoinSet::new();
    loop {
        let (client, _) = listener.accept().await.unwrap();
        let endpoint = {
            let mut state = lock(&state);
            let count = state.endpoints.len();
            let next = state.passed_on.checked_rem(count).map(|index| state.endpoints[index]);
            state.passed_on += usize::from(next.is_some());
            next
        };
        let Some(endpoint) = endpoint else { continue };
        connections.spawn(pass_on(client, endpoint));
        while connections.try_join_next().is_some() {}
    }
}

async fn pass_on(mut client: TcpStream, endpoint: SocketAddr) {
    let Ok(mut server) = TcpStream::connect(endpoint).await else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    // How a connection ends is seen by those who speak over it.
    let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
}

fn lock(state: &Mutex<State>) -> std::sync::MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
