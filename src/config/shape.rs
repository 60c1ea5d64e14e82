//! What the schema wants at a place, and whether a value is that.
//!
//! Repeats a value in a message only where it is one of a few words, a duration or a size: anything else could be a secret.

use serde_json::Value;
use toml::de::DeValue;

use super::document::listed;
use super::suggest::closest;
use super::value::{Size, Span};

/// What is wrong, and what to do.
pub type Complaint = (String, String);

/// What a schema wants.
#[derive(Debug)]
pub enum Shape<'a> {
    /// `{ file = … }` or `{ env = … }`.
    Secret,
    /// A table with the keys of this schema.
    Table(&'a Value),
    /// A list of this schema.
    Array(&'a Value),
    /// A value without anything below it.
    Leaf(Leaf<'a>),
}

/// Alternatives of a value without anything below it.
#[derive(Debug)]
pub struct Leaf<'a> {
    words: Vec<&'a str>,
    others: Vec<&'a Value>,
    list: bool,
}

impl<'a> Shape<'a> {
    /// What `schema` wants, and of several alternatives the one that `value` has the form of.
    pub fn of(schema: &'a Value, value: &DeValue<'_>) -> Self {
        match format(schema) {
            "secret" => return Self::Secret,
            "store" if value.is_table() => return Self::Secret,
            _ => {}
        }
        let mut leaf = Leaf { words: Vec::new(), others: Vec::new(), list: false };
        let (mut table, mut array) = (None, None);
        for alternative in alternatives(schema) {
            match kind(alternative) {
                "object" => table = Some(alternative),
                "array" => array = alternative.get("items"),
                _ if words(alternative).is_empty() => leaf.others.push(alternative),
                _ => leaf.words.extend(words(alternative)),
            }
        }
        leaf.list = array.is_some();
        let only = leaf.words.is_empty() && leaf.others.is_empty();
        match (table, array) {
            (Some(table), _) if value.is_table() || only => Self::Table(table),
            (_, Some(items)) if value.is_array() || only => Self::Array(items),
            _ => Self::Leaf(leaf),
        }
    }

    /// Says that `value` is something else.
    pub fn mismatch(&self, value: &DeValue<'_>) -> String {
        let wanted = match self {
            Self::Secret => "a reference to a secret",
            Self::Table(_) => "a table",
            Self::Array(_) => "a list",
            Self::Leaf(_) => "something else",
        };
        format!("This is {}; it has to be {wanted}.", kind_of(value))
    }

    /// Says what to do about it.
    pub fn fix(&self, value: &DeValue<'_>) -> String {
        match (self, value) {
            (Self::Array(_), DeValue::Array(_)) => String::new(),
            (Self::Array(_), DeValue::Table(_)) => {
                "For a list of tables write its head in double brackets: [[…]].".to_owned()
            }
            (Self::Array(_), _) => "Put it in brackets: […].".to_owned(),
            (Self::Table(_), DeValue::Array(_)) => "Write its head in single brackets: […].".to_owned(),
            _ => String::new(),
        }
    }
}

impl Leaf<'_> {
    /// Whether `value` is one of the alternatives.
    pub fn check(&self, value: &DeValue<'_>) -> Result<(), Complaint> {
        if let DeValue::String(text) = value {
            if self.words.iter().any(|word| *word == text) {
                return Ok(());
            }
            if !self.words.is_empty() && self.others.is_empty() {
                return Err(self.wrong_word(text));
            }
        }
        let mut complaint = None;
        for other in &self.others {
            match check(other, value) {
                Ok(()) => return Ok(()),
                Err(found) => complaint = complaint.or(found),
            }
        }
        Err(match complaint {
            None => self.wrong_type(value),
            // What a number or a duration may be is not all that may stand here.
            Some((what, fix)) if fix.is_empty() && !self.words.is_empty() => {
                (what, format!("{} is possible too.", listed_text(&self.words)))
            }
            Some(complaint) => complaint,
        })
    }

    fn wrong_word(&self, text: &str) -> Complaint {
        let meant = closest(text, self.words.iter().copied());
        let list = if self.list { ", or a list" } else { "" };
        let fix = match meant {
            Some(meant) => format!("Did you mean \"{meant}\"? Possible are {}{list}.", listed_text(&self.words)),
            None => format!("Possible are {}{list}.", listed_text(&self.words)),
        };
        // A word that resembles none of ours may be something that was pasted here by mistake.
        let what = if meant.is_some() {
            format!("{text:?} is not one of the words for this key.")
        } else {
            "This is not one of the words for this key.".to_owned()
        };
        (what, fix)
    }

    fn wrong_type(&self, value: &DeValue<'_>) -> Complaint {
        let mut wanted: Vec<String> = self.others.iter().map(|other| expected(other).to_owned()).collect();
        if !self.words.is_empty() {
            wanted.push(listed_text(&self.words));
        }
        if self.list {
            wanted.push("a list".to_owned());
        }
        let what = format!("This is {}; it has to be {}.", kind_of(value), wanted.join(", or "));
        let unquoted = |text: &str| {
            self.others.iter().any(|other| match kind(other) {
                "integer" => text.replace('_', "").parse::<u64>().is_ok(),
                "boolean" => text == "true" || text == "false",
                _ => false,
            })
        };
        let fix = match value {
            DeValue::String(text) if unquoted(text) => "Leave the quotation marks out.",
            DeValue::Integer(_) if self.others.iter().any(|other| format(other) == "span") => {
                "Write it with a unit and in quotation marks, such as \"30s\"."
            }
            DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_) | DeValue::Datetime(_)
                if self.others.iter().any(|other| kind(other) == "string" && format(other).is_empty()) =>
            {
                "Put it in quotation marks."
            }
            _ => "",
        };
        (what, fix.to_owned())
    }
}

/// Whether `value` names exactly one file or variable.
pub fn secret(value: &DeValue<'_>) -> Result<(), Complaint> {
    const FIX: &str = "Write { file = \"/run/secrets/name\" } or { env = \"NAME\" }.";
    let table = match value {
        DeValue::Table(table) => table,
        DeValue::String(_) => {
            let what = "A secret does not stand in the configuration, which is copied, shown and committed.";
            return Err((what.to_owned(), FIX.to_owned()));
        }
        other => return Err((Shape::Secret.mismatch(other), FIX.to_owned())),
    };
    let mut keys = table.iter();
    match (keys.next(), keys.next()) {
        (Some((key, value)), None) if matches!(key.get_ref().as_ref(), "file" | "env") => match value.get_ref() {
            DeValue::String(text) if !text.is_empty() => Ok(()),
            _ => Err((format!("`{}` has to be a name in quotation marks.", key.get_ref()), FIX.to_owned())),
        },
        _ => Err(("A secret comes from one file or from one environment variable.".to_owned(), FIX.to_owned())),
    }
}

/// Checks one alternative. `Err(None)`: it is of another type altogether.
fn check(schema: &Value, value: &DeValue<'_>) -> Result<(), Option<Complaint>> {
    let parsed = |text: &str, result: Result<(), &str>| {
        result.map_err(|what| Some((format!("{text:?} {what}."), String::new())))
    };
    match (kind(schema), format(schema), value) {
        (_, "span", DeValue::String(text)) => parsed(text, Span::parse(text).map(drop)),
        (_, "size", DeValue::String(text)) => parsed(text, Size::parse(text).map(drop)),
        ("string", "span", _) => Err(None),
        ("string", "", DeValue::String(_)) | ("boolean", _, DeValue::Boolean(_)) => Ok(()),
        ("integer", ..) | (_, "size", _) => match value {
            DeValue::Integer(number) => in_range(schema, i128::from_str_radix(number.as_str(), number.radix()).ok()),
            _ => Err(None),
        },
        _ => Err(None),
    }
}

fn in_range(schema: &Value, number: Option<i128>) -> Result<(), Option<Complaint>> {
    let bound = |name: &str| schema.get(name).and_then(Value::as_u64).map(i128::from);
    let (least, most) = (bound("minimum").unwrap_or(0), bound("maximum").unwrap_or(i128::from(i64::MAX)));
    match number {
        Some(number) if (least..=most).contains(&number) => Ok(()),
        _ => Err(Some(("This number is out of range.".to_owned(), format!("It can be from {least} to {most}.")))),
    }
}

fn alternatives(schema: &Value) -> impl Iterator<Item = &Value> {
    let several = ["anyOf", "oneOf"].iter().find_map(|key| schema.get(key)).and_then(Value::as_array);
    several.map_or(std::slice::from_ref(schema), Vec::as_slice).iter().flat_map(|one| {
        let nested = ["anyOf", "oneOf"].iter().find_map(|key| one.get(key)).and_then(Value::as_array);
        nested.map_or(std::slice::from_ref(one), Vec::as_slice)
    })
}

fn words(schema: &Value) -> Vec<&str> {
    let several = schema.get("enum").and_then(Value::as_array).into_iter().flatten();
    several.chain(schema.get("const")).filter_map(Value::as_str).collect()
}

fn kind(schema: &Value) -> &str {
    match schema.get("type") {
        Some(Value::String(kind)) => kind,
        Some(Value::Array(kinds)) => kinds.first().and_then(Value::as_str).unwrap_or(""),
        _ => "",
    }
}

fn format(schema: &Value) -> &str {
    schema.get("format").and_then(Value::as_str).unwrap_or("")
}

fn expected(schema: &Value) -> &'static str {
    match (kind(schema), format(schema)) {
        (_, "span") => "a duration such as \"30m\"",
        (_, "size") => "a size such as \"32KiB\"",
        ("string", _) => "text",
        ("integer", _) => "a whole number",
        ("boolean", _) => "true or false",
        _ => "something else",
    }
}

fn kind_of(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

fn listed_text(words: &[&str]) -> String {
    let words: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
    listed(words.iter().map(String::as_str)).replace('`', "")
}
