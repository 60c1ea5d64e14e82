//! A second reading of HTTP/1 requests, of a whole stream at once and without a thought for speed (RFC 9112).

use super::framing::{HEADER_BYTES, HEADER_COUNT};

/// What a stream holds.
#[derive(Debug)]
pub(super) struct Reading {
    /// The complete messages.
    pub(super) messages: Vec<Message>,
    /// What comes after them.
    pub(super) last: Last,
}

#[derive(Debug)]
pub(super) struct Message {
    /// Where it ends in the stream.
    pub(super) end: usize,
    pub(super) method: String,
    pub(super) target: Vec<u8>,
    pub(super) body: Vec<u8>,
    /// Whether it asks for the connection to become something else.
    pub(super) tunnel: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Last {
    /// Nothing.
    Clean,
    /// The beginning of a message, and no mistake yet.
    Partial,
    /// A head that must be refused.
    Head,
    /// A body that must be refused.
    Body,
    /// A head beyond a limit.
    TooLarge,
}

pub(super) fn read(stream: &[u8]) -> Reading {
    let mut reading = Reading { messages: Vec::new(), last: Last::Clean };
    let mut at = 0;
    while at < stream.len() {
        match message(stream, at) {
            Ok(message) => {
                at = message.end;
                reading.messages.push(message);
            }
            Err(last) => {
                reading.last = last;
                break;
            }
        }
    }
    reading
}

fn message(stream: &[u8], begin: usize) -> Result<Message, Last> {
    let begin = match stream[begin..] {
        [b'\r'] | [b'\r', b'\n'] => return Err(Last::Partial),
        [b'\r', b'\n', b'\r' | b'\n', ..] | [b'\n', ..] => return Err(Last::Head),
        [b'\r', b'\n', ..] => begin + 2,
        [b'\r', ..] => return Err(Last::Head),
        _ => begin,
    };
    let mut at = begin;
    let line = head_line(stream, begin, &mut at)?;
    let mut head = request_line(line).ok_or(Last::Head)?;
    let mut count = 0;
    loop {
        let line = head_line(stream, begin, &mut at)?;
        if line.is_empty() {
            break;
        }
        count += 1;
        head.field(line).ok_or(Last::Head)?;
        if count > HEADER_COUNT {
            return Err(Last::TooLarge);
        }
    }
    if !head.host || head.chunked && head.length.is_some() {
        return Err(Last::Head);
    }
    let mut body = Vec::new();
    if head.chunked {
        chunks(stream, &mut at, &mut body)?;
    } else {
        let length = usize::try_from(head.length.unwrap_or(0)).unwrap_or(usize::MAX);
        body.extend_from_slice(stream[at..].get(..length).ok_or(Last::Partial)?);
        at += length;
    }
    Ok(Message { end: at, method: head.method, target: head.target, body, tunnel: head.tunnel })
}

/// One line of a head without its CRLF.
fn head_line<'a>(stream: &'a [u8], begin: usize, at: &mut usize) -> Result<&'a [u8], Last> {
    let rest = &stream[*at..];
    let Some(end) = rest.iter().position(|&byte| byte == b'\n') else {
        return Err(if stream.len() - begin > HEADER_BYTES { Last::TooLarge } else { Last::Partial });
    };
    *at += end + 1;
    if *at - begin > HEADER_BYTES {
        return Err(Last::TooLarge);
    }
    rest[..end].strip_suffix(b"\r").ok_or(Last::Head)
}

struct Head {
    method: String,
    target: Vec<u8>,
    http_10: bool,
    host: bool,
    length: Option<u64>,
    chunked: bool,
    tunnel: bool,
}

fn request_line(line: &[u8]) -> Option<Head> {
    let line = std::str::from_utf8(line).ok()?;
    let [method, target, version] = line.split(' ').collect::<Vec<_>>()[..] else { return None };
    let connect = method == "CONNECT";
    let form = match target {
        _ if connect => !target.is_empty() && !target.contains(['/', '*', '?', '@']),
        "*" => method == "OPTIONS",
        _ => {
            let lower = target.to_ascii_lowercase();
            ["/", "http://", "https://"].iter().any(|begin| lower.starts_with(begin))
        }
    };
    let graphic = target.chars().all(|c| c.is_ascii_graphic() && c != '#');
    let known = version == "HTTP/1.0" || version == "HTTP/1.1";
    (is_token(method) && method.len() <= 32 && form && graphic && known).then(|| Head {
        method: method.to_owned(),
        target: target.as_bytes().to_vec(),
        http_10: version == "HTTP/1.0",
        host: false,
        length: None,
        chunked: false,
        tunnel: connect,
    })
}

impl Head {
    fn field(&mut self, line: &[u8]) -> Option<()> {
        let (name, value) = field(line)?;
        match name.as_str() {
            "host" => {
                let fits = |byte: &u8| byte.is_ascii_graphic() && !b",/\\@?#".contains(byte);
                if self.host || value.is_empty() || !value.iter().all(fits) {
                    return None;
                }
                self.host = true;
            }
            "content-length" => {
                let digits = !value.is_empty() && value.len() < 19 && value.iter().all(u8::is_ascii_digit);
                if self.length.is_some() || !digits {
                    return None;
                }
                self.length = Some(std::str::from_utf8(&value).ok()?.parse().ok()?);
            }
            "transfer-encoding" => {
                if self.chunked || self.http_10 || !value.eq_ignore_ascii_case(b"chunked") {
                    return None;
                }
                self.chunked = true;
            }
            "upgrade" => self.tunnel |= !self.http_10,
            _ => {}
        }
        Some(())
    }
}

/// A field's name in lower case and its value without blanks around it.
fn field(line: &[u8]) -> Option<(String, Vec<u8>)> {
    let colon = line.iter().position(|&byte| byte == b':')?;
    let name = std::str::from_utf8(&line[..colon]).ok()?.to_ascii_lowercase();
    let value = &line[colon + 1..];
    let control = |byte: &u8| *byte == 0x7f || *byte < b' ' && *byte != b'\t';
    let folded = name.replace('_', "-");
    let disguised = name != folded && ["content-length", "transfer-encoding"].contains(&folded.as_str());
    if !is_token(&name) || value.iter().any(control) || disguised {
        return None;
    }
    let begin = value.iter().position(|byte| !b" \t".contains(byte)).unwrap_or(value.len());
    let end = value.iter().rposition(|byte| !b" \t".contains(byte)).map_or(begin, |at| at + 1);
    Some((name, value[begin..end].to_vec()))
}

fn chunks(stream: &[u8], at: &mut usize, body: &mut Vec<u8>) -> Result<(), Last> {
    const LINE: usize = 1024;
    loop {
        let rest = &stream[*at..];
        let end = rest.iter().position(|&byte| byte == b'\n');
        let Some(end) = end.filter(|end| *end < LINE) else {
            return Err(if end.is_some() || rest.len() > LINE { Last::Body } else { Last::Partial });
        };
        *at += end + 1;
        let line = rest[..end].strip_suffix(b"\r").and_then(|line| std::str::from_utf8(line).ok().or(odd(line)));
        let size = line.and_then(chunk_size).ok_or(Last::Body)?;
        if size == 0 {
            return trailers(stream, at);
        }
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        body.extend_from_slice(stream[*at..].get(..size).ok_or(Last::Partial)?);
        *at += size;
        match stream[*at..] {
            [b'\r', b'\n', ..] => *at += 2,
            // Two bytes may be the beginning of a line that is judged only at its end.
            [a, b] if a != b'\n' && b != b'\n' => return Err(Last::Partial),
            [a] if a != b'\n' => return Err(Last::Partial),
            [] => return Err(Last::Partial),
            _ => return Err(Last::Body),
        }
    }
}

/// Bytes that are no UTF-8 may stand in an extension, which nobody reads.
fn odd(line: &[u8]) -> Option<&str> {
    let good = line.utf8_chunks().next()?.valid();
    let control = |byte: &u8| *byte == 0x7f || *byte < b' ' && *byte != b'\t';
    (good.contains(';') && !line.iter().any(control)).then_some(good)
}

fn chunk_size(line: &str) -> Option<u64> {
    let digits = line.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(line.len());
    let (size, extension) = line.split_at(digits);
    let control = |c: char| c == '\u{7f}' || c < ' ' && c != '\t';
    if size.is_empty() || size.len() > 15 || extension.contains(control) {
        return None;
    }
    let begins = extension.is_empty() || extension.trim_start_matches([' ', '\t']).starts_with(';');
    begins.then(|| u64::from_str_radix(size, 16).ok()).flatten()
}

fn trailers(stream: &[u8], at: &mut usize) -> Result<(), Last> {
    let (begin, mut count) = (*at, 0);
    loop {
        let rest = &stream[*at..];
        let Some(end) = rest.iter().position(|&byte| byte == b'\n') else {
            return Err(if stream.len() - begin > HEADER_BYTES { Last::Body } else { Last::Partial });
        };
        *at += end + 1;
        if *at - begin > HEADER_BYTES {
            return Err(Last::Body);
        }
        let line = rest[..end].strip_suffix(b"\r").ok_or(Last::Body)?;
        if line.is_empty() {
            return Ok(());
        }
        count += 1;
        if count > HEADER_COUNT || field(line).is_none() {
            return Err(Last::Body);
        }
    }
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c))
}
