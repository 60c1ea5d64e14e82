//! What a client wants to read: a page or a problem document.

use std::cmp::Reverse;

use http::header::ACCEPT;
use http::{HeaderMap, HeaderValue};

/// How an answer of ours is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Format {
    /// A page, for people.
    Html,
    /// RFC 9457 `application/problem+json`, for programs.
    #[default]
    Problem,
}

/// The `Accept` fields as they came. They are read when an answer of ours is written, and most requests get none.
#[derive(Clone, Debug, Default)]
pub struct Accept(Option<HeaderValue>);

impl Accept {
    /// Takes them out of a head.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        let mut fields = headers.get_all(ACCEPT).iter();
        let (first, second) = (fields.next(), fields.next());
        let Some(second) = second else { return Self(first.cloned()) };
        let all: Vec<&[u8]> = first
            .into_iter()
            .chain([second])
            .chain(fields)
            .filter(|it| it.to_str().is_ok())
            .map(HeaderValue::as_bytes)
            .collect();
        Self(HeaderValue::from_bytes(&all.join(&b',')).ok())
    }

    /// A page only where HTML is asked for by name and JSON is not preferred; `*/*` and silence are not a name.
    #[must_use]
    pub fn format(&self) -> Format {
        if self.prefers_html() { Format::Html } else { Format::Problem }
    }

    /// Whether HTML is what the client prefers by name. Of equal weights the one named first wins.
    #[must_use]
    pub fn prefers_html(&self) -> bool {
        self.0.as_ref().is_some_and(|ranges| prefers_html(ranges.to_str().unwrap_or_default()))
    }
}

impl Format {
    /// A page only where HTML is asked for by name and JSON is not preferred; `*/*` and silence are not a name.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        Accept::of(headers).format()
    }
}

fn prefers_html(ranges: &str) -> bool {
    // Weight, then place: the greatest is the best.
    let mut html = None;
    let mut json = None;
    for (place, range) in ranges.split(',').enumerate() {
        let mut parts = range.split(';');
        let name = parts.next().unwrap_or_default().trim();
        let best = match name {
            _ if name.eq_ignore_ascii_case("text/html") || name.eq_ignore_ascii_case("application/xhtml+xml") => {
                &mut html
            }
            _ if is_json(name) => &mut json,
            _ => continue,
        };
        let weight = weight(parts);
        if weight > 0 {
            *best = (*best).max(Some((weight, Reverse(place))));
        }
    }
    html > json
}

fn is_json(name: &str) -> bool {
    name.eq_ignore_ascii_case("application/json")
        || name.rsplit_once('+').is_some_and(|(_, suffix)| suffix.eq_ignore_ascii_case("json"))
}

/// `q` in thousandths; RFC 9110 section 12.4.2; what is no weight is 1.
fn weight<'a>(parameters: impl Iterator<Item = &'a str>) -> u16 {
    for parameter in parameters {
        if let Some((name, value)) = parameter.split_once('=')
            && name.trim().eq_ignore_ascii_case("q")
        {
            let q: f32 = value.trim().parse().unwrap_or(1.0);
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0..=1000 first")]
            return (q.clamp(0.0, 1.0) * 1000.0) as u16;
        }
    }
    1000
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    /// API-17: pages only for those who ask for HTML by name.
    #[test]
    fn pages_are_for_those_who_name_them() {
        let chrome = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8";
        for (accept, html) in [
            (None, false),
            (Some(""), false),
            (Some("*/*"), false),
            (Some("text/*"), false),
            (Some(chrome), true),
            (Some("text/html"), true),
            (Some("TEXT/HTML;level=1"), true),
            (Some("application/xhtml+xml"), true),
            (Some("application/json"), false),
            (Some("application/json, text/plain, */*"), false),
            (Some("application/json, text/html"), false),
            (Some("text/html, application/json"), true),
            (Some("text/html, application/json, application/xhtml+xml"), true),
            (Some("application/json, text/html, application/problem+json"), false),
            (Some("text/html;q=0.5, application/json"), false),
            (Some("text/html, application/problem+json;q=0.9"), true),
            (Some("text/html;q=0"), false),
            (Some("text/html;q=0, application/json;q=0"), false),
            (Some("image/*"), false),
            (Some("text/html;q=much"), true),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(accept) = accept {
                headers.insert(ACCEPT, HeaderValue::from_static(accept));
            }
            assert_eq!(Format::of(&headers) == Format::Html, html, "{accept:?}");
        }
    }
}
