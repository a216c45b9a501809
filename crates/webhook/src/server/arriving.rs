//! The body of a request, which notes when it has come.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};

use super::activity::{Activity, Phase};

/// A body that is read. Its connection waits for the caller until it has come, and then for the answer.
#[derive(Debug)]
pub(super) struct Arriving {
    body: Incoming,
    activity: Activity,
}

impl Arriving {
    pub(super) fn new(body: Incoming, activity: Activity) -> Self {
        activity.enter(if body.is_end_stream() { Phase::Answer } else { Phase::Body });
        Self { body, activity }
    }
}

impl Body for Arriving {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if frame.is_none() || self.body.is_end_stream() {
            self.activity.enter(Phase::Answer);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
