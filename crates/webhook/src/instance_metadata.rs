//! The account and partition of the instance that the webhook runs on, from the instance metadata service
//! (<https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-identity-documents.html>), version 2 only: a token
//! first, so that a request that somebody else was made to send gets no answer.

use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::client::conn::http1;
use hyper::header::HOST;
use hyper::{Method, Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use pod_identity_core::arn::{is_account_id, partition_of_region};
use pod_identity_core::values::Region;
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

const IPV4: &str = "http://169.254.169.254";
const IPV6: &str = "http://[fd00:ec2::254]";

/// For all requests together: the API server does without a webhook meanwhile.
const TIME_LIMIT: Duration = Duration::from_secs(10);

/// For one attempt: an answer that took too many hops never comes.
const ATTEMPT: Duration = Duration::from_secs(3);

/// Between attempts.
const PAUSE: Duration = Duration::from_millis(250);

/// Documents have less than one KB.
const MAX_BODY: usize = 64 * 1024;

const TOKEN: &str = "x-aws-ec2-metadata-token";
const TOKEN_TTL: &str = "x-aws-ec2-metadata-token-ttl-seconds";

/// The account of an instance, and the partition of its region.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct InstanceIdentity {
    /// 12 digits.
    pub account_id: String,
    /// Such as `aws` or `aws-cn`.
    pub partition: &'static str,
}

/// The part of the instance identity document that is read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct IdentityDocument {
    account_id: String,
    region: String,
}

/// Where the service is, by the variables that the SDKs read
/// (<https://docs.aws.amazon.com/sdkref/latest/guide/feature-imds-client.html>).
///
/// # Errors
///
/// When they switch it off, or hold no URL.
pub fn endpoint(variable: impl Fn(&str) -> Option<String>) -> anyhow::Result<Uri> {
    let variable = |name| variable(name).filter(|value| !value.is_empty());
    if variable("AWS_EC2_METADATA_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        bail!("`AWS_EC2_METADATA_DISABLED` forbids to ask the instance metadata service");
    }
    let mode = variable("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE");
    let by_mode = match mode.as_deref() {
        None => IPV4,
        Some(mode) if mode.eq_ignore_ascii_case("ipv4") => IPV4,
        Some(mode) if mode.eq_ignore_ascii_case("ipv6") => IPV6,
        Some(mode) => {
            bail!("`AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE`: expected `IPv4` or `IPv6`, found `{mode}`")
        }
    };
    let text = variable("AWS_EC2_METADATA_SERVICE_ENDPOINT").unwrap_or_else(|| by_mode.to_owned());
    let endpoint: Option<Uri> = text.trim_end_matches('/').parse().ok();
    endpoint
        .filter(|uri| uri.scheme_str() == Some("http") && uri.host().is_some() && uri.path() == "/")
        .with_context(|| {
            format!("`AWS_EC2_METADATA_SERVICE_ENDPOINT`: expected `http://` and a host, found `{text}`")
        })
}

/// Asks the service, again and again while it does not answer, for ten seconds at most.
///
/// # Errors
///
/// What it answered last, or that it did not; an account that does not have 12 digits.
pub async fn instance_identity(endpoint: &Uri) -> anyhow::Result<InstanceIdentity> {
    identity_within(endpoint, TIME_LIMIT).await.with_context(|| {
        format!(
            "cannot complete role names: the instance metadata service at `{endpoint}` did not say the account \
             (without it, set `composeRoleArn.accountId` in the `--config` file)"
        )
    })
}

async fn identity_within(endpoint: &Uri, limit: Duration) -> anyhow::Result<InstanceIdentity> {
    let mut last = None;
    let attempts = async {
        loop {
            let error = match timeout(ATTEMPT, attempt(endpoint)).await {
                Ok(Ok(identity)) => return Ok(identity),
                Ok(Err(Failure::Final(error))) => return Err(error),
                Ok(Err(Failure::Passing(error))) => error,
                Err(_) => anyhow::anyhow!(
                    "no answer; in a pod without `hostNetwork` the instance needs a hop limit of 2 or more"
                ),
            };
            last = Some(error);
            sleep(PAUSE).await;
        }
    };
    match timeout(limit, attempts).await {
        Ok(result) => result,
        Err(_) => Err(last.unwrap_or_else(|| anyhow::anyhow!("no answer"))),
    }
}

/// Why there is no identity.
enum Failure {
    /// It may be there a moment later.
    Passing(anyhow::Error),
    /// It will not.
    Final(anyhow::Error),
}

async fn attempt(endpoint: &Uri) -> Result<InstanceIdentity, Failure> {
    let token = ask(endpoint, Method::PUT, "/latest/api/token", (TOKEN_TTL, "60")).await?;
    let token = std::str::from_utf8(&token).map_err(|error| Failure::Final(error.into()))?;
    let path = "/latest/dynamic/instance-identity/document";
    let document = ask(endpoint, Method::GET, path, (TOKEN, token)).await?;
    read(&document).map_err(Failure::Final)
}

/// Reads an instance identity document.
fn read(document: &[u8]) -> anyhow::Result<InstanceIdentity> {
    let IdentityDocument { account_id, region } = serde_json::from_slice(document)
        .context("the instance identity document: expected JSON with `accountId` and `region`")?;
    ensure!(
        is_account_id(&account_id),
        "the instance identity document: expected an account id of 12 digits, found {account_id:?}"
    );
    ensure!(
        matches!(Region::parse(&region), Some(Region::Named(_))),
        "the instance identity document: expected a region, found {region:?}"
    );
    Ok(InstanceIdentity { account_id, partition: partition_of_region(&region) })
}

/// Makes one request over a connection of its own.
async fn ask(endpoint: &Uri, method: Method, path: &str, header: (&str, &str)) -> Result<Bytes, Failure> {
    let passing = |error: anyhow::Error| Failure::Passing(error.context(format!("`{method} {path}`")));
    let host = endpoint.host().unwrap_or_default();
    let authority = endpoint.authority().map_or(host, |authority| authority.as_str());
    let request = Request::builder()
        .method(method.clone())
        .uri(path)
        .header(HOST, authority)
        .header(header.0, header.1)
        .body(Empty::<Bytes>::new())
        .map_err(|_| Failure::Final(anyhow::anyhow!("`{method} {path}`: the token cannot be sent back")))?;
    let address = (host.trim_matches(['[', ']']), endpoint.port_u16().unwrap_or(80));
    let stream = TcpStream::connect(address).await.map_err(|error| passing(error.into()))?;
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| passing(error.into()))?;
    let exchange = async {
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_BODY).collect().await;
        Ok::<_, anyhow::Error>((status, body.map_err(anyhow::Error::from_boxed)?.to_bytes()))
    };
    // The connection is driven for as long as there is something to wait for.
    let mut exchange = std::pin::pin!(exchange);
    let answer = tokio::select! {
        answer = &mut exchange => answer,
        driven = connection => match driven {
            Ok(()) => exchange.await,
            Err(error) => Err(error.into()),
        },
    };
    match answer.map_err(passing)? {
        (StatusCode::OK, body) => Ok(body),
        (status, _) => {
            let error = anyhow::anyhow!("`{method} {path}`: it answered {status}");
            let again = status.is_server_error()
                || matches!(status, StatusCode::UNAUTHORIZED | StatusCode::TOO_MANY_REQUESTS);
            Err(if again { Failure::Passing(error) } else { Failure::Final(error) })
        }
    }
}

#[cfg(test)]
mod tests;
