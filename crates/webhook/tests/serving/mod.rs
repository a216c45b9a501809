//! A webhook in the process of the test: everything but its network and its API server is the real one.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::RuntimeFlavor;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use webhook::admission::Admission;
use webhook::configuration::Configuration;
use webhook::facts::{Facts, LiveReads};
use webhook::health::Health;
use webhook::kubernetes::Body;
use webhook::kubernetes::Client;
use webhook::metrics::Metrics;
use webhook::readiness::Readiness;
use webhook::router::{Router, Serves};
use webhook::server::{self, Limits};
use webhook::shutdown::{Phase, Phases, Shutdown};

/// An answer with its whole body.
pub(crate) type Answered = Response<Bytes>;

/// What a fake API server answers for a path and query: the status and the body, or nothing, ever.
pub(crate) type Answers = Box<dyn Fn(&str) -> Option<(u16, String)> + Send>;

/// A client of a fake API server, and what it was asked for.
pub(crate) fn api_server(answers: Answers) -> (Client, Arc<Mutex<Vec<String>>>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let (service, mut handle) = tower_test::mock::pair::<Request<Body>, Response<Body>>();
    let paths = asked.clone();
    tokio::spawn(async move {
        let mut unanswered = Vec::new();
        while let Some((request, respond)) = handle.next_request().await {
            let path = request.uri().to_string();
            paths.lock().unwrap().push(path.clone());
            // It may wait, and what the thread has yet to do must not wait with it.
            let answer = match tokio::runtime::Handle::current().runtime_flavor() {
                RuntimeFlavor::MultiThread => tokio::task::block_in_place(|| answers(&path)),
                _ => answers(&path),
            };
            let Some((status, body)) = answer else {
                unanswered.push(respond);
                continue;
            };
            let response = Response::builder().status(status).header("content-type", "application/json");
            respond.send_response(response.body(Body::from(body.into_bytes())).unwrap());
        }
    });
    (Client::new(service), asked)
}

/// A webhook that is ready, and what tests look at.
pub(crate) struct Webhook {
    pub(crate) router: Router,
    pub(crate) configuration: Arc<ArcSwap<Configuration>>,
    pub(crate) facts: Facts,
    pub(crate) metrics: Metrics,
    pub(crate) readiness: Readiness,
    pub(crate) shutdown: Shutdown,
    pub(crate) phases: Phases,
}

impl Webhook {
    /// With these settings and this API server.
    pub(crate) fn new(settings: &str, client: Client) -> Self {
        let configuration = Configuration::read(settings.to_owned()).unwrap();
        let (shutdown, phases) = Shutdown::new();
        let (metrics, readiness) = (Metrics::default(), Readiness::default());
        let live = LiveReads { grace_period: Duration::from_secs(1), limit: 50 };
        let prefix = configuration.settings().annotation_prefix.to_owned();
        let facts = Facts::new(client, &prefix, live, metrics.clone());
        let configuration = Arc::new(ArcSwap::from_pointee(configuration));
        let admission = Admission::new(configuration.clone(), facts.clone(), metrics.clone());
        let health = Arc::new(Health::new(readiness.clone(), phases.clone(), &metrics));
        let router = Router::new(Serves::Admission(admission), health, metrics.clone());
        Self { router, configuration, facts, metrics, readiness, shutdown, phases }
    }

    /// Serves it with TLS on a free port.
    pub(crate) async fn serve(self, limits: Limits) -> Served {
        let (tls, roots) = certificate();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let published = Arc::new(ArcSwapOption::new(Some(tls)));
        let Self { router, phases, metrics, shutdown, .. } = self;
        let task = server::serve(listener, Some(published), router, limits, phases, metrics.clone());
        Served { address, roots, metrics, shutdown, task: tokio::spawn(task) }
    }
}

/// A webhook on a socket.
pub(crate) struct Served {
    pub(crate) address: SocketAddr,
    pub(crate) metrics: Metrics,
    pub(crate) shutdown: Shutdown,
    roots: RootCertStore,
    task: JoinHandle<()>,
}

impl Served {
    /// A connection after its handshake.
    pub(crate) async fn connect(&self) -> TlsStream<TcpStream> {
        self.shake_hands(TcpStream::connect(self.address).await.unwrap()).await.unwrap()
    }

    /// What becomes of a connection.
    pub(crate) async fn shake_hands(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(self.roots.clone())
            .with_no_client_auth();
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    }

    /// A client that keeps its connection.
    pub(crate) async fn client(&self) -> KeepAlive {
        let (sender, connection) = handshake(TokioIo::new(self.connect().await)).await.unwrap();
        // Ends with the connection, whichever side closes it.
        tokio::spawn(connection);
        KeepAlive(sender)
    }

    /// Ends the webhook, and waits for it.
    pub(crate) async fn stop(self) {
        self.shutdown.enter(Phase::Stopping);
        self.task.await.unwrap();
    }
}

/// A client that keeps its connection.
pub(crate) struct KeepAlive(SendRequest<Full<Bytes>>);

impl KeepAlive {
    /// Sends a request and reads the whole answer.
    pub(crate) async fn send(&mut self, request: Request<Full<Bytes>>) -> hyper::Result<Answered> {
        self.0.ready().await?;
        let answer: Response<Incoming> = self.0.send_request(request).await?;
        let (parts, body) = answer.into_parts();
        Ok(Response::from_parts(parts, body.collect().await?.to_bytes()))
    }
}

/// A review as the API server posts it.
pub(crate) fn post(path: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    Request::post(format!("{path}?timeout=2s"))
        .header("host", "pod-identity-webhook.eks.svc")
        .header("content-type", "application/json")
        .body(Full::new(body.into()))
        .unwrap()
}

/// A certificate for `localhost`, and who trusts it.
fn certificate() -> (Arc<ServerConfig>, RootCertStore) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    (Arc::new(config), roots)
}
