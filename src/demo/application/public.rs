//! The public page: for everybody, and about nobody.
//!
//! Never looks at an identity: on a public route the gateway sends none, and this page shows that.

use http::{HeaderMap, StatusCode, header};
use maud::html;
use serde_json::json;

use super::frame::{self, Places};
use super::heads;
use super::identity::HEADER;
use crate::demo::answer::{self, Answer};
use crate::demo::look::{CROSS, TICK};

/// The page, or plain text for a terminal.
pub fn page(places: &Places, headers: &HeaderMap) -> Answer {
    let wants_html =
        headers.get(header::ACCEPT).is_some_and(|accept| accept.as_bytes().windows(9).any(|kind| kind == b"text/html"));
    if !wants_html {
        return text(headers);
    }
    let main = html! {
        div class="hero" {
            p class="eyebrow" { "A public route" }
            h1 { "Hello, somebody." }
            p class="lede" {
                "Everybody may see this page, signed in or not. The gateway looks at no session here and tells the application nothing: "
                strong { "not your name, not even whether you have one." }
            }
            @if headers.contains_key(HEADER) {
                div class="verdict bad" { (CROSS) p { strong { "An identity arrived." } " It did not come through the gateway; this page pays no attention to it." } }
            } @else {
                div class="verdict" { (TICK) p { strong { "No identity arrived" } ", and no session cookie, even if your browser sent one." } }
            }
            p { a class="button go" href="/" { "Go to the signed-in page" } }
        }
        section class="part" aria-labelledby="forge" {
            h2 id="forge" { "Try to be somebody" }
            p { "Send the header yourself. It is gone before the application sees it, in every spelling:" }
            pre { "curl -H 'X-Vestibule-Identity: i.am.grace' \\\n     -H 'X_Vestibule_Identity: i.am.grace' \\\n     -H 'X-Forwarded-User: grace' \\\n     " (places.public) "/public" }
        }
        section class="part" aria-labelledby="headers" {
            h2 id="headers" { "All that the application received" }
            details class="fold" open {
                summary { (headers.len()) " headers" }
                (heads::table(headers, "As received", false))
            }
        }
    };
    frame::page(StatusCode::OK, places, "/public", "Public – Vestibule demo", None, &main)
}

/// The same for scripts: which headers arrived.
pub fn document(headers: &HeaderMap) -> Answer {
    let arrived: Vec<[String; 2]> = lines(headers).collect();
    answer::json(StatusCode::OK, &json!({ "identity": headers.contains_key(HEADER), "headers": arrived }))
}

fn text(headers: &HeaderMap) -> Answer {
    let said = if headers.contains_key(HEADER) {
        "An identity arrived. It did not come through the gateway; nobody here believes it.\n\n"
    } else {
        "Hello, somebody. No identity arrived.\n\n"
    };
    let listed: String = lines(headers).map(|[name, value]| format!("{name}: {}\n", value.escape_debug())).collect();
    answer::text(StatusCode::OK, format!("{said}{listed}"))
}

fn lines(headers: &HeaderMap) -> impl Iterator<Item = [String; 2]> {
    headers
        .iter()
        .map(|(name, value)| [name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()])
}
