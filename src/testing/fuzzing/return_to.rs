//! Where a browser is sent after login or logout.

use std::sync::Arc;

use http::HeaderValue;
use url::Url;

use super::fixture::{NETWORK, percent_decoded, resolved_by_browsers};
use crate::web::{PublicOrigin, ReturnTo};

/// A target that is accepted leads to one of our origins, in the eyes of a browser and of a careless reader alike, fits its cookie
/// and a `Location`, and is accepted again as it is.
pub fn return_to(data: &[u8]) {
    let Ok(raw) = std::str::from_utf8(data) else { return };
    for current in NETWORK.public() {
        let Some(target) = ReturnTo::parse(raw, current, &NETWORK) else { continue };
        let text = target.as_str();
        assert!(text.len() <= ReturnTo::MAX_BYTES, "{} bytes became {}: {raw:?}", raw.len(), text.len());
        assert!(HeaderValue::from_str(text).is_ok() && text.is_ascii(), "{text:?}");
        stays_here(text, current);
        starts_nothing(text);
        let again = ReturnTo::parse(text, current, &NETWORK).expect("what was accepted is accepted");
        assert_eq!(again.as_str(), text, "{raw:?}");
    }
}

fn is_ours(origin: &url::Origin) -> bool {
    NETWORK.public().iter().any(|one| origin.ascii_serialization() == one.to_string())
}

fn stays_here(text: &str, current: &Arc<PublicOrigin>) {
    // By WHATWG's rules, from the deepest page that sends a browser on.
    let page = Url::parse(&format!("{current}/oauth2/callback?code=x#y")).expect("a URL");
    let there = page.join(text).unwrap_or_else(|error| panic!("{error}: {text:?}"));
    assert!(is_ours(&there.origin()), "{text:?} leads to {there}");
    assert!(there.username().is_empty() && there.password().is_none(), "{text:?} leads to {there}");
    // By the rules of whoever forgives more: blanks and controls dropped, backslashes turned round.
    let forgiven: String = text.chars().filter(|c| *c > ' ').map(|c| if c == '\\' { '/' } else { c }).collect();
    let path = NETWORK
        .public()
        .iter()
        .filter_map(|one| forgiven.strip_prefix(&one.to_string()))
        .find(|rest| rest.starts_with('/'))
        .unwrap_or(&forgiven);
    assert!(path.starts_with('/') && !path.starts_with("//"), "{text:?} begins an authority");
}

/// No login or logout is started by arriving.
fn starts_nothing(text: &str) {
    let path =
        NETWORK.public().iter().find_map(|one| text.strip_prefix(&format!("{one}/")).map(|rest| format!("/{rest}")));
    let path = resolved_by_browsers(path.as_deref().unwrap_or(text));
    let names = path.split('/').map(|segment| segment.split(';').next().unwrap_or_default());
    let path: Vec<String> = names.map(|name| String::from_utf8_lossy(&percent_decoded(name)).into_owned()).collect();
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    let [_, "oauth2", name, ..] = path.as_slice() else { return };
    assert!(
        !["callback", "login", "logout", "sign_in", "sign_out", "start"].contains(name),
        "{text:?} leads back to {name}"
    );
}
