//! Requests to the API server, each within a time limit, and what may come instead of an answer.

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::{Request, StatusCode, header};
use tokio::time::{Instant, timeout_at};

use super::object::Status;
use crate::kubernetes::{Body, Client, cause};

/// What is read of an answer that says that something is wrong.
const MAX_STATUS: usize = 64 << 10;

/// Why there is no answer.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum Failure {
    /// The API server says that there is no such object.
    #[error("the API server answered 404")]
    NotThere,
    /// A version is not served, or no longer.
    #[error("the API server has dropped what happened since the last list")]
    Expired,
    /// Another status.
    #[error("the API server answered {0}")]
    Status(u16),
    /// Nothing came in time.
    #[error("the API server did not answer in time")]
    TimedOut,
    /// No connection, or one that broke off.
    #[error("the API server cannot be reached: {0}")]
    Unreachable(String),
    /// Something else than what was asked for.
    #[error("the API server's answer is not what was asked for")]
    Malformed,
}

/// An answer that begins with a good status.
#[derive(Debug)]
pub(super) struct Answer(Body);

/// Asks for a path, whose last segment is the name of what is asked for, if it is one object.
pub(super) async fn get(client: &Client, path: &str, deadline: Instant) -> Result<Answer, Failure> {
    let request = Request::get(path)
        .header(header::ACCEPT, "application/json")
        .body(Body::empty())
        .map_err(|_| Failure::Malformed)?;
    let response = timeout_at(deadline, client.send(request))
        .await
        .map_err(|_| Failure::TimedOut)?
        .map_err(|error| unreachable(&*error))?;
    let status = response.status();
    let answer = Answer(response.into_body());
    if status == StatusCode::OK {
        return Ok(answer);
    }
    // Whatever the body is, or whether there is one: the status stands.
    let said = answer.collect(MAX_STATUS, deadline).await.map(|body| Status::read(&body)).unwrap_or_default();
    let name = path.rsplit('/').next().unwrap_or_default();
    Err(if status == StatusCode::NOT_FOUND && said.says_not_found(name) {
        Failure::NotThere
    } else if status == StatusCode::GONE || said.says_expired() {
        Failure::Expired
    } else {
        Failure::Status(status.as_u16())
    })
}

impl Answer {
    /// What comes next; `None` at the end.
    pub(super) async fn next(&mut self, limit: Duration) -> Result<Option<Bytes>, Failure> {
        self.next_until(Instant::now() + limit).await
    }

    /// All of it.
    pub(super) async fn collect(mut self, most: usize, deadline: Instant) -> Result<Vec<u8>, Failure> {
        let mut body = Vec::new();
        while let Some(chunk) = self.next_until(deadline).await? {
            if body.len() + chunk.len() > most {
                return Err(Failure::Malformed);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    async fn next_until(&mut self, deadline: Instant) -> Result<Option<Bytes>, Failure> {
        loop {
            match timeout_at(deadline, self.0.frame()).await {
                Err(_) => return Err(Failure::TimedOut),
                Ok(None) => return Ok(None),
                Ok(Some(Err(error))) => return Err(unreachable(&*error)),
                // Trailers say nothing here.
                Ok(Some(Ok(frame))) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
            }
        }
    }
}

fn unreachable(error: &dyn Error) -> Failure {
    Failure::Unreachable(cause(error))
}
