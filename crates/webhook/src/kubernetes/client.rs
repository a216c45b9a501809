//! Requests to the API server, by their paths.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Frame, SizeHint};
use hyper::header::{AUTHORIZATION, HeaderMap, HeaderValue, USER_AGENT};
use hyper::{Request, Response, StatusCode, Uri};
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::Connect;
use tower::util::BoxCloneSyncService;
use tower::{BoxError, Service, ServiceExt as _, service_fn};

use super::Authorization;

/// Who asks.
const AGENT: HeaderValue =
    HeaderValue::from_static(concat!("pod-identity-webhook/", env!("CARGO_PKG_VERSION")));

/// Asks the API server. Clones share their connections.
#[derive(Clone)]
pub struct Client(BoxCloneSyncService<Request<Body>, Response<Body>, BoxError>);

/// What a request or an answer holds.
pub struct Body(UnsyncBoxBody<Bytes, BoxError>);

impl Client {
    /// Asks a service, which gets requests by path and query alone.
    pub fn new<S, B>(service: S) -> Self
    where
        S: Service<Request<Body>, Response = Response<B>> + Clone + Send + Sync + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send + 'static,
        B: hyper::body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let service = service.map_err(Into::into).map_response(|answer: Response<B>| answer.map(Body::new));
        Self(BoxCloneSyncService::new(service))
    }

    /// Asks a server. `headers` come with each request.
    pub(super) fn connected<C>(
        http: HttpClient<C, Body>,
        server: Uri,
        headers: HeaderMap,
        authorization: Option<Arc<Authorization>>,
    ) -> Self
    where
        C: Connect + Clone + Send + Sync + 'static,
    {
        let (server, headers) = (Arc::new(server), Arc::new(headers));
        Self::new(service_fn(move |mut request: Request<Body>| {
            let (http, server, headers) = (http.clone(), Arc::clone(&server), Arc::clone(&headers));
            let authorization = authorization.clone();
            async move {
                *request.uri_mut() = locate(&server, request.uri())?;
                request.headers_mut().insert(USER_AGENT, AGENT);
                for (name, value) in &*headers {
                    request.headers_mut().append(name, value.clone());
                }
                let Some(authorization) = authorization else {
                    return Ok::<_, BoxError>(http.request(request).await?);
                };
                let sent = authorization.header().await?;
                request.headers_mut().insert(AUTHORIZATION, sent.clone());
                let answer = http.request(request).await?;
                if answer.status() == StatusCode::UNAUTHORIZED {
                    authorization.refused(&sent);
                }
                Ok(answer)
            }
        }))
    }

    /// Sends a request, whose URI is a path and a query.
    ///
    /// # Errors
    ///
    /// When no answer begins. An answer is one whatever its status.
    pub async fn send(&self, request: Request<Body>) -> Result<Response<Body>, BoxError> {
        self.0.clone().oneshot(request).await
    }
}

/// The path at a server, which may be below another path.
fn locate(server: &Uri, path: &Uri) -> Result<Uri, hyper::http::Error> {
    let path = path.path_and_query().map_or("/", |path| path.as_str());
    let mut parts = server.clone().into_parts();
    parts.path_and_query = Some(format!("{}{path}", server.path().trim_end_matches('/')).parse()?);
    Ok(Uri::from_parts(parts)?)
}

impl Body {
    /// Nothing.
    #[must_use]
    pub fn empty() -> Self {
        Self::from(Vec::new())
    }

    fn new<B>(body: B) -> Self
    where
        B: hyper::body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        Self(body.map_err(Into::into).boxed_unsync())
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Self::new(Full::new(Bytes::from(bytes)))
    }
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Body")
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Pin::new(&mut self.0).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_may_be_below_another() {
        for (server, path, expected) in [
            ("https://10.0.0.1:6443", "/api/v1?limit=5", "https://10.0.0.1:6443/api/v1?limit=5"),
            ("https://[::1]/", "/api", "https://[::1]/api"),
            ("https://rancher/k8s/clusters/c", "/api/v1", "https://rancher/k8s/clusters/c/api/v1"),
            ("https://rancher/k8s/clusters/c/", "/api/v1", "https://rancher/k8s/clusters/c/api/v1"),
        ] {
            let found = locate(&server.parse().unwrap(), &path.parse().unwrap()).unwrap();
            assert_eq!(found.to_string(), expected);
        }
    }
}
