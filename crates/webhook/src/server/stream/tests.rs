use std::future::poll_fn;
use std::io::Read as _;
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::task::Waker;
use std::thread;

use tokio::io::AsyncWriteExt as _;

use super::super::activity::Phase;
use super::super::turns::Turns;
use super::*;

/// A stream and its other side.
fn pair() -> (Stream, Activity, std::net::TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let other = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (stream, _) = listener.accept().unwrap();
    stream.set_nonblocking(true).unwrap();
    let activity = Activity::new();
    activity.enter(Phase::Idle);
    let turn = Turn::new(&Turns::new(1), IpAddr::V4(Ipv4Addr::UNSPECIFIED), activity.clone());
    assert!(turn.poll_begin(&mut Context::from_waker(Waker::noop())).is_ready());
    (Stream::new(TcpStream::from_std(stream).unwrap(), activity.clone(), turn), activity, other)
}

/// The same, on a thread already.
async fn pair_on_a_thread() -> (Stream, Activity, std::net::TcpStream) {
    let (mut stream, activity, mut other) = pair();
    activity.enter_thread();
    other.write_all(b"a").unwrap();
    assert_eq!(stream.read_u8().await.unwrap(), b'a');
    assert!(matches!(stream.socket, Socket::Blocking(_)));
    (stream, activity, other)
}

fn bytes(count: usize) -> Vec<u8> {
    (0..count).map(|i| (i / 7) as u8).collect()
}

async fn waits(stream: &mut Stream) -> bool {
    let mut part = [0];
    poll_fn(|cx| {
        let read = Pin::new(&mut *stream).poll_read(cx, &mut ReadBuf::new(&mut part));
        Poll::Ready(read.is_pending())
    })
    .await
}

#[tokio::test]
async fn everything_comes_in_its_order_and_nothing_is_kept() {
    let sent = bytes(3 * PIECE);
    let (mut stream, _, mut other) = pair();
    assert!(waits(&mut stream).await);
    let capacity = |stream: &Stream| match &stream.socket {
        Socket::Polled { read, .. } => read.capacity(),
        _ => panic!("it does not block"),
    };
    assert_eq!(capacity(&stream), 0);
    let all = sent.clone();
    let sender = thread::spawn(move || {
        other.write_all(&all).unwrap();
        other
    });
    let (mut read, mut part) = (Vec::new(), [0; 1000]);
    while read.len() < sent.len() {
        let length = stream.read(&mut part).await.unwrap();
        read.extend_from_slice(&part[..length]);
    }
    assert!(read == sent);
    assert_eq!(capacity(&stream), 0);
    drop(sender.join().unwrap());
    assert_eq!(stream.read(&mut part).await.unwrap(), 0);
}

#[tokio::test]
async fn nothing_is_lost_on_the_way_to_a_thread_and_back() {
    let sent = bytes(20 * PIECE);
    let (mut stream, activity, mut other) = pair();
    let mut echo = other.try_clone().unwrap();
    let all = sent.clone();
    let sender = thread::spawn(move || other.write_all(&all).unwrap());
    let count = sent.len();
    let echoed = thread::spawn(move || {
        let mut echoed = vec![0; count];
        echo.read_exact(&mut echoed).unwrap();
        echoed
    });
    let (mut read, mut part, mut blocked) = (Vec::new(), [0; 1000], 0);
    for turn in 0.. {
        match turn % 16 {
            0 => {
                activity.enter(Phase::Idle);
                activity.enter_thread();
            }
            8 => activity.leave_thread(),
            _ => {}
        }
        blocked += usize::from(matches!(stream.socket, Socket::Blocking(_)));
        let length = stream.read(&mut part).await.unwrap();
        read.extend_from_slice(&part[..length]);
        stream.write_all(&part[..length]).await.unwrap();
        if read.len() == sent.len() {
            break;
        }
    }
    sender.join().unwrap();
    assert!(blocked > 0);
    assert!(read == sent);
    assert!(echoed.join().unwrap() == sent);
}

#[tokio::test(start_paused = true)]
async fn a_thread_does_not_wait_for_one_who_says_nothing() {
    let (mut stream, activity, mut other) = pair_on_a_thread().await;
    assert!(waits(&mut stream).await);
    assert!(!activity.has_thread());
    other.write_all(b"b").unwrap();
    assert_eq!(stream.read_u8().await.unwrap(), b'b');
}

#[tokio::test(start_paused = true)]
async fn a_thread_does_not_wait_for_one_who_reads_nothing() {
    let (mut stream, activity, _other) = pair_on_a_thread().await;
    while activity.has_thread() {
        let put = poll_fn(|cx| {
            Poll::Ready(Pin::new(&mut stream).poll_write_vectored(cx, &[IoSlice::new(&[0; PIECE])]))
        });
        assert_eq!(put.await.is_pending(), !activity.has_thread());
    }
    assert!(matches!(stream.socket, Socket::Polled { .. }));
}

#[tokio::test]
async fn a_thread_does_not_wait_for_one_who_reads_a_little_at_a_time() {
    let (mut stream, activity, mut other) = pair();
    activity.enter_thread();
    let reader = thread::spawn(move || while other.read(&mut [0; 600]).is_ok_and(|length| length > 0) {});
    while activity.has_thread() {
        let _ = poll_fn(|cx| Poll::Ready(Pin::new(&mut stream).poll_write(cx, &[0; PIECE]))).await;
    }
    assert!(matches!(stream.socket, Socket::Polled { .. }));
    drop(stream);
    reader.join().unwrap();
}

#[tokio::test]
async fn nothing_is_read_without_a_turn() {
    let (mut stream, activity, mut other) = pair();
    other.write_all(b"ab").unwrap();
    assert_eq!(stream.read_u8().await.unwrap(), b'a');
    let turns = Turns::new(1);
    let [first, second] =
        [(); 2].map(|()| Turn::new(&turns, IpAddr::V4(Ipv4Addr::UNSPECIFIED), activity.clone()));
    let cx = &mut Context::from_waker(Waker::noop());
    assert!(first.poll_begin(cx).is_ready());
    stream.turn = second.clone();
    assert_eq!(stream.read_u8().await.unwrap(), b'b', "it was read before");
    activity.enter_thread();
    other.write_all(b"c").unwrap();
    let Socket::Polled { stream: socket, .. } = &stream.socket else { panic!("it does not block") };
    socket.readable().await.unwrap();
    assert!(waits(&mut stream).await);
    assert!(!activity.has_thread());
    first.end();
    assert_eq!(stream.read_u8().await.unwrap(), b'c');
    drop(stream);
    assert!(first.poll_begin(cx).is_ready(), "what ends gives its turn back");
}

#[tokio::test(start_paused = true)]
async fn one_that_has_left_its_thread_keeps_no_buffer() {
    let (mut stream, activity, _other) = pair_on_a_thread().await;
    activity.leave_thread();
    stream.flush().await.unwrap();
    assert!(matches!(&stream.socket, Socket::Polled { read, .. } if read.capacity() == 0));
}

#[tokio::test(start_paused = true)]
async fn the_end_is_said_and_heard_on_a_thread() {
    let (mut stream, activity, mut other) = pair_on_a_thread().await;
    stream.shutdown().await.unwrap();
    assert_eq!(other.read(&mut [0]).unwrap(), 0);
    drop(other);
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
    assert!(activity.has_thread());
}

#[tokio::test]
#[cfg(target_os = "linux")]
async fn the_last_answer_goes_with_the_end() {
    use rustix::net::sockopt::tcp_cork;
    for (mut stream, activity, mut other) in [pair(), pair_on_a_thread().await] {
        let holds = |stream: &Stream| match &stream.socket {
            Socket::Polled { stream, .. } => tcp_cork(stream).unwrap(),
            Socket::Blocking(reader) => tcp_cork(reader.get_ref()).unwrap(),
            Socket::Lost => panic!("it is there"),
        };
        stream.write_all(b"an answer, ").await.unwrap();
        activity.answer_last();
        assert!(!holds(&stream));
        stream.write_all(b"the last one, ").await.unwrap();
        assert!(holds(&stream));
        stream.write_all(b"and a farewell").await.unwrap();
        stream.shutdown().await.unwrap();
        let mut read = String::new();
        other.read_to_string(&mut read).unwrap();
        assert_eq!(read, "an answer, the last one, and a farewell");
    }
}
