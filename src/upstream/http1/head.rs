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
use memchr::memchr;

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
    /// How much of a head that is not whole has been looked at.
    seen: usize,
}

impl Reader {
    /// Another request's answers follow.
    pub(super) fn begin(&mut self) {
        self.interim = 0;
        self.seen = 0;
    }

    /// Takes a head out of `received`, if a whole one is there. `bodiless`: the request was HEAD.
    ///
    /// An error says what is wrong with it.
    pub(super) fn read(&mut self, received: &mut BytesMut, bodiless: bool) -> Result<Option<Head>, String> {
        // The parser takes empty lines before a head, as many as come.
        if received.first().is_some_and(|&byte| byte != b'H') {
            return Err("a head that does not begin with HTTP".to_owned());
        }
        // A head that comes byte by byte is not read again for each of them: only the end of a line can end it.
        if received.len() < MOST_BYTES && memchr(b'\n', received.get(self.seen..).unwrap_or_default()).is_none() {
            self.seen = received.len();
            return Ok(None);
        }
        let mut places = [const { MaybeUninit::uninit() }; MOST_FIELDS];
        let mut parsed = httparse::Response::new(&mut []);
        let read = ParserConfig::default().parse_response_with_uninit_headers(&mut parsed, received, &mut places);
        let length = match read {
            Ok(Status::Complete(length)) if length <= MOST_BYTES => length,
            Ok(Status::Partial) if received.len() < MOST_BYTES => {
                self.seen = received.len();
                return Ok(None);
            }
            Ok(_) => return Err(format!("a head of more than {MOST_BYTES} bytes")),
            Err(error) => return Err(error.to_string()),
        };
        self.seen = 0;
        ends_lines_well(received.get(..length).unwrap_or_default())?;
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
            // What nearly every application says of its connection ends here anyway, and changes nothing.
            if name == Some(CONNECTION) && bytes.get(value.clone()) == Some(b"keep-alive") {
                continue;
            }
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
        let reusable = length != Length::UntilClose && meaning.lets_reuse(status, version);
        Ok(Some(Head { head, length, reusable }))
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
    fn lets_reuse(&self, status: StatusCode, version: Version) -> bool {
        // RFC 9110 section 8.6: who announces a body here may also send it, and the next one would get that for an answer.
        let stray = status == StatusCode::NO_CONTENT && (self.chunked || self.length.is_some_and(|length| length > 0));
        version == Version::HTTP_11 && !self.closes && !self.signs_in && !stray
    }
}

/// Whether credentials or a challenge are for the connection: NTLM and Negotiate, in any place of a list.
pub(in crate::upstream) fn is_of_the_connection(value: &HeaderValue) -> bool {
    value.as_bytes().split(|&byte| byte == b',').any(|part| {
        let scheme = part.trim_ascii().split(|byte| matches!(byte, b' ' | b'\t')).next().unwrap_or_default();
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
        Ok(Status::Complete((length, parsed))) if length <= MOST_TRAILER_BYTES => {
            ends_lines_well(received.get(..length).unwrap_or_default())?;
            let mut fields = HeaderMap::with_capacity(parsed.len());
            for field in parsed {
                let name = HeaderName::from_bytes(field.name.as_bytes()).map_err(|error| error.to_string())?;
                fields.append(name, HeaderValue::from_bytes(field.value).map_err(|error| error.to_string())?);
            }
            Ok(Some((fields, length)))
        }
        Ok(Status::Partial) if received.len() < MOST_TRAILER_BYTES => Ok(None),
        Ok(_) => Err(format!("trailers of more than {MOST_TRAILER_BYTES} bytes")),
        Err(error) => Err(error.to_string()),
    }
}

/// The parser also takes a line that ends with LF alone, which a value that came from elsewhere may hold.
fn ends_lines_well(head: &[u8]) -> Result<(), &'static str> {
    // Without a way out of the loop the compiler can look at many bytes at once.
    let odd =
        head.iter().zip(head.iter().skip(1)).fold(false, |odd, (&one, &next)| odd | (next == b'\n' && one != b'\r'));
    if odd || head.first() == Some(&b'\n') { Err("a line ends without CR") } else { Ok(()) }
}

const MOST_BYTES: usize = 128 * 1024;
const MOST_FIELDS: usize = 100;
const MOST_INTERIM: usize = 32;
const MOST_TRAILERS: usize = 64;
const MOST_TRAILER_BYTES: usize = 16 * 1024;
/// What the gateway adds to an answer, as a rule.
const ROOM_FOR_OURS: usize = 4;
const NO_STATUS: &str = "a head without a status";
