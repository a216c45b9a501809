//! The Secret and the webhook configurations, read and written through the API server.

use std::time::Duration;

use futures::future::select_all;
use http_body_util::BodyExt as _;
use hyper::header::{ACCEPT, CONTENT_TYPE, DATE};
use hyper::http::{self, Request};
use hyper::{Method, StatusCode};
use serde::Deserialize;
use serde_json::Value;
use tower::BoxError;

use super::Names;
use super::plan::{Object, Seconds};
use crate::kubernetes::{Body, Client, cause};

/// Longer than an API server takes that is only slow.
const TIME_LIMIT: Duration = Duration::from_secs(10);

/// Who wrote it, in `managedFields`.
const MANAGER: &str = "pod-identity-webhook";

/// The API server, for three objects.
#[derive(Clone)]
pub(super) struct Cluster {
    client: Client,
    names: Names,
}

/// Why the API server did not do it.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// There is no such object.
    #[error("it is not there")]
    NotThere,
    /// Somebody was faster.
    #[error("somebody else has changed it")]
    Conflict,
    /// A right is missing.
    #[error("{0}; grant the webhook's ServiceAccount the verb `{1}` on `{2}` for the name `{3}`")]
    Forbidden(String, &'static str, &'static str, String),
    /// Another status.
    #[error("the API server answers {0}: {1}")]
    Status(u16, String),
    /// No answer.
    #[error("the API server does not answer: {0}")]
    Unreachable(String),
}

/// An object, and the API server's time when it answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) object: Value,
    pub(super) at: Option<Seconds>,
}

/// A line of a watch.
#[derive(Deserialize)]
struct Event<'e> {
    #[serde(borrow, rename = "type")]
    kind: &'e str,
}

/// Of a watch without the objects themselves: nobody asks for a private key.
const METADATA: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";

/// What is read of a watch before its first event has ended: metadata is no larger.
const MAX_EVENT: usize = 1 << 20;

impl Cluster {
    pub(super) fn new(client: Client, names: Names) -> Self {
        Self { client, names }
    }

    pub(super) async fn read(&self, object: Object) -> Result<Answer, Failure> {
        self.send("get", object, Request::get(self.path(object)).body(Body::empty())).await
    }

    /// Replaces an object, which holds the version that it was made from.
    pub(super) async fn replace(&self, object: Object, value: &Value) -> Result<Answer, Failure> {
        let request = self.write(Method::PUT, object, "application/json", value);
        self.send("update", object, request).await
    }

    /// Changes an object; the patch holds the version that it was made from.
    pub(super) async fn patch(&self, object: Object, patch: &Value) -> Result<Answer, Failure> {
        let request = self.write(Method::PATCH, object, "application/strategic-merge-patch+json", patch);
        self.send("patch", object, request).await
    }

    /// Waits until one of the objects changes from what was read, or `limit` is over. A watch that fails or says nothing
    /// costs no more than the wait: whoever calls this reads again in any case.
    pub(super) async fn changed(&self, versions: &[(Object, Option<String>)], limit: Duration) {
        let watches = versions.iter().map(|(object, version)| Box::pin(self.watch(*object, version, limit)));
        // The result is a time-out or not: both are a reason to look.
        let _ = tokio::time::timeout(limit, select_all(watches)).await;
    }

    async fn watch(&self, object: Object, version: &Option<String>, limit: Duration) {
        if self.event(object, version.as_deref().unwrap_or_default(), limit).await.is_none() {
            std::future::pending::<()>().await;
        }
    }

    /// Waits for a change. There are no bookmarks, so the first event is one, or says what is wrong.
    async fn event(&self, object: Object, version: &str, limit: Duration) -> Option<()> {
        let seconds = limit.as_secs().clamp(1, 290);
        let path = format!(
            "{}?watch=true&fieldSelector=metadata.name%3D{}&timeoutSeconds={seconds}&resourceVersion={version}",
            self.collection(object),
            self.name(object)
        );
        let request = Request::get(path).header(ACCEPT, METADATA).body(Body::empty()).ok()?;
        let answer = self.client.send(request).await.ok()?;
        if answer.status() != StatusCode::OK {
            return None;
        }
        let (mut body, mut read) = (answer.into_body(), Vec::new());
        let line = loop {
            if let Some(end) = read.iter().position(|byte| *byte == b'\n') {
                break read.get(..end)?;
            }
            let data = body.frame().await?.ok()?.into_data().unwrap_or_default();
            if read.len() + data.len() > MAX_EVENT {
                return None;
            }
            read.extend_from_slice(&data);
        };
        let event: Event<'_> = serde_json::from_slice(line).ok()?;
        matches!(event.kind, "ADDED" | "MODIFIED" | "DELETED").then_some(())
    }

    fn write(
        &self,
        method: Method,
        object: Object,
        kind: &str,
        value: &Value,
    ) -> http::Result<Request<Body>> {
        Request::builder()
            .method(method)
            .uri(format!("{}?fieldManager={MANAGER}", self.path(object)))
            .header(CONTENT_TYPE, kind)
            .body(value.to_string().into_bytes().into())
    }

    async fn send(
        &self,
        verb: &'static str,
        object: Object,
        request: http::Result<Request<Body>>,
    ) -> Result<Answer, Failure> {
        let unreachable = |reason: &str| Failure::Unreachable(reason.to_owned());
        let request = request.map_err(|error| unreachable(&cause(&error)))?;
        let exchange = async {
            let response = self.client.send(request).await?;
            let (head, body) = response.into_parts();
            Ok::<_, BoxError>((head, body.collect().await?.to_bytes()))
        };
        let (head, body) = tokio::time::timeout(TIME_LIMIT, exchange)
            .await
            .map_err(|_| unreachable(&format!("no answer within {TIME_LIMIT:?}")))?
            .map_err(|error| unreachable(&cause(&*error)))?;
        if head.status.is_success() {
            let at = head.headers.get(DATE).and_then(|date| {
                let date = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(date.as_bytes());
                date.ok().map(jiff::Timestamp::as_second)
            });
            let object = serde_json::from_slice(&body);
            return object
                .map(|object| Answer { object, at })
                .map_err(|_| unreachable("the answer is no JSON"));
        }
        // A Status; a proxy's page is of no use to anybody.
        let status: Option<Value> = serde_json::from_slice(&body).ok();
        let message = status.as_ref().and_then(|status| status.get("message")).and_then(Value::as_str);
        let harmless = |c: char| if c.is_control() { '?' } else { c };
        let message: String = message.unwrap_or("no reason given").chars().map(harmless).take(300).collect();
        Err(match head.status.as_u16() {
            403 => Failure::Forbidden(message, verb, resource(object), self.name(object).to_owned()),
            404 => Failure::NotThere,
            409 => Failure::Conflict,
            status => Failure::Status(status, message),
        })
    }

    fn path(&self, object: Object) -> String {
        format!("{}/{}", self.collection(object), self.name(object))
    }

    fn collection(&self, object: Object) -> String {
        let resource = resource(object);
        match object {
            Object::Secret => format!("/api/v1/namespaces/{}/{resource}", self.names.namespace),
            Object::Mutating | Object::Validating => {
                format!("/apis/admissionregistration.k8s.io/v1/{resource}")
            }
        }
    }

    fn name(&self, object: Object) -> &str {
        if object == Object::Secret { &self.names.secret } else { &self.names.configuration }
    }

    /// The object as messages name it.
    pub(super) fn describe(&self, object: Object) -> String {
        let name = self.name(object);
        match object {
            Object::Secret => format!("Secret `{}/{name}`", self.names.namespace),
            Object::Mutating => format!("MutatingWebhookConfiguration `{name}`"),
            Object::Validating => format!("ValidatingWebhookConfiguration `{name}`"),
        }
    }
}

fn resource(object: Object) -> &'static str {
    match object {
        Object::Secret => "secrets",
        Object::Mutating => "mutatingwebhookconfigurations",
        Object::Validating => "validatingwebhookconfigurations",
    }
}

#[cfg(test)]
mod tests {
    use hyper::http::Response;

    use super::*;

    fn names() -> Names {
        let [namespace, service, secret, configuration] =
            ["eks", "service", "secret", "hook"].map(str::to_owned);
        Names { namespace, service, secret, configuration }
    }

    /// What comes of an answer, and what was asked for.
    async fn answered(object: Object, answer: Response<Body>) -> (Result<Answer, Failure>, String) {
        let (service, mut server) = tower_test::mock::pair::<Request<Body>, Response<Body>>();
        let cluster = Cluster::new(Client::new(service), names());
        let serve = async {
            let (request, send) = server.next_request().await.unwrap();
            send.send_response(answer);
            format!("{} {}", request.method(), request.uri().path())
        };
        futures::join!(cluster.read(object), serve)
    }

    fn response(status: u16, body: &'static str) -> Response<Body> {
        Response::builder().status(status).body(Body::from(body.as_bytes().to_vec())).unwrap()
    }

    #[tokio::test]
    async fn the_time_is_the_api_servers() {
        for (date, at) in [
            ("Sat, 21 Nov 2026 18:00:44 GMT", Some(1_795_284_044)),
            ("21 Nov 2026", None),
            ("tomorrow", None),
        ] {
            let mut response = response(200, "{\"a\":1}");
            response.headers_mut().insert(DATE, date.parse().unwrap());
            let (answer, asked) = answered(Object::Mutating, response).await;
            let answer = answer.unwrap();
            assert_eq!((answer.at, answer.object), (at, serde_json::json!({"a": 1})), "{date}");
            let path = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/hook";
            assert_eq!(asked, format!("GET {path}"));
        }
    }

    #[tokio::test]
    async fn failures_say_what_to_do() {
        let forbidden =
            r#"{"kind":"Status","message":"secrets \"secret\" is forbidden: User \"u\u001b\" cannot get"}"#;
        for (status, body, expected) in [
            (
                403,
                forbidden,
                "secrets \"secret\" is forbidden: User \"u?\" cannot get; grant the webhook's ServiceAccount the verb \
                 `get` on `secrets` for the name `secret`",
            ),
            (404, "{}", "it is not there"),
            (409, "{}", "somebody else has changed it"),
            (500, r#"{"message":"etcd is away"}"#, "the API server answers 500: etcd is away"),
            (502, "<html>a proxy</html>", "the API server answers 502: no reason given"),
            (302, "", "the API server answers 302: no reason given"),
            (200, "{\"half\":", "the API server does not answer: the answer is no JSON"),
        ] {
            let (answer, asked) = answered(Object::Secret, response(status, body)).await;
            assert_eq!(answer.unwrap_err().to_string(), expected, "{status}");
            assert_eq!(asked, "GET /api/v1/namespaces/eks/secrets/secret");
        }
    }
}
