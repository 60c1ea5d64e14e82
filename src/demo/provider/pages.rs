//! The provider's pages.
//!
//! Never shows anything of a request but the e-mail address that was typed, escaped.

use http::StatusCode;
use maud::{Markup, html};

use super::people::{PEOPLE, Person};
use crate::demo::answer::{self, Answer};
use crate::demo::look::{CARD, Frame};

/// A page with its status.
#[derive(Debug)]
pub struct Page {
    status: StatusCode,
    title: &'static str,
    script: Option<&'static str>,
    body: Markup,
}

impl Page {
    /// The answer; forms on it may lead to `client`.
    pub fn into_answer(self, client: &str) -> Answer {
        let frame = Frame { title: self.title, class: "provider", script: self.script };
        let body = html! {
            main class="desk" { div class="sheet" {
                p class="from" { (CARD) span { strong { "Demo accounts" } br; "a small OpenID provider" } }
                (self.body)
            } }
            footer class="foot" { div class="wrap" { p {
                "Part of the Vestibule demo, on this machine only. In your setup this page is your own provider: Keycloak, Entra ID, Okta, …"
            } } }
        };
        answer::page(self.status, frame.around(&body), &frame.policy(client))
    }
}

/// What the sign-in form shows.
#[derive(Debug)]
pub struct SignInForm<'a> {
    /// Its one-time name.
    pub form: &'a str,
    /// The origin that asks.
    pub client: &'a str,
    /// What was typed, or who is expected.
    pub email: &'a str,
    /// What went wrong the last time.
    pub trouble: Option<String>,
}

/// The sign-in page.
pub fn sign_in(status: StatusCode, form: &SignInForm<'_>) -> Page {
    let focus_password = !form.email.is_empty();
    let body = html! {
        h1 { "Sign in" }
        p class="soft" { "to go on to " strong { (form.client) } }
        @if let Some(trouble) = &form.trouble { p class="trouble" role="alert" { (trouble) } }
        form method="post" action="/sign-in" {
            input type="hidden" name="form" value=(form.form);
            div class="field" {
                label for="email" { "E-mail address" }
                input id="email" name="email" type="email" required autocomplete="username" spellcheck="false" value=(form.email)
                    autofocus[!focus_password];
            }
            div class="field" {
                label for="password" { "Password" }
                input id="password" name="password" type="password" required autocomplete="current-password" autofocus[focus_password];
            }
            button class="go" { "Sign in" }
        }
        div class="people" {
            p { "Two people live here. Their passwords are no secret; only their hashes (Argon2id) are kept." }
            ul { @for person in &PEOPLE { li {
                button type="button" class="person" data-email=(person.email) data-password=(person.password) {
                    i aria-hidden="true" { (initials(person.name)) }
                    b { (person.name) }
                    span class="keys" { span { (person.email) } " " code { (person.password) } }
                }
            } } }
        }
    };
    Page { status, title: "Sign in – demo accounts", script: Some(FILL_IN), body }
}

/// Asks somebody who is signed in whether they want to leave.
pub fn sign_out(person: &Person, form: &str) -> Page {
    let body = html! {
        h1 { "Signed in" }
        div class="person" {
            i aria-hidden="true" { (initials(person.name)) }
            b { (person.name) }
            span { (person.email) " · " (person.groups.join(", ")) }
        }
        p class="soft" {
            "Applications that send you here are answered at once, without asking for the password again. That is single sign-on."
        }
        form method="post" action="/sign-out" {
            input type="hidden" name="form" value=(form);
            button class="go" { "Sign out of the provider" }
        }
    };
    Page { status: StatusCode::OK, title: "Signed in – demo accounts", script: None, body }
}

/// A page that only says something.
pub fn message(status: StatusCode, title: &'static str, text: &'static str) -> Page {
    Page { status, title, script: None, body: html! { h1 { (title) } p class="soft" { (text) } } }
}

fn initials(name: &str) -> String {
    name.split(' ').filter_map(|word| word.chars().next()).collect()
}

/// Without it the two addresses and passwords can still be read and typed.
const FILL_IN: &str = "for(const person of document.querySelectorAll('button.person'))person.onclick=()=>{\
document.getElementById('email').value=person.dataset.email;\
document.getElementById('password').value=person.dataset.password;\
document.querySelector('button.go').focus()}";
