//! A thin client: JSON over HTTPS with a bearer token.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{
    Method,
    client::conn::http1::SendRequest,
    header::{self, HeaderValue},
};
use hyper_util::rt::TokioIo;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::error::{Error, Result};

const TIME_LIMIT: Duration = Duration::from_secs(60);

/// Speaks to one server; clones share connections.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
    token: Arc<str>,
}

struct Shared {
    address: SocketAddr,
    tls: TlsConnector,
    idle: Mutex<Vec<SendRequest<Full<Bytes>>>>,
}

/// Who a request pretends to come from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Identity {
    /// User name.
    pub user: String,
    /// Groups; `system:authenticated` and a ServiceAccount's groups come by themselves.
    pub groups: Vec<String>,
}

/// What is sent.
#[derive(Clone, Debug)]
pub struct Request {
    method: Method,
    path: String,
    body: Option<Vec<u8>>,
    headers: Vec<(&'static str, String)>,
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The texts of its `Warning` headers.
    pub warnings: Vec<String>,
    /// The body.
    pub body: Bytes,
}

impl Client {
    /// A client for the server at `address`, whose certificate `ca_pem` vouches for.
    ///
    /// # Errors
    ///
    /// If `ca_pem` holds no certificate.
    pub fn new(address: SocketAddr, ca_pem: &str, token: &str) -> Result<Client> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(ca_pem.as_bytes()) {
            roots.add(certificate.map_err(Error::certificate)?).map_err(Error::certificate)?;
        }
        let config =
            ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
                .with_protocol_versions(&[&rustls::version::TLS13])
                .map_err(Error::certificate)?
                .with_root_certificates(roots)
                .with_no_client_auth();
        let shared =
            Shared { address, tls: TlsConnector::from(Arc::new(config)), idle: Mutex::new(Vec::new()) };
        Ok(Client { shared: Arc::new(shared), token: token.into() })
    }

    /// The same server, another bearer token.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Client {
        Client { shared: Arc::clone(&self.shared), token: token.into() }
    }

    /// Reads an object or a list.
    ///
    /// # Errors
    ///
    /// As [`Client::send`].
    pub async fn get(&self, path: &str) -> Result<Value> {
        self.send(Request::get(path)).await?.json()
    }

    /// Creates an object.
    ///
    /// # Errors
    ///
    /// As [`Client::send`].
    pub async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        self.send(Request::post(path, body)).await?.json()
    }

    /// Replaces an object.
    ///
    /// # Errors
    ///
    /// As [`Client::send`].
    pub async fn put(&self, path: &str, body: &Value) -> Result<Value> {
        self.send(Request::put(path, body)).await?.json()
    }

    /// Changes an object by a JSON merge patch.
    ///
    /// # Errors
    ///
    /// As [`Client::send`].
    pub async fn merge_patch(&self, path: &str, patch: &Value) -> Result<Value> {
        self.send(Request::merge_patch(path, patch)).await?.json()
    }

    /// Deletes an object.
    ///
    /// # Errors
    ///
    /// As [`Client::send`].
    pub async fn delete(&self, path: &str) -> Result<Value> {
        self.send(Request::delete(path, None)).await?.json()
    }

    /// Sends a request and reads the whole answer.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] for any status from 400 on, [`Error::Http`] without an answer within a minute.
    pub async fn send(&self, request: Request) -> Result<Response> {
        let path = request.path.split('?').next().unwrap_or_default();
        let what = format!("{} {path}", request.method);
        let response = match tokio::time::timeout(TIME_LIMIT, self.exchange(&request)).await {
            Ok(Ok(response)) => response,
            Ok(Err(message)) => return Err(Error::Http { what, message }),
            Err(_) => return Err(Error::Http { what, message: "no answer in time".to_owned() }),
        };
        if response.status < 400 {
            return Ok(response);
        }
        let status: Option<Value> = serde_json::from_slice(&response.body).ok();
        let message = status.as_ref().and_then(|status| status.get("message")).and_then(Value::as_str);
        let message =
            message.map_or_else(|| String::from_utf8_lossy(&response.body).into_owned(), str::to_owned);
        Err(Error::Refused { what, status: response.status, message })
    }

    async fn exchange(&self, request: &Request) -> std::result::Result<Response, String> {
        let mut sender = match self.idle() {
            Some(sender) => sender,
            None => self.connect().await?,
        };
        let mut answer = sender.send_request(self.head_and_body(request)?).await;
        if answer.as_ref().is_err_and(hyper::Error::is_canceled) {
            // The server had closed the idle connection; nothing was sent.
            sender = self.connect().await?;
            answer = sender.send_request(self.head_and_body(request)?).await;
        }
        let answer = answer.map_err(|error| error.to_string())?;
        let status = answer.status().as_u16();
        let warnings = answer.headers().get_all(header::WARNING).iter().filter_map(warning_text).collect();
        let body = answer.into_body().collect().await.map_err(|error| error.to_string())?.to_bytes();
        self.shared.idle.lock().unwrap_or_else(PoisonError::into_inner).push(sender);
        Ok(Response { status, warnings, body })
    }

    fn idle(&self) -> Option<SendRequest<Full<Bytes>>> {
        let mut idle = self.shared.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(SendRequest::is_ready);
        idle.pop()
    }

    async fn connect(&self) -> std::result::Result<SendRequest<Full<Bytes>>, String> {
        let Shared { address, tls, .. } = &*self.shared;
        let tcp = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
        let _ = tcp.set_nodelay(true);
        let name = ServerName::IpAddress(address.ip().into());
        let tls = tls.connect(name, tcp).await.map_err(|error| error.to_string())?;
        let handshake = hyper::client::conn::http1::handshake(TokioIo::new(tls)).await;
        let (sender, connection) = handshake.map_err(|error| error.to_string())?;
        // Ends with the sender; its errors reach whoever waits for an answer.
        tokio::spawn(connection);
        Ok(sender)
    }

    fn head_and_body(&self, request: &Request) -> std::result::Result<hyper::Request<Full<Bytes>>, String> {
        let mut head = hyper::Request::builder()
            .method(&request.method)
            .uri(&request.path)
            .header(header::HOST, self.shared.address.to_string())
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token))
            // What `/openid/v1/jwks` gives has a type of its own.
            .header(header::ACCEPT, "application/json, */*;q=0.1");
        for (name, value) in &request.headers {
            head = head.header(*name, value);
        }
        let body = request.body.clone().unwrap_or_default();
        head.body(Full::new(Bytes::from(body))).map_err(|error| error.to_string())
    }
}

impl Request {
    /// GET.
    pub fn get(path: &str) -> Request {
        Request { method: Method::GET, path: path.to_owned(), body: None, headers: Vec::new() }
    }

    /// POST.
    pub fn post(path: &str, body: &Value) -> Request {
        Request { method: Method::POST, ..Request::get(path) }.body(body, "application/json")
    }

    /// POST of a text that is sent as it is.
    pub fn post_text(path: &str, text: String) -> Request {
        let headers = vec![("content-type", "application/json".to_owned())];
        Request { method: Method::POST, body: Some(text.into_bytes()), headers, ..Request::get(path) }
    }

    /// PUT.
    pub fn put(path: &str, body: &Value) -> Request {
        Request { method: Method::PUT, ..Request::get(path) }.body(body, "application/json")
    }

    /// PATCH with a JSON merge patch.
    pub fn merge_patch(path: &str, patch: &Value) -> Request {
        Request { method: Method::PATCH, ..Request::get(path) }.body(patch, "application/merge-patch+json")
    }

    /// PATCH with a JSON Patch.
    pub fn json_patch(path: &str, patch: &Value) -> Request {
        Request { method: Method::PATCH, ..Request::get(path) }.body(patch, "application/json-patch+json")
    }

    /// PATCH with a strategic merge patch.
    pub fn strategic_patch(path: &str, patch: &Value) -> Request {
        let content_type = "application/strategic-merge-patch+json";
        Request { method: Method::PATCH, ..Request::get(path) }.body(patch, content_type)
    }

    /// PATCH by server-side apply.
    pub fn apply_patch(path: &str, object: &Value) -> Request {
        // JSON is YAML.
        Request { method: Method::PATCH, ..Request::get(path) }.body(object, "application/apply-patch+yaml")
    }

    /// DELETE, perhaps with DeleteOptions.
    pub fn delete(path: &str, options: Option<&Value>) -> Request {
        let request = Request { method: Method::DELETE, ..Request::get(path) };
        match options {
            Some(options) => request.body(options, "application/json"),
            None => request,
        }
    }

    /// Lets the API server treat the request as somebody else's.
    #[must_use]
    pub fn impersonate(mut self, identity: &Identity) -> Request {
        self.headers.push(("impersonate-user", identity.user.clone()));
        self.headers.extend(identity.groups.iter().map(|group| ("impersonate-group", group.clone())));
        self
    }

    /// Sets `User-Agent`: what comes before the `/` is the manager in `managedFields`.
    #[must_use]
    pub fn user_agent(mut self, user_agent: &str) -> Request {
        self.headers.push(("user-agent", user_agent.to_owned()));
        self
    }

    fn body(mut self, body: &Value, content_type: &str) -> Request {
        self.body = Some(body.to_string().into_bytes());
        self.headers.push(("content-type", content_type.to_owned()));
        self
    }
}

/// The text in `299 - "text"` (<https://www.rfc-editor.org/rfc/rfc7234#section-5.5>).
fn warning_text(header: &HeaderValue) -> Option<String> {
    let quoted = header.to_str().ok()?.split_once('"')?.1.strip_suffix('"')?;
    let mut text = String::new();
    let mut characters = quoted.chars();
    while let Some(character) = characters.next() {
        text.extend(if character == '\\' { characters.next() } else { Some(character) });
    }
    Some(text)
}

impl Response {
    /// The body as JSON.
    ///
    /// # Errors
    ///
    /// If it is none.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_slice(&self.body)
            .map_err(|error| Error::Input(format!("the answer is no JSON: {error}")))
    }
}
