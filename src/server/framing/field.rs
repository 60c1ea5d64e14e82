//! Field lines: any of them, and the few that say where a message ends.

use super::Refusal;

/// A field that framing depends on, with its value trimmed; or any other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field<'a> {
    ContentLength(&'a [u8]),
    TransferEncoding(&'a [u8]),
    Host(&'a [u8]),
    Upgrade,
    Other,
}

/// RFC 9112 section 5: a token, a colon, a value without control bytes; no folding.
pub(super) fn read(line: &[u8]) -> Result<Field<'_>, Refusal> {
    let length = line.iter().position(|&byte| !is_token_byte(byte)).unwrap_or(line.len());
    let (name, rest) = line.split_at(length);
    let value = match rest {
        [b':', value @ ..] if !name.is_empty() => value,
        [b' ' | b'\t', ..] if name.is_empty() => return Err(Refusal::Folded),
        _ => return Err(Refusal::FieldName),
    };
    // Without a way out of the loop the compiler can look at many bytes at once.
    if value.iter().fold(false, |odd, &byte| odd | !is_value_byte(byte)) {
        return Err(Refusal::FieldValue);
    }
    Ok(match name.len() {
        4 if is(name, b"host")? => Field::Host(trim(value)),
        7 if is(name, b"upgrade")? => Field::Upgrade,
        14 if is(name, b"content-length")? => Field::ContentLength(trim(value)),
        17 if is(name, b"transfer-encoding")? => Field::TransferEncoding(trim(value)),
        _ => Field::Other,
    })
}

/// RFC 9110 section 8.6: one or more digits. Anything that two readers could take for two numbers is refused.
pub(super) fn content_length(value: &[u8]) -> Result<u64, Refusal> {
    if !(1..=18).contains(&value.len()) || !value.iter().all(u8::is_ascii_digit) {
        return Err(Refusal::ContentLength);
    }
    Ok(value.iter().fold(0, |sum, &byte| sum * 10 + u64::from(byte - b'0')))
}

/// One authority and nothing beside it; which hosts are ours is judged later.
pub(super) fn host(value: &[u8]) -> Result<(), Refusal> {
    let fits = |byte: &u8| byte.is_ascii_graphic() && !matches!(byte, b',' | b'/' | b'\\' | b'@' | b'?' | b'#');
    if value.is_empty() || !value.iter().all(fits) { Err(Refusal::Host) } else { Ok(()) }
}

/// RFC 9110 section 5.6.2.
pub(super) fn is_token_byte(byte: u8) -> bool {
    TOKEN_BYTES.get(usize::from(byte)).copied().unwrap_or_default()
}

/// Looked up, since every byte of every name is asked about.
#[allow(clippy::indexing_slicing, reason = "a byte is below 256, and the compiler runs this, not the gateway")]
static TOKEN_BYTES: [bool; 256] = {
    let mut known = [false; 256];
    let mut rest: &[u8] = b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    while let [byte, others @ ..] = rest {
        known[*byte as usize] = true;
        rest = others;
    }
    known
};

/// RFC 9110 section 5.5: visible bytes, space, tab, and bytes of 0x80 and above.
pub(super) fn is_value_byte(byte: u8) -> bool {
    (byte >= b' ' && byte != 0x7f) | (byte == b'\t')
}

/// Equal but for letter case; an underscore in the place of a hyphen is refused.
fn is(name: &[u8], known: &[u8]) -> Result<bool, Refusal> {
    let mut underscore = false;
    for (&byte, &wanted) in name.iter().zip(known) {
        if byte == b'_' && wanted == b'-' {
            underscore = true;
        } else if byte.to_ascii_lowercase() != wanted {
            return Ok(false);
        }
    }
    if underscore { Err(Refusal::Underscore) } else { Ok(true) }
}

fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}
