//! More connections than there may be.

use std::net::{IpAddr, Ipv4Addr};

use futures::future::join_all;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use webhook::server::Limits;

use crate::serving::{Served, Webhook, api_server, post};

const REVIEW: &str = r#"{"request":{"uid":"u"}}"#;
const LIMITS: Limits = Limits { connections: 16, ..Limits::ADMISSION };
const FLOOD: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));

async fn serve(limits: Limits) -> Served {
    let (client, _) = api_server(Box::new(|path| panic!("nobody asks for {path}")));
    Webhook::new(r#"{"serviceAccountAnnotations":false}"#, client).serve(limits).await
}

async fn connect_from(address: IpAddr, served: &Served) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((address, 0).into()).unwrap();
    socket.connect(served.address).await.unwrap()
}

/// Connections that are open, of the webhook's own counting.
async fn wait_for_connections(served: &Served, count: i64) {
    while served.metrics.connections.get() != count {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_flood_from_one_address_closes_only_its_own_connections() {
    let served = serve(LIMITS).await;
    let mut kept = Vec::new();
    for _ in 0..4 {
        kept.push(served.client().await);
    }
    let mut flood = Vec::new();
    for _ in 0..10 * LIMITS.connections {
        flood.push(connect_from(FLOOD, &served).await);
        let mut newcomer = served.client().await;
        assert_eq!(newcomer.send(post("/mutate", REVIEW)).await.unwrap().status(), 200);
        for client in &mut kept {
            assert_eq!(client.send(post("/mutate", REVIEW)).await.unwrap().status(), 200);
        }
    }
    assert!(served.metrics.connections.get() <= 18, "an eighth more, for those that are about to end");
    assert!(served.metrics.refused_connections.get_or_create(&"gave_way".into()).get() > 100);
    drop(flood);
    served.stop().await;
}

#[tokio::test]
async fn among_its_own_an_address_loses_the_one_that_was_idle_longest() {
    let served = serve(LIMITS).await;
    let mut clients = Vec::new();
    for _ in 0..LIMITS.connections {
        let mut client = served.client().await;
        client.send(post("/mutate", REVIEW)).await.unwrap();
        clients.push(client);
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    // The first has just been used, so it is the second that was idle longest.
    clients[0].send(post("/mutate", REVIEW)).await.unwrap();
    let mut newcomer = served.client().await;
    assert_eq!(newcomer.send(post("/mutate", REVIEW)).await.unwrap().status(), 200);
    wait_for_connections(&served, 16).await;
    for (i, client) in clients.iter_mut().enumerate() {
        assert_eq!(client.send(post("/mutate", REVIEW)).await.is_ok(), i != 1, "{i}");
    }
    served.stop().await;
}

#[tokio::test]
async fn nobody_takes_a_place_of_an_address_with_fewer() {
    let served = serve(LIMITS).await;
    // Their handshakes have begun, so none of them is idle.
    let mut flood = Vec::new();
    for _ in 0..LIMITS.connections {
        flood.push(connect_from(FLOOD, &served).await);
    }
    wait_for_connections(&served, 16).await;
    let mut refused = connect_from(FLOOD, &served).await;
    assert!(!matches!(refused.read(&mut [0]).await, Ok(1..)), "it is closed");
    assert_eq!(served.metrics.refused_connections.get_or_create(&"connections".into()).get(), 1);
    // Somebody else is let in all the same.
    let mut client = served.client().await;
    assert_eq!(client.send(post("/mutate", REVIEW)).await.unwrap().status(), 200);
    drop(flood);
    served.stop().await;
}

/// The longest request whose sender may be slow, and what of it is sent.
const LENGTH: usize = 20_000;
const SENT: usize = 12_000;
/// So many may be in the middle of something: `TURNS` and `LENT`.
const AT_ONCE: usize = 64;

/// A request of which the rest does not come.
fn begun() -> Vec<u8> {
    let head = format!(
        "POST /mutate HTTP/1.1\r\ncontent-type: application/json\r\ncontent-length: {LENGTH}\r\n\r\n"
    );
    [head.as_bytes(), &[b' '; SENT]].concat()
}

#[tokio::test]
async fn of_many_that_are_slow_most_wait_and_others_are_answered() {
    let served = serve(Limits::ADMISSION).await;
    let begun = begun();
    let flood = join_all((0..3 * AT_ONCE).map(|_| async {
        let begins = async {
            let mut stream = served.shake_hands(connect_from(FLOOD, &served).await).await?;
            stream.write_all(&begun).await?;
            stream.read(&mut [0]).await
        };
        let said = begins.await;
        assert!(!matches!(said, Ok(1..)), "it is closed");
    }));
    let others = async {
        let (mut answered, mut most) = (0, 0);
        let slow = served.metrics.refused_connections.get_or_create(&"slow".into()).clone();
        // The last of them keep nobody waiting.
        while slow.get() < AT_ONCE as u64 {
            let mut client = served.client().await;
            for _ in 0..10 {
                assert_eq!(client.send(post("/mutate", REVIEW)).await.unwrap().status(), 200);
                answered += 1;
                most = most.max(served.metrics.body_bytes.get());
            }
        }
        (answered, most)
    };
    let (answered, most) = tokio::select! {
        _ = flood => panic!("nobody ended all of them"),
        others = others => others,
    };
    assert!(answered > 0);
    // As many as may be slow have been at most, and no others.
    let limit = (AT_ONCE * SENT + REVIEW.len()) as i64;
    assert!((limit / 2..=limit).contains(&most), "{most} of {limit}");
    served.stop().await;
}

#[tokio::test]
async fn more_connections_than_turns_are_all_answered() {
    let served = serve(Limits::ADMISSION).await;
    let all = join_all((0..3 * AT_ONCE).map(|_| async {
        let mut client = served.client().await;
        for _ in 0..5 {
            assert_eq!(client.send(post("/mutate", REVIEW)).await.unwrap().status(), 200);
            tokio::task::yield_now().await;
        }
        // It stays open.
        client
    }));
    assert_eq!(all.await.len(), 3 * AT_ONCE);
    served.stop().await;
}

#[tokio::test]
async fn a_request_that_waits_for_its_turn_is_answered_before_the_end() {
    let served = serve(Limits::ADMISSION).await;
    let mut client = served.client().await;
    let mut slow = Vec::new();
    for _ in 0..AT_ONCE {
        let mut stream = served.connect().await;
        stream.write_all(&begun()).await.unwrap();
        slow.push(stream);
    }
    while served.metrics.body_bytes.get() < (AT_ONCE * SENT) as i64 {
        tokio::task::yield_now().await;
    }
    let answered = tokio::spawn(async move { client.send(post("/mutate", REVIEW)).await.unwrap().status() });
    // It is there, and nobody reads it yet; or it has been answered, which is as good.
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    let stopped = tokio::spawn(served.stop());
    assert_eq!(answered.await.unwrap(), 200);
    drop(slow);
    stopped.await.unwrap();
}
