//! Requests on sockets: what TLS and HTTP/1.1 allow, and what they do not.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use webhook::server::Limits;
use webhook::shutdown::Phase;

use crate::serving::{Served, Webhook, api_server, post};

/// A webhook that does what the mapping says for everybody, on a socket.
async fn serve() -> Served {
    let settings = r#"{"serviceAccountAnnotations":false}"#;
    let (client, _) = api_server(Box::new(|path| panic!("nobody asks for {path}")));
    Webhook::new(settings, client).serve(Limits::ADMISSION).await
}

fn review(uid: &str) -> String {
    json!({ "request": { "uid": uid } }).to_string()
}

fn answer(uid: &str) -> String {
    format!(
        r#"{{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":{{"uid":"{uid}","allowed":true}}}}"#
    )
}

/// Everything that is said until the connection is closed; a reset is a close.
async fn rest(mut stream: impl AsyncRead + Unpin) -> String {
    let mut said = Vec::new();
    while matches!(stream.read_buf(&mut said).await, Ok(1..)) {}
    String::from_utf8(said).unwrap()
}

fn head(length: &str) -> String {
    format!("POST /mutate HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n{length}\r\n")
}

/// What is said to these bytes, until the connection is closed.
async fn said_to(served: &Served, sent: &str) -> String {
    let mut stream = served.connect().await;
    stream.write_all(sent.as_bytes()).await.unwrap();
    rest(stream).await
}

fn codes(said: &str) -> Vec<u16> {
    said.split("HTTP/1.").skip(1).map(|answer| answer.get(2..5).unwrap().parse().unwrap()).collect()
}

#[tokio::test]
async fn what_is_no_request_is_refused_and_the_connection_closed() {
    let served = serve().await;
    let review = review("u");
    let length = review.len();
    let both = format!("content-length: {length}\r\ncontent-length: {}\r\n", length + 1);
    for (what, sent) in [
        ("garbage", "\0\u{1}\u{2}\r\n\r\n".to_owned()),
        ("two lengths", head(&both) + &review + "x"),
        ("a length that is none", head("content-length: 1e3\r\n") + &review),
        ("a negative length", head("content-length: -1\r\n") + &review),
        ("a size that is none", head("transfer-encoding: chunked\r\n") + "zz\r\n" + &review),
        ("a length beside chunks", head("content-length: 5\r\ntransfer-encoding: chunked\r\n") + "0\r\n\r\n"),
        ("a coding that is unknown", head("transfer-encoding: gzip\r\n") + &review),
        ("a header without a name", head(": x\r\n")),
    ] {
        assert_eq!(codes(&said_to(&served, &sent).await), [400], "{what}");
    }
    let http2 = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    assert_eq!(said_to(&served, http2).await, "", "HTTP/2 is not spoken at all");
    served.stop().await;
}

#[tokio::test]
async fn a_head_that_is_too_long_is_refused() {
    let served = serve().await;
    let long = head(&format!("x: {}\r\n", "x".repeat(20_000)));
    assert_eq!(codes(&said_to(&served, &long).await), [431]);
    let many = head(&"x: x\r\n".repeat(1000));
    assert_eq!(codes(&said_to(&served, &many).await), [431]);
    served.stop().await;
}

#[tokio::test]
async fn a_body_that_says_it_is_too_large_is_refused_unread() {
    let served = serve().await;
    let said = said_to(&served, &head("content-length: 8388609\r\n")).await;
    assert_eq!(codes(&said), [413]);
    served.stop().await;
}

#[tokio::test]
async fn chunks_and_pipelined_requests_are_answered_in_order() {
    let served = serve().await;
    let (one, two, three) = (review("one"), review("two"), review("three"));
    let (begins, ends) = two.split_at(9);
    let sent = head(&format!("content-length: {}\r\n", one.len()))
        + &one
        + &head("transfer-encoding: chunked\r\n")
        + &format!("{:x}\r\n{}\r\n{:x}\r\n{}\r\n0\r\n\r\n", begins.len(), begins, ends.len(), ends)
        + &head(&format!("content-length: {}\r\nconnection: close\r\n", three.len()))
        + &three;
    let said = said_to(&served, &sent).await;
    assert_eq!(codes(&said), [200, 200, 200]);
    let bodies: Vec<&str> =
        said.split("HTTP/1.").skip(1).map(|answer| answer.split_once("\r\n\r\n").unwrap().1).collect();
    assert_eq!(bodies, [answer("one"), answer("two"), answer("three")]);
    served.stop().await;
}

#[tokio::test]
async fn old_clients_are_answered_and_closed() {
    let served = serve().await;
    let said = said_to(&served, "GET /healthz HTTP/1.0\r\n\r\n").await;
    assert_eq!(codes(&said), [200]);
    assert!(said.ends_with("\r\n\r\nok\n"), "{said}");
    served.stop().await;
}

#[tokio::test]
async fn heads_are_asked_for_without_a_body() {
    let served = serve().await;
    let said = said_to(&served, "HEAD /healthz HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
    assert_eq!(codes(&said), [200]);
    assert!(said.contains("\r\ncontent-length: 3\r\n") && said.ends_with("\r\n\r\n"), "{said}");
    served.stop().await;
}

#[tokio::test]
async fn a_caller_who_asks_first_is_told_to_go_on() {
    let served = serve().await;
    let review = review("u");
    let mut stream = served.connect().await;
    let asks =
        head(&format!("content-length: {}\r\nexpect: 100-continue\r\nconnection: close\r\n", review.len()));
    stream.write_all(asks.as_bytes()).await.unwrap();
    let mut told = [0; 25];
    stream.read_exact(&mut told).await.unwrap();
    assert_eq!(&told, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(review.as_bytes()).await.unwrap();
    let said = rest(stream).await;
    assert_eq!(codes(&said), [200]);
    served.stop().await;
}

#[tokio::test]
async fn what_comes_before_tls_does_no_harm() {
    let served = serve().await;
    for garbage in [&b"GET /healthz HTTP/1.1\r\n\r\n"[..], &[0; 100], &[0x16, 3, 1, 0xff, 0xff], b"\x80"] {
        let mut stream = TcpStream::connect(served.address).await.unwrap();
        stream.write_all(garbage).await.unwrap();
        stream.shutdown().await.unwrap();
        assert!(!rest_of_bytes(stream).await.starts_with(b"HTTP"));
    }
    let mut client = served.client().await;
    assert_eq!(client.send(post("/mutate", review("u"))).await.unwrap().status(), 200);
    served.stop().await;
}

async fn rest_of_bytes(mut stream: TcpStream) -> Vec<u8> {
    let mut said = Vec::new();
    while matches!(stream.read_buf(&mut said).await, Ok(1..)) {}
    said
}

#[tokio::test]
async fn a_caller_who_leaves_in_the_middle_leaves_nothing_behind() {
    let served = serve().await;
    let review = review("u");
    let whole = head(&format!("content-length: {}\r\n", review.len())) + &review;
    for end in 0..whole.len() {
        let mut stream = served.connect().await;
        stream.write_all(&whole.as_bytes()[..end]).await.unwrap();
        drop(stream);
    }
    let mut client = served.client().await;
    assert_eq!(client.send(post("/mutate", review)).await.unwrap().status(), 200);
    drop(client);
    let metrics = served.metrics.clone();
    served.stop().await;
    assert_eq!((metrics.connections.get(), metrics.body_bytes.get()), (0, 0));
}

// One thread more, for the API server waits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_is_announced_and_nothing_in_flight_is_lost() {
    // An API server that answers when it is told to.
    let (answers, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let (client, asked) = api_server(Box::new(move |_| {
        wait.lock().unwrap().recv().unwrap();
        Some((
            404,
            json!({ "kind": "Status", "reason": "NotFound", "details": { "name": "api" } }).to_string(),
        ))
    }));
    let served = Webhook::new("{}", client).serve(Limits::ADMISSION).await;
    let pod = json!({
        "request": {
            "uid": "u", "namespace": "pay", "operation": "CREATE", "resource": { "resource": "pods" },
            "object": { "spec": { "serviceAccountName": "api", "containers": [{ "name": "app" }] } },
        },
    });
    let (mut early, mut busy) = (served.client().await, served.client().await);
    let kept = early.send(post("/mutate", review("u"))).await.unwrap();
    assert_eq!(kept.headers().get("connection"), None);

    let in_flight = tokio::spawn(async move { busy.send(post("/mutate", pod.to_string())).await });
    while asked.lock().unwrap().is_empty() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    served.shutdown.enter(Phase::Draining);
    let last = early.send(post("/mutate", review("u"))).await.unwrap();
    assert_eq!(last.headers()["connection"], "close");
    assert!(early.send(post("/mutate", review("u"))).await.is_err(), "the connection is closed");
    let mut late = served.client().await;
    assert_eq!(late.send(post("/mutate", review("u"))).await.unwrap().status(), 200);

    let idle = served.connect().await;
    let address = served.address;
    let stopped = tokio::spawn(served.stop());
    assert_eq!(rest(idle).await, "", "an idle connection is closed");
    assert!(TcpStream::connect(address).await.is_err(), "nobody listens");
    answers.send(()).unwrap();
    let answered = in_flight.await.unwrap().unwrap();
    assert_eq!(answered.status(), 200);
    assert_eq!(serde_json::from_slice::<Value>(answered.body()).unwrap()["response"]["allowed"], true);
    stopped.await.unwrap();
}
