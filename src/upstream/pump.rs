//! An answer that has begun while its request is still being uploaded: the upload must move however slowly the answer is read.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::Frame;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::time::Instant;

use super::lease::Lease;
use super::pool::Pool;
use crate::web::body::BoxError;

/// What comes of the answer; `None` is its end.
type Piece = Option<Result<Frame<Bytes>, BoxError>>;

/// The answer of such a connection. Dropping it ends the connection.
pub(super) struct Pumped(Receiver<Piece>);

/// Moves both bodies in a task of their own from here on, and gives the connection back if both are over when the answer is. Who has
/// said all that there is to say before the upload's end is sent no more of it.
pub(super) fn start(lease: Box<Lease>, reusable: bool, pool: &Arc<Pool>) -> Pumped {
    let (pieces, answer) = mpsc::channel(AT_ONCE);
    tokio::spawn(pump(lease, reusable, Arc::clone(pool), pieces));
    Pumped(answer)
}

async fn pump(mut lease: Box<Lease>, reusable: bool, pool: Arc<Pool>, pieces: Sender<Piece>) {
    let connection = &mut lease.connection;
    loop {
        let next = tokio::select! {
            () = pieces.closed() => return,
            piece = poll_fn(|cx| {
                if let Poll::Ready(Err(error)) = connection.poll_request(cx) {
                    return Poll::Ready(Some(Err(error)));
                }
                connection.poll_body(cx)
            }) => piece,
        };
        let goes_on = matches!(next, Some(Ok(_)));
        let mut place = pin!(pieces.reserve());
        let place = poll_fn(|cx| match connection.poll_request(cx) {
            Poll::Ready(Err(_)) => Poll::Ready(None),
            _ => place.as_mut().poll(cx).map(Result::ok),
        });
        let Some(place) = place.await else { return };
        let next = next.map(|piece| piece.map_err(Into::into));
        if reusable && connection.is_at_rest() {
            // Before the end is told, so that whoever reads it finds the connection in the pool.
            pool.give_back(lease, Instant::now());
            place.send(next);
            if goes_on {
                let _ = pieces.send(None).await;
            }
            return;
        }
        place.send(next);
        if !goes_on {
            return;
        }
    }
}

impl Pumped {
    pub(super) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Poll::Ready(match ready!(self.0.poll_recv(cx)) {
            Some(piece) => piece,
            None => Some(Err("the connection ended before the answer did".into())),
        })
    }
}

/// Pieces of an answer that wait for its reader.
const AT_ONCE: usize = 1;
