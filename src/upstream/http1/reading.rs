//! A whole answer from pieces of bytes, without a connection: for tests and fuzzing.

use bytes::BytesMut;
use http::{HeaderMap, Response};

use super::decoder::Decoder;
use super::head::Reader;

/// A body's bytes and its trailers, or why it did not come whole.
pub type ReadBody = Result<(Vec<u8>, Option<HeaderMap>), String>;

/// What was read.
#[derive(Debug)]
pub struct ReadAnswer {
    /// The first head that is not an interim one.
    pub head: Response<()>,
    /// What followed it.
    pub body: ReadBody,
    /// Whether the connection could be used again.
    pub reusable: bool,
    /// What came behind it.
    pub rest: Vec<u8>,
}

/// Reads an answer out of `pieces`, which come one after the other, and then the end of the connection. `bodiless`: to a HEAD.
///
/// # Errors
/// What is wrong with the head.
pub fn read_answer(pieces: &[&[u8]], bodiless: bool) -> Result<ReadAnswer, String> {
    let (mut received, mut pieces) = (BytesMut::new(), pieces.iter());
    let mut heads = Reader::default();
    let answer = loop {
        match heads.read(&mut received, bodiless)? {
            Some(answer) if answer.head.status().is_informational() && answer.head.status() != 101 => {}
            Some(answer) => break answer,
            None => received.extend_from_slice(pieces.next().ok_or("it ended in the head")?),
        }
    };
    let mut decoder = Decoder::new(answer.length);
    let (mut bytes, mut trailers) = (Vec::new(), None);
    let body = loop {
        match decoder.read(&mut received) {
            Ok(Some(frame)) => match frame.into_data() {
                Ok(data) => bytes.extend_from_slice(&data),
                Err(frame) => trailers = frame.into_trailers().ok(),
            },
            Ok(None) if decoder.is_over() => break Ok((bytes, trailers)),
            Ok(None) => match pieces.next() {
                Some(piece) => received.extend_from_slice(piece),
                None => break decoder.ends().map(|()| (bytes, trailers)).map_err(|error| error.to_string()),
            },
            Err(error) => break Err(error.to_string()),
        }
    };
    for piece in pieces {
        received.extend_from_slice(piece);
    }
    Ok(ReadAnswer { head: answer.head, body, reusable: answer.reusable, rest: received.to_vec() })
}
