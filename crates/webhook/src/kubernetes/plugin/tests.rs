use super::*;

fn shell(script: &str, interactive_mode: &str) -> Exec {
    serde_json::from_value(json!({
        "apiVersion": VERSIONS[0], "command": "sh", "args": ["-c", script],
        "env": [{"name": "WHO", "value": "me"}], "interactiveMode": interactive_mode, "provideClusterInfo": true,
    }))
    .unwrap()
}

/// A script that says a status.
fn says(status: &str) -> String {
    format!(
        r#"echo "{{\"apiVersion\": \"{}\", \"status\": {{{}}}}}""#,
        VERSIONS[0],
        status.replace('"', "\\\"")
    )
}

async fn said(script: &str) -> anyhow::Result<Credentials> {
    credentials(shell(script, "IfAvailable"), json!({"server": "https://a"})).await
}

async fn token(script: &str) -> HeaderValue {
    said(script).await.unwrap().token.unwrap().header().await.unwrap()
}

/// A file to which a script adds a line for each call.
struct Calls(std::path::PathBuf);

impl Calls {
    fn new(name: &str) -> Self {
        Self(std::env::temp_dir().join(format!("webhook-plugin-{name}-{}", std::process::id())))
    }

    /// Counts the call, and says the number as the token.
    fn script(&self, end: &str) -> String {
        let status =
            format!(r#""token": "$(grep -c x {0})", "expirationTimestamp": "{end}""#, self.0.display());
        format!("echo x >> {}; {}", self.0.display(), says(&status))
    }
}

impl Drop for Calls {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).unwrap();
    }
}

#[tokio::test]
async fn a_program_says_a_token_or_a_certificate_or_both() {
    assert_eq!(token(&says(r#""token": "of-$WHO""#)).await, "Bearer of-me");
    let told = r#"echo "$KUBERNETES_EXEC_INFO" | grep -q '"cluster":{"server":"https://a"}' && "#;
    let yaml = format!("printf 'apiVersion: {}\\nstatus:\\n  token: yaml\\n'", VERSIONS[0]);
    assert_eq!(token(&(told.to_owned() + &yaml)).await, "Bearer yaml");
    let pair = r#""clientCertificateData": "C", "clientKeyData": "K""#;
    let alone = said(&says(pair)).await.unwrap();
    assert_eq!((alone.token.is_none(), alone.identity), (true, Some(b"K\nC\n".to_vec())));
    let both = said(&says(&format!(r#"{pair}, "token": "t""#))).await.unwrap();
    assert_eq!(both.token.unwrap().header().await.unwrap(), "Bearer t");
    assert_eq!(both.identity, Some(b"K\nC\n".to_vec()));
}

#[tokio::test]
async fn a_token_that_has_expired_or_was_refused_is_asked_for_again() {
    for (end, refused, expected) in [
        ("2001-01-01T00:00:00Z", None, ["2", "3"]),
        ("2999-01-01T00:00:00Z", None, ["1", "1"]),
        ("2999-01-01T00:00:00Z", Some("1"), ["2", "2"]),
        ("2999-01-01T00:00:00Z", Some("one before"), ["1", "1"]),
    ] {
        let calls = Calls::new("again");
        let plugin = said(&calls.script(end)).await.unwrap().token.unwrap();
        if let Some(refused) = refused {
            plugin.refused(&bearer(refused).unwrap());
        }
        for expected in expected {
            assert_eq!(plugin.header().await.unwrap(), format!("Bearer {expected}"), "{end} {refused:?}");
        }
    }
}

#[tokio::test]
async fn a_call_goes_on_when_nobody_waits_and_all_who_wait_get_its_token() {
    let (calls, gate) = (Calls::new("shared"), Calls::new("gate"));
    let wait = format!("while [ ! -e {} ]; do sleep 0.01; done", gate.0.display());
    let said_by = calls.script("2001-01-01T00:00:00Z");
    let plugin = said(&format!("[ ! -e {} ] || {wait}; {said_by}", calls.0.display())).await.unwrap();
    let plugin = plugin.token.unwrap();
    assert!(timeout(Duration::from_millis(50), plugin.header()).await.is_err());
    // Both wait before it may go on.
    let open = async { std::fs::write(&gate.0, "").unwrap() };
    let (first, second, ()) = tokio::join!(plugin.header(), plugin.header(), open);
    assert_eq!([first.unwrap(), second.unwrap()], ["Bearer 2", "Bearer 2"]);
}

#[tokio::test]
async fn a_token_is_used_for_as_long_as_it_is_good_and_nobody_is_asked_twice_at_once() {
    for (then, next) in [("exec false", "1"), ("true", "2")] {
        let calls = Calls::new(then.rsplit(' ').next().unwrap());
        let soon = Timestamp::now() + SignedDuration::from_secs(30);
        let script = format!("[ ! -e {} ] || {then}; {}", calls.0.display(), calls.script(&soon.to_string()));
        let plugin = said(&script).await.unwrap().token.unwrap();
        assert_eq!(plugin.header().await.unwrap(), "Bearer 1");
        let refresh = plugin.0.state().refresh.clone();
        if let Some(refresh) = refresh {
            refresh.await;
        }
        assert_eq!(plugin.header().await.unwrap(), format!("Bearer {next}"));
        assert!(plugin.0.state().refresh.is_none(), "it is called again at once");
        if next == "1" {
            plugin.refused(&bearer("1").unwrap());
            let reason = "the program `sh` (`exec`) says no token: it failed (exit status: 1): call it by hand to see why";
            assert_eq!(plugin.header().await.unwrap_err().to_string(), reason);
            assert!(plugin.0.state().refresh.is_none(), "it is called again at once");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_program_that_hangs_is_ended() {
    let error = said("exec sleep 3600").await.err().unwrap();
    assert_eq!(error.root_cause().to_string(), "it took longer than 30s");
}

#[tokio::test]
async fn says_what_is_wrong_but_not_what_the_program_said() {
    let no_status = format!("expected an `ExecCredential` of `{}` with a `status`", VERSIONS[0]);
    for (script, expected) in [
        ("exit 3".to_owned(), "it failed (exit status: 3): call it by hand to see why"),
        ("echo secret; echo secret >&2".to_owned(), &no_status),
        ("yes secret".to_owned(), "it says more than 1048576 bytes"),
        (says(r#""token": 5"#), &no_status),
        (says(r#""token": "t""#).replace("/v1", "/v1beta1"), &no_status),
        (says(""), "`status.token`: it is empty"),
        (
            says(r#""clientKeyData": "secret""#),
            "it says one of `clientCertificateData` and `clientKeyData`: expected both",
        ),
    ] {
        let error = format!("{:#}", said(&script).await.err().unwrap());
        assert_eq!(error, format!("cannot use what the program `sh` (`exec`) says: {expected}"));
    }
    let mut old = shell("", "Never");
    old.api_version = "client.authentication.k8s.io/v1alpha1".to_owned();
    for (exec, expected) in [
        (shell("", "Always"), "its `interactiveMode` is `Always`: expected one that needs nobody".to_owned()),
        (
            old,
            format!(
                "its `apiVersion` is `client.authentication.k8s.io/v1alpha1`: expected `{}` or `{}`",
                VERSIONS[0], VERSIONS[1]
            ),
        ),
    ] {
        let error = credentials(exec, json!({})).await.err().unwrap();
        assert_eq!(error.root_cause().to_string(), expected);
    }
}
