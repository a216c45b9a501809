//! From the command line to a webhook that serves: what is made of the flags, and every task by its name.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use anyhow::Context as _;
use arc_swap::ArcSwap;
use pod_identity_core::MappingConfigMap;
use tokio::net::{TcpListener, TcpSocket};

use crate::admission::Admission;
use crate::args::{Args, KubernetesFlags, ServingFlags, TlsFlags};
use crate::certificates::{Certificates, Lifetimes, Names};
use crate::debug::{self, Debug};
use crate::facts::{ConfigMapKey, Facts, LiveReads};
use crate::health::Health;
use crate::metrics::Metrics;
use crate::readiness::Readiness;
use crate::router::{Router, Serves};
use crate::server::{self, Limits};
use crate::settings_source::{Loaded, SettingsSource};
use crate::shutdown::{Phases, Shutdown};
use crate::tls::{CertificateFiles, Clients, MinVersion, Protocol, Publisher};
use crate::{heap, instance_metadata, kubernetes};

mod tasks;
mod termination;
use tasks::Tasks;
use termination::Termination;

/// Connections that wait to be accepted: in a burst the API server opens hundreds at once.
const BACKLOG: u32 = 1024;

/// What the kernel holds of what a caller has not read, or what was not read of a caller, in bytes (it takes twice
/// that). Left alone it holds megabytes of either, on behalf of this process.
const SOCKET_BUFFER: u32 = 64 << 10;

/// Serves until a signal says otherwise.
///
/// # Errors
///
/// What keeps it from starting, or which task ended although none should.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let termination = Termination::new()?;
    let instance = if SettingsSource::asks_for_instance(&args) {
        let endpoint = instance_metadata::endpoint(|name| std::env::var(name).ok())?;
        Some(instance_metadata::instance_identity(&endpoint).await?)
    } else {
        None
    };
    let source = SettingsSource::new(&args, instance.as_ref());
    // The source has taken identity and container credentials, `main` the logging.
    let Args {
        serving: ServingFlags { port, metrics_port, drain_period, enable_debugging_handlers },
        tls,
        identity: _,
        container_credentials: _,
        kubernetes:
            KubernetesFlags {
                kubeconfig,
                kube_api,
                namespace,
                service_account_lookup_grace_period,
                live_read_limit,
            },
        logging: _,
        compatibility: _,
        notices,
    } = args;
    let (Loaded { configuration, warnings }, reload) = source.load()?;
    for warning in notices.into_iter().chain(warnings) {
        tracing::warn!("{warning}");
    }
    let settings = configuration.settings();
    let prefix = settings.annotation_prefix.to_owned();
    let annotations = settings.service_account_annotations;
    let config_map = settings.mapping_config_map.as_ref().map(ConfigMapKey::from);
    let configuration = Arc::new(ArcSwap::from_pointee(configuration));

    let listener = listen(port, "--port")?;
    let metrics_listener = listen(metrics_port, "--metrics-port")?;
    let debug_listener = match enable_debugging_handlers {
        true => Some(listen_for_debugging(metrics_port).await?),
        false => None,
    };

    let metrics = Metrics::default();
    metrics.begin_at_zero();
    let readiness = Readiness::default();
    let (shutdown, phases) = Shutdown::new();
    let mut tasks = Tasks::default();

    let client = kubernetes::client(kubeconfig.as_deref(), kube_api.as_deref()).await?;
    let live = LiveReads { grace_period: service_account_lookup_grace_period, limit: live_read_limit };
    let facts = Facts::new(client.clone(), &prefix, live, metrics.clone());
    tasks.start("heap", async { match heap::give_back().await {} });
    tasks.start("settings", reload.run(Arc::clone(&configuration), metrics.clone()));
    if annotations {
        let (facts, ready) = (facts.clone(), readiness.pending("service accounts"));
        tasks.start("service accounts", async move { match facts.watch_service_accounts(ready).await {} });
    }
    if let Some(at) = config_map {
        let (facts, ready) = (facts.clone(), readiness.pending("config map"));
        let settings = Arc::clone(&configuration);
        tasks.start("config map", async move { match facts.watch_config_map(at, settings, ready).await? {} });
    }
    let publisher = certificates(tls, namespace, client, &readiness, &metrics, &mut tasks)?;

    let health = Arc::new(Health::new(readiness, phases.clone(), &metrics));
    let router = |serves| Router::new(serves, Arc::clone(&health), metrics.clone());
    let admission = Admission::new(Arc::clone(&configuration), facts.clone(), metrics.clone());
    let published = Some(publisher.published());
    let serve = |listener, tls, router, limits, phases: &Phases| {
        server::serve(listener, tls, router, limits, phases.clone(), metrics.clone())
    };
    let mut servers = vec![
        tokio::spawn(serve(
            listener,
            published,
            router(Serves::Admission(admission)),
            Limits::ADMISSION,
            &phases,
        )),
        tokio::spawn(serve(metrics_listener, None, router(Serves::Health), Limits::HEALTH, &phases)),
    ];
    if let Some(listener) = debug_listener {
        tracing::info!("what is held is shown on http://{}/debug/", listener.local_addr()?);
        let debug = Serves::Debug(Debug::new(configuration, facts));
        servers.push(tokio::spawn(serve(listener, None, router(debug), Limits::HEALTH, &phases)));
    }
    tracing::info!("listening on port {port}, and for health and metrics on port {metrics_port}");

    tokio::select! {
        error = tasks.unexpected_end() => Err(error),
        ended = termination.follow(shutdown, drain_period, servers) => ended,
    }
}

/// Starts what serves certificates, from files or of its own.
fn certificates(
    flags: TlsFlags,
    namespace: String,
    client: kubernetes::Client,
    readiness: &Readiness,
    metrics: &Metrics,
    tasks: &mut Tasks,
) -> anyhow::Result<Publisher> {
    let TlsFlags {
        in_cluster,
        service_name,
        tls_secret,
        webhook_configuration,
        tls_cert,
        tls_key,
        tls_min_version,
        tls_cipher_suites,
        client_ca_file,
        client_allowed_names,
    } = flags;
    let min_version: MinVersion =
        tls_min_version.as_deref().unwrap_or_default().parse().context("`--tls-min-version`")?;
    let suites = tls_cipher_suites.map(|suites| suites.0.join(",")).unwrap_or_default();
    let (protocol, notices) = Protocol::new(min_version, &suites);
    for notice in notices {
        tracing::warn!("{notice}");
    }
    let clients = match client_ca_file {
        Some(path) => {
            let (clients, files) = Clients::read(path, client_allowed_names, protocol.provider())?;
            tasks
                .start("client certificate authorities", Arc::clone(&clients).follow(files, metrics.clone()));
            Some(clients)
        }
        None => None,
    };
    let publisher = Publisher::new(protocol, clients);
    if in_cluster {
        let configuration = webhook_configuration.unwrap_or_else(|| service_name.clone());
        let names = Names { namespace, service: service_name, secret: tls_secret, configuration };
        let ready = readiness.pending("certificate");
        let certificates =
            Certificates::new(client, names, Lifetimes::default(), publisher.clone(), ready, metrics.clone());
        tasks.start("certificates", certificates.run());
    } else {
        let files = CertificateFiles::read(tls_cert, tls_key, publisher.clone(), metrics.clone())?;
        tasks.start("certificate files", files.follow());
    }
    Ok(publisher)
}

impl From<&MappingConfigMap<'_>> for ConfigMapKey {
    fn from(at: &MappingConfigMap<'_>) -> Self {
        Self { namespace: at.namespace.to_owned(), name: at.name.to_owned(), key: at.key.to_owned() }
    }
}

/// Listens on all addresses, IPv6 and IPv4, as far as the machine has them.
fn listen(port: u16, flag: &str) -> anyhow::Result<TcpListener> {
    let bind = |address: SocketAddr| {
        let socket = if address.is_ipv6() { TcpSocket::new_v6() } else { TcpSocket::new_v4() }?;
        socket.set_reuseaddr(true)?;
        // For each connection that is accepted here.
        socket.set_send_buffer_size(SOCKET_BUFFER)?;
        socket.set_recv_buffer_size(SOCKET_BUFFER)?;
        socket.set_nodelay(true)?;
        server::defer_accept(&socket);
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    bind((Ipv6Addr::UNSPECIFIED, port).into())
        .or_else(|_| bind((Ipv4Addr::UNSPECIFIED, port).into()))
        .with_context(|| format!("cannot listen on port {port} (`{flag}`)"))
}

/// Listens on the port after the one for metrics: one that is known to whoever forwards it.
async fn listen_for_debugging(metrics_port: u16) -> anyhow::Result<TcpListener> {
    let port = metrics_port.checked_add(1).context(
        "`--enable-debugging-handlers` takes the port after `--metrics-port`: there is none after 65535",
    )?;
    debug::bind(port).await.with_context(|| {
        format!(
            "cannot listen on port {port} of loopback (`--enable-debugging-handlers` takes the port after `--metrics-port`)"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    #[cfg(target_os = "linux")]
    async fn a_connection_is_accepted_once_it_can_be_read_and_answers_at_once() {
        use std::io::Write as _;
        use std::os::fd::AsRawFd as _;
        let listener = listen(0, "--port").unwrap();
        let (mut seconds, mut size) = (0, size_of::<libc::c_int>() as libc::socklen_t);
        #[allow(unsafe_code, reason = "the value is an `int`, and so is what it is written to")]
        let said = unsafe {
            let value = (&raw mut seconds).cast();
            let (fd, level) = (listener.as_raw_fd(), libc::IPPROTO_TCP);
            libc::getsockopt(fd, level, libc::TCP_DEFER_ACCEPT, value, &raw mut size)
        };
        assert_eq!((said, seconds), (0, 1));
        let port = listener.local_addr().unwrap().port();
        let mut caller = std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        caller.write_all(b"a").unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        assert!(stream.nodelay().unwrap());
    }

    #[tokio::test]
    async fn debugging_takes_the_port_after_the_one_for_metrics() {
        let (metrics_port, debug) = loop {
            let metrics = listen(0, "--metrics-port").unwrap();
            let port = metrics.local_addr().unwrap().port();
            // Somebody else may have the next one, or there is none.
            if let Ok(debug) = listen_for_debugging(port).await {
                break (port, debug);
            }
        };
        assert_eq!(debug.local_addr().unwrap(), (Ipv4Addr::LOCALHOST, metrics_port + 1).into());
        assert_eq!(
            listen_for_debugging(metrics_port).await.unwrap_err().to_string(),
            format!(
                "cannot listen on port {} of loopback (`--enable-debugging-handlers` takes the port after \
                 `--metrics-port`)",
                metrics_port + 1
            )
        );
        assert_eq!(
            listen_for_debugging(65535).await.unwrap_err().to_string(),
            "`--enable-debugging-handlers` takes the port after `--metrics-port`: there is none after 65535"
        );
    }
}
