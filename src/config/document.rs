//! Reads the text: TOML, unknown keys, wrong types. Everything wrong is noted and taken out, so that the rest can be judged too.
//!
//! Knows no key by name: the schema of [`FileConfig`] says what may stand where.

use std::sync::LazyLock;

use serde::Deserialize as _;
use serde_json::Value;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::docs;
use super::file::FileConfig;
use super::not_yet;
use super::places::Places;
use super::problem::Problem;
use super::shape::{self, Shape};
use super::suggest::closest;

/// What could be read of `text`, where it stands, and what is wrong with its form.
///
/// With errors of TOML itself there is nothing to judge any further: the file is `None`.
pub fn read(text: &str, file: &str) -> (Option<FileConfig>, Places, Vec<Problem>) {
    let mut walk = Walk { places: Places::new(file, text), problems: Vec::new() };
    let (mut document, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        let mut lines = Vec::new();
        for error in errors {
            let place = walk.places.at(error.span().map_or(0, |span| span.start));
            // After the first error of a line the parser guesses.
            let line = place.position.map(|(line, _)| line);
            if !lines.contains(&line) {
                lines.push(line);
                let what = format!("This is not TOML: {}.", error.message());
                walk.problems.push(Problem { place, what, fix: String::new() });
            }
        }
        return (None, walk.places, walk.problems);
    }
    walk.table(document.get_mut(), &SCHEMA, &Path::default());
    let span = document.span();
    let config = FileConfig::deserialize(toml::de::Deserializer::from(document)).unwrap_or_else(|error| {
        // The walk has taken out everything that could fail here. The message may quote a value, which may be a secret.
        let place = walk.places.at(error.span().unwrap_or(span).start);
        walk.problems.push(Problem { place, what: UNREADABLE.to_owned(), fix: String::new() });
        FileConfig::default()
    });
    (Some(config), walk.places, walk.problems)
}

/// What is said when the schema allows what the types do not: never, unless the two drift apart.
const UNREADABLE: &str = "This cannot be read.";

/// The schema, once.
static SCHEMA: LazyLock<Value> = LazyLock::new(docs::schema_value);

/// Path of a key: as it is shown, and with `*` and `[]` for names and indices.
#[derive(Clone, Debug, Default)]
struct Path {
    shown: String,
    pattern: String,
}

impl Path {
    fn key(&self, name: &str) -> Self {
        Self { shown: join(&self.shown, &quoted(name)), pattern: join(&self.pattern, name) }
    }

    fn named(&self, name: &str) -> Self {
        Self { shown: join(&self.shown, &quoted(name)), pattern: join(&self.pattern, "*") }
    }

    fn index(&self, index: usize) -> Self {
        Self { shown: format!("{}[{index}]", self.shown), pattern: format!("{}[]", self.pattern) }
    }
}

/// Whether a value may stay for the types to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Keep,
    TakeOut,
}

struct Walk {
    places: Places,
    problems: Vec<Problem>,
}

impl Walk {
    fn table(&mut self, table: &mut DeTable<'_>, schema: &Value, path: &Path) {
        let properties = schema.get("properties").and_then(Value::as_object);
        let names = schema.get("additionalProperties").filter(|more| more.is_object());
        *table = std::mem::take(table)
            .into_iter()
            .filter_map(|(key, mut value)| {
                let name: &str = key.get_ref();
                let known = properties.and_then(|properties| properties.get(name));
                let below = if known.is_none() && names.is_some() { path.named(name) } else { path.key(name) };
                self.places.note(&below.shown, key.span().start);
                let verdict = match known.or(names) {
                    _ if let Some(entry) = not_yet::refused(&below.pattern, value.get_ref()) => {
                        self.take_out(&below, format!("Not supported yet: {}.", entry.what), entry.fix())
                    }
                    Some(schema) => self.value(&mut value, schema, &below),
                    None if not_yet::known(&below.pattern) => Verdict::TakeOut,
                    None => {
                        let fix = self.unknown_key_fix(name, path, properties);
                        self.take_out(&below, "There is no such key.".to_owned(), fix)
                    }
                };
                (verdict == Verdict::Keep).then_some((key, value))
            })
            .collect();
    }

    fn value(&mut self, value: &mut Spanned<DeValue<'_>>, schema: &Value, path: &Path) -> Verdict {
        let shape = Shape::of(schema, value.get_ref());
        match (&shape, value.get_mut()) {
            (Shape::Secret, value) => match shape::secret(value) {
                Ok(()) => Verdict::Keep,
                Err((what, fix)) => self.take_out(path, what, fix),
            },
            (Shape::Table(schema), DeValue::Table(table)) => {
                self.table(table, schema, path);
                Verdict::Keep
            }
            (Shape::Table(_), other) => {
                let what = shape.mismatch(other);
                self.take_out(path, what, shape.fix(other));
                // An empty table keeps its place, and with it the indices and names of the others.
                *other = DeValue::Table(DeTable::new());
                Verdict::Keep
            }
            (Shape::Array(items), DeValue::Array(array)) => self.array(array, items, path),
            (Shape::Leaf(leaf), value) => match leaf.check(value) {
                Ok(()) => Verdict::Keep,
                Err((what, fix)) => self.take_out(path, what, fix),
            },
            (_, value) => {
                let what = shape.mismatch(value);
                let fix = shape.fix(value);
                self.take_out(path, what, fix)
            }
        }
    }

    fn array(&mut self, array: &mut DeArray<'_>, items: &Value, path: &Path) -> Verdict {
        let mut verdict = Verdict::Keep;
        for (index, item) in array.iter_mut().enumerate() {
            let below = path.index(index);
            self.places.note(&below.shown, item.span().start);
            if self.value(item, items, &below) == Verdict::TakeOut {
                // Without one of its items a list means something else: a route for fewer methods, a ring without a secret.
                self.places.mark_broken(&path.shown);
                verdict = Verdict::TakeOut;
            }
        }
        verdict
    }

    /// What may have been meant by a key that does not exist here: a neighbour, or the same key elsewhere. What was meant is not
    /// missing as well.
    fn unknown_key_fix(
        &mut self,
        name: &str,
        path: &Path,
        properties: Option<&serde_json::Map<String, Value>>,
    ) -> String {
        let neighbours = properties.into_iter().flatten().map(|(name, _)| name.as_str());
        if let Some(meant) = closest(name, neighbours.clone()) {
            self.places.mark_broken(&path.key(meant).shown);
            return format!("Did you mean `{meant}`?");
        }
        let mut elsewhere = Vec::new();
        sections_with(name, &SCHEMA, "", &mut elsewhere);
        elsewhere.retain(|section| *section != path.pattern);
        match elsewhere.as_slice() {
            [section] => {
                self.places.mark_broken(&join(section, name));
                if section.is_empty() {
                    format!("`{name}` stands at the top of the file, before the first [section].")
                } else {
                    format!("`{name}` belongs to [{section}].")
                }
            }
            _ => format!("The keys here are {}.", listed(neighbours)),
        }
    }

    fn take_out(&mut self, path: &Path, what: String, fix: String) -> Verdict {
        self.problem(path, what, fix);
        Verdict::TakeOut
    }

    fn problem(&mut self, path: &Path, what: String, fix: String) {
        self.places.mark_broken(&path.shown);
        self.problems.push(Problem { place: self.places.of(&path.shown), what, fix });
    }
}

/// The sections that have a key `name`.
fn sections_with(name: &str, schema: &Value, section: &str, found: &mut Vec<String>) {
    for (key, below) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        if key == name {
            found.push(section.to_owned());
        }
        sections_with(name, below, &join(section, key), found);
        if let Some(items) = below.get("items") {
            sections_with(name, items, &format!("{}[]", join(section, key)), found);
        }
        if let Some(named) = below.get("additionalProperties") {
            sections_with(name, named, &join(&join(section, key), "*"), found);
        }
    }
}

/// `a, b and c`, each in backticks.
pub fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<String> = names.map(|name| format!("`{name}`")).collect();
    match names.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
        None => "none".to_owned(),
    }
}

/// A key as TOML writes it in a path.
pub fn quoted(name: &str) -> String {
    if !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_') {
        name.to_owned()
    } else {
        format!("{name:?}")
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}
