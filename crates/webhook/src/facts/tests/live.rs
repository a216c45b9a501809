use std::pin::pin;

use futures::future::join_all;
use futures::poll;
use tokio::time::{Instant, sleep};

use super::*;

const API: &str = "/api/v1/namespaces/shop/serviceaccounts/api";

const THERE: &str = "there: eks.amazonaws.com/role-arn=arn:aws:iam::111122223333:role/x";

// Requests are answered by tasks.
const _: fn(&Facts) = |facts| {
    fn can_be_sent(_: impl Send) {}
    can_be_sent(facts.read("shop", "api", &Held::Missing));
};

async fn read(facts: &Facts, name: &str) -> String {
    let held = facts.held("shop", name);
    show(facts.read("shop", name, &held).await)
}

fn live_reads(metrics: &Metrics) -> Vec<String> {
    metric(metrics, "pod_identity_webhook_live_reads_total")
}

#[tokio::test(start_paused = true)]
async fn what_was_found_is_held_and_what_is_not_there_is_not() {
    let (facts, mut server, metrics) = facts();
    let (answer, ()) = tokio::join!(read(&facts, "api"), server.expect(API, 200, with_role("api", 7)));
    assert_eq!(answer, THERE);
    assert_eq!(facts.held("shop", "api"), Held::Annotated(role()));

    let other = "/api/v1/namespaces/shop/serviceaccounts/other";
    for _ in 0..2 {
        let (answer, ()) = tokio::join!(read(&facts, "other"), server.expect(other, 404, not_found("other")));
        assert_eq!(answer, "not there");
    }
    assert_eq!(facts.held("shop", "other"), Held::Missing);
    assert_eq!(live_reads(&metrics), [r#"{outcome="found"} 1"#, r#"{outcome="not_found"} 2"#]);
}

#[tokio::test(start_paused = true)]
async fn only_what_was_asked_for_counts() {
    let status = |reason: &str, name: &str| {
        json!({"kind": "Status", "reason": reason, "details": {"name": name}, "message": "secret"})
            .to_string()
    };
    let wrong = "unknown: the API server's answer is not what was asked for; \
                 see what stands between the webhook and the API server";
    let refused =
        |status: u16| format!("unknown: the API server answered {status}; see why the API server refuses");
    let forbidden = "unknown: the API server answered 403; grant the webhook `get` on `serviceaccounts`";
    let unauthorized =
        "unknown: the API server answered 401; give the webhook a token that the API server accepts";
    let half = with_role("api", 7).to_string();
    let half = half.split_at(half.len() / 2).0;
    let config_map = with_role("api", 7).to_string().replace("ServiceAccount", "ConfigMap");
    let unreadable = service_account("api", 7, json!({"eks.amazonaws.com/role-arn": 1}));
    for (code, body, expected) in [
        (200, bare("api", 7).to_string(), "there: ".to_owned()),
        (200, with_role("other", 7).to_string(), wrong.to_owned()),
        (200, with_role("api", 7).to_string().replace("shop", "eks"), wrong.to_owned()),
        (200, config_map, wrong.to_owned()),
        (200, list(7, "", &[with_role("api", 7)]).to_string(), wrong.to_owned()),
        (200, unreadable.to_string(), wrong.to_owned()),
        (200, half.to_owned(), wrong.to_owned()),
        (200, "<html>".to_owned(), wrong.to_owned()),
        (200, String::new(), wrong.to_owned()),
        (404, status("NotFound", "api"), "not there".to_owned()),
        (404, status("NotFound", "shop"), refused(404)),
        (404, status("Other", "api"), refused(404)),
        (404, "404 page not found".to_owned(), refused(404)),
        (404, "x".repeat(1 << 20), refused(404)),
        (200, status("NotFound", "api"), wrong.to_owned()),
        (401, status("Unauthorized", ""), unauthorized.to_owned()),
        (403, status("Forbidden", "api"), forbidden.to_owned()),
        (429, status("TooManyRequests", ""), refused(429)),
        (500, "<html>".to_owned(), refused(500)),
        (503, String::new(), refused(503)),
        (302, String::new(), refused(302)),
    ] {
        let (facts, mut server, _) = facts();
        let (answer, ()) = tokio::join!(read(&facts, "api"), server.expect(API, code, &body));
        assert_eq!(answer, expected, "{code} {body:.80}");
    }
}

#[tokio::test(start_paused = true)]
async fn gives_up_after_the_grace_period() {
    let slow = "unknown: the API server did not answer in time; see why the API server is slow";
    let (facts, mut server, metrics) = facts();
    let start = Instant::now();
    let (answer, asked) = tokio::join!(read(&facts, "api"), server.asked());
    assert_eq!((answer.as_str(), start.elapsed().as_millis()), (slow, 1000));
    drop(asked);
    // A body that does not end is no better.
    let start = Instant::now();
    let (answer, stream) = tokio::join!(read(&facts, "api"), async {
        sleep(Duration::from_millis(600)).await;
        let stream = server.asked().await.stream();
        stream.send("{");
        stream
    });
    assert_eq!((answer.as_str(), start.elapsed().as_millis()), (slow, 1000));
    assert!(stream.is_given_up());
    // Nor is one that breaks off.
    let (answer, ()) = tokio::join!(read(&facts, "api"), async {
        let stream = server.asked().await.stream();
        stream.send("{");
        stream.break_off();
    });
    let broken = "unknown: the API server cannot be reached: connection reset; \
                  see why the webhook does not reach the API server";
    assert_eq!(answer, broken);
    assert_eq!(live_reads(&metrics), [r#"{outcome="timed_out"} 2"#, r#"{outcome="unreachable"} 1"#]);
}

#[tokio::test(start_paused = true)]
async fn who_asks_for_the_same_shares_the_answer() {
    let (facts, mut server, metrics) = facts();
    let everybody = join_all((0..100).map(|_| read(&facts, "api")));
    let (answers, ()) = tokio::join!(everybody, async {
        let asked = server.asked().await;
        sleep(Duration::from_millis(300)).await;
        asked.answer(200, with_role("api", 7));
    });
    assert_eq!(answers, vec![THERE; 100]);
    assert_eq!(live_reads(&metrics), [r#"{outcome="found"} 1"#]);
}

#[tokio::test(start_paused = true)]
async fn an_older_question_does_not_make_a_service_account_not_there() {
    let (facts, mut server, metrics) = facts();
    let first = read(&facts, "api");
    let later = async {
        sleep(Duration::from_millis(200)).await;
        join_all((0..10).map(|_| read(&facts, "api"))).await
    };
    let (first, later, ()) = tokio::join!(first, later, async {
        let asked = server.asked().await;
        sleep(Duration::from_millis(300)).await;
        asked.answer(404, not_found("api"));
        server.expect(API, 200, with_role("api", 7)).await;
    });
    assert_eq!(first, "not there");
    assert_eq!(later, vec![THERE; 10]);
    assert_eq!(live_reads(&metrics), [r#"{outcome="found"} 1"#, r#"{outcome="not_found"} 1"#]);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_left_of_a_caller_who_goes() {
    let (facts, mut server, metrics) = facts();
    let mut first = Box::pin(read(&facts, "api"));
    let mut second = Box::pin(read(&facts, "api"));
    assert!(poll!(&mut first).is_pending() && poll!(&mut second).is_pending());
    let stream = server.asked().await.stream();
    // The one who began goes; the other drives it to its end.
    drop(first);
    stream.send(with_role("api", 7));
    drop(stream);
    assert_eq!(second.await, THERE);
    assert_eq!(live_reads(&metrics), [r#"{outcome="found"} 1"#]);

    let mut only = Box::pin(read(&facts, "other"));
    assert!(poll!(&mut only).is_pending());
    let stream = server.asked().await.stream();
    assert!(poll!(&mut only).is_pending());
    assert_eq!(facts.0.live.in_flight(), 1);
    drop(only);
    assert!(stream.is_given_up());
    assert_eq!(facts.0.live.in_flight(), 0);
    // And the next one asks anew.
    let (answer, ()) = tokio::join!(read(&facts, "other"), async {
        server.asked().await.answer(404, not_found("other"));
    });
    assert_eq!(answer, "not there");
    assert_eq!(facts.0.live.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn reads_are_limited_over_all_service_accounts() {
    let limit = LiveReads { grace_period: Duration::from_secs(1), limit: 10 };
    let (facts, mut server, metrics) = facts_with(limit);
    let names: Vec<String> = (0..30).map(|i| format!("forged-{i}")).collect();
    let start = Instant::now();
    let mut asked_at = Vec::new();
    let everybody = join_all(names.iter().map(|name| read(&facts, name)));
    let (answers, ()) = tokio::join!(everybody, async {
        for _ in 0..15 {
            let asked = server.asked().await;
            asked_at.push(start.elapsed().as_millis());
            let name = asked.path.rsplit('/').next().unwrap().to_owned();
            asked.answer(404, not_found(&name));
        }
    });
    // As many as in a second at once, then evenly, as long as there is time left for an answer.
    assert_eq!(asked_at, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 100, 200, 300, 400, 500]);
    let limited = "unknown: it is not held and the limit of live reads is used up; raise `--live-read-limit`"
        .to_owned();
    let expected = [vec!["not there".to_owned(); 15], vec![limited; 15]].concat();
    assert_eq!(answers, expected);
    assert_eq!(live_reads(&metrics), [r#"{outcome="limited"} 15"#, r#"{outcome="not_found"} 15"#]);
    // One that is held is not worth waiting for.
    assert_eq!(show(facts.read("shop", "bare", &Held::Bare).await), "what is held stands");
}

#[tokio::test(start_paused = true)]
async fn one_that_is_held_is_asked_for_once_a_second() {
    let (facts, mut server, metrics) = facts();
    let held = facts.held("shop", "api");
    assert_eq!(held, Held::Missing);
    for (after, answer) in [(0, bare("api", 7)), (1000, bare("api", 7)), (500, with_role("api", 9))] {
        sleep(Duration::from_millis(after)).await;
        let (first, second, ()) = tokio::join!(
            facts.read("shop", "api", &Held::Bare),
            facts.read("shop", "api", &Held::Bare),
            server.expect(API, 200, answer.clone())
        );
        let expected = if answer == bare("api", 7) { "there: " } else { THERE };
        assert_eq!([show(first), show(second)], [expected, expected]);
        assert_eq!(show(facts.read("shop", "api", &Held::Bare).await), "what is held stands");
        sleep(Duration::from_millis(500)).await;
    }
    assert_eq!(facts.held("shop", "api"), Held::Annotated(role()));
    assert_eq!(live_reads(&metrics), [r#"{outcome="found"} 3"#]);
}

#[tokio::test(start_paused = true)]
async fn one_that_is_held_stands_when_nobody_answers_while_the_watch_is_sound() {
    let (facts, mut server, _) = facts();
    let readiness = Readiness::default();
    let mut watching = pin!(facts.watch_service_accounts(readiness.pending("service accounts")));
    let stream = {
        let mut answering = pin!(async {
            server.asked().await.answer(200, list(3, "", &[bare("api", 3)]));
            server.asked().await.stream()
        });
        tokio::select! {
            _ = &mut watching => unreachable!(),
            stream = &mut answering => stream,
        }
    };
    assert!(poll!(&mut watching).is_pending());
    let read = || facts.read("shop", "api", &Held::Bare);
    let (answer, asked) = tokio::join!(read(), server.asked());
    assert_eq!(show(answer), "what is held stands");
    drop(asked);
    // Nobody looked at the watch.
    sleep(Duration::from_secs(30)).await;
    let (answer, asked) = tokio::join!(read(), server.asked());
    let unknown = "unknown: the API server did not answer in time; see why the API server is slow";
    assert_eq!(show(answer), unknown);
    drop((asked, stream));
}

#[tokio::test(start_paused = true)]
async fn what_is_newer_wins() {
    for (while_in_flight, expected, held) in [
        // The answer is as the watch left it, or older: what is held stands.
        (vec![("ADDED", with_role("api", 8))], THERE, Held::Annotated(role())),
        (vec![("ADDED", bare("api", 5)), ("BOOKMARK", bare("", 9))], "there: ", Held::Bare),
        // The watch tells of what was before.
        (
            vec![("ADDED", bare("api", 5))],
            "there: eks.amazonaws.com/region=x",
            Held::Annotated({
                let mut annotations = Annotations::default();
                annotations.push(PREFIX, "region", "x");
                annotations
            }),
        ),
        // It was there when it was asked for, and is gone by now.
        (
            vec![("ADDED", bare("api", 7)), ("DELETED", bare("api", 8))],
            "there: eks.amazonaws.com/region=x",
            Held::Missing,
        ),
    ] {
        let (facts, mut server, _) = facts();
        let readiness = Readiness::default();
        let watching = facts.watch_service_accounts(readiness.pending("service accounts"));
        let reading = async {
            server.expect("/api/v1/serviceaccounts?limit=5000", 200, list(3, "", &[])).await;
            let watch = server.asked().await.stream();
            let (answer, ()) = tokio::join!(read(&facts, "api"), async {
                let asked = server.asked().await;
                assert_eq!(asked.path, API);
                for (kind, object) in &while_in_flight {
                    watch.event(kind, object);
                }
                sleep(Duration::from_millis(1)).await;
                asked.answer(200, service_account("api", 7, json!({"eks.amazonaws.com/region": "x"})));
            });
            assert_eq!(answer, expected, "{while_in_flight:?}");
            assert_eq!(facts.held("shop", "api"), held, "{while_in_flight:?}");
            // Old news change nothing.
            if while_in_flight.len() == 1 && expected.contains("region") {
                watch.event("MODIFIED", &bare("api", 6));
                watch.event("DELETED", &bare("api", 6));
                sleep(Duration::from_millis(1)).await;
                assert_eq!(facts.held("shop", "api"), held);
            }
        };
        tokio::select! {
            _ = watching => unreachable!(),
            () = reading => {}
        }
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_is_asked_for_what_is_no_name() {
    let (facts, mut server, _) = facts();
    let long = "a".repeat(254);
    for (namespace, name) in [
        ("shop", "?watch=true"),
        ("shop", "api?limit=1"),
        ("shop", "x/"),
        ("shop", "../y"),
        ("shop", ""),
        ("shop", "Api"),
        ("shop", "api%2f"),
        ("shop", "a\nb"),
        ("shop", &long),
        ("", "api"),
        ("../../../kube-system", "api"),
        ("sh.op", "api"),
    ] {
        let found = facts.read(namespace, name, &Held::Missing).await;
        assert_eq!(show(found), "not there", "{namespace}/{name}");
    }
    assert!(server.is_silent(Duration::from_secs(1)).await);
}

#[tokio::test(start_paused = true)]
async fn without_live_reads_what_is_missing_is_unknown_until_all_is_held() {
    let (facts, mut server, _) = facts_with(LiveReads { grace_period: Duration::ZERO, limit: 50 });
    let readiness = Readiness::default();
    assert_eq!(
        read(&facts, "api").await,
        "unknown: the service accounts have not been listed yet; \
         grant the webhook `list` and `watch` on `serviceaccounts`"
    );
    let watching = facts.watch_service_accounts(readiness.pending("service accounts"));
    let serving = async {
        server.asked().await.answer(200, list(3, "", &[with_role("other", 2)]));
        let watch = server.asked().await.stream();
        assert_eq!(read(&facts, "api").await, "what is held stands");
        assert_eq!(show(facts.read("shop", "api", &Held::Bare).await), "what is held stands");
        let large = json!({"eks.amazonaws.com/role-arn": "x".repeat(10_000)});
        watch.event("ADDED", &service_account("large", 9, large));
        sleep(Duration::from_millis(1)).await;
        assert_eq!(
            read(&facts, "large").await,
            "unknown: there are more service accounts than are held; allow live reads"
        );
    };
    tokio::select! {
        _ = watching => unreachable!(),
        () = serving => {}
    }
    sleep(Duration::from_secs(26)).await;
    assert_eq!(
        read(&facts, "api").await,
        "unknown: the watch was last heard of 26 s ago; see why the webhook does not reach the API server"
    );
}
