//! The first line of a request.

use super::Refusal;
use super::field::is_token_byte;

/// What the rest of the reading needs to know of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RequestLine {
    pub(super) http_10: bool,
    pub(super) connect: bool,
}

/// RFC 9112 section 3: exactly one space on either side of the target, and a target of the form that its method takes.
pub(super) fn read(line: &[u8]) -> Result<RequestLine, Refusal> {
    let mut parts = line.splitn(3, |&byte| byte == b' ');
    let (Some(method), Some(target), Some(version)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(Refusal::RequestLine);
    };
    if method.is_empty() || method.len() > LONGEST_METHOD || !method.iter().all(|&byte| is_token_byte(byte)) {
        return Err(Refusal::RequestLine);
    }
    let http_10 = match version {
        b"HTTP/1.1" => false,
        b"HTTP/1.0" => true,
        _ => return Err(Refusal::Version),
    };
    // A raw `#` would be cut off by the parser of URIs, and with it what stands behind it.
    let odd = target.iter().fold(false, |odd, &byte| odd | !byte.is_ascii_graphic() | (byte == b'#'));
    if odd || !has_its_form(method, target) {
        return Err(Refusal::Target);
    }
    Ok(RequestLine { http_10, connect: method == b"CONNECT" })
}

fn has_its_form(method: &[u8], target: &[u8]) -> bool {
    match (method, target) {
        (b"CONNECT", target) => {
            !target.is_empty() && !target.iter().any(|byte| matches!(byte, b'/' | b'*' | b'?' | b'@'))
        }
        (b"OPTIONS", b"*") => true,
        (_, [b'/', ..]) => true,
        (_, target) => begins(target, b"http://") || begins(target, b"https://"),
    }
}

fn begins(target: &[u8], scheme: &[u8]) -> bool {
    target.get(..scheme.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(scheme))
}

const LONGEST_METHOD: usize = 32;
