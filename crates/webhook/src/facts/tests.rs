//! Facts before an API server that is played by the test, on a clock that only moves when everybody waits.

use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use futures::channel::mpsc::{UnboundedSender, unbounded};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::Frame;
use hyper::{Request, Response};
use prometheus_client::encoding::text::encode;
use serde_json::{Value, json};
use tower_test::mock::{Handle, SendResponse, pair};

use super::*;
use crate::kubernetes::Body;
use crate::readiness::Readiness;

mod config_map;
mod live;
mod watch;

const PREFIX: &str = "eks.amazonaws.com";
const ROLE: &str = "arn:aws:iam::111122223333:role/x";

type AnswerBody = UnsyncBoxBody<Bytes, std::io::Error>;

/// The API server.
struct ApiServer(Handle<Request<Body>, Response<AnswerBody>>);

/// A request that is to be answered.
struct Asked {
    path: String,
    respond: SendResponse<Response<AnswerBody>>,
}

/// An answer that is still being given. Dropped, it ends well.
struct Stream(UnboundedSender<Result<Frame<Bytes>, std::io::Error>>);

fn client() -> (Client, ApiServer) {
    let (service, handle) = pair();
    (Client::new(service), ApiServer(handle))
}

fn facts_with(live: LiveReads) -> (Facts, ApiServer, Metrics) {
    let (client, server) = client();
    let metrics = Metrics::default();
    (Facts::new(client, PREFIX, live, metrics.clone()), server, metrics)
}

fn facts() -> (Facts, ApiServer, Metrics) {
    facts_with(LiveReads { grace_period: Duration::from_secs(1), limit: 50 })
}

impl ApiServer {
    async fn asked(&mut self) -> Asked {
        let (request, respond) = self.0.next_request().await.expect("the client is there");
        assert_eq!(request.method(), "GET");
        Asked { path: request.uri().to_string(), respond }
    }

    /// Answers the next request, which has to be for this.
    async fn expect(&mut self, path: &str, status: u16, body: impl ToString) {
        let asked = self.asked().await;
        assert_eq!(asked.path, path);
        asked.answer(status, body);
    }

    /// Whether nobody asks for so long.
    async fn is_silent(&mut self, for_so_long: Duration) -> bool {
        tokio::time::timeout(for_so_long, self.0.next_request()).await.is_err()
    }
}

impl Asked {
    fn answer(self, status: u16, body: impl ToString) {
        let body = Full::new(Bytes::from(body.to_string())).map_err(|never| match never {}).boxed_unsync();
        self.respond.send_response(Response::builder().status(status).body(body).unwrap());
    }

    fn stream(self) -> Stream {
        let (sender, frames) = unbounded();
        self.respond.send_response(Response::new(StreamBody::new(frames.boxed()).boxed_unsync()));
        Stream(sender)
    }
}

impl Stream {
    fn send(&self, text: impl ToString) {
        // Whoever asked may have given up.
        let _ = self.0.unbounded_send(Ok(Frame::data(Bytes::from(text.to_string()))));
    }

    fn event(&self, kind: &str, object: &Value) {
        self.send(format!("{}\n", json!({"type": kind, "object": object})));
    }

    fn break_off(self) {
        let _ = self.0.unbounded_send(Err(std::io::ErrorKind::ConnectionReset.into()));
    }

    fn is_given_up(&self) -> bool {
        self.0.is_closed()
    }
}

fn service_account(name: &str, version: u64, annotations: Value) -> Value {
    json!({
        "kind": "ServiceAccount", "apiVersion": "v1",
        "metadata": {
            "namespace": "shop", "name": name, "resourceVersion": version.to_string(), "annotations": annotations,
        },
    })
}

fn with_role(name: &str, version: u64) -> Value {
    service_account(name, version, json!({"eks.amazonaws.com/role-arn": ROLE, "other": "x"}))
}

fn bare(name: &str, version: u64) -> Value {
    service_account(name, version, json!({"other": "x"}))
}

fn list(version: u64, next: &str, items: &[Value]) -> Value {
    json!({"kind": "List", "metadata": {"resourceVersion": version.to_string(), "continue": next}, "items": items})
}

fn not_found(name: &str) -> Value {
    json!({"kind": "Status", "reason": "NotFound", "code": 404, "details": {"name": name}})
}

fn role() -> Annotations {
    let mut annotations = Annotations::default();
    annotations.push(PREFIX, "role-arn", ROLE);
    annotations
}

/// What a look-up found, to be compared.
fn show(found: Option<Found<Annotations>>) -> String {
    match found {
        None => "what is held stands".to_owned(),
        Some(Found::There(annotations)) => {
            let shown: Vec<String> =
                annotations.iter().map(|(key, value)| format!("{key}={value}")).collect();
            format!("there: {}", shown.join(","))
        }
        Some(Found::NotThere) => "not there".to_owned(),
        Some(Found::Unknown(Unknown { reason, remedy })) => format!("unknown: {reason}; {remedy}"),
    }
}

/// The lines of a metric.
fn metric(metrics: &Metrics, name: &str) -> Vec<String> {
    let mut text = String::new();
    encode(&mut text, &metrics.registry()).unwrap();
    let mut lines: Vec<String> =
        text.lines().filter(|line| line.starts_with(name)).map(str::to_owned).collect();
    lines.sort();
    lines.iter().map(|line| line.trim_start_matches(name).to_owned()).collect()
}
