//! A webhook that allows everything and remembers what it was asked.

use std::{
    convert::Infallible,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_rustls::TlsAcceptor;

use crate::{
    certificates::Authority,
    error::{Error, Result},
};

/// A review as it came.
#[derive(Clone, Debug)]
pub(super) struct Recorded {
    /// The path that it was posted to.
    pub(super) path: String,
    /// The body.
    pub(super) text: String,
    /// The body, read.
    pub(super) value: Value,
}

type Reviews = Arc<Mutex<Vec<Recorded>>>;

pub(super) struct Webhook {
    address: SocketAddr,
    ca_bundle: String,
    reviews: Reviews,
    task: JoinHandle<()>,
}

impl Webhook {
    pub(super) async fn start() -> Result<Webhook> {
        let authority = Authority::new("record-reviews")?;
        let pair = authority.server(&["127.0.0.1"])?;
        let certificate =
            CertificateDer::from_pem_slice(pair.certificate.as_bytes()).map_err(Error::certificate)?;
        let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).map_err(Error::certificate)?;
        let config =
            ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
                .with_protocol_versions(&[&rustls::version::TLS13])
                .map_err(Error::certificate)?
                .with_no_client_auth()
                .with_single_cert(vec![certificate], key)
                .map_err(Error::certificate)?;

        let cannot_listen = "cannot listen on 127.0.0.1";
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(Error::io(cannot_listen))?;
        let address = listener.local_addr().map_err(Error::io(cannot_listen))?;
        let reviews = Reviews::default();
        let task = tokio::spawn(serve(listener, TlsAcceptor::from(Arc::new(config)), Arc::clone(&reviews)));
        Ok(Webhook { address, ca_bundle: authority.ca_bundle(), reviews, task })
    }

    /// The `clientConfig` of a webhook that posts to `path`.
    pub(super) fn client_config(&self, path: &str) -> Value {
        json!({"url": format!("https://{}{path}", self.address), "caBundle": self.ca_bundle})
    }

    /// Takes all reviews that came so far.
    pub(super) fn take(&self) -> Vec<Recorded> {
        std::mem::take(&mut *self.reviews.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Webhook {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, tls: TlsAcceptor, reviews: Reviews) {
    loop {
        let Ok((tcp, _)) = listener.accept().await else { continue };
        let (tls, reviews) = (tls.clone(), Arc::clone(&reviews));
        tokio::spawn(async move {
            let Ok(stream) = tls.accept(tcp).await else { return };
            let service = service_fn(|request| answer(request, Arc::clone(&reviews)));
            // An error here is one for the API server too, which refuses the request and says why.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(
    request: hyper::Request<Incoming>,
    reviews: Reviews,
) -> std::result::Result<hyper::Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path().to_owned();
    let body =
        request.into_body().collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let text = String::from_utf8_lossy(&body).into_owned();
    let value: Value = serde_json::from_str(&text).unwrap_or_default();
    let response = json!({
        "apiVersion": value.get("apiVersion"),
        "kind": value.get("kind"),
        "response": {"uid": value.pointer("/request/uid"), "allowed": true},
    });
    reviews.lock().unwrap_or_else(PoisonError::into_inner).push(Recorded { path, text, value });
    let mut response = hyper::Response::new(Full::new(Bytes::from(response.to_string())));
    let json = hyper::header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(hyper::header::CONTENT_TYPE, json);
    Ok(response)
}
