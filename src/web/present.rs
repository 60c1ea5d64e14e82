//! Which of the rarer fields that decide something a request has.

use http::HeaderMap;

/// Found in one pass over the names: most are in no request, and to ask for each costs more than to look at all there are.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Present {
    pub(super) authorization: bool,
    pub(super) connection: bool,
    pub(super) expect: bool,
    pub(super) te: bool,
    pub(super) transfer_encoding: bool,
    pub(super) upgrade: bool,
    /// `Keep-Alive` or `Proxy-Connection`.
    pub(super) keeping: bool,
    /// `content_length` or `transfer_encoding`.
    pub(super) framing_underscored: bool,
}

impl Present {
    pub(super) fn among(headers: &HeaderMap) -> Self {
        let mut present = Self::default();
        for name in headers.keys() {
            let name = name.as_str();
            match name.as_bytes().first() {
                Some(b'a') => present.authorization |= name == "authorization",
                Some(b'c') => {
                    present.connection |= name == "connection";
                    present.framing_underscored |= name == "content_length";
                }
                Some(b'e') => present.expect |= name == "expect",
                Some(b'k') => present.keeping |= name == "keep-alive",
                Some(b'p') => present.keeping |= name == "proxy-connection",
                Some(b't') => {
                    present.te |= name == "te";
                    present.transfer_encoding |= name == "transfer-encoding";
                    present.framing_underscored |= name == "transfer_encoding";
                }
                Some(b'u') => present.upgrade |= name == "upgrade",
                _ => {}
            }
        }
        present
    }
}
