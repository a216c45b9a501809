use std::future::pending;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::timeout;

use super::*;

const SOON: Duration = Duration::from_millis(1);

fn budget(limit: usize) -> (Budget, Gauge) {
    let gauge = Gauge::default();
    (Budget::new(limit, gauge.clone()), gauge)
}

/// Room for ten bytes, and how many are held: eight, for the first of two connections. And what the second one holds, which
/// is nothing.
async fn eight_of_ten() -> (Budget, Gauge, [Holder; 2], [Share; 2]) {
    let (budget, gauge) = budget(10);
    let holders: [Holder; 2] = Default::default();
    let shares = holders.each_ref().map(|holder| budget.share(holder));
    shares[0].grow(8).await.unwrap();
    (budget, gauge, holders, shares)
}

async fn waits(grows: impl Future<Output = Result<(), NoRoom>>) -> bool {
    timeout(SOON, grows).await.is_err()
}

/// Whether it has to give way.
async fn gives_way(share: &Share) -> bool {
    timeout(SOON, share.unless_it_gives_way(pending::<()>())).await.is_ok()
}

async fn is_told(holder: &Holder) -> bool {
    timeout(SOON, holder.told()).await.is_ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nobody_waits_in_vain_and_there_is_never_too_much() {
    const CONNECTIONS: usize = 16;
    const REQUESTS: usize = 2000;
    const LONGEST: usize = 500;
    // No request takes more than twice the longest body, so the second is enough for all at once.
    for limit in [2 * LONGEST, 2 * LONGEST * CONNECTIONS] {
        let (budget, gauge) = budget(limit);
        let mut connections = JoinSet::new();
        for connection in 0..CONNECTIONS {
            let (budget, gauge) = (budget.clone(), gauge.clone());
            connections.spawn(async move {
                let holder = Holder::default();
                let mut answered = 0;
                for request in 0..REQUESTS {
                    let bytes = 1 + (connection * 7919 + request * 104_729) % LONGEST;
                    let share = budget.share(&holder);
                    let work = async {
                        share.grow(bytes).await?;
                        tokio::task::yield_now().await;
                        share.grow(bytes / 2).await?;
                        share.turn_into_answer(bytes * (request % 5) / 2, Instant::now()).await
                    };
                    answered += usize::from(share.unless_it_gives_way(work).await == Ok(Ok(())));
                    let held = gauge.get();
                    assert!((0..=limit as i64).contains(&held), "{held}");
                    tokio::task::yield_now().await;
                }
                answered
            });
        }
        let answered: usize = connections.join_all().await.into_iter().sum();
        let all = CONNECTIONS * REQUESTS;
        let is_enough = limit > 2 * LONGEST;
        assert!(if is_enough { answered == all } else { (1..all).contains(&answered) }, "{answered}");
        assert_eq!(gauge.get(), 0);
        assert_eq!(budget.0.waiting.load(Ordering::Relaxed), 0);
        assert!(budget.accounts().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_refused_for_what_is_being_given_back() {
    let (budget, _) = budget(10);
    let others = tokio::spawn({
        let budget = budget.clone();
        async move {
            let holder = Holder::default();
            for _ in 0..50_000 {
                // As soon as it has everything it gives it back, whether it was told to or not.
                let _ = budget.share(&holder).grow(10).await;
            }
        }
    });
    let holder = Holder::default();
    while !others.is_finished() {
        assert_eq!(budget.share(&holder).grow(5).await, Ok(()));
    }
    others.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn whoever_was_told_and_is_done_does_not_give_way_with_the_next_request() {
    let (budget, gauge, [first, _second], [held, wants]) = eight_of_ten().await;
    let mut grows = Box::pin(wants.grow(5));
    assert!(waits(&mut grows).await);
    // It ends before it hears of it.
    drop(held);
    grows.await.unwrap();
    let next = budget.share(&first);
    next.grow(5).await.unwrap();
    assert!(!gives_way(&next).await);
    assert_eq!(gauge.get(), 10);
}

#[tokio::test(start_paused = true)]
async fn what_is_told_is_the_connection_once_it_is_an_answer() {
    let (budget, gauge) = budget(10);
    let (first, second) = (Holder::default(), Holder::default());
    let answer = budget.share(&first);
    answer.grow(3).await.unwrap();
    answer.turn_into_answer(8, Instant::now()).await.unwrap();
    // The next one on the same connection is read already.
    let next = budget.share(&first);
    next.grow(1).await.unwrap();
    let wants = budget.share(&second);
    let mut grows = Box::pin(wants.grow(2));
    assert!(waits(&mut grows).await);
    assert!(!gives_way(&next).await);
    assert!(is_told(&first).await);
    assert!(!is_told(&second).await);
    drop(answer);
    grows.await.unwrap();
    assert_eq!(gauge.get(), 3);
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_for_a_body_waits_for_its_answer_as_well() {
    let (_, gauge, [first, _second], [held, wants]) = eight_of_ten().await;
    let mut grows = Box::pin(wants.grow(5));
    assert!(waits(&mut grows).await);
    // It was decided before it heard of it.
    held.turn_into_answer(9, Instant::now()).await.unwrap();
    assert!(waits(&mut grows).await);
    assert!(is_told(&first).await);
    drop(held);
    grows.await.unwrap();
    assert_eq!(gauge.get(), 5);
}

#[tokio::test(start_paused = true)]
async fn no_more_are_told_than_have_to_and_the_heaviest_first() {
    let (budget, gauge) = budget(10);
    let holders: [_; 3] = Default::default();
    let mut shares = Vec::new();
    for (holder, bytes) in holders.iter().zip([2, 4, 4]) {
        let share = budget.share(holder);
        share.grow(bytes).await.unwrap();
        tokio::time::advance(Duration::from_millis(1)).await;
        shares.push(share);
    }
    let wanting = Holder::default();
    let wants = budget.share(&wanting);
    let mut grows = Box::pin(wants.grow(3));
    assert!(waits(&mut grows).await);
    let mut told = Vec::new();
    for share in &shares {
        told.push(gives_way(share).await);
    }
    assert_eq!(told, [false, true, false]);
    // What nobody could make room for is refused, and so is more for who was told.
    assert_eq!(budget.share(&wanting).grow(11).await, Err(NoRoom));
    assert_eq!(shares.remove(1).grow(1).await, Err(NoRoom));
    grows.await.unwrap();
    assert_eq!(gauge.get(), 9);
}
