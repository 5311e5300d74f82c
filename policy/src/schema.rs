//! JSON Schema of the format, from the same rows as the parser.

use crate::rule::{self, Key, PARTIALS, Shape};
use serde_json::{Map, Value, json};

pub fn json_schema() -> Value {
    let mut top = Map::new();
    for key in rule::keys() {
        let value = describe(key);
        if key.table.is_empty() {
            top.insert(key.name.into(), value);
        } else {
            let table = top.entry(key.table).or_insert_with(
                || json!({ "type": "object", "additionalProperties": false, "properties": {} }),
            );
            table["properties"][key.name] = value;
        }
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "stockade policy",
        "type": "object",
        "additionalProperties": false,
        "required": ["version"],
        "properties": top,
    })
}

fn describe(key: &Key) -> Value {
    let list = |items: Value| json!({ "type": "array", "minItems": 1, "items": items });
    let text = json!({ "type": "string", "minLength": 1 });
    let mut value = match key.shape {
        Shape::Version => json!({ "const": 1 }),
        Shape::Text => json!({ "type": "string" }),
        Shape::Flag => json!({ "type": "boolean" }),
        Shape::Names => json!({ "anyOf": [text, list(text.clone())] }),
        Shape::Paths | Shape::Network | Shape::Variables => list(text),
        Shape::Protect => list(json!({ "anyOf": [text, {
            "type": "object", "additionalProperties": false, "required": ["path"],
            "properties": { "path": text, "mode": { "enum": ["deny", "report"] }, "because": { "type": "string" } },
        }] })),
        Shape::Ports => {
            list(json!({ "type": "string", "pattern": "^!?[0-9]{1,5}(:[0-9]{1,5})?$" }))
        }
        Shape::SystemCalls => {
            list(json!({ "type": "string", "pattern": "^!?[a-z_][a-z0-9_]{0,63}$" }))
        }
        Shape::Assignments => {
            json!({ "type": "object", "additionalProperties": { "type": "string" } })
        }
        Shape::Mode(words) => json!({ "enum": words }),
        Shape::Bytes => json!({ "type": "string", "pattern": "^[0-9]+[KMGT]?$" }),
        Shape::Count => json!({ "type": "integer", "minimum": 1, "maximum": u32::MAX }),
        Shape::Seconds => json!({ "type": "string", "pattern": "^[0-9]+[smh]?$" }),
        Shape::Partials => {
            let words: Vec<String> = PARTIALS
                .iter()
                .flat_map(|p| [(*p).to_owned(), format!("!{p}")])
                .collect();
            list(json!({ "enum": words }))
        }
    };
    value["description"] = json!(format!("{} (since {})", key.doc, key.since));
    value
}
