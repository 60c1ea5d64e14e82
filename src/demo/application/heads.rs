//! The table of headers that arrived.
//!
//! Never hides one: what the application got is what is shown, escaped.

use http::HeaderMap;
use maud::{Markup, html};

use super::identity::HEADER;

/// Every header as received. Where the token holds, the request came through the gateway, and the headers it vouches for are marked.
pub fn table(headers: &HeaderMap, caption: &str, vouched: bool) -> Markup {
    html! {
        div class="scroll" { table class="heads" {
            caption { (caption) }
            tbody { @for (name, value) in headers {
                @let ours = vouched && comes_from_the_gateway(name.as_str());
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
    let lines = headers.get_all(http::header::COOKIE).iter().map(|line| String::from_utf8_lossy(line.as_bytes()));
    let joined = lines.collect::<Vec<_>>().join(";");
    let names = joined.split(';').map(|pair| pair.split('=').next().unwrap_or_default().trim());
    names.filter(|name| !name.is_empty()).map(ToOwned::to_owned).collect()
}

fn comes_from_the_gateway(name: &str) -> bool {
    name == HEADER || PLAIN.contains(&name)
}

/// The plain headers that the demo's configuration asks for.
const PLAIN: [&str; 2] = ["x-forwarded-user", "x-forwarded-email"];
