//! The table of headers that arrived.
//!
//! Never hides one: what the application got is what is shown, escaped.

use http::HeaderMap;
use maud::{Markup, html};

use super::identity::HEADER;

/// Every header as received, those that the gateway vouches for marked.
pub fn table(headers: &HeaderMap, caption: &str) -> Markup {
    html! {
        div class="scroll" { table class="heads" {
            caption { (caption) }
            tbody { @for (name, value) in headers {
                @let ours = comes_from_the_gateway(name.as_str());
                tr class=[ours.then_some("ours")] {
                    th scope="row" { (name.as_str()) }
                    td class="value" { code { (String::from_utf8_lossy(value.as_bytes())) } }
                }
            } }
        } }
    }
}

/// What the `Cookie` header says, for people: the names alone.
pub fn cookie_names(headers: &HeaderMap) -> Vec<String> {
    headers
        .get_all(http::header::COOKIE)
        .iter()
        .flat_map(|line| String::from_utf8_lossy(line.as_bytes()).into_owned().split(';').map(ToOwned::to_owned).collect::<Vec<_>>())
        .map(|pair| pair.split('=').next().unwrap_or_default().trim().to_owned())
        .filter(|name| !name.is_empty())
        .collect()
}

fn comes_from_the_gateway(name: &str) -> bool {
    name == HEADER || PLAIN.contains(&name)
}

/// The plain headers that the demo's configuration asks for.
const PLAIN: [&str; 2] = ["x-forwarded-user", "x-forwarded-email"];
