//! The picture: what the browser holds, what the gateway keeps, what the application received.
//!
//! Never shows a value that belongs in another room: the cookie's value is not known here, and that is the point.

use maud::{Markup, html};

use super::heads::cookie_names;
use super::home::View;
use super::identity::{Identity, Person};
use crate::demo::look::DOOR;

/// Three rooms and two doors.
pub fn picture(view: &View<'_>, identity: &Identity, person: &Person) -> Markup {
    let cookies = cookie_names(view.headers);
    html! {
        section class="part" aria-labelledby="rooms" {
            h2 id="rooms" { "Two doors, and a small room between them" }
            p { "What belongs in the house never goes out to the street, and nobody comes in from the street without being asked who they are." }
            div class="rooms" {
                section class="room" aria-labelledby="street" {
                    div { p class="where" { "On the street" } h3 id="street" { "Your browser holds" } }
                    p class="thing" { (view.places.cookie) "=" span aria-label="43 random characters" { "••••••••••••" } }
                    ul {
                        li { "One random cookie that means nothing. 256 bits, no name in it, no token." }
                        li { code { "HttpOnly" } ": a script here that reads " code { "document.cookie" } " sees "
                            strong data-live="script-sees" { "nothing" } "." }
                        li class="no" { "No token in storage, in the address or in any script’s reach." }
                    }
                }
                div class="door" { (DOOR) span { b { "Outer door" } "an opaque cookie" } }
                section class="room middle" aria-labelledby="vestibule" {
                    div { p class="where" { "In the vestibule" } h3 id="vestibule" { "The gateway keeps" } }
                    ul class="keeps" {
                        li { "Refresh token" span { "never leaves" } }
                        li { "Access token" span { "never leaves" } }
                        li { "ID token" span { "never leaves" } }
                        li { "Session" span data-live="ends" { "12 h at most" } }
                    }
                    ul {
                        li { "Finds your session by the cookie’s hash. Sealed in Redis, a record opens only with your cookie; in this demo it stays in memory." }
                        li { "Ends any session now, on every replica." }
                    }
                }
                div class="door" { (DOOR) span { b { "Inner door" } "a signed token" } }
                section class="room" aria-labelledby="house" {
                    div { p class="where" { "In the house" } h3 id="house" { "The application received" } }
                    p class="thing" { "X-Vestibule-Identity: " (beginning(&identity.token)) "…" }
                    ul {
                        li { "One signed header: this is " strong { (person.name()) } ", for this application, for one minute." }
                        li class="no" { @if cookies.is_empty() {
                            "No " code { "Cookie" } " header at all: yours ended at the gateway."
                        } @else {
                            "No session cookie. Of the cookies it got only others: " code { (cookies.join(", ")) } "."
                        } }
                        li class="no" { "No login code, no client secret, no session store." }
                    }
                }
            }
        }
    }
}

fn beginning(token: &str) -> String {
    token.chars().take(24).collect()
}
