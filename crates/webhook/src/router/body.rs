//! Reads the body of a request.

use std::pin::pin;

use bytes::{Buf as _, Bytes};
use http_body_util::BodyExt as _;
use hyper::StatusCode;
use hyper::body::Body;

use super::budget::Share;
use crate::status::Failure;

/// The longest body. The API server's own requests end at 3 MiB, and a review holds the object twice on updates.
pub(super) const LIMIT: usize = 8 << 20;

/// What is made room for before it has arrived.
const FIRST: usize = 64 << 10;

pub(super) const TOO_LARGE: Failure =
    Failure { code: StatusCode::PAYLOAD_TOO_LARGE, message: "the body is too large: expected at most 8 MiB" };
pub(super) const NO_ROOM: Failure = Failure {
    code: StatusCode::TOO_MANY_REQUESTS,
    message: "too much at once: expected bodies and answers of at most 16 MiB together",
};
const BROKEN: Failure =
    Failure { code: StatusCode::BAD_REQUEST, message: "the body could not be read to its end" };

/// Reads a whole body, taking room in `share` for what arrives.
pub(super) async fn read<B: Body<Data = Bytes>>(body: B, share: &Share) -> Result<Bytes, Failure> {
    // Refused before a byte of it is read.
    if body.size_hint().lower() > LIMIT as u64 {
        return Err(TOO_LARGE);
    }
    let declared = body.size_hint().exact().and_then(|length| usize::try_from(length).ok());
    let mut body = pin!(body);
    let mut read = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| BROKEN)?.into_data() else { continue };
        if data.len() > LIMIT - read.len() {
            return Err(TOO_LARGE);
        }
        share.grow(data.remaining()).await.map_err(|_| NO_ROOM)?;
        // The usual case: all of it at once, which needs no copy.
        if read.is_empty() && Some(data.len()) == declared {
            return Ok(data);
        }
        if read.is_empty() {
            read.reserve(declared.unwrap_or_default().clamp(data.len(), FIRST.max(data.len())));
        }
        read.extend_from_slice(&data);
    }
    Ok(read.into())
}
