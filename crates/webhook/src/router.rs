//! From a request to a response: which paths there are, and what is refused before anything is read.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Body;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode};
use tokio::time::{Instant, timeout};

use crate::admission::{Admission, Task};
use crate::debug::Debug;
use crate::health::Health;
use crate::metrics::{self, Metrics, RequestLabels};
use crate::status::Failure;

mod body;
mod budget;

pub use budget::Holder;
use budget::{Budget, Share};

/// How long a body may take.
pub const BODY_TIME: Duration = Duration::from_secs(10);
/// How long an answer may take: the API server waits no longer for any webhook
/// (<https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#timeouts>).
pub const ANSWER_TIME: Duration = Duration::from_secs(30);
/// Bytes of bodies, and of answers that were not read yet, that are held at once, over all requests.
pub const HELD: usize = 16 << 20;

/// How the API server calls a request (<https://www.w3.org/TR/trace-context/#traceparent-header>).
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// What a response is made of.
pub type Answer = Response<Full<Bytes>>;

/// Answers the requests of one listener. Cheap to clone.
#[derive(Clone)]
pub struct Router(Arc<Shared>);

struct Shared {
    serves: Serves,
    health: Arc<Health>,
    metrics: Metrics,
    budget: Budget,
}

/// What a listener serves besides `/healthz`, `/readyz` and `/metrics`.
pub enum Serves {
    /// `/mutate` and `/validate`.
    Admission(Admission),
    /// Nothing else: the port for the kubelet and for Prometheus.
    Health,
    /// What is held. For loopback only.
    Debug(Debug),
}

impl Router {
    /// Answers what `serves` says.
    #[must_use]
    pub fn new(serves: Serves, health: Arc<Health>, metrics: Metrics) -> Self {
        let budget = Budget::new(HELD, metrics.body_bytes.clone());
        Self(Arc::new(Shared { serves, health, metrics, budget }))
    }

    /// Answers a request that came over a connection, and counts it. The connection is told when the answer takes
    /// room that others need.
    pub async fn route<B: Body<Data = Bytes>>(&self, request: Request<B>, connection: &Holder) -> Answer {
        let (parts, body) = request.into_parts();
        let (verb, path) = (verb(&parts.method), Path::of(parts.uri.path()));
        let answer = match self.answer(path, parts, body, connection).await {
            Ok(answer) => answer,
            Err(failure) => failed(&failure),
        };
        let labels = RequestLabels { verb, path: path.name(), code: answer.status().as_u16() };
        self.0.metrics.http_requests.get_or_create(&labels).inc();
        answer
    }

    async fn answer<B: Body<Data = Bytes>>(
        &self,
        path: Path,
        parts: Parts,
        body: B,
        connection: &Holder,
    ) -> Result<Answer, Failure> {
        let Shared { serves, health, .. } = &*self.0;
        match (path, serves) {
            (Path::Mutate, Serves::Admission(admission)) => {
                self.review(admission, Task::Mutate, parts, body, connection).await
            }
            (Path::Validate, Serves::Admission(admission)) => {
                self.review(admission, Task::Validate, parts, body, connection).await
            }
            (Path::Healthz, _) => read_only(&parts, || Ok(text(StatusCode::OK, "ok\n".to_owned()))),
            (Path::Readyz, _) => read_only(&parts, || {
                let (status, missing) = health.readyz();
                Ok(text(status, missing))
            }),
            (Path::Metrics, _) => read_only(&parts, || match health.metrics() {
                Ok(text) => Ok(with_type(StatusCode::OK, metrics::CONTENT_TYPE, text)),
                Err(_) => {
                    let message = "the metrics could not be written";
                    Err(Failure::new(StatusCode::INTERNAL_SERVER_ERROR, message))
                }
            }),
            (Path::Debug, Serves::Debug(debug)) => read_only(&parts, || {
                let shown = debug.show(parts.uri.path(), parts.uri.query().unwrap_or_default())?;
                Ok(with_type(StatusCode::OK, JSON, shown))
            }),
            _ => Err(Failure::new(StatusCode::NOT_FOUND, "there is nothing at this path")),
        }
    }

    async fn review<B: Body<Data = Bytes>>(
        &self,
        admission: &Admission,
        task: Task,
        parts: Parts,
        body: B,
        connection: &Holder,
    ) -> Result<Answer, Failure> {
        let Shared { metrics, budget, .. } = &*self.0;
        let path = match task {
            Task::Mutate => Path::Mutate,
            Task::Validate => Path::Validate,
        };
        if parts.method != Method::POST {
            return Ok(not_allowed("POST"));
        }
        if !is_json(parts.headers.get(CONTENT_TYPE)) {
            let message = "expected the media type `application/json`";
            return Err(Failure::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, message));
        }
        let traceparent =
            parts.headers.get(TRACEPARENT).and_then(|value| value.to_str().ok()).map(str::to_owned);
        // What hyper has read of the head is part of it, and room for what comes next once this is gone.
        drop(parts);
        let share = budget.share(connection);
        let work = async {
            let late =
                Failure::new(StatusCode::REQUEST_TIMEOUT, "the body took too long: expected it within 10 s");
            let body = within(BODY_TIME, body::read(body, &share)).await.ok_or(late)??;
            let started = Instant::now();
            let late = Failure::new(StatusCode::SERVICE_UNAVAILABLE, "the answer took too long");
            let answer = within(ANSWER_TIME, admission.review(&body, task, traceparent.as_deref())).await;
            let ended = Instant::now();
            metrics
                .request_seconds
                .get_or_create(&path.name().into())
                .observe((ended - started).as_secs_f64());
            let answer = answer.ok_or(late)??;
            drop(body);
            share.turn_into_answer(answer.len(), ended).await.map_err(|_| body::NO_ROOM)?;
            Ok(answer)
        };
        match share.unless_it_gives_way(work).await.unwrap_or(Err(body::NO_ROOM)) {
            Ok(answer) => {
                Ok(with_type(StatusCode::OK, JSON, Bytes::from_owner(Held { answer, _share: share })))
            }
            Err(failure) => {
                if failure == body::NO_ROOM {
                    metrics.refused_connections.get_or_create(&"bodies".into()).inc();
                }
                Err(failure)
            }
        }
    }
}

/// What a future says within a time from when it first has to wait, which most need not: then there is no timer.
async fn within<T>(time: Duration, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    let first = poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await;
    match first {
        Poll::Ready(said) => Some(said),
        Poll::Pending => timeout(time, future).await.ok(),
    }
}

/// An answer, which takes room until it was sent.
struct Held {
    answer: Bytes,
    _share: Share,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.answer
    }
}

/// The paths that there are, for metrics as well.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Path {
    Mutate,
    Validate,
    Healthz,
    Readyz,
    Metrics,
    Debug,
    Other,
}

impl Path {
    fn of(path: &str) -> Self {
        match path {
            "/mutate" => Self::Mutate,
            "/validate" => Self::Validate,
            "/healthz" => Self::Healthz,
            "/readyz" => Self::Readyz,
            "/metrics" => Self::Metrics,
            path if path.starts_with("/debug/") => Self::Debug,
            _ => Self::Other,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Mutate => "/mutate",
            Self::Validate => "/validate",
            Self::Healthz => "/healthz",
            Self::Readyz => "/readyz",
            Self::Metrics => "/metrics",
            Self::Debug => "/debug",
            Self::Other => "other",
        }
    }
}

const JSON: &str = "application/json";

fn verb(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

/// Whether it says `application/json`, with whatever parameters
/// (<https://www.rfc-editor.org/rfc/rfc9110#name-media-type>).
fn is_json(content_type: Option<&HeaderValue>) -> bool {
    let text = content_type.and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = text.split(';').next().unwrap_or_default();
    media_type.trim_matches([' ', '\t']).eq_ignore_ascii_case(JSON)
}

fn read_only(parts: &Parts, answer: impl FnOnce() -> Result<Answer, Failure>) -> Result<Answer, Failure> {
    if matches!(parts.method, Method::GET | Method::HEAD) { answer() } else { Ok(not_allowed("GET, HEAD")) }
}

fn text(status: StatusCode, text: String) -> Answer {
    with_type(status, "text/plain; charset=utf-8", text)
}

fn with_type(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Answer::new(Full::new(body.into()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}

fn failed(failure: &Failure) -> Answer {
    let mut answer = with_type(failure.code, JSON, failure.to_json());
    if failure.code == StatusCode::TOO_MANY_REQUESTS {
        // The API server then asks once more within its time limit, instead of giving up at once.
        answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    answer
}

fn not_allowed(allowed: &'static str) -> Answer {
    let mut answer =
        failed(&Failure::new(StatusCode::METHOD_NOT_ALLOWED, "this path does not take this method"));
    answer.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    answer
}
