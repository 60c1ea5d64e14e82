//! One canonical path, for deciding and for forwarding.
//!
//! The gateway and an application must never read one path in two ways. What can be brought to one form is; what servers
//! are known to read differently (RFC 3986 section 6.2 leaves room) is refused.

use std::borrow::Cow;

use http::uri::PathAndQuery;

/// Why a path is refused: 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// It does not begin with a slash (`*` among them).
    #[error("the path does not begin with a slash")]
    NotAbsolute,
    /// `%` without two hexadecimal digits.
    #[error("the path holds a broken percent escape")]
    BadEscape,
    /// Escapes that are no UTF-8, overlong forms among them.
    #[error("the path's percent escapes are not valid UTF-8")]
    NotUtf8,
    /// `%00` and its kind, also beyond ASCII.
    #[error("the path holds an encoded control character")]
    EncodedControl,
    /// `\`, raw or encoded.
    #[error("the path holds a backslash")]
    Backslash,
    /// A byte that no path may hold unencoded: controls, space, `#`, `?`, non-ASCII and the like.
    #[error("the path holds a character that must be encoded")]
    BadCharacter,
    /// `//`, or a segment of parameters alone before another segment.
    #[error("the path holds an empty segment")]
    EmptySegment,
    /// `..;`, `.;`, `..%2F` and their like: a dot segment for one server, a name for another.
    #[error("the path holds a dot segment in disguise")]
    DotSegment,
    /// Longer than the HTTP library can hold.
    #[error("the path is too long")]
    TooLong,
}

/// A path that every server reads alike: unreserved characters are never encoded, escapes are in upper case, and there are
/// no dot segments, empty segments or backslashes.
///
/// `%2F` stays and is flagged: whether it is allowed is the route's affair.
#[derive(Clone)]
pub struct CanonicalPath {
    /// May carry the query as well, so that an already canonical request shares its own bytes with this.
    target: PathAndQuery,
    encoded_slash: bool,
}

impl CanonicalPath {
    /// Reads a path without a query.
    ///
    /// # Errors
    ///
    /// When servers could read it differently.
    pub fn parse(path: &str) -> Result<Self, PathError> {
        if is_plain(path) {
            let target = PathAndQuery::try_from(path).map_err(|_| PathError::TooLong)?;
            return Ok(Self { target, encoded_slash: false });
        }
        let (text, encoded_slash) = canonicalize(path)?;
        Ok(Self { target: PathAndQuery::try_from(text).map_err(|_| PathError::TooLong)?, encoded_slash })
    }

    /// Reads the path of a request's target; the query is carried along untouched. No allocation when it is canonical.
    ///
    /// # Errors
    ///
    /// When servers could read it differently.
    pub fn of(target: &PathAndQuery) -> Result<Self, PathError> {
        // `?a` alone has the path `/`, which its text does not show.
        let complete = target.as_str().starts_with('/');
        if complete && is_plain(target.path()) {
            return Ok(Self { target: target.clone(), encoded_slash: false });
        }
        let (mut text, encoded_slash) = canonicalize(target.path())?;
        if complete && text == target.path() {
            return Ok(Self { target: target.clone(), encoded_slash });
        }
        if let Some(query) = target.query() {
            text.push('?');
            text.push_str(query);
        }
        Ok(Self { target: PathAndQuery::try_from(text).map_err(|_| PathError::TooLong)?, encoded_slash })
    }

    /// The path alone.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.target.path()
    }

    /// The query as it came, if the path was read from a request's target.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        self.target.query()
    }

    /// Path and query, the bytes that are forwarded.
    #[must_use]
    pub fn target(&self) -> &PathAndQuery {
        &self.target
    }

    /// Whether it holds `%2F`.
    #[must_use]
    pub fn has_encoded_slash(&self) -> bool {
        self.encoded_slash
    }

    /// Whether it is `prefix` or lies below it.
    #[must_use]
    pub fn is_below(&self, prefix: &str) -> bool {
        self.as_str().strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

impl PartialEq for CanonicalPath {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for CanonicalPath {}

impl std::fmt::Debug for CanonicalPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Debug::fmt(self.as_str(), f)
    }
}

impl std::fmt::Display for CanonicalPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The path with every escape decoded once, as most applications see it. `path` is canonical.
#[must_use]
pub fn decoded(path: &str) -> Cow<'_, str> {
    if !path.contains('%') {
        return Cow::Borrowed(path);
    }
    let mut out = Vec::with_capacity(path.len());
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        let value = if byte == b'%' { escape(&mut bytes) } else { Some(byte) };
        // A canonical path has whole escapes only.
        out.push(value.unwrap_or(b'%'));
    }
    Cow::Owned(String::from_utf8(out).unwrap_or_else(|_| path.to_owned()))
}

/// The path without the `;parameters` of its segments, as servlet containers see it.
#[must_use]
pub fn without_parameters(path: &str) -> Cow<'_, str> {
    if !path.contains(';') {
        return Cow::Borrowed(path);
    }
    let mut out = String::with_capacity(path.len());
    for (n, segment) in path.split('/').enumerate() {
        if n > 0 {
            out.push('/');
        }
        out.push_str(segment.split(';').next().unwrap_or_default());
    }
    Cow::Owned(out)
}

/// What nearly every path is: canonical at first sight. Everything else takes the careful way.
fn is_plain(path: &str) -> bool {
    let mut before = 0;
    for &byte in path.as_bytes() {
        if before == b'/' && matches!(byte, b'/' | b'.') || matches!(byte, b'%' | b';') || !is_allowed(byte) {
            return false;
        }
        before = byte;
    }
    path.starts_with('/')
}

fn canonicalize(path: &str) -> Result<(String, bool), PathError> {
    let text = remove_dot_segments(&normalize_escapes(path)?)?;
    let encoded_slash = text.contains("%2F");
    Ok((text, encoded_slash))
}

/// Decodes what need not be encoded, and refuses what is ambiguous in any encoding.
fn normalize_escapes(path: &str) -> Result<String, PathError> {
    let mut text = String::with_capacity(path.len());
    let mut decoded = Vec::with_capacity(path.len());
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            match byte {
                b'\\' => return Err(PathError::Backslash),
                _ if !is_allowed(byte) => return Err(PathError::BadCharacter),
                _ => text.push(char::from(byte)),
            }
            decoded.push(byte);
            continue;
        }
        let value = escape(&mut bytes).ok_or(PathError::BadEscape)?;
        match value {
            b'\\' => return Err(PathError::Backslash),
            0x00..=0x1f | 0x7f => return Err(PathError::EncodedControl),
            _ if is_unreserved(value) => text.push(char::from(value)),
            _ => {
                text.push('%');
                text.push(upper_hex(value >> 4));
                text.push(upper_hex(value & 0xf));
            }
        }
        decoded.push(value);
    }
    let decoded = std::str::from_utf8(&decoded).map_err(|_| PathError::NotUtf8)?;
    if decoded.chars().any(char::is_control) {
        return Err(PathError::EncodedControl);
    }
    Ok(text)
}

/// RFC 3986 section 5.2.4, on segments, and refuses those that only some servers take for dot segments or for none.
fn remove_dot_segments(path: &str) -> Result<String, PathError> {
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.strip_prefix('/').ok_or(PathError::NotAbsolute)?.split('/').peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            "" if !last => return Err(PathError::EmptySegment),
            "." | ".." => {
                if segment == ".." {
                    kept.pop();
                }
                if last {
                    kept.push("");
                }
            }
            _ => {
                check_disguises(segment, last)?;
                kept.push(segment);
            }
        }
    }
    let mut out = String::with_capacity(path.len());
    for segment in &kept {
        out.push('/');
        out.push_str(segment);
    }
    Ok(out)
}

/// A server that strips `;parameters`, or that takes `%2F` for a slash, must see no dot and no empty segment either.
fn check_disguises(segment: &str, last: bool) -> Result<(), PathError> {
    if !segment.contains([';', '%']) {
        return Ok(());
    }
    let mut pieces = segment.split("%2F").peekable();
    while let Some(piece) = pieces.next() {
        let name = piece.split(';').next().unwrap_or_default();
        let name = name.split("%3B").next().unwrap_or_default();
        match name {
            "." | ".." => return Err(PathError::DotSegment),
            "" if name.len() < piece.len() && !(last && pieces.peek().is_none()) => {
                return Err(PathError::EmptySegment);
            }
            _ => {}
        }
    }
    Ok(())
}

/// What may stand in a path unencoded: RFC 3986's `pchar` and slash, and `" [ ] ^ { | }`, which browsers send raw.
const fn is_allowed(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'\\' | b'#' | b'?' | b'<' | b'>' | b'`')
}

const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

fn escape(bytes: &mut std::str::Bytes<'_>) -> Option<u8> {
    let high = hex(bytes.next()?)?;
    Some(high << 4 | hex(bytes.next()?)?)
}

const fn hex(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

fn upper_hex(nibble: u8) -> char {
    char::from_digit(u32::from(nibble), 16).unwrap_or('0').to_ascii_uppercase()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// HTTP-06: the corpus of spellings, each with the one form it has or the word that it is refused.
    #[test]
    fn corpus() {
        let corpus = include_str!("../../tests/data/paths.txt");
        let mut cases = 0;
        for line in corpus.lines().filter(|line| !line.is_empty() && !line.starts_with("# ")) {
            let (raw, expected) = line.split_once(" => ").unwrap_or_else(|| panic!("no arrow in {line:?}"));
            let raw = crate::web::return_to::tests::unescape(raw.trim_end());
            let found = CanonicalPath::parse(&raw);
            match expected.trim() {
                "refused" => assert!(found.is_err(), "{raw:?} became {found:?}"),
                expected => assert_eq!(found.as_ref().map(CanonicalPath::as_str), Ok(expected), "{raw:?}"),
            }
            cases += 1;
        }
        assert!(cases > 80, "{cases}");
    }

    /// HTTP-06: the errors name the reason.
    #[test]
    fn reasons() {
        for (raw, reason) in [
            ("", PathError::NotAbsolute),
            ("*", PathError::NotAbsolute),
            ("/%", PathError::BadEscape),
            ("/%c0%af", PathError::NotUtf8),
            ("/%00", PathError::EncodedControl),
            ("/%C2%85", PathError::EncodedControl),
            ("/a\\b", PathError::Backslash),
            ("/%5C", PathError::Backslash),
            ("/a#b", PathError::BadCharacter),
            ("/ä", PathError::BadCharacter),
            ("//", PathError::EmptySegment),
            ("/;x/a", PathError::EmptySegment),
            ("/..;/a", PathError::DotSegment),
            ("/a%2F..%2Fb", PathError::DotSegment),
        ] {
            assert_eq!(CanonicalPath::parse(raw).unwrap_err(), reason, "{raw}");
        }
    }

    #[test]
    fn encoded_slashes_are_flagged_and_the_query_is_never_touched() {
        let target: PathAndQuery = "/a%2fb/%7euser?x=%2f&y=%7e../".parse().unwrap();
        let path = CanonicalPath::of(&target).unwrap();
        assert!(path.has_encoded_slash());
        assert_eq!(path.as_str(), "/a%2Fb/~user");
        assert_eq!(path.target(), "/a%2Fb/~user?x=%2f&y=%7e../");
        assert!(!CanonicalPath::parse("/a%2fb/../c").unwrap().has_encoded_slash());
        assert!(!CanonicalPath::parse("/a%252fb").unwrap().has_encoded_slash());
        assert_eq!(CanonicalPath::of(&"?a=1".parse().unwrap()).unwrap().target(), "/?a=1");
    }

    #[test]
    fn below_is_at_a_segment_boundary() {
        let path = CanonicalPath::parse("/oauth2/login").unwrap();
        assert!(path.is_below("/oauth2"));
        assert!(path.is_below("/oauth2/login"));
        assert!(!path.is_below("/oauth"));
    }

    proptest! {
        /// HTTP-06: what was canonical once stays as it is, and holds nothing that could be read in two ways.
        #[test]
        fn canonical_is_stable(raw in "(/([a-zA-Z.;~|%]|%2[eEfF5]|%3[bB]|%[46][1-9a-f]|\\.\\.|%C3%A9){0,5}){1,6}") {
            if let Ok(path) = CanonicalPath::parse(&raw) {
                let again = CanonicalPath::parse(path.as_str()).unwrap();
                prop_assert_eq!(again.as_str(), path.as_str());
                prop_assert_eq!(again.has_encoded_slash(), path.has_encoded_slash());
                for view in [path.as_str().to_owned(), without_parameters(path.as_str()).into_owned(),
                             without_parameters(&decoded(path.as_str())).into_owned()] {
                    prop_assert!(view.starts_with('/'));
                    prop_assert!(!view.split('/').any(|segment| segment == "." || segment == ".."), "{}", view);
                }
                let raw_segments: Vec<&str> = path.as_str().split('/').skip(1).collect();
                prop_assert!(raw_segments.iter().rev().skip(1).all(|segment| !segment.is_empty()));
            }
        }

        /// HTTP-06: no string makes it panic, and what is accepted is plain ASCII.
        #[test]
        fn any_string_is_survived(raw in "/\\PC{0,40}") {
            if let Ok(path) = CanonicalPath::parse(&raw) {
                prop_assert!(path.as_str().bytes().all(|byte| byte.is_ascii_graphic()));
            }
        }

        /// The quick way and the careful way agree.
        #[test]
        fn plain_paths_are_canonical(raw in "(/[a-zA-Z0-9_~!$&'()*+,=:@{}|^.-]{0,6}){1,5}") {
            if is_plain(&raw) {
                prop_assert_eq!(canonicalize(&raw).unwrap(), (raw.clone(), false));
            }
        }
    }
}
