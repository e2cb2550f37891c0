//! An answer that holds something until its last byte is on its way: a place, a mark that its client is being served.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use axum::http::Response;
use hyper::body::{Frame, SizeHint};

/// A body and what it holds.
struct Held<T> {
    body: Body,
    held: Option<T>,
}

/// Lets an answer hold `held` until its body has ended, or nobody wants it any more.
pub(super) fn holding<T: Send + Unpin + 'static>(
    response: Response<Body>,
    held: T,
) -> Response<Body> {
    response.map(|body| {
        Body::new(Held {
            body,
            held: Some(held),
        })
    })
}

impl<T: Send + Unpin + 'static> HttpBody for Held<T> {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(None | Some(Err(_))) = polled {
            self.held = None;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
