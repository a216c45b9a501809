use std::future::poll_fn;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use arc_swap::ArcSwap;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream, duplex};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::activity::Activity;
use super::*;
use crate::admission::Admission;
use crate::configuration::Configuration;
use crate::facts::{Facts, LiveReads};
use crate::health::Health;
use crate::readiness::Readiness;
use crate::router::Serves;
use crate::shutdown::Shutdown;

mod on_a_thread;

const NOBODY: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
const REQUEST: &[u8] = b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n";

/// A connection in memory, so that time can stand still.
struct Served {
    stream: DuplexStream,
    tell: oneshot::Sender<()>,
    task: JoinHandle<()>,
    activity: Activity,
    shutdown: Shutdown,
}

/// Serves a stream that holds so many bytes that were not read yet.
fn serve(buffer: usize) -> Served {
    serve_among(buffer, &Turns::new(1))
}

/// The same among those who share these turns. A stream in memory needs none to be read.
fn serve_among(buffer: usize, turns: &Arc<Turns>) -> Served {
    let (shutdown, phases) = Shutdown::new();
    let metrics = Metrics::default();
    let health = Arc::new(Health::new(Readiness::default(), phases.clone(), &metrics));
    let router = Router::new(Serves::Health, health, metrics.clone());
    let (stream, other) = duplex(buffer);
    let (tell, told) = oneshot::channel();
    let (activity, limits) = (Activity::new(), Limits::ADMISSION);
    let turn = Turn::new(turns, NOBODY, activity.clone());
    let connection = Connection { router, limits, phases, activity: activity.clone(), metrics, turn };
    let task = tokio::spawn(connection.serve_http(BufReader::new(other), told));
    Served { stream, tell, task, activity, shutdown }
}

/// Turns that nobody else wants, and one that somebody wants all the time.
fn turns() -> [Arc<Turns>; 2] {
    let [free, wanted] = [Turns::new(1), Turns::new(1)];
    for _ in 0..2 {
        let other = Turn::new(&wanted, NOBODY, Activity::new());
        tokio::spawn(async move {
            loop {
                poll_fn(|cx| other.poll_begin(cx)).await;
                sleep(Duration::from_millis(1)).await;
                other.end();
            }
        });
    }
    [free, wanted]
}

impl Served {
    /// Sends a whole request and reads its answer.
    async fn is_answered(&mut self) -> bool {
        self.stream.write_all(REQUEST).await.is_ok() && self.reads_an_answer().await
    }

    async fn reads_an_answer(&mut self) -> bool {
        let mut answer = Vec::new();
        while !answer.ends_with(b"ok\n") {
            if self.stream.read_buf(&mut answer).await.unwrap() == 0 {
                return false;
            }
        }
        answer.starts_with(b"HTTP/1.1 200 OK\r\n")
    }

    /// How long it stays open from now on.
    async fn closes_after(mut self) -> Duration {
        let start = Instant::now();
        assert_eq!(self.stream.read(&mut [0]).await.unwrap(), 0, "nothing more is said");
        self.task.await.unwrap();
        start.elapsed()
    }
}

/// The timer's resolution is a millisecond, and so is that of what a connection remembers.
fn is_about(found: Duration, seconds: u64) -> bool {
    (Duration::from_millis(seconds * 1000 - 2)..Duration::from_millis(seconds * 1000 + 10)).contains(&found)
}

#[tokio::test(start_paused = true)]
async fn a_connection_may_be_idle_for_three_minutes() {
    let fresh = serve(1024).closes_after().await;
    assert!(is_about(fresh, 180), "{fresh:?}");
    let mut served = serve(1024);
    for _ in 0..3 {
        assert!(served.is_answered().await);
        sleep(Duration::from_secs(179)).await;
    }
    assert!(served.is_answered().await);
    let used = served.closes_after().await;
    assert!(is_about(used, 180), "{used:?}");
}

#[tokio::test(start_paused = true)]
async fn requests_follow_each_other_whether_turns_are_wanted_or_not() {
    for turns in turns() {
        let mut served = serve_among(1024, &turns);
        for _ in 0..3 {
            // Two and a half, and the rest: nothing of the next one is lost.
            let (begin, rest) = REQUEST.split_at(9);
            served.stream.write_all(&[REQUEST, REQUEST, begin].concat()).await.unwrap();
            let mut answers = Vec::new();
            while answers.windows(3).filter(|part| part == b"ok\n").count() < 2 {
                assert_ne!(served.stream.read_buf(&mut answers).await.unwrap(), 0, "{answers:?}");
            }
            served.stream.write_all(rest).await.unwrap();
            assert!(served.reads_an_answer().await);
        }
        let used = served.closes_after().await;
        assert!(is_about(used, 180), "{used:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn many_requests_at_once_are_all_answered_whether_turns_are_wanted_or_not() {
    for turns in turns() {
        const COUNT: usize = 2000;
        let served = serve_among(1 << 20, &turns);
        let (mut answers, mut requests) = tokio::io::split(served.stream);
        requests.write_all(&REQUEST.repeat(COUNT)).await.unwrap();
        let mut text = Vec::new();
        while text.windows(3).filter(|part| part == b"ok\n").count() < COUNT {
            assert_ne!(answers.read_buf(&mut text).await.unwrap(), 0, "{} bytes", text.len());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_head_has_five_seconds_from_its_first_byte() {
    let mut served = serve(1024);
    for _ in 0..2 {
        sleep(Duration::from_secs(100)).await;
        served.stream.write_all(&REQUEST[..1]).await.unwrap();
        sleep(Duration::from_secs(4)).await;
        served.stream.write_all(&REQUEST[1..]).await.unwrap();
        assert!(served.reads_an_answer().await);
    }
    served.stream.write_all(&REQUEST[..9]).await.unwrap();
    let late = served.closes_after().await;
    assert!(is_about(late, 5), "{late:?}");
}

#[tokio::test(start_paused = true)]
async fn more_bytes_do_not_give_a_head_more_time() {
    let mut served = serve(1024);
    let start = Instant::now();
    for byte in REQUEST {
        if served.stream.write_all(&[*byte]).await.is_err() {
            break;
        }
        sleep(Duration::from_secs(1)).await;
    }
    served.task.await.unwrap();
    assert!(start.elapsed() < Duration::from_secs(7), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn whoever_reads_nothing_is_dropped_after_ten_seconds() {
    let mut served = serve(64);
    served.stream.write_all(REQUEST).await.unwrap();
    let start = Instant::now();
    served.task.await.unwrap();
    assert!(is_about(start.elapsed(), 10), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn whoever_reads_slowly_is_given_the_whole_answer() {
    let mut served = serve(8);
    let request = tokio::spawn(async move {
        for part in REQUEST.chunks(8) {
            served.stream.write_all(part).await.unwrap();
        }
        let mut answer = Vec::new();
        while !answer.ends_with(b"ok\n") {
            sleep(Duration::from_secs(9)).await;
            assert_ne!(served.stream.read_buf(&mut answer).await.unwrap(), 0, "{answer:?}");
        }
        sleep(Duration::from_secs(9)).await;
        served.stream
    });
    drop(request.await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_ends_at_once_when_it_is_told_to() {
    for is_used in [false, true] {
        let mut served = serve(1024);
        if is_used {
            assert!(served.is_answered().await);
        }
        let Served { stream, tell, task, shutdown: _shutdown, .. } = served;
        drop(tell);
        timeout(Duration::from_millis(1), task).await.unwrap().unwrap();
        drop(stream);
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_has_begun_is_answered_before_the_end() {
    let mut served = serve(1024);
    served.stream.write_all(&REQUEST[..9]).await.unwrap();
    sleep(Duration::from_secs(1)).await;
    let Served { mut stream, tell, task, shutdown: _shutdown, .. } = served;
    drop(tell);
    sleep(Duration::from_secs(1)).await;
    stream.write_all(&REQUEST[9..]).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains("connection: close\r\n"),
        "{answer}"
    );
    task.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn whoever_is_in_the_middle_of_a_head_gives_way_at_once() {
    let mut served = serve(1024);
    served.stream.write_all(&REQUEST[..9]).await.unwrap();
    sleep(Duration::from_secs(1)).await;
    let Served { stream, tell, task, shutdown: _shutdown, .. } = served;
    tell.send(()).unwrap();
    timeout(Duration::from_millis(1), task).await.unwrap().unwrap();
    drop(stream);
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_the_last_one_when_the_caller_or_the_webhook_wants_to_end() {
    const LAST: &[u8] = b"GET /healthz HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    for (phase, request) in [(Phase::Serving, LAST), (Phase::Draining, REQUEST)] {
        let mut served = serve(1024);
        assert!(served.is_answered().await);
        assert!(!served.activity.answers_last());
        served.shutdown.enter(phase);
        served.stream.write_all(request).await.unwrap();
        assert!(served.reads_an_answer().await);
        assert!(served.activity.answers_last(), "{phase:?}");
        assert_eq!(served.closes_after().await, Duration::ZERO);
    }
}

#[tokio::test]
async fn a_caller_may_take_its_time_before_the_handshake() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    for goes in [false, true] {
        let mut caller = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let mut waiting = pin!(connection::still_waiting(&stream));
        assert!(futures::poll!(waiting.as_mut()).is_pending());
        if goes {
            caller.shutdown().await.unwrap();
        } else {
            caller.write_all(b"what would be a ClientHello").await.unwrap();
        }
        let refused = waiting.await.err().map(|error| error.kind());
        assert_eq!(refused, goes.then_some(io::ErrorKind::ConnectionAborted));
    }
}

#[tokio::test]
async fn no_handshake_is_made_with_a_caller_who_has_gone() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    for has_gone in [false, true] {
        let mut caller = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        caller.write_all(b"what would be a ClientHello").await.unwrap();
        if has_gone {
            caller.shutdown().await.unwrap();
        }
        let (stream, _) = listener.accept().await.unwrap();
        let refused = connection::still_waiting(&stream).await.err().map(|error| error.kind());
        assert_eq!(refused, has_gone.then_some(io::ErrorKind::ConnectionAborted));
    }
}

#[test]
fn handshakes_that_fail_are_counted_unless_nobody_is_there() {
    let metrics = Metrics::default();
    for kind in [
        io::ErrorKind::InvalidData,
        io::ErrorKind::ConnectionAborted,
        io::ErrorKind::UnexpectedEof,
        io::ErrorKind::InvalidData,
    ] {
        connection::handshake_failed(&metrics, &kind.into());
    }
    assert_eq!(metrics.handshake_errors.get(), 2);
}

/// A pod with so many containers that the answer is a hundred times as long as most.
fn large_review() -> Vec<u8> {
    let containers: Vec<_> = (0..1000).map(|i| json!({ "name": format!("c{i}") })).collect();
    let review = json!({
        "request": {
            "uid": "u", "namespace": "pay", "operation": "CREATE", "resource": { "resource": "pods" },
            "object": { "spec": { "serviceAccountName": "api", "containers": containers } },
        },
    })
    .to_string();
    let length = review.len();
    let head = "POST /mutate HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length";
    format!("{head}: {length}\r\n\r\n{review}").into_bytes()
}

#[tokio::test(start_paused = true)]
async fn answers_that_nobody_reads_take_no_more_room_than_there_is() {
    let settings =
        r#"{"serviceAccountAnnotations":false,"mapping":{"*/*":"arn:aws:iam::111122223333:role/api"}}"#;
    let (service, _handle) = tower_test::mock::pair::<
        hyper::Request<crate::kubernetes::Body>,
        hyper::Response<crate::kubernetes::Body>,
    >();
    let metrics = Metrics::default();
    let live = LiveReads { grace_period: Duration::ZERO, limit: 0 };
    let facts =
        Facts::new(crate::kubernetes::Client::new(service), "eks.amazonaws.com", live, metrics.clone());
    let configuration = Arc::new(ArcSwap::from_pointee(Configuration::read(settings.to_owned()).unwrap()));
    let admission = Admission::new(configuration, facts, metrics.clone());
    let (_shutdown, phases) = Shutdown::new();
    let health = Arc::new(Health::new(Readiness::default(), phases.clone(), &metrics));
    let router = Router::new(Serves::Admission(admission), health, metrics.clone());

    let review = large_review();
    let mut callers = Vec::new();
    for _ in 0..40 {
        let (mut stream, other) = duplex(review.len());
        let (tell, told) = oneshot::channel();
        let (router, phases, metrics) = (router.clone(), phases.clone(), metrics.clone());
        let (activity, limits) = (Activity::new(), Limits::ADMISSION);
        let turn = Turn::new(&Turns::new(1), NOBODY, activity.clone());
        let connection = Connection { router, limits, phases, activity, metrics, turn };
        let task = tokio::spawn(connection.serve_http(BufReader::new(other), told));
        stream.write_all(&review).await.unwrap();
        // Its answer has begun, or it was refused: nobody waits for room.
        let mut begun = [0; 12];
        stream.read_exact(&mut begun).await.unwrap();
        assert_eq!(&begun, b"HTTP/1.1 200");
        callers.push((stream, tell, task));
    }
    let held = usize::try_from(metrics.body_bytes.get()).unwrap();
    assert!((crate::router::HELD / 2..=crate::router::HELD).contains(&held), "{held}");
    let ended = callers.iter().filter(|(_, _, task)| task.is_finished()).count();
    let gave_way = metrics.refused_connections.get_or_create(&"bodies".into()).get();
    assert!(ended > 0 && gave_way == ended as u64, "{ended} ended, {gave_way} gave way");
    // Those that are read in the end are whole.
    let (mut stream, tell, task) = callers.pop().unwrap();
    drop(tell);
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.unwrap();
    assert!(rest.ends_with(b"}}}"), "the answer is cut");
    task.await.unwrap();
    drop(callers);
}
