//! Requests without a network: paths, methods, types, sizes, and what is no review.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{self, StreamExt as _};
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Body, Frame};
use hyper::{Request, Response};
use serde_json::{Value, json};
use tokio::time::Instant;
use webhook::debug::Debug;
use webhook::health::Health;
use webhook::metrics::RequestLabels;
use webhook::router::{Holder, Router, Serves};
use webhook::shutdown::Phase;

use crate::serving::{Answered, Webhook, api_server, post};

const MIB: usize = 1 << 20;

/// A webhook that gives one role to everybody, and needs no API server.
fn webhook() -> Webhook {
    let settings =
        r#"{"serviceAccountAnnotations":false,"mapping":{"*/*":"arn:aws:iam::111122223333:role/api"}}"#;
    let (client, _) = api_server(Box::new(|path| panic!("nobody asks for {path}")));
    Webhook::new(settings, client)
}

async fn send<B: Body<Data = Bytes>>(webhook: &Webhook, request: Request<B>) -> Answered {
    let (parts, body) = webhook.router.route(request, &Holder::default()).await.into_parts();
    Response::from_parts(parts, body.collect().await.unwrap().to_bytes())
}

/// A pod of service account `pay/api`, as a review.
fn review() -> Value {
    json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "u", "namespace": "pay", "operation": "CREATE",
            "resource": { "group": "", "version": "v1", "resource": "pods" },
            "object": {
                "metadata": { "name": "api-0", "namespace": "pay" },
                "spec": { "serviceAccountName": "api", "containers": [{ "name": "app" }] },
            },
        },
    })
}

fn status(code: u16, reason: &str, message: &str) -> Value {
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code,
    })
}

#[tokio::test]
async fn only_what_there_is_is_answered() {
    let webhook = webhook();
    let json = "application/json";
    for (verb, path, media_type, code, allow) in [
        ("POST", "/", json, 404, None),
        ("POST", "/mutate/", json, 404, None),
        ("POST", "//mutate", json, 404, None),
        ("POST", "/Mutate", json, 404, None),
        ("POST", "/mutate%2f", json, 404, None),
        ("GET", "/debug/settings", "", 404, None),
        ("GET", "/mutate", "", 405, Some("POST")),
        ("PUT", "/validate", json, 405, Some("POST")),
        ("BREW", "/mutate", json, 405, Some("POST")),
        ("POST", "/healthz", json, 405, Some("GET, HEAD")),
        ("POST", "/readyz", json, 405, Some("GET, HEAD")),
        ("DELETE", "/metrics", "", 405, Some("GET, HEAD")),
        ("POST", "/mutate", "", 415, None),
        ("POST", "/mutate", "text/json", 415, None),
        ("POST", "/mutate", "application/json5", 415, None),
        ("POST", "/mutate", "\u{e9}", 415, None),
    ] {
        let expected = match code {
            404 => status(404, "NotFound", "there is nothing at this path"),
            405 => status(405, "MethodNotAllowed", "this path does not take this method"),
            _ => status(415, "UnsupportedMediaType", "expected the media type `application/json`"),
        };
        let mut request = Request::builder().method(verb).uri(path);
        if !media_type.is_empty() {
            request = request.header("content-type", media_type.as_bytes());
        }
        let answered = send(&webhook, request.body(Full::<Bytes>::default()).unwrap()).await;
        let what = format!("{verb} {path} {media_type}");
        assert_eq!(serde_json::from_slice::<Value>(answered.body()).unwrap(), expected, "{what}");
        assert_eq!(answered.status(), code, "{what}");
        assert_eq!(answered.headers()["content-type"], "application/json");
        assert_eq!(answered.headers().get("allow").map(|allow| allow.to_str().unwrap()), allow, "{what}");
    }
}

#[tokio::test]
async fn the_media_type_may_have_parameters_and_any_case() {
    let webhook = webhook();
    for media_type in ["application/json", "application/json; charset=utf-8", "APPLICATION/Json ;a=\"b;c\""] {
        let mut request = post("/mutate", review().to_string());
        request.headers_mut().insert("content-type", media_type.parse().unwrap());
        assert_eq!(send(&webhook, request).await.status(), 200, "{media_type}");
    }
}

#[tokio::test]
async fn what_is_no_review_is_a_failed_call() {
    let webhook = webhook();
    let with = |change: fn(&mut Value)| {
        let mut review = review();
        change(&mut review);
        review.to_string().into_bytes()
    };
    let no_review = "expected an AdmissionReview with a `request` that has a `uid`";
    let no_request = "expected an AdmissionReview with a `request`, found none";
    let versions = "expected `apiVersion` to be `admission.k8s.io/v1` or `admission.k8s.io/v1beta1`";
    let cases: [(Vec<u8>, &str); 13] = [
        (Vec::new(), no_review),
        (b"null".to_vec(), no_review),
        (b"[]".to_vec(), no_review),
        (b"{}".to_vec(), no_request),
        (b"{\"request\":{\"uid\":\"u\"}".to_vec(), no_review),
        (b"{\"request\":{\"uid\":\"u\"}}}".to_vec(), no_review),
        (b"{\"request\":{\"uid\":\"\xff\"}}".to_vec(), "expected an AdmissionReview in UTF-8"),
        (with(|review| review["request"] = Value::Null), no_request),
        (with(|review| review["request"]["uid"] = "".into()), "expected `request.uid`, found none"),
        (with(|review| review["request"]["uid"] = Value::Null), "expected `request.uid`, found none"),
        (with(|review| review["request"]["uid"] = 7.into()), no_review),
        (with(|review| review["kind"] = "Pod".into()), "expected `kind` to be `AdmissionReview`"),
        (with(|review| review["apiVersion"] = "admission.k8s.io/v2".into()), versions),
    ];
    for path in ["/mutate", "/validate"] {
        for (body, message) in &cases {
            let shown = String::from_utf8_lossy(body);
            let answered = send(&webhook, post(path, body.clone())).await;
            assert_eq!(answered.status(), 400, "{shown}");
            let found: Value = serde_json::from_slice(answered.body()).unwrap();
            assert_eq!(found, status(400, "BadRequest", message), "{shown}");
        }
    }
}

#[tokio::test]
async fn a_review_whose_request_cannot_be_read_is_refused() {
    let webhook = webhook();
    let nested = format!("{}{}", "[".repeat(100), "]".repeat(100));
    let cases = [
        (
            nested.as_str(),
            "the request could not be read: `request.object`: nested too deep: expected at most 64 levels",
        ),
        (r#"{"spec":[]}"#, "the pod could not be read: `spec`: expected an object, found an array"),
        (
            r#"{"spec":{},"spec":{}}"#,
            "the pod could not be read: `spec`: a key stands there twice, expected once",
        ),
        (r#""\ud800""#, "the pod could not be read: expected an object, found a string"),
    ];
    for version in ["admission.k8s.io/v1", "admission.k8s.io/v1beta1"] {
        for (object, message) in cases {
            let mut review = review();
            review["apiVersion"] = version.into();
            review["request"]["object"] = "OBJECT".into();
            let body = review.to_string().replace("\"OBJECT\"", object);
            let answered = send(&webhook, post("/mutate", body)).await;
            assert_eq!(answered.status(), 200, "{object}");
            let found: Value = serde_json::from_slice(answered.body()).unwrap();
            let expected = json!({
                "apiVersion": version, "kind": "AdmissionReview",
                "response": {
                    "uid": "u", "allowed": false,
                    "status": { "code": 400, "message": message, "reason": "BadRequest" },
                },
            });
            assert_eq!(found, expected, "{object}");
        }
    }
}

#[tokio::test]
async fn a_body_of_eight_mebibytes_is_read_and_a_longer_one_is_not() {
    let webhook = webhook();
    let body = |length: usize| {
        let review = review().to_string();
        review.clone() + &" ".repeat(length - review.len())
    };
    let too_large = status(413, "RequestEntityTooLarge", "the body is too large: expected at most 8 MiB");
    assert_eq!(send(&webhook, post("/mutate", body(8 * MIB))).await.status(), 200);
    let answered = send(&webhook, post("/mutate", body(8 * MIB + 1))).await;
    assert_eq!(answered.status(), 413);
    assert_eq!(serde_json::from_slice::<Value>(answered.body()).unwrap(), too_large);
    // The same in pieces, which do not say how many there will be.
    for (pieces, code) in [(8, 200), (9, 413)] {
        let text = Bytes::from(body(pieces * MIB));
        let frames = (0..pieces).map(move |i| text.slice(i * MIB..(i + 1) * MIB));
        let request = post("/mutate", "").map(|_| StreamBody::new(stream::iter(frames.map(frame))));
        assert_eq!(send(&webhook, request).await.status(), code, "{pieces}");
    }
    assert_eq!(webhook.metrics.body_bytes.get(), 0);
}

fn frame(data: Bytes) -> Result<Frame<Bytes>, Infallible> {
    Ok(Frame::data(data))
}

/// A request that says it will send so much more than it does.
fn stalled(data: Bytes) -> Request<impl Body<Data = Bytes>> {
    let frames = stream::iter([frame(data)]).chain(stream::pending());
    post("/mutate", "").map(|_| StreamBody::new(frames))
}

#[tokio::test(start_paused = true)]
async fn a_body_has_ten_seconds() {
    let webhook = webhook();
    let start = Instant::now();
    let answered = send(&webhook, stalled("{".into())).await;
    assert_eq!((answered.status().as_u16(), start.elapsed().as_secs()), (408, 10));
    let late = status(408, "Timeout", "the body took too long: expected it within 10 s");
    assert_eq!(serde_json::from_slice::<Value>(answered.body()).unwrap(), late);
    assert_eq!(webhook.metrics.body_bytes.get(), 0);
}

#[tokio::test(start_paused = true)]
async fn large_bodies_that_stall_give_way() {
    let webhook = webhook();
    let review = review().to_string();
    let large = Bytes::from(vec![b' '; 8 * MIB]);
    let (first, second) = (send(&webhook, stalled(large.clone())), send(&webhook, stalled(large.slice(1..))));
    let others = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let held = i64::try_from(16 * MIB - 1).unwrap();
        assert_eq!(webhook.metrics.body_bytes.get(), held, "as much as there may be, but for one byte");
        assert_eq!(send(&webhook, post("/mutate", review.clone())).await.status(), 200);
        assert_eq!(webhook.metrics.body_bytes.get(), held - i64::try_from(8 * MIB).unwrap());
    };
    let (first, second, ()) = tokio::join!(first, second, others);
    // The larger one gave way to the review; the other one had its time.
    assert_eq!((first.status().as_u16(), second.status().as_u16()), (429, 408));
    assert_eq!(first.headers()["retry-after"], "1");
    let message = "too much at once: expected bodies and answers of at most 16 MiB together";
    assert_eq!(
        serde_json::from_slice::<Value>(first.body()).unwrap(),
        status(429, "TooManyRequests", message)
    );
    assert_eq!(webhook.metrics.refused_connections.get_or_create(&"bodies".into()).get(), 1);
    assert_eq!(webhook.metrics.body_bytes.get(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_held_is_given_back_when_the_caller_leaves() {
    let webhook = webhook();
    for _ in 0..1000 {
        let request = send(&webhook, stalled(Bytes::from(vec![b' '; MIB])));
        tokio::time::timeout(Duration::from_millis(10), request).await.unwrap_err();
        assert_eq!(webhook.metrics.body_bytes.get(), 0);
    }
}

#[tokio::test]
async fn readiness_says_what_is_missing() {
    let webhook = webhook();
    let get = |path: &str| Request::get(path).body(Full::<Bytes>::default()).unwrap();
    let certificate = webhook.readiness.pending("certificate");
    let accounts = webhook.readiness.pending("service accounts");
    let answered = send(&webhook, get("/readyz")).await;
    assert_eq!(
        (answered.status().as_u16(), answered.body().as_ref()),
        (503, b"not ready, still missing: certificate, service accounts\n".as_slice())
    );
    certificate.ready();
    accounts.ready();
    let answered = send(&webhook, get("/readyz?verbose")).await;
    assert_eq!((answered.status().as_u16(), answered.body().as_ref()), (200, b"ok\n".as_slice()));
    webhook.shutdown.enter(Phase::Draining);
    let answered = send(&webhook, get("/readyz")).await;
    assert_eq!(
        (answered.status().as_u16(), answered.body().as_ref()),
        (503, b"not ready: shutting down\n".as_slice())
    );
    let answered = send(&webhook, get("/healthz")).await;
    assert_eq!((answered.status().as_u16(), answered.body().as_ref()), (200, b"ok\n".as_slice()));
}

#[tokio::test]
async fn what_is_held_is_shown_to_whoever_debugs() {
    let webhook = webhook();
    let debug = Debug::new(webhook.configuration.clone(), webhook.facts.clone());
    let health = Health::new(webhook.readiness.clone(), webhook.phases.clone(), &webhook.metrics);
    let router = Router::new(Serves::Debug(debug), health.into(), webhook.metrics.clone());
    let webhook = Webhook { router, ..webhook };
    let get = |path: &str| Request::get(path).body(Full::<Bytes>::default()).unwrap();
    let settings = json!({
        "mode": "mutate", "annotationPrefix": "eks.amazonaws.com", "serviceAccountAnnotations": false,
        "mappingConfigMap": null, "containerCredentials": false, "tokenAudience": "sts.amazonaws.com",
        "tokenMountPath": "/var/run/secrets/eks.amazonaws.com/serviceaccount",
        "tokenVolumeName": "aws-iam-token", "stsRegionalEndpoints": false, "stsEndpointUrl": null,
        "allowedRoles": false, "allowedAudiences": null, "annotateServiceAccounts": false,
    });
    let names = "expected `?namespace=…&name=…`";
    for (path, code, expected) in [
        ("/debug/settings", 200, settings),
        ("/debug/mapping", 200, json!({ "settingsBytes": 44, "configMapBytes": null })),
        (
            "/debug/service-account?name=api&namespace=pay",
            200,
            json!({ "namespace": "pay", "name": "api", "held": "missing", "annotations": {} }),
        ),
        ("/debug/service-account?name=api", 400, status(400, "BadRequest", names)),
        ("/debug/cache/clear", 404, status(404, "NotFound", "there is nothing at this path")),
        ("/mutate", 404, status(404, "NotFound", "there is nothing at this path")),
    ] {
        let answered = send(&webhook, get(path)).await;
        assert_eq!(answered.status(), code, "{path}");
        assert_eq!(serde_json::from_slice::<Value>(answered.body()).unwrap(), expected, "{path}");
    }
    let listener = webhook::debug::bind(0).await.unwrap();
    assert!(listener.local_addr().unwrap().ip().is_loopback());
}

#[tokio::test]
async fn what_is_counted_is_from_closed_sets() {
    let webhook = webhook();
    for (verb, path) in
        [("POST", "/mutate"), ("BREW", "/mutate"), ("GET", "/\u{1b}[31m"), ("GET", "/a"), ("GET", "/b")]
    {
        let uri = path.replace('\u{1b}', "%1b").replace('[', "%5b");
        let request = Request::builder().method(verb).uri(uri).header("content-type", "application/json");
        send(&webhook, request.body(Full::from(review().to_string())).unwrap()).await;
    }
    let count = |verb, path, code| {
        webhook.metrics.http_requests.get_or_create(&RequestLabels { verb, path, code }).get()
    };
    assert_eq!(count("POST", "/mutate", 200), 1);
    assert_eq!(count("other", "/mutate", 405), 1);
    assert_eq!(count("GET", "other", 404), 3);
    let request = Request::get("/metrics").body(Full::<Bytes>::default()).unwrap();
    let answered = send(&webhook, request).await;
    assert_eq!(answered.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    let text = std::str::from_utf8(answered.body()).unwrap();
    for line in [
        r#"http_request_count{verb="POST",path="/mutate",code="200"} 1"#,
        r#"pod_identity_webhook_pod_count{method="sts_web_identity"} 1"#,
        "pod_identity_webhook_missing_sa_count 0",
        "pod_identity_webhook_used 1",
        r#"pod_identity_webhook_decisions_total{outcome="changed",reason="mapping"} 1"#,
        r#"pod_identity_webhook_request_duration_seconds_count{path="/mutate"} 1"#,
        "# TYPE process_cpu_seconds_total counter",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
}
