//! More connections than there may be.

use std::net::{IpAddr, Ipv4Addr};

use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpSocket, TcpStream};
use webhook::server::Limits;

use crate::serving::{Served, Webhook, api_server, post};

const REVIEW: &str = r#"{"request":{"uid":"u"}}"#;
const LIMITS: Limits = Limits { connections: 16, ..Limits::ADMISSION };
const FLOOD: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));

async fn serve() -> Served {
    let (client, _) = api_server(Box::new(|path| panic!("nobody asks for {path}")));
    Webhook::new(r#"{"serviceAccountAnnotations":false}"#, client).serve(LIMITS).await
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
    let served = serve().await;
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
    let served = serve().await;
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
    let served = serve().await;
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
