//! How the demo looks: one stylesheet, one frame for all pages, a few drawings. No external resources.
//!
//! Never puts a text into a page unescaped: only the constants of this file are.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::answer::hash_source;

/// The frame of a page.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// The window's title.
    pub title: &'a str,
    /// `provider` looks different, so that nobody mistakes one place for the other.
    pub class: &'static str,
    /// A script of ours, from a constant.
    pub script: Option<&'static str>,
}

impl Frame<'_> {
    /// The whole page around `body`.
    pub fn around(&self, body: &Markup) -> Markup {
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { (self.title) }
                    link rel="icon" href=(ICON);
                    style { (PreEscaped(STYLE)) }
                }
                body class=(self.class) {
                    (body)
                    @if let Some(script) = self.script { script { (PreEscaped(script)) } }
                }
            }
        }
    }

    /// Its `Content-Security-Policy`. Forms may go to us and to `form_targets`: browsers apply `form-action` to redirects as well, so the
    /// places that a form's answer redirects to must be named.
    #[must_use]
    pub fn policy(&self, form_targets: &str) -> String {
        let style = hash_source(STYLE);
        let script = self.script.map_or_else(|| "'none'".to_owned(), hash_source);
        format!(
            "default-src 'none'; style-src {style}; script-src {script}; connect-src 'self'; img-src data:; \
             form-action 'self' {form_targets}; base-uri 'none'; frame-ancestors 'none'"
        )
    }
}

/// The one stylesheet.
const STYLE: &str = include_str!("look.css");

/// The mark: a door within a door.
pub const MARK: PreEscaped<&str> = PreEscaped(
    r#"<svg viewBox="0 0 32 32" fill="none" stroke="currentColor" stroke-width="2.4" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true"><path d="M2.5 28.5h27"/><path d="M5 28.5V13a11 11 0 0 1 22 0v15.5"/><path d="M11.5 28.5V15a4.5 4.5 0 0 1 9 0v13.5" fill="currentColor" fill-opacity=".18"/><path d="M17.4 21.6v.6"/></svg>"#,
);

/// The provider's mark: a card with a face.
pub const CARD: PreEscaped<&str> = PreEscaped(
    r#"<svg viewBox="0 0 32 32" fill="none" stroke="currentColor" stroke-width="2.2" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true"><rect x="2.5" y="6" width="27" height="20" rx="3.5"/><circle cx="11" cy="13.6" r="2.7"/><path d="M6.6 21.4a4.5 4.5 0 0 1 8.8 0M19.5 12.5h5.5M19.5 17h5.5"/></svg>"#,
);

/// An open door with an arrow through it.
pub const DOOR: PreEscaped<&str> = PreEscaped(
    r#"<svg viewBox="0 0 48 62" fill="none" stroke="currentColor" stroke-width="2.4" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true"><path d="M9 58V22a15 15 0 0 1 30 0v36"/><path d="M3 58h42"/><path class="arrow" d="M12 38h22m-8-8 8 8-8 8"/></svg>"#,
);

/// It holds.
pub const TICK: PreEscaped<&str> = PreEscaped(
    r#"<svg viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2.2" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true"><path d="M12 2.5 4 5.6v5.9c0 4.9 3.3 8.4 8 10 4.700-1.600 8-5.100 8-10V5.600z"/><path d="m8.400 11.900 2.500 2.600 4.700-5.200"/></svg>"#,
);

/// It does not.
pub const CROSS: PreEscaped<&str> = PreEscaped(
    r#"<svg viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2.2" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true"><path d="M12 2.5 4 5.6v5.9c0 4.9 3.3 8.4 8 10 4.700-1.600 8-5.100 8-10V5.600z"/><path d="m9.300 9.300 5.400 5.400m0-5.400-5.400 5.400"/></svg>"#,
);

/// The mark as a `data:` URL.
const ICON: &str = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 32' fill='none' stroke='%230a8a6c' stroke-width='2.8' stroke-linecap='round'%3E%3Cpath d='M2.500 28.500h27M5 28.500V13a11 11 0 0 1 22 0v15.500M11.500 28.500V15a4.500 4.500 0 0 1 9 0v13.500'/%3E%3C/svg%3E";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_page_says_is_escaped_and_its_policy_allows_only_what_is_ours() {
        let frame = Frame { title: "</title><script>alert(1)</script>", class: "", script: Some("let ours = 1") };
        let page = frame.around(&html! { p { "<b>" } }).into_string();
        assert!(!page.contains("<script>alert") && page.contains("&lt;b&gt;"));
        assert!(page.contains("<script>let ours = 1</script>"));
        let policy = frame.policy("http://localhost:8080");
        assert!(!policy.contains("unsafe") && policy.starts_with("default-src 'none'"));
        assert!(policy.contains(&hash_source("let ours = 1")) && policy.contains(&hash_source(STYLE)));
    }

    /// A constant that ended its element early would not be what its hash says, and not be what we wrote.
    #[test]
    fn the_stylesheet_can_stand_inline() {
        assert!(!STYLE.contains("</") && !STYLE.contains("url("));
    }
}
