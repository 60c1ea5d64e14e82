//! The forms of a page, as far as login pages need them.
//!
//! Must never be taken for an HTML parser: it reads what test providers write.

use std::collections::BTreeMap;

use url::Url;

use super::page::Page;

/// One `<form>`.
#[derive(Clone, Debug)]
pub struct Form {
    /// Where it goes.
    pub action: Url,
    /// `get` or `post`.
    pub method: String,
    /// Names and values of its inputs.
    pub fields: Vec<(String, String)>,
    /// Whether a script submits it by itself.
    pub submits_itself: bool,
}

impl Form {
    /// The forms of `page`, in order.
    pub fn all(page: &Page) -> Vec<Self> {
        let html = page.text();
        let submits_itself = html.contains(".submit()");
        let mut forms = Vec::new();
        for part in html.split("<form").skip(1) {
            let part = part.split("</form").next().unwrap_or_default();
            let (tag, inner) = part.split_once('>').unwrap_or((part, ""));
            let attributes = attributes(tag);
            let action = attributes.get("action").cloned().unwrap_or_default();
            let Ok(action) = page.url.join(&action) else { continue };
            let method = attributes.get("method").map_or_else(|| "get".to_owned(), |method| method.to_lowercase());
            let fields = ["<input", "<button"]
                .iter()
                .flat_map(|start| inner.split(start).skip(1))
                .filter_map(|input| {
                    let attributes = self::attributes(input.split('>').next().unwrap_or_default());
                    Some((attributes.get("name")?.clone(), attributes.get("value").cloned().unwrap_or_default()))
                })
                .collect();
            forms.push(Self { action, method, fields, submits_itself });
        }
        forms
    }

    /// With that field set.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.fields.retain(|(key, _)| key != name);
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }
}

fn attributes(tag: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut rest = tag.trim_end_matches('/');
    loop {
        rest = rest.trim_start();
        let end = rest.find(|c: char| c == '=' || c.is_whitespace()).unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        if name.is_empty() {
            return found;
        }
        let mut value = "";
        rest = after;
        if let Some(after) = after.strip_prefix('=') {
            let quote = after.chars().next().filter(|&c| c == '"' || c == '\'');
            (value, rest) = match quote {
                Some(quote) => after[1..].split_once(quote).unwrap_or((&after[1..], "")),
                None => after.split_once(char::is_whitespace).unwrap_or((after, "")),
            };
        }
        found.insert(name.to_lowercase(), unescape(value));
    }
}

fn unescape(text: &str) -> String {
    let mut text = text.to_owned();
    for (entity, plain) in [
        ("&quot;", "\""),
        ("&#34;", "\""),
        ("&#39;", "'"),
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&#x2F;", "/"),
        ("&amp;", "&"),
    ] {
        text = text.replace(entity, plain);
    }
    text
}
