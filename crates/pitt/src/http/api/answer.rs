//! Answers: JSON, tables at hand, and tables that are written while they are read.

use std::io::{self, Write};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use serde::Serialize;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::Api;
use super::pool::{Lane, Pool};
use super::problem::Problem;
use super::table::{self, Format, Shape, Source};

/// What a handler gives.
pub type Answer = Result<Response, Problem>;

/// The answer begins when so much of it is written: what fails before is answered by a problem `[bytes]`.
const FIRST_BYTES: usize = 256 << 10;
/// Size of the pieces after it `[bytes]`.
const PIECE_BYTES: usize = 64 << 10;
/// Pieces that may wait for the client.
const WAITING: usize = 4;
/// Longest wait for a client to take one.
const PATIENCE: Duration = Duration::from_secs(30);

/// An answer in JSON.
pub fn json(body: &impl Serialize) -> Answer {
    let text = serde_json::to_string(body)
        .map_err(|error| Problem::fault("the answer cannot be written", &error))?;
    Ok(([(header::CONTENT_TYPE, "application/json")], text).into_response())
}

impl Api {
    /// Asks a quick question, answered in JSON.
    ///
    /// # Errors
    /// The question's own, or too many are waiting.
    pub async fn look<T: Serialize + Send + 'static>(
        &self,
        question: impl FnOnce(&Api) -> Result<T, Problem> + Send + 'static,
    ) -> Answer {
        json(&self.ask(Lane::Quick, question).await?)
    }

    /// Asks a question of the archive.
    ///
    /// # Errors
    /// The question's own, or too many are waiting.
    pub async fn ask<T: Send + 'static>(
        &self,
        lane: Lane,
        question: impl FnOnce(&Api) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let api = self.clone();
        self.pool.ask(lane, move || question(&api)).await
    }

    /// Answers by a table of bounded size, called `name`.
    ///
    /// # Errors
    /// The question's own, or too many are waiting.
    pub async fn table<S: Source>(
        &self,
        lane: Lane,
        (name, shape): (&str, Shape),
        question: impl FnOnce(&Api) -> Result<S, Problem> + Send + 'static,
    ) -> Answer {
        let mut headers = shape.format().headers(name);
        let written = self.ask(lane, move |api| {
            let mut out = vec![];
            let ending = table::write(&mut question(api)?, &shape, &mut out)?;
            Ok((out, ending))
        });
        let (out, ending) = written.await?;
        headers.extend(table::ending_headers(&ending));
        Ok((headers, out).into_response())
    }

    /// Answers by a table, called `name`, that is sent while `write` writes it.
    ///
    /// # Errors
    /// What fails before the answer has begun. Later the connection breaks off, which clients notice.
    pub async fn stream(
        &self,
        (name, format): (&str, Format),
        write: impl FnOnce(&Api, &mut Pieces) -> Result<(), Problem> + Send + 'static,
    ) -> Answer {
        self.stream_as(Lane::Sql, format.headers(name), write).await
    }

    /// Answers with these headers by what `write` writes on a thread of `lane`, sent meanwhile.
    ///
    /// # Errors
    /// As above.
    pub async fn stream_as(
        &self,
        lane: Lane,
        headers: HeaderMap,
        write: impl FnOnce(&Api, &mut Pieces) -> Result<(), Problem> + Send + 'static,
    ) -> Answer {
        let api = self.clone();
        let body = written(&self.pool, lane, move |out| write(&api, out)).await?;
        Ok((headers, body).into_response())
    }
}

/// A body that is sent while it is written on a thread of `lane`.
async fn written(
    pool: &Pool,
    lane: Lane,
    write: impl FnOnce(&mut Pieces) -> Result<(), Problem> + Send + 'static,
) -> Result<Body, Problem> {
    let (send, mut pieces) = mpsc::channel(WAITING);
    let runtime = Handle::current();
    pool.run(lane, move || {
        if send.is_closed() {
            return;
        }
        let mut out = Pieces {
            waiting: vec![],
            begun: false,
            send,
            runtime,
        };
        let outcome = write(&mut out).and_then(|()| out.send().map_err(table::gone));
        let last = outcome.map_or_else(Piece::Broken, |()| Piece::End);
        let _ = out.send.blocking_send(last);
    })?;
    let first = match pieces.recv().await.unwrap_or_else(unwritten) {
        Piece::Some(bytes) => bytes,
        Piece::Broken(problem) => return Err(problem),
        Piece::End => Bytes::new(),
    };
    let rest = futures::stream::unfold((Some(first), pieces), next_piece);
    // What compresses it looks again after the end.
    Ok(Body::from_stream(rest.fuse()))
}

/// What comes from whoever writes. Without an end it is not whole, whatever ended it.
enum Piece {
    Some(Bytes),
    Broken(Problem),
    End,
}

fn unwritten() -> Piece {
    let cause = "a panic, or the program ends";
    Piece::Broken(Problem::fault("the answer was not written", &cause))
}

async fn next_piece(
    (first, mut pieces): (Option<Bytes>, mpsc::Receiver<Piece>),
) -> Option<(io::Result<Bytes>, (Option<Bytes>, mpsc::Receiver<Piece>))> {
    let piece = match first {
        Some(first) => Piece::Some(first),
        None => pieces.recv().await.unwrap_or_else(unwritten),
    };
    let piece = match piece {
        Piece::Some(bytes) => Ok(bytes),
        Piece::Broken(problem) => Err(io::Error::other(problem.detail)),
        Piece::End => return None,
    };
    Some((piece, (None, pieces)))
}

/// Where an answer is written that is sent meanwhile.
pub struct Pieces {
    waiting: Vec<u8>,
    begun: bool,
    send: mpsc::Sender<Piece>,
    runtime: Handle,
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.waiting.extend_from_slice(bytes);
        let most = if self.begun { PIECE_BYTES } else { FIRST_BYTES };
        if self.waiting.len() >= most {
            self.send()?;
        }
        Ok(bytes.len())
    }

    /// Sends nothing: writers flush after each batch, and what is not sent yet can still be replaced by a problem.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Pieces {
    fn send(&mut self) -> io::Result<()> {
        let piece = Bytes::from(std::mem::take(&mut self.waiting));
        self.begun = true;
        // The clock is the runtime's: it is asked inside.
        let sent = async { timeout(PATIENCE, self.send.send(Piece::Some(piece))).await };
        match self.runtime.block_on(sent) {
            Ok(Ok(())) => Ok(()),
            _ => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;

    use super::*;

    async fn told(
        write: impl FnOnce(&mut Pieces) -> Result<(), Problem> + Send + 'static,
    ) -> Option<usize> {
        let body = written(&Pool::start().unwrap(), Lane::Sql, write).await;
        let whole = to_bytes(body.ok()?, usize::MAX).await;
        whole.ok().map(|bytes| bytes.len())
    }

    #[tokio::test]
    async fn an_answer_that_breaks_off_never_looks_whole() {
        let begun = |out: &mut Pieces| out.write_all(&[b'a'; 2 * FIRST_BYTES]).unwrap();
        let ends = move |out: &mut Pieces| {
            begun(out);
            Ok(())
        };
        let whole = told(ends).await;
        assert_eq!(whole, Some(2 * FIRST_BYTES));
        let fails = move |out: &mut Pieces| {
            begun(out);
            Err(Problem::unavailable("busy", "on purpose", 1))
        };
        assert_eq!(told(fails).await, None, "a problem");
        let panics = move |out: &mut Pieces| -> Result<(), Problem> {
            begun(out);
            panic!("on purpose")
        };
        assert_eq!(told(panics).await, None, "a panic");
        assert_eq!(told(|_| Ok(())).await, Some(0), "nothing is whole too");
    }

    #[tokio::test]
    async fn an_answer_that_has_ended_stays_so() {
        let write = |out: &mut Pieces| out.write_all(b"all").map_err(table::gone);
        let body = written(&Pool::start().unwrap(), Lane::Sql, write).await;
        let mut pieces = body.ok().unwrap().into_data_stream();
        assert_eq!(pieces.next().await.unwrap().unwrap(), "all");
        assert!(pieces.next().await.is_none());
        assert!(pieces.next().await.is_none());
    }
}
