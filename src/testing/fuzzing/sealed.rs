//! What was sealed and comes back: from browsers as cookies, from the store as records.

use std::sync::LazyLock;

use crate::base::Secret;
use crate::oidc::LoginAttempt;
use crate::session::{Purpose, Ring, SessionToken, read_record};
use crate::testing::SeededRandom;

static RING: LazyLock<Ring> = LazyLock::new(|| {
    Ring::new(&[Secret::new(vec![7; 32]), Secret::new(vec![8; 32])]).expect("secrets that are long enough")
});
static TOKEN: LazyLock<SessionToken> =
    LazyLock::new(|| SessionToken::parse(&"A".repeat(43)).expect("the spelling of a token"));

/// Nothing opens but what was sealed, for the same purpose and in the same place. What was inside, if it is read at all, is written again as it was.
///
/// The input is what a stranger brings; then, sealed for him, the same bytes with one changed; then the inside of a seal.
pub fn sealed(data: &[u8]) {
    let (purpose, name) = (Purpose::LoginAttempt, b"__Host-vestibule-login-x");
    assert!(RING.open(purpose, name, data).is_none(), "a stranger's bytes open");
    assert!(RING.open_record(&TOKEN, 1, data).is_none(), "a stranger's record opens");
    if let Ok(text) = std::str::from_utf8(data) {
        assert!(RING.open_text(purpose, name, text).is_none(), "a stranger's cookie opens");
    }

    let mut good = RING.seal(purpose, name, data, &SeededRandom::new(1));
    let opened = RING.open(purpose, name, &good).expect("what was sealed opens");
    assert!(opened.newest && *opened.plain == data);
    assert!(RING.open(Purpose::LogoutReturn, name, &good).is_none() && RING.open(purpose, b"", &good).is_none());
    if let [at, change, ..] = *data {
        let length = good.len();
        let place = &mut good[usize::from(at) * length / 256];
        *place ^= change.max(1);
        assert!(RING.open(purpose, name, &good).is_none(), "changed, and it opens");
        good.truncate(usize::from(change) * length / 256);
        assert!(RING.open(purpose, name, &good).is_none(), "cut, and it opens");
    }

    if let Ok(attempt) = serde_json::from_slice::<LoginAttempt>(data) {
        let written = serde_json::to_string(&attempt).expect("JSON");
        let again: LoginAttempt = serde_json::from_str(&written).expect("what was written is read");
        assert_eq!(serde_json::to_string(&again).expect("JSON"), written);
    }
    if let Some(session) = read_record(data, &TOKEN) {
        let random = SeededRandom::new(2);
        let sealed = RING.seal_record(&TOKEN, 3, &session, &random).expect("a session can be sealed");
        assert!(RING.open_record(&TOKEN, 4, &sealed).is_none(), "another version opens");
        let again = RING.open_record(&TOKEN, 3, &sealed).expect("what was sealed opens").plain;
        // Equal in every field, as what seals to equal bytes with equal randomness is.
        let twice = RING.seal_record(&TOKEN, 3, &again, &SeededRandom::new(2)).expect("a session can be sealed");
        assert_eq!(sealed, twice);
    }
}
