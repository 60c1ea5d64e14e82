//! The head of an answer: read strictly, since two readers that read it in two ways are how answers get to the wrong people.

use std::mem::MaybeUninit;
use std::ops::Range;

use bytes::{Bytes, BytesMut};
use http::header::{
    CONNECTION, CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, PROXY_AUTHENTICATE, TRANSFER_ENCODING,
    WWW_AUTHENTICATE,
};
use http::{Response, StatusCode, Version};
use httparse::{ParserConfig, Status};
use hyper::ext::ReasonPhrase;

/// How a body's end is found (RFC 9112 section 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::upstream) enum Length {
    Exactly(u64),
    Chunked,
    /// With the connection.
    UntilClose,
}

/// The head of an answer.
pub(in crate::upstream) struct Head {
    pub(in crate::upstream) head: Response<()>,
    pub(in crate::upstream) length: Length,
    /// Whether another request may follow on the connection, whoever it is from.
    pub(in crate::upstream) reusable: bool,
}

/// Reads heads; keeps the room that it needs for that.
#[derive(Default)]
pub(super) struct Reader {
    fields: Vec<(Range<usize>, Range<usize>)>,
    interim: usize,
}

impl Reader {
    /// Another request's answers follow.
    pub(super) fn begin(&mut self) {
        self.interim = 0;
    }

    /// Takes a head out of `received`, if a whole one is there. `bodiless`: the request was HEAD.
    ///
    /// An error says what is wrong with it.
    pub(super) fn read(&mut self, received: &mut BytesMut, bodiless: bool) -> Result<Option<Head>, String> {
        if received.is_empty() {
            return Ok(None);
        }
        let mut places = [const { MaybeUninit::uninit() }; MOST_FIELDS];
        let mut parsed = httparse::Response::new(&mut []);
        let read = ParserConfig::default().parse_response_with_uninit_headers(&mut parsed, received, &mut places);
        let length = match read {
            Ok(Status::Complete(length)) => length,
            Ok(Status::Partial) if received.len() >= MOST_BYTES => return Err(format!("a head of {MOST_BYTES} bytes")),
            Ok(Status::Partial) => return Ok(None),
            Err(error) => return Err(error.to_string()),
        };
        let (Some(version), Some(code)) = (parsed.version, parsed.code) else { return Err(NO_STATUS.to_owned()) };
        let status = StatusCode::from_u16(code).map_err(|error| error.to_string())?;
        let reason = parsed.reason.filter(|reason| !reason.is_empty() && Some(*reason) != status.canonical_reason());
        let reason = reason.and_then(|reason| ReasonPhrase::try_from(reason.as_bytes()).ok());

        // Places instead of slices, so that the values can share the bytes that were received.
        let start = received.as_ptr() as usize;
        let place = |bytes: &[u8]| {
            let begins = (bytes.as_ptr() as usize).saturating_sub(start);
            begins..begins + bytes.len()
        };
        self.fields.clear();
        self.fields.extend(parsed.headers.iter().map(|field| (place(field.name.as_bytes()), place(field.value))));
        let bytes = received.split_to(length).freeze();
        let mut fields = HeaderMap::with_capacity(self.fields.len() + ROOM_FOR_OURS);
        let mut meaning = Meaning::default();
        for (name, value) in &self.fields {
            let name = bytes.get(name.clone()).and_then(|name| HeaderName::from_bytes(name).ok());
            // An empty value has no place of its own.
            let value = if value.is_empty() { Bytes::new() } else { bytes.slice(value.clone()) };
            let (Some(name), Ok(value)) = (name, HeaderValue::from_maybe_shared(value)) else {
                return Err("a field that is none".to_owned());
            };
            meaning.take(&name, &value)?;
            fields.append(name, value);
        }
        let version = if version == 0 { Version::HTTP_10 } else { Version::HTTP_11 };
        if status.is_informational() {
            self.interim += 1;
            if self.interim > MOST_INTERIM {
                return Err(format!("more than {MOST_INTERIM} interim answers"));
            }
        }
        let length = meaning.length(status, version, bodiless)?;
        let mut head = Response::new(());
        *head.status_mut() = status;
        *head.version_mut() = version;
        *head.headers_mut() = fields;
        if let Some(reason) = reason {
            head.extensions_mut().insert(reason);
        }
        Ok(Some(Head { head, length, reusable: length != Length::UntilClose && meaning.lets_reuse(version) }))
    }
}

/// What the fields of a head say about the message and its connection, gathered as they come.
#[derive(Default)]
struct Meaning {
    length: Option<u64>,
    chunked: bool,
    closes: bool,
    signs_in: bool,
}

impl Meaning {
    /// RFC 9112 section 6.3, and no doubt about it: what could be read in two ways is refused.
    fn take(&mut self, name: &HeaderName, value: &HeaderValue) -> Result<(), &'static str> {
        if *name == CONTENT_LENGTH {
            if self.length.replace(content_length(value)?).is_some() {
                return Err("Content-Length comes twice");
            }
        } else if *name == TRANSFER_ENCODING {
            if self.chunked || !value.as_bytes().eq_ignore_ascii_case(b"chunked") {
                return Err("an unknown Transfer-Encoding");
            }
            self.chunked = true;
        } else if *name == CONNECTION {
            self.closes |=
                value.as_bytes().split(|&byte| byte == b',').any(|it| it.trim_ascii().eq_ignore_ascii_case(b"close"));
        } else if *name == WWW_AUTHENTICATE || *name == PROXY_AUTHENTICATE {
            self.signs_in |= is_of_the_connection(value);
        }
        Ok(())
    }

    fn length(&self, status: StatusCode, version: Version, bodiless: bool) -> Result<Length, &'static str> {
        let none = bodiless
            || status.is_informational()
            || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        match (self.length, self.chunked) {
            (Some(_), true) => Err("both Content-Length and Transfer-Encoding"),
            (None, true) if version == Version::HTTP_10 => Err("Transfer-Encoding in HTTP/1.0"),
            _ if none => Ok(Length::Exactly(0)),
            (Some(length), false) => Ok(Length::Exactly(length)),
            (None, true) => Ok(Length::Chunked),
            (None, false) => Ok(Length::UntilClose),
        }
    }

    /// Whether the next request on the connection may be another person's (RFC 4559 signs in the connection, not the request).
    fn lets_reuse(&self, version: Version) -> bool {
        version == Version::HTTP_11 && !self.closes && !self.signs_in
    }
}

/// Whether credentials or a challenge are for the connection: NTLM and Negotiate, in any place of a list.
pub(in crate::upstream) fn is_of_the_connection(value: &HeaderValue) -> bool {
    value.as_bytes().split(|&byte| byte == b',').any(|part| {
        let scheme = part.trim_ascii().split(|&byte| byte == b' ').next().unwrap_or_default();
        [&b"ntlm"[..], b"negotiate", b"kerberos"].iter().any(|known| scheme.eq_ignore_ascii_case(known))
    })
}

/// Digits alone: signs, blanks and lists are read by some and not by others.
pub(in crate::upstream) fn content_length(value: &HeaderValue) -> Result<u64, &'static str> {
    let digits = value.to_str().ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    digits.and_then(|digits| digits.parse().ok()).ok_or("Content-Length is no number")
}

/// The fields of a trailer section, and how long it is with the empty line at its end. `None` while that has not come.
pub(super) fn trailers(received: &[u8]) -> Result<Option<(HeaderMap, usize)>, String> {
    let mut places = [httparse::EMPTY_HEADER; MOST_TRAILERS];
    match httparse::parse_headers(received, &mut places) {
        Ok(Status::Complete((length, parsed))) => {
            let mut fields = HeaderMap::with_capacity(parsed.len());
            for field in parsed {
                let name = HeaderName::from_bytes(field.name.as_bytes()).map_err(|error| error.to_string())?;
                fields.append(name, HeaderValue::from_bytes(field.value).map_err(|error| error.to_string())?);
            }
            Ok(Some((fields, length)))
        }
        Ok(Status::Partial) if received.len() >= MOST_TRAILER_BYTES => {
            Err(format!("trailers of {MOST_TRAILER_BYTES} bytes"))
        }
        Ok(Status::Partial) => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}

const MOST_BYTES: usize = 128 * 1024;
const MOST_FIELDS: usize = 100;
const MOST_INTERIM: usize = 32;
const MOST_TRAILERS: usize = 64;
const MOST_TRAILER_BYTES: usize = 16 * 1024;
/// What the gateway adds to an answer, as a rule.
const ROOM_FOR_OURS: usize = 4;
const NO_STATUS: &str = "a head without a status";
