//! The token, opened: its three parts, what each claim is for, and whether the signature holds.
//!
//! Never calls a claim true that is only readable: the verdict stands above the claims.

use maud::{Markup, html};
use serde_json::{Map, Value};

use super::home::View;
use super::identity::{Identity, Proof};
use crate::base::Timestamp;
use crate::demo::look::{CROSS, TICK};

/// The section about the token.
pub fn section(view: &View<'_>, identity: &Identity) -> Markup {
    html! {
        section class="part" aria-labelledby="opened" {
            h2 id="opened" { "The token, opened" }
            p {
                "It came in " code { "X-Vestibule-Identity" } ". Anybody can read it; only the gateway can sign it. "
                "A real application would use it and not show it."
            }
            (verdict(view, identity))
            div class="opened" {
                div {
                    p class="token" { @for (class, part) in parts(&identity.token) { @if class != "t0" { "." } span class=(class) { (part) } } }
                    p class="legend" { span class="t0" { "header" } span class="t1" { "claims" } span class="t2" { "signature" } }
                    @if let Proof::Holds(person) = &identity.proof {
                        @let life = u64::try_from(person.claims.exp.saturating_sub(person.claims.iat)).unwrap_or(60).max(1);
                        @let left = person.left.as_secs();
                        div class="meter" {
                            label for="left" { strong { "Good for one minute: " } span data-live="token-seconds" { (left) " seconds left" } }
                            progress id="left" data-live="token-left" value=(left) max=(life) {}
                            span class="soft small" { "Made once, reused until half of it is over. That is why a request costs no signature." }
                        }
                    }
                }
                div class="scroll" { table class="claims" {
                    caption { "Header and claims" }
                    tbody {
                        (rows(&identity.header))
                        (rows(&identity.claims))
                    }
                } }
            }
        }
    }
}

fn verdict(view: &View<'_>, identity: &Identity) -> Markup {
    match &identity.proof {
        Proof::Holds(person) => html! {
            div class="verdict" { (TICK) p {
                strong { "Signature verified" } " with " (person.algorithm.as_str()) " and key " code { (person.kid) }
                " from " a href="/oauth2/jwks" { code { (view.keys_url) } } ". Issuer, audience and times hold as well."
            } }
        },
        Proof::Fails(reason) => html! {
            div class="verdict bad" role="alert" { (CROSS) p {
                strong { "Not verified: " (reason) "." } " Checked against the keys at " code { (view.keys_url) }
                ". What it claims is worth nothing, and the application answers 401."
            } }
        },
    }
}

fn rows(members: &Map<String, Value>) -> Markup {
    html! {
        @for (name, value) in in_reading_order(members) {
            tr {
                th scope="row" { (name) }
                td class="value" {
                    code { (shown(value)) }
                    @if let Some(at) = time_of_day(name, value) { " " span class="soft small" { (at) } }
                }
                td class="why" { (meaning(name)) }
            }
        }
    }
}

/// Known members first, who before when; the rest as it comes.
fn in_reading_order(members: &Map<String, Value>) -> Vec<(&String, &Value)> {
    let place = |name: &str| ORDER.iter().position(|known| *known == name).unwrap_or(ORDER.len());
    let mut ordered: Vec<_> = members.iter().collect();
    ordered.sort_by_key(|(name, _)| place(name));
    ordered
}

/// `10:31:24 UTC`, for claims that are moments.
fn time_of_day(name: &str, value: &Value) -> Option<String> {
    let seconds = value.as_i64().filter(|_| ["iat", "nbf", "exp", "auth_time"].contains(&name))?;
    let time = Timestamp::from_unix_seconds(seconds).rfc3339();
    Some(format!("{} UTC", time.get(11..19)?))
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(shown).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

/// The three parts with their colours; whatever else it is, in one.
fn parts(token: &str) -> Vec<(&'static str, &str)> {
    ["t0", "t1", "t2"].into_iter().zip(token.splitn(3, '.')).collect()
}

fn meaning(name: &str) -> &'static str {
    match name {
        "alg" => "how it is signed: a fixed choice, not the token’s",
        "typ" => "an identity token, and nothing else passes for one",
        "kid" => "which of the gateway’s keys",
        "iss" => "who vouches: the gateway",
        "aud" => "only this application may accept it",
        "sub" => "who, at that provider, for ever",
        "sid" => "names the session, opens nothing",
        "iat" => "when it was signed",
        "nbf" => "not valid before",
        "exp" => "when it is worth nothing any more",
        "jti" => "this very token",
        "auth_time" => "when the password was given",
        "acr" => "how strong that was",
        "amr" => "by what means",
        "provider" => "where they signed in",
        "kind" => "a person, not a machine",
        "name" | "email" | "groups" => "because the configuration asks for it",
        _ => "",
    }
}

const ORDER: [&str; 21] = [
    "alg",
    "typ",
    "kid",
    "iss",
    "aud",
    "sub",
    "provider",
    "kind",
    "name",
    "email",
    "groups",
    "sid",
    "iat",
    "nbf",
    "exp",
    "jti",
    "auth_time",
    "acr",
    "amr",
    "client_id",
    "nonce",
];
