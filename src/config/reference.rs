//! `docs/configuration.md`: every key in tables, made from the schema.
//!
//! Says nothing about a key that the comments of the file types do not say.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::docs::schema_value;
use super::not_yet::{NOT_YET, When};

/// `docs/configuration.md`.
#[must_use]
pub fn reference() -> String {
    let schema = schema_value();
    let mut page = String::from(HEAD);
    section(&mut page, "", &schema);
    let mut names: Vec<&str> = properties(&schema).map(|(name, _)| name.as_str()).collect();
    names.sort_by_key(|name| ORDER.iter().position(|first| first == name).unwrap_or(ORDER.len()));
    for name in names {
        if let Some(schema) = schema.pointer(&format!("/properties/{name}")) {
            below(&mut page, name, schema);
        }
    }
    page.push_str("\n## Not supported yet\n\nThese are refused, with these words; nothing that is written is silently ignored.\n\n");
    page.push_str("| key | refused | what it is for |\n|---|---|---|\n");
    for entry in NOT_YET {
        let _ = writeln!(page, "| `{}` | {} | {} |", entry.key, refused(&entry.when), entry.what);
    }
    page
}

fn refused(when: &When) -> String {
    match when {
        When::Always => "always".to_owned(),
        When::Not(values) => format!("all but {}", codes(values)),
        When::Is(values) => codes(values),
    }
}

/// What of a key that has a description is refused nevertheless.
fn not_yet(key: &str) -> String {
    let entries = NOT_YET.iter().filter(|entry| entry.key == key);
    entries.fold(String::new(), |text, entry| text + "<br>*Not supported yet: " + &refused(&entry.when) + ".*")
}

/// The sections of a key, if it has any: a table, a list of tables, tables by name.
fn below(page: &mut String, path: &str, schema: &Value) {
    let (path, schema) = if let Some(items) = schema.get("items").filter(|items| items.get("properties").is_some()) {
        (format!("{path}[]"), items)
    } else if let Some(named) = schema.get("additionalProperties").filter(|named| named.get("properties").is_some()) {
        (format!("{path}.*"), named)
    } else if schema.get("properties").is_some() {
        (path.to_owned(), schema)
    } else {
        return;
    };
    section(page, &path, schema);
    for (name, schema) in properties(schema) {
        below(page, &format!("{path}.{name}"), schema);
    }
}

fn section(page: &mut String, path: &str, schema: &Value) {
    if path.is_empty() {
        page.push_str("\n## The top of the file\n\n");
    } else {
        let _ = write!(page, "\n## {}\n\n{}\n\n", heading(path), description(schema));
    }
    page.push_str("| key | type | default | what it is for |\n|---|---|---|---|\n");
    for (name, schema) in properties(schema) {
        let kind = kind(schema);
        let key = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        let meaning = meaning(schema) + &not_yet(&key);
        let _ = writeln!(page, "| `{name}` | {} | {} | {} |", cell(&kind), default(schema), cell(&meaning));
    }
}

/// `[[routes]]`, `[providers.*.logout]`, `routes[].cors`: as one would write it.
fn heading(path: &str) -> String {
    match path.strip_suffix("[]") {
        Some(list) if !list.contains("[]") => format!("`[[{list}]]`"),
        Some(list) => format!("`{list}`"),
        None if path.contains("[]") => format!("`{path}`"),
        None => format!("`[{path}]`"),
    }
}

fn meaning(schema: &Value) -> String {
    let mut text = description(schema);
    let words: Vec<String> = alternatives(schema)
        .filter_map(|one| Some(format!("`\"{}\"`: {}", one.get("const")?.as_str()?, description(one))))
        .collect();
    if words.len() > 1 {
        let _ = write!(text, "<br>{}", words.join("<br>"));
    }
    if let (Some(least), Some(most)) = (schema.get("minimum"), schema.get("maximum")) {
        let _ = write!(text, " From {least} to {most}.");
    }
    let examples = schema.get("examples").and_then(Value::as_array).into_iter().flatten();
    let examples: Vec<String> = examples.map(|example| format!("`{}`", toml(example))).collect();
    if !examples.is_empty() && schema.get("format") != Some(&Value::from("secret")) {
        let _ = write!(text, "<br>Example: {}", examples.join(" or "));
    }
    text
}

fn kind(schema: &Value) -> String {
    let kinds: Vec<String> = match schema.get("format").and_then(Value::as_str) {
        Some("secret") => vec!["`{ file = … }` or `{ env = … }`".to_owned()],
        Some("store") => vec!["text".to_owned(), "`{ file = … }` or `{ env = … }`".to_owned()],
        Some("span") => vec!["duration".to_owned()],
        Some("size") => vec!["size".to_owned()],
        _ => {
            let mut kinds = Vec::new();
            for one in alternatives(schema) {
                let kind = match one.get("const").and_then(Value::as_str) {
                    Some(word) => format!("`\"{word}\"`"),
                    None if std::ptr::eq(one, schema) => plain(one),
                    None => self::kind(one),
                };
                kinds.push(kind);
            }
            kinds
        }
    };
    kinds.join(", ")
}

fn plain(schema: &Value) -> String {
    match schema.get("type").and_then(Value::as_str) {
        Some("boolean") => "`true` or `false`".to_owned(),
        Some("integer") => "number".to_owned(),
        Some("array") => {
            let items = schema.get("items").unwrap_or(&Value::Null);
            if items.get("properties").is_some() {
                "list of tables".to_owned()
            } else {
                format!("list of {}", kind(items))
            }
        }
        Some("object") if schema.get("properties").is_some() => "table".to_owned(),
        Some("object") => match schema.get("additionalProperties") {
            Some(named) if named.get("properties").is_some() => "tables by name".to_owned(),
            Some(named) => format!("name = {}", kind(named)),
            None => "table".to_owned(),
        },
        _ => "text".to_owned(),
    }
}

fn default(schema: &Value) -> String {
    schema.get("default").map_or_else(String::new, |value| format!("`{}`", toml(value)))
}

/// A JSON value as TOML writes it.
fn toml(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("[{}]", items.iter().map(toml).collect::<Vec<_>>().join(", ")),
        Value::Object(members) if members.is_empty() => "{}".to_owned(),
        Value::Object(members) => {
            let members: Vec<String> = members
                .iter()
                .map(|(name, value)| format!("{} = {}", super::document::quoted(name), toml(value)))
                .collect();
            format!("{{ {} }}", members.join(", "))
        }
        other => other.to_string(),
    }
}

fn description(schema: &Value) -> String {
    schema.get("description").and_then(Value::as_str).unwrap_or_default().replace('\n', " ")
}

fn alternatives(schema: &Value) -> Box<dyn Iterator<Item = &Value> + '_> {
    match ["anyOf", "oneOf"].iter().find_map(|key| schema.get(key)).and_then(Value::as_array) {
        Some(several) => Box::new(several.iter().flat_map(alternatives)),
        None => Box::new(std::iter::once(schema)),
    }
}

fn properties(schema: &Value) -> impl Iterator<Item = (&String, &Value)> {
    schema.get("properties").and_then(Value::as_object).into_iter().flat_map(Map::iter)
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn codes(values: &[&str]) -> String {
    values.iter().map(|value| format!("`{value}`")).collect::<Vec<_>>().join(", ")
}

/// The order of the sections: outside in.
const ORDER: [&str; 10] =
    ["listeners", "network", "limits", "admin", "session", "identity", "providers", "upstreams", "routes", "telemetry"];

const HEAD: &str = "# Configuration

<!-- Made by `vestibule docs configuration > docs/configuration.md` from the comments in src/config/file; do not edit. -->

One TOML file. `vestibule check vestibule.toml` names everything that is wrong with it, with file, line and what to do;
`check --print` shows what is in force. Examples to copy are in `config/`, and `config/schema.json` lets editors complete and
check: write `#:schema` and its path in the first line.

- A **duration** is a number with a unit, such as `\"30m\"`: `s`, `m`, `h`, `d`, `w`, `y`. The shortest is `\"1s\"`.
- A **size** is a number with a unit, such as `\"32KiB\"`: `B`, `KiB`, `MiB`, `GiB`, `TiB`; a plain number is bytes.
- A **secret** never stands in the file: `{ file = \"/run/secrets/name\" }` or `{ env = \"NAME\" }`.
- Relative paths start at the folder of the file, except those of Unix sockets, which are absolute.
";
