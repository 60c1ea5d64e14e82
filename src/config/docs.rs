//! The schema and the reference, made from the comments of [`FileConfig`].
//!
//! Nothing about a key is written here: what is missing in the reference is missing there.

use schemars::generate::SchemaSettings;
use serde_json::Value;

use super::file::FileConfig;

/// `config/schema.json`: what editors check and complete a configuration with.
#[must_use]
pub fn schema() -> String {
    serde_json::to_string_pretty(&schema_value()).unwrap_or_default() + "\n"
}

/// The schema with everything in its place: no references, no `null`, which TOML does not have.
pub(super) fn schema_value() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    let mut schema = settings.into_generator().into_root_schema_for::<FileConfig>().to_value();
    without_null(&mut schema);
    schema
}

fn without_null(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            members.retain(|name, value| !(name == "default" && value.is_null()));
            for one_of in ["anyOf", "oneOf"] {
                let Some(Value::Array(alternatives)) = members.get_mut(one_of) else { continue };
                alternatives.retain(|alternative| alternative.get("type") != Some(&Value::from("null")));
                if let [only] = alternatives.as_mut_slice() {
                    let only = only.take();
                    members.remove(one_of);
                    for (name, value) in only.as_object().into_iter().flatten() {
                        members.entry(name.clone()).or_insert_with(|| value.clone());
                    }
                }
            }
            if let Some(Value::Array(types)) = members.get_mut("type") {
                types.retain(|kind| kind != "null");
                if let [only] = types.as_slice() {
                    let only = only.clone();
                    members.insert("type".to_owned(), only);
                }
            }
            if let Some(Value::Array(words)) = members.get_mut("enum") {
                words.retain(|word| !word.is_null());
            }
            members.values_mut().for_each(without_null);
        }
        Value::Array(items) => items.iter_mut().for_each(without_null),
        _ => {}
    }
}
