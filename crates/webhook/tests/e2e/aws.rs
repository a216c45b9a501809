//! What AWS is to a pod here: STS, and the agent of EKS Pod Identity. Both check tokens as AWS does; the rest of STS
//! is moto's (<https://docs.getmoto.org>), which would take any token.

use std::{
    env,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use envtest::Processes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use crate::{scenario::until, token::Verifier};

const STS_AUDIENCE: &str = "sts.amazonaws.com";
const AGENT_AUDIENCE: &str = "pods.eks.amazonaws.com";

/// What the agent gives to those whose token is good.
pub(crate) const AGENT_ACCESS_KEY: &str = "ASIAAGENT";

/// Serves until it is dropped.
pub(crate) struct Aws {
    address: SocketAddr,
    moto: Processes,
    task: JoinHandle<()>,
}

/// Who may assume which role: a role's trust policy for one subject.
#[derive(Clone, Debug)]
pub(crate) struct Trust {
    pub(crate) role: &'static str,
    pub(crate) subject: String,
}

struct Shared {
    verifier: Verifier,
    trust: Trust,
    moto: SocketAddr,
}

impl Aws {
    /// Starts moto and what stands before it.
    pub(crate) async fn start(verifier: Verifier, trust: Trust) -> Aws {
        let mut processes = Processes::new().unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/moto_sts.py");
        processes.spawn("moto", &python(), &[script.display().to_string()]).unwrap();
        let mut moto = None;
        until("moto says its address", async || {
            let ended = processes.ended();
            assert!(ended.is_none(), "moto ended: {ended:?}");
            moto = processes.output("moto").lines().find_map(|line| line.strip_prefix("moto ")?.parse().ok());
            moto.is_some()
        })
        .await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared { verifier, trust, moto: moto.unwrap() });
        Aws { address, moto: processes, task: tokio::spawn(serve(listener, shared)) }
    }

    /// STS's endpoint.
    pub(crate) fn sts_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The agent's endpoint.
    pub(crate) fn agent_url(&self) -> String {
        format!("http://{}/v1/credentials", self.address)
    }

    /// A directory that goes with it: the root of what pods see as their files.
    pub(crate) fn directory(&self) -> &Path {
        self.moto.directory()
    }
}

impl Drop for Aws {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The Python that `tools/setup e2e-python` sets up.
pub(crate) fn python() -> PathBuf {
    let cache = env::var_os("XDG_CACHE_HOME").filter(|path| !path.is_empty()).map(PathBuf::from);
    let cache =
        cache.unwrap_or_else(|| PathBuf::from(env::var_os("HOME").expect("HOME is not set")).join(".cache"));
    let python = cache.join("pod-identity-policy/e2e-python/bin/python");
    assert!(python.exists(), "`{}` is not there: run `tools/setup e2e-python`", python.display());
    python
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let (tcp, _) = listener.accept().await.unwrap();
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            let service = service_fn(|request| answer(request, &shared));
            // An error here is one for the SDK too.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(tcp), service).await;
        });
    }
}

async fn answer(request: Request<Incoming>, shared: &Shared) -> hyper::Result<Response<Full<Bytes>>> {
    if request.uri().path() == "/v1/credentials" {
        let token = request.headers().get("authorization").and_then(|token| token.to_str().ok());
        return Ok(agent(token.unwrap_or_default(), shared));
    }
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let form = form(&body);
    let field = |name: &str| form.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.as_str());
    match field("Action") {
        "AssumeRoleWithWebIdentity" => {
            if let Err(reason) = shared.check(field("WebIdentityToken"), STS_AUDIENCE, field("RoleArn")) {
                return Ok(refusal(&reason));
            }
        }
        "GetCallerIdentity" => {}
        other => return Ok(refusal(&format!("action `{other}`"))),
    }
    pass_on(Request::from_parts(head, Full::new(body)), shared.moto).await
}

impl Shared {
    fn check(&self, token: &str, audience: &str, role: &str) -> Result<(), String> {
        let claims = self.verifier.verify(token, audience)?;
        if (role, claims.subject.as_str()) != (self.trust.role, self.trust.subject.as_str()) {
            return Err(format!("`{}` may not assume `{role}`", claims.subject));
        }
        Ok(())
    }
}

/// <https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html>
fn agent(token: &str, shared: &Shared) -> Response<Full<Bytes>> {
    let (status, body) = match shared.check(token, AGENT_AUDIENCE, shared.trust.role) {
        Ok(()) => {
            let credentials = json!({
                "AccessKeyId": AGENT_ACCESS_KEY,
                "SecretAccessKey": "secret",
                "Token": "session",
                "Expiration": "2100-01-01T00:00:00Z",
            });
            (200, credentials)
        }
        Err(reason) => (401, json!({"code": "AccessDeniedException", "message": reason})),
    };
    let response = Response::builder().status(status).header("content-type", "application/json");
    response.body(Full::new(Bytes::from(body.to_string()))).unwrap()
}

/// <https://docs.aws.amazon.com/STS/latest/APIReference/CommonErrors.html>
fn refusal(reason: &str) -> Response<Full<Bytes>> {
    let body = format!(
        "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type>\
         <Code>InvalidIdentityToken</Code><Message>{reason}</Message></Error></ErrorResponse>"
    );
    let response = Response::builder().status(400).header("content-type", "text/xml");
    response.body(Full::new(Bytes::from(body))).unwrap()
}

async fn pass_on(request: Request<Full<Bytes>>, to: SocketAddr) -> hyper::Result<Response<Full<Bytes>>> {
    let tcp = TcpStream::connect(to).await.expect("moto is gone");
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(tcp)).await?;
    // Ends with the sender.
    tokio::spawn(connection);
    let (head, body) = sender.send_request(request).await?.into_parts();
    Ok(Response::from_parts(head, Full::new(body.collect().await?.to_bytes())))
}

/// `application/x-www-form-urlencoded`.
fn form(body: &[u8]) -> Vec<(String, String)> {
    let body = String::from_utf8_lossy(body);
    let pairs = body.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(key, value)| (decode(key), decode(value))).collect()
}

fn decode(text: &str) -> String {
    let mut parts = text.split('%');
    let mut decoded = parts.next().unwrap_or_default().replace('+', " ");
    for part in parts {
        let (code, rest) = part.split_at(2);
        // Roles and tokens are ASCII.
        decoded.push(char::from(u8::from_str_radix(code, 16).unwrap()));
        decoded.push_str(&rest.replace('+', " "));
    }
    decoded
}
