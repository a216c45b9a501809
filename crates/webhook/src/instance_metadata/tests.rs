use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;

/// A service that answers with what it is given, one request a connection, and then no more.
struct Fake {
    endpoint: Uri,
    requests: Arc<Mutex<Vec<String>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Fake {
    async fn start(answers: &[(u16, &str)]) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&requests);
        let answers: Vec<String> = answers
            .iter()
            .map(|(status, body)| {
                format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n{body}", body.len())
            })
            .collect();
        let task = tokio::spawn(async move {
            for answer in answers {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    request.push(stream.read_u8().await.unwrap());
                }
                heard.lock().unwrap().push(String::from_utf8(request).unwrap());
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        Self { endpoint, requests, task }
    }

    /// What was asked, the host left out.
    fn requests(&self) -> Vec<String> {
        self.task.abort();
        let host = format!("host: {}\r\n", self.endpoint.authority().unwrap());
        let requests = self.requests.lock().unwrap();
        assert!(requests.iter().all(|request| request.contains(&host)), "{requests:?}");
        requests.iter().map(|request| request.replace(&host, "")).collect()
    }
}

const DOCUMENT: &str = r#"{"accountId": "012345678901", "region": "cn-north-1", "imageId": "ami-1"}"#;
const TOKEN_REQUEST: &str =
    "PUT /latest/api/token HTTP/1.1\r\nx-aws-ec2-metadata-token-ttl-seconds: 60\r\n\r\n";

fn document_request(token: &str) -> String {
    format!(
        "GET /latest/dynamic/instance-identity/document HTTP/1.1\r\nx-aws-ec2-metadata-token: {token}\r\n\r\n"
    )
}

#[tokio::test]
async fn a_token_is_asked_for_and_then_the_document() {
    let fake = Fake::start(&[(200, "secret=="), (200, DOCUMENT)]).await;
    let found = instance_identity(&fake.endpoint).await.unwrap();
    assert_eq!(found, InstanceIdentity { account_id: "012345678901".to_owned(), partition: "aws-cn" });
    assert_eq!(fake.requests(), [TOKEN_REQUEST.to_owned(), document_request("secret==")]);
}

#[tokio::test]
async fn what_may_pass_is_tried_again() {
    let fake =
        Fake::start(&[(503, ""), (429, ""), (200, "one"), (401, ""), (200, "two"), (200, DOCUMENT)]).await;
    assert_eq!(instance_identity(&fake.endpoint).await.unwrap().account_id, "012345678901");
    let token = TOKEN_REQUEST.to_owned();
    assert_eq!(
        fake.requests(),
        [
            token.clone(),
            token.clone(),
            token.clone(),
            document_request("one"),
            token,
            document_request("two"),
        ]
    );
}

#[tokio::test]
async fn what_will_not_pass_ends_the_start() {
    for (answers, expected) in [
        (&[(403, "")][..], "`PUT /latest/api/token`: it answered 403 Forbidden"),
        (&[(307, "")], "`PUT /latest/api/token`: it answered 307 Temporary Redirect"),
        (&[(200, "a\nb")], "`GET /latest/dynamic/instance-identity/document`: the token cannot be sent back"),
        (
            &[(200, "t"), (404, "")],
            "`GET /latest/dynamic/instance-identity/document`: it answered 404 Not Found",
        ),
        (
            &[(200, "t"), (200, "<html>")],
            "the instance identity document: expected JSON with `accountId` and `region`: \
             expected value at line 1 column 1",
        ),
    ] {
        let fake = Fake::start(answers).await;
        let error = format!("{:#}", instance_identity(&fake.endpoint).await.unwrap_err());
        let start = format!(
            "cannot complete role names: the instance metadata service at `{}` did not say the account \
             (without it, set `composeRoleArn.accountId` in the `--config` file): ",
            fake.endpoint
        );
        assert_eq!(error.strip_prefix(&start), Some(expected));
        fake.requests();
    }
}

/// Nobody listens there.
#[tokio::test]
async fn the_last_failure_is_told_when_time_is_up() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    drop(listener);
    let error = identity_within(&endpoint, Duration::from_millis(20)).await.unwrap_err();
    assert!(format!("{error:#}").starts_with("`PUT /latest/api/token`: "), "{error:#}");
}

#[test]
fn documents() {
    #[track_caller]
    fn check(document: &str, expected: Result<(&str, &'static str), &str>) {
        let found = read(document.as_bytes()).map_err(|error| error.to_string());
        let expected = expected
            .map(|(account, partition)| InstanceIdentity { account_id: account.to_owned(), partition })
            .map_err(|error| format!("the instance identity document: expected {error}"));
        assert_eq!(found, expected, "{document}");
    }
    let document = |account: &str, region: &str| {
        serde_json::json!({"accountId": account, "region": region, "x": null}).to_string()
    };
    let account = "012345678901";
    check(&document(account, "eu-west-1"), Ok((account, "aws")));
    check(&document(account, "us-gov-west-1"), Ok((account, "aws-us-gov")));
    check(&document(account, "eusc-de-east-1"), Ok((account, "aws-eusc")));
    check(&document("1234", "eu-west-1"), Err("an account id of 12 digits, found \"1234\""));
    check(&document("", "eu-west-1"), Err("an account id of 12 digits, found \"\""));
    check(
        &document("01234567890\u{1b}", "eu-west-1"),
        Err("an account id of 12 digits, found \"01234567890\\u{1b}\""),
    );
    check(&document(account, ""), Err("a region, found \"\""));
    check(&document(account, "none"), Err("a region, found \"none\""));
    check(
        "{\"accountId\": 12345678901, \"region\": \"eu-west-1\"}",
        Err("JSON with `accountId` and `region`"),
    );
    check("{}", Err("JSON with `accountId` and `region`"));
}

#[test]
fn endpoints() {
    #[track_caller]
    fn check(variables: &[(&str, &str)], expected: Result<&str, &str>) {
        let variable = |name: &str| {
            variables.iter().find(|(found, _)| *found == name).map(|(_, value)| (*value).to_owned())
        };
        let found = endpoint(variable).map(|uri| uri.to_string()).map_err(|error| error.to_string());
        assert_eq!(found.as_deref().map_err(String::as_str), expected, "{variables:?}");
    }
    const ENDPOINT: &str = "AWS_EC2_METADATA_SERVICE_ENDPOINT";
    const MODE: &str = "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE";
    const DISABLED: &str = "AWS_EC2_METADATA_DISABLED";
    check(&[], Ok("http://169.254.169.254/"));
    check(&[(MODE, "ipv6")], Ok("http://[fd00:ec2::254]/"));
    check(&[(MODE, "IPv4"), (ENDPOINT, "")], Ok("http://169.254.169.254/"));
    check(&[(MODE, "IPv6"), (ENDPOINT, "http://127.0.0.1:1338/")], Ok("http://127.0.0.1:1338/"));
    check(&[(DISABLED, "false")], Ok("http://169.254.169.254/"));
    check(
        &[(DISABLED, "True")],
        Err("`AWS_EC2_METADATA_DISABLED` forbids to ask the instance metadata service"),
    );
    check(
        &[(MODE, "x")],
        Err("`AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE`: expected `IPv4` or `IPv6`, found `x`"),
    );
    for wrong in ["https://a", "a", "http://a/b", "http://"] {
        let expected =
            format!("`AWS_EC2_METADATA_SERVICE_ENDPOINT`: expected `http://` and a host, found `{wrong}`");
        check(&[(ENDPOINT, wrong)], Err(&expected));
    }
}
