//! The last answer of a connection whose next head cannot be read: hyper writes it by itself, and what all of our answers carry is
//! added here.

use http::HeaderValue;
use memchr::memmem;

/// Takes hyper's own answer over, so that it can be sent with more fields.
#[derive(Debug)]
pub(super) struct Farewell {
    hsts: Option<HeaderValue>,
    bytes: Vec<u8>,
    written: usize,
}

impl Farewell {
    /// `hsts` is the value of `Strict-Transport-Security`, where the connection is one for it.
    pub(super) fn new(hsts: Option<HeaderValue>) -> Self {
        Self { hsts, bytes: Vec::new(), written: 0 }
    }

    /// Where hyper's answer begins in what it wants to write: it is the last of a connection and ends with its head, and there may be
    /// the head of an earlier answer before it.
    pub(super) fn begins(bytes: &[u8]) -> Option<usize> {
        let refused = [BAD_REQUEST, TOO_LARGE].into_iter().filter_map(|line| memmem::rfind(bytes, line)).max()?;
        let begins = refused.checked_sub(VERSION.len())?;
        let whole = bytes.get(begins..)?;
        (whole.starts_with(VERSION_10) || whole.starts_with(VERSION))
            .then_some(begins)
            .filter(|_| memmem::find(whole, END).is_some_and(|end| end + END.len() == whole.len()))
    }

    /// Takes that answer.
    pub(super) fn take(&mut self, answer: &[u8]) {
        self.bytes.extend_from_slice(answer.strip_suffix(b"\r\n").unwrap_or(answer));
        self.bytes.extend_from_slice(FIELDS);
        if let Some(hsts) = &self.hsts {
            self.bytes.extend_from_slice(b"strict-transport-security: ");
            self.bytes.extend_from_slice(hsts.as_bytes());
            self.bytes.extend_from_slice(b"\r\n");
        }
        self.bytes.extend_from_slice(b"\r\n");
    }

    /// What of it is still to be written.
    pub(super) fn rest(&self) -> &[u8] {
        self.bytes.get(self.written..).unwrap_or_default()
    }

    /// So many bytes of it have been written.
    pub(super) fn wrote(&mut self, count: usize) {
        self.written += count;
    }
}

/// As on every answer of ours (`web::answer`).
const FIELDS: &[u8] = b"cache-control: no-store\r\nx-content-type-options: nosniff\r\nreferrer-policy: no-referrer\r\n\
    cross-origin-opener-policy: same-origin\r\n";
const VERSION: &[u8] = b"HTTP/1.1";
const VERSION_10: &[u8] = b"HTTP/1.0";
const BAD_REQUEST: &[u8] = b" 400 Bad Request\r\n";
const TOO_LARGE: &[u8] = b" 431 Request Header Fields Too Large\r\n";
const END: &[u8] = b"\r\n\r\n";

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &str = "HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\ndate: today\r\n\r\n";

    #[test]
    fn hypers_answer_is_found_alone_and_behind_another() {
        assert_eq!(Farewell::begins(OWN.as_bytes()), Some(0));
        let own = OWN.replace("1.1 400 Bad Request", "1.0 431 Request Header Fields Too Large");
        assert_eq!(Farewell::begins(own.as_bytes()), Some(0));
        let earlier = "HTTP/1.1 204 No Content\r\nvary: cookie\r\n\r\n";
        assert_eq!(Farewell::begins(format!("{earlier}{OWN}").as_bytes()), Some(earlier.len()));
        for other in [
            "",
            " 400 Bad Request\r\n\r\n",
            earlier,
            "HTTP/1.1 400 Bad Request\r\ncontent-length: 2\r\n\r\nno",
            "HTTP/1.1 400 Bad Request\r\ncontent-length: 2\r\n",
            "FTTP/1.1 400 Bad Request\r\n\r\n",
        ] {
            assert_eq!(Farewell::begins(other.as_bytes()), None, "{other:?}");
        }
    }

    /// TLS-04: what hyper said stays, and the fields of our other answers are added.
    #[test]
    fn fields_are_added() {
        for (hsts, line) in [(None, ""), (Some("max-age=5"), "strict-transport-security: max-age=5\r\n")] {
            let mut farewell = Farewell::new(hsts.map(HeaderValue::from_static));
            farewell.take(OWN.as_bytes());
            let said = String::from_utf8(farewell.rest().to_vec()).unwrap();
            let begins = OWN.trim_end().to_owned() + "\r\ncache-control: no-store\r\n";
            assert!(said.starts_with(&begins) && said.ends_with(&format!("same-origin\r\n{line}\r\n")), "{said}");
            farewell.wrote(said.len() - 2);
            assert_eq!(farewell.rest(), b"\r\n");
        }
    }
}
