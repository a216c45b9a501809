//! A connection of the operating system's, which has a thread of its own once it is busy.

use super::*;

struct Busy {
    stream: TcpStream,
    activity: Activity,
    tell: oneshot::Sender<()>,
    task: JoinHandle<()>,
    _shutdown: Shutdown,
}

/// Serves a connection, and makes it so busy that it has a thread.
async fn busy() -> Busy {
    let (shutdown, phases) = Shutdown::new();
    let metrics = Metrics::default();
    let health = Arc::new(Health::new(Readiness::default(), phases.clone(), &metrics));
    let router = Router::new(Serves::Health, health, metrics.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (other, _) = listener.accept().await.unwrap();
    let (tell, told) = oneshot::channel();
    let (activity, limits) = (Activity::new(), Limits::ADMISSION);
    let turn = Turn::new(&Turns::new(1), NOBODY, activity.clone());
    let connection = Connection { router, limits, phases, activity: activity.clone(), metrics, turn };
    let served =
        own_thread::serve(connection.serve(other, None, told), activity.clone(), Arc::new(Crowd::new()));
    let mut busy = Busy { stream, activity, tell, task: tokio::spawn(served), _shutdown: shutdown };
    busy.get_a_thread().await;
    busy
}

impl Busy {
    async fn get_a_thread(&mut self) {
        while !self.activity.has_thread() {
            assert_eq!(self.codes(REQUEST, 1).await, [200]);
        }
    }

    async fn lose_the_thread(&self) {
        while self.activity.has_thread() {
            tokio::task::yield_now().await;
        }
    }

    /// The codes of so many answers.
    async fn codes(&mut self, requests: &[u8], count: usize) -> Vec<u16> {
        self.stream.write_all(requests).await.unwrap();
        let (mut said, mut codes) = (Vec::new(), Vec::new());
        // A text ends with a line, a failure with a brace.
        while codes.len() < count || !said.ends_with(b"\n") && !said.ends_with(b"}") {
            assert_ne!(self.stream.read_buf(&mut said).await.unwrap(), 0, "{said:?}");
            let text = std::str::from_utf8(&said).unwrap();
            codes =
                text.split("HTTP/1.1 ").skip(1).filter_map(|answer| answer.get(..3)?.parse().ok()).collect();
        }
        codes
    }
}

#[tokio::test]
async fn what_is_asked_is_answered_in_order() {
    const BODY: &[u8] = b"POST /none HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nabcde";
    const CHUNKS: &[u8] =
        b"POST /healthz HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n";
    let mut busy = busy().await;
    for (requests, codes) in [
        (BODY.to_vec(), vec![404]),
        (CHUNKS.to_vec(), vec![405]),
        ([REQUEST, BODY, CHUNKS, REQUEST].concat(), vec![200, 404, 405, 200]),
    ] {
        busy.get_a_thread().await;
        assert_eq!(busy.codes(&requests, codes.len()).await, codes);
    }
}

#[tokio::test]
async fn after_a_rest_it_has_none_and_may_get_one_again() {
    let mut busy = busy().await;
    for _ in 0..3 {
        busy.lose_the_thread().await;
        busy.get_a_thread().await;
    }
}

#[tokio::test]
async fn a_request_may_come_byte_after_byte() {
    let mut busy = busy().await;
    let (last, most) = REQUEST.split_last().unwrap();
    for byte in most {
        busy.stream.write_all(&[*byte]).await.unwrap();
        sleep(Duration::from_millis(1)).await;
    }
    busy.lose_the_thread().await;
    assert_eq!(busy.codes(&[*last], 1).await, [200]);
}

#[tokio::test]
async fn it_ends_when_the_caller_leaves() {
    for said in [&REQUEST[..0], &REQUEST[..9], b"POST /none HTTP/1.1\r\ncontent-length: 5\r\n\r\nabc"] {
        let mut busy = busy().await;
        busy.stream.write_all(said).await.unwrap();
        drop(busy.stream);
        busy.task.await.unwrap();
    }
}

#[tokio::test]
async fn it_ends_when_it_is_told_to() {
    for gives_way in [false, true] {
        let Busy { mut stream, tell, task, .. } = busy().await;
        if gives_way {
            tell.send(()).unwrap()
        } else {
            drop(tell)
        }
        assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
        task.await.unwrap();
    }
}
