//! An etcd and an API server of one's own.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    binaries::Binaries,
    certificates::{self, Authority},
    client::Client,
    error::{Error, Result},
    process::Processes,
};

const START_LIMIT: Duration = Duration::from_secs(120);
const START_ATTEMPTS: u32 = 3;

/// How to start.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Options {
    /// The programs; found or built when `None`.
    pub binaries: Option<Binaries>,
    /// More flags for kube-apiserver, `--name=value`. One that is also a default here replaces it.
    pub api_server_flags: Vec<String>,
    /// More flags for etcd, likewise.
    pub etcd_flags: Vec<String>,
}

impl Options {
    /// Adds a flag for kube-apiserver.
    #[must_use]
    pub fn api_server_flag(mut self, flag: impl Into<String>) -> Options {
        self.api_server_flags.push(flag.into());
        self
    }
}

/// A running API server with its etcd. Both end, and their directory goes, when it is dropped or when this
/// process ends in whatever way.
pub struct Environment {
    url: String,
    etcd_url: String,
    ca_pem: String,
    admin_token: String,
    kubeconfig_path: PathBuf,
    client: Client,
    group: Processes,
}

impl Environment {
    /// Starts both and waits until the API server is ready: some seconds, or minutes if they have to be built.
    ///
    /// Authorization is `Node,RBAC`; the admission plugins are the API server's defaults, among them
    /// ServiceAccount, MutatingAdmissionWebhook, ValidatingAdmissionWebhook and ValidatingAdmissionPolicy.
    ///
    /// # Errors
    ///
    /// If a program cannot be had, ends, or is not ready within two minutes.
    pub async fn start(options: Options) -> Result<Environment> {
        let binaries = match options.binaries.clone() {
            Some(binaries) => binaries,
            None => tokio::task::spawn_blocking(Binaries::find_or_build)
                .await
                .map_err(|error| Error::Binary(error.to_string()))??,
        };
        let mut attempt = 1;
        loop {
            match start(&binaries, &options).await {
                // A free port is only free until somebody else takes it.
                Err(Error::Start(message))
                    if attempt < START_ATTEMPTS && message.contains("address already in use") =>
                {
                    attempt += 1;
                }
                result => return result,
            }
        }
    }

    /// The API server's address, `https://127.0.0.1:<port>`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// etcd's address for clients, plain HTTP.
    pub fn etcd_url(&self) -> &str {
        &self.etcd_url
    }

    /// The certificate authority of the API server's certificate, and of client certificates.
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// A bearer token of the group `system:masters`.
    pub fn admin_token(&self) -> &str {
        &self.admin_token
    }

    /// A kubeconfig with the admin's token; goes with the environment.
    pub fn kubeconfig_path(&self) -> &Path {
        &self.kubeconfig_path
    }

    /// A kubeconfig for any bearer token.
    pub fn kubeconfig(&self, token: &str) -> String {
        kubeconfig(&self.url, &self.ca_pem, token)
    }

    /// A client with the admin's token.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The directory with keys, data and logs (`kube-apiserver.log`, `etcd.log`); goes with the environment.
    pub fn directory(&self) -> &Path {
        self.group.directory()
    }

    /// The API server's process id.
    pub fn api_server_pid(&self) -> Option<u32> {
        self.group.pid("kube-apiserver")
    }

    /// etcd's process id.
    pub fn etcd_pid(&self) -> Option<u32> {
        self.group.pid("etcd")
    }

    /// Stops the API server where it stands (SIGSTOP): its connections stay open and say nothing.
    ///
    /// # Errors
    ///
    /// If it does not run.
    pub fn pause_api_server(&self) -> Result<()> {
        self.group.signal("kube-apiserver", "STOP")
    }

    /// Lets it go on (SIGCONT).
    ///
    /// # Errors
    ///
    /// If it does not run.
    pub fn resume_api_server(&self) -> Result<()> {
        self.group.signal("kube-apiserver", "CONT")
    }

    /// Writes a file into the directory, which only its owner can read.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn write_file(&self, name: &str, content: &str) -> Result<PathBuf> {
        self.group.write(name, content)
    }

    /// Starts another program, which ends with the environment. What it prints goes to `<name>.log` in the
    /// directory.
    ///
    /// # Errors
    ///
    /// If it cannot be started.
    pub fn start_program(&mut self, name: &str, program: &Path, arguments: &[String]) -> Result<()> {
        self.group.spawn(name, program, arguments)
    }

    /// Whether all programs run.
    ///
    /// # Errors
    ///
    /// If one has ended, with the end of its log.
    pub fn check_programs(&mut self) -> Result<()> {
        match self.group.ended() {
            Some((name, status, log)) => Err(Error::Start(format!("{name} ended ({status}):\n{log}"))),
            None => Ok(()),
        }
    }

    /// Creates a namespace, if it is not there, and its `default` ServiceAccount.
    ///
    /// # Errors
    ///
    /// If the API server refuses.
    pub async fn create_namespace(&self, name: &str) -> Result<()> {
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        exists_now(self.client.post("/api/v1/namespaces", &namespace).await)?;
        self.create_default_service_account(name).await
    }

    /// Creates a namespace's `default` ServiceAccount, if it is not there. No controller does, and without it the
    /// API server refuses pods that name no other.
    ///
    /// # Errors
    ///
    /// If the API server refuses.
    pub async fn create_default_service_account(&self, namespace: &str) -> Result<()> {
        self.create_service_account(namespace, "default").await
    }

    /// Creates a ServiceAccount without annotations, if it is not there.
    ///
    /// # Errors
    ///
    /// If the API server refuses.
    pub async fn create_service_account(&self, namespace: &str, name: &str) -> Result<()> {
        let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}});
        let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts");
        exists_now(self.client.post(&path, &account).await)
    }

    /// A token of a ServiceAccount, for the API server (no `audiences`) or for others.
    ///
    /// # Errors
    ///
    /// If there is no such ServiceAccount.
    pub async fn service_account_token(
        &self,
        namespace: &str,
        name: &str,
        audiences: &[&str],
    ) -> Result<String> {
        let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token");
        let request = json!({
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"audiences": audiences},
        });
        let answer = self.client.post(&path, &request).await?;
        let token = answer.pointer("/status/token").and_then(Value::as_str);
        token
            .map(str::to_owned)
            .ok_or_else(|| Error::Input("the API server's answer holds no token".to_owned()))
    }

    /// Deletes a namespace for good, as the namespace controller would; what is in it stays in etcd.
    ///
    /// # Errors
    ///
    /// If the API server refuses.
    pub async fn delete_namespace(&self, name: &str) -> Result<()> {
        let path = format!("/api/v1/namespaces/{name}");
        let mut namespace = self.client.delete(&path).await?;
        if let Some(spec) = namespace.get_mut("spec") {
            *spec = json!({});
        }
        self.client.put(&format!("{path}/finalize"), &namespace).await.map(drop)
    }
}

async fn start(binaries: &Binaries, options: &Options) -> Result<Environment> {
    let mut group = Processes::new()?;
    let (etcd_port, api_port) = free_ports()?;
    let etcd_url = format!("http://127.0.0.1:{etcd_port}");
    let url = format!("https://127.0.0.1:{api_port}");

    let data = group.directory().join("etcd");
    let etcd_flags = [
        format!("--data-dir={}", data.display()),
        format!("--listen-client-urls={etcd_url}"),
        format!("--advertise-client-urls={etcd_url}"),
        "--listen-peer-urls=http://127.0.0.1:0".to_owned(),
        "--unsafe-no-fsync=true".to_owned(),
        "--log-level=warn".to_owned(),
    ];
    group.spawn("etcd", &binaries.etcd, &merge_flags(&etcd_flags, &options.etcd_flags))?;

    let authority = Authority::new("envtest")?;
    let ca_pem = authority.pem();
    let serving = authority.server(&[
        "127.0.0.1",
        "localhost",
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
    ])?;
    let admin_token = random_token()?;
    let signing_key = group.write("service-account.key", &certificates::service_account_key()?)?;
    let api_flags = [
        format!("--etcd-servers={etcd_url}"),
        "--bind-address=127.0.0.1".to_owned(),
        format!("--secure-port={api_port}"),
        // There is no proxy that would use them, and a loopback address is not allowed in them.
        "--endpoint-reconciler-type=none".to_owned(),
        "--service-cluster-ip-range=10.96.0.0/16".to_owned(),
        format!("--client-ca-file={}", group.write("ca.crt", &ca_pem)?.display()),
        format!("--tls-cert-file={}", group.write("apiserver.crt", &serving.certificate)?.display()),
        format!("--tls-private-key-file={}", group.write("apiserver.key", &serving.key)?.display()),
        format!("--token-auth-file={}", group.write("tokens.csv", &token_file(&admin_token))?.display()),
        "--authorization-mode=Node,RBAC".to_owned(),
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local".to_owned(),
        format!("--service-account-key-file={}", signing_key.display()),
        format!("--service-account-signing-key-file={}", signing_key.display()),
        "--allow-privileged=true".to_owned(),
        "--profiling=false".to_owned(),
    ];
    group.spawn(
        "kube-apiserver",
        &binaries.kube_apiserver,
        &merge_flags(&api_flags, &options.api_server_flags),
    )?;

    let client = Client::new(SocketAddr::from((Ipv4Addr::LOCALHOST, api_port)), &ca_pem, &admin_token)?;
    wait_until_ready(&client, &mut group).await?;
    let kubeconfig_path = group.write("kubeconfig", &kubeconfig(&url, &ca_pem, &admin_token))?;
    Ok(Environment { url, etcd_url, ca_pem, admin_token, kubeconfig_path, client, group })
}

async fn wait_until_ready(client: &Client, group: &mut Processes) -> Result<()> {
    let start = Instant::now();
    loop {
        let readiness = client.send(crate::client::Request::get("/readyz")).await;
        let Err(error) = readiness else { return Ok(()) };
        if let Some((name, status, log)) = group.ended() {
            return Err(Error::Start(format!("{name} ended ({status}):\n{log}")));
        }
        if start.elapsed() > START_LIMIT {
            let log = group.log("kube-apiserver");
            return Err(Error::Start(format!("kube-apiserver is not ready: {error}:\n{log}")));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Both are held until both are known, so that they differ.
fn free_ports() -> Result<(u16, u16)> {
    let listen =
        || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(Error::io("cannot listen on 127.0.0.1"));
    let (first, second) = (listen()?, listen()?);
    let port = |listener: &TcpListener| {
        listener.local_addr().map(|address| address.port()).map_err(Error::io("cannot find a free port"))
    };
    Ok((port(&first)?, port(&second)?))
}

/// Defaults first; those whose name is in `extra` are left out.
fn merge_flags(defaults: &[String], extra: &[String]) -> Vec<String> {
    fn name(flag: &str) -> &str {
        flag.split_once('=').map_or(flag, |(name, _)| name)
    }
    let replaced = |flag: &&String| extra.iter().any(|other| name(other) == name(flag));
    defaults.iter().filter(|flag| !replaced(flag)).chain(extra).cloned().collect()
}

/// The user that kubeadm makes, in the group that may do everything.
fn token_file(admin_token: &str) -> String {
    format!("{admin_token},kubernetes-admin,,\"system:masters\"\n")
}

fn random_token() -> Result<String> {
    let mut bytes = [0_u8; 24];
    aws_lc_rs::rand::fill(&mut bytes).map_err(Error::certificate)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn kubeconfig(url: &str, ca_pem: &str, token: &str) -> String {
    // JSON is YAML.
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{
            "name": "envtest",
            "cluster": {"server": url, "certificate-authority-data": certificates::base64(ca_pem)},
        }],
        "users": [{"name": "envtest", "user": {"token": token}}],
        "contexts": [{"name": "envtest", "context": {"cluster": "envtest", "user": "envtest"}}],
        "current-context": "envtest",
    });
    format!("{config:#}\n")
}

/// What a creation's result says about whether the object is there.
fn exists_now(created: Result<Value>) -> Result<()> {
    match created {
        Err(Error::Refused { status: 409, .. }) | Ok(_) => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::merge_flags;

    #[test]
    fn extra_flags_replace_defaults_of_the_same_name() {
        let flags = |flags: &[&str]| flags.iter().map(|&flag| flag.to_owned()).collect::<Vec<_>>();
        let defaults = flags(&["--a=1", "--b=2", "--ab=3"]);
        assert_eq!(
            merge_flags(&defaults, &flags(&["--a=9", "--c", "--a=8"])),
            flags(&["--b=2", "--ab=3", "--a=9", "--c", "--a=8"])
        );
    }
}
