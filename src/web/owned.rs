//! The field names that only the gateway may speak under.

use std::borrow::Cow;

use http::HeaderName;

/// Names that are removed from whatever a client sends, in every spelling that some server folds into the same variable.
///
/// The configured identity headers, and what tells an application about the client, the path or the method:
/// CGI, WSGI and their like make `X-Identity`, `X_Identity` and `X-Identity-` one variable, so a name is folded before it
/// is compared.
#[derive(Clone, Debug)]
pub struct Owned {
    /// Folded and sorted.
    names: Vec<Box<str>>,
    /// First bytes of anything owned: what most names need to be looked at.
    first: [bool; 256],
}

impl Owned {
    /// The built-in names and `identity_headers`.
    #[must_use]
    pub fn new<'a>(identity_headers: impl IntoIterator<Item = &'a str>) -> Self {
        let mut names: Vec<Box<str>> =
            identity_headers.into_iter().map(|name| fold(&name.to_ascii_lowercase()).into()).collect();
        names.extend(NAMES.iter().map(|&name| name.into()));
        // `Authorization` can carry the identity token; the client's own is taken out elsewhere, by the route's rule.
        names.retain(|name| !name.is_empty() && &**name != "authorization");
        names.sort_unstable();
        names.dedup();
        let mut first = [false; 256];
        for name in names.iter().map(|name| &**name).chain(PREFIXES.iter().copied()) {
            if let Some(seen) = name.bytes().next().and_then(|byte| first.get_mut(usize::from(byte))) {
                *seen = true;
            }
        }
        Self { names, first }
    }

    /// Whether only the gateway may send a field of this name.
    #[must_use]
    pub fn owns(&self, name: &HeaderName) -> bool {
        let name = name.as_str();
        let may_be = name.bytes().next().and_then(|byte| self.first.get(usize::from(byte))).copied().unwrap_or(false);
        if !may_be {
            return false;
        }
        let folded = fold(name);
        PREFIXES.iter().any(|prefix| folded.starts_with(prefix))
            || self.names.binary_search_by(|owned| (**owned).cmp(&folded)).is_ok()
    }
}

/// Lower case is given (field names are kept so): every other byte but letters and digits becomes `-`, those at the end go.
fn fold(name: &str) -> Cow<'_, str> {
    let trimmed = name.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
    if trimmed.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        return Cow::Borrowed(trimmed);
    }
    Cow::Owned(trimmed.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect())
}

/// Folded names that are owned whatever is configured.
const NAMES: &[&str] = &[
    "forwarded",
    "proxy", // becomes HTTP_PROXY in CGI
    "x-forwarded",
    "x-method-override",
    "x-original",
    "x-real-ip",
    "x-rewrite-url",
    "x-vestibule",
];

/// Beginnings of folded names that are owned whatever is configured.
const PREFIXES: &[&str] = &[
    "client-cert",
    "x-auth-request-",
    "x-client-cert",
    "x-forwarded-",
    "x-http-method",
    "x-original-",
    "x-ssl-",
    "x-vestibule-",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn owns(owned: &Owned, name: &str) -> bool {
        owned.owns(&HeaderName::from_bytes(name.as_bytes()).unwrap())
    }

    /// ID-02: every spelling that a server folds into the same variable is owned.
    #[test]
    fn look_alikes_are_owned() {
        let owned = Owned::new(["X-Team_Identity", "Remote-User", "Authorization"]);
        for name in [
            "x-vestibule-identity",
            "X_Vestibule_Identity",
            "x-VESTIBULE.identity",
            "X-Vestibule-Identity-",
            "x-vestibule_identity__",
            "x-team-identity",
            "X_Team_Identity",
            "x-team.identity",
            "remote_user",
            "REMOTE-USER",
            "remote-user_",
        ] {
            assert!(owns(&owned, name), "{name}");
        }
        for name in [
            "x-team-identities",
            "x-teamidentity",
            "accept",
            "x-request-id",
            "authorization",
            "user-agent",
            "x-requested-with",
        ] {
            assert!(!owns(&owned, name), "{name}");
        }
    }

    /// HTTP-08, HTTP-09: what describes the client, the path or the method is the gateway's to say; CSRF-06: also overrides.
    #[test]
    fn forwarding_fields_and_overrides_are_owned() {
        let owned = Owned::new([]);
        for name in [
            "forwarded",
            "x-forwarded-for",
            "x-forwarded-user",
            "x-forwarded-whatever",
            "x_forwarded_uri",
            "x-original-url",
            "x-original-method",
            "x-rewrite-url",
            "x_rewrite_url",
            "x-real-ip",
            "x-auth-request-email",
            "client-cert",
            "client-cert-chain",
            "client_cert",
            "x-ssl-client-verify",
            "x-client-certificate",
            "proxy",
            "proxy_",
            "x-http-method-override",
            "x-http-method",
            "x-method-override",
            "x_method_override",
        ] {
            assert!(owns(&owned, name), "{name}");
        }
        for name in ["proxy-status", "x-forward", "cookie", "content-type", "client-hints", "x-frame-options"] {
            assert!(!owns(&owned, name), "{name}");
        }
    }
}
