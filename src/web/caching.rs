//! What caches and browsers are told about forwarded answers.
//!
//! RFC 9111 protects answers to requests with `Authorization`; answers to requests with a cookie are protected by nobody
//! but us. Nothing here looks at the path: `.css` at its end says nothing about what is inside.

use http::header::{CACHE_CONTROL, EXPIRES, HeaderMap, HeaderName, HeaderValue, STRICT_TRANSPORT_SECURITY, VARY};

use super::network::Network;

/// Keeps the answer to a signed-in request out of shared caches, whatever the upstream says, and leaves the browser's own
/// cache as the upstream wants it. `signed_in` is false where a page that also has a personal form was shown to nobody in
/// particular: then a cache is only told that the form depends on who asks.
///
/// A silent upstream gets `private`. `public` and `s-maxage` become `private`, other directives stay; the fields that
/// speak to content delivery networks alone (RFC 9213) go. `no-store` and `private` stay as they are. `Vary: Cookie` is added.
pub fn make_private(headers: &mut HeaderMap, signed_in: bool) {
    if signed_in {
        super::headers::remove(headers, speaks_to_shared_caches);
        if let Some(value) = private_cache_control(headers) {
            headers.insert(CACHE_CONTROL, value);
        }
    }
    add_vary(headers, "cookie");
}

/// Keeps the answer to a signed-in request out of every cache, whatever the upstream says: the browser's own too, with the
/// pages that going back would show again. `signed_in` is as for [`make_private`].
pub fn forbid_storing(headers: &mut HeaderMap, signed_in: bool) {
    if signed_in {
        super::headers::remove(headers, speaks_to_shared_caches);
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.remove(EXPIRES);
    }
    add_vary(headers, "cookie");
}

/// Names a request field on which the answer depends, once. What is there stays; `*` says more already.
pub fn add_vary(headers: &mut HeaderMap, name: &'static str) {
    let known = super::headers::tokens(headers, &VARY).any(|token| token == "*" || token.eq_ignore_ascii_case(name));
    if !known {
        headers.append(VARY, HeaderValue::from_static(name));
    }
}

/// Adds `Strict-Transport-Security` to an https answer that lacks it (RFC 6797 section 7.1; never over http).
pub fn add_hsts(headers: &mut HeaderMap, network: &Network, https: bool) {
    if let Some(hsts) = network.hsts()
        && https
        && !headers.contains_key(STRICT_TRANSPORT_SECURITY)
    {
        headers.insert(STRICT_TRANSPORT_SECURITY, hsts.clone());
    }
}

/// The new `Cache-Control`, or `None` when the upstream's keeps shared caches out already.
fn private_cache_control(headers: &HeaderMap) -> Option<HeaderValue> {
    let mut fields = headers.get_all(CACHE_CONTROL).iter().peekable();
    if fields.peek().is_none() {
        return Some(HeaderValue::from_static("private"));
    }
    let mut kept = String::from("private");
    let mut closed = false;
    let mut opened = false;
    for field in fields {
        // A field that is no text cannot be kept in part.
        let Ok(text) = field.to_str() else {
            return Some(HeaderValue::from_static("private, no-store"));
        };
        for directive in directives(text) {
            let name = directive.split('=').next().unwrap_or_default().trim();
            let is = |word: &str| name.eq_ignore_ascii_case(word);
            if is("public") || is("s-maxage") || is("proxy-revalidate") {
                opened = true;
            } else if is("must-understand") {
                // RFC 9111 section 5.2.2.3: a cache that knows the status does not heed the `no-store` beside it.
                opened = true;
                kept.push_str(", ");
                kept.push_str(directive);
            } else if is("private") && name.len() < directive.len() {
                // `private="field"` closes one field alone.
                opened = true;
            } else {
                closed |= is("private") || is("no-store");
                if !is("private") {
                    kept.push_str(", ");
                    kept.push_str(directive);
                }
            }
        }
    }
    (opened || !closed).then(|| HeaderValue::try_from(kept).unwrap_or(HeaderValue::from_static("private, no-store")))
}

/// The members of a list whose members may hold quoted strings.
fn directives(text: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    text.split(move |c| {
        quoted ^= c == '"';
        c == ',' && !quoted
    })
    .map(str::trim)
    .filter(|directive| !directive.is_empty())
}

fn speaks_to_shared_caches(name: &HeaderName) -> bool {
    let name = name.as_str();
    name.ends_with("cdn-cache-control")
        || matches!(name, "surrogate-control" | "akamai-cache-control" | "edge-control" | "x-accel-expires")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn private(fields: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(HeaderName::try_from(*name).unwrap(), HeaderValue::from_str(value).unwrap());
        }
        make_private(&mut headers, true);
        headers
    }

    /// CACHE-01, CACHE-02: a silent upstream becomes private, an open one is closed, and nothing strict is weakened.
    #[test]
    fn shared_caches_never_store_signed_in_answers() {
        for (upstream, told) in [
            (&[][..], "private"),
            (&[""], "private"),
            (&["public, max-age=600"], "private, max-age=600"),
            (&["max-age=600"], "private, max-age=600"),
            (&["public, s-maxage=600"], "private"),
            (&["S-MaxAge=600, max-age=5, must-revalidate"], "private, max-age=5, must-revalidate"),
            (&["no-cache"], "private, no-cache"),
            (&["no-store"], "no-store"),
            (&["private"], "private"),
            (&["private, max-age=5"], "private, max-age=5"),
            (&["private=\"set-cookie, x\", max-age=5"], "private, max-age=5"),
            (&["private, s-maxage=9"], "private"),
            (&["no-store, public"], "private, no-store"),
            (&["no-store, must-understand"], "private, no-store, must-understand"),
            (&["public", "max-age=5"], "private, max-age=5"),
            (&["ext=\"public, s-maxage=1\", private"], "ext=\"public, s-maxage=1\", private"),
            (&["immutable, max-age=31536000, public"], "private, immutable, max-age=31536000"),
        ] {
            let fields: Vec<_> = upstream.iter().map(|value| ("cache-control", *value)).collect();
            let headers = private(&fields);
            let lines: Vec<_> = headers.get_all(CACHE_CONTROL).iter().collect();
            assert_eq!(lines, [told], "{upstream:?}");
        }
    }

    /// LOGOUT-16: a route whose pages nobody may keep, the browser neither.
    #[test]
    fn storing_is_forbidden() {
        for signed_in in [true, false] {
            let mut headers = HeaderMap::new();
            headers.append(CACHE_CONTROL, HeaderValue::from_static("public, max-age=60"));
            headers.append(CACHE_CONTROL, HeaderValue::from_static("must-understand"));
            headers.insert(EXPIRES, HeaderValue::from_static("Thu, 01 Jan 2099 00:00:00 GMT"));
            headers.insert("cdn-cache-control", HeaderValue::from_static("max-age=60"));
            forbid_storing(&mut headers, signed_in);
            let lines: Vec<_> = headers.get_all(CACHE_CONTROL).iter().collect();
            assert_eq!(lines, if signed_in { &["no-store"][..] } else { &["public, max-age=60", "must-understand"] });
            assert_eq!(headers.contains_key("cdn-cache-control"), !signed_in);
            assert_eq!(headers[VARY], "cookie");
        }
    }

    /// CACHE-02: the fields for content delivery networks alone go.
    #[test]
    fn delivery_networks_are_not_spoken_to() {
        let headers = private(&[
            ("cdn-cache-control", "max-age=60"),
            ("cloudflare-cdn-cache-control", "max-age=60"),
            ("surrogate-control", "max-age=60"),
            ("x-accel-expires", "60"),
            ("etag", "\"a\""),
        ]);
        let mut names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["cache-control", "etag", "vary"]);
    }

    /// CACHE-05: `Vary: Cookie` is added once, the upstream's own is kept.
    #[test]
    fn vary_is_added_and_kept() {
        for (upstream, told) in [
            (&[][..], &["cookie"][..]),
            (&["Accept-Encoding"], &["Accept-Encoding", "cookie"]),
            (&["Origin, COOKIE"], &["Origin, COOKIE"]),
            (&["*"], &["*"]),
        ] {
            let fields: Vec<_> = upstream.iter().map(|value| ("vary", *value)).collect();
            let headers = private(&fields);
            assert_eq!(headers.get_all(VARY).iter().collect::<Vec<_>>(), told, "{upstream:?}");
        }
    }

    /// CACHE-05: what an optional route shows to nobody in particular may be cached, but not for everybody.
    #[test]
    fn answers_to_nobody_vary_only() {
        let mut headers = HeaderMap::new();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=60"));
        make_private(&mut headers, false);
        assert_eq!(headers[CACHE_CONTROL], "public, max-age=60");
        assert_eq!(headers[VARY], "cookie");
    }

    /// TLS-04: on https answers that lack it, and never over http.
    #[test]
    fn hsts_is_for_https_answers_that_lack_it() {
        let network = crate::web::client::tests::network(&[]);
        for (https, upstream, told) in
            [(true, None, Some("max-age=31536000")), (true, Some("max-age=0"), Some("max-age=0")), (false, None, None)]
        {
            let mut headers = HeaderMap::new();
            if let Some(value) = upstream {
                headers.insert(STRICT_TRANSPORT_SECURITY, HeaderValue::from_static(value));
            }
            add_hsts(&mut headers, &network, https);
            assert_eq!(headers.get(STRICT_TRANSPORT_SECURITY).and_then(|value| value.to_str().ok()), told);
        }
    }
}
