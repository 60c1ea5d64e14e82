//! What Redis or its client says when it does not answer, in the store's words.
//!
//! Their own words end here: they may quote keys, addresses or commands.

use fred::error::{Error, ErrorKind};

use crate::session::store::{StoreError, Unavailable};

/// Reads an error.
pub(super) fn read(error: &Error) -> StoreError {
    let said = error.details();
    // Scripts wrap what a command in them said, so the word may be anywhere.
    for (word, reason) in SAID {
        if said.contains(word) {
            return StoreError::Unavailable(*reason);
        }
    }
    StoreError::Unavailable(match error.kind() {
        // What its TLS library says has no kind of its own.
        ErrorKind::IO if said.contains("InvalidCertificate") || said.contains("AlertReceived") => Unavailable::Tls,
        ErrorKind::Timeout => Unavailable::Deadline,
        ErrorKind::Canceled | ErrorKind::IO | ErrorKind::Routing | ErrorKind::Sentinel => Unavailable::Disconnected,
        ErrorKind::Backpressure => Unavailable::Overload,
        ErrorKind::Auth => Unavailable::Credentials,
        ErrorKind::Cluster => Unavailable::Moved,
        ErrorKind::Tls => Unavailable::Tls,
        ErrorKind::InvalidArgument if said.contains("WRONGTYPE") => {
            return StoreError::Nonsense("with a key of another kind under our name");
        }
        ErrorKind::Parse | ErrorKind::Protocol | ErrorKind::NotFound | ErrorKind::InvalidArgument => {
            return StoreError::Nonsense("what the command does not answer");
        }
        _ => Unavailable::Refused,
    })
}

/// Why there is no answer, if nothing more is asked.
pub(super) fn reason(error: &Error) -> Unavailable {
    match read(error) {
        StoreError::Unavailable(reason) => reason,
        _ => Unavailable::Refused,
    }
}

/// Whether a cluster did not carry the command out, because its key is elsewhere or on its way.
pub(super) fn is_elsewhere(error: &Error) -> bool {
    error.details() == REDIRECTED || error.details().starts_with("TRYAGAIN")
}

/// Whether a cluster did not carry the command out, because its keys lie in several slots.
pub(super) fn is_across_slots(error: &Error) -> bool {
    error.details().starts_with("CROSSSLOT")
}

/// Whether the server has never heard of the script.
pub(super) fn is_unknown_script(error: &Error) -> bool {
    error.details().starts_with("NOSCRIPT")
}

const SAID: &[(&str, Unavailable)] = &[
    ("READONLY", Unavailable::ReadOnly),
    ("NOREPLICAS", Unavailable::ReadOnly),
    ("MISCONF", Unavailable::ReadOnly),
    ("OOM ", Unavailable::OutOfMemory),
    ("LOADING", Unavailable::Loading),
    ("BUSY ", Unavailable::Loading),
    ("MASTERDOWN", Unavailable::Loading),
    ("NOPERM", Unavailable::NoPermission),
    ("can't run this command", Unavailable::NoPermission),
    ("NOAUTH", Unavailable::Credentials),
    ("WRONGPASS", Unavailable::Credentials),
    ("CLUSTERDOWN", Unavailable::Moved),
    ("Invalid or missing cluster state", Unavailable::Moved),
    ("TRYAGAIN", Unavailable::Moved),
    ("MOVED ", Unavailable::Moved),
    ("ASK ", Unavailable::Moved),
    (REDIRECTED, Unavailable::Moved),
    ("Client is not initialized", Unavailable::Disconnected),
    ("Failed to send command to router", Unavailable::Disconnected),
];

/// What the client says of a redirection that it was told not to follow.
const REDIRECTED: &str = "Too many redirections.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_not_to_answer_has_its_word() {
        for (kind, said, word) in [
            (ErrorKind::Unknown, "READONLY You can't write against a read only replica.", "read-only"),
            (
                ErrorKind::Unknown,
                "ERR Error running script (call to f_1): @user_script:1: -READONLY You can't write",
                "read-only",
            ),
            (ErrorKind::Unknown, "OOM command not allowed when used memory > 'maxmemory'.", "out-of-memory"),
            (ErrorKind::Unknown, "NOPERM this user has no permissions to run the 'get' command", "no-permission"),
            (
                ErrorKind::Unknown,
                "ERR The user executing the script can't run this command or subcommand",
                "no-permission",
            ),
            (ErrorKind::Auth, "WRONGPASS invalid username-password pair or user is disabled.", "credentials"),
            (ErrorKind::Unknown, "LOADING Redis is loading the dataset in memory", "loading"),
            (ErrorKind::Cluster, "MOVED 3999 127.0.0.1:6381", "moved"),
            (ErrorKind::Routing, "Too many redirections.", "moved"),
            (ErrorKind::Canceled, "Connection closed unexpectedly.", "disconnected"),
            (ErrorKind::IO, "Custom { kind: InvalidData, error: InvalidCertificate(UnknownIssuer) }", "tls"),
            (ErrorKind::Timeout, "Request timed out.", "deadline"),
            (ErrorKind::Unknown, "ERR something new", "refused"),
        ] {
            let StoreError::Unavailable(reason) = read(&Error::new(kind, said)) else { panic!("{said}") };
            assert_eq!(reason.as_str(), word, "{said}");
        }
    }

    #[test]
    fn another_program_in_our_keys_is_not_an_outage() {
        let error = Error::new(ErrorKind::InvalidArgument, "WRONGTYPE Operation against a key holding the wrong kind");
        assert!(matches!(read(&error), StoreError::Nonsense(_)));
    }
}
