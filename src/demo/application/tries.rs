//! Things to try, each of which shows one promise being kept.
//!
//! Never needs the script for a promise: what the script adds is comfort.

use maud::{Markup, html};

use super::frame::end_session;
use super::home::View;
use crate::demo::application::identity::Identity;

/// The section of things to try.
pub fn section(view: &View<'_>, identity: &Identity) -> Markup {
    let fingerprint = fingerprint(&identity.token);
    html! {
        section class="part" aria-labelledby="try" {
            h2 id="try" { "See it for yourself" }
            p { "Nothing here is staged: every button sends a real request through the gateway." }
            div class="tries" {
                article class="try" {
                    h3 { "End it here, watch it end there" }
                    p { "Open this page in a second tab. End the session in this one, and look at the other: its stream is cut off at once, "
                        "and its next request is refused. No token goes on living for an hour." }
                    div class="acts" {
                        a class="button quiet" href="/" target="_blank" rel="noopener" { "Open a second tab" }
                        (end_session("end"))
                    }
                }
                article class="try" id="again" {
                    h3 { "Ask again" }
                    p { "The token is made once and handed out again, byte for byte, until it is half a minute old." }
                    p class="result" {
                        "Fingerprint " span class="sum" { (spaced(&fingerprint)) } br;
                        @match view.before {
                            None => "Ask again, and compare.",
                            Some(before) if before == fingerprint => strong { "The same token as before." },
                            Some(_) => strong { "A new one: the last was past half of its life." },
                        }
                    }
                    div class="acts" { a class="button quiet" href={ "/?before=" (fingerprint) "#again" } { "Ask again" } }
                }
                article class="try" {
                    h3 { "Change a letter of it" }
                    p { "What if somebody inside your network rewrote the token to say " em { "Mallory" } "? The old signature does not fit new claims." }
                    div class="acts" { a class="button quiet" href="/?tampered=1#opened" { "Rewrite it and check" } }
                }
                article class="try" {
                    h3 { "Bring your own identity" }
                    p { "The header is only worth something because nobody else can send it. Try to, in several spellings:" }
                    p class="result" { code { "curl -H 'X-Vestibule-Identity: i.am.grace' " (view.places.public) "/public" } }
                    pre class="result" id="forged" role="status" {}
                    div class="acts" { button type="button" class="quiet" data-ask="forge" data-result="forged" hidden { "Forge it from this page" } }
                }
                article class="try" {
                    h3 { "Call it from a script" }
                    p { "A " code { "fetch" } " gets JSON, or an honest 401 with a problem document. Never a redirect to somebody’s HTML." }
                    pre class="result" id="whoami" role="status" {}
                    div class="acts" {
                        button type="button" class="quiet" data-ask="/api/whoami" data-result="whoami" hidden { "fetch('/api/whoami')" }
                        a class="small" href="/api/whoami" { "Open it" }
                    }
                }
                article class="try" {
                    h3 { "Go around the gateway" }
                    p { "The application listens on a port of its own. Go there directly, and it does not know you, however you sign in elsewhere." }
                    div class="acts" { a class="button quiet" href=(view.places.application) target="_blank" rel="noopener" { (view.places.application) } }
                }
            }
        }
    }
}

/// Sixteen hexadecimal digits of the token's SHA-256: enough to compare by eye.
fn fingerprint(token: &str) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, token.as_bytes());
    digest.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

fn spaced(fingerprint: &str) -> String {
    let digits: Vec<char> = fingerprint.chars().collect();
    digits.chunks(4).map(|group| group.iter().collect::<String>()).collect::<Vec<_>>().join(" ")
}
