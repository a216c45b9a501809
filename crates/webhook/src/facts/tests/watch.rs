use tokio::time::{Instant, sleep};

use super::*;

const LIST: &str = "/api/v1/serviceaccounts?limit=5000";

fn watch_from(version: u64) -> String {
    format!(
        "/api/v1/serviceaccounts?watch=true&allowWatchBookmarks=true&timeoutSeconds=20&resourceVersion={version}"
    )
}

/// Plays the API server while the facts watch.
async fn with_watch<T>(facts: &Facts, readiness: &Readiness, server_side: impl Future<Output = T>) -> T {
    tokio::select! {
        _ = facts.watch_service_accounts(readiness.pending("service accounts")) => unreachable!(),
        result = server_side => result,
    }
}

// The tasks can be spawned.
const _: fn(&Facts, crate::readiness::Pending) = |facts, pending| {
    fn can_be_sent(_: impl Send) {}
    can_be_sent(facts.watch_service_accounts(pending));
};

/// Until what was sent is read.
async fn settle() {
    sleep(Duration::from_millis(1)).await;
}

fn all_held(facts: &Facts) -> Vec<Held> {
    ["a", "b", "c"].map(|name| facts.held("shop", name)).to_vec()
}

fn there() -> Held {
    Held::Annotated(role())
}

#[tokio::test(start_paused = true)]
async fn lists_in_pages_and_is_ready_after_the_last() {
    let (facts, mut server, metrics) = facts();
    let readiness = Readiness::default();
    with_watch(&facts, &readiness, async {
        let bad = json!({"metadata": {"namespace": "shop", "name": 7}});
        server.expect(LIST, 200, list(9, "a+/=", &[with_role("a", 1), bad, json!(null), bare("b", 2)])).await;
        let asked = server.asked().await;
        assert_eq!(asked.path, format!("{LIST}&continue=a%2B%2F%3D"));
        assert_eq!(all_held(&facts), [there(), Held::Bare, Held::Missing]);
        assert_eq!(readiness.missing(), ["service accounts"]);
        asked.answer(200, list(9, "", &[with_role("c", 3)]));
        let _watch = {
            let asked = server.asked().await;
            assert_eq!(asked.path, watch_from(9));
            asked.stream()
        };
        assert_eq!(readiness.missing(), [""; 0]);
        assert_eq!(all_held(&facts), [there(), Held::Bare, there()]);
    })
    .await;
    let name = "pod_identity_webhook_service_accounts";
    assert_eq!(
        metric(&metrics, name),
        [r#"{kind="annotated"} 2"#, r#"{kind="bare"} 1"#, r#"{kind="left_out"} 2"#]
    );
    let skipped = metric(&metrics, "pod_identity_webhook_undecodable_objects_total");
    assert_eq!(skipped, [r#"{kind="service_account"} 2"#]);
    let heard = metric(&metrics, "pod_identity_webhook_watch_heard_timestamp_seconds");
    assert!(
        matches!(heard.as_slice(), [one] if one.starts_with(r#"{kind="service_account"} 1"#)),
        "{heard:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn asks_for_a_page_again_when_it_fails() {
    let (facts, mut server, metrics) = facts();
    let readiness = Readiness::default();
    let page = list(9, "", &[with_role("b", 1)]).to_string();
    let start = Instant::now();
    with_watch(&facts, &readiness, async {
        server.expect(LIST, 503, "").await;
        server.expect(LIST, 200, list(9, "next", &[with_role("a", 1)])).await;
        let second = format!("{LIST}&continue=next");
        let no_version = json!({"metadata": {}, "items": []}).to_string();
        for (status, body) in [
            (500, "<html>"),
            (429, r#"{"kind":"Status","code":429}"#),
            (403, ""),
            (200, "<html>"),
            (200, page.split_at(page.len() - 1).0),
            (200, page.split_at(page.len() / 2).0),
            (200, no_version.as_str()),
            (200, ""),
        ] {
            server.expect(&second, status, body).await;
        }
        let asked = server.asked().await;
        assert_eq!(asked.path, second);
        let stream = asked.stream();
        stream.send(page.split_at(20).0);
        stream.break_off();
        assert_eq!(readiness.missing(), ["service accounts"]);
        server.expect(&second, 200, &page).await;
        let asked = server.asked().await;
        assert_eq!((asked.path, readiness.missing().len()), (watch_from(9), 0));
        assert_eq!(all_held(&facts), [there(), there(), Held::Missing]);
    })
    .await;
    assert_eq!(
        metric(&metrics, "pod_identity_webhook_watch_errors_total"),
        [r#"{kind="service_account"} 10"#]
    );
    // 100 ms, then twice as long up to 3 s, up to a third less.
    let waited = start.elapsed().as_millis();
    assert!((12_000..=18_300).contains(&waited), "{waited}");
}

#[tokio::test(start_paused = true)]
async fn a_list_that_expires_begins_anew() {
    let (facts, mut server, _) = facts();
    let readiness = Readiness::default();
    let expired = json!({"kind": "Status", "code": 410, "reason": "Expired"});
    with_watch(&facts, &readiness, async {
        for (status, body) in [(410, expired.to_string()), (410, String::new()), (400, String::new())] {
            server.expect(LIST, 200, list(9, "next", &[with_role("a", 1), with_role("b", 2)])).await;
            server.expect(&format!("{LIST}&continue=next"), status, body).await;
        }
        server.expect(LIST, 200, list(12, "", &[with_role("b", 2)])).await;
        assert_eq!(server.asked().await.path, watch_from(12));
        assert_eq!(all_held(&facts), [Held::Missing, there(), Held::Missing]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn follows_what_happens() {
    let (facts, mut server, metrics) = facts();
    let readiness = Readiness::default();
    with_watch(&facts, &readiness, async {
        server.expect(LIST, 200, list(9, "", &[bare("a", 1), bare("b", 2)])).await;
        let watch = server.asked().await.stream();
        watch.event("MODIFIED", &with_role("a", 10));
        watch.event("DELETED", &bare("b", 11));
        watch.event("ADDED", &bare("c", 12));
        settle().await;
        assert_eq!(all_held(&facts), [there(), Held::Missing, Held::Bare]);
        watch.event("MODIFIED", &bare("a", 13));
        watch.event("ADDED", &with_role("b", 14));
        // In pieces.
        let event = json!({"type": "DELETED", "object": bare("c", 15)}).to_string();
        let (first, second) = event.split_at(70);
        watch.send(first);
        settle().await;
        watch.send(second);
        watch.send("\n");
        // What cannot be read is skipped, and passed.
        watch.event("MODIFIED", &json!({"metadata": {"name": "a", "resourceVersion": "16"}}));
        let unreadable = service_account("b", 17, json!({"eks.amazonaws.com/role-arn": 1}));
        watch.event("MODIFIED", &unreadable);
        settle().await;
        assert_eq!(all_held(&facts), [Held::Bare, Held::Missing, Held::Missing]);
        // A good end: what follows begins at once, where this one was.
        sleep(Duration::from_secs(15)).await;
        watch.event("BOOKMARK", &json!({"kind": "ServiceAccount", "metadata": {"resourceVersion": "40"}}));
        settle().await;
        drop(watch);
        let start = Instant::now();
        let asked = server.asked().await;
        assert_eq!((asked.path.as_str(), start.elapsed()), (watch_from(40).as_str(), Duration::ZERO));
        // One that breaks off in the middle of a line.
        let watch = asked.stream();
        watch.event("ADDED", &bare("c", 41));
        watch.send(r#"{"type":"ADDED","obj"#);
        watch.break_off();
        assert_eq!(server.asked().await.path, watch_from(41));
    })
    .await;
    let skipped = metric(&metrics, "pod_identity_webhook_undecodable_objects_total");
    assert_eq!(skipped, [r#"{kind="service_account"} 2"#]);
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_fails_goes_on_where_it_was() {
    let (facts, mut server, metrics) = facts();
    let readiness = Readiness::default();
    with_watch(&facts, &readiness, async {
        server.expect(LIST, 200, list(9, "", &[])).await;
        for (status, body) in [
            (500, "<html>"),
            (403, ""),
            (200, "<html>\n"),
            (200, "{\"type\":\"OTHER\",\"object\":{}}\n"),
            (200, "{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"code\":500}}\n"),
            // Ends at once, again and again.
            (200, ""),
            (200, ""),
        ] {
            let start = Instant::now();
            server.expect(&watch_from(9), status, body).await;
            assert!(start.elapsed() < Duration::from_secs(4));
        }
        let before = Instant::now();
        assert_eq!(server.asked().await.path, watch_from(9));
        assert!(before.elapsed() >= Duration::from_secs(1));
    })
    .await;
    assert_eq!(
        metric(&metrics, "pod_identity_webhook_watch_errors_total"),
        [r#"{kind="service_account"} 5"#]
    );
}

#[tokio::test(start_paused = true)]
async fn lists_again_when_what_happened_is_dropped() {
    let expired = json!({"kind": "Status", "code": 410, "reason": "Expired"});
    let ahead = json!({
        "kind": "Status", "code": 504, "reason": "Timeout", "details": {"causes": [{"reason": "ResourceVersionTooLarge"}]},
    });
    let event = |status: &Value| format!("{}\n", json!({"type": "ERROR", "object": status}));
    for (status, body) in [
        (410, String::new()),
        (410, expired.to_string()),
        (200, event(&expired)),
        (504, ahead.to_string()),
        (200, event(&ahead)),
    ] {
        let (facts, mut server, _) = facts();
        let readiness = Readiness::default();
        with_watch(&facts, &readiness, async {
            server.expect(LIST, 200, list(9, "", &[with_role("a", 1), bare("b", 2)])).await;
            server.expect(&watch_from(9), status, &body).await;
            let asked = server.asked().await;
            assert_eq!(asked.path, LIST);
            // What was held is held until then.
            assert_eq!(all_held(&facts), [there(), Held::Bare, Held::Missing]);
            asked.answer(200, list(7, "", &[bare("b", 2), with_role("c", 3)]));
            assert_eq!(server.asked().await.path, watch_from(7));
            assert_eq!(all_held(&facts), [Held::Missing, Held::Bare, there()]);
            assert_eq!(readiness.missing(), [""; 0]);
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_watch_is_given_up() {
    let (facts, mut server, _) = facts();
    let readiness = Readiness::default();
    with_watch(&facts, &readiness, async {
        server.expect(LIST, 200, list(9, "", &[])).await;
        let watch = server.asked().await.stream();
        sleep(Duration::from_secs(10)).await;
        watch.event("ADDED", &bare("a", 10));
        settle().await;
        let heard = Instant::now();
        let asked = server.asked().await;
        assert_eq!(asked.path, watch_from(10));
        assert!(watch.is_given_up());
        assert!(heard.elapsed() < Duration::from_millis(21_200), "{:?}", heard.elapsed());
        // What was missed comes with the next one: no answer is older than 25 s.
        let watch = asked.stream();
        watch.event("MODIFIED", &with_role("a", 11));
        settle().await;
        assert_eq!(facts.held("shop", "a"), there());
        assert!(heard.elapsed() < STALE, "{:?}", heard.elapsed());
        // One whose head does not come either.
        drop(watch);
        let asked = server.asked().await;
        let start = Instant::now();
        let next = server.asked().await;
        assert_eq!((&asked.path, &next.path), (&watch_from(11), &watch_from(11)));
        assert!(start.elapsed() < Duration::from_secs(11));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn nothing_is_left_of_a_watch_that_is_dropped() {
    let (facts, mut server, _) = facts();
    let readiness = Readiness::default();
    let stream = with_watch(&facts, &readiness, async {
        server.expect(LIST, 200, list(9, "", &[])).await;
        let stream = server.asked().await.stream();
        settle().await;
        stream
    })
    .await;
    assert!(stream.is_given_up());
    assert!(server.is_silent(Duration::from_secs(60)).await);
}
