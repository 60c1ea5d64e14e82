//! The signed-in page: who you are, where everything is, and what to try.
//!
//! Never greets anybody whose token does not hold.

use http::{HeaderMap, StatusCode};
use maud::{Markup, html};

use super::frame::{self, Places};
use super::identity::{Identity, Person, Proof};
use super::{heads, opened, rooms, tries};
use crate::demo::answer::Answer;

/// What the page is about.
#[derive(Debug)]
pub struct View<'a> {
    /// Where everything is.
    pub places: &'a Places,
    /// As received.
    pub headers: &'a HeaderMap,
    /// Where the keys come from.
    pub keys_url: &'a str,
    /// The fingerprint that the last page showed.
    pub before: Option<&'a str>,
    /// The token was changed on purpose before it was checked.
    pub tampered: bool,
}

/// The page for an identity, or the lack of one.
pub fn page(view: &View<'_>, identity: Option<&Identity>) -> Answer {
    match identity {
        Some(identity) => match &identity.proof {
            Proof::Holds(person) => welcome(view, identity, person),
            Proof::Fails(_) => refused(view, identity),
        },
        None => nobody(view),
    }
}

fn welcome(view: &View<'_>, identity: &Identity, person: &Person) -> Answer {
    let main = html! {
        div class="hero" {
            p class="eyebrow" { "You came through both doors" }
            h1 { "Hello, " (person.name()) "." }
            p class="lede" {
                "This page is drawn by an ordinary application. It has " strong { "no login code, no session and no secret" }
                ". It read one header, checked one signature, and knew who is asking."
            }
            ul class="chips" {
                li class="chip ok" { "Signature verified" }
                @if let Some(email) = &person.claims.email { li class="chip" { (email) } }
                @for group in &person.claims.groups { li class="chip" { (group) } }
            }
        }
        (rooms::picture(view, identity, person))
        (tries::section(view, identity))
        (opened::section(view, identity))
        (headers(view, true))
    };
    frame::page(StatusCode::OK, view.places, "/", "Signed in – Vestibule demo", Some(person), &main)
}

fn refused(view: &View<'_>, identity: &Identity) -> Answer {
    let main = html! {
        div class="hero" {
            p class="eyebrow" { @if view.tampered { "What if somebody changed it?" } @else { "401" } }
            h1 { "This token is not believed." }
            p class="lede" {
                @if view.tampered {
                    "Between the gateway and the check somebody rewrote the claims to say " strong { "Mallory" }
                    ". The signature was made for other words, and the application refuses."
                } @else {
                    "A request came with an identity that does not hold, and the application refuses it."
                }
            }
            p { a class="button go" href="/" { "Back to the genuine one" } }
        }
        (opened::section(view, identity))
        (headers(view, false))
    };
    frame::page(StatusCode::UNAUTHORIZED, view.places, "", "Not verified – Vestibule demo", None, &main)
}

fn nobody(view: &View<'_>) -> Answer {
    let main = html! {
        div class="hero" {
            p class="eyebrow" { "401" }
            h1 { "Nobody vouches for you here." }
            p class="lede" {
                "You have reached the application itself, around the gateway. It trusts no cookie, no password and no network: without a signed "
                code { "X-Vestibule-Identity" } " it does not know you. " strong { "Come in through the front door." }
            }
            p { a class="button go" href={ (view.places.public) "/" } { "Go to " (view.places.public) } }
        }
        (headers(view, false))
    };
    frame::page(StatusCode::UNAUTHORIZED, view.places, "", "Nobody – Vestibule demo", None, &main)
}

fn headers(view: &View<'_>, vouched: bool) -> Markup {
    html! {
        section class="part" aria-labelledby="headers" {
            h2 id="headers" { "All that the application received" }
            p {
                "The headers of this very request, none left out. "
                @if vouched {
                    "Marked are those that the gateway vouches for: it removes every copy that a client sends, in any spelling, and writes its own."
                } @else {
                    "Nobody vouches for any of them."
                }
            }
            details class="fold" open {
                summary { (view.headers.len()) " headers" }
                (heads::table(view.headers, "As received", vouched))
            }
        }
    }
}
