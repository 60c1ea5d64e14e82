//! What all pages of the application share: the bar above, the line below, where everything is.
//!
//! Never offers to sign in: that is the gateway's business.

use http::StatusCode;
use maud::{Markup, html};

use super::identity::Person;
use crate::demo::answer::{self, Answer};
use crate::demo::look::{Frame, MARK};

/// Where the parts of the demo are, as browsers and terminals reach them.
#[derive(Clone, Debug)]
pub struct Places {
    /// The gateway: the only address that people use.
    pub public: String,
    /// The provider.
    pub provider: String,
    /// The application itself, around the gateway.
    pub application: String,
    /// Name of the session cookie, without its value.
    pub cookie: &'static str,
}

/// A page of the application.
pub fn page(
    status: StatusCode,
    places: &Places,
    at: &str,
    title: &str,
    person: Option<&Person>,
    main: &Markup,
) -> Answer {
    let script = person.is_some().then_some(LIVE);
    let frame = Frame { title, class: "application", script };
    let body = html! {
        a class="skip" href="#main" { "Skip to the content" }
        header class="bar" { div class="wrap" {
            a class="brand" href="/" { (MARK) "Vestibule" span { "demo" } }
            nav aria-label="Pages" {
                @for (path, name) in [("/", "Signed in"), ("/public", "Public page"), ("/api/whoami", "JSON")] {
                    a href=(path) aria-current=[(path == at).then_some("page")] { (name) }
                }
            }
            @if person.is_some() { (end_session("quiet")) }
        } }
        main id="main" class="wrap" { (main) }
        footer class="foot" { div class="wrap" { p {
            "Gateway at " code { (places.public) } ", provider at " code { (places.provider) } ", this application at "
            code { (places.application) } ". Everything lives in one process and in its memory: stop it, and it never was."
        } } }
        @if person.is_some() { (live_bar()) }
    };
    answer::page(status, frame.around(&body), &frame.policy(&places.provider))
}

/// The form that ends the session: a POST to the gateway, no script needed.
pub fn end_session(class: &str) -> Markup {
    html! {
        form method="post" action="/oauth2/logout" data-live="end" { button class=(class) { "End this session" } }
    }
}

/// 404.
pub fn not_found(places: &Places) -> Answer {
    let main = html! { div class="hero" {
        p class="eyebrow" { "404" }
        h1 { "There is no such page." }
        p class="lede" { "The gateway let the request through, and the application knows nothing about it. " a href="/" { "Back to the start" } "." }
    } };
    page(StatusCode::NOT_FOUND, places, "", "Not found – Vestibule demo", None, &main)
}

/// Filled by the script; not there without it.
fn live_bar() -> Markup {
    html! {
        aside class="live" data-live="bar" hidden aria-label="Your session, live" { div class="wrap" {
            span role="status" { span class="dot" {} b data-live="state" { "Your session is alive" } }
            span class="soft" data-live="left" {}
            span class="soft" { "stream: " span data-live="clock" { "opening" } }
            span class="note" data-live="note" hidden {}
            a href="/" data-live="again" hidden { "Ask for this page again" }
        } }
    }
}

/// The only script: it shows the session's end as it happens.
const LIVE: &str = include_str!("live.js");
